/* The key directory as sessions see it: what they are told unasked, how often they may ask, what is not
 * passed on to the directory. */
#include "core/record.h"
#include "tests/support/talker.h"

TestSuite(keys, .timeout = 30);

static struct talker anna = {.account = 1, .conn = 0}, bob = {.account = 2, .conn = 1};
static struct talker annas_second = {.account = 1, .device = 2, .conn = 2};
static const uint8_t key[KEY_BYTES];

static void start(void) {
    struct device_record second = {.account = 1, .device = 2};
    one.config.one_time_keys_low = 2;
    one.config.session_frames_per_s = 0;
    one.config.keys_target_max = 3;
    one.config.keys_account_max = 5;
    one.config.device_list_bytes_max = 300;
    one_shard_start();
    one_shard_account("anna", key);
    one_shard_account("bob", key);
    one_shard_account("carol", key);
    cr_assert_eq(shard_load_device(one.shard, &second), 0);
    talker_come(&anna);
    talker_come(&bob);
}

static void stop(void) {
    talker_go(&anna);
    talker_go(&bob);
    talker_go(&annas_second);
    one_shard_end();
}

static void expect_heard(struct talker *talker, const char *text) {
    cr_assert_str_eq(talker->heard, text);
    talker->heard[0] = '\0';
}

static void publish(struct talker *talker, uint32_t first, uint16_t count) {
    uint8_t keys[FRAME_KEYS_BYTES] = {0}, one_time[8][FRAME_ONE_TIME_BYTES] = {{0}};
    uint8_t out[1024];
    struct frame_keys_put put = {.request = 77, .count = count, .keys = keys, .one_time = one_time[0]};
    bytes_put32(keys + FRAME_KEYS_SIGNED_ID, 4);
    for (uint32_t i = 0; i < count; i++)
        bytes_put32(one_time[i], first + i);
    talker_put(talker, out, frame_write_keys_put(out, &put));
    talker_talk(talker);
}

static void ask(struct talker *talker, uint64_t account) {
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    struct frame_keys_get get = {.request = 1, .account = account};
    talker_put(talker, out, frame_write_keys_get(out, &get));
    talker_talk(talker);
}

static void put_list(struct talker *talker, uint64_t version, uint32_t bytes) {
    static const uint8_t list[400];
    uint8_t out[500];
    struct frame_list put = {.request = 1, .version = version, .list = list, .list_bytes = bytes};
    talker_put(talker, out, frame_write_list(out, FRAME_LIST_PUT, &put));
    talker_talk(talker);
}

Test(keys, a_device_is_told_what_is_left_at_login_and_when_it_runs_low) {
    one_shard_begin();
    start();
    cr_assert(bob.stocks == 1 && bob.stock.signed_id == 0 && bob.stock.left == 0);
    publish(&bob, 1, 4);
    cr_assert(bob.stock.request == 77 && bob.stock.left == 4 && bob.stock.one_time_last == 4);
    ask(&anna, 2);
    talker_talk(&bob);
    cr_assert_eq(bob.stocks, 1, "three are enough");
    ask(&anna, 2);
    talker_talk(&bob);
    cr_assert(bob.stocks == 2 && bob.stock.left == 2 && bob.stock.signed_id == 4);
    expect_heard(&anna, "k0:1 k0:2 ");
    talker_go(&bob);
    ask(&anna, 2);
    talker_come(&bob);
    cr_assert(bob.stocks == 3 && bob.stock.left == 1 && bob.stock.one_time_last == 4);
    cr_assert_eq(stats_get(one.stats.one_time_keys_given), 3);
    stop();
}

Test(keys, when_none_is_left_the_keys_come_without) {
    one_shard_begin();
    start();
    ask(&anna, 2);
    publish(&bob, 1, 1);
    ask(&anna, 2);
    ask(&anna, 2);
    char text[32];
    snprintf(text, sizeof(text), "k%u:0 k0:1 k0:0 ", REFUSAL_NO_DEVICE);
    expect_heard(&anna, text);
    cr_assert_eq(stats_get(one.stats.one_time_keys_lacking), 1);
    stop();
}

