#include "core/outbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/gather.h"
#include "core/must.h"
#include "core/mutant.h"
#include "core/switch.h"

#define FETCH_ENTRIES 128         /* queue entries paged in at a time */
#define RECEIPTS_WAITING_MAX 4096 /* in memory, while the store takes none: see mark_has_room, too */
#define MARKS_PART 8
#define UNSETTLED_MAX 8192 /* of a device: acknowledged, not settled entries a drain goes on with */

/* --- lists ---------------------------------------------------------------------------------------------- */

void outbox_init(struct outbox *outbox) {
    *outbox = (struct outbox){.queue_next = 1, .drain_next = 1};
}

static void link_before(struct outbox *outbox, struct outbox_item *item, struct outbox_item *after) {
    item->next = after;
    item->prev = after ? after->prev : outbox->tail;
    *(item->prev ? &item->prev->next : &outbox->head) = item;
    *(after ? &after->prev : &outbox->tail) = item;
    outbox->count++;
    outbox->bytes += item->bytes;
}

void outbox_append(struct outbox *outbox, struct outbox_item *item) {
    link_before(outbox, item, NULL);
    if (!outbox->unsent)
        outbox->unsent = item;
}

void outbox_unsend(struct outbox *outbox, struct outbox_item *item) {
    item->flags &= (uint8_t)~ITEM_SENT;
    outbox->sent_count--;
    outbox->sent_bytes -= item->bytes;
}

void outbox_unlink(struct outbox *outbox, struct outbox_item *item) {
    if (outbox->unsent == item)
        outbox->unsent = item->next;
    *(item->prev ? &item->prev->next : &outbox->head) = item->next;
    *(item->next ? &item->next->prev : &outbox->tail) = item->prev;
    outbox->count--;
    outbox->bytes -= item->bytes;
    if (item->flags & ITEM_SENT)
        outbox_unsend(outbox, item);
}

/* --- in ------------------------------------------------------------------------------------------------- */

/* On its way in memory only: the device is here, everything older is on its way too, and the window is not
 * full. */
static bool may_stay_in_memory(const struct shard *shard, const struct device *device) {
    const struct outbox *outbox = &device->outbox;
    return device->session && (outbox->drain_next == outbox->queue_next || MUTANT(live_overtakes)) &&
           outbox->count < shard->config.window_messages && outbox->bytes < shard->config.window_bytes;
}

/* Nothing of it can be in the queue: so nothing that went without a word, as damaged entries do, counts for
 * ever. */
static bool queue_is_empty(const struct outbox *outbox) {
    return outbox->queue_next == outbox->drain_next && !outbox->unsettled && !outbox->sent_count;
}

void outbox_count_bytes(struct outbox *outbox, const struct outbox_item *item, bool in_queue) {
    if (item->seq < (item->type == FRAME_RECEIPT ? outbox->counted_from : outbox->bytes_from))
        return;
    if (item->type == FRAME_RECEIPT && in_queue)
        outbox->queue_receipts++;
    else if (item->type == FRAME_RECEIPT)
        outbox->queue_receipts -= outbox->queue_receipts > 0;
    else if (in_queue)
        outbox->queue_bytes += item->bytes;
    else
        outbox->queue_bytes -= item->bytes < outbox->queue_bytes ? item->bytes : outbox->queue_bytes;
}

static bool queue_has_room(const struct shard *shard, struct outbox *outbox) {
    if (queue_is_empty(outbox))
        outbox->queue_bytes = 0;
    return outbox->queue_bytes < shard->config.queue_bytes_max;
}

bool outbox_has_room_for_receipts(const struct shard *shard, const struct device *device) {
    const struct outbox *outbox = &device->outbox;
    if (outbox->count >= RECEIPTS_WAITING_MAX && !outbox_store_takes(shard, device))
        return false;
    return outbox->queue_receipts < shard->config.queue_receipts_max || queue_is_empty(outbox);
}

/* What a mark is about may never have been: marks leave most of a queue's room to the receipts of
 * messages. */
static bool mark_has_room(const struct shard *shard, struct outbox *outbox, const struct device *device) {
    if (queue_is_empty(outbox))
        outbox->queue_receipts = 0;
    if (outbox->count >= RECEIPTS_WAITING_MAX / MARKS_PART && !outbox_store_takes(shard, device))
        return false;
    return outbox->queue_receipts < shard->config.queue_receipts_max / MARKS_PART;
}

