/* MARK: anybody may say of anything that it was delivered or read. What that costs others has a limit, and
 * what is dropped there is repeated until it is confirmed. */
#include "core/account.h"
#include "tests/support/talker.h"

TestSuite(marks, .timeout = 30);

#define ANNA 1
#define BOB 2
#define CARL 3

static struct talker anna = {.account = ANNA, .conn = 0}, bob = {.account = BOB, .conn = 1},
                     carl = {.account = CARL, .conn = 2};

static void begin(void) {
    static const uint8_t key[KEY_BYTES];
    one_shard_begin();
    one.config.messages_max = 128;
    one_shard_start();
    one_shard_account("anna", key);
    one_shard_account("bob", key);
    one_shard_account("carl", key);
}

static void end(void) {
    one.store_broken = false;
    talker_go(&anna);
    talker_go(&bob);
    talker_go(&carl);
    one_shard_end();
}

/* Each of them alone: with gaps, nothing joins them. */
static void carl_marks(uint64_t count, uint8_t flags) {
    for (uint64_t i = 0; i < count; i++) {
        talker_put_mark(&carl, BOB, TALKER_EPOCH, 2 * i + 1, 2 * i + 1, flags);
        if (i % 64 == 63)
            talker_talk(&carl);
    }
    talker_talk(&carl);
}

static struct outbox *outbox_of(uint64_t account) {
    return &account_device(account_find(&one.shard->accounts, account), 1)->outbox;
}

Test(marks, that_nobody_takes_stop_nobody) {
    begin();
    talker_come(&anna);
    talker_come(&carl);
    one.store_broken = true;
    carl_marks(SESSION_MARKS_MAX, RECEIPT_READ);
    cr_assert_gt(one.shard->receipts_out, one.config.messages_max, "Bob is away");
    talker_say(&anna, CARL, 1);
    talker_acknowledge(&carl);
    cr_assert_str_eq(talker_heard(&anna), "r1-1:3 ");
    end();
}

Test(marks, leave_half_of_the_receipts_to_messages) {
    begin();
    talker_come(&carl);
    one.store_broken = true;
    one.shard->config.receipts_max = 100;
    carl_marks(200, RECEIPT_READ);
    cr_assert_eq(one.shard->receipts_out, 50);
    cr_assert_eq(stats_get(one.stats.receipts_dropped), 150);
    cr_assert_eq(carl.confirmed, 0, "what is dropped is not confirmed");
    end();
}

Test(marks, leave_most_of_a_queue_to_messages) {
    begin();
    talker_come(&anna);
    talker_come(&carl);
    one.shard->config.queue_receipts_max = 80;
    carl_marks(100, RECEIPT_READ);
    cr_assert_eq(one.entry_count, 10);
    cr_assert_eq(carl.confirmed, 10, "the others are repeated");
    talker_say(&anna, BOB, 1);
    cr_assert_str_eq(talker_heard(&anna), "r1-1:1 ", "Bob's queue takes it");
    talker_come(&bob);
    talker_acknowledge(&bob);
    talker_acknowledge(&anna);
    talker_go(&bob);
    carl_marks(100, RECEIPT_READ);
    cr_assert_eq(carl.confirmed, 20, "there is room again");
    end();
}

Test(marks, that_wait_for_a_device_are_bounded_where_the_store_takes_none) {
    begin();
    talker_come(&carl);
    one.store_broken = true;
    carl_marks(SESSION_MARKS_MAX, RECEIPT_READ);
    one.now_ms += 5000;
    carl_marks(SESSION_MARKS_MAX, RECEIPT_DELIVERED);
    cr_assert_leq(outbox_of(BOB)->count, 4096 / 8 + 64, "%u", outbox_of(BOB)->count);
    end();
}

