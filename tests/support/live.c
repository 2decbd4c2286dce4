#include "tests/support/live.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/account.h"
#include "core/network.h"

#define AWAIT_MS 20000
#define CLIENTS_MAX 64
#define PAYLOAD_BYTES_MAX 40000
#define UNSENT_BYTES_MAX 262144 /* gathered in a client before it waits for its socket */

static uint64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int count_descriptors(void) {
    DIR *folder = opendir("/proc/self/fd");
    int count = 0;
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

/* --- the switch ----------------------------------------------------------------------------------------- */

/* The test's thread looks at its lanes by itself. */
static void ring_from_store(void *context, uint32_t party) {
    struct live *live = context;
    if (party < LIVE_SHARDS)
        loop_group_ring(live->group, party);
}

static void ring_from_shard(void *context, uint32_t party) {
    struct live *live = context;
    if (party == LIVE_SHARDS)
        store_ring(live->store, party);
}

static void ring_from_test(void *context, uint32_t party) {
    ring_from_store(context, party);
    ring_from_shard(context, party);
}

void live_set(struct live *live, const char *name, const char *value) {
    char error[256] = "";
    cr_assert_eq(config_set(&live->config, name, value, error, sizeof(error)), 0, "%s", error);
}

void live_init(struct live *live) {
    *live = (struct live){.descriptors = count_descriptors()};
    snprintf(live->folder, sizeof(live->folder), "/tmp/tern-switch-XXXXXX");
    cr_assert_not_null(mkdtemp(live->folder));
    config_defaults(&live->config);
    live_set(live, "listen", "127.0.0.1:0");
    live_set(live, "plaintext_listen", "127.0.0.1:0");
    live_set(live, "connections_max", "256");
    live_set(live, "map_bytes", "256M");
    live_set(live, "buffers", "256");
}

void live_start(struct live *live) {
    uint8_t secret[KEY_BYTES], public[KEY_BYTES];
    cr_assert_eq(config_check(&live->config, live->error, sizeof(live->error)), 0, "%s", live->error);
    cr_assert_eq(lanes_create(LIVE_ADMIN + 1, (uint32_t)live->config.lane_slots, &live->lanes), 0);
    struct store_setup store = {.folder = live->folder,
                                .config = &live->config,
                                .lanes = live->lanes,
                                .shards = LIVE_SHARDS,
                                .stats = &live->stats[LIVE_SHARDS],
                                .ring = ring_from_store,
                                .ring_context = live};
    cr_assert_eq(store_open(&store, &live->store, live->error, sizeof(live->error)), 0, "%s", live->error);
    store_server_key(live->store, secret, public);
    struct loop_setup loop = {.config = &live->config,
                              .lanes = live->lanes,
                              .shards = LIVE_SHARDS,
                              .stores = 1,
                              .stats = live->stats,
                              .server_secret = secret,
                              .store = live->store,
                              .ring = ring_from_shard,
                              .ring_context = live};
    cr_assert_eq(loop_group_create(&loop, &live->group, live->error, sizeof(live->error)), 0, "%s",
                 live->error);
    cr_assert_eq(store_load(live->store, loop_group_shards(live->group), LIVE_SHARDS), 0);
    cr_assert_eq(store_start(live->store), 0);
    cr_assert_eq(loop_group_start(live->group, live->error, sizeof(live->error)), 0, "%s", live->error);
}

int live_request(struct live *live, uint32_t party, struct request *request) {
    struct note note = {.kind = NOTE_REQUEST, .request = request};
    uint32_t from;
    request->from = LIVE_ADMIN;
    lanes_post(live->lanes, LIVE_ADMIN, party, &note);
    for (uint64_t start = now_ms(); now_ms() - start < AWAIT_MS; usleep(200)) {
        lanes_publish(live->lanes, LIVE_ADMIN, ring_from_test, live);
        if (lanes_take(live->lanes, LIVE_ADMIN, &note, &from)) {
            cr_assert_eq(note.request, request);
            return request->status;
        }
    }
    cr_assert_fail("request %u to party %u: no answer", request->kind, party);
    return -ETIME;
}

uint64_t live_sum(const struct live *live, const _Atomic uint64_t *counter) {
    size_t offset = (size_t)((const char *)counter - (const char *)&live->stats[0]);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < LIVE_SHARDS; i++)
        sum += stats_get(*(const _Atomic uint64_t *)(const void *)((const char *)&live->stats[i] + offset));
    return sum;
}

void live_await(const struct live *live, const char *what, const _Atomic uint64_t *counter, uint64_t value) {
    for (uint64_t start = now_ms(); now_ms() - start < AWAIT_MS; usleep(2000)) {
        if (value == 0 ? live_sum(live, counter) == 0 : live_sum(live, counter) >= value)
            return;
    }
    cr_assert_fail("%s is %llu, not %llu", what, (unsigned long long)live_sum(live, counter),
                   (unsigned long long)value);
}

