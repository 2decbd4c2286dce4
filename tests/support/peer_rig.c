#include "tests/support/peer_rig.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"

struct peer_rig peer_rig;

static int on_frame(void *context, struct peer *peer, const struct frame *frame) {
    struct peer_rig_seen *seen = context;
    struct frame_message message;
    uint64_t opaque;
    cr_assert_eq(peer, peer_rig.peer);
    cr_assert_lt(seen->count, PEER_RIG_FRAMES_MAX);
    seen->types[seen->count++] = frame->type;
    if (frame->type == FRAME_PING && frame_read_ping(frame, &opaque) == 0)
        seen->pings += opaque;
    if (frame->type == FRAME_MESSAGE && frame_read_message(frame, &message) == 0) {
        seen->payload_bytes = message.payload_bytes;
        for (uint32_t i = 0; i < message.payload_bytes; i++)
            seen->payload_sum += message.payload[i];
    }
    return seen->answer && seen->count >= seen->stop_at ? seen->answer : 0;
}

/* --- the two ends --------------------------------------------------------------------------------------- */

void peer_rig_start(enum hello_pattern pattern) {
    cr_assert_eq(noise_init(), 0);
    memset(peer_rig.device, 0x11, sizeof(peer_rig.device));
    memset(peer_rig.ephemeral, 0x22, sizeof(peer_rig.ephemeral));
    memset(peer_rig.far.secret, 0x33, sizeof(peer_rig.far.secret));
    memset(peer_rig.far.ephemeral, 0x44, sizeof(peer_rig.far.ephemeral));
    noise_public_key(peer_rig.device, peer_rig.device_public);
    noise_public_key(peer_rig.far.secret, peer_rig.far.public);
    peer_rig.slice = SIZE_MAX;
    peer_rig.setup = (struct peer_setup){
        .pattern = pattern,
        .device_secret = peer_rig.device,
        .server_public = peer_rig.far.public,
        .ephemeral_secret = peer_rig.ephemeral,
        .link = {.account = PEER_RIG_ACCOUNT, .epoch = 99, .code = "sixteen bytes.."},
        .is_link = true,
    };
    cr_assert_eq(peer_create(&peer_rig.setup, &peer_rig.peer), 0);
}

int peer_rig_give(const uint8_t *bytes, size_t count) {
    int error = 0;
    while (!error && count) {
        size_t part = peer_rig.slice < count ? peer_rig.slice : count;
        /* a copy of exactly so many bytes: the address sanitizer sees who reads on */
        uint8_t *copy = malloc(part);
        memcpy(copy, bytes, part);
        error = peer_input(peer_rig.peer, copy, part, on_frame, &peer_rig.seen);
        free(copy);
        bytes += part;
        count -= part;
    }
    return error;
}

void peer_rig_collect(size_t part) {
    const uint8_t *bytes;
    size_t count;
    while ((count = peer_output(peer_rig.peer, &bytes)) != 0) {
        size_t taken = part < count ? part : count;
        cr_assert_leq(peer_rig.far.in_bytes + taken, sizeof(peer_rig.far.in));
        memcpy(peer_rig.far.in + peer_rig.far.in_bytes, bytes, taken);
        peer_rig.far.in_bytes += taken;
        peer_sent(peer_rig.peer, taken);
    }
}

uint8_t *peer_rig_take(size_t bytes) {
    struct peer_rig_far *far = &peer_rig.far;
    cr_assert_leq(far->at + bytes, far->in_bytes, "%zu bytes were awaited, %zu are there", bytes,
                  far->in_bytes - far->at);
    uint8_t *taken = far->in + far->at;
    far->at += bytes;
    return taken;
}

/* The peer's hello is taken and answered like this; returns what the peer says to it. */
int peer_rig_answer(const struct hello_server *answer) {
    bool clear = false;
    peer_rig_collect(SIZE_MAX);
    uint8_t *hello = peer_rig_take(HELLO_BYTES);
    cr_assert_eq(hello_read_client(hello, &peer_rig.far.hello, &clear), 0);
    cr_assert(clear);
    memcpy(peer_rig.far.prologue, hello, HELLO_BYTES);
    hello_write_server(peer_rig.far.prologue + HELLO_BYTES, answer);
    return peer_rig_give(peer_rig.far.prologue + HELLO_BYTES, HELLO_BYTES);
}

struct hello_server peer_rig_good_answer(enum noise_cipher cipher) {
    return (struct hello_server){
        .version = HELLO_VERSION, .pattern = (uint8_t)peer_rig.setup.pattern, .cipher = (uint8_t)cipher};
}

static void far_read_handshake(void) {
    struct noise_handshake *handshake = &peer_rig.far.handshake;
    uint8_t payload[128];
    size_t payload_bytes;
    peer_rig_collect(SIZE_MAX);
    size_t bytes = bytes_get16(peer_rig_take(2));
    cr_assert_eq(bytes, noise_handshake_message_bytes(handshake));
    cr_assert_eq(noise_handshake_read(handshake, peer_rig_take(bytes), bytes, payload, &payload_bytes), 0);
    cr_assert_eq(payload_bytes, 0);
}

size_t peer_rig_write_handshake(uint8_t out[2 + 128]) {
    size_t bytes;
    cr_assert_eq(noise_handshake_write(&peer_rig.far.handshake, NULL, 0, out + 2, &bytes), 0);
    bytes_put16(out, (uint16_t)bytes);
    return bytes + 2;
}

