/* What a device leaves with the switch so that others can encrypt for it, as the switch sees it. */
#include "tests/support/publisher.h"

TestSuite(publishing, .timeout = 30);

Test(publishing, the_first_device_signs_a_list_and_then_publishes_its_keys, .init = publisher_begin,
     .fini = publisher_end) {
    cr_assert(!publisher_is_done());
    publisher_publish();
    cr_assert(publisher_is_done());
    client_rig_restart(&rig);
    publisher_connect();
    client_rig_expect_nothing(&rig);
}

/* The switch has stored list and keys, and its answers got lost. */
Test(publishing, what_was_not_answered_is_said_again_as_it_was, .init = publisher_begin,
     .fini = publisher_end) {
    struct frame_keys_put first, again;
    static uint8_t before[8192];
    publisher_connect();
    client_rig_expect(&rig, FRAME_LIST_PUT);
    client_rig_restart(&rig);
    client_rig_connect(&rig); /* the question is in the state */
    publisher_expect_list(1);
    publisher_say_stock(0, 0);
    struct frame frame = client_rig_expect(&rig, FRAME_KEYS_PUT);
    memcpy(before, frame.bytes, frame.frame_bytes);
    frame.bytes = before;
    cr_assert_eq(frame_read_keys_put(&frame, &first), 0);
    client_rig_restart(&rig);
    publisher_connect();
    frame = client_rig_expect(&rig, FRAME_KEYS_PUT);
    cr_assert_eq(frame_read_keys_put(&frame, &again), 0);
    cr_assert_eq(again.count, first.count);
    cr_assert_eq(memcmp(again.keys, first.keys, FRAME_KEYS_BYTES), 0);
    cr_assert_eq(memcmp(again.one_time, first.one_time, (size_t)first.count * FRAME_ONE_TIME_BYTES), 0);
}

Test(publishing, a_low_stock_is_filled_up, .init = publisher_begin, .fini = publisher_end) {
    publisher_publish();
    stock.left = PREKEY_ONE_TIME_LOW;
    publisher_say_stock(0, 0);
    publisher_expect_keys(PREKEY_ONE_TIME_STOCK - PREKEY_ONE_TIME_LOW, 0);
    client_rig_expect_nothing(&rig);
}

Test(publishing, the_signed_pre_key_gets_a_successor_within_a_long_session, .init = publisher_begin,
     .fini = publisher_end) {
    publisher_publish();
    uint32_t before = stock.signed_id;
    for (uint32_t hours = 0; stock.signed_id == before; hours++) {
        cr_assert_leq(hours, PREKEY_ROTATE_S / 3600 + 2);
        rig.now_ms += 3600 * 1000;
        publisher_say(frame_write_ping(out, FRAME_PONG, 0));
        while (rig.frame_at < rig.frame_count && rig.frames[rig.frame_at].type != FRAME_KEYS_PUT)
            rig.frame_at++;
        if (rig.frame_at < rig.frame_count)
            publisher_expect_keys(0, 0);
    }
    cr_assert_gt(stock.signed_id, before);
}

Test(publishing, a_refusal_is_not_answered_by_the_same_at_once, .init = publisher_begin,
     .fini = publisher_end) {
    publisher_connect();
    publisher_expect_list(1);
    publisher_expect_keys(PREKEY_ONE_TIME_STOCK, REFUSAL_STORE_FULL);
    client_rig_expect_nothing(&rig);
    cr_assert(!publisher_is_done()); /* nobody can write to it: that must not last */
    rig.now_ms += PUBLISHING_RETRY_S * 1000;
    publisher_say(frame_write_ping(out, FRAME_PONG, 0));
    while (rig.frames[rig.frame_at].type != FRAME_KEYS_PUT)
        rig.frame_at++;
    publisher_expect_keys(PREKEY_ONE_TIME_STOCK, 0);
    cr_assert(publisher_is_done());
}

