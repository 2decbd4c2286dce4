#include "tools/client/state.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>

#include "tools/client/e2e/lock.h"

#define LAYOUT_VERSION 1

/* Offsets of the identity's record. */
enum {
    IDENTITY_LINKED = 0,
    IDENTITY_DEVICE = 2,
    IDENTITY_PORT = 4,
    IDENTITY_ACCOUNT = 8,
    IDENTITY_EPOCH = 16,
    IDENTITY_PAYLOAD_MAX = 24,
    IDENTITY_SECRET = 28,
    IDENTITY_SERVER_KEY = 60,
    IDENTITY_CODE = 92,
    IDENTITY_NAME = 108,
    IDENTITY_HOST = 172,
    IDENTITY_BYTES = 426,
};

/* --- transactions --------------------------------------------------------------------------------------- */

int state_note(struct state *state, int error) {
    if (error && error != -ENOENT && !state->error)
        state->error = error;
    return error;
}

static void read_lock(struct state *state, bool *ret_is_locked, uint8_t ret_locked[LOCK_BYTES]) {
    struct key key = key_of(KEY_LOCK);
    struct disk_view value;
    if (state_get(state, &key, &value) != 0)
        return;
    if (value.bytes != LOCK_BYTES) {
        state_damaged(state);
        return;
    }
    *ret_is_locked = true;
    memcpy(ret_locked, value.at, LOCK_BYTES);
}

int state_check_layout(const uint8_t *value, size_t bytes) {
    if (bytes != sizeof(uint32_t) || bytes_get32(value) == 0)
        return -EUCLEAN;
    return bytes_get32(value) > LAYOUT_VERSION ? -EPROTO : 0;
}

static int check_version(struct state *state, bool *ret_is_locked, uint8_t ret_locked[LOCK_BYTES]) {
    struct key key = key_of(KEY_VERSION);
    struct disk_view value;
    uint8_t version[4];
    int error = state_begin(state);
    if (error)
        return error;
    error = state_get(state, &key, &value);
    if (error == 0) {
        error = state_check_layout(value.at, value.bytes);
        read_lock(state, ret_is_locked, ret_locked);
        error = error ? error : state->error;
        state_end(state);
        return error;
    }
    bytes_put32(version, LAYOUT_VERSION);
    state_put(state, &key, version, sizeof(version));
    return state_commit(state);
}

/* Not in a transaction: a second or so, and others may want to write. */
static int unlock(struct state *state, const uint8_t locked[LOCK_BYTES], const char *passphrase) {
    uint8_t key[PRIMITIVE_KEY_BYTES];
    int error = passphrase ? lock_open(passphrase, locked, LOCK_BYTES, key) : -ENOKEY;
    if (error)
        return error;
    vault_set_key(state->vault, key);
    primitive_wipe(key, sizeof(key));
    return 0;
}

int state_open(const char *folder, struct state **ret_state) {
    return state_open_with(folder, NULL, ret_state);
}

int state_open_with(const char *folder, const char *passphrase, struct state **ret_state) {
    uint8_t locked[LOCK_BYTES];
    bool is_locked = false;
    struct state *state = calloc(1, sizeof(*state));
    if (!state)
        return -ENOMEM;
    int error = -ENOMEM;
    state->value = malloc(STATE_VALUE_BYTES_MAX);
    if (state->value)
        error = vault_open(folder, STATE_BYTES_MAX, &state->vault);
    if (error)
        goto err_after_alloc;
    error = check_version(state, &is_locked, locked);
    if (!error && is_locked)
        error = unlock(state, locked, passphrase);
    if (error)
        goto err_after_vault;
    *ret_state = state;
    return 0;

err_after_vault:
    vault_close(state->vault);
err_after_alloc:
    free(state->value);
    free(state);
    return error;
}

void state_close(struct state *state) {
    vault_close(state->vault);
    free(state->value);
    free(state);
}

bool state_is_locked(const struct state *state) {
    return vault_has_key(state->vault);
}

uint64_t state_version(const struct state *state) {
    return vault_version(state->vault);
}

static int begin(struct state *state, bool write) {
    int error = vault_begin(state->vault, write);
    if (error)
        return error;
    state->error = 0;
    state->is_writing = write;
    return 0;
}

