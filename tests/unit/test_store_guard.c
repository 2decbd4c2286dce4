/* Pages of the store's map that the disk does not give any more (SIGBUS): the file is cut short under a
 * running store. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "storage/guard.h"
#include "tests/support/store_rig.h"

#define PAGE 4096
#define ENTRIES 60
#define LARGE 900 /* bytes: four to a page */

static uint64_t account_in(const struct rig *rig, uint32_t environment) {
    uint64_t account = 1;
    while (store_environment_of(rig->store, account) != environment)
        account++;
    return account;
}

static const char *data_file(const struct rig *rig, uint32_t environment) {
    static char path[128];
    snprintf(path, sizeof(path), "%s/env-%u/data.mdb", rig->folder, environment);
    return path;
}

static off_t file_bytes(const struct rig *rig, uint32_t environment) {
    struct stat status;
    cr_assert_eq(stat(data_file(rig, environment), &status), 0);
    return status.st_size;
}

static void cut(const struct rig *rig, uint32_t environment, off_t bytes) {
    cr_assert_eq(truncate(data_file(rig, environment), bytes), 0);
}

static void keep(const struct rig *rig, const char *command) { /* "save" or "restore" */
    char text[512];
    bool save = strcmp(command, "save") == 0;
    snprintf(text, sizeof(text), "cp '%s%s' '%s%s'", data_file(rig, 0), save ? "" : ".kept",
             data_file(rig, 0), save ? ".kept" : "");
    cr_assert_eq(system(text), 0);
}

static void fill(struct rig *rig, uint64_t account, uint64_t entries) {
    for (uint64_t seq = 1; seq <= entries; seq++)
        cr_assert_eq(rig_put(rig, (struct rig_put){.account = account, .seq = seq, .bytes = LARGE}), 0);
}

static int fetch(struct rig *rig, uint64_t account) {
    struct queue_entry entries[8];
    struct request request = {.kind = REQUEST_FETCH,
                              .account = account,
                              .device_number = 1,
                              .entries = entries,
                              .capacity = 8,
                              .value = 8};
    return rig_request_to(rig, RIG_SHARDS + store_environment_of(rig->store, account), &request);
}

static struct store_status status_when_closed(const struct rig *rig, uint32_t environment) {
    struct store_status status;
    for (int i = 0; i < RIG_WAIT_MS; i++, usleep(1000)) {
        store_read_status(rig->store, environment, &status);
        if (status.closed)
            break;
    }
    return status;
}

Test(store_guard, missing_page_closes_its_environment_and_no_other) {
    struct rig rig;
    struct store_view view;
    rig_make(&rig);
    rig.config.store_environments = 2;
    rig_start(&rig);
    uint64_t bad = account_in(&rig, 0), good = account_in(&rig, 1);
    fill(&rig, bad, ENTRIES);
    fill(&rig, good, ENTRIES);
    keep(&rig, "save");
    cut(&rig, 0, 0);

    cr_assert_eq(drain_read(rig.store, 0, bad, 1, 1, &view), -EIO);
    drain_read_end(rig.store, 0);
    struct store_status status = status_when_closed(&rig, 0);
    cr_assert(status.closed);
    cr_assert_str_eq(status.error, "read failed: Input/output error");
    cr_assert_eq(rig_put(&rig, (struct rig_put){.account = bad, .seq = ENTRIES + 1}), -EIO);
    cr_assert_eq(fetch(&rig, bad), -EIO);
    cr_assert_eq(drain_read(rig.store, 1, bad, 1, 1, &view), -EIO);
    drain_read_end(rig.store, 1);
    cr_assert_eq(file_bytes(&rig, 0), 0, "something was written to the file");

    cr_assert_eq(rig_put(&rig, (struct rig_put){.account = good, .seq = ENTRIES + 1}), 0);
    cr_assert_eq(rig_count(&rig, good, 1), ENTRIES + 1);
    store_read_status(rig.store, 1, &status);
    cr_assert_not(status.closed);
    rig_close(&rig);

    keep(&rig, "restore");
    rig_start(&rig);
    cr_assert_eq(rig_count(&rig, bad, 1), ENTRIES);
    cr_assert_eq(rig_put(&rig, (struct rig_put){.account = bad, .seq = ENTRIES + 1}), 0);
    rig_close(&rig);
    rig_remove(&rig);
}

/* What a shard reads is true, or it is told that it is not known: never that there is none, nor that an
 * entry is damaged, which it would pass over. */
static uint64_t drain_until_missing(struct rig *rig, uint64_t account, uint64_t cut_at, off_t bytes) {
    uint8_t frame[RIG_FRAME_BYTES], copy[RIG_FRAME_BYTES];
    struct store_view view;
    uint64_t seq = 1;
    for (; seq <= ENTRIES; seq++) {
        if (seq == cut_at)
            cut(rig, 0, bytes);
        int error = drain_read(rig->store, 0, account, 1, seq, &view);
        if (error == 0) {
            memcpy(copy, view.frame, view.frame_bytes);
            error = drain_check(rig->store, account);
        }
        if (error) {
            cr_assert_eq(error, -EIO);
            break;
        }
        cr_assert_eq(view.seq, seq);
        uint32_t frame_bytes = rig_message(frame, account, seq, "text", LARGE);
        cr_assert_eq(view.frame_bytes, frame_bytes);
        cr_assert_eq(memcmp(copy, frame, frame_bytes), 0);
    }
    drain_read_end(rig->store, 0);
    return seq - 1;
}

