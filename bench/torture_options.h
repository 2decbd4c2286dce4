/* bench/torture_options.h: the options of `ternbench torture`.
 *
 * Threads: the main thread.  Memory: texts are the command line's. */
#ifndef TERN_BENCH_TORTURE_OPTIONS_H
#define TERN_BENCH_TORTURE_OPTIONS_H

#include <stdint.h>

struct torture_options {
    const char *json;        /* file; NULL: none */
    const char *point;       /* only this crash point; NULL: each in turn, and moments between them */
    uint32_t kills, seconds; /* seconds 0: as long as it takes */
    uint32_t accounts, devices, payload_bytes_max;
    uint32_t shards; /* at most; each start of the switch has its own number of them */
    uint64_t seed;   /* 0: a new one */
};

/* Ends the program with status 2 where the command line is wrong, with 0 after --help. */
void torture_options_parse(struct torture_options *ret_options, int count, char **arguments);

#endif
