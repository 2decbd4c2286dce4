/* bench/torture_report.h: what came out of a run of `ternbench torture`: as a table for people, as JSON for
 * scripts.
 *
 * Threads: the main thread.  Memory: none is kept. */
#ifndef TERN_BENCH_TORTURE_REPORT_H
#define TERN_BENCH_TORTURE_REPORT_H

#include <stdbool.h>
#include <stdio.h>

#include "bench/torture_check.h"
#include "bench/torture_options.h"
#include "core/crash.h"

struct torture_result {
    const struct torture_options *options;
    uint64_t seed;
    uint32_t killed_at[CRASH_POINT_COUNT]; /* the switch, where it ended at this point */
    uint32_t
        not_reached[CRASH_POINT_COUNT]; /* the point was not passed often enough: killed at some moment */
    uint32_t killed;                    /* at random moments, those included */
    const uint32_t *devices_crashed;    /* [CRASH_CLIENT_COUNT] */
    uint32_t devices_killed, devices_stopped, devices_left;
    uint32_t device_count, account_count;
    uint64_t entries_left, records; /* in queues at the end; records of the store that were verified */
    double seconds;
    bool interrupted;
    struct torture_check check;
};

uint32_t torture_result_kills(const struct torture_result *result);
bool torture_result_is_good(const struct torture_result *result);
void torture_report_print(const struct torture_result *result, FILE *out);
void torture_report_print_wrong(const struct torture_result *result, FILE *out);
/* 0 or negative errno. */
int torture_report_write_json(const struct torture_result *result, const char *path);

#endif
