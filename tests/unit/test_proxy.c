#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "io/proxy.h"

static const uint8_t v4[28] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49,
                               0x54, 0x0a, 0x21, 0x11, 0,    12,   203,  0,    113,  9,
                               192,  0,    2,    1,    0x30, 0x39, 0x1d, 0x10};

/* The same header with another body. */
static size_t make(uint8_t *out, uint8_t command, uint8_t family, uint16_t body_bytes) {
    memset(out, 0, PROXY_HEADER_BYTES + body_bytes);
    memcpy(out, v4, 12);
    out[12] = command;
    out[13] = family;
    out[14] = (uint8_t)(body_bytes >> 8);
    out[15] = (uint8_t)body_bytes;
    return (size_t)PROXY_HEADER_BYTES + body_bytes;
}

static void expect_text(const struct address *address, const char *expected) {
    char text[64];
    address_text(address, text, sizeof(text));
    cr_expect_str_eq(text, expected);
}

Test(proxy, ipv4_names_the_source) {
    struct address address = {0};
    cr_assert_eq(proxy_read(v4, sizeof(v4), &address), (int)sizeof(v4));
    expect_text(&address, "203.0.113.9:12345");
}

Test(proxy, ipv6_names_the_source) {
    struct address address = {0};
    uint8_t bytes[64];
    size_t count = make(bytes, 0x21, 0x21, 36);
    memcpy(bytes + 16, (const uint8_t[]){0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5}, 16);
    bytes[48] = 0x1d;
    bytes[49] = 0x10;
    cr_assert_eq(proxy_read(bytes, count, &address), (int)count);
    expect_text(&address, "[2001:db8::5]:7440");
}

Test(proxy, any_part_of_a_header_asks_for_more) {
    for (size_t count = 1; count < sizeof(v4); count++) {
        struct address address = {.port = 1};
        cr_assert_eq(proxy_read(v4, count, &address), 0, "after %zu bytes", count);
        cr_assert_eq(address.port, 1);
    }
}

Test(proxy, what_follows_and_options_are_left_alone) {
    struct address address;
    uint8_t bytes[128] = {0};
    size_t count = make(bytes, 0x21, 0x11, 12 + 30);
    memcpy(bytes + 16, v4 + 16, 12);
    cr_expect_eq(proxy_read(bytes, sizeof(bytes), &address), (int)count);
    expect_text(&address, "203.0.113.9:12345");
}

Test(proxy, its_own_checks_name_nobody) {
    struct address address = {.port = 77};
    uint8_t bytes[64];
    size_t count = make(bytes, 0x20, 0x00, 0);
    cr_expect_eq(proxy_read(bytes, count, &address), (int)count);
    cr_expect_eq(address.port, 77);
}

Test(proxy, what_is_none_is_refused_as_early_as_it_shows) {
    struct address address;
    uint8_t bytes[1024];
    cr_expect_eq(proxy_read((const uint8_t *)"TERN", 4, &address), -EPROTO);
    cr_expect_eq(proxy_read((const uint8_t *)"\r\n\r\n\1", 5, &address), -EPROTO);
    cr_expect_eq(proxy_read((const uint8_t *)"PROXY TCP4 1.2.3.4", 18, &address), -EPROTO);
    make(bytes, 0x11, 0x11, 12); /* version 1 */
    cr_expect_eq(proxy_read(bytes, PROXY_HEADER_BYTES, &address), -EPROTO);
    make(bytes, 0x22, 0x11, 12); /* no such command */
    cr_expect_eq(proxy_read(bytes, PROXY_HEADER_BYTES, &address), -EPROTO);
    make(bytes, 0x21, 0x12, 12); /* UDP */
    cr_expect_eq(proxy_read(bytes, PROXY_HEADER_BYTES + 12, &address), -EPROTO);
    make(bytes, 0x21, 0x11, 11); /* too short for its family */
    cr_expect_eq(proxy_read(bytes, PROXY_HEADER_BYTES + 11, &address), -EPROTO);
    make(bytes, 0x21, 0x21, 35);
    cr_expect_eq(proxy_read(bytes, PROXY_HEADER_BYTES + 35, &address), -EPROTO);
    make(bytes, 0x21, 0x11, PROXY_BYTES_MAX - PROXY_HEADER_BYTES + 1); /* longer than is taken */
    cr_expect_eq(proxy_read(bytes, PROXY_HEADER_BYTES, &address), -EPROTO);
}