static void push(struct shard *shard, struct device *device, struct outbox_item *item, bool memory) {
    item->device = device;
    outbox_append(&device->outbox, item);
    outbox_age_append(shard, item);
    if (!memory)
        outbox_spill(shard, device);
    if (!device->session)
        return;
    uint32_t conn = device->session->conn;
    bool alone = item->type == FRAME_RECEIPT && device->outbox.unsent == item;
    if (!alone || !defer_receipt(shard, &device->outbox, conn))
        port_output_ready(shard, conn);
}

void outbox_push_message(struct shard *shard, struct device *device, struct message *message,
                         uint16_t offset) {
    bool memory = may_stay_in_memory(shard, device);
    enum refusal refusal = REFUSAL_NONE;
    struct outbox_item *item = NULL;
    if (!memory && !queue_has_room(shard, &device->outbox))
        outbox_wait_full(shard, device, refusal = REFUSAL_QUEUE_BYTES);
    else if (!memory && !outbox_store_takes(shard, device))
        refusal = outbox_put_refusal(shard, device);
    else if (!memory && outbox_full_ms(shard, device))
        refusal = device->outbox.full_refusal;
    else if (!(item = outbox_item_take(shard)))
        refusal = REFUSAL_LIMIT;
    if (refusal != REFUSAL_NONE || !item) {
        message_refuse(shard, message, refusal, outbox_full_ms(shard, device));
        message_discharge(shard, message, device, DISCHARGE_GONE);
        message_let_go(shard, message);
        return;
    }
    if (!memory)
        outbox_try_full(shard, device);
    item->message = message;
    item->id = message->id;
    item->bytes = frame_whole_bytes(message->frame + offset);
    item->offset = offset;
    item->type = FRAME_MESSAGE;
    push(shard, device, item, memory);
}

/* The last item not sent yet grows where it can: only where no other device shares the receipt. */
static bool merge_receipt(struct device *device, struct receipt *receipt) {
    struct outbox_item *tail = device->outbox.tail;
    if (!tail || !tail->receipt || tail->seq || (tail->flags & ITEM_SENT))
        return false;
    struct receipt *last = tail->receipt;
    /* The new one's own pending count still includes the guard of its maker. */
    if (last->pending != 1 || receipt->pending != 2 || last->flags != receipt->flags ||
        last->by_device != receipt->by_device || !message_id_same_key(&last->id, &receipt->id))
        return false;
    if (last->marked && receipt->marked && last->id.number <= receipt->id.number &&
        last->last >= receipt->id.number) { /* said again, at least in part */
        if (last->last < receipt->last)
            last->last = receipt->last;
        return true;
    }
    if (last->last + 1 != receipt->id.number)
        return false;
    last->last = receipt->last;
    last->marked = last->marked && receipt->marked;
    last->time_ms = receipt->time_ms;
    return true;
}

void outbox_push_receipt(struct shard *shard, struct device *device, struct receipt *receipt) {
    if (device->account->device_count == 1 && merge_receipt(device, receipt)) {
        receipt->by_device = 0; /* what was merged is settled with the other */
        receipt->last_device = 0;
        receipt_discharge(shard, receipt);
        return;
    }
    bool memory = may_stay_in_memory(shard, device);
    bool fits = memory || !receipt->marked || mark_has_room(shard, &device->outbox, device);
    struct outbox_item *item = fits ? outbox_item_take(shard) : NULL;
    if (!item) { /* never settled: the recipient's device repeats it */
        stats_add(shard->stats->receipts_dropped, 1);
        receipt->by_device = 0;
        receipt->last_device = 0;
        receipt_discharge(shard, receipt);
        return;
    }
    item->receipt = receipt;
    item->id = receipt->id;
    item->bytes = FRAME_RECEIPT_BYTES;
    item->type = FRAME_RECEIPT;
    push(shard, device, item, memory);
}

/* --- out ------------------------------------------------------------------------------------------------ */

static inline void mark_sent(struct shard *shard, struct outbox *outbox, struct outbox_item *item) {
    item->flags |= ITEM_SENT;
    outbox->sent_count++;
    outbox->sent_bytes += item->bytes;
    outbox->unsent = item->next;
    if (item->seq)
        outbox->drain_next = item->seq + 1;
    if (item->type == FRAME_RECEIPT)
        stats_add(shard->stats->receipts_sent, 1);
    else
        outbox->message_turn = (uint32_t)shard->turn;
}

