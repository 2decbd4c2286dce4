/* The part of the outbox that deals with the store: puts, and what becomes of them. */
#include <errno.h>
#include <string.h>

#include "core/bytes.h"
#include "core/must.h"
#include "core/mutant.h"
#include "core/outbox.h"
#include "core/switch.h"

#define FULL_WAIT_MS_MAX 30000 /* between two messages for a queue that was full */
#define FULL_SHRINK 4          /* what it takes makes it so many times shorter; what is tried doubles it */
#define COPY_OUT_PART 16       /* a message that is less than this part of a heap block is copied out of it */

/* --- outbox -> queue ------------------------------------------------------------------------------------ */

/* A put of an older generation that is still out will be refused: nothing must overtake it. */
bool outbox_store_takes(const struct shard *shard, const struct device *device) {
    const struct outbox *outbox = &device->outbox;
    uint32_t environment = switch_environment(shard, device->account->number);
    if (outbox->putting && outbox->put_generation != shard->put_generation[environment])
        return false;
    return outbox->failed_from == 0 && shard->now_ms >= outbox->full_retry_ms &&
           shard->now_ms >= shard->put_retry_ms[environment];
}

enum refusal outbox_put_refusal(const struct shard *shard, const struct device *device) {
    const struct outbox *outbox = &device->outbox;
    if (outbox->failed_from || shard->now_ms < outbox->full_retry_ms)
        return outbox->put_refusal;
    return shard->put_refusal[switch_environment(shard, device->account->number)];
}

/* Who is refused sends again, to all devices: where one of them has a full queue, every attempt is one more
 * message and one more receipt for the others, and the receipts lie in the queues that the messages should
 * come out of. So a queue that was full is tried with one message at a time, ever more seldom, until it takes
 * them. */
uint32_t outbox_full_ms(const struct shard *shard, const struct device *device) {
    uint64_t until_ms = device->outbox.full_until_ms;
    return until_ms > shard->now_ms ? (uint32_t)(until_ms - shard->now_ms) : 0;
}

static void wait_for_full(const struct shard *shard, struct outbox *outbox, uint32_t wait_ms) {
    outbox->full_wait_ms = wait_ms < FULL_WAIT_MS_MAX ? wait_ms : FULL_WAIT_MS_MAX;
    outbox->full_until_ms = shard->now_ms + outbox->full_wait_ms;
}

void outbox_wait_full(struct shard *shard, struct device *device, enum refusal refusal) {
    struct outbox *outbox = &device->outbox;
    outbox->full_refusal = (uint8_t)refusal;
    shard->queue_full_retry_ms = shard->now_ms + STORE_RETRY_MS;
    if (!outbox_full_ms(shard, device))
        wait_for_full(shard, outbox, outbox->full_wait_ms ? outbox->full_wait_ms * 2 : STORE_RETRY_MS);
}

void outbox_try_full(struct shard *shard, struct device *device) {
    if (device->outbox.full_wait_ms)
        wait_for_full(shard, &device->outbox, device->outbox.full_wait_ms * 2);
}

static uint64_t item_expires_ms(const struct shard *shard, const struct outbox_item *item) {
    if (item->type == FRAME_RECEIPT)
        return shard->utc_ms + shard->config.ttl_s * 1000;
    struct frame_message body = outbox_item_body(item);
    return body.accepted_ms + UINT64_C(1000) * body.ttl_s;
}

static void item_put(struct shard *shard, struct device *device, struct outbox_item *item) {
    struct outbox *outbox = &device->outbox;
    uint32_t environment = switch_environment(shard, device->account->number);
    const uint8_t *frame;
    if (item->type == FRAME_RECEIPT) {
        receipt_frame(item->receipt, item->frame);
        frame = item->frame;
        stats_add(shard->stats->receipts_spilled, 1);
    } else {
        frame = outbox_item_frame(item);
        item->message->puts++;
        stats_add(shard->stats->messages_spilled, 1);
    }
    outbox_age_unlink(shard, item);
    item->seq = outbox->queue_next++;
    outbox_count_bytes(outbox, item, true);
    item->flags |= ITEM_PUTTING;
    if (item->flags & ITEM_SENT) {
        must(outbox->drain_next == item->seq);
        outbox->drain_next = item->seq + 1;
    }
    outbox->putting++;
    outbox->put_generation = shard->put_generation[environment];
    shard->puts_out++;
    struct note note = {
        .kind = NOTE_PUT,
        .device = device->number,
        .put = {.account = device->account->number,
                .seq = item->seq,
                .item = item,
                .frame = frame,
                .frame_bytes = item->bytes,
                .generation = shard->put_generation[environment],
                .expires_ms = item_expires_ms(shard, item)},
    };
    switch_post(shard, shard->shards + environment, &note);
}

/* All that is unstored goes, oldest first: so the queue never holds a message whose predecessor is in memory
 * alone. */
