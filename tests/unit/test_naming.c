/* Names, as a switch gives them that may lie: a known name that comes to mean another account, and a known
 * account that comes with another name, are doubted until a person accepts them. */
#include <criterion/criterion.h>
#include <string.h>

#include "core/reason.h"
#include "tests/support/sealed_rig.h"
#include "tools/client/naming.h"
#include "tools/client/state_request.h"

TestSuite(naming, .timeout = 120);

#define ALICE 1
#define BOB 2
#define CAROL 3
#define DAVE 4

static struct sealed_rig rig;
static struct sealed_device *alice, *bob, *carol;

/* What the switch says to alice. */
static void call(uint64_t account, const char *name) {
    cr_assert_eq(state_begin(alice->state), 0);
    cr_assert_eq(naming_take(alice->state, &alice->own, account, name), 0);
    cr_assert_eq(state_commit(alice->state), 0);
}

static void forget(uint64_t account) {
    cr_assert_eq(state_begin(alice->state), 0);
    cr_assert_eq(state_forget_account(alice->state, account), 0);
    cr_assert_eq(state_commit(alice->state), 0);
}

static void welcome(const char *name, size_t bytes) {
    cr_assert_eq(state_begin(alice->state), 0);
    cr_assert_eq(naming_take_own(alice->state, &alice->own, name, bytes), 0);
    cr_assert_eq(state_commit(alice->state), 0);
}

static void verify(uint64_t account) {
    cr_assert_eq(state_begin(alice->state), 0);
    cr_assert_eq(contacts_set_verified(alice->state, account, true), 0);
    cr_assert_eq(state_commit(alice->state), 0);
}

static int accept_account(uint64_t account) {
    cr_assert_eq(state_begin(alice->state), 0);
    int error = answers_accept(alice->state, &alice->own, account, false, rig.now_s);
    cr_assert_eq(state_commit(alice->state), 0);
    return error;
}

/* Whose alice thinks that the name is; 0: she would ask. */
static uint64_t account_of(const char *name) {
    uint64_t account = 0;
    cr_assert_eq(state_look(alice->state), 0);
    state_find_account(alice->state, name, &account);
    state_end(alice->state);
    return account;
}

static bool is_held(uint64_t account) {
    cr_assert_eq(state_look(alice->state), 0);
    bool held = state_outbox_held(alice->state, account) == HOLD_KEY_CHANGED;
    state_end(alice->state);
    return held;
}

static uint32_t times_told(const char *part) {
    uint32_t times = 0;
    for (const char *at = sealed_shown(alice, 0); (at = strstr(at, part)); at++)
        times++;
    return times;
}

static void exchange(struct sealed_device *device) {
    uint64_t account = device->own.account;
    sealed_say(&rig, alice, account, "hello");
    sealed_settle(&rig);
    sealed_say(&rig, device, ALICE, "hello");
    sealed_settle(&rig);
}

/* Alice and bob know each other, and she has compared numbers with him. */
static void begin(void) {
    sealed_rig_begin(&rig);
    alice = sealed_join(&rig, ALICE);
    bob = sealed_join(&rig, BOB);
    carol = sealed_join(&rig, CAROL);
    sealed_settle(&rig);
    call(BOB, "bob");
    exchange(bob);
    verify(BOB);
}

static void end(void) {
    sealed_rig_end(&rig);
}

#define OF_ANOTHER "!the name bob was another account's before"

