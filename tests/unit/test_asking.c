/* Questions to the key directory: out of the state, and their answers back into it. */
#include <criterion/criterion.h>

#include "core/frame_keys.h"
#include "core/noise.h"
#include "core/reason.h"
#include "tests/support/client_rig.h"
#include "tools/client/asking.h"
#include "tools/client/contacts.h"

TestSuite(asking, .timeout = 10);

static struct client_rig rig;
static uint8_t out[4096];

static void begin(void) {
    client_rig_begin(&rig);
}

static void end(void) {
    client_rig_end(&rig);
}

static void put(struct ask ask) {
    cr_assert_eq(state_begin(rig.state), 0);
    state_request_put(rig.state, &ask);
    cr_assert_eq(state_commit(rig.state), 0);
}

/* What became of it, in a transaction that stays open: state_end. */
static struct ask look(struct ask ask) {
    cr_assert_eq(state_look(rig.state), 0);
    cr_assert_eq(state_request_get(rig.state, &ask), 0);
    return ask;
}

static void say(size_t frame_bytes) {
    cr_assert_eq(client_rig_say(&rig, out, frame_bytes), 0);
    cr_assert_eq(client_rig_turn(&rig), 0);
}

static struct frame_list expect_list(enum frame_type type) {
    struct frame_list list;
    struct frame frame = client_rig_expect(&rig, type);
    cr_assert_eq(frame_read_list(&frame, &list), 0);
    return list;
}

/* Whether the question is gone, and what is known of the account then. */
static struct contact known(struct ask ask) {
    struct contact contact;
    cr_assert_eq(state_look(rig.state), 0);
    cr_assert_eq(state_request_get(rig.state, &ask), -ENOENT);
    contacts_get(rig.state, ask.account, &contact);
    state_end(rig.state);
    return contact;
}

Test(asking, a_list_is_asked_for_and_goes_to_what_is_known_of_its_account, .init = begin, .fini = end) {
    static const uint8_t seed[IDENTITY_KEY_BYTES] = {3};
    struct identity_keys keys;
    struct devicelist made = {.account = RIG_OTHER, .version = 4};
    uint8_t bytes[DEVICELIST_BYTES_MAX];
    struct ask ask = {.kind = ASK_LIST, .account = RIG_OTHER, .version = 3};
    cr_assert_eq(noise_init(), 0);
    identity_keys_init(&keys, seed);
    put(ask);
    client_rig_connect(&rig);
    struct frame_list list = expect_list(FRAME_LIST_GET);
    client_rig_expect_nothing(&rig);
    cr_assert_eq(list.account, RIG_OTHER);
    cr_assert_eq(list.version, 3);
    list.version = 4;
    list.list_bytes = (uint32_t)devicelist_sign(&made, &keys, bytes);
    list.list = bytes;
    say(frame_write_list(out, FRAME_LIST, &list));
    client_rig_expect_nothing(&rig);
    struct contact contact = known(ask);
    cr_assert(contact.has_list);
    cr_assert_eq(contact.list.version, 4);
    cr_assert_eq(memcmp(contact.account_key, keys.public_key, IDENTITY_KEY_BYTES), 0);
}

Test(asking, keys_are_asked_for_and_a_refusal_is_kept_with_the_account, .init = begin, .fini = end) {
    struct ask ask = {.kind = ASK_KEYS, .account = RIG_OTHER, .device = 7};
    struct frame_keys_get get;
    struct frame_keys keys = {.account = RIG_OTHER, .status = REFUSAL_BLOCKED};
    put(ask);
    client_rig_connect(&rig);
    struct frame frame = client_rig_expect(&rig, FRAME_KEYS_GET);
    cr_assert_eq(frame_read_keys_get(&frame, &get), 0);
    cr_assert_eq(get.account, RIG_OTHER);
    cr_assert_eq(get.device, 7);
    keys.request = get.request;
    say(frame_write_keys(out, &keys));
    cr_assert_eq(known(ask).refused, REFUSAL_BLOCKED);
}

Test(asking, a_list_is_put_and_the_version_that_is_there_comes_back, .init = begin, .fini = end) {
    struct ask ask = {.kind = ASK_LIST_PUT, .version = 5, .bytes = (const uint8_t *)"mine", .byte_count = 4};
    put(ask);
    client_rig_connect(&rig);
    struct frame_list list = expect_list(FRAME_LIST_PUT);
    cr_assert_eq(list.version, 5);
    cr_assert_eq(list.list_bytes, 4);
    cr_assert_eq(memcmp(list.list, "mine", 4), 0);
    list = (struct frame_list){.request = list.request, .version = 9, .status = REFUSAL_STALE};
    say(frame_write_list(out, FRAME_LIST_STORED, &list));
    ask = look((struct ask){.kind = ASK_LIST_PUT});
    cr_assert(ask.is_answered);
    cr_assert_eq(ask.status, REFUSAL_STALE);
    cr_assert_eq(ask.version, 9);
    state_end(rig.state);
}