Test(store_guard, drain_is_true_up_to_the_missing_page) {
    struct rig rig;
    rig_make(&rig);
    rig_start(&rig);
    uint64_t account = account_in(&rig, 0), ends = 0;
    fill(&rig, account, ENTRIES);
    rig_close(&rig);
    keep(&rig, "save");
    off_t bytes = file_bytes(&rig, 0);
    for (off_t at = 0; at < bytes; at += PAGE) {
        rig_open(&rig);
        uint64_t got = drain_until_missing(&rig, account, 1 + (uint64_t)(at / PAGE) % ENTRIES, at);
        ends += got < ENTRIES;
        rig_close(&rig);
        keep(&rig, "restore");
    }
    cr_assert_gt(ends, 10);
    rig_start(&rig);
    cr_assert_eq(rig_count(&rig, account, 1), ENTRIES);
    rig_close(&rig);
    rig_remove(&rig);
}

static void write_on(struct rig *rig, uint64_t account, uint32_t *refused) {
    int status = rig_put(rig, (struct rig_put){.account = account, .seq = ENTRIES + 1, .bytes = LARGE});
    struct note note = {.kind = NOTE_DELETE, .device = 1};
    note.erase.account = account;
    note.erase.first = 1;
    note.erase.last = ENTRIES;
    rig_post(rig, rig_admin(rig), RIG_SHARDS, &note);
    int found = fetch(rig, account); /* after the delete */
    cr_assert(status == 0 || status == -EIO, "put: %d", status);
    cr_assert(found == 0 || found == -EIO, "fetch: %d", found);
    if (status || found) {
        ++*refused;
        cr_assert(status_when_closed(rig, 0).closed);
        status = rig_put(rig, (struct rig_put){.account = account, .seq = ENTRIES + 2, .generation = 1});
        cr_assert_eq(status, -EIO);
    }
}

Test(store_guard, write_meets_a_missing_page_anywhere) {
    struct rig rig;
    uint32_t refused = 0;
    rig_make(&rig);
    rig_start(&rig);
    uint64_t account = account_in(&rig, 0);
    fill(&rig, account, ENTRIES);
    rig_close(&rig);
    keep(&rig, "save");
    off_t bytes = file_bytes(&rig, 0);
    for (off_t at = 0; at < bytes; at += PAGE) {
        rig_start(&rig);
        cut(&rig, 0, at);
        write_on(&rig, account, &refused);
        rig_close(&rig);
        keep(&rig, "restore");
    }
    cr_assert_gt(refused, 10);
    rig_remove(&rig);
}

Test(store_guard, backup_of_missing_pages_fails) {
    struct rig rig;
    uint32_t refused = 0;
    rig_make(&rig);
    rig_start(&rig);
    uint64_t account = account_in(&rig, 0);
    fill(&rig, account, ENTRIES);
    off_t bytes = file_bytes(&rig, 0);
    rig_close(&rig);
    keep(&rig, "save");
    for (off_t at = 0; at < bytes; at += PAGE) {
        struct request request = {.kind = REQUEST_BACKUP};
        snprintf(request.text, sizeof(request.text), "%s/backup-%u", rig.folder, (unsigned)(at / PAGE));
        rig_start(&rig);
        cut(&rig, 0, at);
        int status = rig_request(&rig, &request);
        refused += status == -EIO;
        if (status == 0)
            cr_assert_not(map_failed(rig.store->environments[0].map));
        rig_close(&rig);
        keep(&rig, "restore");
    }
    cr_assert_gt(refused, 10);
    rig_remove(&rig);
}

Test(store_guard, start_without_a_page_is_refused) {
    struct rig rig;
    rig_make(&rig);
    rig_start(&rig);
    fill(&rig, account_in(&rig, 0), ENTRIES);
    rig_close(&rig);
    cut(&rig, 0, 2L * PAGE);
    cr_assert_eq(rig_try_open(&rig), -EIO);
    cr_assert_not_null(strstr(rig.error, "Input/output error"), "%s", rig.error);
    rig_close(&rig);
    rig_remove(&rig);
}

static struct rig doomed;

static void doomed_open(void) {
    signal(SIGBUS, SIG_DFL); /* and no sanitizer's report */
    rig_make(&doomed);
    rig_open(&doomed);
}

static void doomed_remove(void) {
    rig_remove(&doomed);
}

Test(store_guard, missing_page_of_another_map_ends_the_process, .init = doomed_open, .fini = doomed_remove,
     .signal = SIGBUS) {
    int fd = open(doomed.folder, O_TMPFILE | O_RDWR, 0600);
    cr_assert_geq(fd, 0);
    const volatile uint8_t *map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    cr_assert_neq(map, MAP_FAILED);
    (void)map[0];
}

Test(store_guard, signal_from_a_process_ends_it, .init = doomed_open, .fini = doomed_remove,
     .signal = SIGBUS) {
    raise(SIGBUS);
}
