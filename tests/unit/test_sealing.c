/* Devices that write to each other, sealed: who gets what, when what is asked for, and what happens when the
 * devices change, keys run out, or a process ends between any two transactions. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "core/reason.h"
#include "tests/support/sealed_rig.h"
#include "tools/client/state_channels.h"

TestSuite(sealing, .timeout = 120);

#define ALICE 1
#define BOB 2
#define DAY_S 86400u

static struct sealed_rig rig;

static void begin(void) {
    sealed_rig_begin(&rig);
}

static void end(void) {
    sealed_rig_end(&rig);
}

static void say(struct sealed_device *device, uint64_t to, const char *text) {
    sealed_say(&rig, device, to, text);
}

/* The message with this number is in the outbox, and its sealed form beside it. */
static bool is_sealed(struct sealed_device *device, uint64_t to, uint64_t number) {
    struct sealed sealed;
    cr_assert_eq(state_look(device->state), 0);
    int error = sealing_get(device->state, to, number, &sealed);
    state_end(device->state);
    return error == 0;
}

Test(sealing, a_message_reaches_a_device_that_was_never_heard_of, .init = begin, .fini = end) {
    struct sealed_device *alice = sealed_join(&rig, ALICE), *bob = sealed_join(&rig, BOB);
    sealed_settle(&rig);
    say(alice, BOB, "hello");
    sealed_settle(&rig);
    cr_assert_str_eq(sealed_shown(bob, 0), "hello|");
    cr_assert_str_eq(sealed_shown(alice, 0), "");
    cr_assert_eq(sealed_left(alice), 0);
    cr_assert_not(is_sealed(alice, BOB, 1), "it left the outbox");
    cr_assert_eq(sealed_contact(bob, ALICE).news, CONTACT_FIRST);
    cr_assert(sealed_contact(bob, ALICE).has_key);
}

Test(sealing, two_that_begin_at_once_end_up_in_one_channel, .init = begin, .fini = end) {
    struct sealed_device *alice = sealed_join(&rig, ALICE), *bob = sealed_join(&rig, BOB);
    sealed_settle(&rig);
    say(alice, BOB, "from alice");
    say(bob, ALICE, "from bob");
    sealed_send(&rig, alice);
    sealed_send(&rig, bob);
    sealed_settle(&rig);
    for (int i = 0; i < 6; i++) {
        say(i % 2 ? alice : bob, i % 2 ? BOB : ALICE, "more");
        sealed_settle(&rig);
    }
    cr_assert_str_eq(sealed_shown(bob, 0), "from alice|more|more|more|");
    cr_assert_str_eq(sealed_shown(alice, 0), "from bob|more|more|more|");
    struct channels channels[2];
    cr_assert_eq(state_look(alice->state), 0);
    cr_assert_eq(state_channels_get(alice->state, (struct x3dh_address){BOB, 1}, &channels[0]), 0);
    state_end(alice->state);
    cr_assert_eq(state_look(bob->state), 0);
    cr_assert_eq(state_channels_get(bob->state, (struct x3dh_address){ALICE, 1}, &channels[1]), 0);
    state_end(bob->state);
    cr_assert(channel_began_with(channels_active(&channels[0]), &channels_active(&channels[1])->header));
    channels_fini(&channels[0]);
    channels_fini(&channels[1]);
}

Test(sealing, every_device_of_both_accounts_gets_each_message_once, .init = begin, .fini = end) {
    struct sealed_device *alice[3], *bob[3];
    for (int i = 0; i < 3; i++) {
        alice[i] = sealed_join(&rig, ALICE);
        bob[i] = sealed_join(&rig, BOB);
    }
    sealed_settle(&rig);
    for (int i = 0; i < 3; i++) {
        say(alice[i], BOB, "a");
        say(bob[i], ALICE, "b");
    }
    sealed_settle(&rig);
    say(alice[1], BOB, "again");
    say(bob[2], BOB, "to my others");
    sealed_settle(&rig);
    for (int i = 0; i < 3; i++) {
        const char *shown = sealed_shown(alice[i], 0);
        cr_assert_eq(strlen(shown), i == 1 ? 10 : 16, "%d: %s", i, shown);
        shown = sealed_shown(bob[i], 0);
        cr_assert_eq(strlen(shown), i == 2 ? 16 : 29, "%d: %s", i, shown);
    }
    /* Five others each, and one question for the keys of an account; a channel is begun by one side or
     * both. */
    cr_assert_leq(rig.keys_given, 6 * 5);
    cr_assert_eq(sealed_count(bob[0], TROUBLE_FORGED), 0);
}

