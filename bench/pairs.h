/* bench/pairs.h: `ternbench pairs` and `ternbench floor`: pairs of devices on a switch, or on the floor
 * alone.
 *
 * Threads: the main thread; the load runs in the workers'.  Memory: none stays. */
#ifndef TERN_BENCH_PAIRS_H
#define TERN_BENCH_PAIRS_H

#include "bench/exit.h"
#include "bench/options.h"
#include "bench/pins.h"
#include "bench/report.h"

/* arguments[0] is the name for messages. Returns the exit status. */
int pairs_run(int count, char **arguments);
int floor_run(int count, char **arguments);

/* --- for other commands that put a load on a server ----------------------------------------------------- */

/* 500 pairs, window 8, 200 bytes, 5 seconds, one thread, one run. */
struct options pairs_defaults(void);
/* The cores as the options say. 0 or EXIT_USAGE. */
int pairs_pins(const struct options *options, struct pins *ret_pins);
/* Settings that every load has, for the record. */
void pairs_settings(struct report *report, const struct options *options, const struct pins *pins);

#endif
