/* Outboxes: what one device's outbox and queue do to others, and to the order of what they hold. */
#include "tests/support/talker.h"

TestSuite(outbox, .timeout = 30);

#define ANNA 1
#define BOB 2
#define CARL 3

static struct talker anna = {.account = ANNA, .conn = 0}, bob = {.account = BOB, .conn = 1},
                     carl = {.account = CARL, .conn = 2};

static void begin(uint64_t queue_messages_max) {
    static const uint8_t key[KEY_BYTES];
    one_shard_begin();
    one.config.queue_messages_max = queue_messages_max;
    one_shard_start();
    one_shard_account("anna", key);
    one_shard_account("bob", key);
    one_shard_account("carl", key);
}

static void end(void) {
    one.config.queue_messages_max = UINT64_MAX;
    talker_go(&anna);
    talker_go(&bob);
    talker_go(&carl);
    one_shard_end();
}

Test(outbox, full_queue_of_one_device_hurts_its_senders_only) {
    begin(2);
    talker_come(&anna);
    talker_say(&anna, BOB, 1);
    talker_say(&anna, BOB, 2);
    cr_assert_str_eq(talker_heard(&anna), "r1-1:1 r2-2:1 ");
    talker_say(&anna, BOB, 3);
    talker_say(&anna, CARL, 1);
    cr_assert_str_eq(talker_heard(&anna), "x3:12 r1-1:1 ", "Bob's queue is full, Carl's is not");
    cr_assert_eq(one.shard->put_retry_ms[0], 0, "the store refuses nobody else");
    end();
}

Test(outbox, full_queue_takes_messages_in_order_when_it_has_room) {
    begin(2);
    talker_come(&anna);
    for (uint64_t number = 1; number <= 4; number++)
        talker_say(&anna, BOB, number);
    cr_assert_str_eq(talker_heard(&anna), "r1-1:1 r2-2:1 x3:12 x4:8 ");
    talker_come(&bob);
    cr_assert_str_eq(talker_heard(&bob), "m1 m2 ");
    talker_acknowledge(&bob);
    talker_acknowledge(&anna); /* the ticks that settle Bob's */
    talker_pass_time(STORE_RETRY_MS);
    talker_go(&bob);
    talker_say(&anna, BOB, 3);
    talker_say(&anna, BOB, 4);
    cr_assert_str_eq(talker_heard(&anna), "r1-2:2 r3-3:1 r4-4:1 ");
    talker_come(&bob);
    cr_assert_str_eq(talker_heard(&bob), "m3 m4 ");
    end();
}

/* Bob is here, acknowledges nothing, and his queue is full: whoever wrote to him is told, though Bob may have
 * it. */
Test(outbox, device_that_acknowledges_nothing_holds_up_nobody_with_a_full_queue) {
    begin(1);
    talker_come(&anna);
    talker_say(&anna, BOB, 1);
    talker_come(&bob);
    talker_say(&anna, BOB, 2);
    cr_assert_str_eq(talker_heard(&anna), "r1-1:1 ");
    cr_assert_eq(session_at(one.shard, anna.conn)->unticked, 1);
    talker_pass_time(one.config.spill_ms + 1);
    cr_assert_str_eq(talker_heard(&anna), "x2:12 ");
    cr_assert_eq(session_at(one.shard, anna.conn)->unticked, 0);
    end();
}

/* What is refused comes again, to all devices, and makes receipts again: that must become less, not more. */
Test(outbox, queue_that_was_full_is_tried_ever_more_seldom_until_it_takes_a_message) {
    begin(1);
    talker_come(&anna);
    talker_say(&anna, BOB, 1);
    uint64_t tries = 0;
    for (uint64_t ms = 0; ms < 120000; ms += STORE_RETRY_MS) {
        uint64_t before = stats_get(one.shard->stats->put_failures);
        talker_say(&anna, BOB, 2);
        tries += stats_get(one.shard->stats->put_failures) - before;
        cr_assert_eq(session_at(one.shard, anna.conn)->unticked, 0, "nobody is kept waiting");
        anna.heard[0] = '\0';
        talker_pass_time(STORE_RETRY_MS);
    }
    cr_assert_leq(tries, 12, "tried %llu times", (unsigned long long)tries);
    talker_come(&bob);
    talker_acknowledge(&bob);
    talker_acknowledge(&anna);
    talker_go(&bob);
    anna.heard[0] = '\0';
    talker_pass_time(60000);
    talker_say(&anna, BOB, 2);
    cr_assert_str_eq(talker_heard(&anna), "r2-2:1 ");
    end();
}

