/* bench/wire_nats.h: an end as a client of nats-server:
 * https://docs.nats.io/reference/reference-protocols/nats-protocol. Each end subscribes to a subject of its
 * own; a receipt is a message back. With JetStream messages go into a stream instead, the server's answer to
 * a publication is the sent tick, and each receiving end has a consumer.
 *
 * Threads: the end's worker's.  Memory: as of plain wires. */
#ifndef TERN_BENCH_WIRE_NATS_H
#define TERN_BENCH_WIRE_NATS_H

#include "bench/wire.h"

#define WIRE_NATS_STREAM "QUEUES" /* of the subjects q.*; who starts the server makes it */

extern const struct wire wire_nats, wire_jetstream;

#endif
