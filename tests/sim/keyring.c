#include "tests/sim/keyring.h"

#include <errno.h>
#include <string.h>

#include "core/must.h"
#include "tests/sim/client.h"
#include "tests/sim/device.h"
#include "tests/sim/oracle.h"
#include "tests/sim/payload.h"
#include "tests/sim/sim.h"
#include "tools/client/answers.h"
#include "tools/client/publishing.h"
#include "tools/client/state_keys.h"
#include "tools/client/state_request.h"

static struct {
    uint8_t account_key[IDENTITY_KEY_BYTES];
    uint32_t first; /* one more than the device; 0: none yet */
} accounts[SIM_ACCOUNTS_MAX + 1];

static struct {
    bool made, done;
    uint8_t key[IDENTITY_KEY_BYTES];
} identities[SIM_DEVICES_MAX];

void keyring_reset(void) {
    memset(accounts, 0, sizeof(accounts));
    memset(identities, 0, sizeof(identities));
}

bool keyring_is_first(uint32_t device) {
    return accounts[client_account(device)].first == device + 1;
}

void keyring_make(struct client *client) {
    uint32_t device = (uint32_t)(client - clients);
    struct identity_keys keys;
    if (!sim.plan.sealed)
        return;
    state_keys_make(client->state);
    if (state_keys_identity(client->state, &keys) != 0)
        return;
    memcpy(identities[device].key, keys.public_key, IDENTITY_KEY_BYTES);
    identities[device].made = true;
    if (!accounts[client->account].first) {
        accounts[client->account].first = device + 1;
        state_keys_make_account(client->state);
        if (state_keys_account(client->state, &keys) != 0)
            return;
        memcpy(accounts[client->account].account_key, keys.public_key, IDENTITY_KEY_BYTES);
    }
    contacts_pin(client->state, client->account, accounts[client->account].account_key);
}

/* --- lists ---------------------------------------------------------------------------------------------- */

/* Who was cut off is taken off the list at some time. Not where clocks jump by hours: what it sent before
 * could then seem to be from after. */
static bool update(struct devicelist *list, uint64_t account) {
    bool changed = false;
    for (uint32_t i = 0; i < SIM_DEVICES_MAX; i++) {
        uint16_t number = client_exists(i) && client_account(i) == account ? client_number(i) : 0;
        bool is_listed = number && devicelist_find(list, number);
        if (number && !is_listed && !client_revoked(i)) {
            struct devicelist_device device = {.number = number, .created_s = sim_utc_ms() / 1000};
            memcpy(device.identity, identities[i].key, IDENTITY_KEY_BYTES);
            changed |= devicelist_add(list, &device) == 0;
        } else if (is_listed && client_revoked(i) && !sim.plan.clock_jump && sim_chance(20)) {
            changed |= devicelist_remove(list, number) == 0;
        }
    }
    return changed;
}

static void put_list(struct client *client, struct devicelist *list) {
    uint8_t bytes[DEVICELIST_BYTES_MAX];
    struct identity_keys keys;
    struct ask ask = {.kind = ASK_LIST_PUT, .bytes = bytes};
    if (state_keys_account(client->state, &keys) != 0)
        return;
    ask.version = ++list->version;
    list->created_s = sim_utc_ms() / 1000;
    ask.byte_count = (uint32_t)devicelist_sign(list, &keys, bytes);
    state_request_put(client->state, &ask);
    TRACE3("device %llu: signs list %llu of %llu devices", client - clients, list->version, list->count);
}

void keyring_step(struct client *client) {
    struct ask ask = {.kind = ASK_LIST_PUT};
    struct contact contact;
    if (!sim.plan.sealed || !keyring_is_first((uint32_t)(client - clients)) ||
        !client_online((uint32_t)(client - clients)) || state_look(client->state) != 0)
        return;
    bool is_asked = state_request_get(client->state, &ask) == 0;
    bool is_listed = contacts_get(client->state, client->account, &contact) == 0 && contact.has_list;
    state_end(client->state);
    bool wants = is_listed && !(is_asked && !ask.is_answered) && update(&contact.list, client->account);
    if ((!wants && !(is_asked && ask.is_answered)) || state_begin(client->state) != 0)
        return;
    if (wants && (!is_asked || ask.status == 0))
        put_list(client, &contact.list);
    else
        state_request_delete(client->state, &ask);
    state_commit(client->state);
}

bool keyring_is_done(struct client *client) {
    uint32_t device = (uint32_t)(client - clients);
    if (sim.plan.sealed && !identities[device].done && state_look(client->state) == 0) {
        identities[device].done = publishing_is_done(client->state);
        state_end(client->state);
    }
    return client->number && (!sim.plan.sealed || identities[device].done);
}

bool keyring_is_settled(void) {
    for (uint32_t i = 0; i < SIM_DEVICES_MAX && sim.plan.sealed; i++) {
        if (client_exists(i) && !client_revoked(i) && !identities[i].done)
            return false;
    }
    return true;
}

/* --- texts ---------------------------------------------------------------------------------------------- */

void keyring_show_waiting(struct client *client) {
    struct key key = key_of(KEY_WAITING);
    const uint8_t next = 0;
    struct disk_view at, value;
    while (sim.plan.sealed && state_seek(client->state, &key, 1, &at, &value) == 0) {
        struct frame frame = {.bytes = (uint8_t *)value.at, .frame_bytes = (uint32_t)value.bytes};
        struct frame_message message;
        frame.type = value.at[2];
        must(frame_read_message(&frame, &message) == 0);
        uint32_t known = client_message(client_find(message.id.from, message.id.from_device), message.id.to,
                                        message.id.number);
        if (known < SIM_MESSAGES_MAX)
            oracle_has((uint32_t)(client - clients), known);
        key.used = 0;
        key_add(&key, at.at, at.bytes);
        key_add(&key, &next, 1);
    }
}

void keyring_check(const char *where, const uint8_t *bytes, size_t count) {
    if (sim.plan.sealed && memmem(bytes, count, PAYLOAD_WORD, PAYLOAD_WORD_BYTES))
        sim_fail("P7: the text of a message is %s", where);
}
