/* The directory: accounts, their names, devices and blocks, in environment 0. */
#include <errno.h>
#include <string.h>

#include "core/account.h"
#include "core/bytes.h"
#include "core/crash.h"
#include "storage/environment.h"

#define ACCOUNT_FIRST 1
#define DEVICE_FIRST 1
#define MS_PER_S 1000

bool directory_writes(const struct request *request) {
    switch (request->kind) {
    case REQUEST_ACCOUNT_ADD:
    case REQUEST_ACCOUNT_FLAGS:
    case REQUEST_ACCOUNT_REMOVE:
    case REQUEST_CODE_ADD:
    case REQUEST_LINK:
    case REQUEST_DEVICE_REVOKE:
    case REQUEST_BLOCK:
    case REQUEST_KEYS_PUT:
    case REQUEST_KEYS_GET:
    case REQUEST_LIST_PUT:
        return true;
    default:
        return false;
    }
}

int directory_account(struct map_txn *txn, uint64_t account, struct account_record *ret_record) {
    struct value_key key = value_key_account(VALUE_ACCOUNT, account);
    struct map_view value;
    int error = map_get(txn, value_key_view(&key), &value);
    return error ? error : value_read_account(value_key_view(&key), value, ret_record);
}

int directory_device(struct map_txn *txn, uint64_t account, uint16_t device,
                     struct device_record *ret_record) {
    struct value_key key = value_key_device(account, device);
    struct map_view value;
    int error = map_get(txn, value_key_view(&key), &value);
    return error ? error : value_read_device(value_key_view(&key), value, ret_record);
}

int directory_live_device(struct map_txn *txn, uint64_t account, uint16_t device,
                          struct device_record *ret_record) {
    struct device_record record;
    int error = directory_device(txn, account, device, &record);
    if (error)
        return error;
    if (record.flags & DEVICE_REVOKED)
        return -ENODEV;
    *ret_record = record;
    return 0;
}

static int read_number(struct map_txn *txn, const struct value_key *key, enum value_kind kind,
                       uint64_t *ret_number) {
    struct map_view value;
    int error = map_get(txn, value_key_view(key), &value);
    return error ? error : value_read_number(value_key_view(key), value, kind, ret_number);
}

int directory_delete_front(struct map_txn *txn, const struct value_key *front) {
    struct map_cursor *cursor;
    struct map_view key, value;
    int error = map_cursor_open(txn, &cursor);
    if (error)
        return error;
    error = map_seek(cursor, value_key_view(front), &key, &value);
    while (error == 0 && value_key_starts(key, front)) {
        error = map_cursor_delete(cursor);
        if (error == 0)
            error = map_next(cursor, &key, &value);
    }
    map_cursor_close(cursor);
    return error == -ENOENT ? 0 : error;
}

int directory_each(struct map_txn *txn, enum value_kind kind,
                   int (*visit)(struct map_txn *txn, const struct value_key *key, struct map_view value,
                                void *context),
                   void *context) {
    struct value_key at = value_key_single(kind);
    struct map_cursor *cursor;
    struct map_view key, value;
    int error = map_cursor_open(txn, &cursor);
    if (error)
        return error;
    while ((error = map_seek(cursor, value_key_view(&at), &key, &value)) == 0 && key.at[0] == kind) {
        struct value_key copy = value_key_copy(key);
        at = value_key_behind(key);
        error = visit(txn, &copy, value, context);
        if (error)
            break;
    }
    map_cursor_close(cursor);
    return error == -ENOENT ? 0 : error;
}

int directory_drop_ownerless(struct map_txn *txn, const struct value_key *key, struct map_view value,
                             void *context) {
    struct account_record account;
    (void)value, (void)context;
    int error = directory_account(txn, bytes_get64_be(key->bytes + 1), &account);
    return error == -ENOENT ? map_delete(txn, value_key_view(key)) : error;
}