Test(outbox, receipts_for_a_device_with_a_full_queue_are_kept) {
    begin(1);
    talker_come(&anna);
    for (uint64_t number = 1; number <= 3; number++)
        talker_say(&anna, CARL, number * 2); /* the gaps keep the receipts apart */
    talker_say(&anna, BOB, 1);
    talker_go(&anna);
    talker_come(&bob);
    talker_say(&bob, ANNA, 1);
    talker_say(&bob, ANNA, 2);
    cr_assert_str_eq(talker_heard(&bob), "m1 r1-1:1 x2:12 ", "receipts fill no queue, messages do");
    talker_acknowledge(&bob);
    anna.heard[0] = '\0';
    talker_come(&anna);
    cr_assert_not_null(strstr(anna.heard, "r1-1:2 "), "%s", anna.heard);
    end();
}

static void pass_over(struct talker *talker, uint64_t number) {
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    struct frame_range range = {.id = {.from = ANNA,
                                       .to = talker->account,
                                       .epoch = TALKER_EPOCH,
                                       .number = number,
                                       .from_device = 1},
                                .last = number};
    talker_put(talker, out, frame_write_range(out, FRAME_MARK, RECEIPT_FAILED, &range));
}

/* From the queue, and from memory. */
Test(outbox, what_its_only_device_passes_over_has_failed) {
    begin(1000);
    talker_come(&anna);
    talker_say(&anna, BOB, 1);
    talker_come(&bob);
    pass_over(&bob, 1);
    talker_acknowledge(&bob);
    cr_assert_str_eq(talker_heard(&anna), "r1-1:1 r1-1:8 ");
    cr_assert_eq(one.entry_count, 1, "kept until its sender knows");
    talker_acknowledge(&anna);
    cr_assert_eq(one.entry_count, 0, "and nothing stays");
    talker_say(&anna, BOB, 2);
    talker_say(&anna, BOB, 3);
    pass_over(&bob, 2);
    talker_acknowledge(&bob);
    cr_assert_str_eq(talker_heard(&anna), "r2-2:9 r3-3:3 ", "nobody else was a target of 2");
    end();
}

Test(outbox, what_another_device_may_have_has_not_failed_where_one_passes_it_over) {
    struct device_record record = {.account = BOB, .device = 2};
    begin(1000);
    cr_assert_eq(shard_load_device(one.shard, &record), 0);
    talker_come(&anna);
    talker_say(&anna, BOB, 1);
    talker_say(&anna, BOB, 2);
    cr_assert_str_eq(talker_heard(&anna), "r1-1:1 r2-2:1 ");
    cr_assert_eq(one.entry_count, 4);
    talker_come(&bob);
    pass_over(&bob, 1);
    talker_put_ack(&bob, 1);
    talker_talk(&bob);
    cr_assert_str_eq(talker_heard(&anna), "");
    cr_assert_eq(one.entry_count, 3, "the other one still has its own");
    account_device(account_find(&one.shard->accounts, BOB), 1)->signed_id = 1;
    pass_over(&bob, 2);
    talker_acknowledge(&bob);
    cr_assert_str_eq(talker_heard(&anna), "r2-2:8 ", "one without keys is no target of what does not open");
    end();
}

