/* What arrives sealed and does not simply open: it waits, or is named, counted and healed. And a directory
 * that lies: every attempt is noticed, and said to people. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "core/reason.h"
#include "tests/support/sealed_rig.h"
#include "tools/client/sharing.h"
#include "tools/client/state_channels.h"
#include "tools/client/state_request.h"

TestSuite(opening, .timeout = 120);

#define ALICE 1
#define BOB 2
#define CAROL 3

static struct sealed_rig rig;
static struct sealed_device *alice, *bob;

static void begin(void) {
    sealed_rig_begin(&rig);
    alice = sealed_join(&rig, ALICE);
    bob = sealed_join(&rig, BOB);
    sealed_settle(&rig);
}

static void begin_acquainted(void) {
    begin();
    sealed_say(&rig, alice, BOB, "hello");
    sealed_settle(&rig);
    sealed_say(&rig, bob, ALICE, "hello");
    sealed_settle(&rig);
}

static void end(void) {
    sealed_rig_end(&rig);
}

static void say(struct sealed_device *device, uint64_t to, const char *text) {
    sealed_say(&rig, device, to, text);
}

static void send_text(struct sealed_device *device, uint64_t to, const char *text) {
    say(device, to, text);
    sealed_send(&rig, device);
}

static void forget_channels(struct sealed_device *device, uint64_t account) {
    cr_assert_eq(state_begin(device->state), 0);
    cr_assert_eq(state_channels_delete_account(device->state, account), 0);
    cr_assert_eq(state_commit(device->state), 0);
}

static bool is_shown(struct sealed_device *device, const char *part) {
    return strstr(sealed_shown(device, 0), part) != NULL;
}

static uint32_t times_shown(struct sealed_device *device, const char *part) {
    uint32_t times = 0;
    for (const char *at = sealed_shown(device, 0); (at = strstr(at, part)); at++)
        times++;
    return times;
}

/* What the switch hands out as the list of this account, unasked as well as asked. */
static enum contact_news hand_out(struct sealed_device *device, uint64_t account, const uint8_t *list,
                                  size_t bytes) {
    enum contact_news news = 0;
    struct frame_list frame = {
        .account = account, .version = 99, .list = list, .list_bytes = (uint32_t)bytes};
    cr_assert_eq(state_begin(device->state), 0);
    cr_assert_eq(answers_list(device->state, &device->own, &frame, rig.now_s, &news), 0);
    cr_assert_eq(state_commit(device->state), 0);
    return news;
}

/* A list of BOB's by this key, of this version, with his first device and this one beside it. */
static size_t make_list(const struct identity_keys *keys, uint64_t version, uint16_t more, uint8_t *bytes) {
    struct devicelist list;
    struct devicelist_device device = {.number = more, .created_s = 5, .identity = {7}};
    cr_assert_eq(devicelist_read(&list, BOB, NULL, rig.accounts[BOB].list, rig.accounts[BOB].list_bytes), 0);
    list.version = version;
    if (more)
        cr_assert_eq(devicelist_add(&list, &device), 0);
    return devicelist_sign(&list, keys, bytes);
}

static struct identity_keys account_keys(struct sealed_device *device) {
    struct identity_keys keys;
    cr_assert_eq(state_look(device->state), 0);
    cr_assert_eq(state_keys_account(device->state, &keys), 0);
    state_end(device->state);
    return keys;
}

/* --- waiting -------------------------------------------------------------------------------------------- */

Test(opening, messages_of_an_unknown_account_wait_for_its_list_and_open_in_order, .init = begin,
     .fini = end) {
    for (int i = 0; i < 5; i++) {
        char text[] = {(char)('0' + i), 0};
        send_text(alice, BOB, text);
    }
    sealed_take(&rig, bob);
    cr_assert_eq(sealed_waiting(bob, ALICE), 5);
    cr_assert_str_eq(sealed_shown(bob, 0), "");
    sealed_restart(bob);
    sealed_answer(&rig, bob);
    cr_assert_eq(sealed_waiting(bob, ALICE), 0);
    cr_assert_str_eq(sealed_shown(bob, 0), "0|1|2|3|4|");
    cr_assert_eq(bob->passed, 0);
}

