/* bench/wire_floor.h: what ends say to each other through the floor: their index first, then units of a
 * length (u16) and a body: a message, or a receipt of WIRE_RECEIPT_BYTES.
 *
 * Threads: the end's worker's.  Memory: as of plain wires. */
#ifndef TERN_BENCH_WIRE_FLOOR_H
#define TERN_BENCH_WIRE_FLOOR_H

#include "bench/wire.h"

extern const struct wire wire_floor;

#endif
