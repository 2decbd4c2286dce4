/* bench/micro.h: `ternbench micro`: single steps of a message's way, in nanoseconds and, under valgrind, in
 * instructions.
 *
 * Threads: the main thread.  Memory: none stays. */
#ifndef TERN_BENCH_MICRO_H
#define TERN_BENCH_MICRO_H

/* arguments[0] is the name for messages. Returns the exit status. */
int micro_run(int count, char **arguments);

#endif
