/* Group commit: everything that waits goes into one transaction and one commit; only then the answers go
 * out. */
#include <errno.h>
#include <string.h>

#include "core/crash.h"
#include "core/mutant.h"
#include "core/stats.h"
#include "storage/environment.h"

#define AHEAD 8         /* notes */
#define AHEAD_BYTES 512 /* of a frame; the processor follows by itself from there */
#define CACHE_LINE_BYTES 64

static bool is_write(const struct note *note) {
    return note->kind == NOTE_PUT || note->kind == NOTE_DELETE ||
           (note->kind == NOTE_REQUEST && directory_writes(note->request));
}

static void take_one(struct environment *environment, const struct note *note, uint32_t from) {
    struct batch *batch = &environment->batch;
    if (note->kind == NOTE_REQUEST_DONE) {
        expiry_returned(environment, note->request);
        return;
    }
    if (note->kind != NOTE_PUT && note->kind != NOTE_DELETE && note->kind != NOTE_REQUEST)
        return;
    if (note->kind == NOTE_REQUEST && note->request->kind == REQUEST_BACKUP) {
        backup_start(environment, note->request, from);
        return;
    }
    batch->items[batch->count++] = (struct batch_item){.note = *note, .from = from};
    if (is_write(note))
        batch->writes++;
    else
        batch->reads++;
    if (note->kind == NOTE_PUT)
        batch->bytes += note->put.frame_bytes;
}

uint32_t batch_take(struct environment *environment) {
    struct batch *batch = &environment->batch;
    struct lanes *lanes = environment->store->setup.lanes;
    struct note note;
    uint32_t from, taken = 0;
    batch->count = batch->writes = batch->reads = 0;
    batch->bytes = 0;
    while (batch->count < BATCH_NOTES_MAX && batch->bytes < BATCH_BYTES_MAX &&
           lanes_take(lanes, environment->party, &note, &from)) {
        take_one(environment, &note, from);
        taken++;
    }
    return taken;
}

/* Generations wrap around: the difference tells which is newer. */
static bool is_newer(uint32_t generation, uint32_t than) {
    return (int32_t)(generation - than) > 0;
}

static void put_failed(struct environment *environment, const struct batch_item *item) {
    struct producer *producer = &environment->producers[item->from];
    uint32_t generation = item->note.put.generation;
    if (producer->failed && !is_newer(generation, producer->failed_generation))
        return;
    producer->failed = true;
    producer->failed_generation = generation;
}

static int apply_put(struct environment *environment, struct map_txn *txn, struct run_draft *draft,
                     const struct batch_item *item) {
    const struct producer *producer = &environment->producers[item->from];
    if (producer->failed && !is_newer(item->note.put.generation, producer->failed_generation) &&
        !MUTANT(put_goes_on))
        return -ECANCELED;
    int status = queue_put(environment, txn, draft, &item->note);
    if (status && status != -EDQUOT && !map_error(txn))
        put_failed(environment, item);
    return status;
}

/* A frame was last touched on another core or long ago: it is on its way to the cache before it is needed. */
static void look_ahead(const struct note *note) {
    if (note->kind != NOTE_PUT)
        return;
    for (uint32_t at = 0; at < note->put.frame_bytes && at < AHEAD_BYTES; at += CACHE_LINE_BYTES)
        __builtin_prefetch(note->put.frame + at);
}

static int apply_other(struct environment *environment, struct map_txn *txn, const struct note *note) {
    if (note->kind == NOTE_DELETE)
        return queue_delete(environment, txn, note->erase.account, note->device, note->erase.first,
                            note->erase.last);
    return directory_change(environment, txn, note->request);
}

/* Items first..end-1 in one transaction; without `puts`, these are left as they are. 0 where it is
 * committed. */
static int apply(struct environment *environment, uint32_t first, uint32_t end, bool puts) {
    struct map_txn *txn;
    struct run_draft draft;
    int error = map_begin(environment->map, &txn);
    if (error)
        return error;
    draft.count = draft.bytes = 0;
    for (uint32_t i = first; i < end && error == 0; i++) {
        struct batch_item *item = &environment->batch.items[i];
        if (i + AHEAD < end)
            look_ahead(&environment->batch.items[i + AHEAD].note);
        if (!is_write(&item->note) || (item->note.kind == NOTE_PUT && !puts))
            continue;
        if (item->note.kind == NOTE_PUT)
            item->status = apply_put(environment, txn, &draft, item);
        else if (queue_put_draft(txn, &draft) == 0)
            item->status = apply_other(environment, txn, &item->note);
        error = map_error(txn);
    }
    if (error == 0)
        error = queue_put_draft(txn, &draft);
    crash_point(before_commit);
    if (error)
        map_abort(txn);
    else
        error = map_commit(txn);
    crash_point(after_commit);
    if (error)
        counts_undo(&environment->counts);
    else
        counts_keep(&environment->counts);
    return error;
}

/* LMDB uses the pages that a transaction freed again only two transactions later; where the map is full and
 * nothing but puts comes, this lets that happen. Without room for it, a later delete does. */
