#include "tools/client/e2e/padding.h"

#include <errno.h>
#include <sodium.h>

#include "core/must.h"

/* The position of the highest bit; number >= 1. */
static unsigned log2_of(uint64_t number) {
    return 63u - (unsigned)__builtin_clzll(number);
}

/* Of a length L, the E = log2 L bits below the highest hold log2 E + 1 that may be other than zero. */
static size_t padme(size_t bytes) {
    unsigned exponent = log2_of(bytes);
    unsigned significant = log2_of(exponent) + 1;
    size_t mask = ((size_t)1 << (exponent - significant)) - 1;
    return (bytes + mask) & ~mask;
}

size_t padding_bytes(size_t text_bytes, size_t padded_bytes_max) {
    if (text_bytes >= padded_bytes_max)
        return 0;
    size_t bytes = text_bytes < PADDING_BYTES_MIN ? PADDING_BYTES_MIN : padme(text_bytes + 1);
    return bytes < padded_bytes_max ? bytes : padded_bytes_max;
}

void padding_add(uint8_t *text, size_t text_bytes, size_t padded_bytes) {
    size_t padded;
    must(text_bytes < padded_bytes);
    must(sodium_pad(&padded, text, text_bytes, padded_bytes, padded_bytes) == 0 && padded == padded_bytes);
}

int padding_remove(const uint8_t *text, size_t padded_bytes, size_t *ret_text_bytes) {
    size_t bytes;
    if (padded_bytes == 0 || sodium_unpad(&bytes, text, padded_bytes, padded_bytes) != 0)
        return -EBADMSG;
    *ret_text_bytes = bytes;
    return 0;
}