Test(outbox, log_says_once_that_the_store_refuses_and_once_that_it_takes) {
    begin(1000);
    talker_come(&anna);
    one.store_full = true;
    uint32_t lines = one.log_lines;
    for (uint64_t round = 0; round < 100; round++) {
        talker_say(&anna, BOB, 1);
        talker_pass_time(STORE_RETRY_MS);
    }
    cr_assert_eq(one.log_lines, lines + 1);
    cr_assert_str_eq(one.log, "store_refuses environment=0 reason=store_full");
    one.store_full = false;
    talker_say(&anna, BOB, 1);
    cr_assert_eq(one.log_lines, lines + 1, "it may be full again the next moment");
    talker_pass_time(STORE_CALM_MS);
    talker_say(&anna, BOB, 2);
    talker_say(&anna, BOB, 3);
    cr_assert_eq(one.log_lines, lines + 2);
    cr_assert_str_eq(one.log, "store_takes environment=0");
    end();
}

Test(outbox, what_has_expired_is_not_sent_any_more) {
    begin(1000);
    talker_come(&anna);
    one.shard->config.ttl_s = 1;
    talker_say(&anna, BOB, 1);
    one.shard->config.ttl_s = 10;
    talker_say(&anna, BOB, 2);
    cr_assert_str_eq(talker_heard(&anna), "r1-1:1 r2-2:1 ");
    one.utc_ms += 3000;
    talker_come(&bob);
    cr_assert_str_eq(talker_heard(&bob), "m2 ");
    cr_assert_str_eq(talker_heard(&anna), "r1-1:8 ");
    talker_acknowledge(&bob);
    talker_acknowledge(&anna);
    cr_assert_eq(one.entry_count, 0);
    end();
}

Test(outbox, nothing_expires_while_the_clocks_disagree) {
    begin(1000);
    talker_come(&anna);
    one.shard->config.ttl_s = 1;
    talker_say(&anna, BOB, 1);
    one.utc_ms += 3000;
    one.clock_wrong = true;
    talker_come(&bob);
    cr_assert_str_eq(talker_heard(&bob), "m1 ");
    one.clock_wrong = false;
    end();
}

/* Neither sent nor told that it expired, nor taken off the queue. */
Test(outbox, nothing_is_made_of_what_could_not_be_read) {
    begin(1000);
    talker_come(&anna);
    one.shard->config.ttl_s = 1;
    talker_say(&anna, BOB, 1);
    one.shard->config.ttl_s = 10;
    talker_say(&anna, BOB, 2);
    cr_assert_str_eq(talker_heard(&anna), "r1-1:1 r2-2:1 ");
    one.utc_ms += 3000;
    one.page_missing = true;
    talker_connect(&bob);
    cr_assert_not(peer_is_open(bob.peer));
    cr_assert_str_eq(bob.heard, "");
    talker_go(&bob);
    cr_assert_str_eq(talker_heard(&anna), "");
    cr_assert_eq(one.entry_count, 2);
    one.page_missing = false;
    talker_come(&bob);
    cr_assert_str_eq(talker_heard(&bob), "m2 ");
    cr_assert_str_eq(talker_heard(&anna), "r1-1:8 ");
    end();
}

/* No more of them fail at a time than their senders are told of: the rest waits, and is not sent either. */
Test(outbox, more_expired_than_may_fail_at_a_time_all_fail) {
    begin(10000);
    talker_come(&anna);
    one.shard->config.ttl_s = 1;
    one.shard->config.unticked_max = 10000;
    for (uint64_t number = 1; number <= 1500; number++) {
        talker_put_message(&anna, BOB, number);
        if (number % 16 == 0)
            talker_talk(&anna);
    }
    talker_acknowledge(&anna);
    one.utc_ms += 3000;
    talker_come(&bob);
    for (int i = 0; i < 8; i++) {
        talker_talk(&bob);
        anna.heard[0] = '\0';
        talker_acknowledge(&anna);
    }
    cr_assert_str_eq(talker_heard(&bob), "");
    cr_assert_eq(one.entry_count, 0);
    cr_assert_eq(stats_get(one.stats.messages_expired), 1500);
    end();
}
