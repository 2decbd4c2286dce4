#include "storage/check.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/account.h"
#include "core/bytes.h"
#include "core/frame_keys.h"
#include "storage/census.h"
#include "storage/environment.h"
#include "storage/folder.h"
#include "storage/pages.h"

#define PATH_BYTES 512
#define SNAPSHOT_MS 1000
#define LOOK_RECORDS 1024 /* at the clock, every so many */
#define STOPPED 1         /* a walk: it goes on elsewhere */
#define ENDED 2           /* there is nothing more for it */
#define PURGE_S 1         /* what a removed account leaves is deleted within this time */

struct check {
    const char *folder;
    uint32_t count; /* environments */
    bool live;      /* a switch uses the store meanwhile */
    void (*found)(void *context, const struct check_finding *finding);
    void *context;
    struct check_result result;
    struct census census;
    struct value_meta first; /* of environment 0 */
    bool has_first;
    uint64_t counter; /* 0: not come to */
    /* Of the walk that is going on: */
    uint32_t environment;
    bool has_meta;
    uint64_t walked;     /* records of the map */
    bool over_queues;    /* of the directory: it goes on behind the queues */
    struct value_key at; /* the next snapshot goes on here */
    uint64_t until_ms;
};

/* --- findings ------------------------------------------------------------------------------------------- */

static void find(struct check *check, struct map_view key, const char *what) {
    struct check_finding finding = {.environment = check->environment};
    describe_key(key, finding.where, sizeof(finding.where));
    snprintf(finding.what, sizeof(finding.what), "%s", what);
    check->result.findings++;
    check->found(check->context, &finding);
}

__attribute__((format(printf, 2, 3))) static void find_file(struct check *check, const char *format, ...) {
    struct check_finding finding = {.environment = check->environment};
    va_list arguments;
    snprintf(finding.where, sizeof(finding.where), "env-%u/" PAGES_FILE, check->environment);
    va_start(arguments, format);
    vsnprintf(finding.what, sizeof(finding.what), format, arguments);
    va_end(arguments);
    check->result.findings++;
    check->found(check->context, &finding);
}

static int found_fault(void *context, const struct pages_fault *fault) {
    struct check *check = context;
    struct check_finding finding = {.environment = check->environment};
    char from[DESCRIBE_BYTES] = "the first record", to[DESCRIBE_BYTES] = "the last";
    if (fault->from.used)
        describe_key(value_key_view(&fault->from), from, sizeof(from));
    if (fault->to.used)
        describe_key(value_key_view(&fault->to), to, sizeof(to));
    snprintf(finding.where, sizeof(finding.where), "page %llu of env-%u/" PAGES_FILE,
             (unsigned long long)fault->page, check->environment);
    int used =
        snprintf(finding.what, sizeof(finding.what), "%s; it hides what lies from %s ", fault->what, from);
    if (used > 0 && (size_t)used < sizeof(finding.what))
        snprintf(finding.what + used, sizeof(finding.what) - (size_t)used, "up to %s", to);
    check->result.findings++;
    check->found(check->context, &finding);
    return 0;
}

/* --- one record ----------------------------------------------------------------------------------------- */

static void check_meta(struct check *check, struct map_view key, struct map_view value) {
    struct value_meta meta;
    (void)value_read_meta(key, value, &meta); /* it is whole */
    check->has_meta = true;
    if (!check->has_first)
        check->first = meta;
    check->has_first = true;
    if (meta.format > STORE_FORMAT)
        find(check, key, "is of a newer version of tern");
    if (meta.store_id != check->first.store_id || meta.index != check->environment ||
        meta.environments != check->count)
        find(check, key, "is of another store");
}

static void find_fault(struct check *check, struct map_view key, int fault) {
    find(check, key, fault == -EPROTO ? "is of a newer version of tern" : "is damaged");
}

static int check_queue(struct check *check, struct map_view key, const struct run *run) {
    bool is_whole = false;
    for (uint32_t i = 0; i < run->count; i++) {
        struct value_key entry_key = run_key(run, i);
        int fault = value_check(value_key_view(&entry_key), run_entry(run, i));
        check->result.records++;
        is_whole |= fault == 0;
        if (fault)
            find_fault(check, value_key_view(&entry_key), fault);
    }
    if (!is_whole)
        return 0;
    if ((uint32_t)(account_hash(run->place.account) >> 32) % check->count != check->environment)
        find(check, key, "lies in an environment where nobody looks for it");
    return census_add_queue(&check->census, check->environment, run->place.account, run->place.device);
}

