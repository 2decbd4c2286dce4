/* core/bytes.h: little- and big-endian numbers at any address. Unaligned loads of a fixed size become one
 * instruction.
 *
 * Threads: pure.  Memory: none. */
#ifndef TERN_CORE_BYTES_H
#define TERN_CORE_BYTES_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t bytes_get16(const uint8_t *at) {
    uint16_t value;
    memcpy(&value, at, sizeof(value));
    return le16toh(value);
}

static inline uint32_t bytes_get32(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, sizeof(value));
    return le32toh(value);
}

static inline uint64_t bytes_get64(const uint8_t *at) {
    uint64_t value;
    memcpy(&value, at, sizeof(value));
    return le64toh(value);
}

static inline void bytes_put16(uint8_t *at, uint16_t value) {
    value = htole16(value);
    memcpy(at, &value, sizeof(value));
}

static inline void bytes_put32(uint8_t *at, uint32_t value) {
    value = htole32(value);
    memcpy(at, &value, sizeof(value));
}

static inline void bytes_put64(uint8_t *at, uint64_t value) {
    value = htole64(value);
    memcpy(at, &value, sizeof(value));
}

/* Big-endian: keys of the store sort by value. */
static inline uint16_t bytes_get16_be(const uint8_t *at) {
    uint16_t value;
    memcpy(&value, at, sizeof(value));
    return be16toh(value);
}

static inline uint32_t bytes_get32_be(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, sizeof(value));
    return be32toh(value);
}

static inline uint64_t bytes_get64_be(const uint8_t *at) {
    uint64_t value;
    memcpy(&value, at, sizeof(value));
    return be64toh(value);
}

static inline void bytes_put16_be(uint8_t *at, uint16_t value) {
    value = htobe16(value);
    memcpy(at, &value, sizeof(value));
}

static inline void bytes_put32_be(uint8_t *at, uint32_t value) {
    value = htobe32(value);
    memcpy(at, &value, sizeof(value));
}

static inline void bytes_put64_be(uint8_t *at, uint64_t value) {
    value = htobe64(value);
    memcpy(at, &value, sizeof(value));
}

#endif
