/* core/receipt.h: receipts on their way: from the recipient's home shard to every device of the sender, and
 * the word "settled" back.
 *
 * Threads: the shard's.  Memory: from the shard's free list, at most receipts_max. What is beyond is dropped
 * unsettled: whose acknowledgement or mark it is repeats it, and a sender that misses its tick is asked to
 * send again. */
#ifndef TERN_CORE_RECEIPT_H
#define TERN_CORE_RECEIPT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/msg.h"

struct shard;
struct device;
struct account;

#define RECEIPT_MARKED 1 /* status of a NOTE_RECEIPT that a MARK made */

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
    uint8_t refusal; /* enum refusal: the sending device is told this instead; 0: none */
    bool marked;     /* a MARK's */
};

/* Recipient's side: a device (0: none) made `flags` true of id.number..last. Coalesced until
 * receipt_flush. */
void receipt_emit(struct shard *shard, const struct message_id *id, uint64_t last, uint8_t flags,
                  uint16_t by_device);
/* The same for what a device says by MARK: nobody here knows whether it is so. */
void receipt_mark(struct shard *shard, const struct message_id *id, uint64_t last, uint8_t flags,
                  uint16_t by_device);
void receipt_flush(struct shard *shard);

/* Sender's side. */
static inline bool receipt_is_marked(const struct note *note) {
    return note->status == RECEIPT_MARKED;
}
void receipt_arrived(struct shard *shard, const struct note *note);
/* To every device of the account, past its gates. */
void receipt_spread(struct shard *shard, struct account *account, const struct note *note);
/* A message was refused for good: the other devices of its account, which have a copy of it, get `failed`,
 * and when that is safe the sending one is told why: until then it sends the message again. */
void receipt_refuse(struct shard *shard, struct account *account, const struct note *note);
void receipt_discharge(struct shard *shard, struct receipt *receipt);
size_t receipt_frame(const struct receipt *receipt, uint8_t *out);

#endif
