#include "tools/client/files.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "tools/client/content.h"
#include "tools/client/sealing.h"

#define FLAG_WHOLE 1
#define FLAG_BROKEN 2
#define TRANSFER_BYTES 64 /* of a record before its name */
#define TRANSFER_KEY_BYTES (1 + sizeof(uint64_t) + sizeof(uint16_t) + FILES_ID_BYTES)
#define NOTICE_BYTES 8 /* size, before the name */

/* --- sending -------------------------------------------------------------------------------------------- */

struct cutting {
    struct state *state;
    const struct files_source *source;
    uint8_t id[FILES_ID_BYTES];
    crypto_generichash_state hash;
    uint8_t *content;
    size_t content_bytes_max;
};

/* The chunk at this offset: how many bytes of the file it has. */
static size_t chunk_bytes(const struct cutting *cutting, uint64_t offset, size_t name_bytes) {
    uint64_t left = cutting->source->size - offset;
    size_t room = cutting->content_bytes_max - FILES_HEADER_BYTES - (offset == 0 ? name_bytes : 0);
    /* The last one has name and hash, too; where they would not fit, one more comes behind it. */
    if (left <= room - (offset == 0 ? 0 : name_bytes) - FILES_HASH_BYTES)
        return (size_t)left;
    return left <= room ? (size_t)left / 2 : room;
}

static int put_chunk(struct cutting *cutting, uint64_t offset, size_t count, uint64_t *ret_number) {
    const struct files_source *source = cutting->source;
    uint8_t *content = cutting->content;
    bool is_last = offset + count == source->size;
    size_t name_bytes = offset == 0 || is_last ? strlen(source->name) : 0;
    memcpy(content, cutting->id, FILES_ID_BYTES);
    bytes_put64(content + 16, source->size);
    bytes_put64(content + 24, offset);
    bytes_put16(content + 32, (uint16_t)name_bytes);
    bytes_put16(content + 34, 0);
    bytes_put32(content + 36, (uint32_t)count);
    memcpy(content + FILES_HEADER_BYTES, source->name, name_bytes);
    uint8_t *data = content + FILES_HEADER_BYTES + name_bytes;
    int error = count ? source->read(source->context, data, count) : 0;
    if (error)
        return state_note(cutting->state, error);
    crypto_generichash_update(&cutting->hash, data, count);
    if (is_last)
        crypto_generichash_final(&cutting->hash, data + count, FILES_HASH_BYTES);
    struct outgoing message = {
        .to = source->to,
        .utc_ms = source->utc_ms,
        .is_strict = source->is_strict,
        .payload = content,
        .payload_bytes =
            (uint32_t)(FILES_HEADER_BYTES + name_bytes + count + (is_last ? FILES_HASH_BYTES : 0)),
    };
    return sealing_add(cutting->state, &message, INNER_FILE, ret_number);
}

static int put_chunks(struct cutting *cutting, uint64_t *ret_first, uint64_t *ret_last) {
    const struct files_source *source = cutting->source;
    size_t name_bytes = strlen(source->name);
    uint64_t first = 0, number = 0, offset = 0;
    do {
        size_t count = chunk_bytes(cutting, offset, name_bytes);
        int error = put_chunk(cutting, offset, count, &number);
        if (error)
            return error;
        first = first ? first : number;
        offset += count;
    } while (offset < source->size);
    char text[FILES_TEXT_BYTES];
    size_t bytes = files_describe(source->size, source->name, text);
    struct outgoing last = {.to = source->to, .number = number, .utc_ms = source->utc_ms};
    int error = state_outbox_note(cutting->state, &last, text, bytes);
    if (error)
        return error;
    *ret_first = first;
    *ret_last = number;
    return 0;
}

int files_add(struct state *state, const struct files_source *source, uint32_t content_bytes_max,
              uint64_t *ret_first, uint64_t *ret_last) {
    size_t name_bytes = strlen(source->name);
    if (name_bytes == 0 || name_bytes > FILES_NAME_BYTES_MAX)
        return state_note(state, -EINVAL);
    if (source->size > FILES_BYTES_MAX)
        return state_note(state, -EFBIG);
    if (content_bytes_max < FILES_HEADER_BYTES + name_bytes + FILES_HASH_BYTES + 2)
        return state_note(state, -EMSGSIZE);
    struct cutting cutting = {.state = state, .source = source, .content_bytes_max = content_bytes_max};
    cutting.content = malloc(content_bytes_max);
    if (!cutting.content)
        return state_note(state, -ENOMEM);
    randombytes_buf(cutting.id, sizeof(cutting.id));
    crypto_generichash_init(&cutting.hash, NULL, 0, FILES_HASH_BYTES);
    int error = put_chunks(&cutting, ret_first, ret_last);
    primitive_wipe(cutting.content, content_bytes_max);
    free(cutting.content);
    return error;
}

