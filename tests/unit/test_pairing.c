/* How a further device is let in, by whom, and who is not: from both sides, as the switch sees them. */
#include <errno.h>

#include "tests/support/publisher.h"
#include "tools/client/content.h"
#include "tools/client/opening.h"
#include "tools/client/pairing.h"

TestSuite(pairing, .timeout = 30);

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

/* Messages of nobody who was invited. */
static uint64_t strange(void) {
    cr_assert_eq(state_look(rig.state), 0);
    uint64_t count = opening_count(rig.state, TROUBLE_STRANGE);
    state_end(rig.state);
    return count;
}

static bool is_stranger(uint16_t device) {
    uint16_t found = 0;
    cr_assert_eq(state_look(rig.state), 0);
    int error = pairing_stranger(rig.state, device, &found);
    state_end(rig.state);
    cr_assert(error == 0 || error == -ENOENT);
    return error == 0 && found == device;
}

static void skip(enum frame_type one, enum frame_type other) {
    while (rig.frame_at < rig.frame_count &&
           (rig.frames[rig.frame_at].type == one || rig.frames[rig.frame_at].type == other))
        rig.frame_at++;
}

static size_t write_refused(uint8_t data[15 + 10], uint16_t device) {
    memcpy(data, "tern not let in", 15);
    bytes_put64(data + 15, RIG_ACCOUNT);
    bytes_put16(data + 23, device);
    return 15 + 10;
}

/* The device tells this one that it is not let in, in its message of this number, and gets the tick. */
static void expect_refusal(uint16_t device, uint64_t number) {
    struct frame_message said;
    uint8_t data[15 + 10];
    struct frame frame = client_rig_expect(&rig, FRAME_MESSAGE);
    cr_assert_eq(frame_read_message(&frame, &said), 0);
    cr_assert(said.id.to == RIG_ACCOUNT && said.id.number == number && said.target_count == 0);
    cr_assert_eq(said.content_type, CONTENT_PAIRING);
    cr_assert_eq(said.payload_bytes, 2 + 64);
    cr_assert_eq(bytes_get16(said.payload), device);
    cr_assert_eq(identity_verify(account_key.public_key, data, write_refused(data, device), said.payload + 2),
                 0);
    struct frame_range range = {.id = {.from = RIG_ACCOUNT,
                                       .to = RIG_ACCOUNT,
                                       .epoch = RIG_EPOCH,
                                       .number = number,
                                       .from_device = RIG_DEVICE},
                                .last = number};
    publisher_say(frame_write_range(out, FRAME_RECEIPT, RECEIPT_SENT, &range));
    skip(FRAME_ACK, FRAME_ACK);
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
    publisher_say(frame_write_message(out, &message));
    skip(FRAME_ACK, FRAME_LOOKUP);
}

Test(pairing, who_knows_the_secret_of_the_invitation_comes_onto_the_list, .init = publisher_begin,
     .fini = publisher_end) {
    struct identity_keys identity;
    struct contact self;
    struct received message;
    publisher_publish();
    invite(utc_s() + 60);
    introduce(secret, RIG_ACCOUNT, NEW_DEVICE, 1);
    client_rig_expect(&rig, FRAME_LIST_PUT);
    client_rig_expect_nothing(&rig);
    introduce(wiped, RIG_ACCOUNT, NEW_DEVICE + 1, 1);
    expect_refusal(NEW_DEVICE + 1, 1); /* the secret was for one; what is left of it opens nothing */
    client_rig_expect_nothing(&rig);
    cr_assert_eq(strange(), 1);
    client_rig_restart(&rig);
    client_rig_connect(&rig);
    client_rig_expect(&rig, FRAME_MARK);
    client_rig_expect(&rig, FRAME_MARK);
    publisher_expect_list(2);
    client_rig_expect_nothing(&rig);
    identity_keys_init(&identity, new_seed);
    cr_assert_eq(state_look(rig.state), 0);
    cr_assert_eq(contacts_get(rig.state, RIG_ACCOUNT, &self), 0);
    const struct devicelist_device *device = devicelist_find(&self.list, NEW_DEVICE);
    cr_assert_not_null(device);
    cr_assert_eq(memcmp(device->identity, identity.public_key, IDENTITY_KEY_BYTES), 0);
    cr_assert_eq(state_inbox_next(rig.state, 1, &message), -ENOENT, "people do not see it");
    state_end(rig.state);
    introduce(secret, RIG_ACCOUNT, NEW_DEVICE + 1, 2);
    client_rig_expect_nothing(&rig); /* an invitation is for one, and that was said */
    introduce(other_secret, RIG_ACCOUNT, NEW_DEVICE, 2);
    client_rig_expect_nothing(&rig);
    cr_assert(!is_stranger(NEW_DEVICE), "it is on the list, whatever the switch says in its name");
    cr_assert_eq(strange(), 3);
}