Test(sealing, a_lost_message_hinders_no_later_one, .init = begin, .fini = end) {
    struct sealed_device *alice = sealed_join(&rig, ALICE), *bob = sealed_join(&rig, BOB);
    sealed_settle(&rig);
    say(alice, BOB, "lost");
    sealed_send(&rig, alice);
    free((void *)bob->queue[0].payload);
    bob->queued = 0;
    say(alice, BOB, "second");
    sealed_settle(&rig);
    cr_assert_str_eq(sealed_shown(bob, 0), "second|");
}

Test(sealing, what_is_sent_again_is_the_same_bytes_until_the_devices_change, .init = begin, .fini = end) {
    struct sealed_device *alice = sealed_join(&rig, ALICE);
    sealed_join(&rig, BOB);
    sealed_settle(&rig);
    say(alice, BOB, "first");
    sealed_settle(&rig);
    uint64_t number = sealed_say(&rig, alice, BOB, "second");
    static uint8_t before[65536];
    struct sealed sealed;
    uint16_t reason;
    for (int i = 0; i < 3; i++) {
        if (i == 2)
            sealed_join(&rig, BOB);
        if (i == 2) {
            const uint16_t missing = 2;
            cr_assert_eq(state_begin(alice->state), 0);
            cr_assert_eq(answers_targets(alice->state, &alice->own, BOB, &missing, 1, NULL, 0), 0);
            cr_assert_eq(state_commit(alice->state), 0);
            cr_assert_not(is_sealed(alice, BOB, number));
        }
        int error = -EAGAIN;
        for (int tries = 0; tries < 4 && error == -EAGAIN; tries++) {
            cr_assert_eq(state_begin(alice->state), 0);
            error = sealing_seal(alice->state, &alice->own, BOB, number, rig.now_s, &reason);
            cr_assert_eq(state_commit(alice->state), 0);
            sealed_answer(&rig, alice);
        }
        cr_assert_eq(error, 0);
        cr_assert_eq(state_look(alice->state), 0);
        cr_assert_eq(sealing_get(alice->state, BOB, number, &sealed), 0);
        cr_assert_eq(sealed.targets, i == 2 ? 2 : 1);
        if (i == 1)
            cr_assert_arr_eq(before, sealed.payload, sealed.payload_bytes);
        memcpy(before, sealed.payload, sealed.payload_bytes);
        state_end(alice->state);
    }
}

Test(sealing, a_new_device_gets_what_comes_after_it, .init = begin, .fini = end) {
    struct sealed_device *alice = sealed_join(&rig, ALICE), *bob = sealed_join(&rig, BOB);
    sealed_settle(&rig);
    say(alice, BOB, "before");
    sealed_settle(&rig);
    struct sealed_device *phone = sealed_join(&rig, BOB);
    sealed_answer(&rig, phone);
    say(alice, BOB, "after");
    sealed_settle(&rig);
    cr_assert_eq(rig.refused, 1, "the switch named the new device");
    cr_assert_str_eq(sealed_shown(phone, 0), "after|");
    cr_assert_str_eq(sealed_shown(bob, 0), "before|after|");
    say(bob, ALICE, "answer");
    sealed_settle(&rig);
    cr_assert_str_eq(sealed_shown(phone, 0), "after|answer|", "what the other device sent");
    cr_assert_str_eq(sealed_shown(alice, 0), "answer|");
}