static int check_directory(struct check *check, struct map_view key, struct map_view value) {
    struct account_record account;
    struct device_record device;
    struct value_place place;
    struct value_list list;
    const uint8_t *keys;
    uint64_t number;
    const char *fault = NULL;
    int error = 0;
    switch (key.at[0]) {
    case VALUE_COUNTER:
        (void)value_read_number(key, value, VALUE_COUNTER, &check->counter);
        break;
    case VALUE_ACCOUNT:
        (void)value_read_account(key, value, &account);
        error = census_add_account(&check->census, &account);
        break;
    case VALUE_NAME:
        (void)value_read_number(key, value, VALUE_NAME, &number);
        fault = census_judge_name(&check->census, (const char *)key.at + 1, key.bytes - 1, number);
        break;
    case VALUE_DEVICE:
        (void)value_read_device(key, value, &device);
        fault = census_judge_device(&check->census, &device);
        error = census_add_device(&check->census, &device);
        break;
    case VALUE_KEYS:
        (void)value_key_read(key, &place);
        (void)value_read_keys(key, value, &keys);
        fault = census_judge_keys(&check->census, place.account, place.device, frame_keys_signed_id(keys));
        break;
    case VALUE_ONE_TIME:
        (void)value_key_read(key, &place);
        fault = census_judge_one_time(&check->census, place.account, place.device);
        break;
    case VALUE_LIST:
        (void)value_read_list(key, value, &list);
        fault = census_judge_list(&check->census, bytes_get64_be(key.at + 1), list.version);
        break;
    default: /* blocks and codes */
        if (!census_find_account(&check->census, bytes_get64_be(key.at + 1)))
            fault = "belongs to an account that is not there";
        break;
    }
    if (fault)
        find(check, key, fault);
    return error;
}

static int check_record(struct check *check, struct map_view key, struct map_view value) {
    struct run run;
    if (run_open(key, value, &run))
        return check_queue(check, key, &run);
    int fault = value_check(key, value);
    check->result.records++;
    if (fault) {
        find_fault(check, key, fault);
        return 0;
    }
    if (key.at[0] == VALUE_META)
        check_meta(check, key, value);
    else if (check->environment == 0)
        return check_directory(check, key, value);
    else
        find(check, key, "lies in an environment where nobody looks for it");
    return 0;
}

/* --- walks ---------------------------------------------------------------------------------------------- */

static int directory_record(void *context, struct map_view key, struct map_view value, uint64_t page) {
    const struct check *check = context;
    (void)page;
    if (key.at[0] >= VALUE_QUEUE && !check->over_queues)
        return STOPPED;
    return check_record(context, key, value);
}

static int queue_record(void *context, struct map_view key, struct map_view value, uint64_t page) {
    struct check *check = context;
    (void)page;
    if (key.at[0] > VALUE_QUEUE)
        return ENDED;
    int error = check_record(check, key, value);
    if (error || !check->live || ++check->walked % LOOK_RECORDS || store_now_ms() < check->until_ms)
        return error;
    check->at = value_key_behind(key);
    return STOPPED;
}

static void check_roots(struct check *check, const struct pages *pages) {
    if (pages->root_count == 0)
        find_file(check, "has no whole root: pages 0 and 1 are damaged");
    else if (pages->root_count < PAGES_ROOTS)
        find_file(check, "has one root only: page 0 or 1 is damaged");
}

/* One snapshot of an environment. */
static int walk(struct check *check, int (*record)(void *, struct map_view, struct map_view, uint64_t)) {
    static const struct value_key keys = {.bytes = {VALUE_KEYS}, .used = 1};
    char path[PATH_BYTES];
    struct map_pin *pin = NULL;
    struct pages pages;
    struct pages_visitor visitor = {.record = record, .fault = found_fault, .context = check};
    folder_environment_path(check->folder, check->environment, path, sizeof(path));
    int error = check->live ? map_pin(path, &pin) : 0;
    if (error == 0)
        error = pages_open(path, &pages);
    if (error == 0) {
        if (record == queue_record && check->at.used == 1)
            check_roots(check, &pages);
        if (pages.root_count > 0)
            error = pages_walk(&pages, &pages.roots[0], &check->at, &visitor);
        check->over_queues = true;
        if (pages.root_count > 0 && error >= 0 && record == directory_record)
            error = pages_walk(&pages, &pages.roots[0], &keys, &visitor);
        pages_close(&pages);
    }
    if (pin)
        map_unpin(pin);
    return error;
}

