/* bench/options.h: the options of `ternbench pairs`.
 *
 * Threads: the main thread.  Memory: texts are the command line's. */
#ifndef TERN_BENCH_OPTIONS_H
#define TERN_BENCH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#define OPTIONS_CORES_MAX 64

struct options {
    const char *admin;         /* socket of a running switch; NULL: a switch of one's own */
    const char *json;          /* file; NULL: none */
    const char *switch_shards; /* of the own switch; NULL: its default */
    const char *switch_cores;
    bool plaintext; /* to the switch's unencrypted listener */
    uint32_t pairs, window, size_bytes, seconds, threads;
    uint32_t core_count; /* 0: not pinned */
    int cores[OPTIONS_CORES_MAX];
};

/* Ends the program with status 2 where the command line is wrong, with 0 after --help. */
void options_parse(struct options *ret_options, int count, char **arguments);

#endif