static void fetch(struct shard *shard, struct device *device, uint64_t limit) {
    struct outbox *outbox = &device->outbox;
    struct request *request = calloc(1, sizeof(*request));
    struct queue_entry *entries = calloc(FETCH_ENTRIES, sizeof(*entries));
    if (!request || !entries) { /* tried again with the next output */
        free(request);
        free(entries);
        return;
    }
    *request = (struct request){
        .kind = REQUEST_FETCH,
        .from = (uint16_t)shard->index,
        .account = device->account->number,
        .device_number = device->number,
        .first = outbox->drain_next,
        .last = limit - 1,
        .value = FETCH_ENTRIES,
        .entries = entries,
        .capacity = FETCH_ENTRIES,
    };
    struct note note = {.kind = NOTE_REQUEST, .request = request};
    switch_post(shard, port_store_party(shard, device->account->number), &note);
    outbox->fetching = true;
}

/* While its clocks disagree, the store says of none that it has expired. */
static void note_expired(const struct shard *shard, struct outbox *outbox, const struct request *request) {
    outbox->expired_ms = 0;
    for (uint32_t i = 0; i < request->count; i++) {
        if (request->entries[i].expired)
            outbox->expired_ms = shard->utc_ms;
    }
}

void outbox_fetch_done(struct shard *shard, struct request *request) {
    struct account *account = account_find(&shard->accounts, request->account);
    struct device *device = account ? account_device(account, request->device_number) : NULL;
    if (device) {
        struct outbox *outbox = &device->outbox;
        outbox->fetching = false;
        if (request->status == 0) {
            bool all = request->count < request->capacity;
            outbox->fetched_to = all ? request->last + 1 : request->entries[request->count - 1].seq + 1;
            note_expired(shard, outbox, request);
        }
        if (device->session && request->status == 0)
            port_output_ready(shard, device->session->conn);
        else if (device->session)
            session_close(device->session, CLOSE_STORE_FAILED);
    }
    free(request->entries);
    free(request);
}

static bool is_failed(const struct shard *shard, const struct device *device, uint64_t seq, uint8_t type) {
    const struct outbox *outbox = &device->outbox;
    if (type == FRAME_MESSAGE && seq >= outbox->purge_from && seq < outbox->purge_before)
        return true;
    return outbox->failed_count && outbox_unsettled_at(shard, device, seq);
}

/* One queue entry below `limit`, straight from the map. Returns its bytes, 0 when it was skipped or does not
 * fit (*ret_needed), or negative errno. */
static int drain_one(struct shard *shard, struct device *device, uint64_t limit, uint8_t *space,
                     size_t space_bytes, size_t *ret_needed) {
    struct outbox *outbox = &device->outbox;
    struct store_view view = {0};
    int error = port_store_read(shard, device->account->number, device->number, outbox->drain_next, &view);
    if (error == -ENOENT || (error == 0 && view.seq >= limit)) {
        outbox->drain_next = limit;
        return 0;
    }
    if (error == -EUCLEAN) {
        port_log("queue_entry_damaged account=%llu device=%u seq=%llu",
                 (unsigned long long)device->account->number, device->number, (unsigned long long)view.seq);
        stats_add(shard->stats->entries_damaged, 1);
        outbox->drain_next = view.seq + 1;
        return 0;
    }
    if (error)
        return error;
    if (view.frame_bytes > space_bytes) {
        *ret_needed = view.frame_bytes;
        return 0;
    }
    /* All that follows goes by the copy: what is checked after it was made can't change any more. */
    memcpy(space, view.frame, view.frame_bytes);
    view.frame = space;
    error = port_store_read_check(shard, device->account->number);
    if (error)
        return error;
    bool failed = is_failed(shard, device, view.seq, view.frame[2]);
    if (!failed && (error = outbox_expire(shard, device, &view)) < 0)
        return error;
    if (failed || error) {
        outbox->drain_next = view.seq + 1;
        return 0;
    }
    struct outbox_item *item = outbox_item_take(shard);
    if (!item)
        return -ENOMEM;
    item->device = device;
    item->seq = view.seq;
    item->bytes = view.frame_bytes;
    item->flags = ITEM_STORED;
    item->type = view.frame[2];
    struct frame frame = {
        .type = item->type, .bytes = (uint8_t *)view.frame, .frame_bytes = view.frame_bytes};
    struct frame_message body;
    if (item->type == FRAME_MESSAGE && frame_read_message(&frame, &body) == 0)
        item->id = body.id;
    link_before(outbox, item, outbox->unsent);
    struct outbox_item *unsent = outbox->unsent;
    mark_sent(shard, outbox, item);
    outbox->unsent = unsent;
    stats_add(shard->stats->messages_drained, 1);
    if (MUTANT(deleted_when_sent))
        outbox_delete(shard, device->account->number, device->number, item->seq, item->seq);
    return (int)view.frame_bytes;
}