Test(keys, who_asks_too_often_is_refused_until_the_window_is_over) {
    char text[64];
    one_shard_begin();
    start();
    publish(&bob, 1, 8);
    for (int i = 0; i < 4; i++)
        ask(&anna, 2);
    snprintf(text, sizeof(text), "k0:1 k0:2 k0:3 k%u:0 ", REFUSAL_RATE);
    expect_heard(&anna, text);
    cr_assert_eq(stats_get(one.stats.refused[REFUSAL_RATE]), 1);
    ask(&bob, 2);
    expect_heard(&bob, "k0:4 ");
    for (int i = 0; i < 3; i++)
        ask(&anna, 3);
    snprintf(text, sizeof(text), "k%u:0 k%u:0 k%u:0 ", REFUSAL_NO_DEVICE, REFUSAL_NO_DEVICE, REFUSAL_RATE);
    expect_heard(&anna, text);
    one.now_ms += one.config.keys_window_s * 1000;
    one_shard_settle();
    ask(&anna, 2);
    expect_heard(&anna, "k0:5 ");
    stop();
}

/* The table has room for so many pairs; who asks much must not be forgotten for those that ask little. */
Test(keys, who_asks_much_is_not_forgotten_among_many) {
    one_shard_begin();
    one.config.keys_account_max = 1000000;
    one.config.session_frames_per_s = 0;
    one.config.keys_target_max = 3;
    one_shard_start();
    one_shard_account("anna", key);
    one_shard_account("bob", key);
    talker_come(&anna);
    talker_come(&bob);
    publish(&bob, 1, 8);
    for (int i = 0; i < 3; i++)
        ask(&anna, 2);
    for (uint64_t other = 100; other < 100 + 2 * KEYS_ASKED_MAX; other++) {
        uint8_t out[FRAME_SMALL_BYTES_MAX];
        struct frame_keys_get get = {.request = 1, .account = other};
        size_t bytes = frame_write_keys_get(out, &get);
        uint8_t record[RECORD_LENGTH_BYTES + FRAME_SMALL_BYTES_MAX];
        bytes_put16(record, (uint16_t)bytes);
        memcpy(record + RECORD_LENGTH_BYTES, out, bytes);
        one_shard_input(anna.conn, record, bytes + RECORD_LENGTH_BYTES);
        one.conns[anna.conn].out_bytes = 0;
    }
    one_shard_settle();
    one.conns[anna.conn].out_bytes = 0;
    anna.heard[0] = '\0';
    ask(&anna, 2);
    char text[32];
    snprintf(text, sizeof(text), "k%u:0 ", REFUSAL_RATE);
    expect_heard(&anna, text);
    stop();
}

Test(keys, a_list_that_one_device_stores_is_told_to_the_others) {
    char text[32];
    one_shard_begin();
    start();
    talker_come(&annas_second);
    put_list(&anna, 6, 200);
    expect_heard(&anna, "l0:6 ");
    talker_talk(&annas_second);
    talker_talk(&bob);
    cr_assert(annas_second.stocks == 2 && annas_second.stock.list_version == 6);
    cr_assert(anna.stocks == 1 && bob.stocks == 1, "who stored it knows, and nobody else is told");
    put_list(&anna, 7, 301);
    snprintf(text, sizeof(text), "l%u:6 ", REFUSAL_TOO_LARGE);
    expect_heard(&anna, text);
    talker_go(&annas_second);
    talker_come(&annas_second);
    cr_assert_eq(annas_second.stock.list_version, 6);
    stop();
}

static void remove_device(struct talker *talker, uint16_t device) {
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    struct frame_device body = {.request = 1, .device = device};
    talker_put(talker, out, frame_write_device(out, FRAME_DEVICE_REMOVE, &body));
    talker_talk(talker);
}

Test(keys, a_device_removes_another_of_its_account_at_once) {
    char text[32];
    one_shard_begin();
    start();
    talker_come(&annas_second);
    remove_device(&anna, 1);
    remove_device(&anna, 2);
    snprintf(text, sizeof(text), "d%u d0 ", REFUSAL_TARGETS);
    expect_heard(&anna, text);
    cr_assert_not(one.conns[annas_second.conn].used, "it is closed");
    cr_assert_eq(stats_get(one.stats.closed[CLOSE_REVOKED]), 1);
    stop();
}

Test(keys, a_device_gets_a_code) {
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    one_shard_begin();
    start();
    talker_put(&anna, out, frame_write_code_get(out, 3));
    talker_talk(&anna);
    expect_heard(&anna, "c0 ");
    stop();
}

/* Else messages would have to name a device for which nobody can encrypt. */
Test(keys, a_device_whose_keys_could_not_be_stored_has_none) {
    one_shard_begin();
    start();
    one.keys_status = -ENOSPC;
    publish(&bob, 1, 4);
    cr_assert_eq(bob.stock.status, REFUSAL_STORE_FULL);
    cr_assert(bob.stock.signed_id == 0 && bob.stock.left == 0);
    one.keys_status = 0;
    publish(&bob, 1, 4);
    cr_assert(bob.stock.signed_id == 4 && bob.stock.one_time_last == 4);
    stop();
}

