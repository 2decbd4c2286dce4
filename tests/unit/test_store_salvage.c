/* What salvaging recovers of a damaged store; and that the new store opens, and is well, whatever was
 * damaged. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "core/bytes.h"
#include "storage/check.h"
#include "storage/pages.h"
#include "storage/salvage.h"
#include "tests/support/store_rig.h"

TestSuite(store_salvage, .timeout = 240);

#define PAGE_BYTES 4096

enum { ACCOUNTS = 4, ENTRIES = 60 };

struct bench {
    struct rig rig, fresh;
    struct salvage_report report;
    int fd;
    char error[256];
};

static void ask_new_device(struct rig *rig, uint64_t number) {
    char name[16];
    uint64_t account;
    struct request link = {.kind = REQUEST_LINK, .key = {(uint8_t)number}};
    snprintf(name, sizeof(name), "user%u", (unsigned)number);
    cr_assert_eq(rig_account(rig, name, &account, link.code), 0);
    link.account = account;
    cr_assert_eq(rig_request(rig, &link), 0);
}

/* Accounts 1 .. ACCOUNTS with a device and a queue each; in one commit, or in one for each entry. */
static void make(struct bench *bench, bool one_by_one) {
    struct rig *rig = &bench->rig;
    struct map_txn *txn = NULL;
    uint8_t frame[RIG_FRAME_BYTES];
    char path[128];
    memset(bench, 0, sizeof(*bench));
    rig_make(rig);
    rig_start(rig);
    for (uint64_t i = 1; i <= ACCOUNTS; i++)
        ask_new_device(rig, i);
    store_stop(rig->store);
    struct map *map = rig->store->environments[0].map;
    for (uint64_t seq = 1; seq <= ENTRIES; seq++) {
        for (uint64_t account = 1; account <= ACCOUNTS; account++) {
            struct value_key key = value_key_queue(account, 1, seq);
            struct value_queue entry = {.expires_ms = UINT64_MAX,
                                        .frame = frame,
                                        .frame_bytes = rig_message(frame, account, seq, "text", 100)};
            if (!txn)
                cr_assert_eq(map_begin(map, &txn), 0);
            cr_assert_eq(value_put_queue(txn, &key, &entry), 0);
            if (one_by_one)
                cr_assert_eq(map_commit(txn), 0);
            txn = one_by_one ? NULL : txn;
        }
    }
    if (txn)
        cr_assert_eq(map_commit(txn), 0);
    rig_close(rig);
    snprintf(path, sizeof(path), "%s/env-0/data.mdb", rig->folder);
    bench->fd = open(path, O_RDWR);
    cr_assert_geq(bench->fd, 0);
    bench->fresh = bench->rig;
    snprintf(bench->fresh.folder, sizeof(bench->fresh.folder), "%.50s/new", rig->folder);
}

static void finish(struct bench *bench) {
    close(bench->fd);
    rig_remove(&bench->rig);
}

static void no_finding(void *context, const struct check_finding *finding) {
    (void)context;
    cr_assert_fail("the new store: %s %s", finding->where, finding->what);
}

/* Into the new folder; the store there is well, and opens. */
static void salvage(struct bench *bench) {
    struct check_result result;
    int status = salvage_store(bench->rig.folder, bench->fresh.folder, &bench->report, bench->error,
                               sizeof(bench->error));
    cr_assert_eq(status, 0, "%s", bench->error);
    status = check_store(bench->fresh.folder, no_finding, NULL, &result, bench->error, sizeof(bench->error));
    cr_assert_eq(status, 0, "%s", bench->error);
    bench->fresh.store = NULL;
    rig_open(&bench->fresh);
}

static uint64_t entries_of(struct bench *bench) {
    uint64_t count = 0;
    for (uint64_t account = 1; account <= ACCOUNTS; account++)
        count += rig_count(&bench->fresh, account, 1);
    return count;
}

static uint64_t from(const struct bench *bench, enum value_kind kind, enum salvage_source source) {
    return bench->report.recovered[kind][source];
}

/* The root's page, or with `child` that of one of its children. */
static uint64_t page_of(const struct bench *bench, int child) {
    struct pages pages;
    char folder[80];
    uint8_t page[PAGE_BYTES];
    snprintf(folder, sizeof(folder), "%s/env-0", bench->rig.folder);
    cr_assert_eq(pages_open(folder, &pages), 0);
    uint64_t root = pages.roots[0].page;
    cr_assert_eq(pages.roots[0].depth, 2);
    pages_close(&pages);
    if (child < 0)
        return root;
    cr_assert_eq(pread(bench->fd, page, PAGE_BYTES, (off_t)(root * PAGE_BYTES)), PAGE_BYTES);
    return bytes_get32(page + bytes_get16(page + 16 + 2 * child));
}

