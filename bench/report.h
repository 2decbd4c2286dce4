/* bench/report.h: what a command of ternbench hands out: a table for people, JSON for scripts, a plot. All of
 * them have the same frame: what was asked for, on which machine, with which settings, what each run gave,
 * and the median.
 *
 * Figures are only ever compared within one run: a ratio is a figure of its own, of the run both sides are
 * from.
 *
 * Threads: the main thread.  Memory: report_close frees what report_open and report_add took. */
#ifndef TERN_BENCH_REPORT_H
#define TERN_BENCH_REPORT_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench/figures.h"

#define REPORT_RUNS_MAX 100
#define REPORT_TEXT_BYTES 1024

struct report {
    const char *name;
    char command[REPORT_TEXT_BYTES];
    char title[REPORT_TEXT_BYTES]; /* above the table */
    cJSON *settings, *versions, *notes;
    struct figures *runs[REPORT_RUNS_MAX];
    uint32_t run_count;
    bool is_complete;
};

/* arguments: the command line, for the record. */
void report_open(struct report *report, const char *name, int count, char **arguments);
/* Keeps a run's figures. complete: every message arrived once, every receipt came. */
void report_add(struct report *report, const struct figures *figures, bool complete);
/* A sentence that belongs to the figures: under the table and in the JSON. */
__attribute__((format(printf, 2, 3))) void report_note(struct report *report, const char *format, ...);
/* Prints the table and writes the files that are not NULL. 0 or negative errno, having said why. */
int report_close(struct report *report, const char *json, const char *plot);
/* Median, smallest and largest of a figure over the runs; false: no run has it. */
bool report_sum_up(const struct report *report, const char *name, double *ret_median, double *ret_min,
                   double *ret_max);

/* --- for JSON of another shape -------------------------------------------------------------------------- */

/* When and on which machine. */
void report_add_origin(cJSON *root);
/* 0 or negative errno. */
int report_write_json(const cJSON *root, const char *path);

#endif