Test(naming, an_account_by_a_name_that_was_another_s_gets_nothing_until_it_is_accepted, .init = begin,
     .fini = end) {
    forget(BOB);
    cr_assert_eq(account_of("bob"), 0, "it is asked for");
    call(CAROL, "bob");
    cr_assert_eq(account_of("bob"), CAROL);
    cr_assert_eq(times_told(OF_ANOTHER), 1);
    sealed_say(&rig, alice, CAROL, "for whom?");
    sealed_settle(&rig);
    cr_assert_eq(rig.reason, HOLD_KEY_CHANGED);
    cr_assert(is_held(CAROL));
    cr_assert_str_eq(sealed_shown(carol, 0), "");
    cr_assert(sealed_contact(alice, CAROL).has_list, "what a person compares is there");
    sealed_restart(alice);
    sealed_settle(&rig);
    cr_assert_str_eq(sealed_shown(carol, 0), "");
    cr_assert_eq(accept_account(CAROL), 0);
    sealed_settle(&rig);
    cr_assert_str_eq(sealed_shown(carol, 0), "for whom?|");
    struct contact contact = sealed_contact(alice, CAROL);
    cr_assert(!contact_is_changed(&contact) && !contact.is_verified);
    cr_assert_eq(accept_account(CAROL), -ENOENT);
    cr_assert(sealed_contact(alice, BOB).is_verified, "that was another account");
}

Test(naming, without_a_word_that_the_account_is_gone_it_is_the_same, .init = begin, .fini = end) {
    call(CAROL, "bob");
    sealed_say(&rig, alice, CAROL, "for whom?");
    sealed_settle(&rig);
    cr_assert(is_held(CAROL));
    cr_assert_eq(times_told(OF_ANOTHER), 1);
    cr_assert_str_eq(sealed_shown(carol, 0), "");
}

Test(naming, what_comes_from_it_waits_until_it_is_accepted, .init = begin, .fini = end) {
    call(CAROL, "bob");
    sealed_say(&rig, carol, ALICE, "I am bob");
    sealed_settle(&rig);
    sealed_say(&rig, carol, ALICE, "believe me");
    sealed_settle(&rig);
    cr_assert_eq(sealed_waiting(alice, CAROL), 2);
    cr_assert_eq(times_told("I am bob"), 0);
    sealed_restart(alice);
    cr_assert_eq(accept_account(CAROL), 0);
    sealed_settle(&rig);
    cr_assert_eq(sealed_waiting(alice, CAROL), 0);
    cr_assert_eq(times_told("|I am bob|believe me|"), 1);
    cr_assert_eq(alice->passed, 0);
}

/* Its first message was opened before its name was known. */
Test(naming, an_account_that_was_believed_before_its_name_was_known_is_held_too, .init = begin, .fini = end) {
    sealed_say(&rig, carol, ALICE, "who am I?");
    sealed_settle(&rig);
    cr_assert_eq(times_told("who am I?"), 1);
    sealed_say(&rig, alice, CAROL, "who are you?");
    sealed_answer(&rig, alice);
    call(CAROL, "bob");
    sealed_settle(&rig);
    cr_assert_str_eq(sealed_shown(carol, 0), "");
    cr_assert(is_held(CAROL));
    sealed_say(&rig, carol, ALICE, "carol");
    sealed_settle(&rig);
    cr_assert_eq(sealed_waiting(alice, CAROL), 1);
    cr_assert_eq(accept_account(CAROL), 0);
    sealed_settle(&rig);
    cr_assert_str_eq(sealed_shown(carol, 0), "who are you?|");
    cr_assert_eq(times_told("|carol|"), 1, "the channel is the same");
    for (unsigned trouble = 1; trouble < OPENING_TROUBLE_COUNT; trouble++)
        cr_assert_eq(sealed_count(alice, (enum opening_trouble)trouble), 0, "%u", trouble);
}

static void ask_name(uint64_t account, bool on) {
    struct ask ask = {.kind = ASK_NAME, .account = account};
    cr_assert_eq(state_begin(alice->state), 0);
    if (on)
        state_request_put(alice->state, &ask);
    else
        state_request_delete(alice->state, &ask);
    cr_assert_eq(state_commit(alice->state), 0);
}

static void go_on(uint64_t account) {
    cr_assert_eq(state_begin(alice->state), 0);
    cr_assert_eq(opening_named(alice->state, &alice->own, account, rig.now_s), 0);
    cr_assert_eq(state_commit(alice->state), 0);
}

