/* A session's rules on the receiving side: items, acknowledgements, duplicates, marks; and the rest of a
 * session. */
#include <criterion/criterion.h>

#include "core/reason.h"
#include "tests/support/client_rig.h"

TestSuite(engine_receive, .timeout = 60);

static struct client_rig rig;

static void begin(void) {
    client_rig_begin(&rig);
}

static void end(void) {
    client_rig_end(&rig);
}

static uint64_t inbox_count(void) {
    struct received message;
    uint64_t count = 0, position = 0;
    cr_assert_eq(state_look(rig.state), 0);
    for (; state_inbox_next(rig.state, position, &message) == 0; position = message.position + 1)
        count++;
    state_end(rig.state);
    return count;
}

static void expect_mark(uint8_t flag, uint64_t first, uint64_t last) {
    struct frame_range range;
    struct frame frame = client_rig_expect(&rig, FRAME_MARK);
    cr_assert_eq(frame_read_range(&frame, &range), 0);
    cr_assert_eq(frame.flags, flag);
    cr_assert_eq(range.id.from, RIG_OTHER);
    cr_assert_eq(range.id.to, RIG_ACCOUNT);
    cr_assert_eq(range.id.number, first);
    cr_assert_eq(range.last, last);
    cr_assert_eq(range.time_ms, 0);
}

static void say_confirm(uint8_t flags, uint64_t first, uint64_t last) {
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    struct frame_range range = {
        .id = {.from = RIG_OTHER, .to = RIG_ACCOUNT, .epoch = 5, .number = first, .from_device = 1},
        .last = last};
    cr_assert_eq(client_rig_say(&rig, out, frame_write_range(out, FRAME_CONFIRM, flags, &range)), 0);
}

static void read_all(void) {
    uint64_t count;
    cr_assert_eq(state_begin(rig.state), 0);
    cr_assert_eq(state_inbox_read_all(rig.state, RIG_OTHER, &count), 0);
    cr_assert_eq(state_commit(rig.state), 0);
}

/* The name of a sender that is not known is asked for; not what these tests are about. */
static void know_other(void) {
    begin();
    cr_assert_eq(state_begin(rig.state), 0);
    state_learn_name(rig.state, RIG_OTHER, "other", 5);
    cr_assert_eq(state_commit(rig.state), 0);
}

Test(engine_receive, a_burst_is_one_commit_and_one_acknowledgement, .init = know_other, .fini = end) {
    client_rig_connect(&rig);
    uint64_t before = state_version(rig.state);
    for (uint64_t i = 1; i <= 1000; i++)
        cr_assert_eq(client_rig_say_message(&rig, i, "text"), 0);
    cr_assert_eq(state_version(rig.state), before + 1, "the open transaction's");
    cr_assert_eq(client_rig_turn(&rig), 0);
    client_rig_expect_ack(&rig, 1000);
    client_rig_expect_nothing(&rig);
    cr_assert_eq(state_version(rig.state), before + 1);
    cr_assert_eq(inbox_count(), 1000);
}

Test(engine_receive, a_duplicate_is_acknowledged_again_and_not_shown, .init = know_other, .fini = end) {
    client_rig_connect(&rig);
    client_rig_say_message(&rig, 1, "one");
    client_rig_say_message(&rig, 2, "two");
    client_rig_say_message(&rig, 1, "one");
    cr_assert_eq(client_rig_turn(&rig), 0);
    client_rig_expect_ack(&rig, 3);
    client_rig_restart(&rig);
    client_rig_connect(&rig);
    expect_mark(RECEIPT_DELIVERED, 1, 2);
    client_rig_say_message(&rig, 2, "two");
    client_rig_say_message(&rig, 3, "three");
    cr_assert_eq(client_rig_turn(&rig), 0);
    client_rig_expect_ack(&rig, 2);
    cr_assert_eq(inbox_count(), 3);
}

/* Linked while 1 and 2 were on their way: they come when they are sent again, behind 3. */
Test(engine_receive, what_was_sent_before_the_first_message_here_is_passed_over_and_not_delivered,
     .init = know_other, .fini = end) {
    client_rig_connect(&rig);
    client_rig_say_message(&rig, 3, "three");
    client_rig_say_message(&rig, 2, "two");
    client_rig_say_message(&rig, 3, "three");
    cr_assert_eq(client_rig_turn(&rig), 0);
    expect_mark(RECEIPT_FAILED, 2, 2);
    client_rig_expect_ack(&rig, 3);
    client_rig_restart(&rig);
    client_rig_connect(&rig);
    expect_mark(RECEIPT_DELIVERED, 3, 3);
    client_rig_say_message(&rig, 1, "one");
    cr_assert_eq(client_rig_turn(&rig), 0);
    expect_mark(RECEIPT_FAILED, 1, 1);
    client_rig_expect_ack(&rig, 1);
    cr_assert_eq(inbox_count(), 1);
}

