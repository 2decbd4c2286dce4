/* Queues: what waits on disk for one device, in the order of its seq. */
#include <errno.h>
#include <string.h>

#include "core/crash.h"
#include "core/frame.h"
#include "core/must.h"
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

int queue_put(struct environment *environment, struct map_txn *txn, struct run_draft *draft,
              const struct note *note) {
    if (note->put.frame_bytes < FRAME_HEADER_BYTES || note->put.frame_bytes > FRAME_BYTES_MAX)
        return -EINVAL;
    bool receipt = note->put.frame[FRAME_TYPE_AT] == FRAME_RECEIPT;
    if (!queue_takes(&environment->counts, note, receipt, environment->settings.queue_messages_max))
        return -EDQUOT;
    if (!environment_room(environment, VALUE_QUEUE_BYTES + note->put.frame_bytes, receipt))
        return -ENOSPC;
    struct value_place place = {.account = note->put.account, .device = note->device, .seq = note->put.seq};
    struct value_queue entry = {.expires_ms = note->put.expires_ms,
                                .before = counts_put(&environment->counts, place.account, place.device),
                                .frame = note->put.frame,
                                .frame_bytes = note->put.frame_bytes};
    int error =
        receipt ? 0 : counts_add(&environment->counts, place.account, place.device, 1, entry.frame_bytes);
    if (error || run_draft_add(draft, &place, &entry))
        return error;
    error = queue_put_draft(txn, draft);
    if (error == 0)
        must(run_draft_add(draft, &place, &entry)); /* it is empty */
    return error;
}

int queue_put_draft(struct map_txn *txn, struct run_draft *draft) {
    if (draft->count == 0)
        return 0;
    crash_point(before_put);
    int error = run_draft_put(draft, txn);
    crash_point(after_put);
    return error;
}

/* Of the messages that the walk will not take off, at the run's entries from here to `last`. */
static int64_t count_here(const struct counts *counts, const struct run_cursor *at, uint64_t last) {
    const struct value_place *place = &at->run.place;
    int64_t counted = 0;
    for (uint32_t i = at->index; i < at->run.count && place->seq + i <= last; i++)
        counted += queue_counts(run_entry(&at->run, i)) &&
                   !counts_will_see(counts, place->account, place->device, place->seq + i);
    return counted;
}

int queue_delete(struct environment *environment, struct map_txn *txn, uint64_t account, uint16_t device,
                 uint64_t first, uint64_t last) {
    struct run_cursor at = {0};
    int64_t counted = 0;
    crash_point(before_delete);
    int error = map_cursor_open(txn, &at.cursor);
    if (error)
        return error;
    error = run_seek(&at, account, device, first);
    while (error == 0 && run_seq(&at) <= last) {
        counted += count_here(&environment->counts, &at, last);
        error = run_delete(&at, txn, last);
    }
    map_cursor_close(at.cursor);
    crash_point(after_delete);
    if (error && error != -ENOENT)
        return error;
    int64_t known = (int64_t)counts_get(&environment->counts, account, device);
    if (counted > known) /* damaged entries may count as what they are not */
        counted = known;
    return counted > 0 ? counts_add(&environment->counts, account, device, -counted, 0) : 0;
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
        entry.target_count = message.target_count;
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
    struct run_cursor at = {.cursor = environment->cursor};
    uint32_t count = 0;
    int error =
        count < most ? run_seek(&at, request->account, request->device_number, request->first) : -ENOENT;
    while (error == 0 && run_seq(&at) <= last) {
        struct value_place place = at.run.place;
        struct map_view value = run_entry(&at.run, at.index);
        struct value_queue entry;
        place.seq = run_seq(&at);
        touch(value);
        /* A damaged entry is listed without a type: the shard that reads it gets -EUCLEAN, goes round it. */
        request->entries[count] = (struct queue_entry){.seq = place.seq};
        if (value_peek_queue(value, &entry) == 0)
            queue_describe(&place, &entry, utc_ms, &request->entries[count]);
        if (++count == most)
            break;
        error = run_next(&at);
    }
    request->count = count;
    return error == -ENOENT ? 0 : error;
}