Test(sealing, a_device_that_is_gone_gets_nothing_more, .init = begin, .fini = end) {
    struct sealed_device *alice = sealed_join(&rig, ALICE), *bob = sealed_join(&rig, BOB);
    struct sealed_device *phone = sealed_join(&rig, BOB);
    sealed_settle(&rig);
    say(alice, BOB, "before");
    sealed_settle(&rig);
    sealed_cut(phone);
    say(alice, BOB, "cut off");
    sealed_settle(&rig);
    cr_assert_str_eq(sealed_shown(bob, 0), "before|cut off|");
    cr_assert_eq(rig.refused, 1);
    sealed_list(&rig, BOB);
    say(alice, BOB, "off the list");
    say(bob, ALICE, "hi");
    sealed_settle(&rig);
    cr_assert_str_eq(sealed_shown(bob, 0), "before|cut off|off the list|");
    cr_assert_str_eq(sealed_shown(phone, 0), "before|");
    cr_assert_eq(phone->queued, 0);
    cr_assert_str_eq(sealed_shown(alice, 0), "hi|");
}

Test(sealing, without_a_device_a_message_is_refused_for_good_and_the_next_one_asks_again, .init = begin,
     .fini = end) {
    struct sealed_device *alice = sealed_join(&rig, ALICE);
    sealed_settle(&rig);
    say(alice, BOB, "too early");
    sealed_settle(&rig);
    cr_assert_eq(rig.reason, REFUSAL_NO_DEVICE);
    cr_assert_eq(sealed_left(alice), 0);
    struct sealed_device *bob = sealed_join(&rig, BOB);
    say(alice, BOB, "in time");
    sealed_settle(&rig);
    cr_assert_str_eq(sealed_shown(bob, 0), "in time|");
}

Test(sealing, a_message_to_the_own_account_goes_to_the_own_others, .init = begin, .fini = end) {
    struct sealed_device *alice = sealed_join(&rig, ALICE);
    sealed_settle(&rig);
    say(alice, ALICE, "nobody else is there");
    sealed_settle(&rig);
    cr_assert_eq(rig.reason, REFUSAL_NO_DEVICE);
    cr_assert_eq(sealed_left(alice), 0);
    struct sealed_device *phone = sealed_join(&rig, ALICE);
    sealed_settle(&rig);
    say(alice, ALICE, "a note");
    sealed_settle(&rig);
    cr_assert_str_eq(sealed_shown(phone, 0), "a note|");
    cr_assert_str_eq(sealed_shown(alice, 0), "");
}

Test(sealing, a_message_fails_only_by_an_answer_that_is_younger_than_it, .init = begin, .fini = end) {
    struct sealed_device *alice = sealed_join(&rig, ALICE), *bob = sealed_join(&rig, BOB);
    uint16_t signed_id = (uint16_t)bob->stock.signed_id;
    sealed_settle(&rig);
    bob->stock.signed_id = 0; /* listed, nothing published yet */
    say(alice, BOB, "too early");
    sealed_settle(&rig);
    cr_assert_eq(rig.reason, REFUSAL_NO_DEVICE);
    cr_assert(contact_is_gone(&(struct contact[]){sealed_contact(alice, BOB)}[0], 1));
    bob->stock.signed_id = signed_id;
    say(alice, BOB, "in time");
    sealed_settle(&rig);
    cr_assert_str_eq(sealed_shown(bob, 0), "in time|");
    bob->stock.signed_id = 0; /* the same again, where the answer is about another device */
    struct sealed_device *phone = sealed_join(&rig, BOB);
    say(alice, BOB, "to one");
    sealed_settle(&rig);
    phone->stock.signed_id = 0;
    bob->stock.signed_id = signed_id;
    say(alice, BOB, "to the other");
    sealed_settle(&rig);
    cr_assert_str_eq(sealed_shown(bob, 0), "in time|to the other|");
    rig.keys_status = REFUSAL_BLOCKED;
    phone->stock.signed_id = 1;
    sealed_join(&rig, BOB);
    say(alice, BOB, "blocked");
    uint32_t asked = rig.asked;
    sealed_settle(&rig);
    cr_assert_eq(rig.reason, REFUSAL_BLOCKED);
    cr_assert_leq(rig.asked, asked + 6, "asked again and again");
    rig.keys_status = 0;
    say(alice, BOB, "unblocked");
    sealed_settle(&rig);
    cr_assert_str_eq(sealed_shown(bob, 0), "in time|to the other|unblocked|");
}

