#include "storage/value.h"

#include <errno.h>
#include <string.h>

#include "core/bytes.h"
#include "core/frame_keys.h"

#define CRC32C_POLYNOMIAL 0x82f63b78u /* Castagnoli's, bits reversed: RFC 3720, appendix B.4 */
#define META_BYTES 20
#define NUMBER_BYTES 8
#define ACCOUNT_BYTES 20   /* without the name */
#define ACCOUNT_1_BYTES 12 /* of version 1, which knows no list */
#define DEVICE_BYTES (28 + KEY_BYTES)
#define DEVICE_1_BYTES (20 + KEY_BYTES) /* of version 1, which knows no keys */
#define CODE_BYTES (12 + KEY_BYTES)
#define ONE_TIME_BYTES (FRAME_ONE_TIME_BYTES - 4) /* the id is in the key */
#define LIST_BYTES 8                              /* without the list */

static uint32_t crc_table[256];

__attribute__((constructor)) static void crc_fill(void) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? (crc >> 1) ^ CRC32C_POLYNOMIAL : crc >> 1;
        crc_table[i] = crc;
    }
}

static uint32_t crc_bytewise(uint32_t crc, const uint8_t *at, size_t count) {
    while (count--)
        crc = crc_table[(crc ^ *at++) & 0xff] ^ (crc >> 8);
    return crc;
}

#ifdef __x86_64__
/* A drain checks every frame on its way out: the processor's instruction is many times faster. */
__attribute__((target("sse4.2"))) static uint32_t crc_instruction(uint32_t crc, const uint8_t *at,
                                                                  size_t count) {
    uint64_t wide = crc;
    for (; count >= 8; count -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, sizeof(word));
        wide = __builtin_ia32_crc32di(wide, word);
    }
    crc = (uint32_t)wide;
    while (count--)
        crc = __builtin_ia32_crc32qi(crc, *at++);
    return crc;
}
#endif

uint32_t value_crc(uint32_t crc, const void *bytes, size_t count) {
    crc = ~crc;
#ifdef __x86_64__
    if (__builtin_cpu_supports("sse4.2"))
        return ~crc_instruction(crc, bytes, count);
#endif
    return ~crc_bytewise(crc, bytes, count);
}

/* --- keys ----------------------------------------------------------------------------------------------- */

struct value_key value_key_single(enum value_kind kind) {
    return (struct value_key){.bytes = {(uint8_t)kind}, .used = 1};
}

struct value_key value_key_account(enum value_kind kind, uint64_t account) {
    struct value_key key = {.bytes = {(uint8_t)kind}, .used = 9};
    bytes_put64_be(key.bytes + 1, account);
    return key;
}

struct value_key value_key_name(const char *name) {
    size_t bytes = strnlen(name, NAME_BYTES_MAX);
    struct value_key key = {.bytes = {VALUE_NAME}, .used = (uint8_t)(1 + bytes)};
    memcpy(key.bytes + 1, name, bytes);
    return key;
}

struct value_key value_key_device(uint64_t account, uint16_t device) {
    struct value_key key = value_key_account(VALUE_DEVICE, account);
    bytes_put16_be(key.bytes + 9, device);
    key.used = 11;
    return key;
}

struct value_key value_key_keys(uint64_t account, uint16_t device) {
    struct value_key key = value_key_device(account, device);
    key.bytes[0] = VALUE_KEYS;
    return key;
}

struct value_key value_key_one_times(uint64_t account, uint16_t device) {
    struct value_key key = value_key_device(account, device);
    key.bytes[0] = VALUE_ONE_TIME;
    return key;
}

struct value_key value_key_one_time(uint64_t account, uint16_t device, uint32_t id) {
    struct value_key key = value_key_one_times(account, device);
    bytes_put32_be(key.bytes + 11, id);
    key.used = 15;
    return key;
}

struct value_key value_key_block(uint64_t account, uint64_t other) {
    struct value_key key = value_key_account(VALUE_BLOCK, account);
    bytes_put64_be(key.bytes + 9, other);
    key.used = 17;
    return key;
}

struct value_key value_key_code(uint64_t account, const uint8_t hash[VALUE_HASH_BYTES]) {
    struct value_key key = value_key_account(VALUE_CODE, account);
    memcpy(key.bytes + 9, hash, VALUE_HASH_BYTES);
    key.used = 9 + VALUE_HASH_BYTES;
    return key;
}

