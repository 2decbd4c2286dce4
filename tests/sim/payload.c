#include "tests/sim/payload.h"

#include "core/bytes.h"

static uint8_t byte_at(uint32_t message, uint32_t index, uint32_t bytes) {
    uint32_t in_word = index - PAYLOAD_BYTES_MIN;
    if (in_word < PAYLOAD_WORD_BYTES && bytes >= PAYLOAD_BYTES_MIN + PAYLOAD_WORD_BYTES)
        return (uint8_t)PAYLOAD_WORD[in_word];
    return (uint8_t)(message * 31 + index);
}

void payload_write(uint8_t *payload, uint32_t message, uint32_t bytes) {
    bytes_put32(payload, message);
    bytes_put32(payload + 4, bytes);
    for (uint32_t i = PAYLOAD_BYTES_MIN; i < bytes; i++)
        payload[i] = byte_at(message, i, bytes);
}

uint32_t payload_read(const uint8_t *payload, uint32_t bytes) {
    if (bytes < PAYLOAD_BYTES_MIN || bytes_get32(payload + 4) != bytes)
        return UINT32_MAX;
    uint32_t message = bytes_get32(payload);
    for (uint32_t i = PAYLOAD_BYTES_MIN; i < bytes; i++) {
        if (payload[i] != byte_at(message, i, bytes))
            return UINT32_MAX;
    }
    return message;
}