Test(opening, what_came_twice_while_it_waited_is_shown_once, .init = begin, .fini = end) {
    send_text(alice, BOB, "once");
    struct frame_message again = bob->queue[0];
    uint8_t *copy = malloc(again.payload_bytes);
    memcpy(copy, again.payload, again.payload_bytes);
    again.payload = copy;
    bob->queue[bob->queued++] = again;
    sealed_settle(&rig);
    cr_assert_str_eq(sealed_shown(bob, 0), "once|");
    cr_assert_eq(sealed_count(bob, TROUBLE_REPEATED), 1);
}

Test(opening, a_switch_that_gives_no_list_now_is_asked_again_in_the_next_session, .init = begin,
     .fini = end) {
    struct frame_list frame = {.account = ALICE, .status = REFUSAL_RATE};
    struct ask ask = {.kind = ASK_LIST, .account = ALICE};
    enum contact_news news;
    send_text(alice, BOB, "hello");
    sealed_take(&rig, bob);
    cr_assert_eq(state_begin(bob->state), 0);
    cr_assert_eq(answers_list(bob->state, &bob->own, &frame, rig.now_s, &news), 0);
    cr_assert_eq(news, 0);
    cr_assert_eq(state_request_get(bob->state, &ask), -ENOENT);
    cr_assert_eq(answers_ask_again(bob->state), 0);
    cr_assert_eq(state_request_get(bob->state, &ask), 0);
    cr_assert_eq(state_commit(bob->state), 0);
    sealed_answer(&rig, bob);
    cr_assert_str_eq(sealed_shown(bob, 0), "hello|");
}

Test(opening, a_new_device_of_a_known_account_waits_for_the_newer_list, .init = begin_acquainted,
     .fini = end) {
    struct sealed_device *phone = sealed_join(&rig, ALICE);
    sealed_answer(&rig, phone);
    send_text(phone, BOB, "from my phone");
    sealed_take(&rig, bob);
    cr_assert_eq(sealed_waiting(bob, ALICE), 1);
    sealed_answer(&rig, bob);
    cr_assert(is_shown(bob, "hello|from my phone|"));
    cr_assert_eq(sealed_contact(bob, ALICE).news, CONTACT_NEWER);
}

/* --- it does not open ----------------------------------------------------------------------------------- */

Test(opening, a_changed_message_is_named_and_passed_over_and_the_next_one_opens, .init = begin_acquainted,
     .fini = end) {
    send_text(alice, BOB, "changed");
    uint8_t *payload = (uint8_t *)bob->queue[0].payload;
    payload[bob->queue[0].payload_bytes - 1] ^= 1;
    struct frame_message again = bob->queue[0];
    uint8_t *copy = malloc(again.payload_bytes);
    memcpy(copy, again.payload, again.payload_bytes);
    again.payload = copy;
    sealed_take(&rig, bob);
    cr_assert_eq(bob->passed, 1);
    bob->queue[bob->queued++] = again; /* its word was lost */
    sealed_take(&rig, bob);
    cr_assert_eq(bob->passed, 2, "passed over again, not delivered");
    cr_assert_eq(sealed_count(bob, TROUBLE_FORGED), 1);
    cr_assert(is_shown(bob, "!a message could not be opened: it is not authentic"));
    say(alice, BOB, "next");
    sealed_settle(&rig);
    cr_assert(is_shown(bob, "|next|"));
}

Test(opening, a_renumbered_message_does_not_open, .init = begin_acquainted, .fini = end) {
    send_text(alice, BOB, "five");
    bob->queue[0].id.number = 5;
    sealed_take(&rig, bob);
    cr_assert_eq(sealed_count(bob, TROUBLE_FORGED), 1);
    cr_assert_not(is_shown(bob, "five"));
}