/* --- records -------------------------------------------------------------------------------------------- */

static struct key transfer_key(enum key_kind kind, const struct transfer *transfer) {
    struct key key = key_of(kind);
    key_add64(&key, transfer->from);
    key_add16(&key, transfer->from_device);
    key_add(&key, transfer->id, FILES_ID_BYTES);
    return key;
}

static int put_transfer(struct state *state, const struct transfer *transfer) {
    struct key key = transfer_key(KEY_TRANSFER, transfer);
    uint8_t value[TRANSFER_BYTES + FILES_NAME_BYTES_MAX] = {0};
    size_t name_bytes = strlen(transfer->name);
    bytes_put64(value, transfer->begun_ms);
    bytes_put64(value + 8, transfer->size);
    bytes_put64(value + 16, transfer->received);
    value[24] = (uint8_t)((transfer->is_whole ? FLAG_WHOLE : 0) | (transfer->is_broken ? FLAG_BROKEN : 0));
    memcpy(value + 32, transfer->hash, FILES_HASH_BYTES);
    memcpy(value + TRANSFER_BYTES, transfer->name, name_bytes);
    return state_put(state, &key, value, TRANSFER_BYTES + name_bytes);
}

static int read_transfer(struct state *state, struct disk_view key, struct disk_view value,
                         struct transfer *ret_transfer) {
    size_t name_bytes = value.bytes - TRANSFER_BYTES;
    if (key.bytes != TRANSFER_KEY_BYTES || value.bytes < TRANSFER_BYTES || name_bytes > FILES_NAME_BYTES_MAX)
        return state_damaged(state);
    *ret_transfer = (struct transfer){
        .from = bytes_get64_be(key.at + 1),
        .from_device = bytes_get16_be(key.at + 9),
        .begun_ms = bytes_get64(value.at),
        .size = bytes_get64(value.at + 8),
        .received = bytes_get64(value.at + 16),
        .is_whole = value.at[24] & FLAG_WHOLE,
        .is_broken = value.at[24] & FLAG_BROKEN,
    };
    memcpy(ret_transfer->id, key.at + 11, FILES_ID_BYTES);
    memcpy(ret_transfer->hash, value.at + 32, FILES_HASH_BYTES);
    memcpy(ret_transfer->name, value.at + TRANSFER_BYTES, name_bytes);
    return 0;
}

int files_next(struct state *state, const struct transfer *after, struct transfer *ret_transfer) {
    struct key key = transfer_key(KEY_TRANSFER, after);
    struct disk_view at, value;
    key_add(&key, "", 1); /* comes right behind it */
    int error = state_seek(state, &key, 1, &at, &value);
    return error ? error : read_transfer(state, at, value, ret_transfer);
}

static struct key chunk_key(const struct transfer *transfer, uint64_t offset) {
    struct key key = transfer_key(KEY_CHUNK, transfer);
    key_add64(&key, offset);
    return key;
}

int files_chunk(struct state *state, const struct transfer *transfer, uint64_t offset,
                struct disk_view *ret_chunk) {
    struct key key = chunk_key(transfer, offset);
    return state_get(state, &key, ret_chunk);
}

static int delete_chunks(struct state *state, const struct transfer *transfer) {
    struct key key = chunk_key(transfer, 0);
    struct disk_view at, value;
    while (state_seek(state, &key, TRANSFER_KEY_BYTES, &at, &value) == 0) {
        struct key found = {.used = 0};
        key_add(&found, at.at, at.bytes);
        if (state_delete(state, &found) != 0)
            break;
    }
    return state->error;
}

int files_delete(struct state *state, const struct transfer *transfer) {
    struct key key = transfer_key(KEY_TRANSFER, transfer);
    int error = delete_chunks(state, transfer);
    return error ? error : state_delete(state, &key);
}

/* --- receiving ------------------------------------------------------------------------------------------ */

struct chunk {
    uint64_t size, offset;
    const uint8_t *id, *name, *data, *hash; /* hash: NULL but in the last */
    size_t name_bytes;
    uint32_t count;
};

static int read_chunk(const uint8_t *content, size_t bytes, struct chunk *ret_chunk) {
    if (bytes < FILES_HEADER_BYTES)
        return -EBADMSG;
    struct chunk chunk = {
        .id = content,
        .size = bytes_get64(content + 16),
        .offset = bytes_get64(content + 24),
        .name_bytes = bytes_get16(content + 32),
        .count = bytes_get32(content + 36),
        .name = content + FILES_HEADER_BYTES,
    };
    if (bytes_get16(content + 34) != 0 || chunk.size > FILES_BYTES_MAX || chunk.offset > chunk.size ||
        chunk.count > chunk.size - chunk.offset)
        return -EBADMSG;
    bool is_last = chunk.offset + chunk.count == chunk.size, is_named = chunk.offset == 0 || is_last;
    if ((chunk.name_bytes > 0) != is_named || chunk.name_bytes > FILES_NAME_BYTES_MAX ||
        memchr(chunk.name, 0, chunk.name_bytes < bytes - FILES_HEADER_BYTES ? chunk.name_bytes : 0))
        return -EBADMSG;
    if (bytes != FILES_HEADER_BYTES + chunk.name_bytes + chunk.count + (is_last ? FILES_HASH_BYTES : 0) ||
        (chunk.count == 0 && chunk.size > 0))
        return -EBADMSG;
    chunk.data = chunk.name + chunk.name_bytes;
    chunk.hash = is_last ? chunk.data + chunk.count : NULL;
    *ret_chunk = chunk;
    return 0;
}

