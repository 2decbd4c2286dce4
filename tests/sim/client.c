#include "tests/sim/client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/must.h"
#include "core/reason.h"
#include "tests/sim/admin.h"
#include "tests/sim/client_disk.h"
#include "tests/sim/device.h"
#include "tests/sim/keyring.h"
#include "tests/sim/network.h"
#include "tests/sim/oracle.h"
#include "tests/sim/payload.h"
#include "tests/sim/sim.h"
#include "tests/sim/tap.h"
#include "tools/client/sealing.h"
#include "tools/client/state_inbox.h"
#include "tools/client/state_outbox.h"
#include "tools/client/state_request.h"

#define INPUT_BYTES_MAX 65536
#define AGAIN_MS_MAX 2000

struct client clients[SIM_DEVICES_MAX];
static uint16_t message_of[SIM_DEVICES_MAX][SIM_ACCOUNTS_MAX + 1]
                          [NUMBERS_MAX]; /* one more than the oracle's number */

void client_reset(void) {
    for (uint32_t i = 0; i < SIM_DEVICES_MAX; i++) {
        if (clients[i].engine)
            engine_destroy(clients[i].engine);
        if (clients[i].state)
            state_close(clients[i].state);
    }
    memset(clients, 0, sizeof(clients));
    memset(message_of, 0, sizeof(message_of));
    client_disk_reset();
    keyring_reset();
    tap_reset();
}

/* --- who it is ------------------------------------------------------------------------------------------ */

bool client_exists(uint32_t device) {
    return clients[device].exists;
}

bool client_linked(uint32_t device) {
    return clients[device].number != 0;
}

bool client_reachable(uint32_t device) {
    return clients[device].reachable;
}

bool client_online(uint32_t device) {
    const struct client *client = &clients[device];
    return client->link != NETWORK_NONE && client->engine && engine_is_open(client->engine);
}

uint64_t client_account(uint32_t device) {
    return clients[device].account;
}

uint16_t client_number(uint32_t device) {
    return clients[device].number;
}

bool client_revoked(uint32_t device) {
    return clients[device].gone;
}

uint32_t client_link(uint32_t device) {
    return clients[device].link;
}

uint32_t client_find(uint64_t account, uint16_t number) {
    uint32_t device = 0;
    while (device < SIM_DEVICES_MAX &&
           (clients[device].account != account || clients[device].number != number))
        device++;
    return device;
}

uint32_t client_message(uint32_t device, uint64_t to, uint64_t number) {
    if (device >= SIM_DEVICES_MAX || to == 0 || to > SIM_ACCOUNTS_MAX || number >= NUMBERS_MAX)
        return SIM_MESSAGES_MAX;
    uint16_t message = message_of[device][to][number];
    return message ? message - 1u : SIM_MESSAGES_MAX;
}

/* --- its state ------------------------------------------------------------------------------------------ */

static void fail(const struct client *client, const char *what, int error) {
    sim_fail("device %u: %s: error %d", (unsigned)(client - clients), what, error);
}

static bool boot(struct client *client) {
    char folder[16];
    snprintf(folder, sizeof(folder), "%u", (unsigned)(client - clients));
    int error = client->state ? 0 : state_open(folder, &client->state);
    if (!error && !client->engine)
        error = engine_create(client->state, &client->engine);
    if (error)
        fail(client, "its state does not open", error);
    return error == 0;
}

void client_make(uint32_t device, uint64_t account) {
    clients[device] = (struct client){.exists = true, .account = account, .link = NETWORK_NONE};
    TRACE2("device %llu: made for account %llu", device, account);
}

void client_give_code(uint32_t device, const uint8_t code[16]) {
    struct client *client = &clients[device];
    struct identity identity = {
        .account = client->account, .epoch = sim_random() | 1, .port = 7440, .host = "sim"};
    for (size_t i = 0; i < sizeof(identity.secret); i++)
        identity.secret[i] = (uint8_t)sim_random();
    memcpy(identity.server_key, sim.server_key, sizeof(identity.server_key));
    memcpy(identity.code, code, sizeof(identity.code));
    if (!boot(client))
        return;
    int error = state_begin(client->state);
    if (!error) {
        state_set_identity(client->state, &identity);
        keyring_make(client);
    }
    if (!error)
        error = state_commit(client->state);
    if (error)
        fail(client, "its identity is not kept", error);
    client->has_code = true;
}

