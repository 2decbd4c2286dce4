/* What the client keeps on its disk: ranges, identity, names, the outbox's history, the inbox. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/client_rig.h"
#include "tools/client/link.h"
#include "tools/client/ranges.h"

TestSuite(state, .timeout = 60);

static struct client_rig rig;

static void begin(void) {
    client_rig_begin(&rig);
}

static void end(void) {
    client_rig_end(&rig);
}

/* --- ranges --------------------------------------------------------------------------------------------- */

#define NUMBERS 64

static void compare(struct disk_view set, const bool *model) {
    uint64_t from = 0, first, last, count = 0, expected = 0;
    bool found[NUMBERS] = {false};
    while (ranges_next(rig.state->vault, set, from, &first, &last) == 0) {
        cr_assert(from == 0 || first > from, "ranges do not touch");
        for (uint64_t i = first; i <= last; i++)
            found[i] = true;
        from = last + 1;
    }
    for (int i = 0; i < NUMBERS; i++) {
        cr_assert_eq(found[i], model[i], "%d", i);
        expected += model[i];
    }
    cr_assert_eq(ranges_count(rig.state->vault, set, 0, UINT64_MAX, &count), 0);
    cr_assert_eq(count, expected);
}

/* Beside two other sets, whose names are before and behind. */
Test(state, ranges_are_a_set_of_numbers_whatever_is_added_and_taken_out, .init = begin, .fini = end) {
    struct disk_view set = {.at = (const uint8_t *)"setB", .bytes = 4};
    struct disk_view before = {.at = (const uint8_t *)"setA", .bytes = 4},
                     behind = {.at = (const uint8_t *)"setC", .bytes = 4};
    bool model[NUMBERS] = {false};
    uint64_t first, last;
    srandom(7);
    cr_assert_eq(state_begin(rig.state), 0);
    cr_assert_eq(ranges_add(rig.state->vault, before, 0, UINT64_MAX), 0);
    cr_assert_eq(ranges_add(rig.state->vault, behind, 5, 5), 0);
    for (int i = 0; i < 5000; i++) {
        uint64_t from = (uint64_t)random() % NUMBERS, to = from + (uint64_t)random() % 8;
        bool add = random() % 2;
        to = to < NUMBERS ? to : NUMBERS - 1;
        cr_assert_eq(add ? ranges_add(rig.state->vault, set, from, to)
                         : ranges_remove(rig.state->vault, set, from, to),
                     0);
        for (uint64_t n = from; n <= to; n++)
            model[n] = add;
        compare(set, model);
    }
    cr_assert_eq(ranges_next(rig.state->vault, before, 3, &first, &last), 0);
    cr_assert(first == 3 && last == UINT64_MAX);
    cr_assert_eq(ranges_next(rig.state->vault, behind, 0, &first, &last), 0);
    cr_assert(first == 5 && last == 5);
    cr_assert_eq(state_commit(rig.state), 0);
}

Test(state, ranges_know_the_largest_numbers, .init = begin, .fini = end) {
    struct disk_view set = {.at = (const uint8_t *)"set", .bytes = 3};
    uint64_t first, last, count;
    cr_assert_eq(state_begin(rig.state), 0);
    cr_assert_eq(ranges_add(rig.state->vault, set, UINT64_MAX, UINT64_MAX), 0);
    cr_assert_eq(ranges_add(rig.state->vault, set, UINT64_MAX - 2, UINT64_MAX - 1), 0);
    cr_assert_eq(ranges_next(rig.state->vault, set, UINT64_MAX, &first, &last), 0);
    cr_assert(first == UINT64_MAX && last == UINT64_MAX);
    cr_assert_eq(ranges_count(rig.state->vault, set, 0, UINT64_MAX, &count), 0);
    cr_assert_eq(count, 3);
    cr_assert_eq(ranges_remove(rig.state->vault, set, 0, UINT64_MAX), 0);
    cr_assert_eq(ranges_next(rig.state->vault, set, 0, &first, &last), -ENOENT);
    state_end(rig.state);
}

/* --- transactions --------------------------------------------------------------------------------------- */

Test(state, a_transaction_that_met_an_error_keeps_nothing, .init = begin, .fini = end) {
    uint64_t account;
    cr_assert_eq(state_begin(rig.state), 0);
    state_learn_name(rig.state, 5, "five", 4);
    state_note(rig.state, -ENOSPC);
    cr_assert_eq(state_commit(rig.state), -ENOSPC);
    cr_assert_eq(state_look(rig.state), 0);
    cr_assert_eq(state_find_account(rig.state, "five", &account), -ENOENT);
    state_end(rig.state);
}