/* Of a switch that runs, a new snapshot each second. */
static int walk_queues(struct check *check) {
    int error = STOPPED;
    check->at = value_key_single(VALUE_QUEUE);
    while (error == STOPPED) {
        check->until_ms = store_now_ms() + SNAPSHOT_MS;
        error = walk(check, queue_record);
    }
    return error == ENDED ? 0 : error;
}

/* In one snapshot, so that its records fit one another. */
static int walk_directory(struct check *check) {
    static const struct value_key meta = {.bytes = {VALUE_META}, .used = 1};
    check->at = (struct value_key){.used = 0};
    check->has_meta = false;
    check->over_queues = false;
    int error = walk(check, directory_record);
    if (error >= 0 && !check->has_meta)
        find(check, value_key_view(&meta), "is missing");
    return error == STOPPED ? 0 : error;
}

/* --- whether all fits ----------------------------------------------------------------------------------- */

static int stop_here(void *context, struct map_view key, struct map_view value, uint64_t page) {
    struct check *check = context;
    (void)value;
    (void)page;
    check->at = value_key_copy(key);
    return STOPPED;
}

/* Of a store in use, the queue may have been that of an account that was being removed. */
static bool queue_is_gone(struct check *check, const struct value_key *first) {
    if (!check->live)
        return false;
    sleep(PURGE_S);
    check->at = *first;
    struct value_key queue = *first;
    queue.used = 11; /* kind, account, device */
    return walk(check, stop_here) != STOPPED || !value_key_starts(value_key_view(&check->at), &queue);
}

static void check_queues_fit(struct check *check) {
    for (size_t i = 0; i < check->census.queue_count; i++) {
        const struct census_queue *queue = &check->census.queues[i];
        struct value_key first = value_key_queue(queue->account, queue->device, 0);
        if (census_has_device(&check->census, queue->account, queue->device))
            continue;
        check->environment = queue->environment;
        if (!queue_is_gone(check, &first))
            find(check, value_key_view(&first), "and those behind it wait for a device that is not there");
    }
}

static void check_accounts_fit(struct check *check) {
    const struct census *census = &check->census;
    struct value_key counter = value_key_single(VALUE_COUNTER);
    check->environment = 0;
    for (size_t i = 0; i < census->account_count; i++) {
        struct value_key key = value_key_account(VALUE_ACCOUNT, census->accounts[i].account);
        if (!census->accounts[i].named)
            find(check, value_key_view(&key), "has a name that does not lead to it");
        const char *lack = census_judge_lack(&census->accounts[i]);
        if (lack)
            find(check, value_key_view(&key), lack);
    }
    for (size_t i = 0; i < census->device_count; i++) {
        struct value_key key = value_key_device(census->devices[i].account, census->devices[i].device);
        const char *lack = census_judge_stock(&census->devices[i]);
        if (lack)
            find(check, value_key_view(&key), lack);
    }
    uint64_t last = census->account_count ? census->accounts[census->account_count - 1].account : 0;
    if (last > 0 && check->counter <= last)
        find(check, value_key_view(&counter), "is missing, or would give a number out twice");
}

/* A file that can't be read is a finding, too; the others are read all the same. */
static int check_environments(struct check *check, int (*walk_part)(struct check *check)) {
    for (uint32_t i = 0; i < check->count; i++) {
        check->environment = i;
        int error = walk_part(check);
        if (error == -ENOMEM)
            return error;
        if (error && walk_part == walk_queues)
            find_file(check, "can't be read: %s", error == -EUCLEAN ? "it is too short" : strerror(-error));
    }
    return 0;
}

int check_store(const char *folder, void (*found)(void *context, const struct check_finding *finding),
                void *context, struct check_result *ret_result, char *ret_error, size_t error_bytes) {
    struct check check = {.folder = folder, .found = found, .context = context};
    int count = folder_environments(folder);
    if (count <= 0) {
        snprintf(ret_error, error_bytes, count ? "%s: %s" : "there is no store in %s", folder,
                 strerror(-count));
        return count ? count : -ENOENT;
    }
    check.count = (uint32_t)count;
    int lock_fd = folder_lock(folder);
    check.live = lock_fd == -EBUSY;
    /* Queues first: who got one in the meantime is in the directory by then. */
    int error = check_environments(&check, walk_queues);
    if (error == 0)
        error = check_environments(&check, walk_directory);
    if (error) {
        snprintf(ret_error, error_bytes, "%s", strerror(-error));
    } else {
        check_queues_fit(&check);
        check_accounts_fit(&check);
    }
    *ret_result = check.result;
    census_fini(&check.census);
    if (lock_fd >= 0)
        close(lock_fd);
    return error;
}