static int remove_records(struct map_txn *txn, const struct account_record *record) {
    static const enum value_kind kinds[] = {VALUE_ACCOUNT, VALUE_DEVICE,   VALUE_BLOCK, VALUE_CODE,
                                            VALUE_KEYS,    VALUE_ONE_TIME, VALUE_LIST};
    struct value_key name = value_key_name(record->name);
    int error = map_delete(txn, value_key_view(&name));
    if (error && error != -ENOENT)
        return error;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct value_key front = value_key_account(kinds[i], record->account);
        error = directory_delete_front(txn, &front);
        if (error)
            return error;
    }
    return 0;
}

static int account_add_one(struct environment *environment, struct map_txn *txn,
                           struct account_record *record, uint64_t number, uint8_t *ret_code) {
    struct value_key key = value_key_name(record->name);
    uint64_t other;
    int error = read_number(txn, &key, VALUE_NAME, &other);
    if (error != -ENOENT)
        return error ? error : -EEXIST;
    record->account = number;
    record->created_ms = store_utc_ms();
    record->device_next = DEVICE_FIRST;
    record->list_version = 0;
    record->flags = 0;
    error = value_put_account(txn, record);
    if (error == 0)
        error = value_put_name(txn, record->name, number);
    if (error == 0 && ret_code)
        error = link_code_add(environment, txn, number, 0, ret_code);
    return error;
}

/* All or none: where one name is taken, what was added before it in this request is taken out again. */
static int account_add(struct environment *environment, struct map_txn *txn, struct request *request) {
    uint64_t next = ACCOUNT_FIRST;
    struct value_key counter = value_key_single(VALUE_COUNTER);
    int error = read_number(txn, &counter, VALUE_COUNTER, &next);
    if (error && error != -ENOENT)
        return error;
    if (request->count == 0)
        return -EINVAL;
    for (uint32_t i = 0; i < request->count; i++) {
        if (!account_name_allowed(request->accounts[i].name))
            return -EINVAL;
    }
    uint32_t added = 0;
    for (error = 0; added < request->count; added++) {
        uint8_t *code = request->codes ? request->codes[added] : NULL;
        error = account_add_one(environment, txn, &request->accounts[added], next + added, code);
        if (error)
            break;
    }
    crash_point(before_number);
    if (error == 0)
        error = value_put_counter(txn, next + request->count);
    crash_point(after_number);
    if (error == 0)
        return 0;
    while (added > 0 && map_error(txn) == 0)
        remove_records(txn, &request->accounts[--added]);
    return error;
}

static int account_flags(struct map_txn *txn, const struct request *request) {
    struct account_record record;
    int error = directory_account(txn, request->account, &record);
    if (error)
        return error;
    record.flags = (uint8_t)request->value;
    return value_put_account(txn, &record);
}

static int remove_account(struct map_txn *txn, const struct request *request) {
    struct account_record record;
    int error = directory_account(txn, request->account, &record);
    return error ? error : remove_records(txn, &record);
}

/* An account's device may be gone itself before it has its will. */
static int may_manage(struct map_txn *txn, uint64_t account, uint64_t device) {
    struct device_record record;
    return device ? directory_live_device(txn, account, (uint16_t)device, &record) : 0;
}

static int device_revoke(struct map_txn *txn, const struct request *request) {
    struct device_record record;
    int error = may_manage(txn, request->account, request->value);
    if (error == 0)
        error = directory_device(txn, request->account, request->device_number, &record);
    if (error)
        return error;
    record.flags |= DEVICE_REVOKED;
    error = keys_remove(txn, &record);
    return error ? error : value_put_device(txn, &record);
}

static int count_blocks(struct map_txn *txn, uint64_t account, uint64_t *ret_count) {
    struct value_key front = value_key_account(VALUE_BLOCK, account);
    struct map_cursor *cursor;
    struct map_view key, value;
    uint64_t count = 0;
    int error = map_cursor_open(txn, &cursor);
    if (error)
        return error;
    error = map_seek(cursor, value_key_view(&front), &key, &value);
    while (error == 0 && value_key_starts(key, &front)) {
        count++;
        error = map_next(cursor, &key, &value);
    }
    map_cursor_close(cursor);
    if (error && error != -ENOENT)
        return error;
    *ret_count = count;
    return 0;
}