/* The process ends before the switch has stored the list. */
Test(pairing, who_was_found_is_let_in_after_a_restart, .init = publisher_begin, .fini = publisher_end) {
    publisher_publish();
    invite(utc_s() + 60);
    introduce(secret, RIG_ACCOUNT, NEW_DEVICE, 1);
    client_rig_expect(&rig, FRAME_LIST_PUT);
    client_rig_restart(&rig);
    client_rig_connect(&rig);
    client_rig_expect(&rig, FRAME_MARK);
    publisher_expect_list(2);
    client_rig_expect_nothing(&rig);
}

Test(pairing, nobody_else_comes_onto_the_list, .init = publisher_begin, .fini = publisher_end) {
    publisher_publish();
    introduce(secret, RIG_ACCOUNT, NEW_DEVICE, 1);
    expect_refusal(NEW_DEVICE, 1); /* nobody is invited */
    client_rig_expect_nothing(&rig);
    cr_assert_eq(strange(), 1);
    invite(utc_s() + 60);
    introduce(other_secret, RIG_ACCOUNT, NEW_DEVICE + 1, 1);
    expect_refusal(NEW_DEVICE + 1, 2);
    client_rig_expect_nothing(&rig);
    introduce(secret, RIG_OTHER, NEW_DEVICE, 1);
    client_rig_expect_nothing(&rig);
    cr_assert_eq(strange(), 3);
    rig.now_ms += 61 * 1000;
    publisher_say(frame_write_ping(out, FRAME_PONG, 0));
    introduce(secret, RIG_ACCOUNT, NEW_DEVICE + 2, 1);
    expect_refusal(NEW_DEVICE + 2, 3); /* too late */
    client_rig_expect_nothing(&rig);
    cr_assert_eq(strange(), 4);
}

/* Told once, and there for people to see until it is cut off. */
Test(pairing, a_stranger_is_one_until_the_switch_has_cut_it_off, .init = publisher_begin,
     .fini = publisher_end) {
    struct ask ask = {.kind = ASK_REMOVE, .device = NEW_DEVICE};
    struct frame_device removed;
    publisher_publish();
    introduce(secret, RIG_ACCOUNT, NEW_DEVICE, 1);
    expect_refusal(NEW_DEVICE, 1);
    introduce(secret, RIG_ACCOUNT, NEW_DEVICE, 2);
    client_rig_expect_nothing(&rig);
    cr_assert(is_stranger(NEW_DEVICE));
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(state_begin(rig.state), 0);
        state_request_put(rig.state, &ask);
        cr_assert_eq(state_commit(rig.state), 0);
        cr_assert_eq(client_rig_turn(&rig), 0);
        struct frame frame = client_rig_expect(&rig, FRAME_DEVICE_REMOVE);
        cr_assert_eq(frame_read_device(&frame, &removed), 0);
        removed.status = i == 0 ? REFUSAL_STORE_FULL : REFUSAL_NO_DEVICE;
        publisher_say(frame_write_device(out, FRAME_DEVICE_REMOVED, &removed));
        cr_assert_eq(is_stranger(NEW_DEVICE), i == 0);
    }
}

/* The switch can say much in the name of devices that there are not. */
Test(pairing, no_more_strangers_are_told_and_kept_than_an_account_has_devices, .init = publisher_begin,
     .fini = publisher_end) {
    publisher_publish();
    for (uint16_t i = 0; i < PAIRING_STRANGERS_MAX; i++) {
        introduce(secret, RIG_ACCOUNT, (uint16_t)(100 + i), 1);
        expect_refusal((uint16_t)(100 + i), i + 1u);
    }
    introduce(secret, RIG_ACCOUNT, 200, 1);
    client_rig_expect_nothing(&rig);
    cr_assert(!is_stranger(200));
    cr_assert_eq(strange(), PAIRING_STRANGERS_MAX + 1);
}

