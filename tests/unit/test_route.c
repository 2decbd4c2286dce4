/* The way of messages through a shard: what is refused, who is told, and that nobody waits for ever. */
#include "tests/support/talker.h"

TestSuite(route, .timeout = 30);

#define ANNA 1
#define BOB 2

static struct talker anna = {.account = ANNA, .conn = 0}, laptop = {.account = ANNA, .device = 2, .conn = 1},
                     bob = {.account = BOB, .conn = 2};

static void begin(uint64_t unticked_max) {
    one_shard_begin();
    one.config.unticked_max = unticked_max;
    talker_begin_accounts();
}

static void end(void) {
    talker_go(&anna);
    talker_go(&laptop);
    talker_go(&bob);
    one_shard_end();
}

static void block(struct talker *talker, uint64_t account, bool on) {
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    struct frame_block body = {.account = account, .on = on};
    talker_put(talker, out, frame_write_block(out, FRAME_BLOCK, &body));
    talker_talk(talker);
}

Test(route, account_does_not_block_itself) {
    begin(10);
    talker_come(&anna);
    block(&anna, ANNA, true);
    cr_assert_str_eq(talker_heard(&anna), "b9 ", "targets");
    talker_say(&anna, ANNA, 1);
    talker_acknowledge(&anna);
    cr_assert_str_eq(talker_heard(&anna), "m1 r1-1:3 ");
    block(&anna, ANNA, false);
    cr_assert_str_eq(talker_heard(&anna), "b0 ");
    end();
}

/* The other device has a copy, and gets to know that it failed; who sent it learns why when that is safe. */
Test(route, final_refusal_is_told_to_the_senders_other_devices_first) {
    begin(10);
    talker_load(ANNA, 2, 0);
    talker_come(&bob);
    block(&bob, ANNA, true);
    talker_come(&anna);
    talker_come(&laptop);
    talker_say(&anna, BOB, 1);
    cr_assert_str_eq(talker_heard(&laptop), "m1 r1-1:8 ");
    cr_assert_str_eq(talker_heard(&anna), "", "the laptop may not have it yet");
    cr_assert_eq(session_at(one.shard, anna.conn)->unticked, 0);
    talker_acknowledge(&laptop);
    cr_assert_str_eq(talker_heard(&anna), "x1:3 ");
    end();
}

Test(route, final_refusal_waits_on_disk_for_a_device_that_is_away) {
    begin(10);
    talker_load(ANNA, 2, 0);
    talker_come(&bob);
    block(&bob, ANNA, true);
    talker_come(&anna);
    talker_say(&anna, BOB, 1);
    cr_assert_str_eq(talker_heard(&anna), "x1:3 ");
    cr_assert_eq(one.entry_count, 2, "the copy and its receipt");
    talker_come(&laptop);
    cr_assert_str_eq(talker_heard(&laptop), "m1 r1-1:8 ");
    end();
}

Test(route, what_was_never_accepted_is_told_to_the_sending_session_alone) {
    begin(10);
    one.shard->config.payload_bytes_max = 4;
    talker_load(ANNA, 2, 0);
    talker_come(&anna);
    talker_come(&laptop);
    talker_say(&anna, BOB, 1);
    cr_assert_str_eq(talker_heard(&anna), "x1:5 ");
    cr_assert_str_eq(talker_heard(&laptop), "");
    end();
}

/* The failed receipt of a message that only a revoked device held is in memory. If a crash takes it, the
 * sender has no tick, so it sends the message again, and is answered by the account as it is then. */
Test(route, message_of_a_revoked_device_is_answered_again_after_a_crash) {
    begin(10);
    talker_come(&bob);
    talker_come(&anna);
    talker_say(&anna, BOB, 1);
    cr_assert_str_eq(talker_heard(&bob), "m1 ");
    cr_assert_str_eq(talker_heard(&anna), "", "Bob's device did not acknowledge it");
    cr_assert_eq(one.entry_count, 0, "it is in memory alone");
    bob.items = 0;
    talker_revoke(BOB, 1);
    peer_destroy(bob.peer);
    bob.peer = NULL;
    one.conns[anna.conn].out_bytes = 0; /* what was said to Anna is lost with the crash */
    cr_assert_eq(one.entry_count, 0, "nothing of it is on disk");
    end();

    begin(10);
    account_find(&one.shard->accounts, BOB)->devices[0]->flags = DEVICE_REVOKED;
    account_find(&one.shard->accounts, BOB)->device_count = 0;
    talker_come(&anna);
    talker_say(&anna, BOB, 1);
    cr_assert_str_eq(talker_heard(&anna), "x1:2 ", "no device");
    end();

    begin(10);
    account_find(&one.shard->accounts, BOB)->devices[0]->flags = DEVICE_REVOKED;
    talker_load(BOB, 2, 0);
    account_find(&one.shard->accounts, BOB)->device_count = 1;
    talker_come(&anna);
    talker_say(&anna, BOB, 1);
    cr_assert_str_eq(talker_heard(&anna), "r1-1:1 ", "the new device gets it");
    end();
}

static const char *both_hear(void) {
    static char text[2 * sizeof(anna.heard) + 2];
    int used = snprintf(text, sizeof(text), "%s| ", talker_heard(&anna));
    snprintf(text + used, sizeof(text) - (size_t)used, "%s", talker_heard(&bob));
    return text;
}

/* Each sends more than it may, its acknowledgements behind that: neither is read, so each waits for what the
 * other says later. */
static void both_exceed_their_limit(void) {
    talker_come(&anna);
    talker_come(&bob);
    for (uint64_t number = 1; number <= 4; number++) {
        talker_put_message(&anna, BOB, number);
        talker_put_message(&bob, ANNA, number);
    }
    talker_talk(&anna);
    talker_talk(&bob);
    talker_talk(&anna);
    cr_assert_str_eq(both_hear(), "m1 m2 | m1 m2 ");
    talker_put_ack(&anna, 2);
    talker_put_ack(&bob, 2);
    cr_assert_str_eq(both_hear(), "| ", "the acknowledgements wait behind what is not read");
    talker_pass_time(one.config.spill_ms / 2);
    cr_assert_str_eq(both_hear(), "| ");
}

Test(route, two_over_their_limits_are_freed_by_the_spill) {
    begin(2);
    both_exceed_their_limit();
    talker_pass_time(one.config.spill_ms);
    cr_assert_str_eq(both_hear(), "r1-2:1 m3 m4 r1-2:2 | r1-2:1 m3 m4 r1-2:2 ",
                     "safe on disk, so the next are read, and the acknowledgements behind them");
    end();
}

Test(route, two_over_their_limits_are_refused_where_the_store_takes_nothing) {
    begin(2);
    both_exceed_their_limit();
    one.store_full = true;
    talker_pass_time(one.config.spill_ms);
    cr_assert_str_eq(both_hear(), "x3:14 x4:14 r1-2:3 | x3:14 x4:14 r1-2:3 ");
    end();
}