Test(state, whose_a_forgotten_name_was_is_known, .init = begin, .fini = end) {
    uint64_t account = 0;
    cr_assert_eq(state_begin(rig.state), 0);
    cr_assert_eq(state_find_holder(rig.state, "five", &account), -ENOENT);
    state_learn_name(rig.state, 5, "five", 4);
    cr_assert_eq(state_find_holder(rig.state, "five", &account), 0);
    cr_assert_eq(account, 5);
    cr_assert_eq(state_forget_account(rig.state, 5), 0);
    cr_assert_eq(state_forget_account(rig.state, 5), 0);
    cr_assert_eq(state_find_account(rig.state, "five", &account), -ENOENT);
    account = 0;
    cr_assert_eq(state_find_holder(rig.state, "five", &account), 0);
    cr_assert_eq(account, 5);
    state_learn_name(rig.state, 6, "five", 4);
    cr_assert_eq(state_find_holder(rig.state, "five", &account), 0);
    cr_assert_eq(account, 6);
    cr_assert_eq(state_forget_account(rig.state, 6), 0);
    cr_assert_eq(state_find_holder(rig.state, "five", &account), 0);
    cr_assert_eq(account, 6);
    cr_assert_eq(state_commit(rig.state), 0);
}

Test(state, a_state_of_a_newer_version_is_refused, .init = begin, .fini = end) {
    struct key key = key_of(KEY_VERSION);
    uint8_t version[4];
    bytes_put32(version, 2);
    cr_assert_eq(state_begin(rig.state), 0);
    state_put(rig.state, &key, version, sizeof(version));
    cr_assert_eq(state_commit(rig.state), 0);
    engine_destroy(rig.engine);
    state_close(rig.state);
    struct state *state = NULL;
    cr_assert_eq(state_open(rig.folder, &state), -EPROTO);
    cr_assert_null(state);
    struct disk *disk;
    cr_assert_eq(disk_open(rig.folder, STATE_BYTES_MAX, &disk), 0);
    bytes_put32(version, 1);
    cr_assert_eq(disk_begin(disk, true), 0);
    cr_assert_eq(disk_put(disk, key_view(&key), (struct disk_view){.at = version, .bytes = 4}), 0);
    cr_assert_eq(disk_commit(disk), 0);
    disk_close(disk);
    cr_assert_eq(state_open(rig.folder, &rig.state), 0);
    cr_assert_eq(engine_create(rig.state, &rig.engine), 0);
}

/* --- who this device is --------------------------------------------------------------------------------- */

Test(state, linking_again_with_the_same_account_keeps_the_key, .init = begin, .fini = end) {
    struct uri uri = {.host = "::1", .port = 1, .name = "alice", .account = 9, .key = {1}, .code = {2}};
    struct identity first, second;
    cr_assert_eq(link_prepare(rig.state, &uri), -EEXIST, "the rig's identity is another account's");
    struct key key = key_of(KEY_IDENTITY);
    cr_assert_eq(state_begin(rig.state), 0);
    state_delete(rig.state, &key);
    cr_assert_eq(state_commit(rig.state), 0);
    cr_assert_eq(link_prepare(rig.state, &uri), 0);
    cr_assert_eq(state_look(rig.state), 0);
    cr_assert_eq(state_identity(rig.state, &first), 0);
    state_end(rig.state);
    cr_assert_neq(first.epoch, 0);
    cr_assert_not(first.is_linked);
    cr_assert_str_eq(first.host, "::1");
    uri.code[0] = 3;
    cr_assert_eq(link_prepare(rig.state, &uri), 0);
    cr_assert_eq(state_begin(rig.state), 0);
    cr_assert_eq(state_identity(rig.state, &second), 0);
    cr_assert_arr_eq(second.secret, first.secret, sizeof(first.secret));
    cr_assert_eq(second.epoch, first.epoch);
    cr_assert_eq(second.code[0], 3);
    second.is_linked = true;
    state_set_identity(rig.state, &second);
    cr_assert_eq(state_commit(rig.state), 0);
    cr_assert_eq(link_prepare(rig.state, &uri), 1);
    uri.key[0] = 9;
    cr_assert_eq(link_prepare(rig.state, &uri), -EEXIST, "another switch");
}

/* --- outbox and inbox ----------------------------------------------------------------------------------- */

Test(state, the_history_of_what_was_sent_is_bounded, .init = begin, .fini = end) {
    struct outgoing message = {.to = RIG_OTHER, .payload = (const uint8_t *)"text", .payload_bytes = 4};
    uint64_t number, position = 0, count = 0;
    cr_assert_eq(state_begin(rig.state), 0);
    for (int i = 0; i < OUTBOX_HISTORY_MAX + 50; i++)
        cr_assert_eq(state_outbox_add(rig.state, &message, &number), 0);
    cr_assert_eq(state_outbox_count(rig.state), OUTBOX_HISTORY_MAX + 50);
    cr_assert_eq(state_outbox_bytes(rig.state), 4 * (OUTBOX_HISTORY_MAX + 50));
    while (state_outbox_history(rig.state, position + 1, &position, &message) == 0)
        count++;
    cr_assert_eq(count, OUTBOX_HISTORY_MAX);
    cr_assert_eq(message.number, OUTBOX_HISTORY_MAX + 50);
    cr_assert_eq(state_commit(rig.state), 0);
}