static void wipe(const struct bench *bench, uint64_t page) {
    static const uint8_t zeros[PAGE_BYTES];
    cr_assert_eq(pwrite(bench->fd, zeros, PAGE_BYTES, (off_t)(page * PAGE_BYTES)), PAGE_BYTES);
}

Test(store_salvage, healthy_store_is_copied_whole) {
    struct bench bench;
    make(&bench, false);
    salvage(&bench);
    cr_assert_eq(entries_of(&bench), ACCOUNTS * ENTRIES);
    cr_assert_eq(from(&bench, VALUE_QUEUE, SALVAGE_NEWEST), ACCOUNTS * ENTRIES);
    cr_assert_eq(from(&bench, VALUE_ACCOUNT, SALVAGE_NEWEST), ACCOUNTS);
    cr_assert_eq(from(&bench, VALUE_DEVICE, SALVAGE_NEWEST), ACCOUNTS);
    cr_assert_eq(bench.report.missing, 0);
    rig_close(&bench.fresh);
    int status =
        salvage_store(bench.rig.folder, bench.fresh.folder, &bench.report, bench.error, sizeof(bench.error));
    cr_assert_eq(status, -EEXIST, "not over another store");
    finish(&bench);
}

Test(store_salvage, flipped_value_loses_that_record_only) {
    struct bench bench;
    static uint8_t bytes[4 << 20];
    struct store_view view;
    make(&bench, false);
    ssize_t count = pread(bench.fd, bytes, sizeof(bytes), 0);
    struct value_key key = value_key_queue(2, 1, 7);
    uint8_t *at = bytes;
    while ((at = memmem(at, (size_t)(bytes + count - at), key.bytes, key.used))) {
        cr_assert_eq(pwrite(bench.fd, "X", 1, at - bytes + key.used + 20), 1);
        at++;
    }
    salvage(&bench);
    cr_assert_eq(entries_of(&bench), ACCOUNTS * ENTRIES - 1);
    cr_assert_eq(bench.report.damaged[VALUE_QUEUE], 1);
    cr_assert_eq(drain_read(bench.fresh.store, 0, 2, 1, 7, &view), 0);
    cr_assert_eq(view.seq, 8);
    drain_read_end(bench.fresh.store, 0);
    rig_close(&bench.fresh);
    finish(&bench);
}

Test(store_salvage, wiped_leaf_loses_no_other_page) {
    struct bench bench;
    make(&bench, false);
    wipe(&bench, page_of(&bench, 3));
    salvage(&bench);
    uint64_t there = entries_of(&bench);
    cr_assert_eq(bench.report.damaged_pages, 1);
    cr_assert_eq(there, ACCOUNTS * ENTRIES - bench.report.missing);
    cr_assert_gt(bench.report.missing, 0);
    cr_assert_lt(bench.report.missing, 30, "one page of entries of 190 bytes, not %lu", bench.report.missing);
    rig_close(&bench.fresh);
    finish(&bench);
}

/* The last commit changed the root: the one before has another, and leads to nearly all. */
Test(store_salvage, wiped_root_is_made_up_for_by_the_commit_before_and_a_scan) {
    struct bench bench;
    make(&bench, true);
    wipe(&bench, page_of(&bench, -1));
    salvage(&bench);
    cr_assert_eq(entries_of(&bench), ACCOUNTS * ENTRIES);
    cr_assert_geq(from(&bench, VALUE_QUEUE, SALVAGE_BEFORE), ACCOUNTS * ENTRIES - 1);
    cr_assert_eq(from(&bench, VALUE_CODE, SALVAGE_BEFORE), 0, "no code of an older commit");
    cr_assert_eq(bench.report.missing, ACCOUNTS, "the codes");
    rig_close(&bench.fresh);
    finish(&bench);
}

Test(store_salvage, file_without_a_root_is_scanned) {
    struct bench bench;
    make(&bench, true);
    wipe(&bench, 0);
    wipe(&bench, 1);
    salvage(&bench);
    cr_assert_eq(entries_of(&bench), ACCOUNTS * ENTRIES);
    cr_assert_eq(from(&bench, VALUE_QUEUE, SALVAGE_SCAN), ACCOUNTS * ENTRIES);
    cr_assert_eq(from(&bench, VALUE_DEVICE, SALVAGE_SCAN), ACCOUNTS);
    rig_close(&bench.fresh);
    finish(&bench);
}

