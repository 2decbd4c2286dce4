/* Connections on real sockets: how they come, what limits say, and peers that break off wherever they can. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/account.h"
#include "core/bytes.h"
#include "core/hello.h"
#include "tests/support/live.h"

TestSuite(conn, .timeout = 60);

#define PLAINTEXT 1 /* the listener's index */
#define RUN_MS 30000

/* --- bytes by hand -------------------------------------------------------------------------------------- */

static void put(int fd, const void *bytes, size_t count) {
    ssize_t sent = send(fd, bytes, count, MSG_NOSIGNAL);
    cr_assert_eq(sent, (ssize_t)count, "send: %s", strerror(errno));
}

static size_t write_hello(uint8_t *out, enum hello_pattern pattern) {
    struct hello_client hello = {.version_min = 1, .version_max = 1, .pattern = (uint8_t)pattern};
    if (pattern != HELLO_PLAINTEXT)
        hello.ciphers = HELLO_OFFERS_AESGCM | HELLO_OFFERS_CHACHAPOLY;
    hello_write_client(out, &hello);
    return HELLO_BYTES;
}

/* Hello and first record of a client that has its device. */
static size_t write_login(uint8_t *out, const struct client *client) {
    struct frame_link link = {.account = client->account, .epoch = client->epoch, .device = client->device};
    size_t used = write_hello(out, HELLO_PLAINTEXT);
    size_t bytes = frame_write_link(out + used + 2, FRAME_LOGIN, &link);
    bytes_put16(out + used, (uint16_t)bytes);
    return used + 2 + bytes;
}

/* Waits for the end, at most some seconds; a reset is one. */
static bool ends(int fd) {
    uint8_t bytes[4096];
    struct timeval limit = {.tv_sec = 10};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    ssize_t count;
    while ((count = recv(fd, bytes, sizeof(bytes), 0)) > 0) {
    }
    return count == 0 || errno == ECONNRESET;
}

/* The status of the switch's hello; -1 where none comes. */
static int hello_status(int fd) {
    uint8_t bytes[HELLO_BYTES];
    struct hello_server hello;
    struct timeval limit = {.tv_sec = 10};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    if (recv(fd, bytes, sizeof(bytes), MSG_WAITALL) != sizeof(bytes) || hello_read_server(bytes, &hello) < 0)
        return -1;
    return hello.status;
}

static void reset(int fd) {
    struct linger linger = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    close(fd);
}

static void make_pair(struct client *clients, struct live *live) {
    for (uint32_t i = 0; i < 2; i++)
        client_make(&clients[i], live);
    clients[0].to = clients[0].from = clients[1].account;
    clients[1].to = clients[1].from = clients[0].account;
}

struct talk {
    struct client *clients;
    uint64_t messages;
};

static bool talk_done(void *context) {
    struct talk *talk = context;
    bool done = true;
    for (uint32_t i = 0; i < 2; i++) {
        struct client *client = &talk->clients[i];
        cr_assert(!client->ended);
        if (client->next <= talk->messages && client->next - 1 - client->sent < 8)
            client_send(client, 1);
        done = done && client->sent == talk->messages && client->received == talk->messages;
    }
    return done;
}

/* An honest pair goes on as if nothing were. */
static void talk(struct client *clients, uint64_t messages) {
    struct talk all = {clients, messages};
    clients_run(clients, 2, talk_done, &all, RUN_MS);
}

/* --- breaking off --------------------------------------------------------------------------------------- */

Test(conn, a_reset_in_any_phase_ends_that_connection_only) {
    enum { ROUNDS = 20, PHASES = 6 };
    struct client pair[2], victim;
    struct live live;
    uint8_t bytes[256];
    live_init(&live);
    live_start(&live);
    make_pair(pair, &live);
    client_open(&pair[0], 0);
    client_open(&pair[1], 0);
    client_make(&victim, &live);
    client_open(&victim, 0);
    client_close(&victim);
    size_t login = write_login(bytes, &victim);
    const size_t counts[PHASES] = {0, HELLO_BYTES / 2, HELLO_BYTES, HELLO_BYTES + 1, login - 1, login};
    for (uint32_t i = 0; i < ROUNDS * PHASES; i++) {
        int fd = live_connect(&live, PLAINTEXT, 0);
        if (counts[i % PHASES])
            put(fd, bytes, counts[i % PHASES]);
        if (i % 2)
            usleep(500);
        reset(fd);
    }
    talk(pair, 20);
    for (uint32_t i = 0; i < 2; i++)
        client_close(&pair[i]);
    live_awaits(&live, connections, 0);
    live_stop(&live);
}