static int fail_commit(void *context, struct state *state) {
    (void)context, (void)state;
    return -ENOSPC;
}

Test(engine_receive, nothing_is_acknowledged_that_was_not_committed, .init = know_other, .fini = end) {
    client_rig_connect(&rig);
    engine_set_before_commit(rig.engine, fail_commit, NULL);
    client_rig_say_message(&rig, 1, "one");
    cr_assert_eq(client_rig_turn(&rig), -ENOSPC);
    client_rig_expect_nothing(&rig);
    cr_assert_eq(engine_disk_error(rig.engine), -ENOSPC);
    cr_assert_eq(inbox_count(), 0);
    cr_assert_eq(client_rig_say_message(&rig, 2, "two"), -ENOSPC, "nothing goes on");
    client_rig_restart(&rig);
    client_rig_connect(&rig);
    client_rig_say_message(&rig, 1, "one");
    cr_assert_eq(client_rig_turn(&rig), 0);
    client_rig_expect_ack(&rig, 1);
    cr_assert_eq(inbox_count(), 1);
}

Test(engine_receive, what_was_not_committed_is_forgotten_with_the_connection, .init = know_other,
     .fini = end) {
    client_rig_connect(&rig);
    client_rig_say_message(&rig, 1, "one");
    client_rig_disconnect(&rig);
    cr_assert_eq(inbox_count(), 0);
    client_rig_connect(&rig);
    client_rig_say_message(&rig, 1, "one");
    cr_assert_eq(client_rig_turn(&rig), 0);
    client_rig_expect_ack(&rig, 1);
    cr_assert_eq(inbox_count(), 1);
}

Test(engine_receive, marks_are_repeated_in_each_session_until_confirmed, .init = know_other, .fini = end) {
    client_rig_connect(&rig);
    for (uint64_t i = 1; i <= 5; i++)
        client_rig_say_message(&rig, i, "text");
    client_rig_say_message(&rig, 8, "after a gap that failed");
    cr_assert_eq(client_rig_turn(&rig), 0);
    client_rig_restart(&rig);
    client_rig_connect(&rig);
    expect_mark(RECEIPT_DELIVERED, 1, 5);
    expect_mark(RECEIPT_DELIVERED, 8, 8);
    client_rig_expect_nothing(&rig);
    say_confirm(RECEIPT_DELIVERED, 2, 3);
    say_confirm(RECEIPT_DELIVERED, 8, 8);
    cr_assert_eq(client_rig_turn(&rig), 0);
    client_rig_restart(&rig);
    client_rig_connect(&rig);
    expect_mark(RECEIPT_DELIVERED, 1, 1);
    expect_mark(RECEIPT_DELIVERED, 4, 5);
    client_rig_expect_nothing(&rig);
}

Test(engine_receive, reading_is_told_once_in_a_session_and_again_in_the_next, .init = know_other,
     .fini = end) {
    client_rig_connect(&rig);
    for (uint64_t i = 1; i <= 3; i++)
        client_rig_say_message(&rig, i, "text");
    say_confirm(RECEIPT_DELIVERED, 1, 3);
    cr_assert_eq(client_rig_turn(&rig), 0);
    read_all();
    cr_assert_eq(client_rig_turn(&rig), 0);
    expect_mark(RECEIPT_READ, 1, 3);
    client_rig_send(&rig, "the state changes");
    cr_assert_eq(client_rig_turn(&rig), 0);
    client_rig_expect_message(&rig, 1, true);
    client_rig_expect_nothing(&rig);
    client_rig_restart(&rig);
    client_rig_connect(&rig);
    expect_mark(RECEIPT_READ, 1, 3);
    say_confirm(RECEIPT_READ, 1, 3);
    cr_assert_eq(client_rig_turn(&rig), 0);
    client_rig_restart(&rig);
    client_rig_connect(&rig);
    client_rig_expect_message(&rig, 1, true);
    client_rig_expect_nothing(&rig);
}