Test(marks, of_the_same_numbers_are_one) {
    begin();
    talker_come(&carl);
    one.store_broken = true;
    carl_marks(1, RECEIPT_READ);
    for (int i = 0; i < 50; i++)
        talker_put_mark(&carl, BOB, TALKER_EPOCH, 1, 1 + i, RECEIPT_READ);
    talker_talk(&carl);
    cr_assert_eq(outbox_of(BOB)->count, 1);
    one.store_broken = false;
    talker_pass_time(1000);
    talker_talk(&carl);
    cr_assert_eq(carl.confirmed, 50);
    talker_come(&bob);
    cr_assert_str_eq(talker_heard(&bob), "r1-50:4 ");
    end();
}

/* --- what messages bring about -------------------------------------------------------------------------- */

Test(marks, account_that_takes_no_receipts_sends_nothing_more) {
    begin();
    talker_come(&anna);
    one.shard->config.queue_receipts_max = 4;
    one.shard->config.window_messages = 1;
    for (uint64_t number = 1; number <= 6; number++)
        talker_say(&anna, number % 2 ? BOB : CARL, (number + 1) / 2);
    cr_assert_str_eq(talker_heard(&anna), "r1-1:1 x3:10 x3:10 ", "one in the window, four in the queue: %lu",
                     outbox_of(ANNA)->queue_receipts);
    cr_assert_eq(outbox_of(ANNA)->queue_receipts, 4);
    for (int i = 0; i < 5; i++)
        talker_acknowledge(&anna);
    cr_assert_eq(outbox_of(ANNA)->queue_receipts, 0);
    anna.heard[0] = '\0';
    talker_say(&anna, CARL, 3);
    cr_assert_str_eq(talker_heard(&anna), "r3-3:1 ");
    end();
}

Test(marks, sender_whose_tick_found_no_room_sends_again) {
    begin();
    talker_come(&anna);
    talker_come(&bob);
    one.shard->config.receipts_max = 0;
    talker_say(&anna, BOB, 1);
    talker_acknowledge(&bob);
    cr_assert_str_eq(talker_heard(&anna), "x1:10 ");
    one.shard->config.receipts_max = 1;
    talker_say(&anna, BOB, 1);
    cr_assert_str_eq(talker_heard(&bob), "m1 m1 ");
    talker_acknowledge(&bob);
    cr_assert_str_eq(talker_heard(&anna), "r1-1:3 ");
    end();
}

/* --- what never was ------------------------------------------------------------------------------------- */

Test(marks, about_another_epoch_of_a_device_go_nowhere) {
    begin();
    talker_come(&bob);
    talker_go(&bob);
    talker_come(&carl);
    talker_put_mark(&carl, BOB, TALKER_EPOCH + 1, 1, 1000, RECEIPT_READ);
    talker_talk(&carl);
    cr_assert_eq(carl.confirmed, 1000, "nothing is to be repeated");
    cr_assert_eq(one.entry_count, 0);
    talker_put_mark(&carl, BOB, TALKER_EPOCH, 1, 1, RECEIPT_READ);
    talker_talk(&carl);
    cr_assert_eq(one.entry_count, 1);
    end();
}

Test(marks, about_a_device_that_is_not_there_go_nowhere) {
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    begin();
    talker_come(&carl);
    struct frame_range range = {
        .id = {.from = BOB, .from_device = 7, .to = CARL, .epoch = TALKER_EPOCH, .number = 1}, .last = 1};
    talker_put(&carl, out, frame_write_range(out, FRAME_MARK, RECEIPT_READ, &range));
    talker_talk(&carl);
    cr_assert_eq(carl.confirmed, 1);
    cr_assert_eq(one.entry_count, 0);
    end();
}

/* A device that came back with a new epoch, from a backup: what it sent before is read all the same. */
Test(marks, about_the_epoch_before_are_told) {
    begin();
    struct device *device = account_device(account_find(&one.shard->accounts, BOB), 1);
    device_begins_epoch(device, TALKER_EPOCH);
    device_begins_epoch(device, TALKER_EPOCH + 1);
    device_begins_epoch(device, TALKER_EPOCH + 1);
    talker_come(&carl);
    talker_put_mark(&carl, BOB, TALKER_EPOCH, 1, 1, RECEIPT_READ);
    talker_talk(&carl);
    cr_assert_eq(one.entry_count, 1);
    end();
}
