/* A session's rules on the sending side: order, resending, refusals, the window, ticks. */
#include <criterion/criterion.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/reason.h"
#include "tests/support/client_rig.h"

TestSuite(engine, .timeout = 10);

static struct client_rig rig;

static void begin(void) {
    client_rig_begin(&rig);
}

static void end(void) {
    client_rig_end(&rig);
}

static uint64_t outbox_count(void) {
    cr_assert_eq(state_look(rig.state), 0);
    uint64_t count = state_outbox_count(rig.state);
    state_end(rig.state);
    return count;
}

Test(engine, sends_in_order_and_flags_the_first_of_a_session, .init = begin, .fini = end) {
    for (int i = 0; i < 3; i++)
        client_rig_send(&rig, "text");
    client_rig_connect(&rig);
    client_rig_expect_message(&rig, 1, true);
    client_rig_expect_message(&rig, 2, false);
    client_rig_expect_message(&rig, 3, false);
    client_rig_expect_nothing(&rig);
    client_rig_send(&rig, "new");
    cr_assert_eq(client_rig_turn(&rig), 0);
    client_rig_expect_message(&rig, 4, false);
}

Test(engine, sends_again_after_a_reconnect_what_has_no_sent_tick, .init = begin, .fini = end) {
    for (int i = 0; i < 4; i++)
        client_rig_send(&rig, "text");
    client_rig_connect(&rig);
    client_rig_say_receipt(&rig, 1, 2, RECEIPT_SENT);
    client_rig_say_receipt(&rig, 4, 4, RECEIPT_DELIVERED);
    cr_assert_eq(client_rig_turn(&rig), 0);
    client_rig_expect_ack(&rig, 2);
    client_rig_restart(&rig);
    client_rig_connect(&rig);
    client_rig_expect_message(&rig, 3, true);
    client_rig_expect_message(&rig, 4, false);
    client_rig_expect_nothing(&rig);
    cr_assert_eq(outbox_count(), 2);
}

Test(engine, numbers_rise_across_restarts, .init = begin, .fini = end) {
    cr_assert_eq(client_rig_send(&rig, "a"), 1);
    client_rig_connect(&rig);
    client_rig_say_receipt(&rig, 1, 1, RECEIPT_SENT | RECEIPT_DELIVERED);
    cr_assert_eq(client_rig_turn(&rig), 0);
    client_rig_restart(&rig);
    cr_assert_eq(client_rig_send(&rig, "b"), 2);
    client_rig_connect(&rig);
    client_rig_expect_message(&rig, 2, true);
}

Test(engine, waits_after_a_refusal_and_sends_from_the_lowest_unticked_on, .init = begin, .fini = end) {
    for (int i = 0; i < 4; i++)
        client_rig_send(&rig, "text");
    client_rig_connect(&rig);
    client_rig_say_receipt(&rig, 1, 1, RECEIPT_SENT);
    client_rig_say_refused(&rig, 2, REFUSAL_STORE_FULL, 1000);
    client_rig_say_refused(&rig, 3, REFUSAL_OUT_OF_ORDER, 250);
    client_rig_say_refused(&rig, 4, REFUSAL_OUT_OF_ORDER, 250);
    cr_assert_eq(client_rig_turn(&rig), 0);
    client_rig_expect_ack(&rig, 1);
    client_rig_expect_nothing(&rig);
    client_rig_send(&rig, "new");
    rig.now_ms += 999;
    cr_assert_eq(client_rig_turn(&rig), 0);
    client_rig_expect_nothing(&rig);
    cr_assert_eq(engine_due_ms(rig.engine), rig.now_ms + 1);
    rig.now_ms += 1;
    cr_assert_eq(client_rig_turn(&rig), 0);
    client_rig_expect_message(&rig, 2, true);
    client_rig_expect_message(&rig, 3, false);
    client_rig_expect_message(&rig, 4, false);
    client_rig_expect_message(&rig, 5, false);
}

Test(engine, a_final_refusal_fails_that_message_alone, .init = begin, .fini = end) {
    uint8_t flags;
    uint16_t reason = 0;
    client_rig_send(&rig, "one");
    client_rig_send(&rig, "two");
    client_rig_connect(&rig);
    client_rig_say_refused(&rig, 1, REFUSAL_BLOCKED, 0);
    client_rig_say_receipt(&rig, 2, 2, RECEIPT_SENT);
    cr_assert_eq(client_rig_turn(&rig), 0);
    cr_assert_eq(client_rig_ticks(&rig, 1), RECEIPT_FAILED);
    cr_assert_eq(client_rig_ticks(&rig, 2), RECEIPT_SENT);
    cr_assert_eq(outbox_count(), 0);
    cr_assert_eq(state_look(rig.state), 0);
    state_outbox_ticks(rig.state, RIG_OTHER, 1, &flags, &reason);
    state_end(rig.state);
    cr_assert_eq(reason, REFUSAL_BLOCKED);
}