/* The switch hands the message on as another device's. */
Test(pairing, what_a_device_says_is_of_that_device_alone, .init = publisher_begin, .fini = publisher_end) {
    static uint8_t frame[FRAME_MESSAGE_BYTES + 128];
    publisher_publish();
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
    cr_assert_eq(strange(), 1);
    cr_assert(is_stranger(NEW_DEVICE + 1));
}

static void expect_stand(enum pairing_stand stand) {
    cr_assert_eq(state_look(rig.state), 0);
    cr_assert_eq(pairing_stand(rig.state), stand);
    state_end(rig.state);
}

/* Whether any record of this device has these bytes in it. */
static bool state_has(const void *bytes, size_t count) {
    struct key at = {.used = 0};
    struct disk_view key, value;
    bool found = false;
    cr_assert_eq(state_look(rig.state), 0);
    while (!found && vault_walk(rig.state->vault, &at, &key, &value) == 0)
        found = memmem(value.at, value.bytes, bytes, count) != NULL;
    state_end(rig.state);
    return found;
}

/* The other side: a device that was linked with a URI that has a secret. */
Test(pairing, a_new_device_says_who_it_is_once, .init = publisher_begin_further, .fini = publisher_end) {
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
    publisher_connect();
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
    expect_stand(PAIRING_WAITS);
    cr_assert(!state_has(secret, sizeof(secret)), "it was used");
    client_rig_restart(&rig);
    stock.list_version = 2;
    client_rig_connect(&rig);
    client_rig_expect(&rig, FRAME_LIST_GET);
    client_rig_expect(&rig, FRAME_MESSAGE); /* it has no tick; no second one is made */
    client_rig_expect_nothing(&rig);
    client_rig_restart(&rig);
    client_rig_connect(&rig);
    publisher_say_list(&account_key, 2, RIG_DEVICE, identity.public_key);
    publisher_say_stock(0, 0);
    publisher_expect_keys(PREKEY_ONE_TIME_STOCK, 0);
    expect_stand(PAIRING_NONE);
}

/* What the device with the account key says to one that it does not let in. */
static void say_refused(const struct identity_keys *by, uint16_t device, uint64_t number) {
    uint8_t refusal[2 + 64], data[15 + 10];
    struct frame_message message = {
        .id = {.from = RIG_ACCOUNT, .to = RIG_ACCOUNT, .epoch = 9, .number = number, .from_device = 1},
        .content_type = CONTENT_PAIRING,
        .payload = refusal,
        .payload_bytes = sizeof(refusal)};
    bytes_put16(refusal, device);
    identity_sign(by, data, write_refused(data, device), refusal + 2);
    publisher_say(frame_write_message(out, &message));
}

Test(pairing, a_new_device_believes_the_account_key_that_it_is_not_let_in, .init = publisher_begin_further,
     .fini = publisher_end) {
    static const uint8_t seed[IDENTITY_KEY_BYTES] = {7}, other_seed[IDENTITY_KEY_BYTES] = {8};
    struct identity_keys other_key;
    identity_keys_init(&account_key, seed);
    identity_keys_init(&other_key, other_seed);
    cr_assert_eq(state_begin(rig.state), 0);
    contacts_pin(rig.state, RIG_ACCOUNT, account_key.public_key);
    pairing_keep(rig.state, secret);
    cr_assert_eq(state_commit(rig.state), 0);
    publisher_connect();
    say_refused(&other_key, RIG_DEVICE, 1);
    expect_stand(PAIRING_WAITS);
    cr_assert_eq(strange(), 1);
    say_refused(&account_key, RIG_DEVICE + 1, 2);
    expect_stand(PAIRING_WAITS);
    say_refused(&account_key, RIG_DEVICE, 3);
    expect_stand(PAIRING_REFUSED);
    client_rig_restart(&rig);
    publisher_connect();
    expect_stand(PAIRING_REFUSED);
    cr_assert_eq(strange(), 1);
}