static int block(struct environment *environment, struct map_txn *txn, const struct request *request) {
    struct value_key key = value_key_block(request->account, request->other);
    struct account_record record;
    struct map_view value;
    uint64_t count = 0;
    int error = directory_account(txn, request->account, &record);
    if (error)
        return error;
    if (request->value == 0) {
        error = map_delete(txn, value_key_view(&key));
        return error == -ENOENT ? 0 : error;
    }
    error = map_get(txn, value_key_view(&key), &value);
    if (error != -ENOENT)
        return error;
    error = directory_account(txn, request->other, &record);
    if (error == 0)
        error = count_blocks(txn, request->account, &count);
    if (error)
        return error;
    if (count >= environment->settings.blocks_max)
        return -EDQUOT;
    return value_put_block(txn, request->account, request->other);
}

static int code_add(struct environment *environment, struct map_txn *txn, struct request *request) {
    struct account_record record;
    uint16_t maker = request->device_number;
    int error = directory_account(txn, request->account, &record);
    if (error == 0)
        error = may_manage(txn, request->account, maker);
    request->value = environment->settings.code_ttl_ms / MS_PER_S;
    return error ? error : link_code_add(environment, txn, request->account, maker, request->code);
}

int directory_change(struct environment *environment, struct map_txn *txn, struct request *request) {
    if (environment->index != 0)
        return -EINVAL;
    switch (request->kind) {
    case REQUEST_ACCOUNT_ADD:
        return account_add(environment, txn, request);
    case REQUEST_ACCOUNT_FLAGS:
        return account_flags(txn, request);
    case REQUEST_ACCOUNT_REMOVE:
        return remove_account(txn, request);
    case REQUEST_CODE_ADD:
        return code_add(environment, txn, request);
    case REQUEST_LINK:
        return link_device(txn, request);
    case REQUEST_DEVICE_REVOKE:
        return device_revoke(txn, request);
    case REQUEST_BLOCK:
        return block(environment, txn, request);
    case REQUEST_KEYS_PUT:
    case REQUEST_KEYS_GET:
    case REQUEST_LIST_PUT:
        return keys_change(environment, txn, request);
    default:
        return -EINVAL;
    }
}

int directory_lookup(struct map_txn *txn, struct request *request) {
    uint64_t account = request->account;
    struct account_record record;
    if (request->name[0] != '\0') {
        struct value_key key = value_key_name(request->name);
        int error = read_number(txn, &key, VALUE_NAME, &account);
        if (error)
            return error;
    }
    int error = directory_account(txn, account, &record);
    if (error)
        return error;
    request->account = account;
    request->value = record.flags;
    memcpy(request->name, record.name, sizeof(record.name));
    if (request->accounts)
        request->accounts[0] = record;
    return 0;
}

int directory_list(struct environment *environment, struct request *request) {
    bool by_name = request->name[0] != '\0';
    struct value_key front =
        by_name ? value_key_name(request->name) : value_key_account(VALUE_ACCOUNT, request->account + 1);
    struct value_key all = value_key_single(VALUE_ACCOUNT);
    struct map_cursor *cursor = environment->cursor;
    struct map_view key, value;
    request->count = 0;
    request->value = 0;
    int error = map_seek(cursor, value_key_view(&front), &key, &value);
    while (error == 0 && value_key_starts(key, by_name ? &front : &all)) {
        if (request->count == request->capacity) {
            request->value = 1;
            break;
        }
        struct account_record *record = &request->accounts[request->count];
        uint64_t account;
        error = by_name ? value_read_number(key, value, VALUE_NAME, &account)
                        : value_read_account(key, value, record);
        if (error == 0 && by_name)
            error = directory_account(environment->snapshot, account, record);
        /* A damaged record is for a check to report; the others are listed all the same. */
        if (error == 0)
            request->count++;
        error = map_next(cursor, &key, &value);
    }
    return error == -ENOENT ? 0 : error;
}