Test(opening, a_device_that_lost_its_channels_heals_from_either_side, .init = begin_acquainted, .fini = end) {
    forget_channels(bob, ALICE);
    say(alice, BOB, "lost");
    sealed_settle(&rig);
    cr_assert_eq(sealed_count(bob, TROUBLE_FORGED), 1);
    cr_assert_not(is_shown(bob, "lost|"));
    say(alice, BOB, "found");
    sealed_settle(&rig);
    cr_assert(is_shown(bob, "|found|"));
    cr_assert_eq(times_shown(alice, "|"), 1, "what brings a channel over is not shown: %s",
                 sealed_shown(alice, 0));
    forget_channels(alice, BOB);
    say(alice, BOB, "I begin");
    sealed_settle(&rig);
    cr_assert(is_shown(bob, "|I begin|"));
    cr_assert_eq(sealed_count(bob, TROUBLE_FORGED), 1);
}

Test(opening, healing_is_not_tried_for_every_message, .init = begin_acquainted, .fini = end) {
    uint32_t asked = rig.asked;
    for (int i = 0; i < 5; i++) {
        send_text(alice, BOB, "x");
        uint8_t *payload = (uint8_t *)bob->queue[0].payload;
        payload[bob->queue[0].payload_bytes - 1] ^= 1;
        sealed_take(&rig, bob);
        sealed_answer(&rig, bob);
    }
    cr_assert_eq(sealed_count(bob, TROUBLE_FORGED), 5);
    cr_assert_eq(rig.asked, asked + 1);
    cr_assert_eq(sealed_left(bob), 1, "one message that brings a channel");
}

Test(opening, a_copy_that_does_not_open_is_healed_among_the_own_devices, .init = begin, .fini = end) {
    struct sealed_device *phone = sealed_join(&rig, ALICE);
    sealed_settle(&rig);
    say(alice, BOB, "one");
    sealed_settle(&rig);
    forget_channels(phone, ALICE);
    say(alice, BOB, "two");
    sealed_settle(&rig);
    cr_assert_eq(sealed_count(phone, TROUBLE_NO_KEY), 1, "it begins again with a key that was used");
    cr_assert_eq(phone->passed, 0, "a copy has no ticks");
    say(alice, BOB, "three");
    sealed_settle(&rig);
    cr_assert(is_shown(phone, "|three|"));
    cr_assert_str_eq(sealed_shown(bob, 0), "one|two|three|");
}

Test(opening, a_type_that_is_not_known_is_counted_and_not_shown, .init = begin_acquainted, .fini = end) {
    struct outgoing message = {.to = BOB, .payload = (const uint8_t *)"?", .payload_bytes = 1};
    uint64_t number, newest = sealed_newest(bob);
    cr_assert_eq(state_begin(alice->state), 0);
    cr_assert_eq(sealing_add(alice->state, &message, (enum inner_type)77, &number), 0);
    cr_assert_eq(sealing_add(alice->state, &message, INNER_READ, &number), 0);
    cr_assert_eq(state_commit(alice->state), 0);
    sealed_settle(&rig);
    cr_assert_eq(sealed_count(bob, TROUBLE_UNKNOWN), 2, "read marks are for own devices");
    cr_assert_eq(sealed_newest(bob), newest);
    cr_assert_eq(bob->passed, 0);
}

Test(opening, bytes_that_are_no_sealed_message_are_named, .init = begin_acquainted, .fini = end) {
    send_text(alice, BOB, "short");
    send_text(alice, BOB, "newer");
    bob->queue[0].payload_bytes = 9;
    ((uint8_t *)bob->queue[1].payload)[0] = CHANNEL_VERSION + 1;
    sealed_take(&rig, bob);
    cr_assert_eq(sealed_count(bob, TROUBLE_MALFORMED), 1);
    cr_assert_eq(sealed_count(bob, TROUBLE_VERSION), 1);
    cr_assert(is_shown(bob, opening_trouble_help(TROUBLE_VERSION)));
}