/* The switch may not have had the memory to confirm. */
Test(engine_receive, reading_is_told_again_after_a_while, .init = know_other, .fini = end) {
    client_rig_connect(&rig);
    client_rig_say_message(&rig, 1, "text");
    cr_assert_eq(client_rig_turn(&rig), 0);
    read_all();
    cr_assert_eq(client_rig_turn(&rig), 0);
    expect_mark(RECEIPT_READ, 1, 1);
    rig.now_ms = engine_due_ms(rig.engine);
    cr_assert_eq(client_rig_turn(&rig), 0);
    bool told = false;
    for (; rig.frame_at < rig.frame_count; rig.frame_at++)
        told |= rig.frames[rig.frame_at].type == FRAME_MARK;
    cr_assert(told);
}

Test(engine_receive, copies_of_what_other_own_devices_sent_are_not_marked, .init = know_other, .fini = end) {
    uint8_t out[FRAME_MESSAGE_BYTES + 8];
    struct frame_message copy = {
        .id = {.from = RIG_ACCOUNT, .to = RIG_OTHER, .epoch = 9, .number = 1, .from_device = RIG_DEVICE + 1},
        .payload = (const uint8_t *)"copy",
        .payload_bytes = 4};
    client_rig_connect(&rig);
    cr_assert_eq(client_rig_say(&rig, out, frame_write_message(out, &copy)), 0);
    cr_assert_eq(client_rig_turn(&rig), 0);
    client_rig_expect_ack(&rig, 1);
    cr_assert_eq(inbox_count(), 1);
    client_rig_restart(&rig);
    client_rig_connect(&rig);
    client_rig_expect_nothing(&rig);
}

Test(engine_receive, a_message_that_is_nobodys_ends_the_session, .init = begin, .fini = end) {
    uint8_t out[FRAME_MESSAGE_BYTES];
    struct frame_message foreign = {.id = {.from = 98, .to = 99, .number = 1}};
    client_rig_connect(&rig);
    cr_assert_eq(client_rig_say(&rig, out, frame_write_message(out, &foreign)), -EPROTO);
}

/* --- the rest ------------------------------------------------------------------------------------------- */

Test(engine_receive, asks_for_the_name_of_a_sender_it_does_not_know, .init = begin, .fini = end) {
    struct frame_lookup lookup;
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    char name[FRAME_NAME_BYTES_MAX + 1];
    client_rig_connect(&rig);
    client_rig_say_message(&rig, 1, "text");
    cr_assert_eq(client_rig_turn(&rig), 0);
    client_rig_expect_ack(&rig, 1);
    struct frame frame = client_rig_expect(&rig, FRAME_LOOKUP);
    cr_assert_eq(frame_read_lookup(&frame, &lookup), 0);
    cr_assert_eq(lookup.account, RIG_OTHER);
    lookup.name = "other";
    lookup.name_bytes = 5;
    cr_assert_eq(client_rig_say(&rig, out, frame_write_lookup(out, FRAME_ACCOUNT, &lookup)), 0);
    cr_assert_eq(client_rig_turn(&rig), 0);
    client_rig_expect_nothing(&rig);
    cr_assert_eq(state_look(rig.state), 0);
    cr_assert_eq(state_find_name(rig.state, RIG_OTHER, name), 0);
    cr_assert_str_eq(name, "other");
    struct ask ask;
    cr_assert_eq(state_request_next(rig.state, NULL, &ask), -ENOENT);
    state_end(rig.state);
}

Test(engine_receive, a_question_is_asked_again_in_the_next_session, .init = begin, .fini = end) {
    struct ask ask = {.kind = ASK_BLOCK, .account = RIG_OTHER, .on = true};
    struct frame_block block;
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    cr_assert_eq(state_begin(rig.state), 0);
    state_request_put(rig.state, &ask);
    cr_assert_eq(state_commit(rig.state), 0);
    client_rig_connect(&rig);
    client_rig_expect(&rig, FRAME_BLOCK);
    client_rig_restart(&rig);
    client_rig_connect(&rig);
    struct frame frame = client_rig_expect(&rig, FRAME_BLOCK);
    cr_assert_eq(frame_read_block(&frame, &block), 0);
    cr_assert(block.on);
    block.status = REFUSAL_NO_ACCOUNT;
    cr_assert_eq(client_rig_say(&rig, out, frame_write_block(out, FRAME_BLOCKED, &block)), 0);
    cr_assert_eq(client_rig_turn(&rig), 0);
    cr_assert_eq(state_look(rig.state), 0);
    cr_assert_eq(state_request_get(rig.state, &ask), 0);
    state_end(rig.state);
    cr_assert(ask.is_answered);
    cr_assert_eq(ask.status, REFUSAL_NO_ACCOUNT);
}