void live_drain(struct live *live) {
    uint64_t before = UINT64_MAX;
    for (;;) {
        uint64_t sum = 0;
        for (uint32_t i = 0; i < LIVE_SHARDS; i++) {
            struct request request = {.kind = REQUEST_DRAIN};
            cr_assert_eq(live_request(live, i, &request), 0);
            sum += request.value;
        }
        if (sum == before)
            return;
        before = sum;
    }
}

void live_stop(struct live *live) {
    char command[96];
    live_drain(live);
    for (uint32_t i = 0; i < LIVE_SHARDS; i++) {
        struct request request = {.kind = REQUEST_STOP};
        cr_assert_eq(live_request(live, i, &request), 0);
    }
    loop_group_join(live->group);
    store_stop(live->store);
    cr_expect_eq(live_count(live, connections), 0);
    cr_expect_eq(live_count(live, messages_in_memory), 0);
    loop_group_destroy(live->group);
    store_close(live->store);
    lanes_destroy(live->lanes);
    snprintf(command, sizeof(command), "rm -rf '%s'", live->folder);
    cr_expect_eq(system(command), 0);
    cr_expect_eq(count_descriptors(), live->descriptors);
}

/* --- sockets -------------------------------------------------------------------------------------------- */

int live_connect_socket(const struct live *live, uint32_t index, int fd) {
    char host[CONFIG_TEXT_BYTES];
    uint16_t port;
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    cr_assert_eq(network_host_port(loop_group_address(live->group, index), host, sizeof(host), &port), 0);
    in.sin_port = in6.sin6_port = htons(port);
    if (inet_pton(AF_INET, host, &in.sin_addr) == 1)
        return connect(fd, (struct sockaddr *)&in, sizeof(in)) < 0 ? -errno : 0;
    cr_assert_eq(inet_pton(AF_INET6, host, &in6.sin6_addr), 1);
    return connect(fd, (struct sockaddr *)&in6, sizeof(in6)) < 0 ? -errno : 0;
}

int live_connect(const struct live *live, uint32_t index, int receive_bytes) {
    bool ipv6 = loop_group_address(live->group, index)[0] == '[';
    int fd = socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_geq(fd, 0);
    if (receive_bytes)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof(receive_bytes));
    int error = live_connect_socket(live, index, fd);
    cr_assert_eq(error, 0, "connect: %s", strerror(-error));
    return fd;
}

/* --- clients -------------------------------------------------------------------------------------------- */

void client_make(struct client *client, struct live *live) {
    static uint32_t made;
    struct account_record record = {0};
    uint8_t code[1][FRAME_CODE_BYTES];
    struct request add = {.kind = REQUEST_ACCOUNT_ADD, .accounts = &record, .codes = code, .count = 1};
    snprintf(record.name, sizeof(record.name), "user%u", made++);
    cr_assert_eq(live_request(live, LIVE_SHARDS, &add), 0);
    struct request apply = {.kind = REQUEST_APPLY_ACCOUNT, .accounts = &record, .count = 1};
    cr_assert_eq(live_request(live, account_home(record.account, LIVE_SHARDS), &apply), 0);
    *client = (struct client){.live = live, .fd = -1, .account = record.account, .next = 1};
    cr_assert_eq(getrandom(&client->epoch, sizeof(client->epoch), 0), sizeof(client->epoch));
    client->epoch |= 1;
    memcpy(client->code, code[0], FRAME_CODE_BYTES);
}

static uint32_t payload_bytes(const struct client *client, uint64_t from, uint64_t number) {
    static const uint32_t sizes[] = {1, 20, 200, 1000, 3000, 9000, 17000, PAYLOAD_BYTES_MAX};
    return client->payload_bytes ? client->payload_bytes
                                 : sizes[(account_hash(from * 1000003 + number) >> 8) % 8];
}

void client_payload(uint64_t from, uint64_t number, uint8_t *payload, uint32_t bytes) {
    uint64_t seed = account_hash(from * 1000003 + number);
    for (uint32_t i = 0; i < bytes; i++)
        payload[i] = (uint8_t)((seed >> (i % 8 * 8)) ^ (i >> 3));
}

static void take_message(struct client *client, const struct frame *frame) {
    static uint8_t expected[PAYLOAD_BYTES_MAX];
    struct frame_message message;
    cr_assert_eq(frame_read_message(frame, &message), 0);
    cr_assert_eq(message.id.from, client->from);
    if (message.id.number <= client->received) /* unacknowledged in an earlier session: once more is right */
        return;
    cr_assert_eq(message.id.number, client->received + 1, "%llu after %llu",
                 (unsigned long long)message.id.number, (unsigned long long)client->received);
    client->received = message.id.number;
    uint32_t bytes = payload_bytes(client, message.id.from, message.id.number);
    client_payload(message.id.from, message.id.number, expected, bytes);
    cr_assert_eq(message.payload_bytes, bytes);
    cr_assert_eq(memcmp(message.payload, expected, bytes), 0, "payload of message %llu",
                 (unsigned long long)message.id.number);
}

