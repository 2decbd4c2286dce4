#include "io/proxy.h"

#include <errno.h>
#include <string.h>

#include "core/bytes.h"

static const uint8_t signature[12] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

enum { COMMAND_LOCAL = 0x20, COMMAND_PROXY = 0x21 };
enum { FAMILY_TCP4 = 0x11, FAMILY_TCP6 = 0x21 };

#define TCP4_BYTES 12
#define TCP6_BYTES 36

static int read_source(uint8_t family, const uint8_t *body, size_t body_bytes, struct address *ret_address) {
    struct address address = {.bytes = {[10] = 0xff, [11] = 0xff}};
    if (family == FAMILY_TCP4 && body_bytes >= TCP4_BYTES) {
        memcpy(address.bytes + 12, body, 4);
        address.port = bytes_get16_be(body + 8);
    } else if (family == FAMILY_TCP6 && body_bytes >= TCP6_BYTES) {
        memcpy(address.bytes, body, NETWORK_ADDRESS_BYTES);
        address.port = bytes_get16_be(body + 32);
    } else {
        return -EPROTO;
    }
    *ret_address = address;
    return 0;
}

int proxy_read(const uint8_t *bytes, size_t count, struct address *ret_address) {
    if (memcmp(bytes, signature, count < sizeof(signature) ? count : sizeof(signature)) != 0)
        return -EPROTO;
    if (count < PROXY_HEADER_BYTES)
        return 0;
    size_t body_bytes = bytes_get16_be(bytes + 14);
    if (PROXY_HEADER_BYTES + body_bytes > PROXY_BYTES_MAX ||
        (bytes[12] != COMMAND_LOCAL && bytes[12] != COMMAND_PROXY))
        return -EPROTO;
    if (count < PROXY_HEADER_BYTES + body_bytes)
        return 0;
    if (bytes[12] == COMMAND_PROXY &&
        read_source(bytes[13], bytes + PROXY_HEADER_BYTES, body_bytes, ret_address) < 0)
        return -EPROTO;
    return (int)(PROXY_HEADER_BYTES + body_bytes);
}
