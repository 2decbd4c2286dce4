/* The client's side of a connection: how it opens, and what ends it. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "core/reason.h"
#include "core/record.h"
#include "tests/support/peer_rig.h"

TestSuite(peer, .timeout = 60);

/* --- openings ------------------------------------------------------------------------------------------- */

static enum noise_cipher ciphers[] = {NOISE_CHACHAPOLY, NOISE_AESGCM};

/* Both ways, in whole and in single bytes. */
static void talk(enum hello_pattern pattern, enum noise_cipher cipher, size_t slice, bool is_link) {
    memset(&peer_rig, 0, sizeof(peer_rig));
    peer_rig_start(pattern);
    peer_rig.slice = slice;
    if (!is_link) {
        peer_destroy(peer_rig.peer);
        peer_rig.setup.is_link = false;
        peer_rig.setup.link.device = PEER_RIG_DEVICE;
        cr_assert_eq(peer_create(&peer_rig.setup, &peer_rig.peer), 0);
    }
    peer_rig_open_session(cipher);
    for (uint64_t i = 1; i <= 10; i++) {
        peer_rig_put_ping(i);
        cr_assert_eq(peer_rig_ping(i), 0);
    }
    cr_assert_eq(peer_rig.seen.pings, 55);
    cr_assert_eq(peer_rig.seen.count, 11);
    uint32_t before = peer_rig.far.records;
    peer_rig_expect_pings(10);
    cr_assert_eq(peer_rig.far.records, before + 1, "what fits one record shares it");
    peer_destroy(peer_rig.peer);
}

static void talk_every_way(enum hello_pattern pattern, enum noise_cipher cipher) {
    talk(pattern, cipher, SIZE_MAX, true);
    talk(pattern, cipher, SIZE_MAX, false);
    talk(pattern, cipher, 1, true);
    talk(pattern, cipher, 7, false);
}

Test(peer, ik_opens_a_session_with_either_cipher) {
    cr_assert_eq(noise_init(), 0);
    for (size_t i = 0; i < 1 + (size_t)noise_has_aes(); i++)
        talk_every_way(HELLO_IK, ciphers[i]);
}

Test(peer, xx_opens_a_session_with_either_cipher_and_shows_the_switchs_key) {
    cr_assert_eq(noise_init(), 0);
    for (size_t i = 0; i < 1 + (size_t)noise_has_aes(); i++)
        talk_every_way(HELLO_XX, ciphers[i]);
}

Test(peer, plaintext_opens_a_session_without_keys) {
    talk_every_way(HELLO_PLAINTEXT, NOISE_PLAIN);
}

Test(peer, everything_may_come_in_one_piece) {
    peer_rig_start(HELLO_PLAINTEXT);
    uint8_t in[HELLO_BYTES + 2 * (RECORD_LENGTH_BYTES + FRAME_SMALL_BYTES_MAX)];
    struct hello_server answer = peer_rig_good_answer(NOISE_PLAIN);
    struct frame_welcome welcome = {.account = PEER_RIG_ACCOUNT, .name = "", .payload_bytes_max = 100};
    hello_write_server(in, &answer);
    size_t bytes = frame_write_welcome(in + HELLO_BYTES + RECORD_LENGTH_BYTES, &welcome);
    bytes += frame_write_ping(in + HELLO_BYTES + RECORD_LENGTH_BYTES + bytes, FRAME_PING, 5);
    bytes_put16(in + HELLO_BYTES, (uint16_t)bytes);
    cr_assert_eq(peer_rig_give(in, HELLO_BYTES + RECORD_LENGTH_BYTES + bytes), 0);
    cr_assert_eq(peer_rig.seen.count, 2);
    cr_assert_eq(peer_rig.seen.pings, 5);
    peer_destroy(peer_rig.peer);
}

/* --- refusals and forgeries ----------------------------------------------------------------------------- */

Test(peer, a_refused_hello_says_why) {
    for (uint8_t status = HELLO_BAD_VERSION; status <= HELLO_BAD_RESERVED + 1; status++) {
        memset(&peer_rig, 0, sizeof(peer_rig));
        peer_rig_start(HELLO_IK);
        struct hello_server answer = {.status = status, .pattern = HELLO_IK};
        cr_assert_null(peer_refusal(peer_rig.peer));
        cr_assert_eq(peer_rig_answer(&answer), -ECONNREFUSED);
        cr_assert_not_null(peer_refusal(peer_rig.peer), "status %u", status);
        cr_assert_eq(peer_rig_give(peer_rig.far.in, 1), -ECONNREFUSED, "an error stays");
        peer_destroy(peer_rig.peer);
    }
}

static void expect_bad_hello(const struct hello_server *answer) {
    cr_assert_eq(peer_rig_answer(answer), -EPROTO);
    cr_assert_not(peer_is_open(peer_rig.peer));
    peer_destroy(peer_rig.peer);
    memset(&peer_rig, 0, sizeof(peer_rig));
    peer_rig_start(HELLO_IK);
}