/* Put anew while the first was out: what comes is the answer to the first. */
Test(asking, an_answer_is_to_what_went_out_not_to_what_was_put_since, .init = begin, .fini = end) {
    put((struct ask){.kind = ASK_LIST_PUT, .version = 5, .bytes = (const uint8_t *)"five", .byte_count = 4});
    client_rig_connect(&rig);
    struct frame_list list = expect_list(FRAME_LIST_PUT);
    put((struct ask){.kind = ASK_LIST_PUT, .version = 6, .bytes = (const uint8_t *)"six", .byte_count = 3});
    cr_assert_eq(client_rig_turn(&rig), 0);
    client_rig_expect_nothing(&rig);
    list = (struct frame_list){.request = list.request, .version = 5};
    say(frame_write_list(out, FRAME_LIST_STORED, &list));
    list = expect_list(FRAME_LIST_PUT);
    cr_assert_eq(list.version, 6);
    struct ask ask = look((struct ask){.kind = ASK_LIST_PUT});
    cr_assert(!ask.is_answered);
    state_end(rig.state);
}

Test(asking, codes_and_removals, .init = begin, .fini = end) {
    uint32_t request;
    struct frame_device device;
    put((struct ask){.kind = ASK_CODE});
    put((struct ask){.kind = ASK_REMOVE, .device = 4});
    client_rig_connect(&rig);
    struct frame frame = client_rig_expect(&rig, FRAME_CODE_GET);
    cr_assert_eq(frame_read_code_get(&frame, &request), 0);
    frame = client_rig_expect(&rig, FRAME_DEVICE_REMOVE);
    cr_assert_eq(frame_read_device(&frame, &device), 0);
    cr_assert_eq(device.device, 4);
    struct frame_code code = {.request = request, .ttl_s = 600, .code = "fifteen letters"};
    say(frame_write_code(out, &code));
    device.status = REFUSAL_NO_DEVICE;
    say(frame_write_device(out, FRAME_DEVICE_REMOVED, &device));
    struct ask ask = look((struct ask){.kind = ASK_CODE});
    cr_assert(ask.is_answered);
    cr_assert_eq(ask.ttl_s, 600);
    cr_assert_eq(ask.byte_count, FRAME_CODE_BYTES);
    cr_assert_eq(memcmp(ask.bytes, code.code, FRAME_CODE_BYTES), 0);
    state_end(rig.state);
    ask = look((struct ask){.kind = ASK_REMOVE, .device = 4});
    cr_assert(ask.is_answered);
    cr_assert_eq(ask.status, REFUSAL_NO_DEVICE);
    state_end(rig.state);
}

/* More than the switch takes at a time would keep it from reading acknowledgements. */
Test(asking, four_are_out_at_a_time, .init = begin, .fini = end) {
    struct frame_keys_get get;
    for (uint16_t device = 1; device <= 6; device++)
        put((struct ask){.kind = ASK_KEYS, .account = RIG_OTHER, .device = device});
    put((struct ask){.kind = ASK_ACCOUNT, .name = "somebody"});
    client_rig_connect(&rig);
    for (uint16_t device = 1; device <= ASKING_DIRECTORY_MAX; device++) {
        struct frame frame = client_rig_expect(&rig, FRAME_KEYS_GET);
        cr_assert_eq(frame_read_keys_get(&frame, &get), 0);
        cr_assert_eq(get.device, device);
    }
    client_rig_expect(&rig, FRAME_LOOKUP);
    client_rig_expect_nothing(&rig);
    struct frame_keys keys = {.request = get.request, .account = RIG_OTHER, .status = REFUSAL_RATE};
    say(frame_write_keys(out, &keys));
    client_rig_expect_nothing(&rig); /* with the name four are out */
    struct frame_lookup found = {.request = get.request + 1, .status = REFUSAL_NO_ACCOUNT};
    say(frame_write_lookup(out, FRAME_ACCOUNT, &found));
    client_rig_expect(&rig, FRAME_KEYS_GET);
    client_rig_expect_nothing(&rig);
    keys.request--;
    say(frame_write_keys(out, &keys));
    client_rig_expect(&rig, FRAME_KEYS_GET);
    client_rig_expect_nothing(&rig);
}

Test(asking, a_question_is_asked_again_in_the_next_session_until_it_is_answered, .init = begin, .fini = end) {
    struct frame_device device;
    put((struct ask){.kind = ASK_REMOVE, .device = 4});
    client_rig_connect(&rig);
    client_rig_expect(&rig, FRAME_DEVICE_REMOVE);
    client_rig_restart(&rig);
    client_rig_connect(&rig);
    struct frame frame = client_rig_expect(&rig, FRAME_DEVICE_REMOVE);
    cr_assert_eq(frame_read_device(&frame, &device), 0);
    say(frame_write_device(out, FRAME_DEVICE_REMOVED, &device));
    client_rig_restart(&rig);
    client_rig_connect(&rig);
    client_rig_expect_nothing(&rig);
}