static void take_receipt(struct client *client, const struct frame *frame) {
    struct frame_range range;
    cr_assert_eq(frame_read_range(frame, &range), 0);
    cr_assert(!(frame->flags & RECEIPT_FAILED));
    cr_assert_eq(range.id.to, client->to);
    if ((frame->flags & RECEIPT_SENT) && range.last > client->sent) {
        cr_assert_leq(range.id.number, client->sent + 1);
        client->sent = range.last;
    }
    if ((frame->flags & RECEIPT_DELIVERED) && range.last > client->delivered) {
        cr_assert_leq(range.id.number, client->delivered + 1);
        client->delivered = range.last;
    }
}

static int on_frame(void *context, struct peer *peer, const struct frame *frame) {
    struct client *client = context;
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    struct frame_refused refused;
    struct frame_welcome welcome;
    switch (frame->type) {
    case FRAME_WELCOME:
        cr_assert_eq(frame_read_welcome(frame, &welcome), 0);
        client->device = welcome.device;
        return 0;
    case FRAME_REFUSED:
        cr_assert_eq(frame_read_refused(frame, &refused), 0);
        cr_assert_fail("message %llu refused: %u", (unsigned long long)refused.number, refused.reason);
    case FRAME_MESSAGE:
        take_message(client, frame);
        break;
    case FRAME_RECEIPT:
        take_receipt(client, frame);
        break;
    default:
        return 0;
    }
    client->items++;
    return client->mute ? 0 : peer_put(peer, out, frame_write_ack(out, client->items));
}

static void send_some(struct client *client) {
    const uint8_t *bytes;
    size_t count;
    while ((count = peer_output(client->peer, &bytes)) > 0) {
        size_t part = client->chunk && client->chunk < count ? client->chunk : count;
        ssize_t sent = send(client->fd, bytes, part, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        peer_sent(client->peer, (size_t)sent);
    }
}

static void receive_some(struct client *client) {
    static uint8_t bytes[65536];
    ssize_t count = recv(client->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (count <= 0) {
        client->ended = true;
        return;
    }
    int error = peer_input(client->peer, bytes, (size_t)count, on_frame, client);
    cr_assert_eq(error, 0, "peer_input: %s", strerror(-error));
}

void clients_pump(struct client *clients, uint32_t count, int wait_ms) {
    struct pollfd polls[CLIENTS_MAX];
    struct client *polled[CLIENTS_MAX];
    uint32_t open = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct client *client = &clients[i];
        const uint8_t *bytes;
        if (client->fd < 0 || client->ended)
            continue;
        short events = client->deaf ? 0 : POLLIN;
        if (peer_output(client->peer, &bytes) > 0)
            events |= POLLOUT;
        polls[open] = (struct pollfd){.fd = client->fd, .events = events};
        polled[open++] = client;
    }
    if (poll(polls, open, wait_ms) <= 0)
        return;
    for (uint32_t i = 0; i < open; i++) {
        if (!polled[i]->deaf && (polls[i].revents & (POLLIN | POLLHUP | POLLERR)))
            receive_some(polled[i]);
        if (!polled[i]->ended)
            send_some(polled[i]);
    }
}

void clients_run(struct client *clients, uint32_t count, bool (*done)(void *context), void *context,
                 int wait_ms) {
    uint64_t start = now_ms();
    while (!done(context)) {
        cr_assert_lt(now_ms() - start, (uint64_t)wait_ms, "not done in time");
        clients_pump(clients, count, 20);
    }
}

static bool is_welcome(void *context) {
    const struct client *client = context;
    cr_assert(!client->ended, "closed before WELCOME: %s", peer_refusal(client->peer));
    return peer_is_open(client->peer);
}

void client_open(struct client *client, int receive_bytes) {
    static const uint8_t zero[KEY_BYTES];
    uint32_t plaintext = config_list_count(client->live->config.listen, client->live->config.listen_count);
    struct peer_setup setup = {
        .pattern = HELLO_PLAINTEXT,
        .device_secret = zero,
        .server_public = zero,
        .ephemeral_secret = zero,
        .link = {.account = client->account, .epoch = client->epoch, .device = client->device},
        .is_link = client->device == 0};
    if (setup.is_link)
        memcpy(setup.link.code, client->code, FRAME_CODE_BYTES);
    cr_assert_eq(peer_create(&setup, &client->peer), 0);
    client->fd = live_connect(client->live, plaintext, receive_bytes);
    client->items = 0;
    client->ended = false;
    clients_run(client, 1, is_welcome, client, AWAIT_MS);
}

void client_send(struct client *client, uint64_t count) {
    static uint8_t payload[PAYLOAD_BYTES_MAX];
    for (; count > 0 && peer_put_bytes(client->peer) < UNSENT_BYTES_MAX; count--) {
        struct frame_message message = {.id = {.to = client->to, .number = client->next}, .payload = payload};
        message.payload_bytes = payload_bytes(client, client->account, client->next);
        client_payload(client->account, client->next, payload, message.payload_bytes);
        uint8_t *space = peer_put_space(client->peer, FRAME_MESSAGE_BYTES + message.payload_bytes);
        cr_assert_not_null(space);
        peer_put_done(client->peer, frame_write_message(space, &message));
        client->next++;
    }
}

void client_close(struct client *client) {
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
    if (client->peer)
        peer_destroy(client->peer);
    client->peer = NULL;
}
