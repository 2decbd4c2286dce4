#include "storage/mend.h"

#include <errno.h>
#include <string.h>

#include "storage/environment.h"

#define DEVICE_FIRST 1

static int mend_name(struct map_txn *txn, const struct value_key *key, struct map_view value, void *context) {
    struct salvage_report *report = context;
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
                        void *context) {
    struct salvage_report *report = context;
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
                       void *context) {
    struct salvage_report *report = context;
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
    int error = directory_each(txn, VALUE_ACCOUNT, mend_name, report);
    if (error == 0)
        error = directory_each(txn, VALUE_NAME, mend_account, report);
    if (error == 0)
        error = directory_each(txn, VALUE_DEVICE, mend_device, report);
    if (error == 0)
        error = directory_each(txn, VALUE_BLOCK, directory_drop_ownerless, NULL);
    if (error == 0)
        error = directory_each(txn, VALUE_CODE, directory_drop_ownerless, NULL);
    if (error == 0)
        error = keys_mend(txn);
    return error ? error : mend_counter(txn, last_account);
}
