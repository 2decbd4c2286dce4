/* tests/sim/mutants.h: which planted fault is active, core/mutant.h.
 *
 * Threads: one.  Memory: none. */
#ifndef TERN_TESTS_SIM_MUTANTS_H
#define TERN_TESTS_SIM_MUTANTS_H

#include <stdbool.h>
#include <stdint.h>

/* Name and help of mutant 0, 1, ...; NULL: there are no more, or this build has none. */
const char *mutant_name(uint32_t index, const char **ret_help);
/* Plants it, and no other. False: there is none of that name. */
bool mutant_plant(const char *name);

#endif
