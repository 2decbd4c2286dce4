/* core/gate.h: gates hold a message's receipts until the copies for its sender's own devices are safe.
 *
 * Each account has its own and finds one by the number of its message at once, however many there are.
 *
 * Threads: the shard's.
 * Memory: from the heap, bounded by the messages that are out; of those whose copy was refused, the oldest
 * are given up beyond a limit. */
#ifndef TERN_CORE_GATE_H
#define TERN_CORE_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/hash.h"
#include "core/msg.h"

struct account;
struct shard;

struct gate {
    struct gate *older, *newer;
    struct gate *found; /* the next higher one, as gates_within found it */
    struct hash_link by_id;
    struct message_id id;
    uint32_t copies;  /* own-copy messages that are not all safe yet */
    uint32_t attempt; /* rises each time the message comes again: what became of older copies says nothing */
    bool refused;     /* a copy could not be made safe: no sent tick until the message comes again */
    bool closed;      /* refused, and no copy is on its way any more */
    struct held {
        struct held *next;
        struct note note;
    } * held, *last_held;
    uint32_t held_count;
};

/* Of one account. All zero: none. */
struct gates {
    struct gate *oldest, *newest;
    struct gate *last_closed; /* they lie before the others */
    struct hash_table by_id;
    uint32_t closed_count;
};

/* One more copy of this message is not safe yet. One that came again waits at the same gate. 0 or -ENOMEM. */
int gate_add(struct gates *gates, const struct message_id *id, uint32_t *ret_attempt);
/* The message came again when no other device of its sender is left: no copy will be safe, none has to be. */
void gate_forget_refusal(struct gates *gates, const struct message_id *id);
/* A copy is safe, or refused. With the last one the receipts go on to the devices. */
void gate_open(struct shard *shard, const struct message_id *id, uint32_t attempt, bool refused);
/* Those of this key within id->number..last, from the lowest on, linked by `found`. */
struct gate *gates_within(const struct gates *gates, const struct message_id *id, uint64_t last);
/* A receipt for this one message meets its gate: it waits there, or, where a copy was refused, goes on
 * without its tick. */
void gate_hold(struct shard *shard, struct account *account, struct gate *gate, const struct note *note);
void gates_fini(struct gates *gates);

#endif
