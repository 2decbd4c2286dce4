/* Queues: what waits on disk for one device, in the order of its seq. */
#include <errno.h>
#include <string.h>

#include "core/crash.h"
#include "core/frame.h"
#include "core/mutant.h"
#include "storage/environment.h"

#define PAGE_STEP 4096
#define FRAME_TYPE_AT 2

bool queue_counts(struct map_view value) {
    struct value_queue entry;
    return value_peek_queue(value, &entry) != 0 || entry.frame[FRAME_TYPE_AT] != FRAME_RECEIPT;
}

/* A full queue refuses a message, and what was put behind it, until the message's seq is put again: the
 * others would overtake it. Receipts can't be refused to anybody: for them alone it is never full. */
static bool queue_takes(struct counts *counts, const struct note *note, bool receipt, uint64_t entries_max) {
    uint64_t refused_from = counts_refused_from(counts, note->put.account, note->device);
    if (refused_from && note->put.seq > refused_from && !MUTANT(put_goes_on))
        return false;
    if (!receipt && counts_get(counts, note->put.account, note->device) >= entries_max) {
        counts_refuse_from(counts, note->put.account, note->device, note->put.seq);
        return false;
    }
    if (refused_from)
        counts_refuse_from(counts, note->put.account, note->device, 0);
    return true;
}

int queue_put(struct environment *environment, struct map_txn *txn, const struct batch_item *item) {
    const struct note *note = &item->note;
    if (note->put.frame_bytes < FRAME_HEADER_BYTES || note->put.frame_bytes > FRAME_BYTES_MAX)
        return -EINVAL;
    bool receipt = note->put.frame[FRAME_TYPE_AT] == FRAME_RECEIPT;
    if (!queue_takes(&environment->counts, note, receipt, environment->settings.queue_messages_max))
        return -EDQUOT;
    if (!environment_room(environment, VALUE_QUEUE_BYTES + note->put.frame_bytes, receipt))
        return -ENOSPC;
    struct value_key key = value_key_queue(note->put.account, note->device, note->put.seq);
    struct value_queue entry = {.expires_ms = note->put.expires_ms,
                                .before = counts_put(&environment->counts, note->put.account, note->device),
                                .frame = note->put.frame,
                                .frame_bytes = note->put.frame_bytes};
    crash_point(before_put);
    int error = value_put_queue(txn, &key, &entry);
    crash_point(after_put);
    if (error || receipt)
        return error;
    return counts_add(&environment->counts, note->put.account, note->device, 1, note->put.frame_bytes);
}

static int delete_range(struct environment *environment, struct map_txn *txn, const struct value_key *first,
                        const struct value_key *last, int64_t *counted) {
    struct map_cursor *cursor;
    struct value_place place;
    struct map_view key, value;
    int error = map_cursor_open(txn, &cursor);
    if (error)
        return error;
    error = map_seek(cursor, value_key_view(first), &key, &value);
    while (error == 0) {
        /* Keys of one queue have one length: they compare as bytes. */
        if (key.bytes != last->used || memcmp(key.at, last->bytes, last->used) > 0)
            break;
        bool counts = value_key_read(key, &place) && queue_counts(value) &&
                      !counts_will_see(&environment->counts, place.account, place.device, place.seq);
        error = map_cursor_delete(cursor);
        if (error)
            break;
        *counted += counts;
        error = map_next(cursor, &key, &value);
    }
    map_cursor_close(cursor);
    return error == -ENOENT ? 0 : error;
}

int queue_delete(struct environment *environment, struct map_txn *txn, uint64_t account, uint16_t device,
                 uint64_t first, uint64_t last) {
    struct value_key first_key = value_key_queue(account, device, first);
    struct value_key last_key = value_key_queue(account, device, last);
    int64_t counted = 0;
    crash_point(before_delete);
    int error = delete_range(environment, txn, &first_key, &last_key, &counted);
    crash_point(after_delete);
    int64_t known = (int64_t)counts_get(&environment->counts, account, device);
    if (counted > known) /* damaged entries may count as what they are not */
        counted = known;
    if (counted > 0 && error == 0)
        error = counts_add(&environment->counts, account, device, -counted, 0);
    return error;
}

void queue_describe(const struct value_place *place, const struct value_queue *queue, uint64_t utc_ms,
                    struct queue_entry *ret_entry) {
    struct frame frame = {.type = queue->frame[FRAME_TYPE_AT],
                          .flags = queue->frame[FRAME_TYPE_AT + 1],
                          .bytes = (uint8_t *)(uintptr_t)queue->frame, /* it is only read */
                          .frame_bytes = queue->frame_bytes};
    struct frame_message message;
    struct queue_entry entry = {.seq = place->seq,
                                .frame_bytes = queue->frame_bytes,
                                .frame_type = frame.type,
                                .expired = queue->expires_ms <= utc_ms};
    if (frame.type == FRAME_MESSAGE && frame_read_message(&frame, &message) == 0) {
        entry.id = message.id;
        entry.accepted_ms = message.accepted_ms;
    }
    *ret_entry = entry;
}

/* Reads a byte of every page, so that a shard that reads it from the map later does not wait for the disk. */
static void touch(struct map_view value) {
    const volatile uint8_t *at = value.at;
    for (size_t i = 0; i < value.bytes; i += PAGE_STEP)
        (void)at[i];
    if (value.bytes > 0)
        (void)at[value.bytes - 1];
}

int queue_list(struct environment *environment, struct request *request) {
    uint32_t most = request->capacity;
    if (request->kind == REQUEST_FETCH && request->value < most)
        most = (uint32_t)request->value;
    uint64_t last = request->last ? request->last : UINT64_MAX; /* 0: the whole queue */
    uint64_t utc_ms = expiry_paused(environment, store_now_ms()) ? 0 : store_utc_ms();
    struct value_key at = value_key_queue(request->account, request->device_number, request->first);
    struct value_key queue = at;
    queue.used = 11; /* kind, account, device */
    struct map_view key, value;
    uint32_t count = 0;
    int error = count < most ? map_seek(environment->cursor, value_key_view(&at), &key, &value) : -ENOENT;
    while (error == 0 && value_key_starts(key, &queue)) {
        struct value_place place;
        struct value_queue entry;
        if (!value_key_read(key, &place) || place.seq > last)
            break;
        touch(value);
        /* A damaged entry is listed without a type: the shard that reads it gets -EUCLEAN, goes round it. */
        request->entries[count] = (struct queue_entry){.seq = place.seq};
        if (value_peek_queue(value, &entry) == 0)
            queue_describe(&place, &entry, utc_ms, &request->entries[count]);
        if (++count == most)
            break;
        error = map_next(environment->cursor, &key, &value);
    }
    request->count = count;
    return error == -ENOENT ? 0 : error;
}
