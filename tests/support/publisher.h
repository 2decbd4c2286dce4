/* tests/support/publisher.h: a device that leaves its keys and its account's list with the switch, as the
 * test that is this switch sees it (client_rig.h).
 *
 * Threads: one.  Memory: client_rig's. */
#ifndef TERN_TESTS_SUPPORT_PUBLISHER_H
#define TERN_TESTS_SUPPORT_PUBLISHER_H

#include <criterion/criterion.h>

#include "core/frame_keys.h"
#include "core/noise.h"
#include "core/reason.h"
#include "tests/support/client_rig.h"
#include "tools/client/contacts.h"
#include "tools/client/publishing.h"

static struct client_rig rig;
static struct frame_keys_stock stock; /* what the switch has */
static uint8_t out[8192];
static struct identity_keys account_key;

static inline void publisher_begin_bare(void) {
    cr_assert_eq(noise_init(), 0);
    stock = (struct frame_keys_stock){0};
    client_rig_begin(&rig);
}

static inline void publisher_begin_further(void) {
    publisher_begin_bare();
    cr_assert_eq(state_begin(rig.state), 0);
    state_keys_make(rig.state);
    cr_assert_eq(state_commit(rig.state), 0);
}

/* The first device of an account. */
static inline void publisher_begin(void) {
    publisher_begin_further();
    cr_assert_eq(state_begin(rig.state), 0);
    state_keys_make_account(rig.state);
    cr_assert_eq(state_keys_account(rig.state, &account_key), 0);
    contacts_pin(rig.state, RIG_ACCOUNT, account_key.public_key);
    cr_assert_eq(state_commit(rig.state), 0);
}

static inline void publisher_end(void) {
    client_rig_end(&rig);
}

static inline void publisher_say(size_t frame_bytes) {
    cr_assert_eq(client_rig_say(&rig, out, frame_bytes), 0);
    cr_assert_eq(client_rig_turn(&rig), 0);
}

static inline void publisher_say_stock(uint32_t request, uint16_t status) {
    stock.request = request;
    stock.status = status;
    publisher_say(frame_write_keys_stock(out, &stock));
}

static inline void publisher_connect(void) {
    client_rig_connect(&rig);
    publisher_say_stock(0, 0);
}

static inline bool publisher_is_done(void) {
    cr_assert_eq(state_look(rig.state), 0);
    bool done = publishing_is_done(rig.state);
    state_end(rig.state);
    return done;
}

/* LIST_PUT of this version, with this device on it; it is stored, and what the device says then is there. */
static inline void publisher_expect_list(uint64_t version) {
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
    publisher_say(frame_write_list(out, FRAME_LIST_STORED, &stored));
}

/* KEYS_PUT with so many one-time pre-keys. The answer: status 0 takes them. */
static inline void publisher_expect_keys(uint16_t count, uint16_t status) {
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
    publisher_say_stock(put.request, status);
}

static inline void publisher_publish(void) {
    publisher_connect();
    publisher_expect_list(1);
    publisher_expect_keys(PREKEY_ONE_TIME_STOCK, 0);
    client_rig_expect_nothing(&rig);
}

/* The list that the switch has, signed by somebody, with these devices. */
static inline void publisher_say_list(const struct identity_keys *keys, uint64_t version, uint16_t device,
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
    publisher_say(frame_write_list(out, FRAME_LIST, &answer));
}

#endif
