/* Runs: entries put in one turn share a record, and each is still read, deleted, expired, checked and
 * salvaged by itself. The test does the store's turns itself, so that it says what is put together. */
#include <errno.h>

#include "storage/check.h"
#include "storage/salvage.h"
#include "tests/support/store_rig.h"

TestSuite(store_run, .timeout = 120);

enum { TO = 5, MANY = 200 };

static uint8_t frames[MANY + 1][RIG_FRAME_BYTES]; /* of the seq, until it is answered */

static struct environment *environment_of(const struct rig *rig) {
    return &rig->store->environments[0];
}

/* In one turn. */
static void put_range(struct rig *rig, uint64_t first, uint64_t last, const struct rig_put *like) {
    for (uint64_t seq = first; seq <= last; seq++) {
        struct rig_put put = *like;
        put.account = TO;
        put.seq = seq;
        rig_post_put(rig, &put, frames[seq]);
    }
    turn_run(environment_of(rig), false);
    for (uint64_t seq = first; seq <= last; seq++)
        cr_assert_eq(rig_done(rig, like->from), 0, "seq %lu", seq);
}

static void delete_range(struct rig *rig, uint64_t first, uint64_t last) {
    struct note note = {.kind = NOTE_DELETE, .device = 1};
    note.erase.account = TO;
    note.erase.first = first;
    note.erase.last = last;
    rig_post(rig, 0, RIG_SHARDS, &note);
    turn_run(environment_of(rig), false);
}

static void start(struct rig *rig) {
    rig_make(rig);
    rig_open(rig);
}

static void end(struct rig *rig) {
    rig_close(rig);
    rig_remove(rig);
}

/* How many records of the map the queue takes; the longest value's bytes. */
static uint32_t records(struct rig *rig, size_t *ret_longest) {
    struct environment *environment = environment_of(rig);
    struct value_key at = value_key_queue(TO, 1, 0);
    struct map_view key, value;
    uint32_t count = 0;
    *ret_longest = 0;
    cr_assert_eq(environment_look(environment), 0);
    for (int error = map_seek(environment->cursor, value_key_view(&at), &key, &value); error == 0;
         error = map_next(environment->cursor, &key, &value)) {
        count++;
        if (value.bytes > *ret_longest)
            *ret_longest = value.bytes;
    }
    environment_rest(environment);
    return count;
}

static void expect_seqs(struct rig *rig, const bool *there, uint64_t last) {
    struct store_view view;
    uint8_t frame[RIG_FRAME_BYTES];
    uint64_t from = 0, left = 0;
    for (uint64_t seq = 1; seq <= last; seq++) {
        /* As a drain does, one after the other, and as from nowhere. */
        for (uint32_t shard = 0; shard < 2 && there[seq]; shard++) {
            cr_assert_eq(drain_read(rig->store, shard, TO, 1, shard ? seq : from, &view), 0, "seq %lu", seq);
            cr_assert_eq(view.seq, seq, "%lu instead of %lu", view.seq, seq);
            uint32_t bytes = rig_message(frame, TO, seq, "text", 4);
            cr_assert(view.frame_bytes == bytes && memcmp(view.frame, frame, bytes) == 0, "seq %lu", seq);
        }
        from = there[seq] ? seq + 1 : from;
        left += there[seq];
    }
    cr_assert_eq(drain_read(rig->store, 0, TO, 1, from, &view), -ENOENT);
    drain_read_end(rig->store, 0);
    drain_read_end(rig->store, 1);
    cr_assert_eq(counts_get(&environment_of(rig)->counts, TO, 1), left);
}

static void expect_all(struct rig *rig, uint64_t first, uint64_t last) {
    bool there[MANY + 1];
    for (uint64_t seq = 0; seq <= MANY; seq++)
        there[seq] = seq >= first && seq <= last;
    expect_seqs(rig, there, last);
}

Test(store_run, entries_of_one_turn_share_records_of_a_page) {
    struct rig rig;
    size_t longest;
    start(&rig);
    put_range(&rig, 1, MANY, &(struct rig_put){0});
    uint32_t count = records(&rig, &longest);
    cr_assert_leq(count, MANY * 100 / RUN_BYTES_MAX + 1, "%u records", count);
    cr_assert(longest <= RUN_BYTES_MAX && longest > RUN_BYTES_MAX / 2, "%zu bytes", longest);
    expect_all(&rig, 1, MANY);
    rig_close(&rig);
    rig_open(&rig);
    cr_assert_eq(counts_get(&environment_of(&rig)->counts, TO, 1), MANY, "as the start finds it");
    expect_all(&rig, 1, MANY);
    end(&rig);
}

