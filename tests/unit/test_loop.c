/* The loops as a whole: real sockets, real rings, the real store; every message once, whole and in order. */
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/account.h"
#include "tests/support/live.h"

TestSuite(loop, .timeout = 120);

#define PAIRS 6
#define WINDOW 32
#define RUN_MS 60000

struct traffic {
    struct client clients[2 * PAIRS];
    uint64_t messages; /* of each client, to its partner */
};

static bool traffic_done(void *context) {
    struct traffic *traffic = context;
    bool done = true;
    for (uint32_t i = 0; i < 2 * PAIRS; i++) {
        struct client *client = &traffic->clients[i];
        cr_assert(!client->ended, "client %u: closed by the switch: %s", i, peer_refusal(client->peer));
        if (client->next <= traffic->messages && client->next - 1 - client->sent < WINDOW)
            client_send(client, 1);
        done = done && client->sent == traffic->messages && client->delivered == traffic->messages &&
               client->received == traffic->messages;
    }
    return done;
}

static void traffic_open(struct traffic *traffic, struct live *live, uint64_t messages) {
    *traffic = (struct traffic){.messages = messages};
    for (uint32_t i = 0; i < 2 * PAIRS; i++)
        client_make(&traffic->clients[i], live);
    for (uint32_t i = 0; i < 2 * PAIRS; i++) {
        struct client *client = &traffic->clients[i];
        client->to = client->from = traffic->clients[(i + PAIRS) % (2 * PAIRS)].account;
        client_open(client, 0);
    }
}

static void traffic_run(struct traffic *traffic) {
    clients_run(traffic->clients, 2 * PAIRS, traffic_done, traffic, RUN_MS);
}

static void traffic_close(struct traffic *traffic) {
    for (uint32_t i = 0; i < 2 * PAIRS; i++)
        client_close(&traffic->clients[i]);
}

/* settings: pairs of name and value. */
static void check_traffic(const char *const *settings, uint64_t messages) {
    static struct traffic traffic;
    struct live live;
    live_init(&live);
    for (; settings && settings[0]; settings += 2)
        live_set(&live, settings[0], settings[1]);
    live_start(&live);
    traffic_open(&traffic, &live, messages);
    traffic_run(&traffic);
    cr_expect_eq(live_count(&live, messages_accepted), 2 * PAIRS * messages);
    cr_expect_eq(live_count(&live, messages_refused), 0);
    traffic_close(&traffic);
    live_awaits(&live, connections, 0);
    live_stop(&live);
}

Test(loop, messages_cross_shards_once_and_in_order) {
    check_traffic(NULL, 400);
}

Test(loop, traffic_is_the_same_without_multishot_receives) {
    check_traffic((const char *const[]){"ring_without", "recv_multishot", NULL}, 400);
}

Test(loop, traffic_is_the_same_without_min_wait) {
    check_traffic((const char *const[]){"ring_without", "min_wait", NULL}, 400);
}

Test(loop, traffic_is_the_same_without_deferred_task_work) {
    check_traffic((const char *const[]){"ring_without", "defer_taskrun", NULL}, 400);
}

Test(loop, traffic_is_the_same_with_nothing_newer_than_it_needs) {
    check_traffic((const char *const[]){"ring_without", "recv_multishot,min_wait,defer_taskrun", NULL}, 400);
}

Test(loop, a_tiny_completion_queue_loses_nothing) {
    check_traffic((const char *const[]){"ring_entries", "8", "ring_completions", "64", NULL}, 300);
    check_traffic((const char *const[]){"ring_entries", "8", "ring_completions", "64", "ring_without",
                                        "recv_multishot,defer_taskrun", NULL},
                  300);
}

Test(loop, eight_receive_buffers_lose_nothing) {
    check_traffic((const char *const[]){"buffers", "8", NULL}, 200);
    check_traffic((const char *const[]){"buffers", "8", "buffer_bytes", "1024", NULL}, 100);
    check_traffic((const char *const[]){"buffers", "8", "ring_without", "recv_multishot", NULL}, 200);
}

Test(loop, tiny_lanes_slow_down_and_lose_nothing) {
    check_traffic((const char *const[]){"lane_slots", "16", NULL}, 300);
}

/* The clients send more than unticked_max, so that their acknowledgements wait behind what is not read: only
 * the spill goes on from there. */
Test(loop, everything_tiny_at_once_loses_nothing) {
    check_traffic((const char *const[]){"ring_entries", "8", "ring_completions", "64", "buffers", "8",
                                        "buffer_bytes", "1024", "lane_slots", "16", "unticked_max", "2",
                                        "spill_ms", "20", NULL},
                  60);
}

