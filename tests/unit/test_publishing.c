/* What a device leaves with the switch so that others can encrypt for it, as the switch sees it. */
#include <criterion/criterion.h>

#include "core/frame_keys.h"
#include "core/noise.h"
#include "core/reason.h"
#include "tests/support/client_rig.h"
#include "tools/client/contacts.h"
#include "tools/client/content.h"
#include "tools/client/pairing.h"
#include "tools/client/publishing.h"

TestSuite(publishing, .timeout = 30);

static struct client_rig rig;
static struct frame_keys_stock stock; /* what the switch has */
static uint8_t out[8192];
static struct identity_keys account_key;

static void begin_bare(void) {
    cr_assert_eq(noise_init(), 0);
    stock = (struct frame_keys_stock){0};
    client_rig_begin(&rig);
}

static void begin_further(void) {
    begin_bare();
    cr_assert_eq(state_begin(rig.state), 0);
    state_keys_make(rig.state);
    cr_assert_eq(state_commit(rig.state), 0);
}

/* The first device of an account. */
static void begin(void) {
    begin_further();
    cr_assert_eq(state_begin(rig.state), 0);
    state_keys_make_account(rig.state);
    cr_assert_eq(state_keys_account(rig.state, &account_key), 0);
    contacts_pin(rig.state, RIG_ACCOUNT, account_key.public_key);
    cr_assert_eq(state_commit(rig.state), 0);
}

static void end(void) {
    client_rig_end(&rig);
}

static void say(size_t frame_bytes) {
    cr_assert_eq(client_rig_say(&rig, out, frame_bytes), 0);
    cr_assert_eq(client_rig_turn(&rig), 0);
}

static void say_stock(uint32_t request, uint16_t status) {
    stock.request = request;
    stock.status = status;
    say(frame_write_keys_stock(out, &stock));
}

static void connect_device(void) {
    client_rig_connect(&rig);
    say_stock(0, 0);
}

static bool is_done(void) {
    cr_assert_eq(state_look(rig.state), 0);
    bool done = publishing_is_done(rig.state);
    state_end(rig.state);
    return done;
}

/* LIST_PUT of this version, with this device on it; it is stored, and what the device says then is there. */
static void expect_list(uint64_t version) {
    struct frame_list put;
    struct devicelist list;
    struct frame frame = client_rig_expect(&rig, FRAME_LIST_PUT);
    cr_assert_eq(frame_read_list(&frame, &put), 0);
    cr_assert_eq(put.version, version);
    cr_assert_eq(devicelist_read(&list, RIG_ACCOUNT, account_key.public_key, put.list, put.list_bytes), 0);
    cr_assert_eq(list.version, version);
    cr_assert_not_null(devicelist_find(&list, RIG_DEVICE));
    client_rig_expect_nothing(&rig);
    stock.list_version = version;
    struct frame_list stored = {.request = put.request, .version = version};
    say(frame_write_list(out, FRAME_LIST_STORED, &stored));
}

/* KEYS_PUT with so many one-time pre-keys. The answer: status 0 takes them. */
static void expect_keys(uint16_t count, uint16_t status) {
    struct frame_keys_put put;
    struct frame frame = client_rig_expect(&rig, FRAME_KEYS_PUT);
    cr_assert_eq(frame_read_keys_put(&frame, &put), 0);
    cr_assert_eq(put.count, count);
    client_rig_expect_nothing(&rig);
    if (status == 0) {
        stock.signed_id = frame_keys_signed_id(put.keys);
        stock.left = (uint16_t)(stock.left + count);
        if (count)
            stock.one_time_last =
                frame_one_time_id(put.one_time + (count - 1u) * (size_t)FRAME_ONE_TIME_BYTES);
    }
    say_stock(put.request, status);
}

static void publish(void) {
    connect_device();
    expect_list(1);
    expect_keys(PREKEY_ONE_TIME_STOCK, 0);
    client_rig_expect_nothing(&rig);
}

Test(publishing, the_first_device_signs_a_list_and_then_publishes_its_keys, .init = begin, .fini = end) {
    cr_assert(!is_done());
    publish();
    cr_assert(is_done());
    client_rig_restart(&rig);
    connect_device();
    client_rig_expect_nothing(&rig);
}

