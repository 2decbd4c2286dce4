/* core/receipt.h: receipts on their way: from the recipient's home shard to every device of the sender, and
 * the word "settled" back; and gates, which hold a message's receipts until the copies for the sender's own
 * devices are safe.
 *
 * Threads: the shard's.
 * Memory: receipts from the shard's free list, gates from the heap; both bounded by the
 * messages that are out. */
#ifndef TERN_CORE_RECEIPT_H
#define TERN_CORE_RECEIPT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/msg.h"

struct shard;
struct device;
struct account;

/* One range of ticks for the devices of one account. */
struct receipt {
    struct receipt *next; /* in the shard's free list */
    struct message_id id; /* number: first */
    uint64_t last;
    uint64_t time_ms;
    uint32_t pending;     /* devices that neither acknowledged it nor have it committed */
    uint16_t last_device; /* the sending one: told when the others are, so that after a crash it resends; 0:
                             none */
    uint16_t by_device;   /* whose acknowledgement it is, to be told when settled; 0: nobody's */
    uint8_t flags;
};

struct gate {
    struct gate *next;
    struct message_id id;
    uint32_t copies;  /* own-copy messages that are not all safe yet */
    uint32_t attempt; /* rises each time the message comes again: what became of older copies says nothing */
    bool refused;     /* a copy could not be made safe: no sent tick until the message comes again */
    struct held {
        struct held *next;
        struct note note;
    } * held;
};

/* Recipient's side: a device (0: none) made `flags` true of id.number..last. Coalesced until
 * receipt_flush. */
void receipt_emit(struct shard *shard, const struct message_id *id, uint64_t last, uint8_t flags,
                  uint16_t by_device);
void receipt_flush(struct shard *shard);

/* Sender's side. */
void receipt_arrived(struct shard *shard, const struct note *note);
void receipt_discharge(struct shard *shard, struct receipt *receipt);
size_t receipt_frame(const struct receipt *receipt, uint8_t *out);

int gate_add(struct account *account, const struct message_id *id, uint32_t *ret_attempt);
/* The message came again when no other device of its sender is left: no copy will be safe, none has to be. */
void gate_forget_refusal(struct account *account, const struct message_id *id);
void gate_open(struct shard *shard, const struct message_id *id, uint32_t attempt, bool refused);
void gates_free(struct account *account);

#endif