struct value_key value_key_queue(uint64_t account, uint16_t device, uint64_t seq) {
    struct value_key key = value_key_account(VALUE_QUEUE, account);
    bytes_put16_be(key.bytes + 9, device);
    bytes_put64_be(key.bytes + 11, seq);
    key.used = 19;
    return key;
}

void value_key_next(struct value_key *key, uint64_t seq) {
    bytes_put64_be(key->bytes + 11, seq);
}

struct value_key value_key_queue_end(uint64_t account, uint16_t device) {
    struct value_key key = value_key_queue(account, device, UINT64_MAX);
    return value_key_behind(value_key_view(&key));
}

struct value_key value_key_behind(struct map_view key) {
    struct value_key behind = value_key_copy(key);
    if (behind.used < sizeof(behind.bytes))
        behind.bytes[behind.used++] = 0;
    return behind;
}

struct value_key value_key_copy(struct map_view key) {
    struct value_key copy = {.used =
                                 (uint8_t)(key.bytes < sizeof(copy.bytes) ? key.bytes : sizeof(copy.bytes))};
    memcpy(copy.bytes, key.at, copy.used);
    return copy;
}

bool value_key_starts(struct map_view key, const struct value_key *front) {
    return key.bytes >= front->used && memcmp(key.at, front->bytes, front->used) == 0;
}

bool value_key_read(struct map_view key, struct value_place *ret_place) {
    struct value_place place = {0};
    if (key.bytes < 9)
        return false;
    place.account = bytes_get64_be(key.at + 1);
    if ((key.at[0] == VALUE_DEVICE || key.at[0] == VALUE_KEYS) && key.bytes == 11) {
        place.device = bytes_get16_be(key.at + 9);
    } else if (key.at[0] == VALUE_ONE_TIME && key.bytes == 15) {
        place.device = bytes_get16_be(key.at + 9);
        place.seq = bytes_get32_be(key.at + 11);
    } else if (key.at[0] == VALUE_BLOCK && key.bytes == 17) {
        place.seq = bytes_get64_be(key.at + 9);
    } else if (key.at[0] == VALUE_QUEUE && key.bytes == 19) {
        place.device = bytes_get16_be(key.at + 9);
        place.seq = bytes_get64_be(key.at + 11);
    } else {
        return false;
    }
    *ret_place = place;
    return true;
}

/* --- values --------------------------------------------------------------------------------------------- */

static uint32_t value_sum(struct map_view key, const uint8_t *value, size_t bytes) {
    uint32_t crc = value_crc(0, key.at, key.bytes);
    crc = value_crc(crc, value, 4);
    return value_crc(crc, value + VALUE_HEADER_BYTES, bytes - VALUE_HEADER_BYTES);
}

static uint8_t newest_of(enum value_kind kind) {
    if (kind == VALUE_ACCOUNT || kind == VALUE_DEVICE)
        return VALUE_OWNER_VERSION;
    return kind == VALUE_QUEUE ? VALUE_RUN_VERSION : VALUE_VERSION;
}

static bool is_version_1(struct map_view value) {
    return value.bytes > 0 && value.at[0] == 1;
}

static int header_check(struct map_view value, enum value_kind kind) {
    if (value.bytes < VALUE_HEADER_BYTES || value.at[1] != kind || bytes_get16(value.at + 2) != 0)
        return -EUCLEAN;
    if (value.at[0] > newest_of(kind))
        return -EPROTO;
    return value.at[0] > 0 ? 0 : -EUCLEAN;
}

int value_open(struct map_view key, struct map_view value, enum value_kind kind, struct map_view *ret_body) {
    int error = header_check(value, kind);
    if (error)
        return error;
    if (bytes_get32(value.at + 4) != value_sum(key, value.at, value.bytes))
        return -EUCLEAN;
    *ret_body =
        (struct map_view){.at = value.at + VALUE_HEADER_BYTES, .bytes = value.bytes - VALUE_HEADER_BYTES};
    return 0;
}

static void seal(struct map_view key, uint8_t version, enum value_kind kind, uint8_t *space, size_t bytes) {
    space[0] = version;
    space[1] = (uint8_t)kind;
    bytes_put16(space + 2, 0);
    bytes_put32(space + 4, value_sum(key, space, bytes));
}

void value_seal(struct map_view key, enum value_kind kind, uint8_t *space, size_t bytes) {
    seal(key, kind == VALUE_QUEUE ? VALUE_QUEUE_VERSION : newest_of(kind), kind, space, bytes);
}

void value_seal_run(struct map_view key, uint8_t *space, size_t bytes) {
    seal(key, VALUE_RUN_VERSION, VALUE_QUEUE, space, bytes);
}