Test(state, a_message_over_the_limit_is_refused_before_it_gets_a_number, .init = begin, .fini = end) {
    struct outgoing message = {.to = RIG_OTHER, .payload_bytes = FRAME_PAYLOAD_BYTES_MAX + 1};
    uint64_t number = 0;
    cr_assert_eq(state_begin(rig.state), 0);
    cr_assert_eq(state_outbox_add(rig.state, &message, &number), -EMSGSIZE);
    cr_assert_eq(state_commit(rig.state), 0);
    cr_assert_eq(client_rig_send(&rig, "fits"), 1);
}

static enum inbox_take taken_as(uint64_t number) {
    struct frame_message message = {
        .id = {.from = RIG_OTHER, .to = RIG_ACCOUNT, .epoch = 5, .number = number, .from_device = 1},
        .payload = (const uint8_t *)"text",
        .payload_bytes = 4};
    enum inbox_take take = INBOX_DUPLICATE;
    cr_assert_eq(state_inbox_take(rig.state, &message, RIG_ACCOUNT, &take), 0);
    return take;
}

static void take(uint64_t number) {
    cr_assert_eq(taken_as(number), INBOX_FRESH);
}

/* The switch keeps the order, so what comes behind a later one was held back; but below the first that came
 * here, order says nothing. */
Test(state, what_comes_behind_a_later_message_is_not_taken_for_a_repetition, .init = begin, .fini = end) {
    struct message_id id = {.from = RIG_OTHER, .to = RIG_ACCOUNT, .epoch = 5, .number = 7, .from_device = 1};
    cr_assert_eq(state_begin(rig.state), 0);
    take(5);
    take(6);
    take(10);
    cr_expect_eq(taken_as(4), INBOX_PASSED);
    cr_expect_eq(taken_as(6), INBOX_DUPLICATE);
    cr_expect_eq(taken_as(7), INBOX_BEHIND);
    cr_expect_eq(taken_as(9), INBOX_BEHIND);
    cr_expect_eq(state_inbox_behind_told(rig.state, &id, RIG_ACCOUNT), 0);
    cr_expect_eq(taken_as(7), INBOX_PASSED, "told once");
    cr_expect_eq(taken_as(8), INBOX_BEHIND);
    cr_expect_eq(taken_as(10), INBOX_DUPLICATE);
    take(5000);
    cr_expect_eq(taken_as(4999), INBOX_BEHIND);
    cr_expect_eq(taken_as(4000), INBOX_BEHIND);
    cr_expect_eq(taken_as(3999), INBOX_DUPLICATE, "so many are kept in mind");
    cr_assert_eq(state_commit(rig.state), 0);
}

static uint64_t oldest_in_inbox(void) {
    struct received message = {0};
    cr_assert_eq(state_inbox_next(rig.state, 0, &message), 0);
    return message.position;
}

Test(state, the_inbox_keeps_what_nobody_has_seen_and_a_bounded_rest, .init = begin, .fini = end) {
    cr_assert_eq(state_begin(rig.state), 0);
    for (uint64_t i = 1; i <= 1000; i++)
        take(i);
    state_inbox_set_listened(rig.state, 100);
    cr_assert_eq(oldest_in_inbox(), 101);
    state_inbox_set_chatted(rig.state, 102);
    cr_assert_eq(oldest_in_inbox(), 101, "not seen by anybody");
    state_inbox_set_chatted(rig.state, 101);
    cr_assert_eq(oldest_in_inbox(), 103);
    state_inbox_set_listened(rig.state, 1000);
    cr_assert_eq(oldest_in_inbox(), 1000 - INBOX_KEPT + 1);
    cr_assert_eq(state_inbox_listened(rig.state), 1000);
    cr_assert_eq(state_commit(rig.state), 0);
}

Test(state, unread_is_counted_by_account_and_read_once, .init = begin, .fini = end) {
    uint64_t count, account;
    cr_assert_eq(state_begin(rig.state), 0);
    for (uint64_t i = 1; i <= 5; i++)
        take(i);
    cr_assert_eq(state_inbox_unread(rig.state, RIG_OTHER, &count), 0);
    cr_assert_eq(count, 5);
    cr_assert_eq(state_inbox_unread(rig.state, RIG_OTHER + 1, &count), 0);
    cr_assert_eq(count, 0);
    cr_assert_eq(state_inbox_unread_account(rig.state, 0, &account), 0);
    cr_assert_eq(account, RIG_OTHER);
    struct message_id one = {.from = RIG_OTHER, .to = RIG_ACCOUNT, .epoch = 5, .number = 2, .from_device = 1};
    cr_assert_eq(state_inbox_read(rig.state, &one), 0);
    cr_assert_eq(state_inbox_unread(rig.state, 0, &count), 0);
    cr_assert_eq(count, 4);
    cr_assert_eq(state_inbox_read_all(rig.state, RIG_OTHER, &count), 0);
    cr_assert_eq(count, 4);
    cr_assert_eq(state_inbox_read_all(rig.state, RIG_OTHER, &count), 0);
    cr_assert_eq(count, 0);
    cr_assert_eq(state_inbox_unread_account(rig.state, 0, &account), -ENOENT);
    cr_assert_eq(state_commit(rig.state), 0);
}
