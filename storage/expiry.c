/* The expiry sweep: walks codes and queues once per period, a slice at a time between batches. Messages are
 * reported to their account's home shard, which tells the sender and deletes them when that is settled;
 * receipts and codes are deleted here. It pauses while wall clock and monotonic clock disagree: a wrong date
 * must not empty the store. As it comes to every entry, it also counts the queues that the start could only
 * estimate. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/account.h"
#include "core/mutant.h"
#include "core/stats.h"
#include "storage/environment.h"

#define SLICE_ENTRIES 512 /* after so many, a slice takes no further record */
#define SLICE_ENTRIES_MAX (SLICE_ENTRIES + RUN_ENTRIES_MAX)
#define REPORT_ENTRIES 256
#define RETRY_MS 100

struct slice {
    struct environment *environment;
    uint64_t utc_ms;
    struct request *report; /* grows while the entries are of one queue */
    struct value_key victims[SLICE_ENTRIES_MAX];
    uint32_t victim_count;
    uint32_t entries, records; /* that it came to */
    uint64_t expired;
};

bool expiry_paused(const struct environment *environment, uint64_t now_ms) {
    return now_ms < environment->expiry.paused_until_ms;
}

void expiry_returned(struct environment *environment, struct request *request) {
    struct expiry *expiry = &environment->expiry;
    for (uint32_t i = 0; i < expiry->reports_out; i++) {
        if (expiry->reports[i] == request) {
            expiry->reports[i] = expiry->reports[--expiry->reports_out];
            free(request);
            return;
        }
    }
}

void expiry_fini(struct environment *environment) {
    struct expiry *expiry = &environment->expiry;
    while (expiry->reports_out > 0)
        free(expiry->reports[--expiry->reports_out]);
}

static void report_send(struct slice *slice) {
    struct environment *environment = slice->environment;
    struct request *report = slice->report;
    if (!report)
        return;
    slice->report = NULL;
    if (map_failed(environment->map)) { /* nothing expires on the word of a page that is missing */
        free(report);
        return;
    }
    slice->expired += report->count;
    environment->expiry.reports[environment->expiry.reports_out++] = report;
    struct note note = {.kind = NOTE_REQUEST, .request = report};
    const struct store_setup *setup = &environment->store->setup;
    lanes_post(setup->lanes, environment->party, account_home(report->account, setup->shards), &note);
}

static int report_add(struct slice *slice, const struct value_place *place, const struct value_queue *queue) {
    struct request *report = slice->report;
    if (report && (report->account != place->account || report->device_number != place->device ||
                   report->count == report->capacity)) {
        report_send(slice);
        report = NULL;
    }
    if (!report) {
        report = calloc(1, sizeof(*report) + REPORT_ENTRIES * sizeof(struct queue_entry));
        if (!report)
            return -ENOMEM;
        report->kind = REQUEST_EXPIRED;
        report->from = (uint16_t)slice->environment->party;
        report->account = place->account;
        report->device_number = place->device;
        report->entries = (struct queue_entry *)(report + 1);
        report->capacity = REPORT_ENTRIES;
        slice->report = report;
    }
    queue_describe(place, queue, slice->utc_ms, &report->entries[report->count++]);
    return 0;
}

static int slice_entry(struct slice *slice, const struct value_place *place, const struct value_key *key,
                       struct map_view value) {
    struct value_queue queue;
    if (queue_counts(value))
        counts_seen(&slice->environment->counts, place->account, place->device, place->seq);
    /* The whole value is checked only where it says that it expired: nothing is deleted on the word of
     * damaged bytes. */
    if (value_peek_queue(value, &queue) || queue.expires_ms > slice->utc_ms ||
        value_read_queue(value_key_view(key), value, &queue))
        return 0;
    struct queue_entry entry;
    queue_describe(place, &queue, slice->utc_ms, &entry);
    if (entry.frame_type == FRAME_MESSAGE)
        return report_add(slice, place, &queue);
    slice->victims[slice->victim_count++] = *key;
    return 0;
}

static int slice_record(struct slice *slice, struct map_view key, struct map_view value) {
    struct value_code code;
    struct run run;
    int error = 0;
    slice->records++;
    if (!run_open(key, value, &run)) {
        slice->entries++;
        if (key.at[0] == VALUE_CODE && value_read_code(key, value, &code) == 0 &&
            code.expires_ms <= slice->utc_ms)
            slice->victims[slice->victim_count++] = value_key_copy(key);
        return 0;
    }
    for (uint32_t i = 0; i < run.count && error == 0; i++) {
        struct value_place place = run.place;
        struct value_key entry_key = run_key(&run, i);
        place.seq += i;
        slice->entries++;
        error = slice_entry(slice, &place, &entry_key, run_entry(&run, i));
    }
    return error;
}