Test(engine, a_message_larger_than_the_switch_takes_fails_without_being_sent, .init = begin, .fini = end) {
    char large[200];
    memset(large, 'x', sizeof(large) - 1);
    large[sizeof(large) - 1] = 0;
    rig.payload_bytes_max = 100;
    client_rig_send(&rig, "one");
    client_rig_send(&rig, large);
    client_rig_send(&rig, "three");
    client_rig_connect(&rig);
    client_rig_expect_message(&rig, 1, true);
    client_rig_expect_message(&rig, 3, false);
    client_rig_expect_nothing(&rig);
    cr_assert_eq(client_rig_ticks(&rig, 2), RECEIPT_FAILED);
}

Test(engine, keeps_its_window, .init = begin, .fini = end) {
    rig.unticked_max = 20;
    for (int i = 0; i < 30; i++)
        client_rig_send(&rig, "text");
    client_rig_connect(&rig);
    for (uint64_t i = 1; i <= 10; i++)
        client_rig_expect_message(&rig, i, i == 1);
    client_rig_expect_nothing(&rig);
    client_rig_say_receipt(&rig, 1, 4, RECEIPT_SENT);
    cr_assert_eq(client_rig_turn(&rig), 0);
    client_rig_expect_ack(&rig, 1);
    for (uint64_t i = 11; i <= 14; i++)
        client_rig_expect_message(&rig, i, false);
    client_rig_expect_nothing(&rig);
}

Test(engine, ticks_only_go_forward_in_whatever_order_they_come, .init = begin, .fini = end) {
    client_rig_send(&rig, "text");
    client_rig_send(&rig, "other");
    client_rig_connect(&rig);
    client_rig_say_receipt(&rig, 1, 1, RECEIPT_DELIVERED);
    cr_assert_eq(client_rig_turn(&rig), 0);
    cr_assert_eq(client_rig_ticks(&rig, 1), 0, "delivered is not shown before sent");
    client_rig_say_receipt(&rig, 1, 1, RECEIPT_SENT);
    cr_assert_eq(client_rig_turn(&rig), 0);
    cr_assert_eq(client_rig_ticks(&rig, 1), RECEIPT_SENT | RECEIPT_DELIVERED);
    client_rig_say_receipt(&rig, 1, 1, RECEIPT_FAILED);
    client_rig_say_receipt(&rig, 1, 1, RECEIPT_READ);
    cr_assert_eq(client_rig_turn(&rig), 0);
    cr_assert_eq(client_rig_ticks(&rig, 1), RECEIPT_SENT | RECEIPT_DELIVERED | RECEIPT_READ);
    client_rig_say_receipt(&rig, 2, 2, RECEIPT_SENT | RECEIPT_FAILED);
    cr_assert_eq(client_rig_turn(&rig), 0);
    cr_assert_eq(client_rig_ticks(&rig, 2), RECEIPT_FAILED);
}

/* How many of all messages show this. */
static uint64_t count_ticked(uint8_t flag) {
    uint64_t count = 0;
    cr_assert_eq(state_look(rig.state), 0);
    cr_assert_eq(state_outbox_ticked(rig.state, RIG_OTHER, 1, UINT64_MAX, flag, &count), 0);
    state_end(rig.state);
    return count;
}

/* Failed can be the word of one target, while the message is not safe for another one. */
Test(engine, a_message_that_failed_for_one_target_is_kept_until_it_is_sent, .init = begin, .fini = end) {
    client_rig_send(&rig, "one");
    client_rig_send(&rig, "two");
    client_rig_connect(&rig);
    client_rig_say_receipt(&rig, 1, 1, RECEIPT_FAILED);
    cr_assert_eq(client_rig_turn(&rig), 0);
    cr_assert_eq(client_rig_ticks(&rig, 1), 0);
    cr_assert_eq(outbox_count(), 2);
    client_rig_say_receipt(&rig, 1, 1, RECEIPT_SENT);
    cr_assert_eq(client_rig_turn(&rig), 0);
    cr_assert_eq(client_rig_ticks(&rig, 1), RECEIPT_FAILED);
    cr_assert_eq(count_ticked(RECEIPT_FAILED), 1);
    cr_assert_eq(count_ticked(RECEIPT_SENT), 0, "shown as failed, not as sent as well");
    client_rig_say_receipt(&rig, 1, 1, RECEIPT_DELIVERED);
    cr_assert_eq(client_rig_turn(&rig), 0);
    cr_assert_eq(client_rig_ticks(&rig, 1), RECEIPT_SENT | RECEIPT_DELIVERED, "another target has it");
    cr_assert_eq(count_ticked(RECEIPT_FAILED), 0);
}

