#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "core/account.h"
#include "tests/support/store_rig.h"

TestSuite(store_queue, .timeout = 120);

#define LATER_MS 100000000000000 /* a time no test runs at, UTC */

Test(store_queue, answered_put_is_there_after_a_kill_without_close) {
    struct rig rig;
    rig_make(&rig);
    pid_t child = fork();
    if (child == 0) {
        rig_start(&rig);
        int status = 0;
        for (uint64_t seq = 1; seq <= 20; seq++)
            status |= rig_put(&rig, (struct rig_put){.account = 5, .seq = seq});
        _exit(status != 0);
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    rig_open(&rig);
    cr_assert_eq(rig_count(&rig, 5, 1), 20);
    rig_close(&rig);
    rig_remove(&rig);
}

Test(store_queue, many_waiting_puts_share_commits) {
    enum { PUTS = 2000 };
    static uint8_t frames[PUTS][RIG_FRAME_BYTES];
    struct rig rig;
    struct store_status status;
    rig_make(&rig);
    rig_open(&rig);
    for (uint64_t seq = 1; seq <= PUTS; seq++)
        rig_post_put(&rig, &(struct rig_put){.account = 5, .seq = seq}, frames[seq - 1]);
    cr_assert_eq(store_start(rig.store), 0);
    for (uint32_t i = 0; i < PUTS; i++)
        cr_assert_eq(rig_done(&rig, 0), 0);
    rig_put(&rig, (struct rig_put){.account = 6, .seq = 1});
    store_read_status(rig.store, 0, &status);
    cr_assert_geq(status.puts, PUTS);
    cr_assert_lt(status.commits, 50, "%lu commits", status.commits);
    cr_assert_eq(rig_count(&rig, 5, 1), PUTS);
    rig_close(&rig);
    rig_remove(&rig);
}

Test(store_queue, entries_are_read_in_order_and_whole) {
    struct rig rig;
    struct store_view view;
    uint8_t frame[RIG_FRAME_BYTES];
    rig_make(&rig);
    rig_start(&rig);
    for (uint64_t seq = 10; seq <= 40; seq += 10)
        rig_put(&rig,
                (struct rig_put){.account = 5, .seq = seq, .expires_ms = LATER_MS + seq, .text = "hello"});
    rig_put(&rig, (struct rig_put){.account = 5, .device = 2, .seq = 1});
    uint64_t expected = 10;
    for (uint64_t seq = 0; drain_read(rig.store, 1, 5, 1, seq, &view) == 0; seq = view.seq + 1) {
        uint32_t bytes = rig_message(frame, 5, expected, "hello", 5);
        cr_assert_eq(view.seq, expected);
        cr_assert_eq(view.expires_ms, LATER_MS + expected);
        cr_assert(view.frame_bytes == bytes && memcmp(view.frame, frame, bytes) == 0);
        expected += 10;
    }
    cr_assert_eq(expected, 50);
    drain_read_end(rig.store, 1);
    rig_close(&rig);
    rig_remove(&rig);
}

Test(store_queue, deletes_take_their_range_and_no_more) {
    struct rig rig;
    struct store_view view;
    rig_make(&rig);
    rig_start(&rig);
    for (uint64_t seq = 1; seq <= 10; seq++) {
        rig_put(&rig, (struct rig_put){.account = 5, .seq = seq});
        rig_put(&rig, (struct rig_put){.account = 5, .device = 2, .seq = seq});
    }
    rig_delete(&rig, 5, 1, 3, 5);
    rig_delete(&rig, 5, 1, 9, 9);
    rig_delete(&rig, 5, 1, 10, UINT64_MAX);
    cr_assert_eq(rig_count(&rig, 5, 1), 5);
    cr_assert_eq(rig_count(&rig, 5, 2), 10);
    cr_assert_eq(drain_read(rig.store, 0, 5, 1, 3, &view), 0);
    cr_assert_eq(view.seq, 6);
    drain_read_end(rig.store, 0);
    rig_close(&rig);
    rig_remove(&rig);
}

Test(store_queue, fetch_lists_entries_with_their_message) {
    struct rig rig;
    struct queue_entry entries[4];
    rig_make(&rig);
    rig_start(&rig);
    for (uint64_t seq = 1; seq <= 6; seq++)
        rig_put(&rig,
                (struct rig_put){.account = 5, .seq = seq, .receipt = seq == 3, .expires_ms = seq == 4});
    struct request request = {.kind = REQUEST_FETCH,
                              .account = 5,
                              .device_number = 1,
                              .first = 2,
                              .value = 3,
                              .entries = entries,
                              .capacity = 4};
    cr_assert_eq(rig_request(&rig, &request), 0);
    cr_assert_eq(request.count, 3);
    cr_assert(entries[0].seq == 2 && entries[0].frame_type == FRAME_MESSAGE && entries[0].id.number == 2);
    cr_assert(entries[0].id.from == 7 && entries[0].id.from_device == 3 && entries[0].id.epoch == 9);
    cr_assert(entries[1].seq == 3 && entries[1].frame_type == FRAME_RECEIPT && !entries[1].expired);
    cr_assert(entries[2].seq == 4 && entries[2].expired);
    request.first = 5;
    request.last = 5;
    cr_assert_eq(rig_request(&rig, &request), 0);
    cr_assert_eq(request.count, 1);
    rig_close(&rig);
    rig_remove(&rig);
}

Test(store_queue, after_a_failure_only_a_newer_generation_is_taken) {
    struct rig rig;
    struct note bad = {.kind = NOTE_PUT, .device = 1, .put = {.account = 5, .seq = 1}};
    rig_make(&rig);
    rig_start(&rig);
    rig_post(&rig, 0, RIG_SHARDS, &bad); /* no frame */
    cr_assert_eq(rig_done(&rig, 0), -EINVAL);
    cr_assert_eq(rig_put(&rig, (struct rig_put){.account = 6, .seq = 1}), -ECANCELED);
    cr_assert_eq(rig_put(&rig, (struct rig_put){.account = 6, .seq = 1, .from = 1}), 0, "another producer");
    cr_assert_eq(rig_put(&rig, (struct rig_put){.account = 6, .seq = 2, .generation = 1}), 0);
    cr_assert_eq(rig_put(&rig, (struct rig_put){.account = 5, .seq = 1, .generation = 1}), 0);
    rig_close(&rig);
    rig_remove(&rig);
}

Test(store_queue, full_queue_refuses_its_own_messages_alone_and_in_order) {
    struct rig rig;
    rig_make(&rig);
    rig.config.queue_messages_max = 2;
    rig_start(&rig);
    cr_assert_eq(rig_put(&rig, (struct rig_put){.account = 5, .seq = 1}), 0);
    cr_assert_eq(rig_put(&rig, (struct rig_put){.account = 5, .seq = 2}), 0);
    cr_assert_eq(rig_put(&rig, (struct rig_put){.account = 5, .seq = 3}), -EDQUOT);
    cr_assert_eq(rig_put(&rig, (struct rig_put){.account = 6, .seq = 1}), 0, "another queue, the same lane");
    cr_assert_eq(rig_put(&rig, (struct rig_put){.account = 5, .device = 2, .seq = 1}), 0);
    rig_delete(&rig, 5, 1, 1, 2);
    cr_assert_eq(rig_put(&rig, (struct rig_put){.account = 5, .seq = 4}), -EDQUOT, "it must not overtake");
    cr_assert_eq(rig_put(&rig, (struct rig_put){.account = 5, .seq = 5, .receipt = true}), -EDQUOT);
    cr_assert_eq(rig_put(&rig, (struct rig_put){.account = 5, .seq = 3}), 0, "it came again");
    cr_assert_eq(rig_put(&rig, (struct rig_put){.account = 5, .seq = 4}), 0);
    rig_close(&rig);
    rig_remove(&rig);
}

Test(store_queue, full_queue_takes_receipts) {
    struct rig rig;
    rig_make(&rig);
    rig.config.queue_messages_max = 1;
    rig_start(&rig);
    cr_assert_eq(rig_put(&rig, (struct rig_put){.account = 5, .seq = 1}), 0);
    for (uint64_t seq = 2; seq < 100; seq++)
        cr_assert_eq(rig_put(&rig, (struct rig_put){.account = 5, .seq = seq, .receipt = true}), 0);
    cr_assert_eq(rig_put(&rig, (struct rig_put){.account = 5, .seq = 100}), -EDQUOT);
    cr_assert_eq(rig_put(&rig, (struct rig_put){.account = 5, .seq = 100, .receipt = true}), 0,
                 "it takes the place of what was refused");
    rig_delete(&rig, 5, 1, 1, 2);
    cr_assert_eq(rig_put(&rig, (struct rig_put){.account = 5, .seq = 101}), 0,
                 "receipts alone fill no queue");
    rig_delete(&rig, 5, 1, 3, 3);
    cr_assert_eq(rig_put(&rig, (struct rig_put){.account = 5, .seq = 102}), -EDQUOT);
    rig_close(&rig);
    rig_remove(&rig);
}

/* Puts until one is refused; returns how many were taken. */
static uint64_t fill(struct rig *rig, struct rig_put put, uint32_t *generation) {
    uint64_t taken = 0;
    put.generation = *generation;
    for (int status = 0; status == 0; taken += status == 0, put.seq++) {
        status = rig_put(rig, put);
        cr_assert(status == 0 || status == -ENOSPC, "%d", status);
        cr_assert_lt(taken, 20000, "never full");
    }
    ++*generation;
    return taken;
}

Test(store_queue, reserve_takes_receipts_and_deletes_and_space_is_used_again) {
    struct rig rig;
    struct store_status status;
    uint32_t generation = 0;
    rig_make(&rig);
    rig.config.map_bytes = 1 << 20;
    rig_start(&rig);
    uint64_t first = fill(&rig, (struct rig_put){.account = 5, .seq = 1, .bytes = 900}, &generation);
    cr_assert_gt(first, 300);
    store_read_status(rig.store, 0, &status);
    cr_assert_gt(status.used_bytes, (1 << 20) * 3 / 4);
    cr_assert(status.full);
    for (uint64_t seq = 1; seq <= 20; seq++)
        cr_assert_eq(
            rig_put(&rig,
                    (struct rig_put){.account = 6, .seq = seq, .receipt = true, .generation = generation}),
            0);
    cr_assert_eq(rig_count(&rig, 5, 1), first);
    for (int round = 0; round < 5; round++) {
        rig_delete(&rig, 5, 1, 1, first);
        cr_assert_eq(rig_count(&rig, 5, 1), 0);
        uint64_t again = fill(&rig, (struct rig_put){.account = 5, .seq = 1, .bytes = 900}, &generation);
        cr_assert_gt(again, first * 3 / 4, "round %d: %lu of %lu", round, again, first);
        cr_assert_eq(rig_count(&rig, 5, 1), again);
    }
    cr_assert_eq(rig_count(&rig, 6, 1), 20);
    rig_close(&rig);
    rig_remove(&rig);
}

Test(store_queue, full_map_loses_nothing_answered_and_heals_by_deletes) {
    struct rig rig;
    uint32_t generation = 0;
    rig_make(&rig);
    rig.config.map_bytes = 1 << 20;
    rig.config.map_reserve_percent = 1;
    rig_start(&rig);
    uint64_t taken = fill(&rig, (struct rig_put){.account = 5, .seq = 1, .receipt = true}, &generation);
    cr_assert_eq(rig_count(&rig, 5, 1), taken);
    for (uint64_t at = 1; at <= taken; at += 100)
        rig_delete(&rig, 5, 1, at, at + 99);
    cr_assert_eq(rig_count(&rig, 5, 1), 0);
    int status = -ENOSPC;
    for (int tries = 0; tries < 5 && status; tries++)
        status = rig_put(&rig, (struct rig_put){.account = 5, .seq = 1, .generation = generation++});
    cr_assert_eq(status, 0);
    rig_close(&rig);
    rig_remove(&rig);
}

Test(store_queue, expired_message_is_reported_to_its_home_until_deleted) {
    struct rig rig;
    struct note note;
    uint32_t home = account_home(5, RIG_SHARDS);
    rig_make(&rig);
    rig.config.expiry_sweep_s = 1;
    rig_start(&rig);
    uint64_t utc_ms = store_utc_ms();
    rig_put(&rig, (struct rig_put){.account = 5, .seq = 1, .expires_ms = utc_ms + 3600000});
    rig_put(&rig, (struct rig_put){.account = 5, .seq = 2, .expires_ms = utc_ms - 1});
    rig_put(&rig, (struct rig_put){.account = 5, .seq = 3, .expires_ms = utc_ms - 1, .receipt = true});
    for (int round = 0; round < 2; round++) {
        cr_assert(rig_take(&rig, home, 5000, &note));
        cr_assert(note.kind == NOTE_REQUEST && note.request->kind == REQUEST_EXPIRED);
        cr_assert(note.request->account == 5 && note.request->device_number == 1 && note.request->count == 1);
        cr_assert(note.request->entries[0].seq == 2 && note.request->entries[0].expired);
        note.kind = NOTE_REQUEST_DONE;
        rig_post(&rig, home, note.request->from, &note);
    }
    cr_assert_eq(rig_count(&rig, 5, 1), 2, "the receipt is gone, the message waits for its delete");
    rig_delete(&rig, 5, 1, 2, 2);
    while (rig_take(&rig, home, 10, &note)) {
        note.kind = NOTE_REQUEST_DONE;
        rig_post(&rig, home, note.request->from, &note);
    }
    cr_assert_not(rig_take(&rig, home, 2500, &note));
    rig_close(&rig);
    rig_remove(&rig);
}

/* Receipts do not count where they are put, so they must not where they expire. */
Test(store_queue, expired_receipts_leave_the_count_of_messages_alone) {
    struct rig rig;
    rig_make(&rig);
    rig.config.expiry_sweep_s = 1;
    rig.config.queue_messages_max = 4;
    rig_start(&rig);
    for (uint64_t seq = 1; seq <= 6; seq++)
        cr_assert_eq(rig_put(&rig, (struct rig_put){.account = 5,
                                                    .seq = seq,
                                                    .receipt = seq > 4,
                                                    .expires_ms = seq > 4 ? store_utc_ms() - 1 : 0}),
                     0);
    for (int i = 0; i < 500 && rig_count(&rig, 5, 1) > 4; i++)
        usleep(10000);
    cr_assert_eq(rig_count(&rig, 5, 1), 4);
    cr_assert_eq(rig_put(&rig, (struct rig_put){.account = 5, .seq = 7}), -EDQUOT);
    rig_close(&rig);
    rig_remove(&rig);
}

Test(store_queue, jump_of_the_wall_clock_pauses_expiry) {
    struct rig rig;
    struct note note;
    rig_make(&rig);
    rig.config.expiry_sweep_s = 10;
    rig_start(&rig);
    rig_put(&rig, (struct rig_put){.account = 5, .seq = 1, .expires_ms = LATER_MS + 5000000});
    store_stop(rig.store);
    struct environment *environment = &rig.store->environments[0];
    uint32_t home = account_home(5, RIG_SHARDS);
    environment->expiry = (struct expiry){0};
    expiry_turn(environment, 1000, LATER_MS);
    expiry_turn(environment, 20000, LATER_MS + 19000 + 600000000);
    expiry_turn(environment, 29000, LATER_MS + 28000 + 600000000);
    lanes_publish(rig.lanes, environment->party, rig_ring, &rig);
    cr_assert_not(rig_take(&rig, home, 50, &note));
    expiry_turn(environment, 31000, LATER_MS + 30000 + 600000000);
    lanes_publish(rig.lanes, environment->party, rig_ring, &rig);
    cr_assert(rig_take(&rig, home, 50, &note), "it goes on after the pause");
    rig_close(&rig);
    rig_remove(&rig);
}

Test(store_queue, environments_divide_the_accounts_and_keep_them) {
    struct rig rig;
    rig_make(&rig);
    rig.config.store_environments = 3;
    rig_start(&rig);
    for (uint64_t account = 1; account <= 30; account++)
        cr_assert_eq(rig_put(&rig, (struct rig_put){.account = account, .seq = 1}), 0);
    rig_close(&rig);
    cr_assert_eq(store_environments(rig.folder, &rig.config), 3);
    struct config other = rig.config;
    other.store_environments = 1;
    cr_assert_eq(store_environments(rig.folder, &other), 3, "the folder wins over the setting");
    rig_open(&rig);
    uint32_t used[3] = {0};
    for (uint64_t account = 1; account <= 30; account++) {
        cr_assert_eq(rig_count(&rig, account, 1), 1);
        used[store_environment_of(rig.store, account)]++;
    }
    cr_assert(used[0] > 0 && used[1] > 0 && used[2] > 0);
    rig_close(&rig);
    rig_remove(&rig);
}
