/* tests/support/peer_rig.h: a peer of tools/client and, at its other end, a switch made of core's own hello,
 * noise and record. One of them at a time; a test that needs another clears peer_rig and starts again.
 *
 * Threads: one. */
#ifndef TERN_TESTS_SUPPORT_PEER_RIG_H
#define TERN_TESTS_SUPPORT_PEER_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/record.h"
#include "tools/client/peer.h"

#define PEER_RIG_ACCOUNT 77u
#define PEER_RIG_DEVICE 3u
#define PEER_RIG_FRAMES_MAX 4096u
#define PEER_RIG_BYTES_MAX (1u << 21)

/* The switch's end: what it got is in `in`, each step takes a unit off it. */
struct peer_rig_far {
    uint8_t secret[NOISE_KEY_BYTES], public[NOISE_KEY_BYTES], ephemeral[NOISE_KEY_BYTES];
    uint8_t prologue[2 * HELLO_BYTES];
    struct hello_client hello;
    struct noise_handshake handshake;
    struct noise_cipher_state send, receive;
    uint8_t in[PEER_RIG_BYTES_MAX];
    size_t in_bytes, at;
    uint32_t records; /* opened */
};

/* What the peer's callback saw. */
struct peer_rig_seen {
    uint8_t types[PEER_RIG_FRAMES_MAX];
    uint32_t count;
    uint64_t pings; /* sum of their bodies */
    int answer;     /* of the callback, from stop_at on */
    uint32_t stop_at;
    size_t payload_bytes;
    uint64_t payload_sum;
};

struct peer_rig {
    struct peer *peer;
    struct peer_rig_far far;
    struct peer_rig_seen seen;
    struct peer_setup setup;
    uint8_t device[NOISE_KEY_BYTES], ephemeral[NOISE_KEY_BYTES], device_public[NOISE_KEY_BYTES];
    size_t slice; /* bytes the peer gets at a time */
};

extern struct peer_rig peer_rig;

/* A peer of this pattern that links. */
void peer_rig_start(enum hello_pattern pattern);
/* Bytes of the switch for the peer, `slice` at a time: what peer_input says. */
int peer_rig_give(const uint8_t *bytes, size_t count);
/* All that the peer has to say, as a socket that takes `part` bytes at a time. */
void peer_rig_collect(size_t part);
/* The next bytes of what was collected. */
uint8_t *peer_rig_take(size_t bytes);
/* Takes the hello and answers it like this: what peer_input says. */
int peer_rig_answer(const struct hello_server *answer);
struct hello_server peer_rig_good_answer(enum noise_cipher cipher);
/* A message of the handshake, its length before it. */
size_t peer_rig_write_handshake(uint8_t out[2 + 128]);
/* Begins the handshake and takes the peer's first message. */
void peer_rig_start_handshake(enum noise_cipher cipher);
/* The next record's frames, opened where they are. */
uint8_t *peer_rig_open_record(size_t *ret_bytes);
/* A record with these frames: what peer_input says. */
int peer_rig_send(const uint8_t *frames, size_t bytes);
int peer_rig_welcome(uint32_t payload_bytes_max);
/* Up to the first frame, which is looked at. */
void peer_rig_shake_hands(enum noise_cipher cipher);
/* Up to the welcome. */
void peer_rig_open_session(enum noise_cipher cipher);
int peer_rig_ping(uint64_t opaque);
/* Pings that the peer puts, and the look at all that came: pings 1 to count and nothing else. */
void peer_rig_put_ping(uint64_t opaque);
void peer_rig_expect_pings(uint64_t count);

#endif