Test(store_salvage, entries_of_a_commit_whose_root_is_lost_are_found) {
    struct bench bench;
    struct pages pages;
    char folder[80];
    make(&bench, true);
    snprintf(folder, sizeof(folder), "%s/env-0", bench.rig.folder);
    cr_assert_eq(pages_open(folder, &pages), 0);
    wipe(&bench, pages.roots[0].commit & 1);
    pages_close(&pages);
    salvage(&bench);
    cr_assert_eq(entries_of(&bench), ACCOUNTS * ENTRIES);
    cr_assert_geq(from(&bench, VALUE_QUEUE, SALVAGE_SCAN), 1);
    rig_close(&bench.fresh);
    finish(&bench);
}

static void lose_accounts(struct map_txn *txn) {
    for (uint64_t account = 1; account <= 2; account++) {
        struct value_key key = value_key_account(VALUE_ACCOUNT, account);
        cr_assert_eq(map_delete(txn, value_key_view(&key)), 0);
    }
    struct value_key name = value_key_name("user1"), other = value_key_name("user3"),
                     counter = value_key_single(VALUE_COUNTER);
    cr_assert_eq(map_delete(txn, value_key_view(&name)), 0);
    cr_assert_eq(map_delete(txn, value_key_view(&other)), 0);
    cr_assert_eq(map_delete(txn, value_key_view(&counter)), 0);
}

Test(store_salvage, directory_with_gaps_is_mended) {
    struct bench bench;
    struct map_txn *txn;
    make(&bench, false);
    rig_open(&bench.rig);
    cr_assert_eq(map_begin(bench.rig.store->environments[0].map, &txn), 0);
    lose_accounts(txn);
    cr_assert_eq(map_commit(txn), 0);
    rig_close(&bench.rig);

    struct check_result result;
    cr_assert_eq(
        salvage_store(bench.rig.folder, bench.fresh.folder, &bench.report, bench.error, sizeof(bench.error)),
        0);
    cr_assert_eq(bench.report.names_mended, 1, "user3");
    cr_assert_eq(bench.report.accounts_mended, 1, "user2");
    cr_assert_eq(bench.report.devices_left_out, 1, "user1's");
    bench.fresh.store = NULL;
    rig_start(&bench.fresh);
    struct account_record record;
    struct request found = {.kind = REQUEST_LOOKUP, .name = "user2", .accounts = &record};
    cr_assert_eq(rig_request(&bench.fresh, &found), 0);
    cr_assert_eq(record.flags, ACCOUNT_SUSPENDED);
    cr_assert_eq(record.device_next, 2);
    uint64_t account;
    uint8_t code[FRAME_CODE_BYTES];
    cr_assert_eq(rig_account(&bench.fresh, "another", &account, code), 0);
    cr_assert_eq(account, ACCOUNTS + 1, "no number is given out twice");
    (void)result;
    rig_close(&bench.fresh);
    finish(&bench);
}

Test(store_salvage, survives_any_damage_and_makes_a_store_that_opens) {
    struct bench bench;
    unsigned state = 11;
    struct stat status;
    char command[128];
    make(&bench, true);
    cr_assert_eq(fstat(bench.fd, &status), 0);
    for (int i = 0; i < 150; i++) {
        for (int j = 0; j < 20; j++) {
            off_t at = (off_t)rand_r(&state) % (status.st_size / PAGE_BYTES) * PAGE_BYTES;
            at += rand_r(&state) % 2 ? rand_r(&state) % 64 : rand_r(&state) % PAGE_BYTES;
            uint8_t byte = (uint8_t)rand_r(&state);
            cr_assert_eq(pwrite(bench.fd, &byte, 1, at), 1);
        }
        int error = salvage_store(bench.rig.folder, bench.fresh.folder, &bench.report, bench.error,
                                  sizeof(bench.error));
        cr_assert_eq(error, 0, "%s", bench.error);
        bench.fresh.store = NULL;
        rig_open(&bench.fresh);
        rig_close(&bench.fresh);
        snprintf(command, sizeof(command), "rm -rf '%s'", bench.fresh.folder);
        cr_assert_eq(system(command), 0);
    }
    finish(&bench);
}
