/* bench/micro_route.h: the way of a message through the switch's core alone, for `ternbench micro`: two
 * devices of two accounts at home on one shard, in plaintext. It supplies core/port.h in place of io and
 * storage, so that there is no socket, no ring and no disk in it.
 *
 * Threads: one at a time.  Memory: that of a shard, until it returns. */
#ifndef TERN_BENCH_MICRO_ROUTE_H
#define TERN_BENCH_MICRO_ROUTE_H

#include <stdint.h>

#define MICRO_ROUTE_BATCH 8u /* messages in a record, and acknowledged at a time */

/* Carries `messages` of 200 bytes, rounded up to whole batches: parsed, routed, put out to the recipient,
 * acknowledged, ticked for the sender, and settled. */
void micro_route(uint32_t messages);

#endif