Test(opening, what_is_not_encrypted_is_taken_and_shown_as_that, .init = begin, .fini = end) {
    struct frame_message message = {
        .id = {.from = CAROL, .to = BOB, .epoch = 5, .number = 1, .from_device = 1},
        .payload = (const uint8_t *)"clear",
        .payload_bytes = 5};
    enum inbox_take take;
    struct received received;
    cr_assert_eq(state_begin(bob->state), 0);
    cr_assert_eq(opening_take(bob->state, &bob->own, &message, rig.now_s, &take), 0);
    cr_assert_eq(take, INBOX_FRESH);
    cr_assert_eq(state_inbox_next(bob->state, 0, &received), 0);
    cr_assert(!received.is_sealed && !received.is_notice);
    state_end(bob->state);
}

/* --- a directory that lies ------------------------------------------------------------------------------ */

Test(opening, a_device_that_nobody_signed_for_is_neither_believed_nor_written_to, .init = begin_acquainted,
     .fini = end) {
    struct sealed_device *ghost = sealed_join(&rig, BOB);
    struct identity_keys keys = account_keys(bob);
    struct sealed_account *at = &rig.accounts[BOB];
    struct devicelist list;
    cr_assert_eq(devicelist_read(&list, BOB, NULL, at->list, at->list_bytes), 0);
    devicelist_remove(&list, ghost->own.device);
    list.version = at->list_version = 1;
    list.created_s = sealed_contact(alice, BOB).list.created_s;
    at->list_bytes = (uint32_t)devicelist_sign(&list, &keys, at->list);
    say(alice, BOB, "secret");
    sealed_settle(&rig);
    cr_assert_eq(rig.reason, HOLD_STRANGE);
    cr_assert_eq(sealed_left(alice), 1);
    cr_assert_eq(state_look(alice->state), 0);
    cr_assert_eq(state_outbox_held(alice->state, BOB), HOLD_STRANGE);
    state_end(alice->state);
    cr_assert_eq(times_shown(alice, "!the switch names device 2, which is not on"), 1);
    cr_assert_eq(ghost->queued, 0);
    sealed_cut(ghost); /* the switch gives up, and is tried again after a while */
    sealed_settle(&rig);
    cr_assert_eq(sealed_left(alice), 1);
    rig.now_s += SEALING_RETRY_S;
    sealed_settle(&rig);
    cr_assert_eq(sealed_left(alice), 0);
    cr_assert(is_shown(bob, "|secret|"));
    cr_assert_eq(state_look(alice->state), 0);
    cr_assert_eq(state_outbox_held(alice->state, BOB), 0);
    state_end(alice->state);
}

Test(opening, a_message_of_a_device_that_nobody_signed_for_is_not_opened, .init = begin_acquainted,
     .fini = end) {
    send_text(bob, ALICE, "not from two");
    alice->queue[0].id.from_device = 2;
    sealed_take(&rig, alice);
    cr_assert_eq(sealed_waiting(alice, BOB), 1);
    sealed_answer(&rig, alice);
    cr_assert_eq(sealed_waiting(alice, BOB), 0);
    cr_assert_eq(sealed_count(alice, TROUBLE_STRANGE), 1);
    cr_assert(is_shown(alice, "not on the signed list"));
    cr_assert_not(is_shown(alice, "not from two"));
}

