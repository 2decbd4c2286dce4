/* The key directory, in environment 0: what devices publish for each other, and the accounts' device lists.
 * Nothing of it is secret and nothing is believed: clients verify the signatures, the store only sees to it
 * that a one-time pre-key is handed out once, and that versions and ids rise. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/frame_keys.h"
#include "storage/environment.h"

/* A transaction that does not fit is tried again: what an answer was given before goes. */
static void answer_again(struct request *request, bool with_bytes) {
    free(request->devices);
    request->devices = NULL;
    if (!with_bytes)
        return;
    free(request->bytes);
    request->bytes = NULL;
    request->bytes_count = 0;
    request->count = 0;
}

/* --- publishing ----------------------------------------------------------------------------------------- */

/* The identity key stays; the signed pre-key is the one that is there, or has a higher id. */
static int judge_keys(struct map_txn *txn, const struct device_record *record, const uint8_t *keys) {
    struct value_key key = value_key_keys(record->account, record->device);
    struct map_view value;
    const uint8_t *before;
    int error = map_get(txn, value_key_view(&key), &value);
    if (error == 0)
        error = value_read_keys(value_key_view(&key), value, &before);
    if (error == -ENOENT || error == -EUCLEAN) /* damaged ones are replaced */
        return 0;
    if (error || memcmp(before, keys, FRAME_KEYS_BYTES) == 0)
        return error;
    bool rises = frame_keys_signed_id(keys) > frame_keys_signed_id(before);
    return memcmp(before, keys, FRAME_IDENTITY_BYTES) == 0 && rises ? 0 : -ESTALE;
}

static int put_keys(struct map_txn *txn, struct device_record *record, const uint8_t *keys,
                    const uint8_t *one_time, uint32_t count) {
    int error = value_put_keys(txn, record->account, record->device, keys);
    for (uint32_t i = 0; i < count && error == 0; i++, one_time += FRAME_ONE_TIME_BYTES) {
        error = value_put_one_time(txn, record->account, record->device, one_time);
        record->one_time_last = frame_one_time_id(one_time);
    }
    record->one_time_left += (uint16_t)count;
    record->signed_id = frame_keys_signed_id(keys);
    return error ? error : value_put_device(txn, record);
}

/* One-time pre-keys with ids that were taken before are left out: the device did not hear that they were, and
 * some may be handed out already. */
static int keys_put(const struct environment *environment, struct map_txn *txn, struct request *request) {
    const uint8_t *keys = request->bytes, *one_time = keys + FRAME_KEYS_BYTES;
    struct device_record record;
    int error = directory_live_device(txn, request->account, request->device_number, &record);
    if (error)
        return error;
    answer_again(request, false);
    request->devices = malloc(sizeof(record));
    if (!request->devices)
        return -ENOMEM;
    uint32_t count = request->count;
    for (; count > 0 && frame_one_time_id(one_time) <= record.one_time_last; count--)
        one_time += FRAME_ONE_TIME_BYTES;
    error = judge_keys(txn, &record, keys);
    if (error == 0 && record.one_time_left + count > environment->settings.one_time_keys_max)
        error = -EDQUOT;
    if (error == 0)
        error = put_keys(txn, &record, keys, one_time, count);
    request->devices[0] = record;
    return error;
}

/* --- handing out ---------------------------------------------------------------------------------------- */

static int may_ask(struct map_txn *txn, const struct request *request) {
    struct account_record account;
    struct map_view value;
    struct value_key key = value_key_block(request->account, request->other);
    int error = directory_account(txn, request->account, &account);
    if (error)
        return error;
    if (account.flags & ACCOUNT_SUSPENDED)
        return -EPERM;
    error = map_get(txn, value_key_view(&key), &value);
    return error == -ENOENT ? 0 : error ? error : -EACCES;
}

/* The device's lowest, or one_time stays as it is; a damaged one is nobody's any more. */
static int take_one_time(struct map_txn *txn, struct device_record *record, uint8_t *one_time) {
    struct value_key front = value_key_one_times(record->account, record->device);
    struct map_cursor *cursor;
    struct map_view key, value;
    int damaged = -EUCLEAN;
    int error = map_cursor_open(txn, &cursor);
    if (error)
        return error;
    error = map_seek(cursor, value_key_view(&front), &key, &value);
    while (error == 0 && damaged && value_key_starts(key, &front)) {
        damaged = value_read_one_time(key, value, one_time);
        error = map_cursor_delete(cursor);
        if (record->one_time_left > 0)
            record->one_time_left--;
        if (error == 0 && damaged)
            error = map_next(cursor, &key, &value);
    }
    map_cursor_close(cursor);
    if (error == -ENOENT)
        error = 0;
    return error ? error : value_put_device(txn, record);
}

