/* Stores of other formats: the kept ones of format 1 to 3 open and go on; a newer one is refused with a
 * sentence; a migration that was cut short goes on. */
#include <errno.h>
#include <sys/stat.h>

#include "core/frame_keys.h"
#include "storage/check.h"
#include "tests/support/store_rig.h"

TestSuite(store_format, .timeout = 120);

/* What is in tests/vectors/store-1: accounts alice, bob and carol, 20 entries for bob. In store-2, which was
 * made from it: 20 more; store-3 is store-2 after a start. */
enum { BOB = 2, KEPT_ENTRIES = 20, KEPT_ENVIRONMENTS = 2 };

static void run(const char *format, const char *first, const char *second) {
    char command[512];
    cr_assert_lt(snprintf(command, sizeof(command), format, first, second), (int)sizeof(command));
    cr_assert_eq(system(command), 0, "%s", command);
}

static const char *kept_folder(uint32_t format) {
    static char path[256];
    snprintf(path, sizeof(path), "%s", __FILE__);
    char *end = strstr(path, "tests/unit/");
    cr_assert(end);
    snprintf(end, sizeof(path) - (size_t)(end - path), "tests/vectors/store-%u", format);
    return path;
}

static void make_kept(struct rig *rig, uint32_t format) {
    rig_make(rig);
    rig->config.store_environments = KEPT_ENVIRONMENTS;
    run("cp -r '%s'/* '%s'", kept_folder(format), rig->folder);
    run("chmod 600 '%s/%s'", rig->folder, "server.key");
}

static uint32_t format_of(const struct rig *rig, uint32_t environment) {
    struct map_txn *txn;
    struct map_view value;
    struct value_meta meta;
    struct value_key key = value_key_single(VALUE_META);
    cr_assert_eq(map_begin_read(rig->store->environments[environment].map, &txn), 0);
    cr_assert_eq(map_get(txn, value_key_view(&key), &value), 0);
    cr_assert_eq(value_read_meta(value_key_view(&key), value, &meta), 0);
    map_abort(txn);
    return meta.format;
}

static void set_format(const struct rig *rig, uint32_t environment, uint32_t format) {
    struct map_txn *txn;
    struct map_view value;
    struct value_meta meta;
    struct value_key key = value_key_single(VALUE_META);
    cr_assert_eq(map_begin(rig->store->environments[environment].map, &txn), 0);
    cr_assert_eq(map_get(txn, value_key_view(&key), &value), 0);
    cr_assert_eq(value_read_meta(value_key_view(&key), value, &meta), 0);
    meta.format = format;
    cr_assert_eq(value_put_meta(txn, &meta), 0);
    cr_assert_eq(map_commit(txn), 0);
}

static void no_finding(void *context, const struct check_finding *finding) {
    (void)context;
    cr_assert_fail("%s %s", finding->where, finding->what);
}

static void expect_whole(struct rig *rig, uint64_t entries) {
    struct check_result result;
    cr_assert_eq(rig_count(rig, BOB, 1), entries);
    rig_close(rig);
    cr_assert_eq(check_store(rig->folder, no_finding, NULL, &result, rig->error, sizeof(rig->error)), 0);
}

/* Accounts and devices of older formats don't know of keys and lists. */
static void publish(struct rig *rig) {
    uint8_t bytes[FRAME_KEYS_BYTES + FRAME_ONE_TIME_BYTES] = {
        [FRAME_KEYS_SIGNED_ID] = 1, [FRAME_KEYS_BYTES] = 1};
    struct request keys = {
        .kind = REQUEST_KEYS_PUT, .account = BOB, .device_number = 1, .bytes = bytes, .count = 1};
    cr_assert_eq(rig_request(rig, &keys), 0);
    cr_assert(keys.devices[0].one_time_left == 1 && keys.devices[0].one_time_last == 1);
    free(keys.devices);
    struct request list = {.kind = REQUEST_LIST_PUT,
                           .account = BOB,
                           .device_number = 1,
                           .first = 1,
                           .bytes = bytes,
                           .bytes_count = sizeof(bytes)};
    cr_assert_eq(rig_request(rig, &list), 0);
}

static void goes_on(uint32_t format) {
    uint64_t kept = (format < 3 ? format : 2) * KEPT_ENTRIES;
    struct rig rig;
    struct account_record record;
    make_kept(&rig, format);
    rig_start(&rig);
    for (uint32_t i = 0; i < KEPT_ENVIRONMENTS; i++)
        cr_assert_eq(format_of(&rig, i), STORE_FORMAT);
    struct request found = {.kind = REQUEST_LOOKUP, .name = "carol", .accounts = &record};
    cr_assert_eq(rig_request(&rig, &found), 0);
    cr_assert_eq(record.flags, ACCOUNT_SUSPENDED);
    publish(&rig);
    cr_assert_eq(rig_put(&rig, (struct rig_put){.account = BOB, .seq = kept + 1}), 0);
    expect_whole(&rig, kept + 1);
    rig_start(&rig);
    cr_assert_eq(rig_put(&rig, (struct rig_put){.account = BOB, .seq = kept + 2}), 0);
    rig_delete(&rig, BOB, 1, 1, kept);
    expect_whole(&rig, 2);
    rig_remove(&rig);
}

Test(store_format, store_of_format_1_opens_and_goes_on_in_this_one) {
    goes_on(1);
}

Test(store_format, store_of_format_2_opens_and_goes_on_in_this_one) {
    goes_on(2);
}

Test(store_format, store_of_format_3_opens_and_goes_on_in_this_one) {
    goes_on(3);
}

/* The highest environment is migrated first. */
Test(store_format, migration_that_was_cut_short_goes_on) {
    struct rig rig;
    make_kept(&rig, 1);
    rig_open(&rig);
    set_format(&rig, 0, 1);
    rig_close(&rig);
    rig_open(&rig);
    cr_assert_eq(format_of(&rig, 0), STORE_FORMAT);
    expect_whole(&rig, KEPT_ENTRIES);
    rig_remove(&rig);
}

Test(store_format, store_that_can_not_be_opened_stays_as_it_is) {
    struct rig rig;
    make_kept(&rig, 1);
    run("rm '%s/%s'", rig.folder, "server.key");
    cr_assert_eq(rig_try_open(&rig), -ENOENT, "no key");
    rig_close(&rig);
    run("cmp '%s/env-0/data.mdb' '%s/env-0/data.mdb'", kept_folder(1), rig.folder);
    run("cmp '%s/env-1/data.mdb' '%s/env-1/data.mdb'", kept_folder(1), rig.folder);
    rig_remove(&rig);
}

Test(store_format, newer_format_of_any_environment_is_refused_with_a_sentence) {
    for (uint32_t newer = 0; newer < KEPT_ENVIRONMENTS; newer++) {
        struct rig rig;
        make_kept(&rig, 1);
        rig_open(&rig);
        set_format(&rig, newer, STORE_FORMAT + 1);
        rig_close(&rig);
        cr_assert_eq(rig_try_open(&rig), -EPROTO);
        cr_assert_not_null(strstr(rig.error, "newer version"), "%s", rig.error);
        rig_close(&rig);
        rig_remove(&rig);
    }
}