Test(engine, a_refusal_for_good_is_the_last_word, .init = begin, .fini = end) {
    for (int i = 0; i < 3; i++)
        client_rig_send(&rig, "text");
    client_rig_connect(&rig);
    client_rig_say_receipt(&rig, 1, 3, RECEIPT_DELIVERED);
    client_rig_say_refused(&rig, 2, REFUSAL_QUEUE_FULL, 0);
    client_rig_say_receipt(&rig, 1, 3, RECEIPT_SENT | RECEIPT_FAILED);
    cr_assert_eq(client_rig_turn(&rig), 0);
    cr_assert_eq(client_rig_ticks(&rig, 1), RECEIPT_SENT | RECEIPT_DELIVERED);
    cr_assert_eq(client_rig_ticks(&rig, 2), RECEIPT_FAILED);
    cr_assert_eq(client_rig_ticks(&rig, 3), RECEIPT_SENT | RECEIPT_DELIVERED);
    cr_assert_eq(count_ticked(RECEIPT_FAILED), 1);
    cr_assert_eq(count_ticked(RECEIPT_SENT), 2);
    cr_assert_eq(count_ticked(RECEIPT_DELIVERED), 2);
    client_rig_say_refused(&rig, 3, REFUSAL_BLOCKED, 0);
    cr_assert_eq(client_rig_turn(&rig), 0);
    cr_assert_eq(client_rig_ticks(&rig, 3), RECEIPT_SENT | RECEIPT_DELIVERED,
                 "only a repetition was refused");
}

Test(engine, ignores_ticks_of_other_devices_epochs_and_unused_numbers, .init = begin, .fini = end) {
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    struct frame_range range = {.id = {.from = RIG_ACCOUNT,
                                       .to = RIG_OTHER,
                                       .epoch = RIG_EPOCH,
                                       .number = 1,
                                       .from_device = RIG_DEVICE + 1},
                                .last = 1};
    client_rig_send(&rig, "text");
    client_rig_connect(&rig);
    client_rig_say(&rig, out, frame_write_range(out, FRAME_RECEIPT, RECEIPT_SENT, &range));
    range.id.from_device = RIG_DEVICE;
    range.id.epoch++;
    client_rig_say(&rig, out, frame_write_range(out, FRAME_RECEIPT, RECEIPT_SENT, &range));
    client_rig_say_receipt(&rig, 2, UINT64_MAX, RECEIPT_SENT);
    cr_assert_eq(client_rig_turn(&rig), 0);
    client_rig_expect_ack(&rig, 3);
    cr_assert_eq(outbox_count(), 1);
    cr_assert_eq(client_rig_send(&rig, "next"), 2);
    cr_assert_eq(client_rig_ticks(&rig, 2), 0);
}

/* As `tern send` does while `tern listen` holds the connection. */
Test(engine, sends_what_another_process_put_into_the_outbox, .init = begin, .fini = end) {
    client_rig_connect(&rig);
    client_rig_expect_nothing(&rig);
    pid_t child = fork();
    if (child == 0) {
        struct state *state;
        struct outgoing message = {.to = RIG_OTHER, .payload = (const uint8_t *)"x", .payload_bytes = 1};
        uint64_t number;
        bool done = state_open(rig.folder, &state) == 0 && state_begin(state) == 0 &&
                    state_outbox_add(state, &message, &number) == 0 && state_commit(state) == 0;
        _exit(done ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    cr_assert_eq(status, 0);
    cr_assert_eq(client_rig_turn(&rig), 0);
    client_rig_expect_message(&rig, 1, true);
}

Test(engine, a_large_backlog_to_one_account_does_not_hold_up_another, .init = begin, .fini = end) {
    struct outgoing message = {.to = RIG_OTHER + 1, .payload = (const uint8_t *)"x", .payload_bytes = 1};
    uint64_t number;
    rig.unticked_max = 20;
    for (int i = 0; i < 100; i++)
        client_rig_send(&rig, "text");
    cr_assert_eq(state_begin(rig.state), 0);
    cr_assert_eq(state_outbox_add(rig.state, &message, &number), 0);
    cr_assert_eq(state_commit(rig.state), 0);
    client_rig_connect(&rig);
    for (uint64_t i = 1; i <= 10; i++)
        client_rig_expect_message(&rig, i, i == 1);
    client_rig_say_receipt(&rig, 1, 1, RECEIPT_SENT);
    cr_assert_eq(client_rig_turn(&rig), 0);
    client_rig_expect_ack(&rig, 1);
    struct frame_message sent;
    struct frame frame = client_rig_expect(&rig, FRAME_MESSAGE);
    cr_assert_eq(frame_read_message(&frame, &sent), 0);
    cr_assert_eq(sent.id.to, RIG_OTHER + 1, "the other account's turn comes");
}
