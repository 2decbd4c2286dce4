/* The secrets of a device: made once, offered to the switch, wiped when nothing can need them any more. */
#include <criterion/criterion.h>

#include "tests/support/client_rig.h"
#include "tools/client/link.h"
#include "tools/client/state_keys.h"

TestSuite(state_keys, .timeout = 60);

#define DAY_S 86400u
#define NOW_S UINT64_C(1700000000)

static struct client_rig rig;
static struct state_keys_offer offer;

/* A switch, as far as it concerns one device: what it took and has not handed out. */
static struct frame_keys_stock stock;

static void begin(void) {
    stock = (struct frame_keys_stock){0};
    client_rig_begin(&rig);
    cr_assert_eq(state_begin(rig.state), 0);
    cr_assert_eq(state_keys_make(rig.state), 0);
    cr_assert_eq(state_commit(rig.state), 0);
}

static void end(void) {
    client_rig_end(&rig);
}

static int make_offer(uint64_t now_s) {
    cr_assert_eq(state_begin(rig.state), 0);
    int error = state_keys_offer(rig.state, &stock, now_s, &offer);
    cr_assert_eq(state_commit(rig.state), 0);
    return error;
}

static uint32_t offered_id(uint32_t index) {
    return frame_one_time_id(offer.one_time + (size_t)index * FRAME_ONE_TIME_BYTES);
}

/* KEYS_PUT, and its answer. */
static void publish(uint64_t now_s) {
    cr_assert_eq(make_offer(now_s), 0);
    stock.signed_id = frame_keys_signed_id(offer.keys);
    stock.left = (uint16_t)(stock.left + offer.put.count);
    if (offer.put.count)
        stock.one_time_last = offered_id(offer.put.count - 1u);
    cr_assert_eq(make_offer(now_s), -EALREADY);
}

static bool has_one_time(uint32_t id) {
    struct prekey prekey;
    cr_assert_eq(state_look(rig.state), 0);
    int error = state_keys_one_time(rig.state, id, &prekey);
    state_end(rig.state);
    cr_assert(error == 0 || error == -ENOENT);
    return error == 0;
}

static bool has_signed(uint32_t id) {
    struct prekey prekey;
    cr_assert_eq(state_look(rig.state), 0);
    int error = state_keys_signed(rig.state, id, &prekey);
    state_end(rig.state);
    cr_assert(error == 0 || error == -ENOENT);
    return error == 0;
}

static void get_identity(struct identity_keys *ret_keys) {
    cr_assert_eq(state_look(rig.state), 0);
    cr_assert_eq(state_keys_identity(rig.state, ret_keys), 0);
    state_end(rig.state);
}

Test(state_keys, an_identity_is_made_once, .init = begin, .fini = end) {
    struct identity_keys first, second;
    get_identity(&first);
    cr_assert_eq(state_begin(rig.state), 0);
    cr_assert_eq(state_keys_make(rig.state), 0);
    cr_assert_eq(state_keys_account(rig.state, &second), -ENOENT, "the account key is another device's");
    cr_assert_eq(state_commit(rig.state), 0);
    get_identity(&second);
    cr_assert_arr_eq(first.seed, second.seed, sizeof(first.seed));
    cr_assert_arr_eq(first.public_key, second.public_key, sizeof(first.public_key));
}

Test(state_keys, linking_with_another_account_makes_other_keys, .init = begin, .fini = end) {
    struct uri uri = {.host = "::1", .port = 1, .name = "alice", .account = 9, .key = {1}, .code = {2}};
    struct key key = key_of(KEY_IDENTITY);
    struct identity_keys identity[3], account[3];
    cr_assert_eq(state_begin(rig.state), 0);
    state_delete(rig.state, &key);
    cr_assert_eq(state_commit(rig.state), 0);
    for (int i = 0; i < 3; i++) {
        uri.account = i < 2 ? 9 : 10;
        cr_assert_eq(link_prepare(rig.state, &uri), 0);
        get_identity(&identity[i]);
        cr_assert_eq(state_look(rig.state), 0);
        cr_assert_eq(state_keys_account(rig.state, &account[i]), 0);
        state_end(rig.state);
    }
    cr_assert_arr_eq(identity[0].seed, identity[1].seed, IDENTITY_KEY_BYTES, "tried again, the same device");
    cr_assert_arr_eq(account[0].seed, account[1].seed, IDENTITY_KEY_BYTES);
    cr_assert_arr_neq(identity[1].seed, identity[2].seed, IDENTITY_KEY_BYTES);
    cr_assert_arr_neq(account[1].seed, account[2].seed, IDENTITY_KEY_BYTES);
    cr_assert_arr_neq(account[2].seed, identity[2].seed, IDENTITY_KEY_BYTES);
}