int state_begin(struct state *state) {
    return begin(state, true);
}

int state_look(struct state *state) {
    return begin(state, false);
}

int state_commit(struct state *state) {
    must(state->is_writing);
    state->is_writing = false;
    if (!state->error)
        return vault_commit(state->vault);
    vault_abort(state->vault);
    return state->error;
}

void state_end(struct state *state) {
    state->is_writing = false;
    vault_abort(state->vault);
}

/* --- records -------------------------------------------------------------------------------------------- */

int state_get(struct state *state, const struct key *key, struct disk_view *ret_value) {
    return state_note(state, vault_get(state->vault, key_view(key), ret_value));
}

int state_put(struct state *state, const struct key *key, const void *value, size_t bytes) {
    return state_note(
        state, vault_put(state->vault, key_view(key), (struct disk_view){.at = value, .bytes = bytes}));
}

int state_delete(struct state *state, const struct key *key) {
    return state_note(state, vault_delete(state->vault, key_view(key)));
}

static int same_start(const struct key *key, size_t same, struct disk_view found) {
    return found.bytes >= same && memcmp(found.at, key->bytes, same) == 0 ? 0 : -ENOENT;
}

int state_seek(struct state *state, const struct key *key, size_t same, struct disk_view *ret_key,
               struct disk_view *ret_value) {
    int error = state_note(state, vault_seek(state->vault, key_view(key), ret_key, ret_value));
    return error ? error : same_start(key, same, *ret_key);
}

int state_seek_before(struct state *state, const struct key *key, size_t same, struct disk_view *ret_key,
                      struct disk_view *ret_value) {
    int error = state_note(state, vault_seek_before(state->vault, key_view(key), ret_key, ret_value));
    return error ? error : same_start(key, same, *ret_key);
}

uint64_t state_mark(const struct state *state) {
    return vault_mark(state->vault);
}

void state_release(struct state *state, uint64_t mark) {
    vault_release(state->vault, mark);
}

static struct key counter_key(char letter) {
    struct key key = key_of(KEY_POSITION);
    key_add(&key, &letter, 1);
    return key;
}

uint64_t state_counter(struct state *state, char letter) {
    struct key key = counter_key(letter);
    struct disk_view value;
    if (state_get(state, &key, &value) != 0)
        return 0;
    if (value.bytes == sizeof(uint64_t))
        return bytes_get64(value.at);
    state_note(state, -EUCLEAN);
    return 0;
}

void state_set_counter(struct state *state, char letter, uint64_t value) {
    struct key key = counter_key(letter);
    uint8_t bytes[sizeof(value)];
    bytes_put64(bytes, value);
    state_put(state, &key, bytes, sizeof(bytes));
}

/* --- who this device is --------------------------------------------------------------------------------- */

int state_identity(struct state *state, struct identity *ret_identity) {
    struct key key = key_of(KEY_IDENTITY);
    struct disk_view value;
    int error = state_get(state, &key, &value);
    if (error)
        return error;
    if (value.bytes != IDENTITY_BYTES)
        return state_damaged(state);
    *ret_identity = (struct identity){
        .is_linked = value.at[IDENTITY_LINKED],
        .device = bytes_get16(value.at + IDENTITY_DEVICE),
        .port = bytes_get16(value.at + IDENTITY_PORT),
        .account = bytes_get64(value.at + IDENTITY_ACCOUNT),
        .epoch = bytes_get64(value.at + IDENTITY_EPOCH),
        .payload_bytes_max = bytes_get32(value.at + IDENTITY_PAYLOAD_MAX),
    };
    memcpy(ret_identity->secret, value.at + IDENTITY_SECRET, NOISE_KEY_BYTES);
    memcpy(ret_identity->server_key, value.at + IDENTITY_SERVER_KEY, NOISE_KEY_BYTES);
    memcpy(ret_identity->code, value.at + IDENTITY_CODE, FRAME_CODE_BYTES);
    memcpy(ret_identity->name, value.at + IDENTITY_NAME, FRAME_NAME_BYTES_MAX);
    memcpy(ret_identity->host, value.at + IDENTITY_HOST, URI_HOST_BYTES_MAX);
    return 0;
}

