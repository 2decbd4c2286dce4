#include "storage/run.h"

#include <errno.h>
#include <string.h>

#include "core/bytes.h"
#include "core/must.h"

#define COUNT_BYTES 2
#define END_BYTES 2

static size_t index_bytes(uint32_t count) {
    return count > 1 ? VALUE_HEADER_BYTES + COUNT_BYTES + (size_t)count * END_BYTES : 0;
}

/* Where entry `index` ends in the value; of -1: where the first begins. */
static size_t end_of(const struct map_view *value, uint32_t count, int64_t index) {
    if (index < 0)
        return index_bytes(count);
    return bytes_get16(value->at + VALUE_HEADER_BYTES + COUNT_BYTES + (size_t)index * END_BYTES);
}

/* How many entries the value has; 0: it is no run. */
static uint32_t read_index(struct map_view key, struct map_view value) {
    if (value.bytes < VALUE_HEADER_BYTES + COUNT_BYTES || value.bytes > RUN_BYTES_MAX ||
        value.at[0] != VALUE_RUN_VERSION)
        return 0;
    uint32_t count = bytes_get16(value.at + VALUE_HEADER_BYTES);
    if (count < 2 || count > RUN_ENTRIES_MAX || index_bytes(count) > value.bytes)
        return 0;
    struct map_view body, front = {.at = value.at, .bytes = index_bytes(count)};
    if (value_open(key, front, VALUE_QUEUE, &body))
        return 0;
    for (uint32_t i = 0; i < count; i++) {
        if (end_of(&value, count, i) < end_of(&value, count, (int64_t)i - 1))
            return 0;
    }
    return end_of(&value, count, (int64_t)count - 1) == value.bytes ? count : 0;
}

bool run_open(struct map_view key, struct map_view value, struct run *ret_run) {
    struct run run = {.value = value};
    if (key.bytes == 0 || key.at[0] != VALUE_QUEUE || !value_key_read(key, &run.place))
        return false;
    run.count = read_index(key, value);
    run.is_single = run.count == 0;
    if (run.is_single)
        run.count = 1;
    *ret_run = run;
    return true;
}

bool run_is_damaged(const struct run *run) {
    return run->is_single && run->value.bytes > 0 && run->value.at[0] >= VALUE_RUN_VERSION;
}

struct value_key run_key(const struct run *run, uint32_t index) {
    return value_key_queue(run->place.account, run->place.device, run->place.seq + index);
}

struct map_view run_entry(const struct run *run, uint32_t index) {
    if (run->is_single)
        return run->value;
    size_t from = end_of(&run->value, run->count, (int64_t)index - 1);
    return (struct map_view){.at = run->value.at + from,
                             .bytes = end_of(&run->value, run->count, index) - from};
}

/* --- one entry after the other -------------------------------------------------------------------------- */

static bool is_of(const struct run *run, uint64_t account, uint16_t device) {
    return run->place.account == account && run->place.device == device;
}

/* The cursor came to this record: whether it is one of the queue. */
static int come_to(struct run_cursor *at, uint64_t account, uint16_t device, struct map_view key,
                   struct map_view value) {
    at->index = 0;
    return run_open(key, value, &at->run) && is_of(&at->run, account, device) ? 0 : -ENOENT;
}

int run_seek(struct run_cursor *at, uint64_t account, uint16_t device, uint64_t seq) {
    struct value_key wanted = value_key_queue(account, device, seq);
    struct value_key behind = value_key_behind(value_key_view(&wanted));
    struct map_view key, value;
    int error = map_seek_before(at->cursor, value_key_view(&behind), &key, &value);
    if (error == 0 && come_to(at, account, device, key, value) == 0 &&
        seq - at->run.place.seq < at->run.count) {
        at->index = (uint32_t)(seq - at->run.place.seq);
        return 0;
    }
    if (error == 0)
        error = map_next(at->cursor, &key, &value);
    else if (error == -ENOENT)
        error = map_seek(at->cursor, value_key_view(&wanted), &key, &value);
    return error ? error : come_to(at, account, device, key, value);
}

int run_next(struct run_cursor *at) {
    struct value_place place = at->run.place;
    struct map_view key, value;
    if (++at->index < at->run.count)
        return 0;
    int error = map_next(at->cursor, &key, &value);
    return error ? error : come_to(at, place.account, place.device, key, value);
}