Test(state_keys, a_switch_with_nothing_is_offered_a_bundle_and_a_whole_stock, .init = begin, .fini = end) {
    struct identity_keys identity;
    struct prekey_bundle bundle;
    uint8_t bytes[PREKEY_BUNDLE_BYTES] = {0};
    get_identity(&identity);
    cr_assert_eq(make_offer(NOW_S), 0);
    cr_assert_eq(offer.put.count, PREKEY_ONE_TIME_STOCK);
    memcpy(bytes, offer.keys, FRAME_KEYS_BYTES);
    memcpy(bytes + FRAME_KEYS_BYTES, offer.one_time, FRAME_ONE_TIME_BYTES);
    cr_assert_eq(prekey_bundle_read(&bundle, bytes, sizeof(bytes)), 0);
    cr_assert_eq(prekey_bundle_verify(&bundle, identity.public_key), 0);
    for (uint32_t i = 0; i < offer.put.count; i++) {
        struct prekey prekey;
        cr_assert_eq(offered_id(i), i + 1);
        cr_assert_eq(state_look(rig.state), 0);
        cr_assert_eq(state_keys_one_time(rig.state, i + 1, &prekey), 0);
        state_end(rig.state);
        cr_assert_arr_eq(prekey.public_key, offer.one_time + i * FRAME_ONE_TIME_BYTES + 4, 32);
    }
}

Test(state_keys, an_offer_whose_answer_got_lost_is_made_again_with_the_same_keys, .init = begin,
     .fini = end) {
    static struct state_keys_offer first;
    cr_assert_eq(make_offer(NOW_S), 0);
    first = offer;
    cr_assert_eq(make_offer(NOW_S + 1), 0);
    cr_assert_arr_eq(first.keys, offer.keys, sizeof(first.keys));
    cr_assert_arr_eq(first.one_time, offer.one_time, sizeof(first.one_time));
    publish(NOW_S + 2);
}

Test(state_keys, what_was_handed_out_is_made_up_for_with_higher_ids, .init = begin, .fini = end) {
    publish(NOW_S);
    stock.left = 97;
    cr_assert_eq(make_offer(NOW_S), 0);
    cr_assert_eq(offer.put.count, 3);
    cr_assert_eq(offered_id(0), 101);
    cr_assert_eq(offered_id(2), 103);
    cr_assert_eq(frame_keys_signed_id(offer.keys), 1, "a week is not over");
}

Test(state_keys, a_one_time_key_that_a_restored_switch_forgot_is_not_offered_again, .init = begin,
     .fini = end) {
    publish(NOW_S);
    stock = (struct frame_keys_stock){.signed_id = 1};
    cr_assert_eq(make_offer(NOW_S), 0);
    cr_assert_eq(offer.put.count, PREKEY_ONE_TIME_STOCK);
    cr_assert_eq(offered_id(0), 101);
}

Test(state_keys, a_state_that_is_older_than_what_was_published_goes_on_above_it, .init = begin, .fini = end) {
    stock = (struct frame_keys_stock){.signed_id = 7, .one_time_last = 500, .left = 90};
    cr_assert_eq(make_offer(NOW_S), 0);
    cr_assert_eq(frame_keys_signed_id(offer.keys), 8);
    cr_assert_eq(offer.put.count, 10);
    cr_assert_eq(offered_id(0), 501);
}

Test(state_keys, a_signed_pre_key_has_a_successor_after_a_week_and_ends_with_the_longest_message,
     .init = begin, .fini = end) {
    publish(NOW_S);
    cr_assert_eq(make_offer(NOW_S + 7 * DAY_S - 1), -EALREADY);
    publish(NOW_S + 7 * DAY_S);
    cr_assert_eq(stock.signed_id, 2);
    cr_assert(has_signed(1) && has_signed(2));
    publish(NOW_S + 37 * DAY_S); /* a third: this device was away */
    cr_assert(has_signed(1), "a message of thirty days may still come");
    make_offer(NOW_S + 37 * DAY_S + 1);
    cr_assert_not(has_signed(1));
    cr_assert(has_signed(2) && has_signed(3));
    make_offer(NOW_S);
    cr_assert(has_signed(2) && has_signed(3), "a clock that goes back wipes nothing");
}