Test(peer, a_hello_that_was_not_asked_for_is_no_protocol) {
    peer_rig_start(HELLO_IK);
    struct hello_server good = peer_rig_good_answer(NOISE_CHACHAPOLY);
    struct hello_server bad = good;
    bad.version = 2;
    expect_bad_hello(&bad);
    bad = good;
    bad.pattern = HELLO_PLAINTEXT;
    bad.cipher = NOISE_PLAIN;
    expect_bad_hello(&bad);
    bad = good;
    bad.pattern = HELLO_XX;
    expect_bad_hello(&bad);
    bad = good;
    bad.cipher = NOISE_PLAIN;
    expect_bad_hello(&bad);
    bad.cipher = 3;
    expect_bad_hello(&bad);
    bad = good;
    bad.features = 1;
    expect_bad_hello(&bad);
    uint8_t page[HELLO_BYTES] = "HTTP/1.1 400 Bad";
    cr_assert_eq(peer_rig_give(page, sizeof(page)), -EPROTO);
    peer_destroy(peer_rig.peer);
}

/* Somebody on the way turns the hello's offer down. */
Test(peer, a_changed_hello_fails_the_handshake) {
    peer_rig_start(HELLO_IK);
    struct hello_server answer = peer_rig_good_answer(NOISE_CHACHAPOLY);
    cr_assert_eq(peer_rig_answer(&answer), 0);
    peer_rig.far.prologue[7] = HELLO_OFFERS_CHACHAPOLY ^ peer_rig.far.prologue[7];
    struct noise_setup setup = {.pattern = NOISE_IK,
                                .cipher = NOISE_CHACHAPOLY,
                                .prologue = peer_rig.far.prologue,
                                .prologue_bytes = sizeof(peer_rig.far.prologue),
                                .static_secret = peer_rig.far.secret,
                                .ephemeral_secret = peer_rig.far.ephemeral};
    cr_assert_eq(noise_handshake_init(&peer_rig.far.handshake, &setup), 0);
    peer_rig_collect(SIZE_MAX);
    uint8_t payload[128];
    size_t payload_bytes;
    size_t bytes = bytes_get16(peer_rig_take(2));
    cr_assert_eq(
        noise_handshake_read(&peer_rig.far.handshake, peer_rig_take(bytes), bytes, payload, &payload_bytes),
        -EBADMSG);
    peer_destroy(peer_rig.peer);
}

Test(peer, a_forged_handshake_does_not_authenticate) {
    for (size_t at = 2; at < 50; at++) {
        memset(&peer_rig, 0, sizeof(peer_rig));
        peer_rig_start(HELLO_IK);
        struct hello_server answer = peer_rig_good_answer(NOISE_CHACHAPOLY);
        cr_assert_eq(peer_rig_answer(&answer), 0);
        peer_rig_start_handshake(NOISE_CHACHAPOLY);
        uint8_t out[2 + 128];
        size_t bytes = peer_rig_write_handshake(out);
        cr_assert_eq(bytes, 50);
        out[at] ^= 1;
        cr_assert_eq(peer_rig_give(out, bytes), -EBADMSG, "byte %zu", at);
        cr_assert_null(peer_server_key(peer_rig.peer));
        peer_destroy(peer_rig.peer);
    }
}

Test(peer, a_handshake_message_of_another_length_is_no_protocol) {
    peer_rig_start(HELLO_IK);
    struct hello_server answer = peer_rig_good_answer(NOISE_CHACHAPOLY);
    cr_assert_eq(peer_rig_answer(&answer), 0);
    uint8_t out[2 + 49] = {49};
    cr_assert_eq(peer_rig_give(out, sizeof(out)), -EPROTO);
    peer_destroy(peer_rig.peer);
}

Test(peer, a_forged_record_ends_it_and_none_of_its_frames_is_seen) {
    peer_rig_start(HELLO_IK);
    peer_rig_open_session(NOISE_CHACHAPOLY);
    uint8_t record[RECORD_LENGTH_BYTES + FRAME_SMALL_BYTES_MAX];
    size_t bytes = record_seal(&peer_rig.far.send, record,
                               frame_write_ping(record + RECORD_LENGTH_BYTES, FRAME_PING, 1));
    record[10] ^= 0x40;
    cr_assert_eq(peer_rig_give(record, bytes), -EBADMSG);
    record[10] ^= 0x40;
    cr_assert_eq(peer_rig_give(record, bytes), -EBADMSG, "an error stays");
    cr_assert_eq(peer_rig.seen.count, 1);
    peer_destroy(peer_rig.peer);
}

Test(peer, a_record_comes_once_and_in_order) {
    peer_rig_start(HELLO_IK);
    peer_rig_open_session(NOISE_CHACHAPOLY);
    uint8_t record[RECORD_LENGTH_BYTES + FRAME_SMALL_BYTES_MAX];
    size_t bytes = record_seal(&peer_rig.far.send, record,
                               frame_write_ping(record + RECORD_LENGTH_BYTES, FRAME_PING, 1));
    uint8_t copy[sizeof(record)];
    memcpy(copy, record, bytes);
    cr_assert_eq(peer_rig_give(record, bytes), 0);
    cr_assert_eq(peer_rig_give(copy, bytes), -EBADMSG);
    cr_assert_eq(peer_rig.seen.pings, 1);
    peer_destroy(peer_rig.peer);
}

