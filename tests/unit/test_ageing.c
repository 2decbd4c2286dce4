/* Secrets that nothing needs any more: when they end, and that they do not end before. */
#include <criterion/criterion.h>
#include <errno.h>

#include "tests/support/sealed_rig.h"
#include "tools/client/ageing.h"
#include "tools/client/answers.h"
#include "tools/client/naming.h"
#include "tools/client/pairing.h"
#include "tools/client/state_channels.h"

TestSuite(ageing, .timeout = 60);

#define ALICE 1
#define BOB 2

static struct sealed_rig rig;
static struct sealed_device *alice, *phone, *bob;

/* Everybody has channels with everybody. */
static void begin(void) {
    sealed_rig_begin(&rig);
    alice = sealed_join(&rig, ALICE);
    phone = sealed_join(&rig, ALICE);
    bob = sealed_join(&rig, BOB);
    sealed_settle(&rig);
    sealed_say(&rig, bob, ALICE, "to both");
    sealed_settle(&rig);
    sealed_say(&rig, phone, BOB, "from the phone");
    sealed_settle(&rig);
}

static void end(void) {
    sealed_rig_end(&rig);
}

static void age(struct sealed_device *device, uint64_t now_s) {
    cr_assert_eq(state_begin(device->state), 0);
    cr_assert_eq(ageing_run(device->state, now_s), 0);
    cr_assert_eq(state_commit(device->state), 0);
}

static bool has_channel(struct sealed_device *device, const struct sealed_device *with) {
    struct x3dh_address remote = {.account = with->own.account, .device = with->own.device};
    cr_assert_eq(state_look(device->state), 0);
    bool any = state_channels_any(device->state, remote);
    state_end(device->state);
    return any;
}

/* The list without the phone, which bob and alice hear of. */
static void take_the_phone_off(void) {
    sealed_cut(phone);
    sealed_list(&rig, ALICE);
    sealed_say(&rig, bob, ALICE, "to one");
    sealed_settle(&rig);
    struct contact contact = sealed_contact(bob, ALICE);
    cr_assert_eq(contact.former_count, 1);
    cr_assert_eq(contact.former[0].until_s, rig.now_s);
}

Test(ageing, channels_with_a_device_off_the_list_end_with_its_last_message, .init = begin, .fini = end) {
    take_the_phone_off();
    uint64_t over_s = rig.now_s + CONTACT_FORMER_SLACK_S + STATE_KEYS_TTL_S_MAX;
    age(bob, over_s);
    cr_assert(has_channel(bob, phone), "a message of thirty days may still come");
    age(bob, over_s + AGEING_S);
    cr_assert(!has_channel(bob, phone));
    cr_assert(has_channel(bob, alice), "who is on the list stays");
    cr_assert(has_channel(alice, phone));
    age(alice, over_s + 1);
    cr_assert(!has_channel(alice, phone), "of one's own account, too");
    cr_assert(has_channel(alice, bob));
}

Test(ageing, a_former_device_is_over_a_month_after_the_list_without_it, .init = begin, .fini = end) {
    take_the_phone_off();
    struct contact contact = sealed_contact(bob, ALICE);
    uint64_t over_s = rig.now_s + CONTACT_FORMER_SLACK_S + STATE_KEYS_TTL_S_MAX;
    cr_assert(!contact_is_over(&contact, phone->own.device, over_s));
    cr_assert(contact_is_over(&contact, phone->own.device, over_s + 1));
    cr_assert(!contact_is_over(&contact, alice->own.device, UINT64_MAX));
    contact.former_count = 0; /* more have left since than are remembered: nothing of it opens any more */
    cr_assert(contact_is_over(&contact, phone->own.device, 0));
}

/* Bob doubts alice's account: what the phone sent before it left waits for his word, however long. */
Test(ageing, a_channel_stays_for_what_waits_for_a_person, .init = begin, .fini = end) {
    cr_assert_eq(state_begin(bob->state), 0);
    naming_take(bob->state, &bob->own, ALICE, "alice");
    naming_take(bob->state, &bob->own, ALICE, "somebody");
    cr_assert_eq(state_commit(bob->state), 0);
    uint64_t seen = sealed_newest(bob);
    sealed_say(&rig, phone, BOB, "for when you trust me");
    sealed_settle(&rig);
    cr_assert_eq(sealed_waiting(bob, ALICE), 1);
    sealed_cut(phone);
    sealed_list(&rig, ALICE);
    cr_assert_eq(state_begin(bob->state), 0);
    answers_ask_list(bob->state, ALICE);
    cr_assert_eq(state_commit(bob->state), 0);
    sealed_settle(&rig);
    cr_assert_eq(sealed_contact(bob, ALICE).former_count, 1);
    rig.now_s += 2 * STATE_KEYS_TTL_S_MAX;
    age(bob, rig.now_s);
    cr_assert(has_channel(bob, phone));
    cr_assert_eq(state_begin(bob->state), 0);
    cr_assert_eq(answers_accept(bob->state, &bob->own, ALICE, true, rig.now_s), 0);
    cr_assert_eq(state_commit(bob->state), 0);
    sealed_settle(&rig);
    cr_assert_str_eq(sealed_shown(bob, seen), "for when you trust me|");
    age(bob, rig.now_s + AGEING_S);
    cr_assert(!has_channel(bob, phone));
}

Test(ageing, nothing_is_looked_through_twice_a_day_but_after_a_clock_that_was_ahead, .init = begin,
     .fini = end) {
    struct x3dh_address nobody = {.account = 77, .device = 1}; /* of an account that is not known */
    struct channels channels;
    take_the_phone_off();
    age(bob, rig.now_s + 1000 * AGEING_S);
    cr_assert(!has_channel(bob, phone));
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(state_begin(bob->state), 0);
        cr_assert_eq(
            state_channels_get(bob->state, (struct x3dh_address){.account = ALICE, .device = 1}, &channels),
            0);
        cr_assert_eq(state_channels_put(bob->state, nobody, &channels), 0);
        channels_fini(&channels);
        cr_assert_eq(state_commit(bob->state), 0);
        age(bob, rig.now_s + (uint64_t)i); /* the first of these looks, the second comes too soon */
        cr_assert_eq(state_look(bob->state), 0);
        cr_assert_eq(state_channels_any(bob->state, nobody), i == 1);
        state_end(bob->state);
    }
}

Test(ageing, an_invitation_ends_with_its_time, .init = begin, .fini = end) {
    static const uint8_t secret[PAIRING_SECRET_BYTES] = {1};
    struct key key = key_of(KEY_PAIRING);
    struct disk_view at, value;
    cr_assert_eq(state_begin(alice->state), 0);
    pairing_invite(alice->state, secret, rig.now_s + AGEING_S);
    cr_assert_eq(state_commit(alice->state), 0);
    for (int days = 1; days <= 2; days++) {
        age(alice, rig.now_s + (uint64_t)days * AGEING_S);
        cr_assert_eq(state_look(alice->state), 0);
        cr_assert_eq(state_seek(alice->state, &key, 1, &at, &value), days == 1 ? 0 : -ENOENT);
        state_end(alice->state);
    }
}
