/* What the foes do. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "bench/foes.h"
#include "core/hello.h"
#include "tools/client/peer.h"

#define FRAMES_PER_TURN 200
#define SENDERS 8              /* of the stalled readers: these read, and flood the others */
#define STALLED_PAYLOAD 1000u  /* bytes */
#define LARGEST_PAYLOAD 64000u /* the default of payload_bytes_max */
#define SLOW_BYTE_MS 1000

static const uint8_t payload[LARGEST_PAYLOAD];

static bool put_message(struct foes *foes, struct foe *foe, uint64_t to, uint64_t number, uint32_t bytes,
                        bool first) {
    struct frame_message message = {
        .id = {.to = to, .number = number}, .payload = payload, .payload_bytes = bytes, .first = first};
    uint8_t *space = peer_put_space(foe->peer, FRAME_MESSAGE_BYTES + bytes);
    if (!space)
        return false;
    peer_put_done(foe->peer, frame_write_message(space, &message));
    foes->frames++;
    return true;
}

/* --- sessions ------------------------------------------------------------------------------------------- */

static bool is_sender(const struct foe *foe) {
    return foe->index < SENDERS;
}

/* Each number goes to all, in turn: what is away for long has its own order. */
static bool flood_stalled(struct foes *foes, struct foe *foe) {
    if (!is_sender(foe) || foes->count <= SENDERS)
        return false;
    uint32_t stalled = foes->count - SENDERS;
    for (uint32_t i = 0; i < FRAMES_PER_TURN; i++, foe->turns++) {
        const struct foe *to = &foes->foe[SENDERS + foe->turns % stalled];
        foe->number += foe->turns % stalled == 0;
        put_message(foes, foe, to->account, foe->number, STALLED_PAYLOAD, false);
    }
    return true;
}

static bool is_even(const struct foe *foe) {
    return foe->index % 2 == 0;
}

static bool flood_pings(struct foes *foes, struct foe *foe) {
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    for (uint32_t i = 0; i < FRAMES_PER_TURN; i++)
        peer_put(foe->peer, out, frame_write_ping(out, FRAME_PING, foes->frames++));
    return true;
}

/* The first one gets them all. */
static bool resend(struct foes *foes, struct foe *foe) {
    if (foe->index == 0)
        return false;
    for (uint32_t i = 0; i < FRAMES_PER_TURN / 10; i++)
        put_message(foes, foe, foes->foe[0].account, 1, STALLED_PAYLOAD, true);
    return true;
}

static bool flood_questions(struct foes *foes, struct foe *foe) {
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    for (uint32_t i = 0; i < FRAMES_PER_TURN / 10; i++) {
        struct frame_lookup lookup = {.request = foe->turns++, .account = foes->foe[0].account, .name = ""};
        struct frame_block block = {.account = foe->account + 1 + foe->turns % 1000, .on = foe->turns % 2};
        peer_put(foe->peer, out, frame_write_lookup(out, FRAME_LOOKUP, &lookup));
        peer_put(foe->peer, out, frame_write_block(out, FRAME_BLOCK, &block));
        foes->frames += 2;
    }
    return true;
}

/* About messages that nobody sent. */
static bool flood_marks(struct foes *foes, struct foe *foe) {
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    for (uint32_t i = 0; i < FRAMES_PER_TURN; i++, foe->number += 2) {
        struct frame_range range = {.id = {.from = foes->foe[foe->index / 2].account,
                                           .from_device = 1,
                                           .to = foe->account,
                                           .epoch = 1 + foe->index,
                                           .number = foe->number},
                                    .last = foe->number};
        peer_put(foe->peer, out, frame_write_range(out, FRAME_MARK, RECEIPT_READ, &range));
        foes->frames++;
    }
    return true;
}

static bool send_largest(struct foes *foes, struct foe *foe) {
    const struct foe *to = &foes->foe[(foe->index + 1) % foes->count];
    return put_message(foes, foe, to->account, foe->number++, LARGEST_PAYLOAD, false);
}

/* Welcome, and away: in a moment it is there again. */
static bool log_in_again(struct foes *foes, struct foe *foe) {
    foes->frames++;
    foe_leave(foes, foe, 0);
    return true;
}

/* --- without a login ------------------------------------------------------------------------------------ */

/* A byte a second of what is in order as far as it goes. */
static bool dawdle(struct foes *foes, struct foe *foe) {
    uint8_t bytes[HELLO_BYTES];
    struct hello_client hello = {
        .version_min = 1, .version_max = 1, .pattern = HELLO_IK, .ciphers = HELLO_OFFERS_CHACHAPOLY};
    hello_write_client(bytes, &hello);
    uint8_t byte = foe->turns < HELLO_BYTES ? bytes[foe->turns] : 0;
    if (send(foe->fd, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EAGAIN) {
        foes->ended++;
        foe_leave(foes, foe, SLOW_BYTE_MS);
        return true;
    }
    foe->again_ms = foes->now_ms + (foe->turns ? SLOW_BYTE_MS : foes_below(foes, SLOW_BYTE_MS));
    foe->turns++;
    foes->bytes++;
    return true;
}

static bool come_and_go(struct foes *foes, struct foe *foe) {
    struct linger none = {.l_onoff = 1}; /* a reset: nothing of it stays in the kernel, either */
    setsockopt(foe->fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    foe_leave(foes, foe, 0);
    return true;
}

const struct attack attacks[ATTACKS] = {
    {"stalled_readers", "receivers that do not read are flooded", 1000 + SENDERS, true, flood_stalled,
     is_sender},
    {"slow_handshakes", "a byte of the handshake a second", 5000, false, dawdle, NULL},
    {"connect_flood", "connections that come and go", 2000, false, come_and_go, NULL},
    {"login_flood", "devices that log in and go", 200, true, log_in_again, NULL},
    {"ping_flood", "pings, whose answers half of the senders do not read", 200, true, flood_pings, is_even},
    {"resend", "the same message again and again", 1000, true, resend, NULL},
    {"question_flood", "LOOKUP and BLOCK without an end", 200, true, flood_questions, NULL},
    {"mark_flood", "MARK about messages that nobody sent", 200, true, flood_marks, NULL},
    {"largest_records", "messages of the largest size", 100, true, send_largest, NULL},
};