Test(store_run, only_what_follows_of_one_queue_is_put_together) {
    static const struct rig_put puts[] = {{.account = TO, .seq = 1}, {.account = TO, .seq = 2},
                                          {.account = 6, .seq = 3},  {.account = TO, .seq = 3},
                                          {.account = TO, .seq = 5}, {.account = TO, .device = 2, .seq = 6}};
    struct rig rig;
    size_t longest;
    start(&rig);
    for (size_t i = 0; i < sizeof(puts) / sizeof(puts[0]); i++)
        rig_post_put(&rig, &puts[i], frames[i]);
    turn_run(environment_of(&rig), false);
    cr_assert_eq(records(&rig, &longest), 5, "1 and 2; 3; 5; of device 2; of account 6");
    cr_assert_eq(rig_count(&rig, TO, 1), 4);
    cr_assert_eq(rig_count(&rig, TO, 2), 1);
    cr_assert_eq(rig_count(&rig, 6, 1), 1);
    end(&rig);
}

Test(store_run, frames_of_any_size_are_read_as_they_were_put) {
    static const size_t sizes[] = {900, 1, 900, 900, 900, 900, 900, 2, 500};
    enum { COUNT = sizeof(sizes) / sizeof(sizes[0]) };
    struct rig rig;
    struct store_view view;
    uint8_t frame[RIG_FRAME_BYTES];
    size_t longest;
    start(&rig);
    for (uint64_t seq = 1; seq <= COUNT; seq++)
        rig_post_put(&rig, &(struct rig_put){.account = TO, .seq = seq, .bytes = sizes[seq - 1]},
                     frames[seq]);
    turn_run(environment_of(&rig), false);
    cr_assert_eq(records(&rig, &longest), 2);
    cr_assert_leq(longest, RUN_BYTES_MAX);
    for (uint64_t seq = 1; seq <= COUNT; seq++) {
        uint32_t bytes = rig_message(frame, TO, seq, "text", sizes[seq - 1]);
        cr_assert_eq(drain_read(rig.store, 0, TO, 1, seq, &view), 0);
        cr_assert(view.frame_bytes == bytes && memcmp(view.frame, frame, bytes) == 0, "seq %lu", seq);
    }
    drain_read_end(rig.store, 0);
    end(&rig);
}

Test(store_run, deletes_leave_the_others_of_a_run) {
    static const uint64_t cuts[][2] = {{1, 1},  {2, 7},   {30, 30}, {35, 60}, {61, 61},         {20, 25},
                                       {8, 29}, {31, 34}, {70, 99}, {62, 62}, {190, UINT64_MAX}};
    struct rig rig;
    bool there[MANY + 1];
    start(&rig);
    memset(there, true, sizeof(there));
    put_range(&rig, 1, MANY, &(struct rig_put){0});
    for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
        delete_range(&rig, cuts[i][0], cuts[i][1]);
        for (uint64_t seq = cuts[i][0]; seq <= MANY && seq <= cuts[i][1]; seq++)
            there[seq] = false;
        expect_seqs(&rig, there, MANY);
    }
    delete_range(&rig, 0, UINT64_MAX);
    expect_all(&rig, MANY, 0);
    end(&rig);
}

Test(store_run, receipts_of_a_run_expire_and_count_for_nothing) {
    struct rig rig;
    start(&rig);
    for (uint64_t seq = 1; seq <= 6; seq++)
        rig_post_put(
            &rig, &(struct rig_put){.account = TO, .seq = seq, .receipt = seq != 4, .expires_ms = seq != 4},
            frames[seq]);
    turn_run(environment_of(&rig), false); /* the first turn sweeps */
    cr_assert_eq(rig_count(&rig, TO, 1), 1);
    cr_assert_eq(counts_get(&environment_of(&rig)->counts, TO, 1), 1);
    delete_range(&rig, 4, 4);
    cr_assert_eq(counts_get(&environment_of(&rig)->counts, TO, 1), 0);
    end(&rig);
}

