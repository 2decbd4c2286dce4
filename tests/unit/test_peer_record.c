/* The client's side of a connection: its records, both ways. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "core/record.h"
#include "tests/support/peer_rig.h"

TestSuite(peer_record, .timeout = 60);

static void put_message(uint64_t number, uint32_t payload_bytes) {
    size_t bytes = FRAME_MESSAGE_BYTES + (size_t)payload_bytes;
    uint8_t *payload = malloc(payload_bytes);
    memset(payload, (int)number, payload_bytes);
    struct frame_message message = {
        .id = {.to = 5, .number = number}, .payload = payload, .payload_bytes = payload_bytes};
    uint8_t *space = peer_put_space(peer_rig.peer, bytes);
    cr_assert_not_null(space);
    peer_put_done(peer_rig.peer, frame_write_message(space, &message));
    free(payload);
}

/* --- records -------------------------------------------------------------------------------------------- */

Test(peer_record, what_is_put_before_the_welcome_waits_for_it) {
    peer_rig_start(HELLO_IK);
    for (uint64_t i = 1; i <= 100; i++)
        peer_rig_put_ping(i);
    size_t gathered = peer_put_bytes(peer_rig.peer);
    peer_rig_open_session(NOISE_CHACHAPOLY);
    cr_assert_eq(peer_put_bytes(peer_rig.peer), gathered);
    peer_rig_expect_pings(100);
    cr_assert_eq(peer_put_bytes(peer_rig.peer), 0);
    peer_destroy(peer_rig.peer);
}

/* A switch takes records of 16,384 bytes, or of one largest message where that is more. */
static void expect_records(uint32_t payload_bytes_max, uint32_t payload_bytes, uint32_t count, size_t limit) {
    memset(&peer_rig, 0, sizeof(peer_rig));
    peer_rig_start(HELLO_PLAINTEXT);
    peer_rig_shake_hands(NOISE_PLAIN);
    cr_assert_eq(peer_rig_welcome(payload_bytes_max), 0);
    for (uint32_t i = 1; i <= count; i++)
        put_message(i, payload_bytes);
    peer_rig_collect(1000);
    peer_rig.far.records = 0;
    uint32_t number = 0;
    while (peer_rig.far.at < peer_rig.far.in_bytes) {
        size_t bytes;
        struct frame frame;
        struct frame_message message;
        uint8_t *frames = peer_rig_open_record(&bytes);
        cr_assert_leq(bytes, limit);
        while (frame_next(&frames, &bytes, &frame) == 0) {
            cr_assert_eq(frame_read_message(&frame, &message), 0);
            cr_assert_eq(message.id.number, ++number);
            cr_assert_eq(message.payload_bytes, payload_bytes);
            cr_assert_eq(message.payload[payload_bytes - 1], (uint8_t)number);
        }
    }
    cr_assert_eq(number, count);
    uint32_t per_record = (uint32_t)(limit / (FRAME_MESSAGE_BYTES + (size_t)payload_bytes));
    cr_assert_eq(peer_rig.far.records, (count + per_record - 1) / per_record, "as few records as it fits");
    peer_destroy(peer_rig.peer);
}

Test(peer_record, records_are_as_large_as_the_switch_takes_them_and_no_larger) {
    expect_records(1000, 944, 100, 16384);
    expect_records(16384 - FRAME_MESSAGE_BYTES, 16384 - FRAME_MESSAGE_BYTES, 5, 16384);
    expect_records(60000, 20000, 20, 60056);
    expect_records(FRAME_PAYLOAD_BYTES_MAX, FRAME_PAYLOAD_BYTES_MAX, 10, FRAME_BYTES_MAX);
}