static int put_body(struct map_txn *txn, const struct value_key *key, const uint8_t *body,
                    size_t body_bytes) {
    uint8_t *space;
    struct map_view view = value_key_view(key);
    int error = map_put(txn, view, VALUE_HEADER_BYTES + body_bytes, &space);
    if (error)
        return error;
    memcpy(space + VALUE_HEADER_BYTES, body, body_bytes);
    value_seal(view, key->bytes[0], space, VALUE_HEADER_BYTES + body_bytes);
    return 0;
}

int value_put_meta(struct map_txn *txn, const struct value_meta *meta) {
    struct value_key key = value_key_single(VALUE_META);
    uint8_t body[META_BYTES];
    bytes_put32(body, meta->format);
    bytes_put32(body + 4, meta->environments);
    bytes_put32(body + 8, meta->index);
    bytes_put64(body + 12, meta->store_id);
    return put_body(txn, &key, body, sizeof(body));
}

static int put_number(struct map_txn *txn, const struct value_key *key, uint64_t number) {
    uint8_t body[NUMBER_BYTES];
    bytes_put64(body, number);
    return put_body(txn, key, body, sizeof(body));
}

int value_put_counter(struct map_txn *txn, uint64_t next) {
    struct value_key key = value_key_single(VALUE_COUNTER);
    return put_number(txn, &key, next);
}

int value_put_name(struct map_txn *txn, const char *name, uint64_t account) {
    struct value_key key = value_key_name(name);
    return put_number(txn, &key, account);
}

int value_put_block(struct map_txn *txn, uint64_t account, uint64_t other) {
    struct value_key key = value_key_block(account, other);
    return put_body(txn, &key, (const uint8_t *)"", 0);
}

int value_put_account(struct map_txn *txn, const struct account_record *record) {
    struct value_key key = value_key_account(VALUE_ACCOUNT, record->account);
    uint8_t body[ACCOUNT_BYTES + NAME_BYTES_MAX];
    size_t name_bytes = strnlen(record->name, NAME_BYTES_MAX);
    bytes_put64(body, record->created_ms);
    bytes_put16(body + 8, record->device_next);
    body[10] = record->flags;
    body[11] = (uint8_t)name_bytes;
    bytes_put64(body + 12, record->list_version);
    memcpy(body + ACCOUNT_BYTES, record->name, name_bytes);
    return put_body(txn, &key, body, ACCOUNT_BYTES + name_bytes);
}

int value_put_device(struct map_txn *txn, const struct device_record *record) {
    struct value_key key = value_key_device(record->account, record->device);
    uint8_t body[DEVICE_BYTES] = {0};
    bytes_put64(body, record->created_ms);
    bytes_put64(body + 8, record->last_seen_ms);
    body[16] = record->flags;
    bytes_put16(body + 18, record->one_time_left);
    memcpy(body + 20, record->key, KEY_BYTES);
    bytes_put32(body + DEVICE_1_BYTES, record->signed_id);
    bytes_put32(body + DEVICE_1_BYTES + 4, record->one_time_last);
    return put_body(txn, &key, body, sizeof(body));
}

int value_put_code(struct map_txn *txn, const struct value_key *key, const struct value_code *code) {
    uint8_t body[CODE_BYTES] = {0};
    bytes_put64(body, code->expires_ms);
    bytes_put16(body + 8, code->device);
    bytes_put16(body + 10, code->maker);
    memcpy(body + 12, code->key, KEY_BYTES);
    return put_body(txn, key, body, sizeof(body));
}

int value_put_keys(struct map_txn *txn, uint64_t account, uint16_t device, const uint8_t *keys) {
    struct value_key key = value_key_keys(account, device);
    return put_body(txn, &key, keys, FRAME_KEYS_BYTES);
}

int value_put_one_time(struct map_txn *txn, uint64_t account, uint16_t device, const uint8_t *one_time) {
    struct value_key key = value_key_one_time(account, device, frame_one_time_id(one_time));
    return put_body(txn, &key, one_time + 4, ONE_TIME_BYTES);
}

int value_put_list(struct map_txn *txn, uint64_t account, const struct value_list *list) {
    struct value_key key = value_key_account(VALUE_LIST, account);
    struct map_view view = value_key_view(&key);
    size_t bytes = VALUE_HEADER_BYTES + LIST_BYTES + list->list_bytes;
    uint8_t *space;
    int error = map_put(txn, view, bytes, &space);
    if (error)
        return error;
    bytes_put64(space + VALUE_HEADER_BYTES, list->version);
    memcpy(space + VALUE_HEADER_BYTES + LIST_BYTES, list->list, list->list_bytes);
    value_seal(view, VALUE_LIST, space, bytes);
    return 0;
}

