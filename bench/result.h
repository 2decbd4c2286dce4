/* bench/result.h: what came out of a run: as a table for people, as JSON for scripts, and whether it is
 * right.
 *
 * Threads: the main thread.  Memory: none is kept. */
#ifndef TERN_BENCH_RESULT_H
#define TERN_BENCH_RESULT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "bench/end.h"
#include "bench/tally.h"

#define RESULT_CPU_UNKNOWN UINT64_MAX

struct result {
    const struct load *load;
    const struct tally *tally; /* of all threads */
    uint32_t threads;
    bool own_switch;
    const char *switch_shards;            /* as asked for; NULL: its default */
    bool stopped;                         /* before the time was over */
    double seconds;                       /* to be measured */
    double measured_seconds;              /* less where it was stopped before the end; 0: nothing was */
    double link_seconds;                  /* from the first connection to the last welcome */
    uint64_t bench_cpu_ns, switch_cpu_ns; /* in the measured time, or RESULT_CPU_UNKNOWN */
};

/* True when all that was sent arrived once and in order, with every receipt and confirmation. */
bool result_is_complete(const struct result *result);
void result_print_table(const struct result *result, FILE *out);
/* What is missing or wrong, in sentences. */
void result_print_missing(const struct result *result, FILE *out);
/* 0 or negative errno. */
int result_write_json(const struct result *result, const char *path);

#endif
