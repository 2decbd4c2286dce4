#include "core/record.h"

#include "core/bytes.h"

size_t record_overhead_bytes(const struct noise_cipher_state *state) {
    return RECORD_LENGTH_BYTES + (state->cipher == NOISE_PLAIN ? 0 : NOISE_TAG_BYTES);
}

/* The nonce counts the records of a direction. */
static void count_record(struct noise_cipher_state *state) {
    if (state->cipher != NOISE_PLAIN && state->nonce % RECORD_REKEY_EVERY == 0)
        noise_rekey(state);
}

size_t record_seal(struct noise_cipher_state *state, uint8_t *space, size_t frames_bytes) {
    return record_seal_from(state, space, space + RECORD_LENGTH_BYTES, frames_bytes);
}

size_t record_seal_from(struct noise_cipher_state *state, uint8_t *space, const uint8_t *frames,
                        size_t frames_bytes) {
    size_t sealed_bytes = noise_seal_from(state, space + RECORD_LENGTH_BYTES, frames, frames_bytes);
    count_record(state);
    bytes_put16(space, (uint16_t)sealed_bytes);
    return RECORD_LENGTH_BYTES + sealed_bytes;
}

size_t record_sealed_bytes(const uint8_t length[RECORD_LENGTH_BYTES]) {
    return bytes_get16(length);
}

int record_open(struct noise_cipher_state *state, uint8_t *sealed, size_t sealed_bytes,
                size_t *ret_frames_bytes) {
    int error = noise_open(state, sealed, sealed_bytes, ret_frames_bytes);
    if (!error)
        count_record(state);
    return error;
}
