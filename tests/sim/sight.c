/* What people see of a device: each message once, and the ticks of what they sent. */
#include <string.h>

#include "tests/sim/client.h"
#include "tests/sim/device.h"
#include "tests/sim/oracle.h"
#include "tests/sim/payload.h"
#include "tools/client/state_inbox.h"
#include "tools/client/state_outbox.h"

static void show(struct client *client, const struct received *received) {
    uint32_t device = (uint32_t)(client - clients);
    uint32_t message = payload_read(received->payload, received->payload_bytes);
    if (message >= SIM_MESSAGES_MAX) {
        sim_fail("device %u is shown a damaged message", device);
        return;
    }
    sim.counts.shown++;
    TRACE2("device %llu: shows message %llu", device, message);
    oracle_shown(device, message);
    if (received->id.to != client->account)
        return;
    client->unread[client->unread_next % UNREAD_KEPT] = received->id;
    client->unread_message[client->unread_next % UNREAD_KEPT] = (uint16_t)(message + 1);
    client->unread_next++;
}

static void show_ticks_of(struct client *client, uint16_t message) {
    uint32_t device = (uint32_t)(client - clients);
    uint64_t to, number;
    uint8_t flags = 0;
    uint16_t reason = 0;
    oracle_place(message, &to, &number);
    if (state_outbox_ticks(client->state, to, number, &flags, &reason) != 0)
        return;
    if (reason && (flags & RECEIPT_FAILED))
        oracle_refused(device, message, reason);
    oracle_ticks(device, message, flags);
}

void sight_touch(uint32_t device, uint32_t message) {
    struct client *client = &clients[device];
    if (client->touched[message])
        return;
    client->touched[message] = true;
    client->open[client->open_count++] = (uint16_t)message;
}

/* Of the messages that something was told about since the last look. In an encrypted session nobody knows
 * which these are: there every message is looked at. */
static void show_ticks(struct client *client) {
    uint32_t count = client->open_count;
    if (!sim.plan.encrypted)
        client->open_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        client->touched[client->open[i]] = sim.plan.encrypted;
        show_ticks_of(client, client->open[i]);
    }
}

void sight_show(struct client *client) {
    struct state *state = client->state;
    struct received received;
    if (state_version(state) == client->version || state_look(state) != 0)
        return;
    client->version = state_version(state);
    uint64_t before = client->shown;
    while (state_inbox_next(state, client->shown + 1, &received) == 0) {
        client->shown = received.position;
        show(client, &received);
    }
    show_ticks(client);
    state_end(state);
    if (client->shown == before || state_begin(state) != 0)
        return;
    state_inbox_set_listened(state, client->shown);
    state_commit(state);
    client->version = state_version(state);
}