Test(state_keys, a_signed_pre_key_of_a_clock_that_was_ahead_is_of_the_day_it_was_found, .init = begin,
     .fini = end) {
    publish(NOW_S);
    publish(NOW_S + 10000 * DAY_S);
    cr_assert_eq(stock.signed_id, 2);
    cr_assert_eq(make_offer(NOW_S + DAY_S), -EALREADY);
    cr_assert_eq(make_offer(NOW_S + 8 * DAY_S - 1), -EALREADY);
    publish(NOW_S + 8 * DAY_S);
    cr_assert_eq(stock.signed_id, 3, "a week in use");
    make_offer(NOW_S + 31 * DAY_S);
    cr_assert(has_signed(1), "a message of thirty days may still come");
    make_offer(NOW_S + 31 * DAY_S + 1);
    cr_assert_not(has_signed(1));
    cr_assert(has_signed(2));
}

Test(state_keys, a_clock_that_is_behind_dates_no_signed_pre_key_anew, .init = begin, .fini = end) {
    publish(NOW_S);
    publish(NOW_S + 7 * DAY_S);
    cr_assert_eq(make_offer(5), -EALREADY);
    cr_assert_eq(make_offer(NOW_S + 14 * DAY_S - 1), -EALREADY);
    cr_assert(has_signed(1), "its successor came a week ago");
    publish(NOW_S + 14 * DAY_S);
}

Test(state_keys, a_one_time_key_ends_with_its_message, .init = begin, .fini = end) {
    publish(NOW_S);
    cr_assert_eq(state_begin(rig.state), 0);
    cr_assert_eq(state_keys_use_one_time(rig.state, 5), 0);
    state_end(rig.state);
    cr_assert(has_one_time(5), "what was not committed did not happen");
    cr_assert_eq(state_begin(rig.state), 0);
    cr_assert_eq(state_keys_use_one_time(rig.state, 5), 0);
    cr_assert_eq(state_commit(rig.state), 0);
    cr_assert_not(has_one_time(5));
}

Test(state_keys, a_one_time_key_that_nobody_used_ends_a_month_after_it_was_handed_out, .init = begin,
     .fini = end) {
    publish(NOW_S);
    stock.left = 90; /* 1 to 10 are out */
    publish(NOW_S + DAY_S);
    stock.left = 95; /* 11 to 15 were in the same day */
    publish(NOW_S + DAY_S + 60);
    cr_assert(has_one_time(1) && has_one_time(15));
    make_offer(NOW_S + 31 * DAY_S);
    cr_assert(has_one_time(1));
    make_offer(NOW_S + 31 * DAY_S + 1);
    cr_assert_not(has_one_time(1));
    cr_assert_not(has_one_time(10));
    cr_assert(has_one_time(11), "what the switch has stays, and what it handed out later");
    make_offer(NOW_S + 70 * DAY_S);
    cr_assert_not(has_one_time(15));
    cr_assert(has_one_time(16) && has_one_time(115));
}

Test(state_keys, a_clock_that_was_ahead_once_keeps_nothing_for_ever, .init = begin, .fini = end) {
    publish(NOW_S);
    stock.left = 90;
    publish(NOW_S + 10000 * DAY_S);
    make_offer(NOW_S + DAY_S);
    make_offer(NOW_S + 32 * DAY_S);
    cr_assert_not(has_one_time(10));
    cr_assert(has_one_time(11));
}

Test(state_keys, a_record_that_is_not_as_it_was_written_is_found, .init = begin, .fini = end) {
    struct key key = key_of(KEY_SIGNED);
    const uint8_t short_one[5] = {1};
    struct prekey prekey;
    publish(NOW_S);
    key_add64(&key, 1);
    cr_assert_eq(state_begin(rig.state), 0);
    state_put(rig.state, &key, short_one, sizeof(short_one));
    cr_assert_eq(state_keys_signed(rig.state, 1, &prekey), -EUCLEAN);
    cr_assert_eq(state_commit(rig.state), -EUCLEAN);
}