/* Frames that nobody asked for are passed over; those that are none end the session. */
Test(asking, answers_to_nothing_and_malformed_ones, .init = begin, .fini = end) {
    struct frame_list list = {.request = 77, .account = RIG_OTHER, .version = 1};
    client_rig_connect(&rig);
    say(frame_write_list(out, FRAME_LIST, &list));
    client_rig_expect_nothing(&rig);
    struct frame_device device = {.request = 78, .device = 1};
    say(frame_write_device(out, FRAME_DEVICE_REMOVED, &device));
    size_t bytes = frame_write_code(out, &(struct frame_code){.request = 79});
    bytes_put16(out + 10, 1);
    cr_assert_eq(client_rig_say(&rig, out, bytes), -EPROTO);
}

Test(asking, a_list_that_no_record_takes_is_refused, .init = begin, .fini = end) {
    static uint8_t large[ASK_LIST_BYTES_MAX + 1];
    struct ask ask = {.kind = ASK_LIST_PUT, .version = 1, .bytes = large, .byte_count = sizeof(large)};
    cr_assert_eq(state_begin(rig.state), 0);
    cr_assert_eq(state_request_put(rig.state, &ask), -EMSGSIZE);
    state_end(rig.state);
}

/* --- names ---------------------------------------------------------------------------------------------- */

/* Asks whose this name is, and says this. */
static struct ask answer_name(const char *name, struct frame_lookup found) {
    struct ask ask = {.kind = ASK_ACCOUNT};
    struct frame_lookup lookup;
    strcpy(ask.name, name);
    put(ask);
    cr_assert_eq(client_rig_turn(&rig), 0);
    struct frame frame = client_rig_expect(&rig, FRAME_LOOKUP);
    cr_assert_eq(frame_read_lookup(&frame, &lookup), 0);
    cr_assert_eq(lookup.name_bytes, strlen(name));
    found.request = lookup.request;
    say(frame_write_lookup(out, FRAME_ACCOUNT, &found));
    return look(ask);
}

static struct frame_lookup named(uint64_t account, const char *name) {
    return (struct frame_lookup){.account = account, .name = name, .name_bytes = (uint8_t)strlen(name)};
}

Test(asking, an_answer_about_another_name_is_none, .init = begin, .fini = end) {
    uint64_t account;
    const char *names[] = {"another", "some\033[2Jbody", "Somebody", "", "somebody"};
    client_rig_connect(&rig);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        bool is_own = i == 4; /* the own account, which has a name */
        struct ask ask = answer_name("somebody", named(is_own ? RIG_ACCOUNT : RIG_OTHER, names[i]));
        cr_assert(ask.is_answered, "%zu", i);
        cr_assert_eq(ask.status, REFUSAL_NO_ACCOUNT, "%zu", i);
        cr_assert_eq(state_find_account(rig.state, names[i], &account), -ENOENT, "%zu", i);
        state_end(rig.state);
    }
}

Test(asking, a_name_that_means_another_account_than_before_is_doubted, .init = begin, .fini = end) {
    struct ask ask = {.kind = ASK_BLOCK, .account = RIG_OTHER, .on = true};
    struct frame_block block = {.account = RIG_OTHER, .on = true, .status = REFUSAL_NO_ACCOUNT};
    struct contact contact;
    cr_assert_eq(state_begin(rig.state), 0);
    state_learn_name(rig.state, RIG_OTHER, "somebody", 8);
    contacts_pin(rig.state, RIG_OTHER, (const uint8_t[IDENTITY_KEY_BYTES]){5});
    state_request_put(rig.state, &ask);
    cr_assert_eq(state_commit(rig.state), 0);
    client_rig_connect(&rig);
    client_rig_expect(&rig, FRAME_BLOCK);
    say(frame_write_block(out, FRAME_BLOCKED, &block)); /* who blocks hears that the account is gone */
    struct frame_lookup found = named(RIG_OTHER + 1, "somebody");
    ask = (struct ask){.kind = ASK_ACCOUNT, .name = "somebody"};
    put(ask);
    cr_assert_eq(client_rig_turn(&rig), 0);
    struct frame frame = client_rig_expect(&rig, FRAME_LOOKUP);
    found.request = bytes_get32(frame.bytes + 4);
    say(frame_write_lookup(out, FRAME_ACCOUNT, &found));
    ask.account = RIG_OTHER + 1;
    contact = known(ask);
    cr_assert(contact.is_doubted && !contact.has_key);
}
