/* What a check finds: damaged values, damaged pages, records that don't fit; and that a healthy store, of any
 * shape, has nothing. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "core/bytes.h"
#include "storage/check.h"
#include "storage/pages.h"
#include "tests/support/store_rig.h"

TestSuite(store_check, .timeout = 120);

#define PAGE_BYTES 4096
#define FINDINGS_MAX 32

struct findings {
    struct check_finding all[FINDINGS_MAX];
    uint32_t count;
    struct check_result result;
};

static void keep(void *context, const struct check_finding *finding) {
    struct findings *findings = context;
    if (findings->count < FINDINGS_MAX)
        findings->all[findings->count++] = *finding;
}

static struct findings check(const struct rig *rig) {
    struct findings findings = {.count = 0};
    char error[256];
    int status = check_store(rig->folder, keep, &findings, &findings.result, error, sizeof(error));
    cr_assert_eq(status, 0, "%s", error);
    cr_assert_eq(findings.count, findings.result.findings);
    return findings;
}

static bool has(const struct findings *findings, const char *where, const char *what) {
    for (uint32_t i = 0; i < findings->count; i++) {
        if (strstr(findings->all[i].where, where) && strstr(findings->all[i].what, what))
            return true;
    }
    return false;
}

static void expect(const struct findings *findings, const char *where, const char *what) {
    if (has(findings, where, what))
        return;
    for (uint32_t i = 0; i < findings->count; i++)
        fprintf(stderr, "found: %s %s\n", findings->all[i].where, findings->all[i].what);
    cr_assert_fail("not found: %s %s", where, what);
}

/* Accounts 1 .. count with a device each, and entries for it. */
static void make(struct rig *rig, uint64_t count, uint64_t entries) {
    char name[16];
    rig_make(rig);
    rig_start(rig);
    for (uint64_t i = 1; i <= count; i++) {
        uint64_t account;
        struct request link = {.kind = REQUEST_LINK, .key = {(uint8_t)i}};
        snprintf(name, sizeof(name), "user%u", (unsigned)i);
        cr_assert_eq(rig_account(rig, name, &account, link.code), 0);
        link.account = account;
        cr_assert_eq(rig_request(rig, &link), 0);
        for (uint64_t seq = 1; seq <= entries; seq++)
            cr_assert_eq(rig_put(rig, (struct rig_put){.account = account, .seq = seq}), 0);
    }
}

static int open_file(const struct rig *rig) {
    char path[128];
    snprintf(path, sizeof(path), "%s/env-0/data.mdb", rig->folder);
    int fd = open(path, O_RDWR);
    cr_assert_geq(fd, 0);
    return fd;
}

Test(store_check, healthy_store_has_nothing) {
    struct rig rig;
    make(&rig, 20, 3);
    rig_close(&rig);
    struct findings findings = check(&rig);
    cr_assert_eq(findings.count, 0, "%s %s", findings.all[0].where, findings.all[0].what);
    uint64_t records = findings.result.records;
    cr_assert_eq(records, 20 * (3 + 4) + 2, "account, name, device and code, not %lu", records);
    rig_remove(&rig);
}

/* What the library reads and what we read of the same file are the same. */
struct reading {
    struct map_cursor *cursor;
    uint64_t count;
    bool started;
};

static int compare_record(void *context, struct map_view key, struct map_view value, uint64_t page) {
    struct reading *reading = context;
    struct map_view expected_key = {.at = (const uint8_t *)"", .bytes = 0}, expected_value;
    static const uint8_t first = 0;
    (void)page;
    struct map_view from = {.at = &first, .bytes = 1};
    int error = reading->started ? map_next(reading->cursor, &expected_key, &expected_value)
                                 : map_seek(reading->cursor, from, &expected_key, &expected_value);
    cr_assert_eq(error, 0);
    cr_assert(key.bytes == expected_key.bytes && memcmp(key.at, expected_key.at, key.bytes) == 0);
    cr_assert(value.bytes == expected_value.bytes && memcmp(value.at, expected_value.at, value.bytes) == 0);
    reading->started = true;
    reading->count++;
    return 0;
}