static uint8_t *write_index(struct map_view key, uint8_t *space, const uint32_t *entry_bytes,
                            uint32_t count) {
    size_t end = index_bytes(count);
    if (count == 1)
        return space;
    bytes_put16(space + VALUE_HEADER_BYTES, (uint16_t)count);
    for (uint32_t i = 0; i < count; i++) {
        end += entry_bytes[i];
        bytes_put16(space + VALUE_HEADER_BYTES + COUNT_BYTES + (size_t)i * END_BYTES, (uint16_t)end);
    }
    value_seal_run(key, space, index_bytes(count));
    return space + index_bytes(count);
}

/* Entries from..to-1 of a run that is in the map no longer, as a record of their own. */
static int put_part(const struct run *run, struct map_txn *txn, uint32_t from, uint32_t to) {
    uint32_t entry_bytes[RUN_ENTRIES_MAX], count = to - from;
    size_t bytes = index_bytes(count);
    uint8_t *space;
    for (uint32_t i = 0; i < count; i++)
        bytes += entry_bytes[i] = (uint32_t)run_entry(run, from + i).bytes;
    struct value_key key = run_key(run, from);
    int error = map_put(txn, value_key_view(&key), bytes, &space);
    if (error)
        return error;
    space = write_index(value_key_view(&key), space, entry_bytes, count);
    memcpy(space, run_entry(run, from).at, bytes - index_bytes(count)); /* they lie one behind the other */
    return 0;
}

int run_delete(struct run_cursor *at, struct map_txn *txn, uint64_t last) {
    struct run run = at->run;
    uint8_t copy[RUN_BYTES_MAX];
    uint32_t from = at->index, to = run.count;
    if (last - run.place.seq < run.count)
        to = (uint32_t)(last - run.place.seq) + 1;
    bool is_whole = from == 0 && to == run.count;
    if (!is_whole) { /* so it is a run, no longer than that */
        memcpy(copy, run.value.at, run.value.bytes);
        run.value.at = copy;
    }
    int error = map_cursor_delete(at->cursor);
    if (error == 0 && is_whole) {
        at->index = run.count;
        return run_next(at);
    }
    if (error == 0 && from > 0)
        error = put_part(&run, txn, 0, from);
    if (error == 0 && to < run.count)
        error = put_part(&run, txn, to, run.count);
    return error ? error : run_seek(at, run.place.account, run.place.device, run.place.seq + to);
}

/* --- putting -------------------------------------------------------------------------------------------- */

bool run_draft_add(struct run_draft *draft, const struct value_place *place,
                   const struct value_queue *entry) {
    uint32_t bytes = (uint32_t)VALUE_QUEUE_BYTES + entry->frame_bytes;
    if (draft->count > 0 &&
        (draft->count == RUN_ENTRIES_MAX || place->account != draft->place.account ||
         place->device != draft->place.device || place->seq != draft->place.seq + draft->count ||
         index_bytes(draft->count + 1) + draft->bytes + bytes > RUN_BYTES_MAX))
        return false;
    if (draft->count == 0)
        draft->place = *place;
    draft->entries[draft->count++] = *entry;
    draft->bytes += bytes;
    return true;
}

int run_draft_put(struct run_draft *draft, struct map_txn *txn) {
    uint32_t entry_bytes[RUN_ENTRIES_MAX], count = draft->count;
    const struct value_place *place = &draft->place;
    struct value_key key = value_key_queue(place->account, place->device, place->seq);
    uint8_t *space;
    if (count == 0)
        return 0;
    int error = map_put(txn, value_key_view(&key), index_bytes(count) + draft->bytes, &space);
    if (error == 0) {
        for (uint32_t i = 0; i < count; i++)
            entry_bytes[i] = (uint32_t)VALUE_QUEUE_BYTES + draft->entries[i].frame_bytes;
        space = write_index(value_key_view(&key), space, entry_bytes, count);
    }
    for (uint32_t i = 0; i < count && error == 0; i++) {
        value_key_next(&key, place->seq + i);
        value_write_queue(&key, &draft->entries[i], space);
        space += entry_bytes[i];
    }
    draft->count = draft->bytes = 0;
    return error;
}
