#include "bench/payload.h"

#include <errno.h>
#include <string.h>

#include "core/bytes.h"

/* splitmix64 (Steele, Lea, Flood, 2014): cheap, and any bit of the state changes half of the output. */
static uint64_t mix(uint64_t x) {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static uint64_t check_of(const struct payload *payload, size_t bytes, uint64_t seed) {
    uint64_t check = mix(seed ^ bytes);
    check = mix(check ^ payload->sent_ns);
    check = mix(check ^ payload->number);
    return mix(check ^ ((uint64_t)payload->pair << 32 | payload->direction));
}

/* The fill is a counter from the check on, multiplied: every word differs from its neighbours and from other
 * messages'. */
static uint64_t fill_word(uint64_t check, size_t at) {
    return (check + at) * 0x9e3779b97f4a7c15u;
}

void payload_write(uint8_t *out, size_t bytes, uint64_t seed, const struct payload *payload) {
    uint64_t check = check_of(payload, bytes, seed);
    bytes_put64(out, payload->sent_ns);
    bytes_put64(out + 8, payload->number);
    bytes_put32(out + 16, payload->pair);
    bytes_put32(out + 20, payload->direction);
    bytes_put64(out + 24, check);
    size_t at = PAYLOAD_BYTES_MIN;
    for (; at + 8 <= bytes; at += 8)
        bytes_put64(out + at, fill_word(check, at));
    uint8_t last[8];
    bytes_put64(last, fill_word(check, at));
    memcpy(out + at, last, bytes - at);
}

int payload_read(const uint8_t *at, size_t bytes, uint64_t seed, struct payload *ret_payload) {
    if (bytes < PAYLOAD_BYTES_MIN)
        return -EBADMSG;
    struct payload payload = {
        .sent_ns = bytes_get64(at),
        .number = bytes_get64(at + 8),
        .pair = bytes_get32(at + 16),
        .direction = bytes_get32(at + 20),
    };
    uint64_t check = check_of(&payload, bytes, seed);
    uint64_t wrong = check ^ bytes_get64(at + 24);
    size_t pos = PAYLOAD_BYTES_MIN;
    for (; pos + 8 <= bytes; pos += 8)
        wrong |= bytes_get64(at + pos) ^ fill_word(check, pos);
    uint8_t last[8];
    bytes_put64(last, fill_word(check, pos));
    if (wrong || memcmp(at + pos, last, bytes - pos) != 0)
        return -EBADMSG;
    *ret_payload = payload;
    return 0;
}
