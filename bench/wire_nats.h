/* bench/wire_nats.h: an end as a client of nats-server:
 * https://docs.nats.io/reference/reference-protocols/nats-protocol. Each end subscribes to a subject of its
 * own; a receipt is a message back.
 *
 * Threads: the end's worker's.  Memory: as of plain wires. */
#ifndef TERN_BENCH_WIRE_NATS_H
#define TERN_BENCH_WIRE_NATS_H

#include "bench/wire.h"

extern const struct wire wire_nats;

#endif