static void write_item(const struct outbox_item *item, struct gather *gather) {
    if (item->type == FRAME_MESSAGE)
        gather_message(gather, item->message, outbox_item_frame(item), item->bytes);
    else if (item->seq)
        gather_write(gather, item->frame, FRAME_RECEIPT_BYTES);
    else
        gather->used += receipt_frame(item->receipt, gather_end(gather));
}

static bool window_open(const struct shard *shard, const struct outbox *outbox) {
    if (MUTANT(window_ignored))
        return true;
    return outbox->sent_count < shard->config.window_messages &&
           (outbox->sent_count == 0 || outbox->sent_bytes < shard->config.window_bytes);
}

/* What comes next lies in memory, on disk, or nowhere. Behind a failed put nothing is sent until all its
 * fellows came back: they are refused, and what follows them must not overtake. */
enum next { NEXT_NONE, NEXT_MEMORY, NEXT_DISK };
static enum next next_item(const struct shard *shard, const struct outbox *outbox) {
    if (!window_open(shard, outbox) || (outbox->failed_from && outbox->drain_next >= outbox->failed_from))
        return NEXT_NONE;
    if (outbox->drain_next == outbox->queue_next)
        return outbox->unsent ? NEXT_MEMORY : NEXT_NONE;
    if (outbox->unsent &&
        (outbox->unsent->seq == outbox->drain_next || (MUTANT(live_overtakes) && !outbox->unsent->seq)))
        return NEXT_MEMORY;
    /* What was drained and acknowledged stays in memory until its sender's side is told: no faster than
     * that. */
    return outbox->unsettled_count < UNSETTLED_MAX ? NEXT_DISK : NEXT_NONE;
}

bool outbox_has_output(const struct shard *shard, const struct device *device) {
    const struct outbox *outbox = &device->outbox;
    enum next next = next_item(shard, outbox);
    return next == NEXT_MEMORY || (next == NEXT_DISK && !outbox->fetching);
}

size_t outbox_fill(struct shard *shard, struct device *device, struct gather *gather) {
    struct outbox *outbox = &device->outbox;
    size_t before = gather->used;
    size_t needed = 0;
    for (enum next next; !needed && (next = next_item(shard, outbox)) != NEXT_NONE;) {
        struct outbox_item *item = outbox->unsent;
        if (next == NEXT_MEMORY) {
            must(item);
            if (item->bytes > gather_room(gather))
                return item->bytes;
            write_item(item, gather);
            mark_sent(shard, outbox, item);
            continue;
        }
        uint64_t limit = item && item->seq ? item->seq : outbox->queue_next;
        if (outbox->drain_next >= outbox->fetched_to) {
            if (!outbox->fetching)
                fetch(shard, device, limit);
            break;
        }
        limit = limit < outbox->fetched_to ? limit : outbox->fetched_to;
        int bytes = drain_one(shard, device, limit, gather_end(gather), gather_room(gather), &needed);
        if (bytes == -EAGAIN)
            break;
        if (bytes < 0) {
            gather_cut(gather, before);
            session_close(device->session, bytes == -ENOMEM ? CLOSE_OVERLOAD : CLOSE_STORE_FAILED);
            return 0;
        }
        gather->used += (size_t)bytes;
    }
    return needed;
}

/* --- acknowledged --------------------------------------------------------------------------------------- */

void outbox_delete(struct shard *shard, uint64_t account, uint16_t device, uint64_t first, uint64_t last) {
    struct note note = {
        .kind = NOTE_DELETE,
        .device = device,
        .erase = {.account = account, .first = first, .last = last},
    };
    switch_post(shard, port_store_party(shard, account), &note);
    stats_add(shard->stats->deletes, 1);
}

static void ack_receipt(struct shard *shard, struct device *device, struct outbox_item *item) {
    struct receipt *receipt = item->receipt;
    item->receipt = NULL;
    if (item->flags & ITEM_PUTTING) { /* nobody settles a receipt: its copy goes as soon as it is written */
        item->flags |= ITEM_ACKED | ITEM_SETTLED;
        outbox_unsettle(shard, item);
    } else {
        if (item->seq) {
            outbox_count_bytes(&device->outbox, item, false);
            outbox_delete(shard, device->account->number, device->number, item->seq, item->seq);
        }
        outbox_item_free(shard, item);
    }
    if (receipt)
        receipt_discharge(shard, receipt);
}