void value_write_queue(const struct value_key *key, const struct value_queue *entry, uint8_t *space) {
    bytes_put64(space + VALUE_HEADER_BYTES, entry->expires_ms);
    bytes_put64(space + VALUE_HEADER_BYTES + 8, entry->before);
    memcpy(space + VALUE_QUEUE_BYTES, entry->frame, entry->frame_bytes);
    value_seal(value_key_view(key), VALUE_QUEUE, space, VALUE_QUEUE_BYTES + entry->frame_bytes);
}

int value_put_queue(struct map_txn *txn, const struct value_key *key, const struct value_queue *entry) {
    uint8_t *space;
    int error = map_put(txn, value_key_view(key), VALUE_QUEUE_BYTES + entry->frame_bytes, &space);
    if (error == 0)
        value_write_queue(key, entry, space);
    return error;
}

/* A body of exactly, or with `open_end` at least, so many bytes. */
static int read_body(struct map_view key, struct map_view value, enum value_kind kind, size_t bytes,
                     bool open_end, const uint8_t **ret_body, size_t *ret_more) {
    struct map_view body;
    int error = value_open(key, value, kind, &body);
    if (error)
        return error;
    if (body.bytes < bytes || (!open_end && body.bytes != bytes))
        return -EUCLEAN;
    *ret_body = body.at;
    *ret_more = body.bytes - bytes;
    return 0;
}

int value_read_meta(struct map_view key, struct map_view value, struct value_meta *ret_meta) {
    const uint8_t *body;
    size_t more;
    int error = read_body(key, value, VALUE_META, META_BYTES, true, &body, &more);
    if (error)
        return error;
    *ret_meta = (struct value_meta){.format = bytes_get32(body),
                                    .environments = bytes_get32(body + 4),
                                    .index = bytes_get32(body + 8),
                                    .store_id = bytes_get64(body + 12)};
    return 0;
}

int value_read_number(struct map_view key, struct map_view value, enum value_kind kind,
                      uint64_t *ret_number) {
    const uint8_t *body;
    size_t more;
    int error = read_body(key, value, kind, NUMBER_BYTES, false, &body, &more);
    if (error)
        return error;
    *ret_number = bytes_get64(body);
    return 0;
}

int value_read_account(struct map_view key, struct map_view value, struct account_record *ret_record) {
    const uint8_t *body;
    size_t name_bytes;
    if (key.bytes != 9)
        return -EUCLEAN;
    size_t front = is_version_1(value) ? ACCOUNT_1_BYTES : ACCOUNT_BYTES;
    int error = read_body(key, value, VALUE_ACCOUNT, front, true, &body, &name_bytes);
    if (error)
        return error;
    if (name_bytes > NAME_BYTES_MAX || body[11] != name_bytes)
        return -EUCLEAN;
    struct account_record record = {.account = bytes_get64_be(key.at + 1),
                                    .created_ms = bytes_get64(body),
                                    .list_version = is_version_1(value) ? 0 : bytes_get64(body + 12),
                                    .device_next = bytes_get16(body + 8),
                                    .flags = body[10]};
    memcpy(record.name, body + front, name_bytes);
    *ret_record = record;
    return 0;
}

int value_read_device(struct map_view key, struct map_view value, struct device_record *ret_record) {
    const uint8_t *body;
    size_t more;
    struct value_place place;
    if (!value_key_read(key, &place))
        return -EUCLEAN;
    size_t bytes = is_version_1(value) ? DEVICE_1_BYTES : DEVICE_BYTES;
    int error = read_body(key, value, VALUE_DEVICE, bytes, false, &body, &more);
    if (error)
        return error;
    struct device_record record = {.account = place.account,
                                   .device = place.device,
                                   .created_ms = bytes_get64(body),
                                   .last_seen_ms = bytes_get64(body + 8),
                                   .flags = body[16]};
    memcpy(record.key, body + 20, KEY_BYTES);
    if (!is_version_1(value)) {
        record.one_time_left = bytes_get16(body + 18);
        record.signed_id = bytes_get32(body + DEVICE_1_BYTES);
        record.one_time_last = bytes_get32(body + DEVICE_1_BYTES + 4);
    }
    *ret_record = record;
    return 0;
}