Test(conn, an_end_in_the_middle_is_counted_as_truncated) {
    struct live live;
    uint8_t bytes[HELLO_BYTES];
    live_init(&live);
    live_start(&live);
    write_hello(bytes, HELLO_PLAINTEXT);
    int fd = live_connect(&live, PLAINTEXT, 0);
    put(fd, bytes, HELLO_BYTES / 2);
    shutdown(fd, SHUT_WR);
    cr_expect(ends(fd));
    close(fd);
    live_awaits(&live, closed[CLOSE_TRUNCATED], 1);
    live_stop(&live);
}

Test(conn, a_slow_handshake_is_over_at_its_deadline) {
    struct live live;
    live_init(&live);
    live_set(&live, "handshake_ms", "300");
    live_start(&live);
    int fd = live_connect(&live, PLAINTEXT, 0);
    put(fd, "TERN", 4);
    cr_expect(ends(fd));
    close(fd);
    cr_expect_eq(live_count(&live, closed[CLOSE_HANDSHAKE_TIMEOUT]), 1);
    live_awaits(&live, connections, 0);
    live_stop(&live);
}

Test(conn, what_comes_before_the_welcome_moves_along) {
    enum { MESSAGES = 40 };
    struct live live;
    struct client pair[2];
    uint8_t bytes[8192], payload[64];
    live_init(&live);
    live_set(&live, "buffer_bytes", "1024"); /* several come before the connection stops receiving */
    live_start(&live);
    make_pair(pair, &live);
    client_open(&pair[0], 0);
    client_open(&pair[1], 0);
    pair[1].payload_bytes = sizeof(payload);
    for (uint64_t round = 0; round < 20; round++) {
        client_close(&pair[0]);
        int fd = live_connect(&live, PLAINTEXT, 0);
        size_t used = write_login(bytes, &pair[0]);
        for (uint64_t number = round * MESSAGES + 1; number <= (round + 1) * MESSAGES; number++) {
            struct frame_message message = {.id = {.to = pair[1].account, .number = number},
                                            .payload = payload,
                                            .payload_bytes = sizeof(payload)};
            client_payload(pair[0].account, number, payload, sizeof(payload));
            size_t frame = frame_write_message(bytes + used + 2, &message);
            bytes_put16(bytes + used, (uint16_t)frame);
            used += 2 + frame;
        }
        size_t cut = HELLO_BYTES + 1 + round * 7;
        put(fd, bytes, cut);
        if (round % 2)
            usleep(300);
        put(fd, bytes + cut, used - cut);
        for (uint32_t i = 0; i < 200 && pair[1].received < (round + 1) * MESSAGES; i++)
            clients_pump(&pair[1], 1, 20);
        cr_assert_eq(pair[1].received, (round + 1) * MESSAGES);
        close(fd);
    }
    cr_expect_gt(live_count(&live, connections_moved), 0);
    client_close(&pair[1]);
    live_stop(&live);
}

/* --- floods --------------------------------------------------------------------------------------------- */

/* Pings without end, and never a look at the answers. */
static void flood(struct client *client) {
    uint8_t bytes[FRAME_SMALL_BYTES_MAX];
    size_t frame = frame_write_ping(bytes, FRAME_PING, 1);
    while (peer_put_bytes(client->peer) < 60000)
        cr_assert_eq(peer_put(client->peer, bytes, frame), 0);
}