/* A row each for the devices that have published keys and are wanted, without one-time pre-keys yet. */
static int find_rows(struct map_txn *txn, struct request *request) {
    struct value_key front = value_key_account(VALUE_KEYS, request->account);
    struct map_cursor *cursor;
    struct map_view key, value;
    struct value_place place;
    const uint8_t *keys;
    int error = map_cursor_open(txn, &cursor);
    if (error)
        return error;
    error = map_seek(cursor, value_key_view(&front), &key, &value);
    while (error == 0 && value_key_starts(key, &front) && request->count < FRAME_KEYS_ROWS_MAX) {
        struct device_record *record = &request->devices[request->count];
        bool wanted = value_key_read(key, &place) &&
                      (request->device_number == 0 || request->device_number == place.device) &&
                      (request->account != request->other || request->value != place.device);
        if (wanted && value_read_keys(key, value, &keys) == 0 &&
            directory_live_device(txn, request->account, place.device, record) == 0) {
            uint8_t *row = request->bytes + (size_t)request->count++ * FRAME_KEYS_ROW_BYTES;
            frame_write_keys_row(row, place.device, keys, NULL);
        }
        error = map_next(cursor, &key, &value);
    }
    map_cursor_close(cursor);
    return error == -ENOENT ? 0 : error;
}

/* Behind the rows. An account may have none. */
static int append_list(struct map_txn *txn, struct request *request) {
    struct value_key key = value_key_account(VALUE_LIST, request->account);
    struct map_view value;
    struct value_list list;
    int error = map_get(txn, value_key_view(&key), &value);
    if (error == 0)
        error = value_read_list(value_key_view(&key), value, &list);
    if (error) {
        request->first = 0;
        return error == -ENOENT || error == -EUCLEAN ? 0 : error;
    }
    request->first = list.version;
    uint8_t *bytes = realloc(request->bytes, request->bytes_count + list.list_bytes + 1);
    if (!bytes)
        return -ENOMEM;
    memcpy(bytes + request->bytes_count, list.list, list.list_bytes);
    request->bytes = bytes;
    request->bytes_count += list.list_bytes;
    return 0;
}

/* Whatever may fail but for the map comes before the first key is taken: a taken one is either handed out or
 * the transaction is lost. */
static int keys_get(struct map_txn *txn, struct request *request) {
    int error = may_ask(txn, request);
    if (error)
        return error;
    answer_again(request, true);
    request->bytes = malloc((size_t)FRAME_KEYS_ROWS_MAX * FRAME_KEYS_ROW_BYTES);
    request->devices = calloc(FRAME_KEYS_ROWS_MAX, sizeof(*request->devices));
    if (!request->bytes || !request->devices)
        return -ENOMEM;
    error = find_rows(txn, request);
    if (error == 0 && request->count == 0)
        error = -ENODEV;
    request->bytes_count = request->count * FRAME_KEYS_ROW_BYTES;
    if (error == 0)
        error = append_list(txn, request);
    for (uint32_t i = 0; i < request->count && error == 0; i++) {
        uint8_t *row = request->bytes + (size_t)i * FRAME_KEYS_ROW_BYTES;
        if (request->devices[i].one_time_left > 0)
            error = take_one_time(txn, &request->devices[i], row + 8 + FRAME_KEYS_BYTES);
    }
    return error;
}

/* --- lists ---------------------------------------------------------------------------------------------- */

/* The same again is no error: the device did not hear that it is stored. */
static bool is_stored(struct map_txn *txn, const struct request *request) {
    struct value_key key = value_key_account(VALUE_LIST, request->account);
    struct map_view value;
    struct value_list list;
    return map_get(txn, value_key_view(&key), &value) == 0 &&
           value_read_list(value_key_view(&key), value, &list) == 0 && list.version == request->first &&
           list.list_bytes == request->bytes_count && memcmp(list.list, request->bytes, list.list_bytes) == 0;
}

static int list_put(struct map_txn *txn, struct request *request) {
    struct account_record account;
    struct device_record device;
    int error = directory_live_device(txn, request->account, request->device_number, &device);
    if (error == 0)
        error = directory_account(txn, request->account, &account);
    if (error)
        return error;
    request->value = account.list_version;
    if (request->first <= account.list_version)
        return is_stored(txn, request) ? 0 : -ESTALE;
    struct value_list list = {
        .version = request->first, .list = request->bytes, .list_bytes = request->bytes_count};
    error = value_put_list(txn, request->account, &list);
    if (error)
        return error;
    request->value = account.list_version = request->first;
    return value_put_account(txn, &account);
}