static void turn_pages(struct environment *environment) {
    for (int i = 0; i < 2; i++) {
        struct map_txn *txn;
        struct map_view value;
        struct value_meta meta;
        struct value_key key = value_key_single(VALUE_META);
        if (map_begin(environment->map, &txn))
            return;
        int error = map_get(txn, value_key_view(&key), &value);
        if (error == 0)
            error = value_read_meta(value_key_view(&key), value, &meta);
        if (error == 0)
            error = value_put_meta(txn, &meta);
        if (error)
            map_abort(txn);
        else
            error = map_commit(txn);
        if (error && error != -ENOSPC)
            environment_close_writes(environment, error, "commit");
        if (error)
            return;
    }
}

/* Deletes and requests that don't fit one transaction together may fit one by one: each frees pages for the
 * next. */
static int apply_parts(struct environment *environment, uint32_t first, uint32_t end) {
    int error = apply(environment, first, end, false);
    if (error != -ENOSPC)
        return error;
    if (end - first == 1) {
        struct batch_item *item = &environment->batch.items[first];
        item->status = -ENOSPC;
        return 0;
    }
    uint32_t middle = first + (end - first) / 2;
    error = apply_parts(environment, first, middle);
    return error ? error : apply_parts(environment, middle, end);
}

static void fail_puts(struct environment *environment, int status) {
    for (uint32_t i = 0; i < environment->batch.count; i++) {
        struct batch_item *item = &environment->batch.items[i];
        if (item->note.kind != NOTE_PUT)
            continue;
        item->status = status;
        put_failed(environment, item);
    }
}

static void fail_writes(struct environment *environment, int status) {
    fail_puts(environment, status);
    for (uint32_t i = 0; i < environment->batch.count; i++) {
        struct batch_item *item = &environment->batch.items[i];
        if (is_write(&item->note))
            item->status = status;
    }
}

static void run_writes(struct environment *environment) {
    struct batch *batch = &environment->batch;
    if (environment->closed) {
        fail_writes(environment, -EIO);
        return;
    }
    int error = apply(environment, 0, batch->count, true);
    if (error == -ENOSPC) {
        fail_puts(environment, -ENOSPC);
        error = apply_parts(environment, 0, batch->count);
        if (error == 0)
            turn_pages(environment);
    }
    if (error == -ENOMEM) {
        fail_writes(environment, -ENOMEM);
    } else if (error) {
        /* What a failed fsync left on the disk is unknown: trying again could report success for lost
         * pages. */
        environment_close_writes(environment, error, "commit");
        fail_writes(environment, -EIO);
    }
    environment_measure(environment);
}

static int run_read(struct environment *environment, struct request *request) {
    switch (request->kind) {
    case REQUEST_FETCH:
    case REQUEST_PURGE:
        return queue_list(environment, request);
    case REQUEST_LOOKUP:
        return environment->index == 0 ? directory_lookup(environment->snapshot, request) : -EINVAL;
    case REQUEST_LIST_GET:
        return environment->index == 0 ? keys_list(environment->snapshot, request) : -EINVAL;
    case REQUEST_LIST_ACCOUNTS:
        return environment->index == 0 ? directory_list(environment, request) : -EINVAL;
    default:
        return -EINVAL;
    }
}

static void run_reads(struct environment *environment) {
    int error = environment_look(environment);
    for (uint32_t i = 0; i < environment->batch.count; i++) {
        struct batch_item *item = &environment->batch.items[i];
        if (!is_write(&item->note))
            item->status = error ? error : run_read(environment, item->note.request);
    }
    if (error == 0)
        environment_rest(environment);
    if (!map_failed(environment->map))
        return;
    for (uint32_t i = 0; i < environment->batch.count; i++) { /* what was found may not be what is there */
        struct batch_item *item = &environment->batch.items[i];
        if (!is_write(&item->note))
            item->status = -EIO;
    }
}

void batch_answer(struct environment *environment, struct request *request, uint32_t to, int status) {
    request->status = status;
    struct note note = {.kind = NOTE_REQUEST_DONE, .status = status, .request = request};
    lanes_post(environment->store->setup.lanes, environment->party, to, &note);
}

static void answer_all(struct environment *environment) {
    struct batch *batch = &environment->batch;
    uint64_t puts = 0, put_failures = 0, deletes = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        struct batch_item *item = &batch->items[i];
        if (item->note.kind == NOTE_REQUEST) {
            batch_answer(environment, item->note.request, item->from, item->status);
        } else if (item->note.kind == NOTE_PUT) {
            item->note.kind = NOTE_PUT_DONE;
            item->note.status = item->status;
            lanes_post(environment->store->setup.lanes, environment->party, item->from, &item->note);
            if (item->status)
                put_failures++;
            else
                puts++;
        } else {
            deletes++;
            if (item->status && !environment->closed && !MUTANT(delete_forgotten))
                deletes_keep(environment, &item->note);
        }
    }
    struct stats *stats = &environment->store->setup.stats[environment->index];
    stats_add(stats->store_commits, batch->writes > 0);
    stats_add(stats->store_puts, puts);
    stats_add(stats->store_put_failures, put_failures);
    stats_add(stats->store_deletes, deletes);
    pthread_mutex_lock(&environment->status_lock);
    environment->status.commits += batch->writes > 0;
    environment->status.puts += puts;
    environment->status.deletes += deletes;
    pthread_mutex_unlock(&environment->status_lock);
}

void batch_run(struct environment *environment) {
    if (environment->batch.writes > 0)
        run_writes(environment);
    if (environment->batch.reads > 0)
        run_reads(environment);
    answer_all(environment);
    environment->batch.count = 0;
}
