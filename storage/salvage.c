#include "storage/salvage.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/bytes.h"
#include "core/frame_keys.h"
#include "storage/environment.h"
#include "storage/folder.h"
#include "storage/mend.h"
#include "storage/pages.h"
#include "storage/server_key.h"

#define PATH_BYTES 512
#define READERS 8
#define TXN_RECORDS 50000
#define MAP_BYTES_LEAST (UINT64_C(64) << 20)
#define MAP_PART 3 /* the new file may become so many times as large as the old one */

struct range { /* keys that the newest commit does not give */
    struct value_key from, to;
    bool is_value; /* one key, whose value is damaged */
};

struct salvage {
    struct salvage_report report;
    uint64_t last_account; /* the highest number met */
    struct value_meta meta;
    bool has_meta;
    /* Of the environment that is being worked on: */
    struct map *map;
    struct map_txn *txn;
    uint32_t txn_records;
    uint64_t found;
    bool met_meta;
    enum salvage_source source;
    bool all_queues;
    struct range *ranges; /* in the order of their keys */
    size_t range_count, range_capacity;
};

/* --- what is damaged ------------------------------------------------------------------------------------ */

static int add_range(struct salvage *salvage, const struct value_key *from, const struct value_key *to,
                     bool is_value) {
    if (salvage->range_count == salvage->range_capacity) {
        size_t capacity = salvage->range_capacity ? salvage->range_capacity * 2 : 64;
        struct range *ranges = realloc(salvage->ranges, capacity * sizeof(*ranges));
        if (!ranges)
            return -ENOMEM;
        salvage->ranges = ranges;
        salvage->range_capacity = capacity;
    }
    salvage->ranges[salvage->range_count++] = (struct range){.from = *from, .to = *to, .is_value = is_value};
    return 0;
}

static int compare(struct map_view left, struct map_view right) {
    size_t bytes = left.bytes < right.bytes ? left.bytes : right.bytes;
    int order = bytes ? memcmp(left.at, right.at, bytes) : 0;
    return order ? order : (left.bytes > right.bytes) - (left.bytes < right.bytes);
}

static bool is_wanted(const struct salvage *salvage, struct map_view key) {
    if (salvage->all_queues && key.at[0] == VALUE_QUEUE)
        return true;
    size_t low = 0, high = salvage->range_count; /* the first range that begins behind the key */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(value_key_view(&salvage->ranges[middle].from), key) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return false;
    const struct value_key *to = &salvage->ranges[low - 1].to;
    return to->used == 0 || compare(key, value_key_view(to)) < 0;
}

/* --- taking records ------------------------------------------------------------------------------------- */

static int turn_txn(struct salvage *salvage) {
    if (++salvage->txn_records < TXN_RECORDS)
        return 0;
    salvage->txn_records = 0;
    int error = map_commit(salvage->txn);
    salvage->txn = NULL;
    return error ? error : map_begin(salvage->map, &salvage->txn);
}

static uint64_t entry_time(struct map_view key, struct map_view value) {
    struct value_place place = {0};
    struct value_queue queue;
    struct queue_entry entry;
    (void)value_key_read(key, &place);
    if (value_read_queue(key, value, &queue))
        return 0;
    queue_describe(&place, &queue, 0, &entry);
    return entry.accepted_ms ? entry.accepted_ms : queue.expires_ms;
}

/* Of two whole records of one key: whether the other says that it is the later one. */
static bool is_later(struct map_view key, struct map_view value, struct map_view other) {
    struct account_record account, other_account;
    struct device_record device, other_device;
    struct value_list list, other_list;
    const uint8_t *keys, *other_keys;
    uint64_t number, other_number;
    switch (key.at[0]) {
    case VALUE_COUNTER:
        return value_read_number(key, value, VALUE_COUNTER, &number) == 0 &&
               value_read_number(key, other, VALUE_COUNTER, &other_number) == 0 && other_number > number;
    case VALUE_ACCOUNT:
        if (value_read_account(key, value, &account) || value_read_account(key, other, &other_account))
            return false;
        if (account.device_next != other_account.device_next)
            return other_account.device_next > account.device_next;
        return other_account.flags > account.flags;
    case VALUE_KEYS:
        return value_read_keys(key, value, &keys) == 0 && value_read_keys(key, other, &other_keys) == 0 &&
               frame_keys_signed_id(other_keys) > frame_keys_signed_id(keys);
    case VALUE_LIST:
        return value_read_list(key, value, &list) == 0 && value_read_list(key, other, &other_list) == 0 &&
               other_list.version > list.version;
    case VALUE_DEVICE:
        if (value_read_device(key, value, &device) || value_read_device(key, other, &other_device))
            return false;
        if ((device.flags ^ other_device.flags) & DEVICE_REVOKED)
            return other_device.flags & DEVICE_REVOKED;
        if (device.one_time_last != other_device.one_time_last)
            return other_device.one_time_last > device.one_time_last;
        return other_device.last_seen_ms > device.last_seen_ms;
    case VALUE_QUEUE:
        return entry_time(key, other) > entry_time(key, value);
    default:
        return false;
    }
}