Test(naming, a_message_waits_for_its_sender_s_name_and_is_not_shown_by_one_that_is_doubted, .init = begin,
     .fini = end) {
    const char *names[] = {"carol", "bob"};
    exchange(carol); /* its list is known */
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        ask_name(CAROL, true);
        sealed_say(&rig, carol, ALICE, names[i]);
        sealed_send(&rig, carol);
        sealed_take(&rig, alice);
        cr_assert_eq(sealed_waiting(alice, CAROL), 1);
        ask_name(CAROL, false);
        call(CAROL, names[i]);
        go_on(CAROL);
        cr_assert_eq(sealed_waiting(alice, CAROL), i, "%s", names[i]);
    }
    cr_assert_eq(times_told("|carol|"), 1);
    cr_assert_eq(times_told("|bob|"), 0);
    sealed_settle(&rig);
    cr_assert_eq(sealed_waiting(alice, CAROL), 1);
}

Test(naming, what_was_sealed_for_it_and_not_sent_is_held_too, .init = begin, .fini = end) {
    struct sealed sealed;
    uint16_t reason;
    exchange(carol);
    uint64_t number = sealed_say(&rig, alice, CAROL, "sealed");
    cr_assert_eq(state_begin(alice->state), 0);
    cr_assert_eq(sealing_seal(alice->state, &alice->own, CAROL, number, rig.now_s, &reason), 0);
    cr_assert_eq(state_commit(alice->state), 0);
    call(CAROL, "bob");
    cr_assert_eq(state_look(alice->state), 0);
    cr_assert_eq(sealing_get(alice->state, CAROL, number, &sealed), -ENOENT);
    state_end(alice->state);
}

Test(naming, a_known_account_by_another_name_is_doubted_and_so_is_its_old_name, .init = begin, .fini = end) {
    call(BOB, "dave");
    cr_assert_eq(times_told("!the switch calls this account dave now, and bob before"), 1);
    cr_assert_eq(account_of("dave"), BOB);
    cr_assert_eq(account_of("bob"), 0, "it is asked for");
    sealed_say(&rig, alice, BOB, "for dave");
    sealed_settle(&rig);
    cr_assert(is_held(BOB));
    cr_assert_eq(accept_account(BOB), 0);
    cr_assert_not(sealed_contact(alice, BOB).is_verified, "dave was not compared with");
    sealed_settle(&rig);
    cr_assert(strstr(sealed_shown(bob, 0), "|for dave|"));
    call(BOB, "bob");
    cr_assert(sealed_contact(alice, BOB).is_doubted, "and back");
    call(CAROL, "dave");
    cr_assert(sealed_contact(alice, CAROL).is_doubted, "as bob's it was believed");
}

Test(naming, no_list_ends_the_doubt, .init = begin, .fini = end) {
    exchange(carol);
    call(CAROL, "bob");
    sealed_say(&rig, alice, CAROL, "for whom?");
    rig.now_s += SEALING_RETRY_S;
    sealed_settle(&rig);
    sealed_join(&rig, CAROL); /* a newer list, by the same key */
    cr_assert_eq(state_begin(alice->state), 0);
    cr_assert_eq(answers_ask_list(alice->state, CAROL), 0);
    cr_assert_eq(state_commit(alice->state), 0);
    sealed_settle(&rig);
    cr_assert_eq(sealed_contact(alice, CAROL).news, CONTACT_NEWER);
    cr_assert(is_held(CAROL));
    sealed_leave(&rig, carol); /* one by another key, too */
    sealed_join(&rig, CAROL);
    cr_assert_eq(state_begin(alice->state), 0);
    cr_assert_eq(answers_ask_list(alice->state, CAROL), 0);
    cr_assert_eq(state_commit(alice->state), 0);
    sealed_settle(&rig);
    struct contact contact = sealed_contact(alice, CAROL);
    cr_assert(contact.has_other && contact.is_doubted);
    cr_assert_eq(accept_account(CAROL), 0);
    contact = sealed_contact(alice, CAROL);
    cr_assert_not(contact_is_changed(&contact), "both at once");
}