static void check_flood(const char *buffers, const char *without) {
    enum { FLOODERS = 12 };
    struct live live;
    struct client clients[FLOODERS + 2];
    live_init(&live);
    live_set(&live, "buffers", buffers);
    live_set(&live, "ring_without", without);
    live_start(&live);
    make_pair(clients, &live);
    for (uint32_t i = 0; i < FLOODERS + 2; i++) {
        if (i >= 2)
            client_make(&clients[i], &live);
        client_open(&clients[i], i < 2 ? 0 : 4096);
        clients[i].deaf = i >= 2;
    }
    for (uint32_t round = 0; round < 200; round++) {
        for (uint32_t i = 2; i < FLOODERS + 2; i++)
            flood(&clients[i]);
        clients_pump(clients, FLOODERS + 2, 1);
    }
    cr_expect_geq(live_count(&live, input_paused), FLOODERS);
    talk(clients, 200);
    for (uint32_t i = 0; i < FLOODERS + 2; i++)
        client_close(&clients[i]);
    live_awaits(&live, connections, 0);
    live_stop(&live);
}

Test(conn, floods_of_peers_that_do_not_read_take_no_receive_buffer_from_others) {
    check_flood("8", "");
    check_flood("64", "");
    check_flood("8", "recv_multishot");
}

Test(conn, a_silent_connection_is_parked_and_wakes_for_whatever_comes) {
    for (int multishot = 1; multishot >= 0; multishot--) {
        struct client pair[2];
        struct live live;
        live_init(&live);
        live_set(&live, "ring_without", multishot ? "" : "recv_multishot");
        live_start(&live);
        make_pair(pair, &live);
        client_open(&pair[0], 0);
        client_open(&pair[1], 0);
        int third = live_connect(&live, PLAINTEXT, 0); /* not logged in: it has no time to be silent */
        talk(pair, 20);
        live_awaits(&live, input_parked, 2);
        talk(pair, 40);
        live_awaits(&live, input_parked, 4);
        cr_expect_eq(live_count(&live, input_parked), 4);
        reset(pair[0].fd);
        pair[0].fd = -1;
        shutdown(pair[1].fd, SHUT_WR);
        cr_expect(ends(pair[1].fd));
        close(third);
        live_awaits(&live, connections, 0);
        client_close(&pair[0]);
        client_close(&pair[1]);
        live_stop(&live);
    }
}

/* --- limits --------------------------------------------------------------------------------------------- */

Test(conn, beyond_connections_max_peers_are_told) {
    enum { SOCKETS = 20 };
    int fds[SOCKETS];
    uint32_t told = 0;
    struct live live;
    live_init(&live);
    live_set(&live, "connections_max", "3");
    live_start(&live);
    for (uint32_t i = 0; i < SOCKETS; i++)
        fds[i] = live_connect(&live, PLAINTEXT, 0);
    live_awaits(&live, closed[CLOSE_CONNECTION_LIMIT], SOCKETS - 2 * 3);
    for (uint32_t i = 0; i < SOCKETS; i++) {
        uint8_t byte;
        if (recv(fds[i], &byte, 1, MSG_DONTWAIT | MSG_PEEK) != 1)
            continue;
        cr_expect_eq(hello_status(fds[i]), HELLO_CONNECTION_LIMIT);
        cr_expect(ends(fds[i]));
        told++;
    }
    cr_expect_eq(told, SOCKETS - live_count(&live, connections));
    for (uint32_t i = 0; i < SOCKETS; i++)
        close(fds[i]);
    live_awaits(&live, connections, 0);
    struct client client;
    client_make(&client, &live);
    client_open(&client, 0);
    client_close(&client);
    live_stop(&live);
}