static int no_fault(void *context, const struct pages_fault *fault) {
    (void)context;
    cr_assert_fail("page %lu %s", (unsigned long)fault->page, fault->what);
    return 0;
}

static void fill_at_random(struct map *map, unsigned *state) {
    struct map_txn *txn;
    uint8_t *space;
    cr_assert_eq(map_begin(map, &txn), 0);
    for (int i = 0; i < 300; i++) {
        struct value_key key =
            value_key_queue((uint64_t)rand_r(state) % 50 + 1, 1, (uint64_t)rand_r(state) % 200);
        size_t bytes = (size_t)rand_r(state) % (rand_r(state) % 4 ? 300 : 20000) + 1;
        if (rand_r(state) % 3 == 0) {
            (void)map_delete(txn, value_key_view(&key));
            continue;
        }
        cr_assert_eq(map_put(txn, value_key_view(&key), bytes, &space), 0);
        memset(space, (int)bytes, bytes);
    }
    cr_assert_eq(map_commit(txn), 0);
}

Test(store_check, pages_are_read_as_the_library_reads_them) {
    char folder[] = "/tmp/tern-pages-XXXXXX", command[64];
    struct map *map;
    struct map_txn *txn;
    unsigned state = 7;
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(map_open(folder, 256 << 20, 8, &map), 0);
    for (int round = 0; round < 40; round++) {
        struct pages pages;
        struct reading reading = {.count = 0};
        struct value_key all = {.used = 0};
        fill_at_random(map, &state);
        cr_assert_eq(map_begin_read(map, &txn), 0);
        cr_assert_eq(map_cursor_open(txn, &reading.cursor), 0);
        cr_assert_eq(pages_open(folder, &pages), 0);
        cr_assert_eq(pages.root_count, 2);
        struct pages_visitor visitor = {.record = compare_record, .fault = no_fault, .context = &reading};
        cr_assert_eq(pages_walk(&pages, &pages.roots[0], &all, &visitor), 0);
        cr_assert_eq(reading.count, pages.roots[0].records);
        pages_close(&pages);
        map_cursor_close(reading.cursor);
        map_abort(txn);
    }
    map_close(map);
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    cr_assert_eq(system(command), 0);
}

Test(store_check, flipped_value_is_named) {
    struct rig rig;
    static uint8_t bytes[8 << 20];
    make(&rig, 3, 0);
    rig_put(&rig, (struct rig_put){.account = 2, .seq = 7, .text = "damageable"});
    rig_close(&rig);
    int fd = open_file(&rig);
    ssize_t count = read(fd, bytes, sizeof(bytes));
    for (uint8_t *at = bytes; (at = memmem(at, (size_t)(bytes + count - at), "damageable", 10)); at++)
        cr_assert_eq(pwrite(fd, "D", 1, at - bytes), 1);
    close(fd);
    struct findings findings = check(&rig);
    cr_assert_eq(findings.count, 1);
    expect(&findings, "queue entry 7 of account 2, device 1", "is damaged");
    rig_remove(&rig);
}

Test(store_check, damaged_pages_are_named_with_what_they_hide) {
    struct rig rig;
    make(&rig, 4, 60);
    rig_close(&rig);
    int fd = open_file(&rig);
    struct pages pages;
    char folder[80], where[64];
    snprintf(folder, sizeof(folder), "%s/env-0", rig.folder);
    cr_assert_eq(pages_open(folder, &pages), 0);
    uint64_t root = pages.roots[0].page;
    cr_assert_eq(pages.roots[0].depth, 2, "small enough that the root leads to leaves");
    uint8_t page[PAGE_BYTES];
    cr_assert_eq(pread(fd, page, PAGE_BYTES, (off_t)(root * PAGE_BYTES)), PAGE_BYTES);
    uint32_t node = bytes_get16(page + 16 + 2);
    uint64_t leaf = bytes_get32(page + node);
    pages_close(&pages);
    static const uint8_t zeros[PAGE_BYTES];
    cr_assert_eq(pwrite(fd, zeros, PAGE_BYTES, (off_t)(leaf * PAGE_BYTES)), PAGE_BYTES);
    struct findings findings = check(&rig);
    snprintf(where, sizeof(where), "page %lu of env-0/data.mdb", (unsigned long)leaf);
    expect(&findings, where, "does not bear its own number; it hides what lies from");
    cr_assert_eq(pwrite(fd, zeros, PAGE_BYTES, 0), PAGE_BYTES);
    findings = check(&rig);
    expect(&findings, "env-0/data.mdb", "has one root only");
    cr_assert_eq(pwrite(fd, zeros, PAGE_BYTES, PAGE_BYTES), PAGE_BYTES);
    findings = check(&rig);
    expect(&findings, "env-0/data.mdb", "has no whole root");
    cr_assert_eq(ftruncate(fd, 100), 0);
    findings = check(&rig);
    expect(&findings, "env-0/data.mdb", "too short");
    close(fd);
    rig_remove(&rig);
}