static int put_notice(struct state *state, const struct received *message, uint64_t own_account,
                      const struct chunk *chunk) {
    struct received notice = *message;
    uint8_t payload[NOTICE_BYTES + FILES_NAME_BYTES_MAX];
    bytes_put64(payload, chunk->size);
    memcpy(payload + NOTICE_BYTES, chunk->name, chunk->name_bytes);
    notice.content_type = INNER_FILE;
    notice.payload = payload;
    notice.payload_bytes = (uint32_t)(NOTICE_BYTES + chunk->name_bytes);
    return state_inbox_put(state, &notice, own_account);
}

size_t files_describe(uint64_t size, const char *name, char ret_text[FILES_TEXT_BYTES]) {
    return (size_t)snprintf(ret_text, FILES_TEXT_BYTES, "file %s, %llu bytes", name,
                            (unsigned long long)size);
}

bool files_is_notice(const struct received *message) {
    return message->is_sealed && message->content_type == INNER_FILE;
}

int files_read_notice(const struct received *message, uint64_t *ret_size,
                      char ret_name[FILES_NAME_BYTES_MAX + 1]) {
    size_t name_bytes = message->payload_bytes - NOTICE_BYTES;
    if (message->payload_bytes < NOTICE_BYTES || name_bytes > FILES_NAME_BYTES_MAX)
        return -EBADMSG;
    *ret_size = bytes_get64(message->payload);
    memcpy(ret_name, message->payload + NOTICE_BYTES, name_bytes);
    ret_name[name_bytes] = 0;
    return 0;
}

/* Of those of this account that are not whole, the oldest goes where there are too many. */
static int make_room(struct state *state, uint64_t from) {
    struct transfer at = {.from = from}, oldest = {0};
    unsigned count = 0;
    while (files_next(state, &at, &at) == 0 && at.from == from) {
        if (at.is_whole)
            continue;
        if (count++ == 0 || at.begun_ms < oldest.begun_ms)
            oldest = at;
    }
    return state->error || count < FILES_BROKEN_MAX ? state->error : files_delete(state, &oldest);
}

/* One that came without those before it begins a transfer, too, so that people see that one is missing. */
static int find_transfer(struct state *state, const struct received *message, const struct chunk *chunk,
                         struct transfer *ret_transfer) {
    struct transfer transfer = {.from = message->id.from, .from_device = message->id.from_device};
    struct disk_view value;
    memcpy(transfer.id, chunk->id, FILES_ID_BYTES);
    struct key key = transfer_key(KEY_TRANSFER, &transfer);
    int error = state_get(state, &key, &value);
    if (error == 0)
        return read_transfer(state, key_view(&key), value, ret_transfer);
    if (error != -ENOENT)
        return error;
    transfer.begun_ms = message->accepted_ms;
    transfer.size = chunk->size;
    *ret_transfer = transfer;
    return make_room(state, transfer.from);
}

int files_take(struct state *state, const struct received *message, uint64_t own_account) {
    struct transfer transfer;
    struct chunk chunk;
    int error = read_chunk(message->payload, message->payload_bytes, &chunk);
    if (error)
        return error;
    if (message->id.to != own_account)
        return chunk.hash ? put_notice(state, message, own_account, &chunk) : 0;
    error = find_transfer(state, message, &chunk, &transfer);
    if (error || transfer.is_whole || transfer.is_broken)
        return error;
    if (chunk.name_bytes) {
        memcpy(transfer.name, chunk.name, chunk.name_bytes);
        transfer.name[chunk.name_bytes] = 0;
    }
    if (transfer.received != chunk.offset || transfer.size != chunk.size) {
        transfer.is_broken = true;
        error = delete_chunks(state, &transfer);
        return error ? error : put_transfer(state, &transfer);
    }
    struct key key = chunk_key(&transfer, chunk.offset);
    state_put(state, &key, chunk.data, chunk.count);
    transfer.received += chunk.count;
    if (chunk.hash) {
        transfer.is_whole = true;
        memcpy(transfer.hash, chunk.hash, FILES_HASH_BYTES);
        put_notice(state, message, own_account, &chunk);
    }
    return put_transfer(state, &transfer);
}
