#include "tools/client/silence.h"

#include <errno.h>

#define WELCOME_MS 15000 /* from the connection to WELCOME; linking waits for the switch's disk */
#define ANSWER_MS 10000  /* for the answer to a ping */
#define LIMIT_S_MIN 1    /* whatever WELCOME says */
#define LIMIT_S_MAX 300

void silence_begin(struct silence *silence, uint64_t now_ms) {
    *silence = (struct silence){.heard_ms = now_ms, .limit_ms = WELCOME_MS};
}

void silence_welcome(struct silence *silence, uint32_t limit_s) {
    limit_s = limit_s < LIMIT_S_MIN ? LIMIT_S_MIN : limit_s > LIMIT_S_MAX ? LIMIT_S_MAX : limit_s;
    silence->limit_ms = limit_s * UINT64_C(1000);
}

void silence_heard(struct silence *silence, uint64_t now_ms) {
    silence->heard_ms = now_ms;
}

int silence_watch(struct silence *silence, struct peer *peer, uint64_t now_ms) {
    uint64_t silent_ms = now_ms - silence->heard_ms;
    if (!peer_is_open(peer))
        return silent_ms >= silence->limit_ms ? -ETIMEDOUT : 0;
    if (silent_ms < silence->limit_ms) {
        silence->pinged_ms = 0;
        return 0;
    }
    if (silence->pinged_ms)
        return now_ms - silence->pinged_ms >= ANSWER_MS ? -ETIMEDOUT : 0;
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    silence->pinged_ms = now_ms;
    return peer_put(peer, out, frame_write_ping(out, FRAME_PING, now_ms));
}

uint64_t silence_due_ms(const struct silence *silence) {
    return silence->pinged_ms ? silence->pinged_ms + ANSWER_MS : silence->heard_ms + silence->limit_ms;
}