static void let_go(struct client *client, enum network_end how) {
    if (client->link == NETWORK_NONE)
        return;
    network_hang_up(client->link, how);
    client->link = NETWORK_NONE;
    client->within = false;
    if (client->engine)
        engine_disconnected(client->engine);
}

static void crash(struct client *client) {
    TRACE1("device %llu: crashes", client - clients);
    let_go(client, sim_chance(500) ? NETWORK_RESET : NETWORK_OPEN);
    engine_destroy(client->engine);
    state_close(client->state);
    client->engine = NULL;
    client->state = NULL;
    client->within = false;
    client->come_again_ms = sim.now_ms + sim_below(AGAIN_MS_MAX);
}

/* True where it died within what it just did. */
static bool died(struct client *client) {
    if (!client_disk_has_died((uint32_t)(client - clients)))
        return false;
    crash(client);
    return true;
}

void client_crash(uint32_t device, bool at_commit) {
    struct client *client = &clients[device];
    if (!client->state)
        return;
    if (at_commit)
        client_disk_doom(device);
    else
        crash(client);
}

/* --- what people do ------------------------------------------------------------------------------------- */

static bool want(uint32_t device, struct want want) {
    struct client *client = &clients[device];
    if (client->want_count == WANTS_MAX || !client->state)
        return false;
    client->wants[client->want_count++] = want;
    client->turn_ms = sim.now_ms;
    return true;
}

bool client_send(uint32_t device, uint64_t to, uint32_t ttl_s, uint32_t payload_bytes) {
    return want(device,
                (struct want){.kind = WANT_SEND, .account = to, .ttl_s = ttl_s, .bytes = payload_bytes});
}

bool client_read(uint32_t device) {
    return want(device, (struct want){.kind = WANT_READ});
}

bool client_block(uint32_t device, uint64_t account, bool on) {
    if (on)
        oracle_blocking(clients[device].account);
    return want(device, (struct want){.kind = WANT_BLOCK, .account = account, .on = on});
}

static int put_message(struct client *client, const struct outgoing *message, uint64_t *ret_number) {
    return sim.plan.sealed ? sealing_add(client->state, message, INNER_TEXT, ret_number)
                           : state_outbox_add(client->state, message, ret_number);
}

static void do_send(struct client *client, const struct want *want) {
    static uint8_t payload[65536];
    uint32_t device = (uint32_t)(client - clients);
    uint32_t message = oracle_sent(device, want->account, want->ttl_s);
    if (message == SIM_MESSAGES_MAX)
        return;
    payload_write(payload, message, want->bytes);
    struct outgoing outgoing = {.to = want->account,
                                .utc_ms = sim_utc_ms(),
                                .ttl_s = want->ttl_s,
                                .payload = payload,
                                .payload_bytes = want->bytes};
    uint64_t number = 0, version = state_version(client->state);
    int error = state_begin(client->state);
    if (!error && put_message(client, &outgoing, &number) == 0 && number < NUMBERS_MAX)
        error = state_commit(client->state);
    else if (!error)
        state_end(client->state);
    if (error)
        fail(client, "a message is not kept", error);
    if (state_version(client->state) ==
        version) { /* the book of this account is full, or the device died in it */
        oracle_unsent(message);
        return;
    }
    TRACE4("device %llu: sends message %llu to %llu, number %llu", device, message, want->account, number);
    message_of[device][want->account][number] = (uint16_t)(message + 1);
    oracle_placed(message, number);
    sight_touch(device, message);
}

static void do_read(struct client *client) {
    uint32_t slot = (uint32_t)sim_below(UNREAD_KEPT);
    if (!client->unread_message[slot])
        return;
    uint32_t device = (uint32_t)(client - clients), message = client->unread_message[slot] - 1u;
    uint64_t version = state_version(client->state);
    if (state_begin(client->state) != 0)
        return;
    state_inbox_read(client->state, &client->unread[slot]);
    state_commit(client->state);
    if (state_version(client->state) == version)
        return;
    client->unread_message[slot] = 0;
    TRACE2("device %llu: reads message %llu", device, message);
    oracle_read(device, message);
}

static void do_block(struct client *client, const struct want *want) {
    struct ask ask = {.kind = ASK_BLOCK, .account = want->account, .on = want->on};
    if (state_begin(client->state) != 0)
        return;
    state_request_put(client->state, &ask);
    state_commit(client->state);
}