void peer_rig_start_handshake(enum noise_cipher cipher) {
    struct noise_setup setup = {
        .pattern = (enum noise_pattern)peer_rig.setup.pattern,
        .cipher = cipher,
        .prologue = peer_rig.far.prologue,
        .prologue_bytes = sizeof(peer_rig.far.prologue),
        .static_secret = peer_rig.far.secret,
        .ephemeral_secret = peer_rig.far.ephemeral,
    };
    cr_assert_eq(noise_handshake_init(&peer_rig.far.handshake, &setup), 0);
    far_read_handshake();
}

uint8_t *peer_rig_open_record(size_t *ret_bytes) {
    size_t bytes = record_sealed_bytes(peer_rig_take(RECORD_LENGTH_BYTES));
    uint8_t *sealed = peer_rig_take(bytes);
    cr_assert_eq(record_open(&peer_rig.far.receive, sealed, bytes, ret_bytes), 0);
    peer_rig.far.records++;
    return sealed;
}

int peer_rig_send(const uint8_t *frames, size_t bytes) {
    static uint8_t space[RECORD_LENGTH_BYTES + RECORD_SEALED_BYTES_MAX];
    memcpy(space + RECORD_LENGTH_BYTES, frames, bytes);
    return peer_rig_give(space, record_seal(&peer_rig.far.send, space, bytes));
}

static void expect_first_frame(void) {
    size_t bytes;
    struct frame frame;
    struct frame_link link;
    peer_rig_collect(SIZE_MAX);
    uint8_t *frames = peer_rig_open_record(&bytes);
    cr_assert_eq(frame_next(&frames, &bytes, &frame), 0);
    cr_assert_eq(bytes, 0, "it is alone in its record");
    cr_assert_eq(frame.type, peer_rig.setup.is_link ? FRAME_LINK : FRAME_LOGIN);
    cr_assert_eq(frame_read_link(&frame, &link), 0);
    cr_assert_eq(link.account, PEER_RIG_ACCOUNT);
    cr_assert_eq(link.epoch, 99);
    if (peer_rig.setup.is_link)
        cr_assert_arr_eq(link.code, peer_rig.setup.link.code, FRAME_CODE_BYTES);
    cr_assert_eq(peer_rig.far.at, peer_rig.far.in_bytes, "nothing goes out before WELCOME");
}

int peer_rig_welcome(uint32_t payload_bytes_max) {
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    struct frame_welcome welcome = {.account = PEER_RIG_ACCOUNT,
                                    .device = PEER_RIG_DEVICE,
                                    .payload_bytes_max = payload_bytes_max,
                                    .unticked_max = 64,
                                    .ping_s = 60,
                                    .name = "anna",
                                    .name_bytes = 4};
    size_t bytes = frame_write_welcome(out, &welcome);
    return peer_rig_send(out, bytes);
}

void peer_rig_shake_hands(enum noise_cipher cipher) {
    struct hello_server answer = peer_rig_good_answer(cipher);
    cr_assert_eq(peer_rig_answer(&answer), 0);
    if (cipher != NOISE_PLAIN) {
        uint8_t out[2 + 128];
        peer_rig_start_handshake(cipher);
        cr_assert_null(peer_server_key(peer_rig.peer));
        cr_assert_eq(peer_rig_give(out, peer_rig_write_handshake(out)), 0);
        if (peer_rig.setup.pattern == HELLO_XX)
            far_read_handshake();
        cr_assert(noise_handshake_complete(&peer_rig.far.handshake));
        cr_assert_arr_eq(peer_rig.far.handshake.remote_static, peer_rig.device_public, NOISE_KEY_BYTES);
        cr_assert_arr_eq(peer_server_key(peer_rig.peer), peer_rig.far.public, NOISE_KEY_BYTES);
        noise_handshake_split(&peer_rig.far.handshake, &peer_rig.far.send, &peer_rig.far.receive);
    } else {
        noise_cipher_init(&peer_rig.far.send, NOISE_PLAIN, NULL);
        noise_cipher_init(&peer_rig.far.receive, NOISE_PLAIN, NULL);
    }
    expect_first_frame();
}

void peer_rig_open_session(enum noise_cipher cipher) {
    peer_rig_shake_hands(cipher);
    cr_assert_not(peer_is_open(peer_rig.peer));
    cr_assert_eq(peer_rig_welcome(1000), 0);
    cr_assert(peer_is_open(peer_rig.peer));
    cr_assert_eq(peer_rig.seen.types[0], FRAME_WELCOME);
}

int peer_rig_ping(uint64_t opaque) {
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    size_t bytes = frame_write_ping(out, FRAME_PING, opaque);
    return peer_rig_send(out, bytes);
}

void peer_rig_put_ping(uint64_t opaque) {
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    cr_assert_eq(peer_put(peer_rig.peer, out, frame_write_ping(out, FRAME_PING, opaque)), 0);
}

/* Everything that was put arrives: pings 1..count. */
void peer_rig_expect_pings(uint64_t count) {
    uint64_t expected = 1;
    peer_rig_collect(SIZE_MAX);
    while (peer_rig.far.at < peer_rig.far.in_bytes) {
        size_t bytes;
        struct frame frame;
        uint8_t *frames = peer_rig_open_record(&bytes);
        while (frame_next(&frames, &bytes, &frame) == 0) {
            uint64_t opaque;
            cr_assert_eq(frame_read_ping(&frame, &opaque), 0);
            cr_assert_eq(opaque, expected++);
        }
    }
    cr_assert_eq(expected, count + 1);
}
