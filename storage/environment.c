#include "storage/environment.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/stats.h"

#define READERS_SPARE 32        /* helpers, measurements and tools that look at the files */
#define ROOM_PART 32            /* of the limit: free again before the store counts as not full */
#define ENTRY_OVERHEAD_BYTES 40 /* of a leaf's entry beside the value: key and LMDB's node */
#define LARGE_VALUE_PART 2      /* a value of more than a page divided by this has pages of its own */
#define RESERVE_KEPT_PART 4     /* the last quarter of the reserve is for deletes and the directory alone, */
#define RESERVE_KEPT_PAGES 32   /* and never less than what a delete takes before it frees anything */

/* One queue, from its first record, which the cursor is at. Its bytes are the difference of what had been put
 * before the first and after the last: more than are there, where it has gaps. */
static int find_queue(struct environment *environment, const struct run *first_run) {
    const struct value_place *place = &first_run->place;
    struct value_key end = value_key_queue_end(place->account, place->device);
    struct value_queue first = {0}, last = {0};
    struct run last_run;
    struct map_view key, value;
    bool known = value_peek_queue(run_entry(first_run, 0), &first) == 0 && first.has_before;
    int error = map_seek_before(environment->cursor, value_key_view(&end), &key, &value);
    if (error)
        return error;
    if (!run_open(key, value, &last_run) || last_run.place.seq < place->seq)
        return -EUCLEAN;
    /* No new entry may get a number that one in a damaged run may have. */
    uint32_t count = run_is_damaged(&last_run) ? RUN_ENTRIES_MAX : last_run.count;
    uint64_t last_seq = last_run.place.seq + count - 1;
    struct map_view last_value = run_entry(&last_run, last_run.count - 1);
    uint64_t put = 0, bytes_most = (last_seq - place->seq + 1) * FRAME_BYTES_MAX;
    if (value_peek_queue(last_value, &last) == 0 && last.has_before)
        put = last.before + (queue_counts(last_value) ? last.frame_bytes : 0);
    /* Only one page of each value is read, so the checksums are not: what can't be is not believed. */
    known = known && put > first.before && put - first.before <= bytes_most;
    struct counts_range range = {.account = place->account,
                                 .device = place->device,
                                 .first = place->seq,
                                 .last = last_seq,
                                 .bytes = known ? put - first.before : 0};
    return counts_expect(&environment->counts, &range, put);
}

/* From each queue's first entry to its last, and on to the next queue: a start takes as long as there are
 * queues, not entries. */
static int find_queues(struct environment *environment) {
    int error = environment_look(environment);
    if (error)
        return error;
    struct value_key at = value_key_single(VALUE_QUEUE);
    struct map_view key, value;
    while ((error = map_seek(environment->cursor, value_key_view(&at), &key, &value)) == 0 &&
           key.at[0] == VALUE_QUEUE) {
        struct run run;
        if (run_open(key, value, &run) && run.place.account != 0) {
            at = value_key_queue_end(run.place.account, run.place.device);
            error = find_queue(environment, &run);
        } else {
            at = value_key_behind(key);
        }
        if (error)
            break;
    }
    environment_rest(environment);
    if (map_failed(environment->map))
        return -EIO;
    return error == -ENOENT ? 0 : error;
}

static void say_damaged(const char *folder, char *ret_error, size_t error_bytes) {
    snprintf(ret_error, error_bytes,
             "%s is damaged: `ternctl store check FOLDER` says where, `ternctl store salvage` recovers the "
             "rest",
             folder);
}

int environment_open(struct environment *environment, const char *folder, char *ret_error,
                     size_t error_bytes) {
    const struct store_setup *setup = &environment->store->setup;
    int error = map_open(folder, setup->config->map_bytes, setup->shards + READERS_SPARE, &environment->map);
    if (error == -EPROTO)
        snprintf(ret_error, error_bytes, "%s was written by another version of LMDB", folder);
    else if (error == -EUCLEAN)
        say_damaged(folder, ret_error, error_bytes);
    else if (error)
        snprintf(ret_error, error_bytes, "%s can't be opened: %s", folder, strerror(-error));
    if (error)
        return error;
    error = worker_open(environment);
    if (error)
        goto err_after_map;
    map_readers_check(environment->map);
    error = map_begin_read(environment->map, &environment->snapshot);
    if (error)
        goto err_after_worker;
    error = map_cursor_open(environment->snapshot, &environment->cursor);
    if (error)
        goto err_after_snapshot;
    map_rest(environment->snapshot);
    error = find_queues(environment);
    if (error)
        goto err_after_cursor;
    pthread_mutex_init(&environment->status_lock, NULL);
    environment_measure(environment);
    return 0;

err_after_cursor:
    map_cursor_close(environment->cursor);
err_after_snapshot:
    map_abort(environment->snapshot);
err_after_worker:
    worker_close(environment);
err_after_map:
    map_close(environment->map);
    environment->map = NULL;
    counts_fini(&environment->counts);
    if (error == -EUCLEAN)
        say_damaged(folder, ret_error, error_bytes);
    else
        snprintf(ret_error, error_bytes, "%s can't be read: %s", folder, strerror(-error));
    return error;
}