Test(opening, lists_that_are_older_forged_or_changed_are_named_once_and_not_used, .init = begin_acquainted,
     .fini = end) {
    struct identity_keys keys = account_keys(bob);
    uint8_t list[DEVICELIST_BYTES_MAX];
    size_t bytes = make_list(&keys, 5, 4, list);
    cr_assert_eq(hand_out(alice, BOB, list, bytes), CONTACT_NEWER);
    cr_assert_eq(hand_out(alice, BOB, list, bytes), CONTACT_SAME);
    bytes = make_list(&keys, 4, 0, list);
    cr_assert_eq(hand_out(alice, BOB, list, bytes), CONTACT_OLDER);
    cr_assert_eq(hand_out(alice, BOB, list, bytes), CONTACT_OLDER);
    cr_assert_eq(times_shown(alice, "an older device list"), 1);
    cr_assert_eq(hand_out(alice, BOB, NULL, 0), CONTACT_OLDER, "there was one before");
    bytes = make_list(&keys, 6, 4, list);
    list[bytes - 1] ^= 1;
    cr_assert_eq(hand_out(alice, BOB, list, bytes), CONTACT_FORGED);
    bytes = make_list(&keys, 5, 6, list);
    cr_assert_eq(hand_out(alice, BOB, list, bytes), CONTACT_FORGED, "another list of the same version");
    list[0] = 9;
    cr_assert_eq(hand_out(alice, BOB, list, bytes), CONTACT_UNREADABLE);
    cr_assert_eq(sealed_contact(alice, BOB).list.version, 5);
    struct contact contact = sealed_contact(alice, BOB);
    cr_assert_not_null(devicelist_find(&contact.list, 4));
    cr_assert_eq(times_shown(alice, "has not signed"), 1);
}

Test(opening, a_number_of_a_former_device_is_not_another_one_s, .init = begin_acquainted, .fini = end) {
    struct identity_keys keys = account_keys(bob);
    uint8_t list[DEVICELIST_BYTES_MAX];
    struct devicelist changed;
    cr_assert_eq(hand_out(alice, BOB, list, make_list(&keys, 5, 4, list)), CONTACT_NEWER);
    cr_assert_eq(hand_out(alice, BOB, list, make_list(&keys, 6, 0, list)), CONTACT_NEWER);
    size_t bytes = make_list(&keys, 7, 4, list);
    cr_assert_eq(devicelist_read(&changed, BOB, NULL, list, bytes), 0);
    changed.devices[1].identity[0] ^= 1;
    cr_assert_eq(hand_out(alice, BOB, list, devicelist_sign(&changed, &keys, list)), CONTACT_FORGED);
    cr_assert_eq(hand_out(alice, BOB, list, make_list(&keys, 7, 4, list)), CONTACT_NEWER);
}

Test(opening, keys_that_are_not_the_device_s_are_named_and_hold_the_message, .init = begin, .fini = end) {
    struct sealed_device *carol = sealed_join(&rig, CAROL);
    uint8_t right[FRAME_KEYS_BYTES];
    sealed_settle(&rig);
    memcpy(right, bob->keys, sizeof(right));
    memcpy(bob->keys, carol->keys, sizeof(right));
    say(alice, BOB, "for bob alone");
    sealed_settle(&rig);
    cr_assert_eq(rig.reason, HOLD_BAD_KEYS);
    cr_assert_eq(times_shown(alice, "keys for device 1 that are not its own"), 1);
    cr_assert_eq(sealed_left(alice), 1);
    memcpy(bob->keys, right, sizeof(right));
    rig.now_s += SEALING_RETRY_S;
    sealed_settle(&rig);
    cr_assert_str_eq(sealed_shown(bob, 0), "for bob alone|");
}

Test(opening, a_device_that_is_named_and_has_no_keys_holds_the_message, .init = begin_acquainted,
     .fini = end) {
    struct sealed_device *phone = sealed_join(&rig, BOB);
    rig.keys_withheld = phone;
    say(alice, BOB, "to both");
    sealed_settle(&rig);
    cr_assert_eq(rig.reason, HOLD_BAD_KEYS);
    cr_assert_leq(rig.refused, 3, "not again and again");
    rig.keys_withheld = NULL;
    rig.now_s += SEALING_RETRY_S;
    sealed_settle(&rig);
    cr_assert_str_eq(sealed_shown(phone, 0), "to both|");
    cr_assert(is_shown(bob, "|to both|"));
}

