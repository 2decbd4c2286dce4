/* bench/exit.h: what ternbench's commands end with.
 *
 * Threads: none.  Memory: none. */
#ifndef TERN_BENCH_EXIT_H
#define TERN_BENCH_EXIT_H

enum bench_exit { EXIT_COMPLETE = 0, EXIT_MISSING = 1, EXIT_USAGE = 2, EXIT_UNREACHABLE = 3 };

#endif
