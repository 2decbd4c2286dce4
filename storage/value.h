/* storage/value.h: what the store's records look like on disk: keys that sort, values with version and
 * checksum.
 *
 * A key is the kind (one byte), then its parts, numbers big-endian so that they sort by value. A value is an
 * 8-byte header and a body, little-endian: u8 version, u8 kind, u16 zero, u32 CRC-32C over key, first four
 * bytes and body; so a value that was damaged, or found under another key, is noticed.
 *
 * Threads: pure.  Memory: writers fill the caller's space; readers' views point into what they are given. */
#ifndef TERN_STORAGE_VALUE_H
#define TERN_STORAGE_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/msg.h"
#include "storage/map.h"

#define VALUE_VERSION 1
#define VALUE_QUEUE_VERSION 2 /* of queue entries; stores of format 1 have them of version 1 */
#define VALUE_RUN_VERSION 3   /* of several queue entries in one record: storage/run.h */
#define VALUE_OWNER_VERSION 2 /* of accounts and devices; stores of formats 1 to 3 have them of version 1 */
#define VALUE_HEADER_BYTES 8
#define VALUE_QUEUE_BYTES (VALUE_HEADER_BYTES + 16)  /* a queue entry without its frame */
#define VALUE_QUEUE_1_BYTES (VALUE_HEADER_BYTES + 8) /* one of version 1 */
#define VALUE_HASH_BYTES 32                          /* a code is stored as its SHA-256 */

/* The first byte of a key. What expires, codes and queues, is side by side: the sweep walks these alone. */
enum value_kind {
    VALUE_META = 1,
    VALUE_COUNTER = 2, /* the number the next account gets */
    VALUE_ACCOUNT = 3,
    VALUE_NAME = 4,
    VALUE_DEVICE = 5,
    VALUE_BLOCK = 6,
    VALUE_CODE = 7,
    VALUE_QUEUE = 8,
    VALUE_KEYS = 9,      /* of a device: identity key and signed pre-key */
    VALUE_ONE_TIME = 10, /* one-time pre-keys of a device, by id */
    VALUE_LIST = 11,     /* an account's device list */
    VALUE_KINDS,         /* one more than the last */
};

struct value_key {
    uint8_t bytes[1 + NAME_BYTES_MAX];
    uint8_t used;
};

struct value_meta {
    uint32_t format;       /* of the whole store */
    uint32_t environments; /* of the store */
    uint32_t index;        /* of this one */
    uint64_t store_id;     /* random; the same in all environments of a store */
};

struct value_code {
    uint64_t expires_ms;
    uint16_t device; /* that it made; 0: not used yet */
    uint16_t maker;  /* device that asked for it; 0: the admin did */
    uint8_t key[KEY_BYTES];
};

struct value_queue {
    uint64_t expires_ms;
    uint64_t before; /* bytes of messages put into this queue before, since it was empty last */
    bool has_before; /* version 1 has not */
    const uint8_t *frame;
    uint32_t frame_bytes;
};

struct value_list {
    uint64_t version;
    const uint8_t *list;
    uint32_t list_bytes;
};

struct value_place { /* of a queue entry, or the front part of another key */
    uint64_t account;
    uint64_t seq; /* QUEUE: seq; BLOCK: the blocked account; ONE_TIME: id */
    uint16_t device;
};

/* The raw CRC-32C of more bytes; begin with 0. */
uint32_t value_crc(uint32_t crc, const void *bytes, size_t count);

struct value_key value_key_single(
    enum value_kind kind); /* META, COUNTER; of others: the first key of the kind */
struct value_key value_key_account(enum value_kind kind,
                                   uint64_t account); /* ACCOUNT; others: the account's first */