/* Bob has lost everything and begins anew with another account key. */
static void begin_anew(void) {
    sealed_leave(&rig, bob);
    bob = sealed_join(&rig, BOB);
}

Test(opening, another_account_key_holds_and_waits_until_a_person_accepts_it, .init = begin_acquainted,
     .fini = end) {
    cr_assert_eq(state_begin(alice->state), 0);
    cr_assert_eq(contacts_set_verified(alice->state, BOB, true), 0);
    cr_assert_eq(state_commit(alice->state), 0);
    begin_anew();
    say(bob, ALICE, "it is me");
    sealed_settle(&rig);
    cr_assert_eq(sealed_waiting(alice, BOB), 1);
    cr_assert_eq(times_shown(alice, "!the account key is another"), 1);
    say(alice, BOB, "is it you?");
    sealed_settle(&rig);
    cr_assert_eq(rig.reason, HOLD_KEY_CHANGED);
    struct contact contact = sealed_contact(alice, BOB);
    cr_assert(contact.has_other && contact.is_verified);
    cr_assert_eq(state_begin(alice->state), 0);
    cr_assert_eq(answers_accept(alice->state, &alice->own, BOB, false, rig.now_s), 0);
    cr_assert_eq(state_commit(alice->state), 0);
    sealed_settle(&rig);
    contact = sealed_contact(alice, BOB);
    cr_assert(!contact.has_other && !contact.is_verified);
    cr_assert(is_shown(alice, "|it is me|"));
    cr_assert_str_eq(sealed_shown(bob, 0), "is it you?|");
    cr_assert_eq(state_begin(alice->state), 0);
    cr_assert_eq(answers_accept(alice->state, &alice->own, BOB, false, rig.now_s), -ENOENT);
    state_end(alice->state);
}

/* The switch names the new one's device first, and then shows who has signed for it. */
Test(opening, a_device_of_another_account_key_is_not_called_unsigned, .init = begin_acquainted, .fini = end) {
    begin_anew();
    say(alice, BOB, "is it you?");
    sealed_settle(&rig);
    cr_assert_eq(sealed_contact(alice, BOB).strange, bob->own.device);
    cr_assert_eq(times_shown(alice, "!the account key is another"), 1);
    cr_assert_eq(times_shown(alice, "!the switch names device"), 0);
}

static int accept_bob(bool is_compared) {
    cr_assert_eq(state_begin(alice->state), 0);
    int error = answers_accept(alice->state, &alice->own, BOB, is_compared, rig.now_s);
    cr_assert_eq(state_commit(alice->state), 0);
    return error;
}

Test(opening, what_was_sent_with_strict_goes_when_a_person_has_compared_and_not_before,
     .init = begin_acquainted, .fini = end) {
    struct outgoing message = {
        .to = BOB, .is_strict = true, .payload = (const uint8_t *)"s", .payload_bytes = 1};
    uint64_t number;
    begin_anew();
    say(alice, BOB, "before");
    cr_assert_eq(state_begin(alice->state), 0);
    cr_assert_eq(sealing_add(alice->state, &message, INNER_TEXT, &number), 0);
    cr_assert_eq(state_commit(alice->state), 0);
    say(alice, BOB, "behind");
    sealed_settle(&rig);
    cr_assert_eq(rig.reason, HOLD_KEY_CHANGED);
    sealed_restart(alice);
    cr_assert_eq(accept_bob(false), -EACCES);
    cr_assert(sealed_contact(alice, BOB).has_other);
    sealed_settle(&rig);
    cr_assert_eq(sealed_left(alice), 3);
    cr_assert_eq(accept_bob(true), 0);
    sealed_settle(&rig);
    cr_assert_str_eq(sealed_shown(bob, 0), "before|s|behind|");
    begin_anew();
    say(alice, BOB, "again");
    sealed_settle(&rig);
    cr_assert_eq(sealed_left(alice), 1);
    cr_assert_eq(accept_bob(false), 0, "nothing strict waits");
    sealed_settle(&rig);
    cr_assert_str_eq(sealed_shown(bob, 0), "again|");
}