/* The switch has stored list and keys, and its answers got lost. */
Test(publishing, what_was_not_answered_is_said_again_as_it_was, .init = begin, .fini = end) {
    struct frame_keys_put first, again;
    static uint8_t before[8192];
    connect_device();
    client_rig_expect(&rig, FRAME_LIST_PUT);
    client_rig_restart(&rig);
    client_rig_connect(&rig); /* the question is in the state */
    expect_list(1);
    say_stock(0, 0);
    struct frame frame = client_rig_expect(&rig, FRAME_KEYS_PUT);
    memcpy(before, frame.bytes, frame.frame_bytes);
    frame.bytes = before;
    cr_assert_eq(frame_read_keys_put(&frame, &first), 0);
    client_rig_restart(&rig);
    connect_device();
    frame = client_rig_expect(&rig, FRAME_KEYS_PUT);
    cr_assert_eq(frame_read_keys_put(&frame, &again), 0);
    cr_assert_eq(again.count, first.count);
    cr_assert_eq(memcmp(again.keys, first.keys, FRAME_KEYS_BYTES), 0);
    cr_assert_eq(memcmp(again.one_time, first.one_time, (size_t)first.count * FRAME_ONE_TIME_BYTES), 0);
}

Test(publishing, a_low_stock_is_filled_up, .init = begin, .fini = end) {
    publish();
    stock.left = PREKEY_ONE_TIME_LOW;
    say_stock(0, 0);
    expect_keys(PREKEY_ONE_TIME_STOCK - PREKEY_ONE_TIME_LOW, 0);
    client_rig_expect_nothing(&rig);
}

Test(publishing, the_signed_pre_key_gets_a_successor_within_a_long_session, .init = begin, .fini = end) {
    publish();
    uint32_t before = stock.signed_id;
    for (uint32_t hours = 0; stock.signed_id == before; hours++) {
        cr_assert_leq(hours, PREKEY_ROTATE_S / 3600 + 2);
        rig.now_ms += 3600 * 1000;
        say(frame_write_ping(out, FRAME_PONG, 0));
        while (rig.frame_at < rig.frame_count && rig.frames[rig.frame_at].type != FRAME_KEYS_PUT)
            rig.frame_at++;
        if (rig.frame_at < rig.frame_count)
            expect_keys(0, 0);
    }
    cr_assert_gt(stock.signed_id, before);
}

Test(publishing, a_refusal_is_not_answered_by_the_same_at_once, .init = begin, .fini = end) {
    connect_device();
    expect_list(1);
    expect_keys(PREKEY_ONE_TIME_STOCK, REFUSAL_STORE_FULL);
    client_rig_expect_nothing(&rig);
    cr_assert(!is_done()); /* nobody can write to it: that must not last */
    rig.now_ms += PUBLISHING_RETRY_S * 1000;
    say(frame_write_ping(out, FRAME_PONG, 0));
    while (rig.frames[rig.frame_at].type != FRAME_KEYS_PUT)
        rig.frame_at++;
    expect_keys(PREKEY_ONE_TIME_STOCK, 0);
    cr_assert(is_done());
}

Test(publishing, a_list_that_the_switch_lost_is_put_again, .init = begin, .fini = end) {
    publish();
    client_rig_restart(&rig);
    stock.list_version = 0;
    connect_device();
    expect_list(1);
    client_rig_expect_nothing(&rig);
}

/* Nobody would encrypt for it, and what it said of itself could not be believed. */
Test(publishing, a_device_that_is_not_on_the_list_publishes_nothing, .init = begin_further, .fini = end) {
    connect_device();
    client_rig_expect_nothing(&rig);
    cr_assert(!is_done());
}

Test(publishing, a_device_without_keys_says_nothing_of_them, .init = begin_bare, .fini = end) {
    stock.list_version = 4;
    connect_device();
    client_rig_expect_nothing(&rig);
}