Test(sealing, an_own_account_that_is_suspended_ends_no_message, .init = begin, .fini = end) {
    struct sealed_device *alice = sealed_join(&rig, ALICE), *bob = sealed_join(&rig, BOB);
    sealed_settle(&rig);
    say(alice, BOB, "hello");
    sealed_settle(&rig);
    sealed_join(&rig, ALICE);
    rig.keys_status = REFUSAL_SUSPENDED;
    say(alice, BOB, "again");
    sealed_settle(&rig);
    cr_assert_eq(rig.reason, REFUSAL_SUSPENDED);
    cr_assert_eq(sealed_left(alice), 1);
    rig.keys_status = 0;
    rig.now_s += SEALING_RETRY_S;
    sealed_settle(&rig);
    cr_assert_str_eq(sealed_shown(bob, 0), "hello|again|");
}

Test(sealing, a_text_that_is_too_long_for_so_many_devices_is_refused_for_good, .init = begin, .fini = end) {
    struct sealed_device *alice = sealed_join(&rig, ALICE), *bob = sealed_join(&rig, BOB);
    static char text[8192];
    sealed_join(&rig, BOB);
    sealed_settle(&rig);
    alice->own.payload_bytes_max = 4096;
    say(alice, BOB, "hi");
    sealed_settle(&rig);
    cr_assert_eq(state_look(alice->state), 0);
    uint32_t bytes_max = sealing_bytes_max(alice->state, &alice->own, BOB);
    state_end(alice->state);
    cr_assert(bytes_max > 1500 && bytes_max < 2048, "%u", bytes_max);
    memset(text, 'x', bytes_max);
    say(alice, BOB, text);
    sealed_settle(&rig);
    cr_assert_eq(strlen(sealed_shown(bob, 0)), 3 + bytes_max + 1);
    text[bytes_max] = 'x';
    say(alice, BOB, text);
    say(alice, BOB, "goes on");
    sealed_settle(&rig);
    cr_assert_eq(rig.reason, REFUSAL_TOO_LARGE);
    cr_assert_eq(strlen(sealed_shown(bob, 0)), 3 + bytes_max + 1 + 8);
}

Test(sealing, keys_that_may_not_be_asked_for_hold_a_message_until_they_may, .init = begin, .fini = end) {
    struct sealed_device *alice = sealed_join(&rig, ALICE), *bob = sealed_join(&rig, BOB);
    sealed_settle(&rig);
    rig.keys_status = REFUSAL_RATE;
    say(alice, BOB, "patience");
    sealed_settle(&rig);
    cr_assert_eq(rig.reason, REFUSAL_RATE);
    cr_assert_eq(sealed_left(alice), 1);
    uint32_t asked = rig.asked;
    sealed_settle(&rig);
    cr_assert_eq(rig.asked, asked, "not asked again at once");
    rig.keys_status = 0;
    rig.now_s += SEALING_RETRY_S;
    sealed_settle(&rig);
    cr_assert_str_eq(sealed_shown(bob, 0), "patience|");
}

Test(sealing, one_time_keys_are_used_once_and_deleted, .init = begin, .fini = end) {
    struct sealed_device *alice = sealed_join(&rig, ALICE), *bob = sealed_join(&rig, BOB);
    struct prekey prekey;
    sealed_settle(&rig);
    say(alice, BOB, "uses the first");
    sealed_send(&rig, alice);
    cr_assert_eq(state_look(bob->state), 0);
    cr_assert_eq(state_keys_one_time(bob->state, 1, &prekey), 0);
    state_end(bob->state);
    sealed_settle(&rig);
    cr_assert_str_eq(sealed_shown(bob, 0), "uses the first|");
    cr_assert_eq(state_look(bob->state), 0);
    cr_assert_eq(state_keys_one_time(bob->state, 1, &prekey), -ENOENT);
    cr_assert_eq(state_keys_one_time(bob->state, 2, &prekey), 0);
    state_end(bob->state);
    bob->one_time_count = 0; /* without any it goes on */
    struct sealed_device *carol = sealed_join(&rig, 3);
    sealed_settle(&rig);
    say(carol, BOB, "without one");
    sealed_settle(&rig);
    cr_assert_str_eq(sealed_shown(bob, 0), "uses the first|without one|");
}