struct value_key value_key_name(const char *name);
struct value_key value_key_device(uint64_t account, uint16_t device);
struct value_key value_key_block(uint64_t account, uint64_t other);
struct value_key value_key_keys(uint64_t account, uint16_t device);
struct value_key value_key_one_time(uint64_t account, uint16_t device, uint32_t id);
/* All of the device's. */
struct value_key value_key_one_times(uint64_t account, uint16_t device);
struct value_key value_key_code(uint64_t account, const uint8_t hash[VALUE_HASH_BYTES]);
struct value_key value_key_queue(uint64_t account, uint16_t device, uint64_t seq);
/* The same queue's key of another seq, without making it anew. */
void value_key_next(struct value_key *key, uint64_t seq);
/* Behind the last entry of the queue. */
struct value_key value_key_queue_end(uint64_t account, uint16_t device);
/* The key that follows this one directly. */
struct value_key value_key_behind(struct map_view key);
struct value_key value_key_copy(struct map_view key); /* bytes beyond the longest key are cut */
static inline struct map_view value_key_view(const struct value_key *key) {
    return (struct map_view){.at = key->bytes, .bytes = key->used};
}
bool value_key_starts(struct map_view key, const struct value_key *front);
/* The parts of a DEVICE, BLOCK, QUEUE, KEYS or ONE_TIME key; false where it is none of these. */
bool value_key_read(struct map_view key, struct value_place *ret_place);

/* The body of a value of this kind. 0; -EUCLEAN: damaged; -EPROTO: of a newer version. */
int value_open(struct map_view key, struct map_view value, enum value_kind kind, struct map_view *ret_body);
/* Writes the header in front of a body that is already in place. */
void value_seal(struct map_view key, enum value_kind kind, uint8_t *space, size_t bytes);
/* The same for the front part of a run, of so many bytes; value_open reads it. */
void value_seal_run(struct map_view key, uint8_t *space, size_t bytes);

/* Stores a record under its key in a write transaction. 0 or the map's error. */
int value_put_meta(struct map_txn *txn, const struct value_meta *meta);
int value_put_counter(struct map_txn *txn, uint64_t next);
int value_put_account(struct map_txn *txn, const struct account_record *record);
int value_put_name(struct map_txn *txn, const char *name, uint64_t account);
int value_put_device(struct map_txn *txn, const struct device_record *record);
int value_put_block(struct map_txn *txn, uint64_t account, uint64_t other);
int value_put_code(struct map_txn *txn, const struct value_key *key, const struct value_code *code);
int value_put_keys(struct map_txn *txn, uint64_t account, uint16_t device, const uint8_t *keys);
/* one_time: FRAME_ONE_TIME_BYTES, id and key. */
int value_put_one_time(struct map_txn *txn, uint64_t account, uint16_t device, const uint8_t *one_time);
int value_put_list(struct map_txn *txn, uint64_t account, const struct value_list *list);
int value_put_queue(struct map_txn *txn, const struct value_key *key, const struct value_queue *entry);
/* Writes a queue entry's value, VALUE_QUEUE_BYTES and its frame, into this space. */
void value_write_queue(const struct value_key *key, const struct value_queue *entry, uint8_t *space);

/* Readers: 0, -EUCLEAN or -EPROTO. */
int value_read_meta(struct map_view key, struct map_view value, struct value_meta *ret_meta);
int value_read_number(struct map_view key, struct map_view value, enum value_kind kind, uint64_t *ret_number);
int value_read_account(struct map_view key, struct map_view value, struct account_record *ret_record);
int value_read_device(struct map_view key, struct map_view value, struct device_record *ret_record);
int value_read_code(struct map_view key, struct map_view value, struct value_code *ret_code);
int value_read_keys(struct map_view key, struct map_view value, const uint8_t **ret_keys);
/* ret_one_time: FRAME_ONE_TIME_BYTES, id and key. */
int value_read_one_time(struct map_view key, struct map_view value, uint8_t *ret_one_time);
int value_read_list(struct map_view key, struct map_view value, struct value_list *ret_list);
int value_read_queue(struct map_view key, struct map_view value, struct value_queue *ret_entry);
/* As value_read_queue, but only the header is looked at, the checksum is not. */
int value_peek_queue(struct map_view value, struct value_queue *ret_entry);
/* Any record: key, checksum and body. 0, -EUCLEAN or -EPROTO. */
int value_check(struct map_view key, struct map_view value);

#endif