static void do_wants(struct client *client) {
    for (uint32_t i = 0; i < client->want_count && client->state; i++) {
        const struct want *want = &client->wants[i];
        if (want->kind == WANT_SEND)
            do_send(client, want);
        else if (want->kind == WANT_READ)
            do_read(client);
        else
            do_block(client, want);
        if (died(client))
            break;
    }
    client->want_count = 0;
}

/* --- its connection ------------------------------------------------------------------------------------- */

void client_connect(uint32_t device) {
    struct client *client = &clients[device];
    uint8_t ephemeral[NOISE_KEY_BYTES];
    if (client->link != NETWORK_NONE || client->gone || !client->has_code ||
        sim.now_ms < client->come_again_ms || !boot(client))
        return;
    client->link = network_connect(device);
    if (client->link == NETWORK_NONE)
        return;
    for (size_t i = 0; i < sizeof(ephemeral); i++)
        ephemeral[i] = (uint8_t)sim_random();
    enum hello_pattern pattern = sim.plan.encrypted ? HELLO_IK : HELLO_PLAINTEXT;
    int error = engine_connected(client->engine, pattern, ephemeral, sim.now_ms, sim_utc_ms());
    if (error)
        fail(client, "it can't begin a session", error);
    client->turn_ms = sim.now_ms;
    tap_begin(device);
}

void client_hang_up(uint32_t device, unsigned how) {
    let_go(&clients[device], (enum network_end)how);
}

/* Another device of the account was linked before it, or the one that asked for its code is revoked. */
static bool may_code_be_dead(const struct client *client) {
    for (uint32_t i = 0; i < SIM_DEVICES_MAX; i++) {
        if (&clients[i] != client && clients[i].exists && clients[i].account == client->account)
            return !client->number;
    }
    return false;
}

/* A device that does nothing wrong is never told so. */
static bool may_be_closed_for(const struct client *client, unsigned reason) {
    switch (reason) {
    case CLOSE_BAD_FRAME:
    case CLOSE_RECORD_FORGED:
    case CLOSE_RECORD_TOO_LARGE:
    case CLOSE_NOT_TERN:
    case CLOSE_VERSION:
    case CLOSE_CIPHER:
    case CLOSE_HANDSHAKE:
    case CLOSE_ACK_BEYOND:
    case CLOSE_UNKNOWN_DEVICE:
        return false;
    case CLOSE_BAD_CODE:
        return may_code_be_dead(client);
    case CLOSE_REVOKED:
        return oracle_may_be_revoked((uint32_t)(client - clients));
    default:
        return true;
    }
}

static void closed(struct client *client, enum network_end how) {
    uint32_t device = (uint32_t)(client - clients);
    unsigned reason = engine_close_reason(client->engine);
    uint32_t back_ms = engine_come_back_ms(client->engine);
    TRACE2("device %llu: its connection is over, reason %llu", device, reason);
    if (!may_be_closed_for(client, reason))
        sim_fail("device %u, which did nothing wrong, is closed: %s", device, close_reason_name(reason));
    if (reason == CLOSE_REVOKED)
        client->gone = true;
    if (reason == CLOSE_BAD_CODE) {
        client->has_code = false;
        admin_want_device(device);
    }
    client->come_again_ms = sim.now_ms + back_ms + sim_below(sim.quiet ? 50 : AGAIN_MS_MAX);
    let_go(client, how);
}

static void take_input(struct client *client) {
    const uint8_t *bytes;
    static uint8_t copy[INPUT_BYTES_MAX];
    uint32_t device = (uint32_t)(client - clients);
    size_t most = sim.plan.calm || sim.quiet ? INPUT_BYTES_MAX : 1 + sim_below(INPUT_BYTES_MAX);
    size_t count = network_peek(client->link, most, &bytes);
    if (count == 0)
        return;
    TRACE2("device %llu: hears %llu bytes", device, count);
    memcpy(copy, bytes, count);
    network_take(client->link, count);
    if (!sim.plan.encrypted) {
        tap_read(device, copy, count);
        keyring_check("on its way to a device", copy, count);
    }
    if (!client->within)
        client->turn_ms = sim.now_ms + (sim.quiet ? 0 : sim_below(sim.plan.commit_client_ms));
    client->within = true;
    int error = engine_input(client->engine, copy, count, sim.now_ms);
    if (error)
        fail(client, "what the switch said is not the protocol", error);
}