void environment_close(struct environment *environment) {
    if (!environment->map)
        return;
    map_cursor_close(environment->cursor);
    map_abort(environment->snapshot);
    map_close(environment->map);
    worker_close(environment);
    counts_fini(&environment->counts);
    deletes_fini(environment);
    expiry_fini(environment);
    pthread_mutex_destroy(&environment->status_lock);
    environment->map = NULL;
}

int environment_look(struct environment *environment) {
    int error = map_renew(environment->snapshot);
    if (error)
        return error;
    error = map_cursor_renew(environment->cursor);
    if (error)
        map_rest(environment->snapshot);
    return error;
}

void environment_rest(struct environment *environment) {
    map_rest(environment->snapshot);
}

void environment_close_writes(struct environment *environment, int error, const char *what) {
    if (environment->closed)
        return;
    environment->closed = true;
    if (map_failed(environment->map)) /* then it does not matter what found out */
        what = "read";
    pthread_mutex_lock(&environment->status_lock);
    environment->status.closed = true;
    snprintf(environment->status.error, sizeof(environment->status.error), "%s failed: %s", what,
             strerror(-error));
    pthread_mutex_unlock(&environment->status_lock);
    port_log("store_closed environment=%u what=%s error=%d", environment->index, what, -error);
}

static uint64_t limit_bytes(const struct environment *environment, bool receipt) {
    uint64_t reserve = environment->bytes_max / 100 * environment->store->setup.config->map_reserve_percent;
    uint64_t least = RESERVE_KEPT_PAGES * environment->page_bytes;
    uint64_t kept = reserve / RESERVE_KEPT_PART;
    uint64_t for_receipts = reserve - kept;
    if (kept < least)
        kept = least;
    return environment->bytes_max - kept - (receipt ? 0 : for_receipts);
}

void environment_measure(struct environment *environment) {
    struct map_usage usage;
    if (map_usage(environment->map, &usage))
        return;
    environment->page_bytes = usage.page_bytes;
    environment->bytes_max = usage.pages_max * usage.page_bytes;
    environment->bytes_used = (usage.pages_high - usage.pages_free) * usage.page_bytes;
    uint64_t limit = limit_bytes(environment, false);

    pthread_mutex_lock(&environment->status_lock);
    struct store_status *status = &environment->status;
    bool was_full = status->full;
    /* It stays full until there is room worth speaking of. */
    bool full = environment->refused || environment->bytes_used > limit - (was_full ? limit / ROOM_PART : 0);
    environment->refused = false;
    status->map_bytes = environment->bytes_max;
    status->used_bytes = environment->bytes_used;
    status->records = usage.records;
    status->full = full;
    pthread_mutex_unlock(&environment->status_lock);
    if (full != was_full)
        port_log("store_%s environment=%u used_bytes=%llu", full ? "full" : "not_full", environment->index,
                 (unsigned long long)environment->bytes_used);
    struct stats *stats = &environment->store->setup.stats[environment->index];
    atomic_store_explicit(&stats->store_used_bytes, environment->bytes_used, memory_order_relaxed);
    atomic_store_explicit(&stats->store_records, usage.records, memory_order_relaxed);
}

bool environment_room(struct environment *environment, size_t bytes, bool receipt) {
    uint64_t takes = bytes + ENTRY_OVERHEAD_BYTES;
    uint64_t page = environment->page_bytes;
    if (takes > page / LARGE_VALUE_PART)
        takes = (takes + page - 1) / page * page;
    if (environment->bytes_used + takes > limit_bytes(environment, receipt)) {
        environment->refused = true;
        return false;
    }
    environment->bytes_used += takes;
    return true;
}
