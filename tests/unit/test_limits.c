/* Each limit says which it is, is counted, and ends: what was slowed down or refused gets through
 * afterwards. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/hello.h"
#include "core/reason.h"
#include "tests/support/live.h"
#include "tests/support/switch_rig.h"

TestSuite(limits, .timeout = 60);

#define PAYLOAD_BYTES 20000u
#define PLAINTEXT 1 /* the listener's index */

static struct rig_device anna, bob;
static const uint8_t payload[PAYLOAD_BYTES];

static void start_for(const char *exempt, const char *option, const char *value) {
    const char *options[] = {option, value, "--spill-ms", "600000", "--address-exempt", exempt};
    switch_rig_start(options, 6);
    rig_device_create(&anna, "anna");
    rig_device_create(&bob, "bob");
    cr_assert(rig_device_open(&anna));
    cr_assert(rig_device_open(&bob));
}

static void start(const char *option, const char *value) {
    start_for("127.0.0.0/8", option, value);
}

static void stop(void) {
    rig_device_destroy(&anna);
    rig_device_destroy(&bob);
    cr_assert_eq(switch_rig_number("{\"command\":\"drain\"}", NULL), 0);
    cr_expect_eq(switch_rig_wait(), 0);
}

static double now_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Anna sends, Bob takes all: how long. */
static double send_all(uint64_t count, uint32_t bytes) {
    double begin = now_s();
    for (uint64_t i = 0; i < count; i++)
        rig_device_send(&anna, bob.account, payload, bytes);
    uint64_t wanted = bob.received + count;
    cr_expect(rig_device_wait(&bob, &bob.received, wanted), "%lu of %lu", bob.received, wanted);
    cr_expect(rig_device_wait(&anna, &anna.delivered, wanted));
    return now_s() - begin;
}

/* A quarter of a second's worth goes at once. */
static void expect_slow(const char *option, const char *value, uint64_t count, uint32_t bytes) {
    start_for("none", option, value);
    double took_s = send_all(count, bytes);
    cr_expect_geq(took_s, 1.8, "%s: %f s", option, took_s);
    cr_expect_geq(switch_rig_stat("input_slowed"), 1);
    cr_expect_eq(switch_rig_stat("messages_refused"), 0);
    stop();
}

Test(limits, messages_of_a_session_are_slowed_down) {
    expect_slow("--session-messages-per-s", "50", 150, 10);
}

Test(limits, messages_of_an_account_are_slowed_down) {
    expect_slow("--account-messages-per-s", "50", 150, 10);
}

Test(limits, bytes_of_a_session_are_slowed_down) {
    expect_slow("--session-bytes-per-s", "100000", 16, PAYLOAD_BYTES);
}

Test(limits, bytes_of_an_account_are_slowed_down) {
    expect_slow("--account-bytes-per-s", "100000", 16, PAYLOAD_BYTES);
}

/* Bob is there and does not acknowledge: it all waits in memory. */
Test(limits, a_session_whose_messages_fill_its_memory_is_not_read) {
    start("--unticked-bytes-max", "65536");
    for (int i = 0; i < 10; i++)
        rig_device_send(&anna, bob.account, payload, PAYLOAD_BYTES);
    for (int i = 0; i < 200 && switch_rig_stat("input_paused") < 1; i++)
        usleep(10000);
    cr_expect_eq(switch_rig_stat("messages_accepted"), 4, "the fourth was too much");
    cr_expect(rig_device_wait(&bob, &bob.received, 10));
    cr_expect(rig_device_wait(&anna, &anna.delivered, 10));
    cr_expect_eq(switch_rig_stat("input_slowed"), 0);
    stop();
}

/* Anna's messages, which Bob does not acknowledge, take what they may of the shard's memory; not all. */
Test(limits, who_holds_little_finds_room_beside_who_holds_much) {
    struct rig_device carol, dora;
    start("--messages-max", "64");
    rig_device_create(&carol, "carol");
    rig_device_create(&dora, "dora");
    cr_assert(rig_device_open(&carol));
    cr_assert(rig_device_open(&dora));
    for (int i = 0; i < 200; i++)
        rig_device_send(&anna, bob.account, payload, 10);
    for (int i = 0; i < 200 && switch_rig_stat("input_paused") < 1; i++)
        usleep(10000);
    for (uint64_t i = 1; i <= 20; i++) {
        rig_device_send(&carol, dora.account, payload, 10);
        cr_assert(rig_device_wait(&dora, &dora.received, i));
        cr_assert(rig_device_wait(&carol, &carol.delivered, i));
    }
    cr_expect(rig_device_wait(&bob, &bob.received, 200));
    cr_expect(rig_device_wait(&anna, &anna.delivered, 200));
    rig_device_destroy(&carol);
    rig_device_destroy(&dora);
    stop();
}