int value_read_code(struct map_view key, struct map_view value, struct value_code *ret_code) {
    const uint8_t *body;
    size_t more;
    int error = read_body(key, value, VALUE_CODE, CODE_BYTES, false, &body, &more);
    if (error)
        return error;
    struct value_code code = {
        .expires_ms = bytes_get64(body), .device = bytes_get16(body + 8), .maker = bytes_get16(body + 10)};
    memcpy(code.key, body + 12, KEY_BYTES);
    *ret_code = code;
    return 0;
}

int value_read_keys(struct map_view key, struct map_view value, const uint8_t **ret_keys) {
    size_t more;
    if (key.bytes != 11)
        return -EUCLEAN;
    return read_body(key, value, VALUE_KEYS, FRAME_KEYS_BYTES, false, ret_keys, &more);
}

int value_read_one_time(struct map_view key, struct map_view value, uint8_t *ret_one_time) {
    struct value_place place;
    const uint8_t *body;
    size_t more;
    if (!value_key_read(key, &place))
        return -EUCLEAN;
    int error = read_body(key, value, VALUE_ONE_TIME, ONE_TIME_BYTES, false, &body, &more);
    if (error)
        return error;
    bytes_put32(ret_one_time, (uint32_t)place.seq);
    memcpy(ret_one_time + 4, body, ONE_TIME_BYTES);
    return 0;
}

int value_read_list(struct map_view key, struct map_view value, struct value_list *ret_list) {
    const uint8_t *body;
    size_t list_bytes;
    if (key.bytes != 9)
        return -EUCLEAN;
    int error = read_body(key, value, VALUE_LIST, LIST_BYTES, true, &body, &list_bytes);
    if (error)
        return error;
    *ret_list = (struct value_list){
        .version = bytes_get64(body), .list = body + LIST_BYTES, .list_bytes = (uint32_t)list_bytes};
    return 0;
}

int value_peek_queue(struct map_view value, struct value_queue *ret_entry) {
    int error = header_check(value, VALUE_QUEUE);
    if (error || value.at[0] == VALUE_RUN_VERSION)
        return error ? error : -EUCLEAN;
    bool has_before = value.at[0] > 1;
    size_t front = has_before ? VALUE_QUEUE_BYTES : VALUE_QUEUE_1_BYTES;
    if (value.bytes < front + FRAME_HEADER_BYTES || value.bytes > front + FRAME_BYTES_MAX)
        return -EUCLEAN;
    *ret_entry =
        (struct value_queue){.expires_ms = bytes_get64(value.at + VALUE_HEADER_BYTES),
                             .before = has_before ? bytes_get64(value.at + VALUE_HEADER_BYTES + 8) : 0,
                             .has_before = has_before,
                             .frame = value.at + front,
                             .frame_bytes = (uint32_t)(value.bytes - front)};
    return 0;
}

int value_read_queue(struct map_view key, struct map_view value, struct value_queue *ret_entry) {
    struct map_view body;
    int error = value_open(key, value, VALUE_QUEUE, &body);
    return error ? error : value_peek_queue(value, ret_entry);
}

int value_check(struct map_view key, struct map_view value) {
    union {
        struct value_meta meta;
        struct account_record account;
        struct device_record device;
        struct value_code code;
        struct value_queue queue;
        struct value_list list;
        uint8_t one_time[FRAME_ONE_TIME_BYTES];
        const uint8_t *keys;
        uint64_t number;
    } any;
    struct map_view body;
    struct value_place place;
    if (key.bytes == 0)
        return -EUCLEAN;
    switch (key.at[0]) {
    case VALUE_META:
        return value_read_meta(key, value, &any.meta);
    case VALUE_COUNTER:
    case VALUE_NAME:
        return value_read_number(key, value, key.at[0], &any.number);
    case VALUE_ACCOUNT:
        return value_read_account(key, value, &any.account);
    case VALUE_DEVICE:
        return value_read_device(key, value, &any.device);
    case VALUE_BLOCK:
        return value_key_read(key, &place) ? value_open(key, value, VALUE_BLOCK, &body) : -EUCLEAN;
    case VALUE_CODE:
        return key.bytes == 9 + VALUE_HASH_BYTES ? value_read_code(key, value, &any.code) : -EUCLEAN;
    case VALUE_QUEUE:
        return value_key_read(key, &place) ? value_read_queue(key, value, &any.queue) : -EUCLEAN;
    case VALUE_KEYS:
        return value_read_keys(key, value, &any.keys);
    case VALUE_ONE_TIME:
        return value_read_one_time(key, value, any.one_time);
    case VALUE_LIST:
        return value_read_list(key, value, &any.list);
    default:
        return -EUCLEAN;
    }
}
