/* The part of the outbox that gives up: expiry, purges, revoked devices. */
#include <errno.h>
#include <stdlib.h>

#include "core/outbox.h"
#include "core/switch.h"

#define PURGE_ENTRIES 256 /* queue entries the store is asked for at a time */
#define LINK_MS                                                                                              \
    1000 /* a device linked so shortly before may not have been known here when the message came */
#define FORGET_MS 60000 /* how long the sender's side has to settle what was acknowledged and has expired */

static bool failed_already(const struct shard *shard, const struct device *device, uint64_t seq) {
    const struct outbox *outbox = &device->outbox;
    return (seq >= outbox->purge_from && seq < outbox->purge_before) ||
           outbox_unsettled_at(shard, device, seq);
}

/* Was a device that is still there a target of this message, too? Then that one delivers it, or fails it. One
 * without keys has no part of what names its targets. */
static bool has_other_target(const struct device *device, uint64_t accepted_ms, uint16_t target_count) {
    for (uint32_t i = 0; i < device->account->slots_used; i++) {
        const struct device *other = device->account->devices[i];
        if (other && other != device && !(other->flags & DEVICE_REVOKED) &&
            (target_count == 0 || other->signed_id) && other->created_ms + LINK_MS < accepted_ms)
            return true;
    }
    return false;
}

/* The entry stays until its sender's side knows, where somebody there has to. Receipts are no messages:
 * nobody sends them again, so they are left to their device while there is one. */
static void fail_entry(struct shard *shard, struct device *device, const struct queue_entry *entry) {
    struct outbox_item *item = NULL;
    if (entry->frame_type == FRAME_RECEIPT && !(device->flags & DEVICE_REVOKED))
        return;
    bool told = entry->frame_type == FRAME_MESSAGE && !outbox_is_copy(device, &entry->id) &&
                !((device->flags & DEVICE_REVOKED) &&
                  has_other_target(device, entry->accepted_ms, entry->target_count));
    if (told)
        item = outbox_item_take(shard);
    if (!item) {
        if (!told) {
            const struct outbox_item gone = {
                .seq = entry->seq, .bytes = entry->frame_bytes, .type = entry->frame_type};
            outbox_count_bytes(&device->outbox, &gone, false);
            outbox_delete(shard, device->account->number, device->number, entry->seq, entry->seq);
        }
        return;
    }
    item->device = device;
    item->seq = entry->seq;
    item->id = entry->id;
    item->bytes = entry->frame_bytes;
    item->type = FRAME_MESSAGE;
    item->flags = ITEM_STORED | ITEM_ACKED | ITEM_FAILED;
    outbox_unsettle(shard, item);
    device->outbox.failed_count++;
    stats_add(shard->stats->messages_expired, 1);
    receipt_emit(shard, &entry->id, entry->id.number, RECEIPT_FAILED, device->number);
}

/* Acknowledged, but the sender's side could not be told in all this time: the entry has outlived its
 * message. */
static void forget_acked(struct shard *shard, struct device *device, uint64_t seq) {
    struct outbox *outbox = &device->outbox;
    struct outbox_item *item = outbox_unsettled_at(shard, device, seq);
    if (!item || (item->flags & (ITEM_PUTTING | ITEM_FAILED)) || shard->now_ms - item->since_ms < FORGET_MS)
        return;
    outbox_unsettled_unlink(shard, item);
    outbox_count_bytes(outbox, item, false);
    outbox_item_free(shard, item);
    outbox_delete(shard, device->account->number, device->number, seq, seq);
}

/* What is on its way to the device is left alone: it arrives, or its time comes when it is back in the queue.
 * What is beyond the limit is reported again. */
void outbox_failed(struct shard *shard, struct device *device, const struct queue_entry *entries,
                   uint32_t count) {
    struct outbox *outbox = &device->outbox;
    for (uint32_t i = 0; i < count && outbox->failed_count < FAILED_MAX; i++) {
        uint64_t seq = entries[i].seq;
        bool in_memory = outbox->unsent && outbox->unsent->seq && outbox->unsent->seq <= seq;
        if (seq < outbox->drain_next)
            forget_acked(shard, device, seq);
        else if (!in_memory && !failed_already(shard, device, seq))
            fail_entry(shard, device, &entries[i]);
    }
}

/* The sweep comes round in a while only; what the device would get until then is over all the same. */
int outbox_expire(struct shard *shard, struct device *device, const struct store_view *view) {
    struct frame frame = {
        .type = view->frame[2], .bytes = (uint8_t *)view->frame, .frame_bytes = view->frame_bytes};
    struct frame_message body;
    if (view->expires_ms > device->outbox.expired_ms || frame.type != FRAME_MESSAGE ||
        frame_read_message(&frame, &body) < 0)
        return 0;
    if (device->outbox.failed_count >= FAILED_MAX)
        return -EAGAIN;
    struct queue_entry entry = {.seq = view->seq,
                                .id = body.id,
                                .accepted_ms = body.accepted_ms,
                                .target_count = body.target_count,
                                .frame_bytes = view->frame_bytes,
                                .frame_type = frame.type};
    fail_entry(shard, device, &entry);
    return 1;
}