void outbox_spill(struct shard *shard, struct device *device) {
    struct outbox *outbox = &device->outbox;
    if (!outbox_store_takes(shard, device))
        return; /* the age list comes back to it */
    struct outbox_item *item = outbox->tail;
    if (!item || item->seq)
        return;
    while (item->prev && item->prev->seq == 0)
        item = item->prev;
    for (; item; item = item->next) {
        item_put(shard, device, item);
        if (MUTANT(tick_before_commit) && item->message && item->message->pending)
            message_discharge(shard, item->message, device, DISCHARGE_STORED);
    }
}

/* --- what became of a put ------------------------------------------------------------------------------- */

static void put_orphaned(struct shard *shard, const struct note *note, struct outbox_item *item) {
    if (note->status == 0)
        outbox_delete(shard, note->put.account, note->device, note->put.seq, note->put.seq);
    if (item->message)
        message_let_go(shard, item->message);
    outbox_item_free(shard, item);
}

/* Acknowledged while the put was out: the target is discharged already. */
static void put_acked(struct shard *shard, struct device *device, struct outbox_item *item, bool committed) {
    struct message *message = item->message;
    item->message = NULL;
    bool settled = item->flags & ITEM_SETTLED;
    if (committed)
        item->flags |= ITEM_STORED;
    if (committed && settled)
        outbox_delete(shard, device->account->number, device->number, item->seq, item->seq);
    if (!committed || settled) {
        outbox_count_bytes(&device->outbox, item, false);
        outbox_unsettled_unlink(shard, item);
        outbox_item_free(shard, item);
    }
    if (message)
        message_let_go(shard, message);
}

static void put_committed(struct shard *shard, struct device *device, struct outbox_item *item) {
    struct message *message = item->message;
    struct receipt *receipt = item->receipt;
    item->message = NULL;
    item->receipt = NULL;
    item->flags |= ITEM_STORED;
    if (!(item->flags & ITEM_SENT)) { /* the queue has it: read from there when its turn comes */
        outbox_unlink(&device->outbox, item);
        outbox_item_free(shard, item);
        if (device->session)
            port_output_ready(shard, device->session->conn);
    }
    if (message) {
        device->outbox.full_wait_ms /= FULL_SHRINK;
        device->outbox.full_until_ms = 0;
        message_discharge(shard, message, device, DISCHARGE_STORED);
        message_let_go(shard, message);
    }
    if (receipt)
        receipt_discharge(shard, receipt);
}

/* An unsent message leaves the outbox, and its sender is told. */
static void refuse_item(struct shard *shard, struct device *device, struct outbox_item *item) {
    struct message *message = item->message;
    outbox_unlink(&device->outbox, item);
    outbox_item_free(shard, item);
    message_refuse(shard, message, device->outbox.put_refusal, outbox_full_ms(shard, device));
    message_discharge(shard, message, device, DISCHARGE_GONE);
    message_let_go(shard, message);
}

/* The first of what waits in memory behind an unsent put that is refused; NULL: nothing does. It is one run
 * at the tail: a spill takes all that is unstored, so behind that put lie others, which will be refused by
 * themselves, and only then what came while the store took nothing, or was there when a session left. So none
 * of the puts is looked at, however many are out. */
static struct outbox_item *first_behind(const struct outbox *outbox, const struct outbox_item *refused) {
    struct outbox_item *item = outbox->tail;
    if (item == refused || item->seq)
        return NULL;
    while (item->prev != refused && item->prev->seq == 0)
        item = item->prev;
    return item;
}

/* What the device may have already goes on in memory; the sender of what it has not gets to know, and sends
 * it again; what waits in memory behind that must not overtake it, so it is refused, too. Receipts can't be
 * refused: they wait in memory. Where it is the queue that is full, the sender of what the device may have is
 * told as well: a device that acknowledges nothing would hold up for good whom it keeps without a tick. */
static void put_refused(struct shard *shard, struct device *device, struct outbox_item *item, int status) {
    struct outbox *outbox = &device->outbox;
    bool full = status == -EDQUOT;
    if (!outbox->failed_from || item->seq < outbox->failed_from)
        outbox->failed_from = item->seq;
    outbox->put_refusal =
        full ? REFUSAL_QUEUE_FULL : shard->put_refusal[switch_environment(shard, device->account->number)];
    if (full) {
        outbox->full_retry_ms = shard->now_ms + STORE_RETRY_MS;
        outbox_wait_full(shard, device, REFUSAL_QUEUE_FULL);
    }
    stats_add(shard->stats->put_failures, 1);
    if (item->flags & ITEM_ACKED) {
        put_acked(shard, device, item, false);
        return;
    }
    outbox_count_bytes(outbox, item, false);
    item->seq = 0;
    if ((item->flags & ITEM_SENT) || item->receipt) {
        outbox_age_append(shard, item);
        if (full && item->message)
            message_refuse(shard, item->message, REFUSAL_QUEUE_FULL, outbox_full_ms(shard, device));
        return;
    }
    struct outbox_item *next = first_behind(outbox, item);
    refuse_item(shard, device, item);
    while ((item = next)) {
        next = item->next;
        if (item->receipt)
            continue;
        outbox_age_unlink(shard, item);
        refuse_item(shard, device, item);
    }
}

