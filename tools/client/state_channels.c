#include "tools/client/state_channels.h"

#include <errno.h>

#define ADDRESS_BYTES 11 /* kind, account, device */
#define HEALING_BYTES 9
_Static_assert(CHANNELS_STATE_BYTES_MAX <= STATE_VALUE_BYTES_MAX, "room for what is stored");

static struct key address_key(enum key_kind kind, struct x3dh_address remote) {
    struct key key = key_of(kind);
    key_add64(&key, remote.account);
    key_add16(&key, remote.device);
    return key;
}

/* --- channels ------------------------------------------------------------------------------------------- */

int state_channels_get(struct state *state, struct x3dh_address remote, struct channels *ret_channels) {
    struct key key = address_key(KEY_CHANNELS, remote);
    struct disk_view value;
    channels_init(ret_channels);
    int error = state_get(state, &key, &value);
    if (error)
        return error == -ENOENT ? 0 : error;
    return state_note(state, channels_read(ret_channels, value.at, value.bytes));
}

int state_channels_put(struct state *state, struct x3dh_address remote, const struct channels *channels) {
    struct key key = address_key(KEY_CHANNELS, remote);
    size_t bytes = channels_write(channels, state->value);
    int error = state_put(state, &key, state->value, bytes);
    primitive_wipe(state->value, bytes);
    return error;
}

bool state_channels_any(struct state *state, struct x3dh_address remote) {
    struct key key = address_key(KEY_CHANNELS, remote);
    struct disk_view value;
    return state_get(state, &key, &value) == 0;
}

int state_channels_next(struct state *state, struct x3dh_address from, struct x3dh_address *ret_remote) {
    struct key key = address_key(KEY_CHANNELS, from);
    struct disk_view at, value;
    int error = state_seek(state, &key, 1, &at, &value);
    if (error)
        return error;
    if (at.bytes != ADDRESS_BYTES)
        return state_damaged(state);
    *ret_remote =
        (struct x3dh_address){.account = bytes_get64_be(at.at + 1), .device = bytes_get16_be(at.at + 9)};
    return 0;
}

int state_channels_delete(struct state *state, struct x3dh_address remote) {
    struct key key = address_key(KEY_CHANNELS, remote);
    int error = state_delete(state, &key);
    return error && error != -ENOENT ? error : state_channels_healed(state, remote);
}

static int delete_account(struct state *state, enum key_kind kind, uint64_t account) {
    struct key key = address_key(kind, (struct x3dh_address){.account = account});
    struct disk_view at, value;
    int error;
    while ((error = state_seek(state, &key, ADDRESS_BYTES - sizeof(uint16_t), &at, &value)) == 0) {
        struct key found = {.used = 0};
        key_add(&found, at.at, at.bytes);
        error = state_delete(state, &found);
        if (error)
            break;
    }
    return error == -ENOENT ? 0 : error;
}

int state_channels_delete_account(struct state *state, uint64_t account) {
    int error = delete_account(state, KEY_CHANNELS, account);
    return error ? error : delete_account(state, KEY_HEALING, account);
}

/* --- healing -------------------------------------------------------------------------------------------- */

static int get_healing(struct state *state, struct x3dh_address remote, uint64_t *ret_s, bool *ret_begun) {
    struct key key = address_key(KEY_HEALING, remote);
    struct disk_view value;
    int error = state_get(state, &key, &value);
    if (error)
        return error;
    if (value.bytes != HEALING_BYTES)
        return state_damaged(state);
    *ret_s = bytes_get64(value.at);
    *ret_begun = value.at[8];
    return 0;
}

static int put_healing(struct state *state, struct x3dh_address remote, uint64_t since_s, bool is_begun) {
    struct key key = address_key(KEY_HEALING, remote);
    uint8_t value[HEALING_BYTES];
    bytes_put64(value, since_s);
    value[8] = is_begun;
    return state_put(state, &key, value, sizeof(value));
}

bool state_channels_heal(struct state *state, struct x3dh_address remote, uint64_t now_s) {
    uint64_t since_s = 0;
    bool is_begun = false;
    if (get_healing(state, remote, &since_s, &is_begun) == 0 && since_s <= now_s &&
        now_s - since_s < CHANNELS_HEAL_S)
        return false;
    return put_healing(state, remote, now_s, false) == 0;
}

bool state_channels_heals(struct state *state, struct x3dh_address remote) {
    uint64_t since_s;
    bool is_begun;
    return get_healing(state, remote, &since_s, &is_begun) == 0 && !is_begun;
}

int state_channels_healing_begun(struct state *state, struct x3dh_address remote) {
    uint64_t since_s;
    bool is_begun;
    int error = get_healing(state, remote, &since_s, &is_begun);
    if (error)
        return error == -ENOENT ? 0 : error;
    return put_healing(state, remote, since_s, true);
}

int state_channels_healed(struct state *state, struct x3dh_address remote) {
    struct key key = address_key(KEY_HEALING, remote);
    int error = state_delete(state, &key);
    return error == -ENOENT ? 0 : error;
}
