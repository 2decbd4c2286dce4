/* tests/sim/nemesis.h: what goes wrong, as often as the plan says, and the end of it.
 *
 * Threads: one.  Memory: none. */
#ifndef TERN_TESTS_SIM_NEMESIS_H
#define TERN_TESTS_SIM_NEMESIS_H

void nemesis_step(void);
/* Everything is mended, and nothing goes wrong any more. */
void nemesis_stop(void);

#endif