Test(opening, another_account_key_that_is_taken_back_is_forgotten, .init = begin_acquainted, .fini = end) {
    struct identity_keys other, right = account_keys(bob);
    uint8_t list[DEVICELIST_BYTES_MAX];
    identity_keys_init(&other, (const uint8_t[IDENTITY_KEY_BYTES]){9});
    cr_assert_eq(hand_out(alice, BOB, list, make_list(&other, 9, 0, list)), CONTACT_OTHER_KEY);
    cr_assert(sealed_contact(alice, BOB).has_other);
    cr_assert_eq(hand_out(alice, BOB, list, make_list(&right, 2, 0, list)), CONTACT_NEWER);
    cr_assert_not(sealed_contact(alice, BOB).has_other);
    say(alice, BOB, "still you");
    sealed_settle(&rig);
    cr_assert(is_shown(bob, "|still you|"));
}

/* --- devices that leave --------------------------------------------------------------------------------- */

Test(opening, what_a_device_sent_before_it_left_the_list_opens_and_nothing_after, .init = begin_acquainted,
     .fini = end) {
    struct sealed_device *phone = sealed_join(&rig, BOB);
    sealed_settle(&rig);
    say(phone, ALICE, "known");
    sealed_settle(&rig);
    send_text(phone, ALICE, "after");
    send_text(phone, ALICE, "before");
    alice->queue[0].accepted_ms += (CONTACT_FORMER_SLACK_S + 1) * 1000;
    sealed_cut(phone);
    sealed_list(&rig, BOB);
    cr_assert_eq(hand_out(alice, BOB, rig.accounts[BOB].list, rig.accounts[BOB].list_bytes), CONTACT_NEWER);
    sealed_take(&rig, alice);
    cr_assert_eq(sealed_waiting(alice, BOB), 2, "no message overtakes one that waits");
    sealed_settle(&rig);
    cr_assert(is_shown(alice, "|before|"));
    cr_assert_not(is_shown(alice, "after"));
    cr_assert_eq(sealed_count(alice, TROUBLE_STRANGE), 1);
}

/* --- read elsewhere ------------------------------------------------------------------------------------- */

static uint64_t unread(struct sealed_device *device) {
    uint64_t count;
    cr_assert_eq(state_look(device->state), 0);
    cr_assert_eq(state_inbox_unread(device->state, 0, &count), 0);
    state_end(device->state);
    return count;
}

static void read_all_and_share(struct sealed_device *device) {
    uint64_t count;
    cr_assert_eq(state_begin(device->state), 0);
    cr_assert_eq(state_inbox_read_all(device->state, ALICE, &count), 0);
    cr_assert(sharing_any(device->state));
    cr_assert_eq(sharing_put(device->state, &device->own, rig.now_s * 1000), 0);
    cr_assert_not(sharing_any(device->state));
    cr_assert_eq(state_commit(device->state), 0);
}

Test(opening, what_is_read_on_one_device_is_read_on_the_others, .init = begin_acquainted, .fini = end) {
    struct sealed_device *phone = sealed_join(&rig, BOB);
    sealed_settle(&rig);
    for (int i = 0; i < 10; i++)
        say(alice, BOB, "read me");
    sealed_settle(&rig);
    cr_assert_eq(unread(phone), 10);
    cr_assert_eq(unread(bob), 11);
    read_all_and_share(bob);
    cr_assert_eq(sealed_left(bob), 1, "ranges, in one message");
    sealed_settle(&rig);
    cr_assert_eq(unread(phone), 0);
}

Test(opening, without_other_devices_nobody_is_told_what_was_read, .init = begin_acquainted, .fini = end) {
    read_all_and_share(bob);
    cr_assert_eq(sealed_left(bob), 0);
}