Test(sealing, a_message_for_the_signed_key_before_last_opens_until_its_month_is_over, .init = begin,
     .fini = end) {
    struct sealed_device *alice = sealed_join(&rig, ALICE), *bob = sealed_join(&rig, BOB);
    struct sealed_device *carol = sealed_join(&rig, 3);
    sealed_settle(&rig);
    say(alice, BOB, "in time");
    say(carol, BOB, "too late");
    sealed_send(&rig, alice);
    sealed_send(&rig, carol);
    struct frame_message late = bob->queue[1];
    bob->queued = 1;
    rig.now_s += 7 * DAY_S;
    sealed_publish(&rig, bob);
    cr_assert_eq(bob->stock.signed_id, 2);
    rig.now_s += 30 * DAY_S;
    sealed_publish(&rig, bob);
    sealed_take(&rig, bob);
    sealed_settle(&rig);
    cr_assert_str_eq(sealed_shown(bob, 0), "in time|");
    rig.now_s += 1;
    sealed_publish(&rig, bob);
    bob->queue[bob->queued++] = late;
    sealed_settle(&rig);
    cr_assert_eq(sealed_count(bob, TROUBLE_NO_KEY), 1);
    say(carol, BOB, "healed");
    sealed_settle(&rig);
    cr_assert_not_null(strstr(sealed_shown(bob, 0), "|healed|"));
}

Test(sealing, what_people_see_of_the_outbox_is_the_text, .init = begin, .fini = end) {
    struct sealed_device *alice = sealed_join(&rig, ALICE);
    struct outgoing message = {.to = BOB, .payload = (const uint8_t *)"", .payload_bytes = 0}, shown;
    uint64_t number, position = 0;
    say(alice, BOB, "text");
    cr_assert_eq(state_begin(alice->state), 0);
    cr_assert_eq(sealing_add(alice->state, &message, INNER_NOTHING, &number), 0);
    cr_assert_eq(state_outbox_history(alice->state, 0, &position, &shown), 0);
    cr_assert_eq(shown.payload_bytes, 4);
    cr_assert_arr_eq(shown.payload, "text", 4);
    cr_assert_eq(state_outbox_history(alice->state, position + 1, &position, &shown), -ENOENT);
    state_end(alice->state);
}

/* --- a process ends ------------------------------------------------------------------------------------- */

static void talk(void) {
    struct sealed_device *alice = &rig.accounts[ALICE].devices[1], *bob = &rig.accounts[BOB].devices[1];
    say(alice, BOB, "one");
    say(alice, BOB, "two");
    say(bob, ALICE, "uno");
    sealed_settle(&rig);
    say(bob, ALICE, "due");
    say(alice, BOB, "three");
    sealed_settle(&rig);
}

Test(sealing, a_process_that_ends_in_any_transaction_loses_and_doubles_nothing, .init = begin, .fini = end) {
    uint32_t commits = 0;
    for (uint32_t crash_at = 0; crash_at <= commits; crash_at++) {
        if (crash_at) {
            sealed_rig_end(&rig);
            sealed_rig_begin(&rig);
        }
        struct sealed_device *alice = sealed_join(&rig, ALICE), *bob = sealed_join(&rig, BOB);
        struct sealed_device *phone = sealed_join(&rig, BOB);
        sealed_settle(&rig);
        rig.commits = 0;
        rig.crash_at = crash_at;
        talk();
        if (crash_at == 0)
            commits = rig.commits;
        cr_assert_str_eq(sealed_shown(bob, 0), "one|two|three|", "crash in commit %u", crash_at);
        cr_assert_str_eq(sealed_shown(alice, 0), "uno|due|", "crash in commit %u", crash_at);
        cr_assert_eq(strlen(sealed_shown(phone, 0)), 22, "crash in commit %u: %s", crash_at,
                     sealed_shown(phone, 0));
        cr_assert_eq(sealed_left(alice) + sealed_left(bob), 0);
    }
    cr_assert_gt(commits, 20);
}