static int delete_victim(struct environment *environment, struct map_txn *txn,
                         const struct value_key *victim) {
    struct value_place place;
    if (value_key_read(value_key_view(victim), &place))
        return queue_delete(environment, txn, place.account, place.device, place.seq, place.seq);
    int error = map_delete(txn, value_key_view(victim));
    return error == -ENOENT ? 0 : error;
}

static void delete_victims(struct slice *slice) {
    struct environment *environment = slice->environment;
    struct map_txn *txn;
    if (slice->victim_count == 0 || environment->closed || map_begin(environment->map, &txn))
        return;
    int error = 0;
    for (uint32_t i = 0; i < slice->victim_count && error == 0; i++)
        error = delete_victim(environment, txn, &slice->victims[i]);
    if (error)
        map_abort(txn);
    else
        error = map_commit(txn);
    if (error == 0) {
        slice->expired += slice->victim_count;
        environment_measure(environment);
        return;
    }
    if (error != -ENOSPC && error != -ENOMEM)
        environment_close_writes(environment, error, "commit");
}

/* One slice of the walk. True when the walk has reached the end. */
static bool sweep(struct environment *environment, struct slice *slice) {
    struct expiry *expiry = &environment->expiry;
    if (expiry->at.used == 0)
        expiry->at = value_key_single(VALUE_CODE);
    if (environment_look(environment))
        return true;
    struct map_view key, value;
    int error = map_seek(environment->cursor, value_key_view(&expiry->at), &key, &value);
    while (slice->entries < SLICE_ENTRIES && error == 0) {
        error = key.at[0] > VALUE_QUEUE ? -ENOENT : slice_record(slice, key, value);
        if (error == 0)
            error = map_next(environment->cursor, &key, &value);
    }
    if (error == 0)
        expiry->at = value_key_copy(key);
    else
        expiry->at.used = 0;
    if (error == -ENOENT)
        counts_walked(&environment->counts);
    environment_rest(environment);
    report_send(slice);
    delete_victims(slice);
    return error != 0;
}

/* Both clocks are read one after the other: what they differ by changes only where the wall clock is set. */
static void look_at_clocks(struct environment *environment, uint64_t now_ms, uint64_t utc_ms) {
    struct expiry *expiry = &environment->expiry;
    int64_t offset_ms = (int64_t)(utc_ms - now_ms);
    uint64_t jump_ms = (uint64_t)llabs((long long)(offset_ms - expiry->offset_ms));
    if (expiry->looked && jump_ms > environment->settings.clock_jump_ms) {
        expiry->paused_until_ms = now_ms + environment->settings.expiry_sweep_ms;
        expiry->at.used = 0;
        port_log("expiry_paused environment=%u jump_ms=%lld pause_ms=%llu", environment->index,
                 (long long)(offset_ms - expiry->offset_ms),
                 (unsigned long long)environment->settings.expiry_sweep_ms);
    }
    expiry->offset_ms = offset_ms;
    expiry->looked = true;
}

void expiry_turn(struct environment *environment, uint64_t now_ms, uint64_t utc_ms) {
    struct expiry *expiry = &environment->expiry;
    look_at_clocks(environment, now_ms, utc_ms);
    if (now_ms < expiry->next_ms)
        return;
    if (now_ms < expiry->paused_until_ms) {
        expiry->next_ms = expiry->paused_until_ms;
        return;
    }
    /* A slice makes at most one report per entry. */
    if (expiry->reports_out + SLICE_ENTRIES_MAX > EXPIRY_REPORTS_MAX) {
        expiry->next_ms = now_ms + RETRY_MS;
        return;
    }
    struct slice slice = {.environment = environment,
                          .utc_ms = MUTANT(expires_early) ? utc_ms + 20000 : utc_ms};
    bool is_last = sweep(environment, &slice);

    /* The records are spread evenly over the period; the last slice, which may be empty, counts as a full
     * one. */
    uint64_t period_ms = environment->settings.expiry_sweep_ms;
    uint64_t wait_ms =
        period_ms * (is_last ? SLICE_ENTRIES : slice.records) / (environment->status.records + SLICE_ENTRIES);
    expiry->next_ms = now_ms + (wait_ms > 0 ? wait_ms : 1);
    struct stats *stats = &environment->store->setup.stats[environment->index];
    stats_add(stats->store_expired, slice.expired);
    pthread_mutex_lock(&environment->status_lock);
    environment->status.expired += slice.expired;
    pthread_mutex_unlock(&environment->status_lock);
}