static int one_frame(const uint8_t *frame, size_t bytes, bool before_welcome) {
    memset(&peer_rig, 0, sizeof(peer_rig));
    peer_rig_start(HELLO_PLAINTEXT);
    if (before_welcome)
        peer_rig_shake_hands(NOISE_PLAIN);
    else
        peer_rig_open_session(NOISE_PLAIN);
    int error = peer_rig_send(frame, bytes);
    peer_destroy(peer_rig.peer);
    return error;
}

Test(peer, frames_that_are_not_the_switchs_end_it) {
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    struct frame_link link = {.account = 1, .epoch = 1, .device = 1};
    struct frame_range range = {.id = {.number = 1}, .last = 1};
    struct frame_message message = {.id = {.number = 1}, .first = true};
    cr_assert_eq(one_frame(out, frame_write_link(out, FRAME_LOGIN, &link), false), -EPROTO);
    cr_assert_eq(one_frame(out, frame_write_ack(out, 1), false), -EPROTO);
    cr_assert_eq(one_frame(out, frame_write_range(out, FRAME_MARK, RECEIPT_READ, &range), false), -EPROTO);
    cr_assert_eq(one_frame(out, frame_write_message(out, &message), false), -EPROTO, "a device's flag");
    cr_assert_eq(one_frame(out, frame_write_ping(out, FRAME_PING, 1), true), -EPROTO, "before WELCOME");
    cr_assert_eq(one_frame(out, frame_write_ping(out, FRAME_PING, 1) - 1, false), -EPROTO, "half a frame");
}

Test(peer, a_welcome_with_a_name_that_is_too_long_is_no_welcome) {
    uint8_t out[FRAME_SMALL_BYTES_MAX] = {0};
    char name[FRAME_NAME_BYTES_MAX + 1];
    memset(name, 'a', sizeof(name));
    struct frame_welcome welcome = {
        .account = PEER_RIG_ACCOUNT, .name = name, .name_bytes = FRAME_NAME_BYTES_MAX};
    cr_assert_eq(one_frame(out, frame_write_welcome(out, &welcome), true), 0);
    welcome.name_bytes++;
    cr_assert_eq(one_frame(out, frame_write_welcome(out, &welcome), true), -EPROTO);
}

Test(peer, frames_of_unknown_type_are_skipped) {
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    peer_rig_start(HELLO_PLAINTEXT);
    peer_rig_open_session(NOISE_PLAIN);
    size_t bytes = frame_write_ping(out, FRAME_PING, 1);
    out[2] = 200;
    bytes += frame_write_ping(out + bytes, FRAME_PING, 2);
    cr_assert_eq(peer_rig_send(out, bytes), 0);
    cr_assert_eq(peer_rig.seen.count, 2);
    cr_assert_eq(peer_rig.seen.pings, 2);
    peer_destroy(peer_rig.peer);
}

Test(peer, close_is_the_last_frame_and_gives_its_reason) {
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    peer_rig_start(HELLO_IK);
    peer_rig_shake_hands(NOISE_CHACHAPOLY);
    struct frame_close body = {.reason = CLOSE_BAD_CODE};
    size_t bytes = frame_write_close(out, FRAME_CLOSE, &body);
    bytes += frame_write_ping(out + bytes, FRAME_PING, 2);
    cr_assert_eq(peer_rig_send(out, bytes), 0);
    cr_assert_eq(peer_close_reason(peer_rig.peer), CLOSE_BAD_CODE);
    cr_assert_str_eq(peer_refusal(peer_rig.peer), close_reason_help(CLOSE_BAD_CODE));
    cr_assert_not(peer_is_open(peer_rig.peer));
    cr_assert_eq(peer_rig_give(out, 1), 0, "nothing after it is looked at");
    cr_assert_eq(peer_rig.seen.count, 1);
    peer_destroy(peer_rig.peer);
}

Test(peer, an_error_of_the_callback_ends_the_input) {
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    peer_rig_start(HELLO_PLAINTEXT);
    peer_rig_open_session(NOISE_PLAIN);
    peer_rig.seen.answer = -ENOSPC;
    peer_rig.seen.stop_at = 2;
    size_t bytes = frame_write_ping(out, FRAME_PING, 1);
    bytes += frame_write_ping(out + bytes, FRAME_PING, 2);
    cr_assert_eq(peer_rig_send(out, bytes), -ENOSPC);
    cr_assert_eq(peer_rig.seen.count, 2);
    cr_assert_eq(peer_rig_ping(3), -ENOSPC);
    cr_assert_eq(peer_rig.seen.count, 2);
    peer_destroy(peer_rig.peer);
}
