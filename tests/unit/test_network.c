/* Addresses and networks as text. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "core/network.h"

static bool has(const char *network_text, const char *address_text) {
    struct network network, address;
    cr_assert_eq(network_parse(network_text, &network), 0, "%s", network_text);
    cr_assert_eq(network_parse(address_text, &address), 0, "%s", address_text);
    return network_has(&network, address.prefix);
}

Test(network, network_has_the_addresses_that_share_its_prefix_and_no_others) {
    cr_assert(has("10.0.0.0/8", "10.255.0.1"));
    cr_assert(!has("10.0.0.0/8", "11.0.0.1"));
    cr_assert(has("192.168.4.0/22", "192.168.7.255"));
    cr_assert(!has("192.168.4.0/22", "192.168.8.0"), "a prefix that ends within a byte");
    cr_assert(has("fd00::/8", "fdff::1"));
    cr_assert(!has("fd00::/8", "fe00::1"));
    cr_assert(has("0.0.0.0/0", "255.1.2.3"));
    cr_assert(!has("0.0.0.0/0", "fd00::1"), "all of IPv4 is not all of IPv6");
    cr_assert(has("::/0", "1.2.3.4"));
}

Test(network, address_without_prefix_is_itself_alone) {
    cr_assert(has("127.0.0.1", "127.0.0.1"));
    cr_assert(!has("127.0.0.1", "127.0.0.2"));
    cr_assert(has("::1", "::1"));
    cr_assert(!has("::1", "::2"));
}

Test(network, ipv4_and_its_mapped_form_are_one) {
    cr_assert(has("10.0.0.0/8", "::ffff:10.1.2.3"));
    cr_assert(has("::ffff:10.0.0.0/104", "10.1.2.3"));
}

Test(network, what_is_no_network_is_refused_and_writes_nothing) {
    static const char *const wrong[] = {"",
                                        "/8",
                                        "10.0.0/8",
                                        "10.0.0.0/",
                                        "10.0.0.0/33",
                                        "::/129",
                                        "10.0.0.0/8x",
                                        "10.0.0.0/-1",
                                        "localhost",
                                        "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct network network = {.bits = 77};
        cr_assert_eq(network_parse(wrong[i], &network), -EINVAL, "'%s'", wrong[i]);
        cr_assert_eq(network.bits, 77);
    }
}

static void expect_host_port(const char *text, const char *host, uint16_t port) {
    char found[64];
    uint16_t found_port;
    cr_assert_eq(network_host_port(text, found, sizeof(found), &found_port), 0, "%s", text);
    cr_assert_str_eq(found, host);
    cr_assert_eq(found_port, port);
}

Test(network, host_and_port_are_taken_apart) {
    expect_host_port("127.0.0.1:7440", "127.0.0.1", 7440);
    expect_host_port("[::1]:0", "::1", 0);
    expect_host_port("[fd00::2]:65535", "fd00::2", 65535);
}

Test(network, what_is_no_numeric_host_and_port_is_refused) {
    static const char *const wrong[] = {"",          "127.0.0.1",     "127.0.0.1:",      ":7440",
                                        "::1:7440",  "[127.0.0.1]:1", "localhost:7440",  "127.0.0.1:65536",
                                        "[::1]7440", "127.0.0.1:-1",  "127.0.0.1:7440 ", "[::1:7440"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char host[64];
        uint16_t port;
        cr_assert_eq(network_host_port(wrong[i], host, sizeof(host), &port), -EINVAL, "'%s'", wrong[i]);
    }
    char host[5];
    uint16_t port;
    cr_assert_eq(network_host_port("10.0.0.1:1", host, sizeof(host), &port), -EINVAL, "no room for the host");
}
