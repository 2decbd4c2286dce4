/* tests/sim/limits.h: P8: looks into the switch after every step whether each limit is held.
 *
 * Threads: one.  Memory: none. */
#ifndef TERN_TESTS_SIM_LIMITS_H
#define TERN_TESTS_SIM_LIMITS_H

void limits_check(void);

#endif
