/* core/outbox.h: the outbox: what is on its way to one device, in memory, and where its queue on disk stands.
 *
 * An outbox is one list of items in the order in which the device gets them:
 *
 *     sent, unacknowledged  |  not sent: on its way to the queue, or waiting for the socket
 *
 * Items with a queue number (seq) come before those without: a spill always takes everything unstored, oldest
 * first, so after a crash the queue never holds a message whose predecessor is gone. What is on disk alone
 * (seq from drain_next up to queue_next, no item) is read from the map when its turn comes. A device is
 * caught up when drain_next == queue_next; only then may an item without seq be sent.
 *
 * Threads: the device's home shard.  Memory: items from the shard's free list. */
#ifndef TERN_CORE_OUTBOX_H
#define TERN_CORE_OUTBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "core/hash.h"
#include "core/msg.h"
#include "core/reason.h"

struct device;
struct gather;
struct shard;
struct receipt;
struct store_view;

enum item_flags {
    ITEM_SENT = 1,     /* in a record of the present session */
    ITEM_PUTTING = 2,  /* NOTE_PUT is out; the bytes must stay */
    ITEM_STORED = 4,   /* committed in the queue */
    ITEM_ACKED = 8,    /* in the unsettled list: acknowledged or failed, the queue's copy not deleted yet */
    ITEM_SETTLED = 16, /* settled while the put was out: delete when it is done */
    ITEM_FAILED = 32,  /* in the unsettled list because it expired or was purged */
    ITEM_PASSED = 128, /* its device says that it never had it and passes it over */
    ITEM_ORPHAN = 64,  /* its device was revoked while the put was out: delete when it is done */
};

#define FAILED_MAX 1024 /* of a device: failed entries whose senders do not know yet, held in memory */

struct outbox_item {
    struct outbox_item *next, *prev;         /* outbox or unsettled list */
    struct outbox_item *age_next, *age_prev; /* the shard's list of items without seq, oldest first */
    struct device *device;
    struct message *message; /* while its bytes are needed; NULL for receipts and drained items */
    struct receipt *receipt; /* for receipts held in memory */
    uint64_t seq;            /* in the queue; 0: memory only */
    uint64_t since_ms;       /* in the age list; or acknowledged */
    struct message_id id;
    uint32_t bytes; /* of the frame */
    uint8_t flags;
    uint8_t type;                       /* FRAME_MESSAGE or FRAME_RECEIPT */
    uint16_t offset;                    /* of the frame in message->frame: its part, or 0 */
    uint8_t frame[FRAME_RECEIPT_BYTES]; /* a receipt's bytes while a put is out */
    struct hash_link by_id, by_seq;     /* of the unsettled; by_id: of messages that are not ITEM_SETTLED */
};

struct outbox {
    struct outbox_item *head, *tail;
    struct outbox_item *unsent; /* first item not sent; NULL: all are */
    struct outbox_item *unsettled, *unsettled_tail;
    uint32_t count;
    uint32_t sent_count;
    uint32_t message_turn; /* the lower half of that in which a message was sent last; 0: never */
    uint64_t sent_bytes;
    uint64_t bytes;                    /* of the frames of all items in the list */
    uint64_t queue_bytes;              /* of the messages in the queue from bytes_from on */
    uint64_t bytes_from;               /* all, where the store knew their bytes at the start */
    uint64_t queue_receipts;           /* of the entries put since the start that are still there */
    uint64_t counted_from;             /* seq of the first of them */
    uint64_t queue_next;               /* the seq the next put gets */
    uint64_t drain_next;               /* the next seq to send */
    uint64_t fetched_to;               /* the store has paged in everything below */
    uint64_t expired_ms;               /* what expires by then has, says the store of what it paged in */
    uint64_t purge_from, purge_before; /* messages from .. before are purged: not sent any more */
    uint64_t purge_next;               /* the first of them the store was not asked for yet */
    uint64_t failed_from;              /* lowest seq that could not be put; 0: none */
    uint64_t full_retry_ms;            /* the queue was full lately: no new puts before */
    uint64_t full_until_ms;            /* and not one new message before */
    uint32_t full_wait_ms;             /* time from one such message to the next; 0: the queue is not full */
    uint8_t put_refusal;               /* why the last put that failed did: enum refusal */
    uint8_t full_refusal;              /* what the queue was full of */
    uint32_t putting;                  /* puts out */
    uint32_t put_generation;           /* theirs */
    uint32_t unsettled_count;
    uint32_t failed_count;         /* items with ITEM_FAILED */
    struct request *purge_waiting; /* until fewer of the failed are unsettled */
    bool fetching;
    bool purging;
};

void outbox_init(struct outbox *outbox);

/* Gives a message (one of its pending targets; the frame at this offset of its bytes) or a receipt to a
 * device. May refuse: then the sender is told. */
void outbox_push_message(struct shard *shard, struct device *device, struct message *message,
                         uint16_t offset);