static void note_link(struct client *client) {
    struct identity identity;
    if (client->number || state_look(client->state) != 0)
        return;
    if (state_identity(client->state, &identity) == 0 && identity.is_linked) {
        client->number = identity.device;
        TRACE2("device %llu: linked as %llu", client - clients, identity.device);
        oracle_linked((uint32_t)(client - clients), client->account);
    }
    state_end(client->state);
}

static void note_reachable(struct client *client) {
    if (client->reachable || !keyring_is_done(client))
        return;
    client->reachable = true;
    TRACE1("device %llu: is reachable", client - clients);
    oracle_reachable((uint32_t)(client - clients));
}

static void give_output(struct client *client) {
    const uint8_t *bytes;
    size_t count = engine_output(client->engine, &bytes);
    size_t room = network_room(client->link);
    count = count < room ? count : room;
    if (count == 0)
        return;
    TRACE2("device %llu: says %llu bytes", client - clients, count);
    if (!sim.plan.encrypted)
        keyring_check("on its way to the switch", bytes, count);
    network_write(client->link, bytes, count);
    engine_sent(client->engine, count);
}

static void turn(struct client *client) {
    int error = client->link == NETWORK_NONE ? 0 : engine_turn(client->engine, sim.now_ms);
    client->within = false;
    client->turn_ms = UINT64_MAX;
    if (error && error != -ETIMEDOUT)
        fail(client, "a turn fails", error);
    if (died(client))
        return;
    note_link(client);
    note_reachable(client);
    sight_show(client);
    if (died(client))
        return;
    do_wants(client);
    if (client->state)
        keyring_step(client);
    if (!client->state || died(client))
        return;
    if (error)
        closed(client, NETWORK_RESET);
}

static bool is_due(const struct client *client) {
    if (sim.now_ms >= client->turn_ms || client->want_count)
        return true;
    return client->link != NETWORK_NONE && !client->within &&
           (sim.now_ms >= engine_due_ms(client->engine) || client->version != state_version(client->state));
}

void client_step(uint32_t device) {
    struct client *client = &clients[device];
    if (!client->state)
        return;
    if (client->link != NETWORK_NONE)
        take_input(client);
    if (is_due(client))
        turn(client);
    if (!client->state || client->link == NETWORK_NONE)
        return;
    give_output(client);
    if (network_over(client->link)) {
        if (client->within)
            turn(client);
        if (client->link != NETWORK_NONE)
            closed(client, NETWORK_CLOSED);
    }
}

/* A mark that the switch has not confirmed. */
static bool has_mark(const struct client *client, uint8_t flag) {
    struct message_id at = {0};
    struct frame_range range;
    if (state_look(client->state) != 0)
        return true;
    bool has = state_inbox_mark(client->state, flag, 0, &at, &range) == 0;
    state_end(client->state);
    return has;
}

static bool has_question(const struct client *client) {
    struct ask ask;
    if (state_look(client->state) != 0)
        return true;
    bool has = state_request_next(client->state, NULL, &ask) == 0;
    state_end(client->state);
    return has;
}

bool client_idle(uint32_t device) {
    const struct client *client = &clients[device];
    const uint8_t *bytes;
    if (!client->state || client->within || client->want_count || network_peek(client->link, 1, &bytes) ||
        engine_output(client->engine, &bytes))
        return false;
    return !has_mark(client, RECEIPT_DELIVERED) && !has_mark(client, RECEIPT_READ) && !has_question(client);
}

void client_dump(uint32_t device) {
    const struct client *client = &clients[device];
    static const uint8_t flags[] = {RECEIPT_DELIVERED, RECEIPT_READ};
    printf("device %u: account %llu, number %u%s, link %d\n", device, (unsigned long long)client->account,
           client->number, client->gone ? ", revoked" : "", (int)client->link);
    for (size_t i = 0;
         client->state && !client->within && i < sizeof(flags) && state_look(client->state) == 0; i++) {
        struct message_id at = {0};
        struct frame_range range;
        if (state_inbox_mark(client->state, flags[i], 0, &at, &range) == 0)
            printf("  %s of %llu.%u to %llu, %llu to %llu is not confirmed\n", i ? "read" : "delivered",
                   (unsigned long long)range.id.from, range.id.from_device, (unsigned long long)range.id.to,
                   (unsigned long long)range.id.number, (unsigned long long)range.last);
        state_end(client->state);
    }
}