static enum refusal refusal_of(int status) {
    return status == -ENOSPC ? REFUSAL_STORE_FULL : REFUSAL_STORE_FAILED;
}

static void note_failure(struct shard *shard, const struct note *note) {
    uint32_t environment = switch_environment(shard, note->put.account);
    if (note->put.generation == shard->put_generation[environment]) {
        shard->put_generation[environment]++;
        shard->put_refusal[environment] = (uint8_t)refusal_of(note->status);
        if (shard->put_logged[environment] != shard->put_refusal[environment])
            port_log("store_refuses environment=%u reason=%s", environment,
                     refusal_name(shard->put_refusal[environment]));
        shard->put_logged[environment] = shard->put_refusal[environment];
    }
    shard->put_retry_ms[environment] = shard->now_ms + STORE_RETRY_MS;
}

/* Receipts are taken longer than messages are, and in a store that is nearly full one message is and the next
 * is not: it takes messages again when it has for a while. */
static void note_success(struct shard *shard, const struct note *note) {
    uint32_t environment = switch_environment(shard, note->put.account);
    if (!shard->put_logged[environment] || note->put.item->type != FRAME_MESSAGE ||
        shard->now_ms < shard->put_retry_ms[environment] + STORE_CALM_MS)
        return;
    shard->put_logged[environment] = REFUSAL_NONE;
    port_log("store_takes environment=%u", environment);
}

static void lower(uint64_t *seq, uint64_t limit) {
    if (*seq > limit)
        *seq = limit;
}

/* All that failed is back: its numbers are used again. A purge has nothing to do with what gets them. */
static void rewind_queue(struct shard *shard, struct device *device) {
    struct outbox *outbox = &device->outbox;
    outbox->queue_next = outbox->failed_from;
    outbox->failed_from = 0;
    lower(&outbox->drain_next, outbox->queue_next);
    lower(&outbox->fetched_to, outbox->queue_next);
    lower(&outbox->purge_next, outbox->queue_next);
    lower(&outbox->purge_before, outbox->queue_next);
    if (device->session)
        port_output_ready(shard, device->session->conn);
}

void outbox_put_done(struct shard *shard, const struct note *note) {
    struct outbox_item *item = note->put.item;
    struct device *device = item->device;
    shard->puts_out--;
    item->flags &= (uint8_t)~ITEM_PUTTING;
    if (item->message)
        item->message->puts--;
    if (note->status == 0)
        note_success(shard, note);
    else if (note->status != -EDQUOT)
        note_failure(shard, note);
    if (item->flags & ITEM_ORPHAN) {
        put_orphaned(shard, note, item);
        return;
    }
    struct outbox *outbox = &device->outbox;
    outbox->putting--;
    if (note->status < 0)
        put_refused(shard, device, item, note->status);
    else if (item->flags & ITEM_ACKED)
        put_acked(shard, device, item, true);
    else
        put_committed(shard, device, item);
    if (outbox->putting == 0 && outbox->failed_from)
        rewind_queue(shard, device);
}

/* --- age ------------------------------------------------------------------------------------------------ */

static void copy_out(struct shard *shard, struct message *message) {
    if (!message || message->puts)
        return;
    /* One small message must not hold a large block, either. */
    if (message->buf->kind != BUF_RING && message->buf->capacity / COPY_OUT_PART <= message->frame_bytes)
        return;
    struct buf *heap = buf_create(message->owner, message->frame_bytes);
    if (!heap)
        return; /* the receive buffer stays lent a little longer */
    memcpy(heap->data, message->frame, message->frame_bytes);
    struct buf *lent = message->buf;
    message->buf = heap;
    message->frame = heap->data;
    if (!MUTANT(buffer_kept))
        buf_drop(shard, lent);
    stats_add(shard->stats->payload_copies, 1);
}

void outbox_age(struct shard *shard) {
    while (shard->age_head && shard->now_ms - shard->age_head->since_ms >= shard->config.spill_ms) {
        struct outbox_item *item = shard->age_head;
        outbox_spill(shard, item->device);
        if (shard->age_head == item) { /* the store does not take it now: its turn comes again */
            outbox_age_unlink(shard, item);
            outbox_age_append(shard, item);
        }
    }
    bool scarce = shard->hold_cursor && port_bufs_scarce(shard);
    while (shard->hold_cursor &&
           (scarce || shard->now_ms - shard->hold_cursor->since_ms >= shard->config.hold_ms)) {
        copy_out(shard, shard->hold_cursor->message);
        shard->hold_cursor = shard->hold_cursor->age_next;
    }
}