int keys_list(struct map_txn *txn, struct request *request) {
    struct account_record account;
    uint64_t known = request->first;
    int error = directory_account(txn, request->account, &account);
    if (error)
        return error;
    request->value = account.list_version;
    if (account.list_version == known)
        return 0;
    error = append_list(txn, request);
    request->value = request->first;
    return error;
}

int keys_change(struct environment *environment, struct map_txn *txn, struct request *request) {
    switch (request->kind) {
    case REQUEST_KEYS_PUT:
        return keys_put(environment, txn, request);
    case REQUEST_KEYS_GET:
        return keys_get(txn, request);
    case REQUEST_LIST_PUT:
        return list_put(txn, request);
    default:
        return -EINVAL;
    }
}

/* --- taking back ---------------------------------------------------------------------------------------- */

int keys_remove(struct map_txn *txn, struct device_record *record) {
    struct value_key keys = value_key_keys(record->account, record->device);
    struct value_key front = value_key_one_times(record->account, record->device);
    record->signed_id = 0;
    record->one_time_left = 0;
    int error = map_delete(txn, value_key_view(&keys));
    return error && error != -ENOENT ? error : directory_delete_front(txn, &front);
}

static int empty_stock(struct map_txn *txn, const struct value_key *key, struct map_view value,
                       void *context) {
    struct device_record record;
    (void)context;
    if (value_read_device(value_key_view(key), value, &record) || record.one_time_left == 0)
        return 0;
    record.one_time_left = 0;
    return value_put_device(txn, &record);
}

int keys_void_one_time(struct map_txn *txn) {
    struct value_key front = value_key_single(VALUE_ONE_TIME);
    int error = directory_delete_front(txn, &front);
    return error ? error : directory_each(txn, VALUE_DEVICE, empty_stock, NULL);
}

static int mend_keys(struct map_txn *txn, const struct value_key *key, struct map_view value, void *context) {
    struct value_place place;
    struct device_record record;
    (void)value, (void)context;
    if (!value_key_read(value_key_view(key), &place))
        return -EUCLEAN;
    int error = directory_live_device(txn, place.account, place.device, &record);
    return error == -ENOENT || error == -ENODEV ? map_delete(txn, value_key_view(key)) : error;
}

static int mend_device(struct map_txn *txn, const struct value_key *key, struct map_view value,
                       void *context) {
    struct device_record record;
    const uint8_t *keys;
    (void)context;
    int error = value_read_device(value_key_view(key), value, &record);
    if (error)
        return error;
    struct value_key of_keys = value_key_keys(record.account, record.device);
    uint32_t signed_id = 0;
    error = map_get(txn, value_key_view(&of_keys), &value);
    if (error == 0)
        error = value_read_keys(value_key_view(&of_keys), value, &keys);
    if (error && error != -ENOENT)
        return error;
    if (error == 0)
        signed_id = frame_keys_signed_id(keys);
    if (record.signed_id == signed_id)
        return 0;
    record.signed_id = signed_id;
    return value_put_device(txn, &record);
}

static int mend_account(struct map_txn *txn, const struct value_key *key, struct map_view value,
                        void *context) {
    struct account_record record;
    struct value_list list = {.version = 0};
    (void)context;
    int error = value_read_account(value_key_view(key), value, &record);
    if (error)
        return error;
    struct value_key of_list = value_key_account(VALUE_LIST, record.account);
    error = map_get(txn, value_key_view(&of_list), &value);
    if (error == 0)
        error = value_read_list(value_key_view(&of_list), value, &list);
    if ((error && error != -ENOENT) || record.list_version == list.version)
        return error == -ENOENT ? 0 : error;
    record.list_version = list.version;
    return value_put_account(txn, &record);
}

int keys_mend(struct map_txn *txn) {
    int error = keys_void_one_time(txn);
    if (error == 0)
        error = directory_each(txn, VALUE_KEYS, mend_keys, NULL);
    if (error == 0)
        error = directory_each(txn, VALUE_LIST, directory_drop_ownerless, NULL);
    if (error == 0)
        error = directory_each(txn, VALUE_DEVICE, mend_device, NULL);
    return error ? error : directory_each(txn, VALUE_ACCOUNT, mend_account, NULL);
}