/* May a device besides this one have it, or still get it? Where this one has keys, one without them is no
 * target of what does not open. */
static bool has_other_device(const struct device *device) {
    for (uint32_t i = 0; i < device->account->slots_used; i++) {
        const struct device *other = device->account->devices[i];
        if (other && other != device && !(other->flags & DEVICE_REVOKED) &&
            (other->signed_id || !device->signed_id))
            return true;
    }
    return false;
}

static void ack_message(struct shard *shard, struct device *device, struct outbox_item *item) {
    struct message *message = item->message;
    struct message_id id = item->id;
    bool passed = item->flags & ITEM_PASSED;
    bool copy = outbox_is_copy(device, &id);
    enum discharge how = passed ? DISCHARGE_GONE : DISCHARGE_ACKED;
    stats_add(shard->stats->messages_delivered, !passed);
    item->since_ms = shard->now_ms;
    if (item->flags & ITEM_PUTTING) {
        item->flags |= passed || copy ? ITEM_ACKED | ITEM_SETTLED : ITEM_ACKED; /* nobody settles those */
        outbox_unsettle(shard, item);
        message_discharge(shard, message, device, how);
        return;
    }
    if (item->seq == 0) {
        outbox_item_free(shard, item);
        message_discharge(shard, message, device, how);
        message_let_go(shard, message);
        return;
    }
    if (copy || (passed && has_other_device(device))) {
        outbox_count_bytes(&device->outbox, item, false);
        outbox_delete(shard, device->account->number, device->number, item->seq, item->seq);
        outbox_item_free(shard, item);
        return;
    }
    item->flags |= ITEM_ACKED;
    outbox_unsettle(shard, item);
    receipt_emit(shard, &id, id.number, passed ? RECEIPT_FAILED : RECEIPT_DELIVERED, device->number);
}

void outbox_pass(struct device *device, const struct message_id *id, uint64_t last) {
    for (struct outbox_item *item = device->outbox.head; item && (item->flags & ITEM_SENT);
         item = item->next) {
        if (item->type == FRAME_MESSAGE && item->id.number >= id->number && item->id.number <= last &&
            message_id_same_key(&item->id, id))
            item->flags |= ITEM_PASSED;
    }
}

int outbox_ack(struct shard *shard, struct device *device, uint64_t count) {
    struct outbox *outbox = &device->outbox;
    if (count > outbox->sent_count)
        return -EPROTO;
    for (; count > 0; count--) {
        struct outbox_item *item = outbox->head;
        must(item->flags & ITEM_SENT);
        outbox_unlink(outbox, item);
        if (item->seq == 0)
            outbox_age_unlink(shard, item);
        if (item->type == FRAME_RECEIPT)
            ack_receipt(shard, device, item);
        else
            ack_message(shard, device, item);
    }
    if (device->session && outbox_has_output(shard, device)) /* the window is open again */
        port_output_ready(shard, device->session->conn);
    return 0;
}

/* --- sessions come and go ------------------------------------------------------------------------------- */

void outbox_attach(struct shard *shard, struct device *device) {
    port_output_ready(shard, device->session->conn);
}

/* What was sent and is stored comes from the queue again; what was sent and is not, is not sent again yet. */
void outbox_detach(struct shard *shard, struct device *device, bool replaced) {
    struct outbox *outbox = &device->outbox;
    struct outbox_item *next;
    for (struct outbox_item *item = outbox->head; item && (item->flags & ITEM_SENT); item = next) {
        next = item->next;
        if (item->seq && item->seq < outbox->drain_next)
            outbox->drain_next = item->seq;
        if (item->flags & ITEM_STORED) {
            outbox_unlink(outbox, item);
            outbox_item_free(shard, item);
        } else {
            outbox_unsend(outbox, item);
            item->flags &= (uint8_t)~ITEM_PASSED;
        }
    }
    must(outbox->sent_count == 0);
    outbox->unsent = outbox->head;
    outbox->fetched_to = 0;
    if (device->flags & DEVICE_REVOKED)
        return;
    while (MUTANT(outbox_dropped) && outbox->tail && !outbox->tail->seq && outbox->tail->message) {
        struct outbox_item *last = outbox->tail;
        outbox_age_unlink(shard, last);
        outbox_unlink(outbox, last);
        message_discharge(shard, last->message, device, DISCHARGE_STORED);
        message_let_go(shard, last->message);
        outbox_item_free(shard, last);
    }
    if (!replaced || outbox->drain_next != outbox->queue_next)
        outbox_spill(shard, device);
}