Test(loop, bytes_one_at_a_time_arrive_whole) {
    static struct traffic traffic;
    struct live live;
    live_init(&live);
    live_start(&live);
    traffic_open(&traffic, &live, 20);
    for (uint32_t i = 0; i < 2 * PAIRS; i++) {
        int one = 1;
        traffic.clients[i].chunk = 1;
        traffic.clients[i].payload_bytes = 100;
        setsockopt(traffic.clients[i].fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    }
    traffic_run(&traffic);
    traffic_close(&traffic);
    live_stop(&live);
}

Test(loop, connections_move_home_and_stay_there) {
    static struct traffic traffic;
    struct live live;
    live_init(&live);
    live_start(&live);
    traffic_open(&traffic, &live, 10);
    for (uint32_t round = 0; round < 8; round++) {
        traffic_close(&traffic);
        for (uint32_t i = 0; i < 2 * PAIRS; i++)
            client_open(&traffic.clients[i], 0);
    }
    uint64_t logins = live_count(&live, logins);
    uint64_t moved = live_count(&live, connections_moved);
    cr_expect_eq(logins, 9 * 2 * PAIRS);
    cr_expect_gt(moved, logins / 5, "%llu of %llu moved", (unsigned long long)moved,
                 (unsigned long long)logins);
    cr_expect_lt(moved, logins * 4 / 5, "%llu of %llu moved", (unsigned long long)moved,
                 (unsigned long long)logins);
    traffic_run(&traffic);
    cr_expect_eq(live_count(&live, connections_moved), moved);
    traffic_close(&traffic);
    live_stop(&live);
}

/* --- peers that misbehave ------------------------------------------------------------------------------- */

struct flow { /* one client to another */
    struct client *from, *to;
    uint64_t sent, received;
};

static bool flow_done(void *context) {
    struct flow *flow = context;
    if (flow->from->next <= flow->sent)
        client_send(flow->from, flow->sent - flow->from->next + 1);
    return flow->from->sent == flow->sent && flow->to->received == flow->received;
}

static void make_pair(struct client *clients, struct live *live, uint32_t payload_bytes) {
    for (uint32_t i = 0; i < 2; i++) {
        client_make(&clients[i], live);
        clients[i].payload_bytes = payload_bytes;
    }
    clients[0].to = clients[0].from = clients[1].account;
    clients[1].to = clients[1].from = clients[0].account;
}

Test(loop, a_stalled_reader_costs_nobody_and_gets_everything_later) {
    enum { MESSAGES = 1500 };
    static struct traffic traffic;
    struct client pair[2];
    struct live live;
    live_init(&live);
    live_start(&live);
    make_pair(pair, &live, 10000);
    client_open(&pair[0], 0);
    client_open(&pair[1], 4096);
    pair[1].deaf = true;
    struct flow flow = {&pair[0], &pair[1], MESSAGES, 0};
    clients_run(pair, 2, flow_done, &flow, RUN_MS);
    traffic_open(&traffic, &live, 100);
    traffic_run(&traffic);
    traffic_close(&traffic);
    pair[1].deaf = false;
    flow.received = MESSAGES;
    clients_run(pair, 2, flow_done, &flow, RUN_MS);
    client_close(&pair[0]);
    client_close(&pair[1]);
    live_stop(&live);
}

Test(loop, a_stalled_reader_that_is_kicked_is_gone_and_gets_the_rest_in_its_next_session) {
    enum { MESSAGES = 600 };
    struct client pair[2];
    struct live live;
    live_init(&live);
    live_start(&live);
    make_pair(pair, &live, 20000);
    client_open(&pair[0], 0);
    client_open(&pair[1], 4096);
    pair[1].deaf = true;
    struct flow flow = {&pair[0], &pair[1], MESSAGES, 0};
    clients_run(pair, 2, flow_done, &flow, RUN_MS);
    struct request kick = {.kind = REQUEST_KICK, .account = pair[1].account};
    cr_assert_eq(live_request(&live, account_home(pair[1].account, LIVE_SHARDS), &kick), 0);
    client_close(&pair[0]);
    live_awaits(&live, connections, 0);
    client_close(&pair[1]);
    pair[1].deaf = false;
    client_open(&pair[1], 0);
    flow.received = MESSAGES;
    clients_run(pair, 2, flow_done, &flow, RUN_MS);
    client_close(&pair[1]);
    live_stop(&live);
}

Test(loop, what_a_client_said_before_it_half_closed_arrives) {
    enum { MESSAGES = 50 };
    struct client pair[2];
    struct live live;
    const uint8_t *bytes;
    live_init(&live);
    live_start(&live);
    make_pair(pair, &live, 500);
    client_open(&pair[0], 0);
    client_open(&pair[1], 0);
    client_send(&pair[0], MESSAGES);
    size_t count = peer_output(pair[0].peer, &bytes);
    cr_assert_eq(send(pair[0].fd, bytes, count, MSG_NOSIGNAL), (ssize_t)count);
    peer_sent(pair[0].peer, count);
    cr_assert_eq(shutdown(pair[0].fd, SHUT_WR), 0);
    pair[0].deaf = true;
    struct flow flow = {&pair[0], &pair[1], 0, MESSAGES};
    clients_run(pair, 2, flow_done, &flow, RUN_MS);
    live_awaits(&live, closed[CLOSE_PEER], 1);
    client_close(&pair[0]);
    client_close(&pair[1]);
    live_stop(&live);
}

Test(loop, drained_clients_are_told_to_come_back) {
    struct client clients[4];
    struct live live;
    live_init(&live);
    live_start(&live);
    for (uint32_t i = 0; i < 4; i++) {
        client_make(&clients[i], &live);
        client_open(&clients[i], 0);
    }
    live_drain(&live);
    for (uint32_t i = 0; i < 4; i++) {
        for (uint32_t round = 0; round < 100 && !clients[i].ended; round++)
            clients_pump(&clients[i], 1, 50);
        cr_expect(clients[i].ended);
        cr_expect_eq(peer_close_reason(clients[i].peer), CLOSE_DRAINING);
        client_close(&clients[i]);
    }
    live_stop(&live);
}