static void change(struct rig *rig, void (*apply)(struct map_txn *txn)) {
    struct map_txn *txn;
    rig_open(rig);
    cr_assert_eq(map_begin(rig->store->environments[0].map, &txn), 0);
    apply(txn);
    cr_assert_eq(map_commit(txn), 0);
    rig_close(rig);
}

static void unfit(struct map_txn *txn) {
    struct value_key key = value_key_name("user1");
    cr_assert_eq(map_delete(txn, value_key_view(&key)), 0);
    cr_assert_eq(value_put_name(txn, "nobody", 77), 0);
    cr_assert_eq(value_put_name(txn, "other", 2), 0);
    cr_assert_eq(value_put_block(txn, 88, 1), 0);
    struct device_record device = {.account = 99, .device = 1};
    cr_assert_eq(value_put_device(txn, &device), 0);
    device = (struct device_record){.account = 3, .device = 9};
    cr_assert_eq(value_put_device(txn, &device), 0);
    cr_assert_eq(value_put_counter(txn, 2), 0);
    uint8_t frame[RIG_FRAME_BYTES];
    struct value_key entry_key = value_key_queue(3, 4, 5);
    struct value_queue entry = {.frame = frame, .frame_bytes = rig_message(frame, 3, 5, "text", 4)};
    cr_assert_eq(value_put_queue(txn, &entry_key, &entry), 0);
}

Test(store_check, records_that_do_not_fit_are_named) {
    struct rig rig;
    make(&rig, 3, 1);
    rig_close(&rig);
    change(&rig, unfit);
    struct findings findings = check(&rig);
    expect(&findings, "account 1", "has a name that does not lead to it");
    expect(&findings, "name nobody", "leads to an account that is not there");
    expect(&findings, "name other", "leads to an account that has another name");
    expect(&findings, "block of account 1 by account 88", "belongs to an account that is not there");
    expect(&findings, "device 1 of account 99", "belongs to an account that is not there");
    expect(&findings, "device 9 of account 3", "has a number that its account has not given out");
    expect(&findings, "account counter", "would give a number out twice");
    expect(&findings, "of account 3, device 4", "wait for a device that is not there");
    cr_assert_eq(findings.count, 8);
    rig_remove(&rig);
}

/* Whatever a byte of the file becomes: the check comes back. That it finds it is another thing: most bytes of
 * a file are free. */
Test(store_check, survives_any_byte) {
    struct rig rig;
    unsigned state = 3;
    make(&rig, 5, 20);
    rig_close(&rig);
    int fd = open_file(&rig);
    struct stat status;
    cr_assert_eq(fstat(fd, &status), 0);
    for (int i = 0; i < 3000; i++) {
        /* Headers and nodes are where it hurts. */
        off_t at = (off_t)rand_r(&state) % (status.st_size / PAGE_BYTES) * PAGE_BYTES;
        at += rand_r(&state) % 2 ? rand_r(&state) % 64 : rand_r(&state) % PAGE_BYTES;
        uint8_t before, damaged = (uint8_t)rand_r(&state);
        cr_assert_eq(pread(fd, &before, 1, at), 1);
        cr_assert_eq(pwrite(fd, &damaged, 1, at), 1);
        check(&rig);
        if (i % 4)
            cr_assert_eq(pwrite(fd, &before, 1, at), 1);
    }
    close(fd);
    rig_remove(&rig);
}