static int store(struct salvage *salvage, struct map_view key, struct map_view value) {
    uint8_t *space;
    int error = map_put(salvage->txn, key, value.bytes, &space);
    if (error)
        return error;
    memcpy(space, value.at, value.bytes);
    return turn_txn(salvage);
}

static void note_account(struct salvage *salvage, struct map_view key, struct map_view value) {
    uint64_t account = 0;
    if (key.at[0] == VALUE_NAME)
        (void)value_read_number(key, value, VALUE_NAME, &account);
    else if (key.bytes >= 9)
        account = bytes_get64_be(key.at + 1);
    if (account > salvage->last_account)
        salvage->last_account = account;
}

/* A whole record that is wanted. */
static int take(struct salvage *salvage, struct map_view key, struct map_view value) {
    struct map_view before;
    uint8_t kind = key.at[0];
    if (kind == VALUE_META) { /* the new store gets its own */
        if (!salvage->has_meta)
            salvage->has_meta = value_read_meta(key, value, &salvage->meta) == 0;
        salvage->found += !salvage->met_meta;
        salvage->met_meta = true;
        return 0;
    }
    if (kind == VALUE_CODE && salvage->source != SALVAGE_NEWEST)
        return 0;
    if (kind == VALUE_ONE_TIME) {
        salvage->found += salvage->source == SALVAGE_NEWEST;
        return 0;
    }
    int error = salvage->source == SALVAGE_NEWEST ? -ENOENT : map_get(salvage->txn, key, &before);
    if (error == 0)
        return is_later(key, before, value) ? store(salvage, key, value) : 0;
    if (error != -ENOENT)
        return error;
    note_account(salvage, key, value);
    salvage->report.recovered[kind][salvage->source]++;
    salvage->found++;
    return store(salvage, key, value);
}

static int found_one(struct salvage *salvage, struct map_view key, struct map_view value,
                     const struct value_key *to) {
    bool whole = value_check(key, value) == 0;
    if (salvage->source != SALVAGE_NEWEST)
        return whole && is_wanted(salvage, key) ? take(salvage, key, value) : 0;
    if (whole)
        return take(salvage, key, value);
    struct value_key from = value_key_copy(key);
    return add_range(salvage, &from, to, true);
}

/* Queue entries are taken one by one: of a run, an older commit may have had another part. */
static int found_record(void *context, struct map_view key, struct map_view value, uint64_t page) {
    struct salvage *salvage = context;
    struct run run;
    (void)page;
    if (!run_open(key, value, &run)) {
        struct value_key to = value_key_behind(key);
        return found_one(salvage, key, value, &to);
    }
    uint64_t found = salvage->found;
    int error = 0;
    for (uint32_t i = 0; i < run.count && error == 0; i++) {
        struct value_key entry = run_key(&run, i), to = run_key(&run, i + 1);
        if (run_is_damaged(&run))
            to = run_key(&run, RUN_ENTRIES_MAX);
        error = found_one(salvage, value_key_view(&entry), run_entry(&run, i), &to);
    }
    if (salvage->found > found)
        salvage->found = found + 1; /* it is a record of the map */
    return error;
}

static int found_fault(void *context, const struct pages_fault *fault) {
    struct salvage *salvage = context;
    if (salvage->source != SALVAGE_NEWEST)
        return 0;
    salvage->report.damaged_pages++;
    return add_range(salvage, &fault->from, &fault->to, false);
}

/* --- one environment ------------------------------------------------------------------------------------ */

static int read_newest(struct salvage *salvage, struct pages *pages, const struct pages_visitor *visitor) {
    static const struct value_key all = {.used = 0};
    salvage->source = SALVAGE_NEWEST;
    if (pages->root_count > 0)
        return pages_walk(pages, &pages->roots[0], &all, visitor);
    salvage->report.damaged_pages += PAGES_ROOTS;
    return add_range(salvage, &all, &all, false);
}

static int read_others(struct salvage *salvage, struct pages *pages, const struct pages_visitor *visitor) {
    static const struct value_key all = {.used = 0};
    salvage->all_queues = pages->root_count < PAGES_ROOTS;
    if (salvage->range_count == 0 && !salvage->all_queues)
        return 0;
    int error = 0;
    salvage->source = SALVAGE_BEFORE;
    if (pages->root_count == PAGES_ROOTS)
        error = pages_walk(pages, &pages->roots[1], &all, visitor);
    salvage->source = SALVAGE_SCAN;
    return error ? error : pages_scan(pages, visitor);
}

static void count_lost(struct salvage *salvage, const struct pages *pages) {
    struct map_view value;
    for (size_t i = 0; i < salvage->range_count; i++) {
        const struct range *range = &salvage->ranges[i];
        uint8_t kind = range->from.used ? range->from.bytes[0] : 0;
        if (range->is_value && kind < SALVAGE_KINDS &&
            map_get(salvage->txn, value_key_view(&range->from), &value) == -ENOENT)
            salvage->report.damaged[kind]++;
    }
    uint64_t records = pages->root_count > 0 ? pages->roots[0].records : 0;
    if (records > salvage->found)
        salvage->report.missing += records - salvage->found;
}

