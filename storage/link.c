/* One-time link codes, and the devices they make. A code is kept as its hash: a copy of the store can't
 * link. */
#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "core/crash.h"
#include "storage/environment.h"

#define CODES_MAX 256 /* of an account at a time, used ones included until they expire */
#define DEVICE_LAST UINT16_MAX

_Static_assert(VALUE_HASH_BYTES == crypto_hash_sha256_BYTES, "a code's hash is a SHA-256");

static struct value_key code_key(uint64_t account, const uint8_t code[FRAME_CODE_BYTES]) {
    uint8_t hash[VALUE_HASH_BYTES];
    crypto_hash_sha256(hash, code, FRAME_CODE_BYTES);
    return value_key_code(account, hash);
}

/* How many records start so; of devices only those not revoked. */
static int count_front(struct map_txn *txn, const struct value_key *front, uint32_t *ret_count) {
    struct map_cursor *cursor;
    struct map_view key, value;
    struct device_record device;
    uint32_t count = 0;
    int error = map_cursor_open(txn, &cursor);
    if (error)
        return error;
    error = map_seek(cursor, value_key_view(front), &key, &value);
    while (error == 0 && value_key_starts(key, front)) {
        bool revoked = front->bytes[0] == VALUE_DEVICE && value_read_device(key, value, &device) == 0 &&
                       (device.flags & DEVICE_REVOKED);
        count += !revoked;
        error = map_next(cursor, &key, &value);
    }
    map_cursor_close(cursor);
    if (error && error != -ENOENT)
        return error;
    *ret_count = count;
    return 0;
}

/* The administrator's code is for an account's first device: who has one asks that for codes. */
static int check_first(struct map_txn *txn, uint64_t account, uint16_t maker) {
    struct value_key front = value_key_account(VALUE_DEVICE, account);
    uint32_t count = 0;
    int error = maker ? 0 : count_front(txn, &front, &count);
    return !error && count > 0 ? -EEXIST : error;
}

int link_code_add(struct environment *environment, struct map_txn *txn, uint64_t account, uint16_t maker,
                  uint8_t *ret_code) {
    struct value_key front = value_key_account(VALUE_CODE, account);
    uint8_t bytes[FRAME_CODE_BYTES];
    uint32_t count = 0;
    int error = check_first(txn, account, maker);
    if (!error)
        error = count_front(txn, &front, &count);
    if (error)
        return error;
    if (count >= CODES_MAX)
        return -EDQUOT;
    port_entropy(bytes, sizeof(bytes));
    struct value_key key = code_key(account, bytes);
    struct value_code code = {.expires_ms = store_utc_ms() + environment->settings.code_ttl_ms,
                              .maker = maker};
    error = value_put_code(txn, &key, &code);
    if (error == 0)
        memcpy(ret_code, bytes, sizeof(bytes));
    sodium_memzero(bytes, sizeof(bytes));
    return error;
}

/* The device that this code made already, for the same key: a client that crashed after linking asks
 * again. */
static int link_again(struct map_txn *txn, struct request *request, const struct value_code *code) {
    struct device_record device;
    if (sodium_memcmp(code->key, request->key, KEY_BYTES) != 0)
        return -EKEYREJECTED;
    int error = directory_device(txn, request->account, code->device, &device);
    if (error == -ENOENT || (error == 0 && (device.flags & DEVICE_REVOKED)))
        return -EKEYREJECTED;
    if (error == 0)
        request->device_number = code->device;
    return error;
}

static int link_new(struct map_txn *txn, struct request *request, struct account_record *account,
                    const struct value_key *key, struct value_code *code) {
    struct value_key front = value_key_account(VALUE_DEVICE, request->account);
    uint32_t count = 0;
    int error = count_front(txn, &front, &count);
    if (error)
        return error;
    if (count >= DEVICES_MAX || account->device_next == DEVICE_LAST)
        return -ENOSPC;
    uint64_t utc_ms = store_utc_ms();
    struct device_record device = {.account = request->account,
                                   .device = account->device_next,
                                   .created_ms = utc_ms,
                                   .last_seen_ms = utc_ms};
    memcpy(device.key, request->key, KEY_BYTES);
    crash_point(before_number);
    code->device = device.device;
    memcpy(code->key, request->key, KEY_BYTES);
    account->device_next++;
    error = value_put_device(txn, &device);
    if (error == 0)
        error = value_put_account(txn, account);
    if (error == 0)
        error = value_put_code(txn, key, code);
    crash_point(after_number);
    if (error == 0)
        request->device_number = device.device;
    return error;
}

/* A code that a device asked for is as good as that device. */
static int may_link(struct map_txn *txn, uint64_t account, const struct value_code *code) {
    struct device_record maker;
    int error = code->maker ? directory_live_device(txn, account, code->maker, &maker)
                            : check_first(txn, account, code->maker);
    return error == -ENOENT || error == -ENODEV || error == -EEXIST ? -EKEYREJECTED : error;
}

int link_device(struct map_txn *txn, struct request *request) {
    struct account_record account;
    struct map_view value;
    struct value_code code;
    int error = directory_account(txn, request->account, &account);
    if (error)
        return error;
    if (account.flags & ACCOUNT_SUSPENDED)
        return -EPERM;
    struct value_key key = code_key(request->account, request->code);
    error = map_get(txn, value_key_view(&key), &value);
    if (error)
        return error == -ENOENT ? -EKEYREJECTED : error;
    error = value_read_code(value_key_view(&key), value, &code);
    if (error)
        return error;
    if (code.device != 0)
        return link_again(txn, request, &code);
    if (code.expires_ms <= store_utc_ms())
        return -EKEYREJECTED;
    error = may_link(txn, request->account, &code);
    if (error)
        return error;
    return link_new(txn, request, &account, &key, &code);
}