/* Word of what was handed out comes over the shard that asked, and may be late. */
Test(keys, late_word_of_a_stock_does_not_count) {
    one_shard_begin();
    start();
    publish(&bob, 1, 8);
    struct device_record late = {.account = 2, .device = 1, .signed_id = 3};
    struct request request = {.account = 2, .devices = &late, .count = 1};
    late.one_time_last = 3;
    late.one_time_left = 1;
    cr_assert_eq(keys_apply_stock(one.shard, &request), 0);
    late.one_time_last = 8;
    late.one_time_left = 5;
    cr_assert_eq(keys_apply_stock(one.shard, &request), 0);
    late.one_time_left = 6;
    cr_assert_eq(keys_apply_stock(one.shard, &request), 0);
    talker_go(&bob);
    talker_come(&bob);
    cr_assert(bob.stock.left == 5 && bob.stock.one_time_last == 8 && bob.stock.signed_id == 4);
    stop();
}

/* A turn in which nothing is written. */
static void deaf_turn(const uint8_t *bytes, size_t count) {
    shard_turn_begin(one.shard, ++one.now_ms, one.utc_ms);
    if (count) {
        struct buf *buf = buf_create(0, (uint32_t)count);
        memcpy(buf->data, bytes, count);
        shard_input(one.shard, anna.conn, buf, 0, (uint32_t)count);
    }
    shard_turn_end(one.shard);
    lanes_publish(one.lanes, 0, one_ring, NULL);
    one_store();
    lanes_publish(one.lanes, ONE_STORE, one_ring, NULL);
}

/* Answers wait for the socket in memory. */
Test(keys, answers_to_a_peer_that_does_not_read_are_bounded) {
    uint8_t out[2 * FRAME_SMALL_BYTES_MAX + RECORD_LENGTH_BYTES];
    struct frame_lookup lookup = {.account = 9};
    struct frame_list get = {.request = 1, .account = 2};
    one_shard_begin();
    start();
    size_t bytes = frame_write_lookup(out + RECORD_LENGTH_BYTES, FRAME_LOOKUP, &lookup);
    bytes += frame_write_list(out + RECORD_LENGTH_BYTES + bytes, FRAME_LIST_GET, &get);
    bytes_put16(out, (uint16_t)bytes);
    for (int i = 0; i < 2000; i++)
        deaf_turn(out, bytes + RECORD_LENGTH_BYTES);
    const struct session *session = session_at(one.shard, anna.conn);
    cr_assert(session->paused && session->requests == 0, "what it waits for is its peer");
    cr_assert_geq(session->control_bytes, SESSION_CONTROL_BYTES_MAX);
    cr_assert_leq(session->control_bytes,
                  SESSION_CONTROL_BYTES_MAX + SESSION_REQUESTS_MAX * FRAME_SMALL_BYTES_MAX);
    for (int i = 0; i < 10000 && session->paused; i++) {
        one.now_ms++;
        one_shard_input(anna.conn, NULL, 0);
        one.conns[anna.conn].out_bytes = 0;
    }
    cr_assert(!session->paused, "it goes on when the peer reads");
    stop();
}

/* It closes, but its connection is still there when the answer comes. */
Test(keys, an_answer_to_a_session_that_closes_is_dropped) {
    uint8_t out[1024], keys[FRAME_KEYS_BYTES] = {[FRAME_KEYS_SIGNED_ID] = 4};
    struct frame_keys_put put = {.request = 77, .keys = keys};
    struct frame_close body = {.reason = CLOSE_PEER};
    one_shard_begin();
    start();
    size_t bytes = frame_write_keys_put(out + RECORD_LENGTH_BYTES, &put);
    bytes += frame_write_close(out + RECORD_LENGTH_BYTES + bytes, FRAME_CLOSE, &body);
    bytes_put16(out, (uint16_t)bytes);
    deaf_turn(out, bytes + RECORD_LENGTH_BYTES);
    cr_assert_eq(session_at(one.shard, anna.conn)->state, SESSION_CLOSING);
    deaf_turn(NULL, 0);
    cr_assert_eq(session_at(one.shard, anna.conn)->requests, 0, "it was answered");
    one_shard_settle();
    talker_go(&anna);
    talker_come(&anna);
    cr_assert_eq(anna.stock.signed_id, 4, "and what it said counts");
    stop();
}
