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

/* True where some tick to this account came since the last look: asking for each message costs more. */
static bool ticks_changed(struct client *client, uint64_t to) {
    bool changed = false;
    for (int bit = 0; bit < 4; bit++) {
        uint64_t count = 0;
        state_outbox_ticked(client->state, to, 1, NUMBERS_MAX, (uint8_t)(1 << bit), &count);
        changed |= count != client->ticked[to][bit];
        client->ticked[to][bit] = count;
    }
    uint64_t left = state_outbox_count(client->state); /* it may be refused, though somebody has it */
    changed |= left != client->left[to];
    client->left[to] = left;
    return changed;
}

static void show_ticks(struct client *client) {
    bool changed[SIM_ACCOUNTS_MAX + 1] = {false};
    for (uint64_t to = 1; to <= sim.plan.accounts; to++)
        changed[to] = ticks_changed(client, to);
    for (uint32_t i = 0; i < client->open_count; i++) {
        uint64_t to, number;
        oracle_place(client->open[i], &to, &number);
        if (changed[to])
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