/* The list that the switch has, signed by somebody, with these devices. */
static void say_list(const struct identity_keys *keys, uint64_t version, uint16_t device,
                     const uint8_t *identity) {
    struct devicelist list = {.account = RIG_ACCOUNT, .version = version};
    struct devicelist_device listed = {.number = device};
    uint8_t bytes[DEVICELIST_BYTES_MAX];
    struct frame_list get;
    struct frame frame = client_rig_expect(&rig, FRAME_LIST_GET);
    cr_assert_eq(frame_read_list(&frame, &get), 0);
    cr_assert_eq(get.account, RIG_ACCOUNT);
    memcpy(listed.identity, identity, IDENTITY_KEY_BYTES);
    devicelist_add(&list, &listed);
    struct frame_list answer = {.request = get.request, .account = RIG_ACCOUNT, .version = version};
    answer.list_bytes = (uint32_t)devicelist_sign(&list, keys, bytes);
    answer.list = bytes;
    say(frame_write_list(out, FRAME_LIST, &answer));
}

/* A further device, once the first one has put it on the list. */
Test(publishing, a_device_publishes_when_it_finds_itself_on_the_list, .init = begin_further, .fini = end) {
    static const uint8_t seed[IDENTITY_KEY_BYTES] = {7};
    struct identity_keys identity;
    identity_keys_init(&account_key, seed);
    cr_assert_eq(state_begin(rig.state), 0);
    contacts_pin(rig.state, RIG_ACCOUNT, account_key.public_key);
    cr_assert_eq(state_keys_identity(rig.state, &identity), 0);
    cr_assert_eq(state_commit(rig.state), 0);
    stock.list_version = 1;
    connect_device();
    say_list(&account_key, 1, 1, account_key.public_key);
    client_rig_expect_nothing(&rig);
    stock.list_version = 2;
    say_stock(0, 0);
    say_list(&account_key, 2, RIG_DEVICE, identity.public_key);
    expect_keys(PREKEY_ONE_TIME_STOCK, 0);
    client_rig_expect_nothing(&rig);
    cr_assert(is_done());
}

Test(publishing, a_device_whose_number_has_anothers_key_publishes_nothing, .init = begin_further,
     .fini = end) {
    static const uint8_t seed[IDENTITY_KEY_BYTES] = {7};
    identity_keys_init(&account_key, seed);
    stock.list_version = 1;
    connect_device();
    say_list(&account_key, 1, RIG_DEVICE, account_key.public_key);
    client_rig_expect_nothing(&rig);
    cr_assert(!is_done());
}

/* Its owner lost all devices, or the switch lies: it has a list that the new account key did not sign. */
Test(publishing, a_list_of_another_key_gets_one_above_it, .init = begin, .fini = end) {
    static const uint8_t seed[IDENTITY_KEY_BYTES] = {9};
    struct identity_keys other;
    identity_keys_init(&other, seed);
    stock.list_version = 6;
    connect_device();
    say_list(&other, 6, 1, other.public_key);
    expect_list(7);
    expect_keys(PREKEY_ONE_TIME_STOCK, 0);
    client_rig_expect_nothing(&rig);
    cr_assert(is_done());
}

/* Else two devices with a key each would overrule each other for ever. */
Test(publishing, a_list_of_another_key_that_comes_later_is_not_overruled, .init = begin, .fini = end) {
    static const uint8_t seed[IDENTITY_KEY_BYTES] = {9};
    struct identity_keys other;
    identity_keys_init(&other, seed);
    publish();
    stock.list_version = 2;
    say_stock(0, 0);
    say_list(&other, 2, 1, other.public_key);
    client_rig_expect_nothing(&rig);
    say_stock(0, 0);
    client_rig_expect_nothing(&rig);
}

/* --- letting devices in --------------------------------------------------------------------------------- */

#define NEW_DEVICE 5

static const uint8_t secret[PAIRING_SECRET_BYTES] = {1, 2, 3}, other_secret[PAIRING_SECRET_BYTES] = {4};
static const uint8_t wiped[PAIRING_SECRET_BYTES];
static const uint8_t new_seed[IDENTITY_KEY_BYTES] = {11};

static uint64_t utc_s(void) {
    return (RIG_UTC_MS + rig.now_ms) / 1000;
}

static void invite(uint64_t until_s) {
    cr_assert_eq(state_begin(rig.state), 0);
    pairing_invite(rig.state, secret, until_s);
    cr_assert_eq(state_commit(rig.state), 0);
}

static uint64_t strangers(void) {
    cr_assert_eq(state_look(rig.state), 0);
    uint64_t count = pairing_strangers(rig.state);
    state_end(rig.state);
    return count;
}

