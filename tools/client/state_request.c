#include "tools/client/state_request.h"

#include <errno.h>

#define ASK_BYTES 4        /* of a record: names and blocks */
#define DIRECTORY_BYTES 16 /* of a record of the key directory, before its bytes */

bool state_request_is_directory(enum request_kind kind) {
    return kind == ASK_LIST || kind == ASK_KEYS || kind == ASK_LIST_PUT || kind == ASK_CODE ||
           kind == ASK_REMOVE;
}

static struct key ask_key(const struct ask *ask) {
    struct key key = key_of(KEY_REQUEST);
    uint8_t kind = (uint8_t)ask->kind;
    key_add(&key, &kind, 1);
    if (ask->kind == ASK_ACCOUNT)
        key_add(&key, ask->name, strlen(ask->name));
    else
        key_add64(&key, ask->account);
    if (state_request_is_directory(ask->kind))
        key_add16(&key, ask->device);
    return key;
}

static int read_value(struct state *state, struct disk_view value, struct ask *ask) {
    bool is_directory = state_request_is_directory(ask->kind);
    if (is_directory ? value.bytes < DIRECTORY_BYTES || value.bytes > DIRECTORY_BYTES + ASK_LIST_BYTES_MAX
                     : value.bytes != ASK_BYTES)
        return state_damaged(state);
    ask->is_answered = value.at[0];
    ask->on = value.at[1];
    ask->status = bytes_get16(value.at + 2);
    if (!is_directory)
        return 0;
    ask->ttl_s = bytes_get32(value.at + 4);
    ask->version = bytes_get64(value.at + 8);
    ask->bytes = value.at + DIRECTORY_BYTES;
    ask->byte_count = (uint32_t)(value.bytes - DIRECTORY_BYTES);
    return 0;
}

int state_request_put(struct state *state, const struct ask *ask) {
    struct key key = ask_key(ask);
    uint8_t *value = state->value;
    value[0] = ask->is_answered;
    value[1] = ask->on;
    bytes_put16(value + 2, ask->status);
    if (!state_request_is_directory(ask->kind))
        return state_put(state, &key, value, ASK_BYTES);
    if (ask->byte_count > ASK_LIST_BYTES_MAX)
        return state_note(state, -EMSGSIZE);
    bytes_put32(value + 4, ask->ttl_s);
    bytes_put64(value + 8, ask->version);
    if (ask->byte_count)
        memcpy(value + DIRECTORY_BYTES, ask->bytes, ask->byte_count);
    return state_put(state, &key, value, DIRECTORY_BYTES + ask->byte_count);
}

int state_request_get(struct state *state, struct ask *ask) {
    struct key key = ask_key(ask);
    struct disk_view value;
    int error = state_get(state, &key, &value);
    return error ? error : read_value(state, value, ask);
}

int state_request_delete(struct state *state, const struct ask *ask) {
    struct key key = ask_key(ask);
    return state_delete(state, &key);
}

static int read_key(struct state *state, struct disk_view key, struct ask *ret_ask) {
    *ret_ask = (struct ask){.kind = (enum request_kind)key.at[1]};
    size_t rest = key.bytes - 2;
    if (ret_ask->kind == ASK_ACCOUNT && rest > 0 && rest <= FRAME_NAME_BYTES_MAX)
        memcpy(ret_ask->name, key.at + 2, rest);
    else if ((ret_ask->kind == ASK_NAME || ret_ask->kind == ASK_BLOCK) && rest == sizeof(uint64_t))
        ret_ask->account = bytes_get64_be(key.at + 2);
    else if (state_request_is_directory(ret_ask->kind) && rest == sizeof(uint64_t) + sizeof(uint16_t)) {
        ret_ask->account = bytes_get64_be(key.at + 2);
        ret_ask->device = bytes_get16_be(key.at + 2 + sizeof(uint64_t));
    } else
        return state_damaged(state);
    return 0;
}

int state_request_next(struct state *state, const struct ask *after, struct ask *ret_ask) {
    struct key key = after ? ask_key(after) : key_of(KEY_REQUEST);
    const uint8_t next = 0; /* the key that comes right after another is that with a zero byte more */
    if (after)
        key_add(&key, &next, 1);
    for (;;) {
        struct disk_view at, value;
        int error = state_seek(state, &key, 1, &at, &value);
        if (error)
            return error;
        if (at.bytes < 2 || at.bytes >= sizeof(key.bytes))
            return state_damaged(state);
        struct ask ask;
        error = read_key(state, at, &ask);
        if (error == 0)
            error = read_value(state, value, &ask);
        if (error)
            return error;
        if (!ask.is_answered) {
            *ret_ask = ask;
            return 0;
        }
        key.used = 0;
        key_add(&key, at.at, at.bytes);
        key_add(&key, &next, 1);
    }
}