void outbox_push_receipt(struct shard *shard, struct device *device, struct receipt *receipt);
/* False: so many receipts wait for the device, in its queue or for its queue, that its account should bring
 * about no more. */
bool outbox_has_room_for_receipts(const struct shard *shard, const struct device *device);

/* Appends as many frames as fit and the window allows. Returns the bytes that the next one takes where it did
 * not fit, else 0. */
size_t outbox_fill(struct shard *shard, struct device *device, struct gather *gather);
bool outbox_has_output(const struct shard *shard, const struct device *device);

/* The oldest `count` sent items are acknowledged. -EPROTO: there are not so many. */
int outbox_ack(struct shard *shard, struct device *device, uint64_t count);
/* What is sent of these numbers and acknowledged later is not delivered by that; it has failed where no other
 * device can have it. */
void outbox_pass(struct device *device, const struct message_id *id, uint64_t last);

/* A session of the device begins; or ended: with `replaced`, what is in memory waits for the session that
 * takes over. */
void outbox_attach(struct shard *shard, struct device *device);
void outbox_detach(struct shard *shard, struct device *device, bool replaced);

/* Everything that is in memory only goes to the store. */
void outbox_spill(struct shard *shard, struct device *device);
void outbox_put_done(struct shard *shard, const struct note *note);
void outbox_fetch_done(struct shard *shard, struct request *request);
/* The sender's side has everything about first..last of this key: queue copies are deleted. */
void outbox_settled(struct shard *shard, struct device *device, const struct message_id *id, uint64_t last);
/* Entries expired or were purged, undelivered: the sender is told, the entries go when that is settled. */
void outbox_failed(struct shard *shard, struct device *device, const struct queue_entry *entries,
                   uint32_t count);
/* The drain has come to this entry. 1: its time is over, and it has failed; 0: it is to be sent; -EAGAIN: its
 * time is over, but so many have failed that the senders of some have to be told first. */
int outbox_expire(struct shard *shard, struct device *device, const struct store_view *view);
/* Revoked: everything in memory is discharged, without a tick; what is in the queue is purged. */
void outbox_revoke(struct shard *shard, struct device *device);
/* Everything in the queue so far fails: the senders are told, the entries are deleted when that is settled.
 * `request`, if any, is returned when the whole queue was walked, its value raised by the number of entries.
 * 0 or -EBUSY. */
int outbox_purge(struct shard *shard, struct device *device, struct request *request);
void outbox_purge_done(struct shard *shard, struct request *request);
/* Some of the failed are settled: a purge that waited for that goes on. */
void outbox_purge_go_on(struct shard *shard, struct device *device);

/* Given to the files of the outbox only: list keeping. */
struct outbox_item *outbox_item_take(struct shard *shard);
void outbox_item_free(struct shard *shard, struct outbox_item *item);
/* The frame of an item that has its message still, and what it says. */
static inline uint8_t *outbox_item_frame(const struct outbox_item *item) {
    return item->message->frame + item->offset;
}
struct frame_message outbox_item_body(const struct outbox_item *item);
void outbox_append(struct outbox *outbox, struct outbox_item *item);
void outbox_unlink(struct outbox *outbox, struct outbox_item *item);
void outbox_unsend(struct outbox *outbox, struct outbox_item *item);
/* An item that is in no other list becomes the last of its device's unsettled ones; and leaves them. */
void outbox_unsettle(struct shard *shard, struct outbox_item *item);
void outbox_unsettled_unlink(struct shard *shard, struct outbox_item *item);
/* The unsettled item with this number in the device's queue; NULL: there is none. */
struct outbox_item *outbox_unsettled_at(const struct shard *shard, const struct device *device, uint64_t seq);
void outbox_age_append(struct shard *shard, struct outbox_item *item);
void outbox_age_unlink(struct shard *shard, struct outbox_item *item);
void outbox_delete(struct shard *shard, uint64_t account, uint16_t device, uint64_t first, uint64_t last);
/* The message of this item is on its way to the queue; or is out of it, or never came there. */
void outbox_count_bytes(struct outbox *outbox, const struct outbox_item *item, bool in_queue);
/* True: the store is not known to refuse puts of this device just now. Else why it does. */
bool outbox_store_takes(const struct shard *shard, const struct device *device);
enum refusal outbox_put_refusal(const struct shard *shard, const struct device *device);
/* How long new messages are refused because the queue was full; 0: one may be tried. */
uint32_t outbox_full_ms(const struct shard *shard, const struct device *device);
/* It is full, in messages or in bytes. */
void outbox_wait_full(struct shard *shard, struct device *device, enum refusal refusal);
void outbox_try_full(struct shard *shard, struct device *device);
/* True for a copy of what another device of the same account sent: nobody waits for its ticks. */
bool outbox_is_copy(const struct device *device, const struct message_id *id);

/* Spills what is older than spill_ms and copies out what holds a receive buffer for longer than hold_ms. */
void outbox_age(struct shard *shard);

#endif
