/* bench/cost.h: `ternbench cost`: what a message costs a switch, in counts alone: instructions, system calls,
 * copies, records. Another load on the machine does not change them, so a test can hold the switch to them.
 *
 * Threads: the main thread; the load runs in the workers'.  Memory: none stays. */
#ifndef TERN_BENCH_COST_H
#define TERN_BENCH_COST_H

/* arguments[0] is the name for messages. Returns the exit status. */
int cost_run(int count, char **arguments);

#endif
