#include "storage/mend.h"

#include <errno.h>
#include <string.h>

#include "core/bytes.h"
#include "storage/environment.h"

#define DEVICE_FIRST 1

/* Calls `mend` with each record of a kind. It may change the map: the walk looks for its place again. */
static int each(struct map_txn *txn, enum value_kind kind, struct salvage_report *report,
                int (*mend)(struct map_txn *txn, const struct value_key *key, struct map_view value,
                            struct salvage_report *report)) {
    struct value_key at = value_key_single(kind);
    struct map_cursor *cursor;
    struct map_view key, value;
    int error = map_cursor_open(txn, &cursor);
    if (error)
        return error;
    while ((error = map_seek(cursor, value_key_view(&at), &key, &value)) == 0 && key.at[0] == kind) {
        struct value_key copy = value_key_copy(key);
        at = value_key_behind(key);
        error = mend(txn, &copy, value, report);
        if (error)
            break;
    }
    map_cursor_close(cursor);
    return error == -ENOENT ? 0 : error;
}

static int mend_name(struct map_txn *txn, const struct value_key *key, struct map_view value,
                     struct salvage_report *report) {
    struct account_record record;
    struct map_view found;
    int error = value_read_account(value_key_view(key), value, &record);
    if (error)
        return error;
    struct value_key name = value_key_name(record.name);
    error = map_get(txn, value_key_view(&name), &found);
    if (error != -ENOENT)
        return error;
    report->names_mended++;
    return value_put_name(txn, record.name, record.account);
}

/* Whether it was suspended is lost with it: the administrator has to say that it was not. */
static int mend_account(struct map_txn *txn, const struct value_key *key, struct map_view value,
                        struct salvage_report *report) {
    struct account_record record = {
        .created_ms = store_utc_ms(), .device_next = DEVICE_FIRST, .flags = ACCOUNT_SUSPENDED};
    struct account_record found;
    int error = value_read_number(value_key_view(key), value, VALUE_NAME, &record.account);
    if (error)
        return error;
    error = directory_account(txn, record.account, &found);
    if (error != -ENOENT)
        return error;
    memcpy(record.name, key->bytes + 1, key->used - 1u);
    report->accounts_mended++;
    return value_put_account(txn, &record);
}

static int mend_device(struct map_txn *txn, const struct value_key *key, struct map_view value,
                       struct salvage_report *report) {
    struct device_record device;
    struct account_record account;
    int error = value_read_device(value_key_view(key), value, &device);
    if (error)
        return error;
    error = directory_account(txn, device.account, &account);
    if (error == -ENOENT) {
        report->devices_left_out++;
        return map_delete(txn, value_key_view(key));
    }
    if (error || device.device < account.device_next || device.device == UINT16_MAX)
        return error;
    account.device_next = (uint16_t)(device.device + 1);
    return value_put_account(txn, &account);
}

/* Blocks of an account that is gone. */
static int mend_block(struct map_txn *txn, const struct value_key *key, struct map_view value,
                      struct salvage_report *report) {
    struct account_record account;
    (void)value;
    (void)report;
    int error = directory_account(txn, bytes_get64_be(key->bytes + 1), &account);
    return error == -ENOENT ? map_delete(txn, value_key_view(key)) : error;
}

static int mend_counter(struct map_txn *txn, uint64_t last_account) {
    struct value_key key = value_key_single(VALUE_COUNTER);
    struct map_view value;
    uint64_t next = 0;
    int error = map_get(txn, value_key_view(&key), &value);
    if (error == 0)
        error = value_read_number(value_key_view(&key), value, VALUE_COUNTER, &next);
    if (error && error != -ENOENT)
        return error;
    return next > last_account ? 0 : value_put_counter(txn, last_account + 1);
}

int mend_directory(struct map_txn *txn, uint64_t last_account, struct salvage_report *report) {
    int error = each(txn, VALUE_ACCOUNT, report, mend_name);
    if (error == 0)
        error = each(txn, VALUE_NAME, report, mend_account);
    if (error == 0)
        error = each(txn, VALUE_DEVICE, report, mend_device);
    if (error == 0)
        error = each(txn, VALUE_BLOCK, report, mend_block);
    if (error == 0)
        error = each(txn, VALUE_CODE, report, mend_block);
    return error ? error : mend_counter(txn, last_account);
}