Test(naming, a_doubt_that_nobody_ended_goes_on_to_the_next_account, .init = begin, .fini = end) {
    call(CAROL, "bob");
    cr_assert_not(sealed_contact(alice, CAROL).has_key);
    forget(CAROL);
    sealed_join(&rig, DAVE);
    call(DAVE, "bob");
    cr_assert(sealed_contact(alice, DAVE).is_doubted);
}

Test(naming, an_account_that_is_accepted_before_its_list_was_seen_is_understood, .init = begin, .fini = end) {
    call(CAROL, "bob");
    sealed_say(&rig, carol, ALICE, "I am bob");
    sealed_answer(&rig, carol);
    sealed_send(&rig, carol);
    sealed_take(&rig, alice);
    cr_assert_not(sealed_contact(alice, CAROL).has_list);
    cr_assert_eq(accept_account(CAROL), 0);
    cr_assert_eq(sealed_waiting(alice, CAROL), 1);
    sealed_settle(&rig);
    cr_assert_eq(times_told("|I am bob|"), 1);
    cr_assert_eq(alice->passed, 0);
}

Test(naming, first_contact_is_no_change, .init = begin, .fini = end) {
    call(CAROL, "carol");
    call(CAROL, "carol");
    call(BOB, "bob");
    forget(CAROL); /* a name that was looked up, and nothing more */
    call(DAVE, "carol");
    cr_assert_not(sealed_contact(alice, DAVE).is_doubted);
    call(CAROL, "caroline");
    cr_assert_not(sealed_contact(alice, CAROL).is_doubted);
    forget(BOB);
    call(BOB, "bob");
    cr_assert_not(sealed_contact(alice, BOB).is_doubted, "the same account, after all");
    cr_assert(sealed_contact(alice, BOB).is_verified);
    cr_assert_eq(times_told("!"), 0);
}

Test(naming, the_own_account_is_never_doubted_and_its_name_is_its_own, .init = begin, .fini = end) {
    call(ALICE, "alice");
    cr_assert_not(sealed_contact(alice, ALICE).is_doubted);
    call(CAROL, "alice");
    cr_assert(sealed_contact(alice, CAROL).is_doubted);
    call(ALICE, "alice");
    cr_assert_not(sealed_contact(alice, ALICE).is_doubted);
}

Test(naming, a_welcome_names_the_own_account_once, .init = begin, .fini = end) {
    uint64_t account = 0;
    call(BOB, "bob");
    memset(alice->own.name, 0, sizeof(alice->own.name));
    welcome("a'\x1b", 3);
    welcome("al\0ce", 5);
    welcome("", 0);
    cr_assert_str_empty(alice->own.name);
    welcome("alice", 5);
    welcome("bob", 3);
    cr_assert_str_eq(alice->own.name, "alice");
    cr_assert_eq(state_look(alice->state), 0);
    cr_assert_eq(state_find_account(alice->state, "bob", &account), 0);
    cr_assert_eq(account, BOB);
    cr_assert_eq(state_find_account(alice->state, "alice", &account), 0);
    cr_assert_eq(account, ALICE);
    state_end(alice->state);
}

/* What is stored of a contact, with every piece of news. */
Test(naming, a_doubt_is_stored_beside_the_news, .init = begin, .fini = end) {
    for (unsigned news = CONTACT_SAME; news <= CONTACT_UNREADABLE; news++) {
        struct contact contact = sealed_contact(alice, BOB);
        contact.news = (uint8_t)news;
        contact.is_doubted = news % 2;
        contact.answered = CONTACT_ANSWERED_KEYS;
        cr_assert_eq(state_begin(alice->state), 0);
        cr_assert_eq(contacts_put(alice->state, &contact), 0);
        cr_assert_eq(state_commit(alice->state), 0);
        contact = sealed_contact(alice, BOB);
        cr_assert_eq(contact.news, news);
        cr_assert_eq(contact.is_doubted, news % 2);
        cr_assert_eq(contact.answered, CONTACT_ANSWERED_KEYS);
    }
}
