/* bench/wire_tern.h: an end as a device of a tern switch.
 *
 * Threads: the end's worker's.  Memory: a struct peer each. */
#ifndef TERN_BENCH_WIRE_TERN_H
#define TERN_BENCH_WIRE_TERN_H

#include "bench/wire.h"

extern const struct wire wire_tern;

#endif