Test(publishing, a_list_that_the_switch_lost_is_put_again, .init = publisher_begin, .fini = publisher_end) {
    publisher_publish();
    client_rig_restart(&rig);
    stock.list_version = 0;
    publisher_connect();
    publisher_expect_list(1);
    client_rig_expect_nothing(&rig);
}

/* Nobody would encrypt for it, and what it said of itself could not be believed. */
Test(publishing, a_device_that_is_not_on_the_list_publishes_nothing, .init = publisher_begin_further,
     .fini = publisher_end) {
    publisher_connect();
    client_rig_expect_nothing(&rig);
    cr_assert(!publisher_is_done());
}

Test(publishing, a_device_without_keys_says_nothing_of_them, .init = publisher_begin_bare,
     .fini = publisher_end) {
    stock.list_version = 4;
    publisher_connect();
    client_rig_expect_nothing(&rig);
}

/* A further device, once the first one has put it on the list. */
Test(publishing, a_device_publishes_when_it_finds_itself_on_the_list, .init = publisher_begin_further,
     .fini = publisher_end) {
    static const uint8_t seed[IDENTITY_KEY_BYTES] = {7};
    struct identity_keys identity;
    identity_keys_init(&account_key, seed);
    cr_assert_eq(state_begin(rig.state), 0);
    contacts_pin(rig.state, RIG_ACCOUNT, account_key.public_key);
    cr_assert_eq(state_keys_identity(rig.state, &identity), 0);
    cr_assert_eq(state_commit(rig.state), 0);
    stock.list_version = 1;
    publisher_connect();
    publisher_say_list(&account_key, 1, 1, account_key.public_key);
    client_rig_expect_nothing(&rig);
    stock.list_version = 2;
    publisher_say_stock(0, 0);
    publisher_say_list(&account_key, 2, RIG_DEVICE, identity.public_key);
    publisher_expect_keys(PREKEY_ONE_TIME_STOCK, 0);
    client_rig_expect_nothing(&rig);
    cr_assert(publisher_is_done());
}

Test(publishing, a_device_whose_number_has_anothers_key_publishes_nothing, .init = publisher_begin_further,
     .fini = publisher_end) {
    static const uint8_t seed[IDENTITY_KEY_BYTES] = {7};
    identity_keys_init(&account_key, seed);
    stock.list_version = 1;
    publisher_connect();
    publisher_say_list(&account_key, 1, RIG_DEVICE, account_key.public_key);
    client_rig_expect_nothing(&rig);
    cr_assert(!publisher_is_done());
}

/* Its owner lost all devices, or the switch lies: it has a list that the new account key did not sign. */
Test(publishing, a_list_of_another_key_gets_one_above_it, .init = publisher_begin, .fini = publisher_end) {
    static const uint8_t seed[IDENTITY_KEY_BYTES] = {9};
    struct identity_keys other;
    identity_keys_init(&other, seed);
    stock.list_version = 6;
    publisher_connect();
    publisher_say_list(&other, 6, 1, other.public_key);
    publisher_expect_list(7);
    publisher_expect_keys(PREKEY_ONE_TIME_STOCK, 0);
    client_rig_expect_nothing(&rig);
    cr_assert(publisher_is_done());
}

/* Else two devices with a key each would overrule each other for ever. */
Test(publishing, a_list_of_another_key_that_comes_later_is_not_overruled, .init = publisher_begin,
     .fini = publisher_end) {
    static const uint8_t seed[IDENTITY_KEY_BYTES] = {9};
    struct identity_keys other;
    identity_keys_init(&other, seed);
    publisher_publish();
    stock.list_version = 2;
    publisher_say_stock(0, 0);
    publisher_say_list(&other, 2, 1, other.public_key);
    client_rig_expect_nothing(&rig);
    publisher_say_stock(0, 0);
    client_rig_expect_nothing(&rig);
}
