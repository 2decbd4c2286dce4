/* tests/sim/dump.h: the state of the switch at the end of a story, for whoever has to find out what went
 * wrong.
 *
 * Threads: one.  Memory: none. */
#ifndef TERN_TESTS_SIM_DUMP_H
#define TERN_TESTS_SIM_DUMP_H

/* Prints sessions, outboxes and gates of every shard. */
void dump_switch(void);

#endif