Test(limits, a_queue_takes_so_many_bytes) {
    start("--queue-bytes-max", "65536");
    rig_device_close(&bob);
    while (switch_rig_stat("connections") > 1)
        usleep(1000);
    for (int i = 0; i < 10; i++)
        rig_device_send(&anna, bob.account, payload, PAYLOAD_BYTES);
    cr_expect(rig_device_wait(&anna, &anna.sent, 4));
    while (switch_rig_stat("messages_refused") < 6)
        usleep(1000);
    cr_expect_eq(switch_rig_stat("refused_queue_bytes"), 1);
    cr_expect_eq(switch_rig_stat("refused_out_of_order"), 5, "those after it wait for it");
    cr_expect(rig_device_open(&bob));
    cr_expect(rig_device_wait(&bob, &bob.received, 4));
    cr_expect(rig_device_wait(&anna, &anna.delivered, 4));
    rig_device_close(&bob);
    while (switch_rig_stat("connections") > 1)
        usleep(1000);
    for (int i = 0; i < 100 && anna.sent < 5; i++) {
        anna.next = 5; /* from the refused one on */
        rig_device_send(&anna, bob.account, payload, PAYLOAD_BYTES);
        usleep(100000);
    }
    cr_expect(rig_device_wait(&anna, &anna.sent, 5), "there is room again");
    cr_expect_gt(switch_rig_stat("refused_queue_bytes"), 1, "but for a while it was not tried");
    stop();
}

Test(limits, an_account_logs_in_so_often) {
    start("--account-logins-max", "3");
    for (int i = 0; i < 2; i++) {
        rig_device_close(&anna);
        cr_expect(rig_device_open(&anna));
    }
    rig_device_close(&anna);
    cr_expect(!rig_device_open(&anna));
    cr_expect_eq(anna.close_reason, CLOSE_LOGIN_RATE);
    cr_expect_eq(switch_rig_stat("closed_login_rate"), 1);
    rig_device_close(&bob);
    cr_expect(rig_device_open(&bob), "that is another account's affair");
    stop();
}

/* --- before the login ----------------------------------------------------------------------------------- */

/* What the switch says without being asked; -1: nothing. */
static int hello_status(int fd) {
    uint8_t bytes[HELLO_BYTES];
    struct hello_server hello;
    struct timeval limit = {.tv_sec = 10};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    if (recv(fd, bytes, sizeof(bytes), MSG_WAITALL) != sizeof(bytes) || hello_read_server(bytes, &hello) < 0)
        return -1;
    return hello.status;
}

static struct live live;

static void close_all(const int *fds, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        close(fds[i]);
    live_awaits(&live, connections, 0);
    live_awaits(&live, connections_pending, 0);
    live_stop(&live);
}

Test(limits, an_address_has_so_many_that_have_not_logged_in) {
    int fds[4];
    struct client client;
    live_init(&live);
    live_set(&live, "address_pending_max", "2");
    live_set(&live, "address_exempt", "none");
    live_set(&live, "handshake_ms", "1000");
    live_start(&live);
    client_make(&client, &live);
    client_open(&client, 0);
    for (uint32_t i = 0; i < 3; i++) {
        fds[i] = live_connect(&live, PLAINTEXT, 0);
        if (i < 2)
            live_awaits(&live, connections_pending, i + 1);
    }
    cr_expect_eq(hello_status(fds[2]), HELLO_ADDRESS_PENDING);
    cr_expect_eq(live_count(&live, closed[CLOSE_ADDRESS_PENDING]), 1);
    live_awaits(&live, closed[CLOSE_HANDSHAKE_TIMEOUT], 2);
    live_awaits(&live, connections_pending, 0);
    fds[3] = live_connect(&live, PLAINTEXT, 0);
    live_awaits(&live, connections_pending, 1);
    client_close(&client);
    close_all(fds, 4);
}

Test(limits, an_address_connects_so_often) {
    int fds[4];
    live_init(&live);
    live_set(&live, "address_handshakes_max", "3");
    live_set(&live, "address_exempt", "none");
    live_start(&live);
    for (uint32_t i = 0; i < 4; i++) {
        fds[i] = live_connect(&live, PLAINTEXT, 0);
        if (i < 3)
            live_awaits(&live, connections_accepted, i + 1);
    }
    cr_expect_eq(hello_status(fds[3]), HELLO_ADDRESS_RATE);
    cr_expect_eq(live_count(&live, closed[CLOSE_ADDRESS_RATE]), 1);
    close_all(fds, 4);
}

/* The kernel spreads them over the shards as it likes. */
Test(limits, a_shard_has_so_many_that_have_not_logged_in) {
    enum { SOCKETS = 16, MOST = 3 };
    int fds[SOCKETS];
    uint32_t told = 0;
    live_init(&live);
    live_set(&live, "pending_max", "3");
    live_start(&live);
    for (uint32_t i = 0; i < SOCKETS; i++)
        fds[i] = live_connect(&live, PLAINTEXT, 0);
    live_awaits(&live, closed[CLOSE_PENDING_LIMIT], SOCKETS - LIVE_SHARDS * MOST);
    for (uint32_t i = 0; i < SOCKETS; i++) {
        uint8_t byte;
        if (recv(fds[i], &byte, 1, MSG_DONTWAIT | MSG_PEEK) != 1)
            continue;
        cr_expect_eq(hello_status(fds[i]), HELLO_PENDING_LIMIT);
        told++;
    }
    cr_expect_eq(told, SOCKETS - live_count(&live, connections_pending));
    close_all(fds, SOCKETS);
}