static void purge_ask(struct shard *shard, struct device *device, struct request *request) {
    request->first = device->outbox.purge_next;
    request->last = device->outbox.purge_before - 1;
    request->count = 0;
    request->status = 0;
    struct note note = {.kind = NOTE_REQUEST, .request = request};
    switch_post(shard, port_store_party(shard, device->account->number), &note);
}

int outbox_purge(struct shard *shard, struct device *device, struct request *admin) {
    struct outbox *outbox = &device->outbox;
    if (outbox->purging)
        return -EBUSY;
    uint64_t end = outbox->unsent && outbox->unsent->seq ? outbox->unsent->seq : outbox->queue_next;
    struct request *request = calloc(1, sizeof(*request));
    struct queue_entry *entries = calloc(PURGE_ENTRIES, sizeof(*entries));
    if (!request || !entries) {
        free(request);
        free(entries);
        return -ENOMEM;
    }
    *request = (struct request){
        .kind = REQUEST_PURGE,
        .from = (uint16_t)shard->index,
        .account = device->account->number,
        .device_number = device->number,
        .value = PURGE_ENTRIES,
        .entries = entries,
        .capacity = PURGE_ENTRIES,
        .context = admin,
    };
    /* The drain goes through what is purged, for the receipts in it: it may still be there. */
    bool again = outbox->drain_next >= outbox->purge_from && outbox->drain_next < outbox->purge_before;
    if (!again || (device->flags & DEVICE_REVOKED))
        outbox->purge_from = outbox->purge_before = outbox->drain_next;
    outbox->purge_next = outbox->purge_before;
    outbox->purge_before = end;
    outbox->purging = true;
    if (device->flags & DEVICE_REVOKED)
        outbox->drain_next = end;
    if (outbox->purge_next < end)
        purge_ask(shard, device, request);
    else
        outbox_purge_done(shard, request);
    return 0;
}

void outbox_purge_done(struct shard *shard, struct request *request) {
    struct account *account = account_find(&shard->accounts, request->account);
    struct device *device = account ? account_device(account, request->device_number) : NULL;
    struct request *admin = request->context;
    bool more = false;
    uint64_t messages = 0;
    for (uint32_t i = 0; i < request->count; i++)
        messages += request->entries[i].frame_type == FRAME_MESSAGE;
    if (device) {
        uint64_t before = device->outbox.purge_before;
        for (uint32_t i = 0; i < request->count; i++) {
            if (request->entries[i].seq < before)
                fail_entry(shard, device, &request->entries[i]);
        }
        more = request->status == 0 && request->count > 0 && request->count == request->capacity &&
               request->entries[request->count - 1].seq + 1 < before;
        if (more)
            device->outbox.purge_next = request->entries[request->count - 1].seq + 1;
    }
    if (admin)
        admin->value += messages;
    if (more) {
        device->outbox.purge_waiting = request;
        outbox_purge_go_on(shard, device);
        return;
    }
    if (device)
        device->outbox.purging = false;
    if (admin && request->status < 0)
        admin->status = request->status;
    free(request->entries);
    free(request);
    if (admin && --admin->context_id == 0)
        request_return(shard, admin);
    /* Revoked meanwhile: this purge left out what came behind it. */
    if (device && (device->flags & DEVICE_REVOKED) && device->outbox.drain_next < device->outbox.queue_next)
        (void)outbox_purge(shard, device, NULL);
}

void outbox_purge_go_on(struct shard *shard, struct device *device) {
    struct request *request = device->outbox.purge_waiting;
    if (!request || device->outbox.failed_count + PURGE_ENTRIES > FAILED_MAX)
        return;
    device->outbox.purge_waiting = NULL;
    purge_ask(shard, device, request);
}

/* A message that this device alone might still have got: its sender may have been told that it is safe
 * here. */
static void fail_item(struct shard *shard, struct device *device, const struct outbox_item *item) {
    struct frame_message body = outbox_item_body(item);
    bool refused = item->message->refused || outbox_is_copy(device, &item->id);
    if (!refused && !has_other_target(device, body.accepted_ms, body.target_count))
        receipt_emit(shard, &item->id, item->id.number, RECEIPT_FAILED, 0);
}

static void revoke_item(struct shard *shard, struct device *device, struct outbox_item *item) {
    struct message *message = item->message;
    struct receipt *receipt = item->receipt;
    if (message && message->stored)
        fail_item(shard, device, item);
    outbox_unlink(&device->outbox, item);
    if (item->seq == 0)
        outbox_age_unlink(shard, item);
    item->receipt = NULL;
    bool putting = item->flags & ITEM_PUTTING;
    if (putting) {
        item->device = NULL;
        item->flags |= ITEM_ORPHAN;
        device->outbox.putting--;
    } else {
        outbox_item_free(shard, item);
    }
    if (message) {
        message_discharge(shard, message, device, DISCHARGE_GONE);
        if (!putting)
            message_let_go(shard, message);
    }
    if (receipt)
        receipt_discharge(shard, receipt);
}

void outbox_revoke(struct shard *shard, struct device *device) {
    struct outbox *outbox = &device->outbox;
    while (outbox->head)
        revoke_item(shard, device, outbox->head);
    outbox->unsent = NULL;
    outbox->failed_from = 0;
    (void)outbox_purge(shard, device, NULL); /* -EBUSY: when that one is done; -ENOMEM: at the next start */
}