static int read_environment(struct salvage *salvage, struct pages *pages) {
    struct pages_visitor visitor = {.record = found_record, .fault = found_fault, .context = salvage};
    salvage->range_count = 0;
    salvage->found = 0;
    salvage->met_meta = false;
    int error = read_newest(salvage, pages, &visitor);
    if (error == 0)
        error = read_others(salvage, pages, &visitor);
    if (error == 0)
        count_lost(salvage, pages);
    return error;
}

/* Everything but the meta record, by which the new store is known to be complete. */
static int salvage_environment(struct salvage *salvage, const char *from, const char *into, bool directory) {
    struct pages pages;
    int unread = pages_open(from, &pages);
    if (unread == -ENOMEM)
        return unread;
    uint64_t bytes = unread ? 0 : pages.count * pages.page_bytes * MAP_PART;
    int error = folder_make(into);
    if (error == 0)
        error = map_open(into, bytes + MAP_BYTES_LEAST, READERS, &salvage->map);
    if (error)
        goto err_after_pages;
    error = map_begin(salvage->map, &salvage->txn);
    if (error == 0 && !unread)
        error = read_environment(salvage, &pages);
    if (error == 0 && directory)
        error = mend_directory(salvage->txn, salvage->last_account, &salvage->report);
    if (error == 0)
        error = map_commit(salvage->txn);
    else if (salvage->txn)
        map_abort(salvage->txn);
    salvage->txn = NULL;
    salvage->report.lost_environments += unread != 0;
    map_close(salvage->map);

err_after_pages:
    if (!unread)
        pages_close(&pages);
    return error;
}

static int write_meta(const struct salvage *salvage, const char *folder, uint32_t index, uint32_t count) {
    struct map *map;
    struct map_txn *txn;
    struct value_meta meta = {
        .format = STORE_FORMAT, .environments = count, .index = index, .store_id = salvage->meta.store_id};
    int error = map_open(folder, MAP_BYTES_LEAST, READERS, &map);
    if (error)
        return error;
    error = map_begin(map, &txn);
    if (error == 0) {
        error = value_put_meta(txn, &meta);
        if (error)
            map_abort(txn);
        else
            error = map_commit(txn);
    }
    map_close(map);
    return error ? error : folder_sync(folder);
}

/* --- the store ------------------------------------------------------------------------------------------ */

static int copy_key(struct salvage *salvage, const char *folder, const char *new_folder) {
    uint8_t secret[KEY_BYTES];
    int error = server_key_read(folder, secret);
    if (error) {
        salvage->report.key_missing = true;
        return 0;
    }
    error = server_key_write(new_folder, secret);
    explicit_bzero(secret, sizeof(secret));
    return error;
}

/* The directory last: by then every account that has a queue is known. */
static int salvage_all(struct salvage *salvage, const char *folder, const char *new_folder, uint32_t count) {
    char from[PATH_BYTES], into[PATH_BYTES];
    int error = folder_make(new_folder);
    if (error == 0)
        error = copy_key(salvage, folder, new_folder);
    for (uint32_t i = count; i-- > 0 && error == 0;) {
        folder_environment_path(folder, i, from, sizeof(from));
        folder_environment_path(new_folder, i, into, sizeof(into));
        error = salvage_environment(salvage, from, into, i == 0);
    }
    if (!salvage->has_meta)
        port_entropy(&salvage->meta.store_id, sizeof(salvage->meta.store_id));
    for (uint32_t i = count; i-- > 0 && error == 0;) {
        folder_environment_path(new_folder, i, into, sizeof(into));
        error = write_meta(salvage, into, i, count);
    }
    return error ? error : folder_sync(new_folder);
}

int salvage_store(const char *folder, const char *new_folder, struct salvage_report *ret_report,
                  char *ret_error, size_t error_bytes) {
    struct salvage salvage = {.txn_records = 0};
    int count = folder_environments(folder), others = folder_environments(new_folder);
    if (count <= 0) {
        snprintf(ret_error, error_bytes, count ? "%s: %s" : "there is no store in %s", folder,
                 strerror(-count));
        return count ? count : -ENOENT;
    }
    if (others) {
        snprintf(ret_error, error_bytes, others < 0 ? "%s: %s" : "there is a store in %s already", new_folder,
                 strerror(others < 0 ? -others : EEXIST));
        return others < 0 ? others : -EEXIST;
    }
    int lock_fd = folder_lock(folder);
    if (lock_fd == -EBUSY) {
        snprintf(ret_error, error_bytes, "a switch uses %s: stop it first", folder);
        return -EBUSY;
    }
    int error = salvage_all(&salvage, folder, new_folder, (uint32_t)count);
    if (error)
        snprintf(ret_error, error_bytes, "the new store in %s is not complete: %s", new_folder,
                 strerror(-error));
    *ret_report = salvage.report;
    free(salvage.ranges);
    if (lock_fd >= 0) /* a folder that can't be written has no lock, and nobody writes it */
        close(lock_fd);
    return error;
}