Test(conn, beyond_the_address_limit_peers_are_told) {
    struct live live;
    int fds[4];
    live_init(&live);
    live_set(&live, "address_connections_max", "3");
    live_set(&live, "address_exempt", "10.0.0.0/8");
    live_start(&live);
    for (uint32_t i = 0; i < 3; i++)
        fds[i] = live_connect(&live, PLAINTEXT, 0);
    live_awaits(&live, connections, 3);
    fds[3] = live_connect(&live, PLAINTEXT, 0);
    cr_expect_eq(hello_status(fds[3]), HELLO_ADDRESS_LIMIT);
    cr_expect(ends(fds[3]));
    cr_expect_eq(live_count(&live, closed[CLOSE_ADDRESS_LIMIT]), 1);
    for (uint32_t i = 0; i < 4; i++)
        close(fds[i]);
    live_awaits(&live, connections, 0);
    struct client client;
    client_make(&client, &live);
    client_open(&client, 0);
    client_close(&client);
    live_stop(&live);
}

Test(conn, a_full_descriptor_table_refuses_and_recovers) {
    enum { SOCKETS = 12, DESCRIPTORS = 256 };
    int fds[SOCKETS], fillers[DESCRIPTORS];
    uint32_t count = 0;
    struct client pair[2];
    struct live live;
    const struct rlimit limit = {DESCRIPTORS, DESCRIPTORS};
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    live_init(&live);
    live_start(&live);
    make_pair(pair, &live);
    client_open(&pair[0], 0);
    client_open(&pair[1], 0);
    for (uint32_t i = 0; i < SOCKETS; i++)
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    while (count < DESCRIPTORS && (fillers[count] = dup(0)) >= 0)
        count++;
    cr_assert_lt(count, DESCRIPTORS);
    for (uint32_t i = 0; i < SOCKETS; i++)
        cr_assert_eq(live_connect_socket(&live, PLAINTEXT, fds[i]), 0);
    for (uint32_t i = 0; i < SOCKETS; i++) {
        cr_expect_eq(hello_status(fds[i]), HELLO_OVERLOAD);
        cr_expect(ends(fds[i]));
    }
    talk(pair, 20);
    while (count > 0)
        close(fillers[--count]);
    for (uint32_t i = 0; i < SOCKETS; i++)
        close(fds[i]);
    usleep(250000);
    for (uint32_t i = 0; i < 8; i++) { /* on both shards */
        client_close(&pair[0]);
        client_open(&pair[0], 0);
    }
    cr_expect_eq(live_count(&live, closed[CLOSE_OVERLOAD]), SOCKETS);
    client_close(&pair[0]);
    client_close(&pair[1]);
    live_stop(&live);
}

/* --- behind a proxy ------------------------------------------------------------------------------------- */

static const uint8_t proxy_v4[28] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49,
                                     0x54, 0x0a, 0x21, 0x11, 0,    12,   203,  0,    113,  9,
                                     192,  0,    2,    1,    0x30, 0x39, 0x1d, 0x10};

static void start_proxied(struct live *live) {
    live_init(live);
    live_set(live, "proxy_protocol", "1");
    live_set(live, "handshake_ms", "500");
    live_start(live);
}

static void expect_address(struct live *live, const char *address) {
    bool seen = false;
    for (uint32_t i = 0; i < LIVE_SHARDS; i++) {
        struct request show = {.kind = REQUEST_SHOW_CONNECTIONS, .capacity = 100};
        cr_assert_eq(live_request(live, i, &show), 0);
        for (uint32_t j = 0; j < show.count; j++)
            seen = seen || strcmp(show.rows[j].address, address) == 0;
        free(show.rows);
    }
    cr_expect(seen, "no connection from %s", address);
}

Test(conn, a_proxy_header_names_the_peer_however_it_is_cut) {
    struct live live;
    uint8_t bytes[sizeof(proxy_v4) + HELLO_BYTES];
    start_proxied(&live);
    memcpy(bytes, proxy_v4, sizeof(proxy_v4));
    write_hello(bytes + sizeof(proxy_v4), HELLO_IK);
    for (size_t cut = 1; cut < sizeof(bytes); cut += 6) {
        int fd = live_connect(&live, 0, 0);
        put(fd, bytes, cut);
        usleep(1000);
        put(fd, bytes + cut, sizeof(bytes) - cut);
        cr_expect_eq(hello_status(fd), HELLO_OK);
        expect_address(&live, "203.0.113.9:12345");
        close(fd);
    }
    int fd = live_connect(&live, 0, 0);
    for (size_t i = 0; i < sizeof(bytes); i++)
        put(fd, bytes + i, 1);
    cr_expect_eq(hello_status(fd), HELLO_OK);
    close(fd);
    live_awaits(&live, connections, 0);
    live_stop(&live);
}