Test(peer_record, the_largest_frame_arrives_whole) {
    peer_rig_start(HELLO_IK);
    peer_rig_open_session(NOISE_CHACHAPOLY);
    peer_rig.slice = 4096;
    uint8_t *payload = malloc(FRAME_PAYLOAD_BYTES_MAX);
    uint8_t *out = malloc(FRAME_BYTES_MAX);
    memset(payload, 3, FRAME_PAYLOAD_BYTES_MAX);
    struct frame_message message = {
        .id = {.number = 1}, .payload = payload, .payload_bytes = FRAME_PAYLOAD_BYTES_MAX};
    cr_assert_eq(peer_rig_send(out, frame_write_message(out, &message)), 0);
    cr_assert_eq(peer_rig.seen.payload_bytes, FRAME_PAYLOAD_BYTES_MAX);
    cr_assert_eq(peer_rig.seen.payload_sum, 3u * FRAME_PAYLOAD_BYTES_MAX);
    free(payload);
    free(out);
    peer_destroy(peer_rig.peer);
}

Test(peer_record, no_more_is_gathered_than_the_limit) {
    peer_rig_start(HELLO_IK);
    uint8_t *space;
    size_t gathered = 0;
    while ((space = peer_put_space(peer_rig.peer, FRAME_BYTES_MAX))) {
        memset(space, 0, FRAME_HEADER_BYTES);
        bytes_put16(space, FRAME_BYTES_MAX - FRAME_HEADER_BYTES);
        peer_put_done(peer_rig.peer, FRAME_BYTES_MAX);
        gathered += FRAME_BYTES_MAX;
    }
    cr_assert_eq(peer_put_bytes(peer_rig.peer), gathered);
    cr_assert_leq(gathered, PEER_GATHERED_BYTES_MAX);
    cr_assert_gt(gathered + FRAME_BYTES_MAX, PEER_GATHERED_BYTES_MAX);
    peer_destroy(peer_rig.peer);
}

Test(peer_record, what_the_socket_does_not_take_gathers_into_one_record) {
    peer_rig_start(HELLO_IK);
    peer_rig_open_session(NOISE_CHACHAPOLY);
    const uint8_t *bytes;
    peer_rig.far.records = 0;
    peer_rig_put_ping(1);
    cr_assert_gt(peer_output(peer_rig.peer, &bytes), 0);
    for (uint64_t i = 2; i <= 50; i++) {
        peer_rig_put_ping(i);
        peer_output(peer_rig.peer, &bytes);
    }
    peer_rig_expect_pings(50);
    cr_assert_eq(peer_rig.far.records, 2);
    peer_destroy(peer_rig.peer);
}

Test(peer_record, both_directions_change_their_keys_after_a_million_records) {
    peer_rig_start(HELLO_IK);
    peer_rig_open_session(noise_init() == 0 && noise_has_aes() ? NOISE_AESGCM : NOISE_CHACHAPOLY);
    uint8_t first_key[NOISE_KEY_BYTES], frame[FRAME_SMALL_BYTES_MAX];
    memcpy(first_key, peer_rig.far.receive.key, sizeof(first_key));
    size_t bytes = frame_write_ping(frame, FRAME_PING, 1);
    uint64_t count = RECORD_REKEY_EVERY + 5;
    for (uint64_t i = 1; i <= count; i++) {
        size_t opened;
        peer_rig.seen.count = 0;
        if (i == RECORD_REKEY_EVERY - 1) /* the first frame was a record, too */
            cr_assert_arr_eq(peer_rig.far.receive.key, first_key, sizeof(first_key));
        cr_assert_eq(peer_put(peer_rig.peer, frame, bytes), 0);
        peer_rig.far.at = peer_rig.far.in_bytes = 0;
        peer_rig_collect(SIZE_MAX);
        peer_rig_open_record(&opened);
        cr_assert_eq(opened, bytes);
        cr_assert_eq(peer_rig_send(frame, bytes), 0, "record %zu", (size_t)i);
    }
    cr_assert_neq(memcmp(peer_rig.far.receive.key, first_key, sizeof(first_key)), 0);
    cr_assert_eq(peer_rig.seen.pings, count);
    peer_destroy(peer_rig.peer);
}
