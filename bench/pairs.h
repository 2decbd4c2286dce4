/* bench/pairs.h: `ternbench pairs`: accounts and devices are set up, the load runs, what came out is checked
 * and shown.
 *
 * Threads: the main thread; the load runs in the workers'. */
#ifndef TERN_BENCH_PAIRS_H
#define TERN_BENCH_PAIRS_H

enum bench_exit { EXIT_COMPLETE = 0, EXIT_MISSING = 1, EXIT_USAGE = 2, EXIT_UNREACHABLE = 3 };

/* arguments[0] is the name for messages. Returns the exit status. */
int pairs_run(int count, char **arguments);

#endif