/* One byte of the queue's first record, in the map itself. */
static void damage(struct rig *rig, size_t at) {
    struct map_txn *txn;
    struct map_view value;
    struct value_key key = value_key_queue(TO, 1, 1);
    uint8_t copy[RUN_BYTES_MAX], *space;
    cr_assert_eq(map_begin(environment_of(rig)->map, &txn), 0);
    cr_assert_eq(map_get(txn, value_key_view(&key), &value), 0);
    size_t bytes = value.bytes;
    memcpy(copy, value.at, bytes);
    copy[at] ^= 1;
    cr_assert_eq(map_put(txn, value_key_view(&key), bytes, &space), 0);
    memcpy(space, copy, bytes);
    cr_assert_eq(map_commit(txn), 0);
}

static void count_finding(void *context, const struct check_finding *finding) {
    int *count = context;
    cr_assert_not_null(strstr(finding->what, "damaged"), "%s", finding->what);
    cr_assert_not_null(strstr(finding->where, "queue entry"), "%s", finding->where);
    ++*count;
}

/* The accounts are not there: that is found, too. */
static void ignore_finding(void *context, const struct check_finding *finding) {
    if (!strstr(finding->what, "not there"))
        count_finding(context, finding);
}

static int findings(struct rig *rig) {
    struct check_result result;
    int count = 0;
    cr_assert_eq(check_store(rig->folder, ignore_finding, &count, &result, rig->error, sizeof(rig->error)),
                 0);
    return count;
}

static uint64_t salvaged(struct rig *rig) {
    struct salvage_report report;
    char folder[80];
    snprintf(folder, sizeof(folder), "%s/new", rig->folder);
    cr_assert_eq(salvage_store(rig->folder, folder, &report, rig->error, sizeof(rig->error)), 0, "%s",
                 rig->error);
    return report.recovered[VALUE_QUEUE][SALVAGE_NEWEST];
}

Test(store_run, a_damaged_entry_is_lost_alone) {
    enum { COUNT = 10 };
    struct rig rig;
    struct store_view view;
    uint64_t read = 0;
    start(&rig);
    put_range(&rig, 1, COUNT, &(struct rig_put){.bytes = 50});
    damage(&rig, VALUE_HEADER_BYTES + 2 + 2 * COUNT + VALUE_QUEUE_BYTES + 5);
    for (uint64_t seq = 0; seq <= COUNT; seq = view.seq + 1) {
        int error = drain_read(rig.store, 0, TO, 1, seq, &view);
        cr_assert_eq(error, view.seq == 1 ? -EUCLEAN : 0);
        read += error == 0;
    }
    drain_read_end(rig.store, 0);
    cr_assert_eq(read, COUNT - 1);
    rig_close(&rig);
    cr_assert_eq(findings(&rig), 1);
    cr_assert_eq(salvaged(&rig), COUNT - 1);
    rig_remove(&rig);
}

/* Which entries it had is unknown: none of their numbers is given out again. */
Test(store_run, a_run_whose_front_is_damaged_is_named_and_gone_round) {
    enum { COUNT = 10 };
    struct rig rig;
    struct store_view view;
    start(&rig);
    put_range(&rig, 1, COUNT, &(struct rig_put){0});
    for (size_t at = 0; at < VALUE_HEADER_BYTES + 2 + 2 * COUNT; at++) {
        damage(&rig, at);
        cr_assert_eq(drain_read(rig.store, 0, TO, 1, 0, &view), -EUCLEAN, "byte %zu", at);
        cr_assert_eq(view.seq, 1);
        cr_assert_eq(drain_read(rig.store, 0, TO, 1, 2, &view), -ENOENT, "byte %zu", at);
        drain_read_end(rig.store, 0);
        damage(&rig, at);
    }
    expect_all(&rig, 1, COUNT);
    damage(&rig, VALUE_HEADER_BYTES);
    rig_close(&rig);
    cr_assert_eq(findings(&rig), 1);
    rig_open(&rig);
    cr_assert_geq(environment_of(&rig)->counts.expected[0].last, COUNT);
    delete_range(&rig, 1, COUNT);
    cr_assert_eq(drain_read(rig.store, 0, TO, 1, 0, &view), -ENOENT);
    drain_read_end(rig.store, 0);
    end(&rig);
}

Test(store_run, salvage_takes_each_entry_once) {
    struct rig rig;
    start(&rig);
    put_range(&rig, 1, MANY, &(struct rig_put){0});
    delete_range(&rig, 1, 5);
    rig_close(&rig);
    cr_assert_eq(salvaged(&rig), MANY - 5);
    rig_remove(&rig);
}
