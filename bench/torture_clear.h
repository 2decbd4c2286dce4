/* bench/torture_clear.h: what was encrypted must not lie in the switch's store: its files are searched for
 * what every payload under torture begins with, in what is free of them, too.
 *
 * Threads: one.  Memory: a file is mapped while it is searched. */
#ifndef TERN_BENCH_TORTURE_CLEAR_H
#define TERN_BENCH_TORTURE_CLEAR_H

#include "bench/torture_check.h"

/* Adds to the counts; folder: the own switch's (own_switch.h). */
void torture_clear_search(struct torture_check *check, const char *folder);

#endif
