#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "core/bytes.h"
#include "io/address.h"

TestSuite(address, .timeout = 60);

#define NOW_MS 1000000

static struct config config;
static struct addresses *addresses;

static void make(uint64_t connections_max, uint64_t handshakes_max, const char *exempt) {
    char error[128];
    config_defaults(&config);
    config.address_connections_max = connections_max;
    config.address_handshakes_max = handshakes_max;
    cr_assert_eq(config_set(&config, "address_exempt", exempt, error, sizeof(error)), 0);
    cr_assert_eq(addresses_create(&config, &addresses), 0);
}

static struct address parse(const char *text) {
    struct sockaddr_storage from = {0};
    struct sockaddr_in *in = (struct sockaddr_in *)(void *)&from;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)&from;
    struct address address;
    if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = htons(5000);
    } else {
        cr_assert_eq(inet_pton(AF_INET6, text, &in6->sin6_addr), 1);
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(5000);
    }
    address_from_socket(&from, &address);
    return address;
}

static int enter(const char *text, uint64_t now_ms) {
    struct address address = parse(text);
    bool counted = false;
    int error = addresses_enter(addresses, &address, now_ms, &counted);
    cr_assert(counted == (error == 0));
    return error;
}

static void leave(const char *text) {
    struct address address = parse(text);
    addresses_leave(addresses, &address, true);
}

Test(address, connections_are_limited_and_one_that_goes_makes_room) {
    make(2, 1000, "none");
    cr_expect_eq(enter("192.0.2.1", NOW_MS), 0);
    cr_expect_eq(enter("192.0.2.1", NOW_MS), 0);
    cr_expect_eq(enter("192.0.2.1", NOW_MS), -EUSERS);
    cr_expect_eq(enter("192.0.2.2", NOW_MS), 0);
    leave("192.0.2.1");
    cr_expect_eq(enter("192.0.2.1", NOW_MS), 0);
    addresses_destroy(addresses);
}

Test(address, handshakes_are_limited_in_a_window) {
    make(1000, 3, "none");
    for (int i = 0; i < 3; i++) {
        cr_expect_eq(enter("192.0.2.1", NOW_MS), 0);
        leave("192.0.2.1");
    }
    cr_expect_eq(enter("192.0.2.1", NOW_MS + ADDRESS_WINDOW_MS - 1), -EAGAIN);
    cr_expect_eq(enter("192.0.2.1", NOW_MS + ADDRESS_WINDOW_MS), 0);
    addresses_destroy(addresses);
}

Test(address, those_that_have_not_logged_in_are_limited) {
    struct address address = parse("192.0.2.1");
    make(1000, 1000, "none");
    config.address_pending_max = 2;
    addresses_reload(addresses, &config);
    cr_expect_eq(enter("192.0.2.1", NOW_MS), 0);
    cr_expect_eq(enter("192.0.2.1", NOW_MS), 0);
    cr_expect_eq(enter("192.0.2.1", NOW_MS), -EBUSY);
    cr_expect_eq(enter("192.0.2.2", NOW_MS), 0, "another address");
    addresses_settle(addresses, &address);
    cr_expect_eq(enter("192.0.2.1", NOW_MS), 0, "one has logged in");
    cr_expect_eq(enter("192.0.2.1", NOW_MS), -EBUSY);
    addresses_leave(addresses, &address, false);
    cr_expect_eq(enter("192.0.2.1", NOW_MS), -EBUSY, "that was the one that had logged in");
    leave("192.0.2.1");
    cr_expect_eq(enter("192.0.2.1", NOW_MS), 0, "one gave up");
    addresses_destroy(addresses);
}

/* Shards look at the clock once a turn: one may come with an earlier time than another before it. */
Test(address, a_shard_whose_clock_is_a_turn_behind_resets_no_window) {
    make(1000, 3, "none");
    cr_expect_eq(enter("192.0.2.1", NOW_MS + 5), 0);
    cr_expect_eq(enter("192.0.2.1", NOW_MS), 0);
    cr_expect_eq(enter("192.0.2.1", NOW_MS + 5), 0);
    cr_expect_eq(enter("192.0.2.1", NOW_MS), -EAGAIN);
    addresses_destroy(addresses);
}

Test(address, an_ipv6_network_counts_as_one) {
    make(2, 1000, "none");
    cr_expect_eq(enter("2001:db8:0:1::1", NOW_MS), 0);
    cr_expect_eq(enter("2001:db8:0:1:ffff::2", NOW_MS), 0);
    cr_expect_eq(enter("2001:db8:0:1::3", NOW_MS), -EUSERS);
    cr_expect_eq(enter("2001:db8:0:2::1", NOW_MS), 0);
    addresses_destroy(addresses);
}

Test(address, exempt_networks_are_not_counted) {
    struct address address = parse("127.0.0.1");
    make(1, 1, "127.0.0.0/8");
    for (int i = 0; i < 5; i++) {
        bool counted = true;
        cr_expect_eq(addresses_enter(addresses, &address, NOW_MS, &counted), 0);
        cr_expect(!counted);
    }
    cr_expect_eq(addresses_count(addresses, &address), 0);
    addresses_destroy(addresses);
}

Test(address, a_reload_takes_over_limits) {
    make(1, 1000, "none");
    cr_expect_eq(enter("192.0.2.1", NOW_MS), 0);
    cr_expect_eq(enter("192.0.2.1", NOW_MS), -EUSERS);
    config.address_connections_max = 2;
    addresses_reload(addresses, &config);
    cr_expect_eq(enter("192.0.2.1", NOW_MS), 0);
    addresses_destroy(addresses);
}

static struct address numbered(uint32_t number) {
    struct address address = {.bytes = {0x20, 0x01}};
    bytes_put32(address.bytes + 4, number);
    return address;
}

Test(address, the_table_is_bounded_forgets_what_is_over_and_never_what_is_open) {
    const struct address old = numbered(UINT32_MAX);
    bool counted;
    uint32_t taken = 0;
    make(10, 1000, "none");
    cr_assert_eq(addresses_enter(addresses, &old, NOW_MS, &counted), 0);
    for (uint32_t i = 0; i < 4 * ADDRESS_ENTRIES_MAX; i++) {
        struct address address = numbered(i);
        if (addresses_enter(addresses, &address, NOW_MS, &counted) == 0)
            taken++;
    }
    cr_expect_geq(taken, ADDRESS_ENTRIES_MAX);
    cr_expect_lt(taken, 3 * ADDRESS_ENTRIES_MAX);
    cr_expect_eq(addresses_count(addresses, &old), 1);
    cr_expect_eq(addresses_enter(addresses, &old, NOW_MS, &counted), 0, "one that is known still comes in");
    for (uint32_t i = 0; i < taken; i++) {
        struct address address = numbered(i);
        cr_assert_eq(addresses_count(addresses, &address), 1);
        addresses_leave(addresses, &address, true);
    }
    struct address late = numbered(5 * ADDRESS_ENTRIES_MAX);
    cr_expect_eq(addresses_enter(addresses, &late, NOW_MS + 2 * ADDRESS_WINDOW_MS, &counted), 0);
    cr_expect_eq(addresses_count(addresses, &old), 2);
    addresses_destroy(addresses);
}