/* A device says who it is; the turn after it. */
static void introduce(const uint8_t *by, uint64_t account, uint16_t device, uint64_t number) {
    struct identity_keys identity;
    uint8_t said[24 + 32 + 16] = {(uint8_t)number}, data[12 + 10] = "tern pairing";
    identity_keys_init(&identity, new_seed);
    memcpy(said + 24, identity.public_key, IDENTITY_KEY_BYTES);
    bytes_put64(data + 12, account);
    bytes_put16(data + 20, device);
    primitive_seal(by, said, data, sizeof(data), said + 24, IDENTITY_KEY_BYTES);
    struct frame_message message = {
        .id = {.from = account, .to = RIG_ACCOUNT, .epoch = 9, .number = number, .from_device = device},
        .content_type = CONTENT_PAIRING,
        .payload = said,
        .payload_bytes = sizeof(said)};
    memset(out, 0, FRAME_MESSAGE_BYTES);
    say(frame_write_message(out, &message));
    while (rig.frame_at < rig.frame_count &&
           (rig.frames[rig.frame_at].type == FRAME_ACK || rig.frames[rig.frame_at].type == FRAME_LOOKUP))
        rig.frame_at++;
}

Test(publishing, who_knows_the_secret_of_the_invitation_comes_onto_the_list, .init = begin, .fini = end) {
    struct identity_keys identity;
    struct contact self;
    struct received message;
    publish();
    invite(utc_s() + 60);
    introduce(secret, RIG_ACCOUNT, NEW_DEVICE, 1);
    client_rig_expect(&rig, FRAME_LIST_PUT);
    client_rig_expect_nothing(&rig);
    introduce(wiped, RIG_ACCOUNT, NEW_DEVICE + 1, 1);
    client_rig_expect_nothing(&rig); /* the secret was for one; what is left of it opens nothing */
    cr_assert_eq(strangers(), 1);
    client_rig_restart(&rig);
    client_rig_connect(&rig);
    client_rig_expect(&rig, FRAME_MARK);
    client_rig_expect(&rig, FRAME_MARK);
    expect_list(2);
    client_rig_expect_nothing(&rig);
    identity_keys_init(&identity, new_seed);
    cr_assert_eq(state_look(rig.state), 0);
    cr_assert_eq(contacts_get(rig.state, RIG_ACCOUNT, &self), 0);
    const struct devicelist_device *device = devicelist_find(&self.list, NEW_DEVICE);
    cr_assert_not_null(device);
    cr_assert_eq(memcmp(device->identity, identity.public_key, IDENTITY_KEY_BYTES), 0);
    cr_assert_eq(state_inbox_next(rig.state, 1, &message), -ENOENT, "people do not see it");
    state_end(rig.state);
    introduce(secret, RIG_ACCOUNT, NEW_DEVICE + 1, 1);
    client_rig_expect_nothing(&rig); /* an invitation is for one */
}

/* The process ends before the switch has stored the list. */
Test(publishing, who_was_found_is_let_in_after_a_restart, .init = begin, .fini = end) {
    publish();
    invite(utc_s() + 60);
    introduce(secret, RIG_ACCOUNT, NEW_DEVICE, 1);
    client_rig_expect(&rig, FRAME_LIST_PUT);
    client_rig_restart(&rig);
    client_rig_connect(&rig);
    client_rig_expect(&rig, FRAME_MARK);
    expect_list(2);
    client_rig_expect_nothing(&rig);
}

Test(publishing, nobody_else_comes_onto_the_list, .init = begin, .fini = end) {
    publish();
    introduce(secret, RIG_ACCOUNT, NEW_DEVICE, 1);
    client_rig_expect_nothing(&rig); /* nobody is invited */
    cr_assert_eq(strangers(), 0);
    invite(utc_s() + 60);
    introduce(other_secret, RIG_ACCOUNT, NEW_DEVICE, 2);
    client_rig_expect_nothing(&rig);
    introduce(secret, RIG_OTHER, NEW_DEVICE, 1);
    client_rig_expect_nothing(&rig);
    cr_assert_eq(strangers(), 2);
    rig.now_ms += 61 * 1000;
    say(frame_write_ping(out, FRAME_PONG, 0));
    introduce(secret, RIG_ACCOUNT, NEW_DEVICE, 3);
    client_rig_expect_nothing(&rig); /* too late */
    cr_assert_eq(strangers(), 3);
}