int state_set_identity(struct state *state, const struct identity *identity) {
    struct key key = key_of(KEY_IDENTITY);
    uint8_t bytes[IDENTITY_BYTES] = {0};
    bytes[IDENTITY_LINKED] = identity->is_linked;
    bytes_put16(bytes + IDENTITY_DEVICE, identity->device);
    bytes_put16(bytes + IDENTITY_PORT, identity->port);
    bytes_put64(bytes + IDENTITY_ACCOUNT, identity->account);
    bytes_put64(bytes + IDENTITY_EPOCH, identity->epoch);
    bytes_put32(bytes + IDENTITY_PAYLOAD_MAX, identity->payload_bytes_max);
    memcpy(bytes + IDENTITY_SECRET, identity->secret, NOISE_KEY_BYTES);
    memcpy(bytes + IDENTITY_SERVER_KEY, identity->server_key, NOISE_KEY_BYTES);
    memcpy(bytes + IDENTITY_CODE, identity->code, FRAME_CODE_BYTES);
    memcpy(bytes + IDENTITY_NAME, identity->name, strlen(identity->name));
    memcpy(bytes + IDENTITY_HOST, identity->host, strlen(identity->host));
    int error = state_put(state, &key, bytes, sizeof(bytes));
    sodium_memzero(bytes, sizeof(bytes));
    return error;
}

/* --- names ---------------------------------------------------------------------------------------------- */

static struct key account_key(uint64_t account) {
    struct key key = key_of(KEY_ACCOUNT_NAME);
    key_add64(&key, account);
    return key;
}

/* kind: KEY_NAME, or KEY_FORMER. */
static struct key name_key(enum key_kind kind, const char *name, size_t bytes) {
    struct key key = key_of(kind);
    key_add(&key, name, bytes);
    return key;
}

static int bind_name(struct state *state, enum key_kind kind, const char *name, size_t bytes,
                     uint64_t account) {
    struct key key = name_key(kind, name, bytes);
    uint8_t value[sizeof(account)];
    bytes_put64(value, account);
    return state_put(state, &key, value, sizeof(value));
}

static int find_bound(struct state *state, enum key_kind kind, const char *name, uint64_t *ret_account) {
    struct key key = name_key(kind, name, strnlen(name, FRAME_NAME_BYTES_MAX + 1));
    struct disk_view value;
    int error = state_get(state, &key, &value);
    if (error)
        return error;
    if (value.bytes != sizeof(*ret_account))
        return state_damaged(state);
    *ret_account = bytes_get64(value.at);
    return 0;
}

int state_learn_name(struct state *state, uint64_t account, const char *name, size_t bytes) {
    if (bytes > FRAME_NAME_BYTES_MAX)
        return -EINVAL;
    struct key by_account = account_key(account), former = name_key(KEY_FORMER, name, bytes);
    state_put(state, &by_account, name, bytes);
    state_delete(state, &former);
    bind_name(state, KEY_NAME, name, bytes, account);
    return state->error;
}

int state_find_account(struct state *state, const char *name, uint64_t *ret_account) {
    return find_bound(state, KEY_NAME, name, ret_account);
}

int state_find_holder(struct state *state, const char *name, uint64_t *ret_account) {
    int error = find_bound(state, KEY_NAME, name, ret_account);
    return error == -ENOENT ? find_bound(state, KEY_FORMER, name, ret_account) : error;
}

int state_forget_account(struct state *state, uint64_t account) {
    char name[FRAME_NAME_BYTES_MAX + 1];
    uint64_t known;
    if (state_find_name(state, account, name) != 0 || state_find_account(state, name, &known) != 0 ||
        known != account)
        return state->error;
    struct key key = name_key(KEY_NAME, name, strlen(name));
    bind_name(state, KEY_FORMER, name, strlen(name), account);
    return state_delete(state, &key);
}

int state_find_name(struct state *state, uint64_t account, char ret_name[FRAME_NAME_BYTES_MAX + 1]) {
    struct key key = account_key(account);
    struct disk_view value;
    int error = state_get(state, &key, &value);
    if (error)
        return error;
    if (value.bytes > FRAME_NAME_BYTES_MAX)
        return state_damaged(state);
    memcpy(ret_name, value.at, value.bytes);
    ret_name[value.bytes] = 0;
    return 0;
}