/* What the state knows of a name; 0: nothing. */
static uint64_t account_of(const char *name) {
    uint64_t account = 0;
    cr_assert_eq(state_look(rig.state), 0);
    state_find_account(rig.state, name, &account);
    state_end(rig.state);
    return account;
}

Test(engine_receive, whose_name_it_is_is_forgotten_with_the_account, .init = know_other, .fini = end) {
    char name[FRAME_NAME_BYTES_MAX + 1];
    client_rig_connect(&rig);
    uint64_t number = client_rig_send(&rig, "text");
    cr_assert_eq(client_rig_turn(&rig), 0);
    client_rig_expect_message(&rig, number, true);
    cr_assert_eq(account_of("other"), RIG_OTHER);
    cr_assert_eq(client_rig_say_refused(&rig, number, REFUSAL_NO_ACCOUNT, 0), 0);
    cr_assert_eq(client_rig_turn(&rig), 0);
    cr_assert_eq(account_of("other"), 0, "it may be another account's by now");
    cr_assert_eq(state_look(rig.state), 0);
    cr_assert_eq(state_find_name(rig.state, RIG_OTHER, name), 0, "messages of it are still to be shown");
    state_end(rig.state);
}

Test(engine_receive, name_of_another_account_by_now_is_not_forgotten, .init = know_other, .fini = end) {
    client_rig_connect(&rig);
    uint64_t number = client_rig_send(&rig, "text");
    cr_assert_eq(client_rig_turn(&rig), 0);
    client_rig_expect_message(&rig, number, true);
    cr_assert_eq(state_begin(rig.state), 0);
    state_learn_name(rig.state, RIG_OTHER + 1, "other", 5);
    cr_assert_eq(state_commit(rig.state), 0);
    cr_assert_eq(client_rig_say_refused(&rig, number, REFUSAL_NO_ACCOUNT, 0), 0);
    cr_assert_eq(client_rig_turn(&rig), 0);
    cr_assert_eq(account_of("other"), RIG_OTHER + 1);
}

Test(engine_receive, answers_pings_and_notices_a_silent_switch, .init = begin, .fini = end) {
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    uint64_t opaque;
    client_rig_connect(&rig);
    cr_assert_eq(client_rig_say(&rig, out, frame_write_ping(out, FRAME_PING, 42)), 0);
    cr_assert_eq(client_rig_turn(&rig), 0);
    struct frame frame = client_rig_expect(&rig, FRAME_PONG);
    cr_assert_eq(frame_read_ping(&frame, &opaque), 0);
    cr_assert_eq(opaque, 42);
    rig.now_ms = engine_due_ms(rig.engine);
    cr_assert_eq(client_rig_turn(&rig), 0);
    client_rig_expect(&rig, FRAME_PING);
    cr_assert_eq(client_rig_say(&rig, out, frame_write_ping(out, FRAME_PONG, 1)), 0);
    rig.now_ms = engine_due_ms(rig.engine);
    cr_assert_eq(client_rig_turn(&rig), 0);
    rig.now_ms = engine_due_ms(rig.engine);
    cr_assert_eq(client_rig_turn(&rig), 0);
    client_rig_expect(&rig, FRAME_PING);
    rig.now_ms = engine_due_ms(rig.engine);
    cr_assert_eq(client_rig_turn(&rig), -ETIMEDOUT);
}

Test(engine_receive, says_when_to_come_back_and_why_it_was_closed, .init = begin, .fini = end) {
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    struct frame_close body = {.after_ms = 1234, .reason = CLOSE_DRAINING};
    client_rig_connect(&rig);
    cr_assert_eq(client_rig_say(&rig, out, frame_write_close(out, FRAME_RECONNECT, &body)), 0);
    client_rig_disconnect(&rig);
    cr_assert_eq(engine_come_back_ms(rig.engine), 1234);
    client_rig_connect(&rig);
    cr_assert_eq(engine_come_back_ms(rig.engine), 0);
    body = (struct frame_close){.reason = CLOSE_REVOKED};
    cr_assert_eq(client_rig_say(&rig, out, frame_write_close(out, FRAME_CLOSE, &body)), 0);
    client_rig_disconnect(&rig);
    cr_assert_eq(engine_close_reason(rig.engine), CLOSE_REVOKED);
}
