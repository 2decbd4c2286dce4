/* A start costs what there are queues, not what there are entries; the counts it can only estimate are made
 * right by the sweep. */
#include "core/switch.h"
#include "tests/support/store_rig.h"

TestSuite(store_start, .timeout = 120);

enum { QUEUES = 20, ENTRIES = 2000 };

static void fill(struct rig *rig, uint64_t account, uint64_t first, uint64_t last) {
    struct map_txn *txn;
    uint8_t frame[RIG_FRAME_BYTES];
    cr_assert_eq(map_begin(rig->store->environments[0].map, &txn), 0);
    for (uint64_t seq = first; seq <= last; seq++) {
        struct value_key key = value_key_queue(account, 1, seq);
        struct value_queue entry = {.expires_ms = UINT64_MAX,
                                    .frame = frame,
                                    .frame_bytes = rig_message(frame, account, seq, "text", 4)};
        cr_assert_eq(value_put_queue(txn, &key, &entry), 0);
    }
    cr_assert_eq(map_commit(txn), 0);
}

static struct environment *reopen(struct rig *rig) {
    rig_close(rig);
    rig_open(rig);
    return &rig->store->environments[0];
}

static uint64_t counted(const struct environment *environment, uint64_t account) {
    return counts_get(&environment->counts, account, 1);
}

static void sweep_once(struct environment *environment) {
    environment->expiry.next_ms = 0;
    turn_run(environment, false);
}

static void sweep_all(struct environment *environment) {
    do
        sweep_once(environment);
    while (environment->expiry.at.used);
}

Test(store_start, visits_each_queue_not_each_entry) {
    struct rig rig;
    rig_make(&rig);
    rig_open(&rig);
    for (uint64_t account = 1; account <= QUEUES; account++)
        fill(&rig, account, account, ENTRIES);
    struct environment *environment = reopen(&rig);
    uint64_t visited = map_visited(environment->snapshot);
    cr_assert_leq(visited, 3 * QUEUES + 3, "%lu records visited", visited);
    for (uint64_t account = 1; account <= QUEUES; account++)
        cr_assert_eq(counted(environment, account), ENTRIES - account + 1);
    rig_close(&rig);
    rig_remove(&rig);
}

Test(store_start, sweep_takes_holes_off_the_counts) {
    struct rig rig;
    rig_make(&rig);
    rig_open(&rig);
    for (uint64_t account = 1; account <= 5; account++)
        fill(&rig, account, 1, ENTRIES);
    cr_assert_eq(store_start(rig.store), 0);
    rig_delete(&rig, 1, 1, 2, ENTRIES - 1);
    rig_delete(&rig, 3, 1, 1, 10);
    rig_delete(&rig, 3, 1, 100, 199);
    struct environment *environment = reopen(&rig);
    cr_assert_eq(counted(environment, 1), ENTRIES, "longer than it is, never shorter");
    cr_assert_eq(counted(environment, 3), ENTRIES - 10);
    sweep_all(environment);
    cr_assert_eq(counted(environment, 1), 2);
    cr_assert_eq(counted(environment, 2), ENTRIES);
    cr_assert_eq(counted(environment, 3), ENTRIES - 110);
    rig_close(&rig);
    rig_remove(&rig);
}

Test(store_start, queue_emptied_before_the_sweep_comes_to_it_counts_nothing) {
    struct rig rig;
    rig_make(&rig);
    rig_open(&rig);
    for (uint64_t account = 1; account <= 4; account++)
        fill(&rig, account, 1, 100);
    struct environment *environment = reopen(&rig);
    cr_assert_eq(store_start(rig.store), 0);
    rig_delete(&rig, 2, 1, 1, 100);
    rig_delete(&rig, 4, 1, 1, 100);
    store_stop(rig.store);
    sweep_all(environment);
    cr_assert_eq(counted(environment, 1), 100);
    cr_assert_eq(counted(environment, 2), 0);
    cr_assert_eq(counted(environment, 3), 100);
    cr_assert_eq(counted(environment, 4), 0);
    rig_close(&rig);
    rig_remove(&rig);
}

/* Deletes and puts before, behind and at the place the sweep has come to. */
Test(store_start, counts_are_right_whatever_happens_during_the_sweep) {
    struct rig rig;
    struct map_txn *txn;
    unsigned state = 1;
    rig_make(&rig);
    rig_open(&rig);
    for (uint64_t account = 1; account <= 5; account++)
        fill(&rig, account, 1, ENTRIES);
    struct environment *environment = reopen(&rig);
    uint64_t next[6];
    for (int account = 1; account <= 5; account++)
        next[account] = ENTRIES + 1;
    do {
        sweep_once(environment);
        cr_assert_eq(map_begin(environment->map, &txn), 0);
        for (int i = 0; i < 20; i++) {
            uint64_t account = (uint64_t)rand_r(&state) % 5 + 1;
            uint64_t first = (uint64_t)rand_r(&state) % next[account] + 1;
            uint64_t last = first + (uint64_t)rand_r(&state) % 50;
            cr_assert_eq(queue_delete(environment, txn, account, 1, first, i % 2 ? first : last), 0);
        }
        if (rand_r(&state) % 3 == 0) {
            map_abort(txn);
            counts_undo(&environment->counts);
        } else {
            cr_assert_eq(map_commit(txn), 0);
            counts_keep(&environment->counts);
        }
        for (uint64_t account = 1; account <= 5; account += 2) {
            fill(&rig, account, next[account], next[account]);
            next[account]++;
            cr_assert_eq(counts_add(&environment->counts, account, 1, 1, 0), 0);
            counts_keep(&environment->counts);
        }
        for (uint64_t account = 1; account <= 5; account++)
            cr_assert_geq(counted(environment, account), rig_count(&rig, account, 1));
    } while (environment->expiry.at.used);
    cr_assert_null(environment->counts.expected);
    for (uint64_t account = 1; account <= 5; account++)
        cr_assert_eq(counted(environment, account), rig_count(&rig, account, 1), "queue of %lu", account);
    rig_close(&rig);
    rig_remove(&rig);
}

/* What bounds a queue in bytes has to know them at a start. */
Test(store_start, knows_the_bytes_of_each_queue) {
    struct rig rig;
    uint8_t frame[RIG_FRAME_BYTES];
    rig_make(&rig);
    rig_start(&rig);
    uint64_t each[] = {rig_message(frame, 1, 1, "x", 10), rig_message(frame, 1, 1, "x", 200)};
    for (uint64_t seq = 1; seq <= 20; seq++)
        cr_assert_eq(rig_put(&rig, (struct rig_put){.account = 1, .seq = seq, .bytes = seq % 2 ? 200 : 10}),
                     0);
    rig_close(&rig);
    rig_open(&rig);
    const struct counts *counts = &rig.store->environments[0].counts;
    cr_assert_eq(counts->expected[0].bytes, 10 * (each[0] + each[1]));
    cr_assert_eq(store_start(rig.store), 0);
    cr_assert_eq(rig_put(&rig, (struct rig_put){.account = 1, .seq = 21, .bytes = 200}), 0);
    rig_delete(&rig, 1, 1, 1, 2);
    rig_close(&rig);
    rig_open(&rig);
    counts = &rig.store->environments[0].counts;
    cr_assert_eq(counts->expected[0].bytes, 9 * each[0] + 10 * each[1], "also over a restart");
    rig_close(&rig);
    rig_remove(&rig);
}
