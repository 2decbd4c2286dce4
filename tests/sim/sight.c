/* What people see of a device: each message once, and the ticks of what they sent. */
#include <string.h>

#include "tests/sim/client.h"
#include "tests/sim/device.h"
#include "tests/sim/keyring.h"
#include "tests/sim/oracle.h"
#include "tests/sim/payload.h"
#include "tools/client/copies.h"
#include "tools/client/opening.h"
#include "tools/client/state_inbox.h"
#include "tools/client/state_outbox.h"

static bool says(const struct received *notice, enum opening_trouble trouble) {
    const char *help = opening_trouble_help(trouble);
    return memmem(notice->payload, notice->payload_bytes, help, strlen(help)) != NULL;
}

/* No list that this device has seen had that one. */
static bool never_knew(uint32_t device, const struct message_id *id) {
    struct contact contact;
    contacts_get(clients[device].state, id->from, &contact);
    return !contact_sender(&contact, id->from_device, 0);
}

/* Nobody plays foul here; but a message that was lost and is sent again may come behind later ones, and a
 * device may be off its account's list before others see that it was on it. */
static void show_notice(uint32_t device, const struct received *notice) {
    uint32_t from = client_find(notice->id.from, notice->id.from_device);
    if (says(notice, TROUBLE_REORDERED) && oracle_may_come_late(device, from))
        return;
    if (says(notice, TROUBLE_STRANGE) && never_knew(device, &notice->id) && oracle_may_not_know(device, from))
        return;
    sim_fail("device %u, with which nobody plays foul, says of account %llu: %.*s", device,
             (unsigned long long)notice->id.from, (int)notice->payload_bytes, (const char *)notice->payload);
}

static void show(struct client *client, const struct received *received) {
    uint32_t device = (uint32_t)(client - clients);
    if (received->is_notice) {
        show_notice(device, received);
        return;
    }
    if (received->is_sealed != sim.plan.sealed)
        sim_fail("P7: device %u is shown a message that was not encrypted", device);
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

/* Returns whether the message has found its end: its ticks come with a word of the switch from now on. */
static bool show_ticks_of(struct client *client, uint16_t message) {
    uint32_t device = (uint32_t)(client - clients);
    uint64_t to, number;
    uint8_t flags = 0;
    uint16_t reason = 0;
    oracle_place(message, &to, &number);
    if (state_outbox_ticks(client->state, to, number, &flags, &reason) != 0)
        return false;
    if (reason && (flags & RECEIPT_FAILED))
        oracle_refused(device, message, reason);
    oracle_ticks(device, message, flags);
    return flags & (RECEIPT_SENT | RECEIPT_FAILED);
}

void sight_touch(uint32_t device, uint32_t message) {
    struct client *client = &clients[device];
    if (client->touched[message] == TOUCH_NONE)
        client->open[client->open_count++] = (uint16_t)message;
    client->touched[message] = TOUCH_TOLD;
}

static bool is_in_outbox(struct client *client, uint16_t message) {
    struct outgoing outgoing;
    uint64_t to, number;
    oracle_place(message, &to, &number);
    return state_outbox_next(client->state, to, number, &outgoing) == 0 && outgoing.number == number;
}

/* Why it stays in the list. */
static enum touch look_at(struct client *client, uint16_t message) {
    if (client->touched[message] == TOUCH_UNSENT && is_in_outbox(client, message))
        return TOUCH_UNSENT;
    bool is_over = show_ticks_of(client, message);
    if (sim.plan.encrypted)
        return TOUCH_TOLD;
    return is_over || !sim.plan.sealed ? TOUCH_NONE : TOUCH_UNSENT;
}

/* Of the messages that something was told about since the last look, and of those that were not sent yet:
 * what a device can't seal fails without a word of the switch about it. In an encrypted session nobody knows
 * what it said: there every message is looked at. */
static void show_ticks(struct client *client) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < client->open_count; i++) {
        uint16_t message = client->open[i];
        client->touched[message] = (uint8_t)look_at(client, message);
        if (client->touched[message] != TOUCH_NONE)
            client->open[kept++] = message;
    }
    client->open_count = kept;
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
    keyring_show_waiting(client);
    show_ticks(client);
    state_end(state);
    if (client->shown == before || state_begin(state) != 0)
        return;
    state_inbox_set_listened(state, client->shown);
    state_commit(state);
    client->version = state_version(state);
}

static bool is_there(uint32_t device) {
    const struct client *client = &clients[device];
    return client->exists && !client->gone && client->state && !client->within;
}

/* The epoch of the device's numbers; 0: it is not there any more. */
static uint64_t epoch_of(uint32_t device) {
    struct identity identity = {.epoch = 0};
    if (!is_there(device) || state_look(clients[device].state) != 0)
        return 0;
    state_identity(clients[device].state, &identity);
    state_end(clients[device].state);
    return identity.epoch;
}

static void show_copy(uint32_t device, uint32_t message, uint32_t from, uint64_t epoch) {
    struct message_id id = {
        .from = clients[from].account, .epoch = epoch, .from_device = clients[from].number};
    uint8_t flags = 0;
    oracle_place(message, &id.to, &id.number);
    copies_ticks(clients[device].state, &id, &flags);
    oracle_copied(device, message, flags);
}

void sight_show_copies(void) {
    uint64_t epochs[SIM_DEVICES_MAX];
    uint32_t from;
    for (uint32_t i = 0; i < SIM_DEVICES_MAX; i++)
        epochs[i] = epoch_of(i);
    for (uint32_t i = 0; i < SIM_DEVICES_MAX; i++) {
        if (!is_there(i) || state_look(clients[i].state) != 0)
            continue;
        for (uint32_t message = 0; message < SIM_MESSAGES_MAX; message++) {
            if (oracle_sender(message, &from) && from != i && clients[from].account == clients[i].account)
                show_copy(i, message, from, epochs[from]);
        }
        state_end(clients[i].state);
    }
}