Test(conn, a_bad_or_late_or_missing_proxy_header_closes) {
    struct live live;
    uint8_t bytes[256] = {0};
    start_proxied(&live);
    memcpy(bytes, proxy_v4, sizeof(proxy_v4));
    bytes[12] = 0x11; /* version 1 */
    int fd = live_connect(&live, 0, 0);
    put(fd, bytes, sizeof(proxy_v4));
    cr_expect(ends(fd));
    close(fd);
    fd = live_connect(&live, 0, 0);
    put(fd, bytes, write_hello(bytes, HELLO_IK));
    cr_expect(ends(fd));
    close(fd);
    cr_expect_eq(live_count(&live, closed[CLOSE_BAD_PROXY]), 2);
    fd = live_connect(&live, 0, 0);
    put(fd, proxy_v4, 20);
    cr_expect(ends(fd));
    close(fd);
    cr_expect_eq(live_count(&live, closed[CLOSE_HANDSHAKE_TIMEOUT]), 1);
    fd = live_connect(&live, 0, 0);
    put(fd, proxy_v4, 20);
    shutdown(fd, SHUT_WR);
    cr_expect(ends(fd));
    close(fd);
    cr_expect_eq(live_count(&live, closed[CLOSE_TRUNCATED]), 1);
    live_stop(&live);
}

Test(conn, only_a_proxy_may_send_the_header) {
    struct live live;
    live_init(&live);
    live_set(&live, "proxy_protocol", "1");
    live_set(&live, "proxy_from", "10.0.0.0/8");
    live_start(&live);
    int fd = live_connect(&live, 0, 0);
    cr_expect(ends(fd));
    close(fd);
    cr_expect_eq(live_count(&live, closed[CLOSE_BAD_PROXY]), 1);
    live_stop(&live);
}

Test(conn, one_that_waits_for_its_proxy_header_is_closed_at_the_end) {
    struct live live;
    start_proxied(&live);
    int fd = live_connect(&live, 0, 0);
    put(fd, proxy_v4, 20);
    usleep(50000);
    live.descriptors++; /* the client's end */
    live_stop(&live);
    cr_expect(ends(fd));
    close(fd);
}

/* --- addresses ------------------------------------------------------------------------------------------ */

static bool have_ipv6(void) {
    struct sockaddr_in6 loopback = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    bool have = fd >= 0 && bind(fd, (struct sockaddr *)&loopback, sizeof(loopback)) == 0;
    if (fd >= 0)
        close(fd);
    return have;
}

Test(conn, ipv6_works_as_ipv4_does) {
    struct live live;
    struct client pair[2];
    if (!have_ipv6())
        cr_skip_test("no IPv6 here");
    live_init(&live);
    live.config.plaintext_listen_count = 0;
    live_set(&live, "plaintext_listen", "[::1]:0");
    live_start(&live);
    make_pair(pair, &live);
    client_open(&pair[0], 0);
    client_open(&pair[1], 0);
    talk(pair, 20);
    client_close(&pair[0]);
    client_close(&pair[1]);
    live_stop(&live);
}

Test(conn, one_port_serves_both_families) {
    struct live live;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t in_bytes = sizeof(in);
    char text[32];
    if (!have_ipv6())
        cr_skip_test("no IPv6 here");
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&in, &in_bytes), 0);
    close(fd);
    live_init(&live);
    live.config.listen_count = 0;
    snprintf(text, sizeof(text), "0.0.0.0:%u", ntohs(in.sin_port));
    live_set(&live, "listen", text);
    snprintf(text, sizeof(text), "[::]:%u", ntohs(in.sin_port));
    live_set(&live, "listen", text);
    live_start(&live);
    cr_expect_str_eq(loop_group_address(live.group, 1), text);
    live_stop(&live);
}
