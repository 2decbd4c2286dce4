/* bench/hostile.h: `ternbench hostile`: well-behaved pairs beside one attack after the other: what it costs
 * them, and what memory the switch takes.
 *
 * Threads: the main thread; pairs and foes have theirs.  Memory: none stays. */
#ifndef TERN_BENCH_HOSTILE_H
#define TERN_BENCH_HOSTILE_H

/* arguments[0] is the name for messages. Returns the exit status (bench/exit.h): EXIT_MISSING where a message
 * of the pairs was lost, doubled or late in order, where the switch ended out of order, or took more memory
 * than its limits add up to. */
int hostile_run(int count, char **arguments);

#endif
