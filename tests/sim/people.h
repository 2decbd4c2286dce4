/* tests/sim/people.h: what people do with their devices: they write, read and block.
 *
 * Threads: one.  Memory: none. */
#ifndef TERN_TESTS_SIM_PEOPLE_H
#define TERN_TESTS_SIM_PEOPLE_H

void people_step(void);

#endif