/* The switch hands the message on as another device's. */
Test(publishing, what_a_device_says_is_of_that_device_alone, .init = begin, .fini = end) {
    static uint8_t frame[FRAME_MESSAGE_BYTES + 128];
    publish();
    invite(utc_s() + 60);
    client_rig_disconnect(&rig);
    client_rig_connect(&rig);
    struct identity_keys identity;
    uint8_t said[24 + 32 + 16] = {7}, data[12 + 10] = "tern pairing";
    identity_keys_init(&identity, new_seed);
    memcpy(said + 24, identity.public_key, IDENTITY_KEY_BYTES);
    bytes_put64(data + 12, RIG_ACCOUNT);
    bytes_put16(data + 20, NEW_DEVICE);
    primitive_seal(secret, said, data, sizeof(data), said + 24, IDENTITY_KEY_BYTES);
    struct frame_message message = {.id = {.from = RIG_ACCOUNT,
                                           .to = RIG_ACCOUNT,
                                           .epoch = 9,
                                           .number = 1,
                                           .from_device = NEW_DEVICE + 1},
                                    .content_type = CONTENT_PAIRING,
                                    .payload = said,
                                    .payload_bytes = sizeof(said)};
    cr_assert_eq(client_rig_say(&rig, frame, frame_write_message(frame, &message)), 0);
    cr_assert_eq(client_rig_turn(&rig), 0);
    cr_assert_eq(strangers(), 1);
}

/* The other side: a device that was linked with a URI that has a secret. */
Test(publishing, a_new_device_says_who_it_is_once, .init = begin_further, .fini = end) {
    struct frame_message said;
    struct identity_keys identity;
    uint8_t data[12 + 10] = "tern pairing", opened[IDENTITY_KEY_BYTES];
    static const uint8_t seed[IDENTITY_KEY_BYTES] = {7};
    identity_keys_init(&account_key, seed);
    cr_assert_eq(state_begin(rig.state), 0);
    contacts_pin(rig.state, RIG_ACCOUNT, account_key.public_key);
    pairing_keep(rig.state, secret);
    state_keys_identity(rig.state, &identity);
    cr_assert_eq(state_commit(rig.state), 0);
    stock.list_version = 1;
    connect_device();
    client_rig_expect(&rig, FRAME_LIST_GET);
    struct frame frame = client_rig_expect(&rig, FRAME_MESSAGE);
    cr_assert_eq(frame_read_message(&frame, &said), 0);
    cr_assert_eq(said.id.to, RIG_ACCOUNT);
    cr_assert_eq(said.content_type, CONTENT_PAIRING);
    cr_assert_eq(said.target_count, 0);
    cr_assert_eq(said.payload_bytes, 24 + 32 + 16);
    bytes_put64(data + 12, RIG_ACCOUNT);
    bytes_put16(data + 20, RIG_DEVICE);
    cr_assert_eq(primitive_open(secret, said.payload, data, sizeof(data), said.payload + 24, 48, opened), 0);
    cr_assert_eq(memcmp(opened, identity.public_key, IDENTITY_KEY_BYTES), 0);
    cr_assert_eq(state_look(rig.state), 0);
    cr_assert(pairing_waits(rig.state));
    cr_assert_eq(state_outbox_count(rig.state), 1);
    state_end(rig.state);
    client_rig_restart(&rig);
    stock.list_version = 2;
    client_rig_connect(&rig);
    client_rig_expect(&rig, FRAME_LIST_GET);
    client_rig_expect(&rig, FRAME_MESSAGE); /* it has no tick; no second one is made */
    client_rig_expect_nothing(&rig);
    client_rig_restart(&rig);
    client_rig_connect(&rig);
    say_list(&account_key, 2, RIG_DEVICE, identity.public_key);
    say_stock(0, 0);
    expect_keys(PREKEY_ONE_TIME_STOCK, 0);
    cr_assert_eq(state_look(rig.state), 0);
    cr_assert(!pairing_waits(rig.state));
    state_end(rig.state);
}
