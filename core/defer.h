/* core/defer.h: receipts that wait for a ride. Every other receipt, where it is all that there is to say to
 * its device, waits for a moment: a message to the same device may take it along.
 *
 * Two devices that write to each other fall into step: both get their messages at once, acknowledge at once
 * and get their ticks at once, each in a record of its own: twice as many records, sends and receives as
 * needed. Where the receipt of one of the two comes a little later, it meets that one's next message, and
 * from then on messages and ticks go together and nothing waits. Every other: if both waited, they would stay
 * in step.
 *
 * A receipt waits only for a device that was sent a message lately, and no longer than DEFER_TURNS turns,
 * which an idle shard makes SHARD_DEFER_US apart. Nothing is reordered: whatever else there is to be said to
 * the device takes the receipt along, in its place.
 *
 * Threads: the shard's.  Memory: a ring in the shard; where it is full, nothing waits. */
#ifndef TERN_CORE_DEFER_H
#define TERN_CORE_DEFER_H

#include <stdbool.h>
#include <stdint.h>

struct shard;
struct outbox;

#define DEFER_MAX 4096        /* connections at a time; a power of two */
#define DEFER_TURNS 2         /* a receipt waits so many */
#define DEFER_LATELY_TURNS 16 /* so long ago, the device was sent a message */

struct deferred {
    uint32_t conn;
    uint32_t turn;
};

struct defer {
    struct deferred ring[DEFER_MAX];
    uint32_t first, end; /* count up; the place is modulo DEFER_MAX */
    bool waited;         /* the last one that could */
};

/* True: the receipt that is the only thing to be said to this connection waits, defer_run sees to it. */
bool defer_receipt(struct shard *shard, const struct outbox *outbox, uint32_t conn);
/* Who waited for a turn says it now. */
void defer_run(struct shard *shard);
static inline bool defer_waits(const struct defer *defer) {
    return defer->first != defer->end;
}

#endif
