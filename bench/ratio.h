/* bench/ratio.h: `ternbench ratio`, `ternbench peers` and `ternbench crossing`: the switch and others, or two
 * switches, on the same work, in turn.
 *
 * Threads: the main thread; the load runs in the workers'.  Memory: none stays. */
#ifndef TERN_BENCH_RATIO_H
#define TERN_BENCH_RATIO_H

/* arguments[0] is the name for messages. Returns the exit status. */
int ratio_run(int count, char **arguments);
int peers_run(int count, char **arguments);
int crossing_run(int count, char **arguments);

#endif
