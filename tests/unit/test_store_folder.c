#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "storage/folder.h"
#include "tests/support/store_rig.h"

TestSuite(store_folder, .timeout = 120);

Test(store_folder, key_is_made_once_and_private) {
    struct rig rig;
    struct stat status;
    char path[128];
    uint8_t secret[2][KEY_BYTES], public[2][KEY_BYTES];
    rig_make(&rig);
    for (int i = 0; i < 2; i++) {
        rig_open(&rig);
        store_server_key(rig.store, secret[i], public[i]);
        rig_close(&rig);
    }
    cr_assert_eq(memcmp(secret[0], secret[1], KEY_BYTES), 0);
    snprintf(path, sizeof(path), "%s/server.key", rig.folder);
    cr_assert_eq(stat(path, &status), 0);
    cr_assert_eq(status.st_mode & 0777, 0600);
    cr_assert_eq(chmod(path, 0644), 0);
    cr_assert_eq(rig_try_open(&rig), -EPERM);
    cr_assert_not_null(strstr(rig.error, "chmod"));
    rig_close(&rig);
    cr_assert_eq(chmod(path, 0600), 0);
    cr_assert_eq(truncate(path, 31), 0);
    cr_assert_eq(rig_try_open(&rig), -EUCLEAN);
    cr_assert_not_null(strstr(rig.error, "is not the 32 bytes of a key"), "%s", rig.error);
    rig_close(&rig);
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(rig_try_open(&rig), -ENOENT, "a store without its key gets no new one");
    rig_close(&rig);
    rig_remove(&rig);
}

Test(store_folder, second_switch_is_refused) {
    struct rig rig, other;
    rig_make(&rig);
    rig_open(&rig);
    other = rig;
    other.store = NULL;
    cr_assert_eq(rig_try_open(&other), -EBUSY);
    cr_assert_not_null(strstr(other.error, "in use"));
    rig_close(&other);
    rig_close(&rig);
    rig_remove(&rig);
}

Test(store_folder, newer_format_is_refused_with_a_sentence) {
    struct rig rig;
    struct map_txn *txn;
    rig_make(&rig);
    rig_open(&rig);
    struct value_meta meta = {.format = STORE_FORMAT + 1, .environments = 1};
    cr_assert_eq(map_begin(rig.store->environments[0].map, &txn), 0);
    cr_assert_eq(value_put_meta(txn, &meta), 0);
    cr_assert_eq(map_commit(txn), 0);
    rig_close(&rig);
    cr_assert_eq(rig_try_open(&rig), -EPROTO);
    cr_assert_not_null(strstr(rig.error, "newer version"), "%s", rig.error);
    rig_close(&rig);
    rig_remove(&rig);
}

Test(store_folder, lost_environment_is_noticed) {
    for (int lost = 0; lost < 2; lost++) {
        struct rig rig;
        char command[128];
        rig_make(&rig);
        rig.config.store_environments = 2;
        rig_start(&rig);
        for (uint64_t account = 1; account <= 10; account++)
            rig_put(&rig, (struct rig_put){.account = account, .seq = 1});
        rig_close(&rig);
        snprintf(command, sizeof(command), "rm '%s/env-%d/data.mdb'", rig.folder, lost);
        cr_assert_eq(system(command), 0);
        cr_assert_eq(rig_try_open(&rig), -EUCLEAN);
        cr_assert_not_null(strstr(rig.error, "missing"), "%s", rig.error);
        rig_close(&rig);
        rig_remove(&rig);
    }
}

/* Flips a bit of the text in the environment's file. */
static void damage(const struct rig *rig, const char *text) {
    char path[128];
    static char bytes[4 << 20];
    snprintf(path, sizeof(path), "%s/env-0/data.mdb", rig->folder);
    int fd = open(path, O_RDWR);
    ssize_t count = read(fd, bytes, sizeof(bytes));
    cr_assert_gt(count, 0);
    char *at = memmem(bytes, (size_t)count, text, strlen(text));
    cr_assert_not_null(at);
    for (; at; at = memmem(at, (size_t)(bytes + count - at), text, strlen(text))) {
        at[2] ^= 1;
        cr_assert_eq(pwrite(fd, at, 4, at - bytes), 4);
    }
    close(fd);
}

Test(store_folder, damaged_entry_is_not_served_and_the_others_are) {
    struct rig rig;
    struct store_view view;
    rig_make(&rig);
    rig_start(&rig);
    rig_put(&rig, (struct rig_put){.account = 5, .seq = 1, .text = "healthy"});
    rig_put(&rig, (struct rig_put){.account = 5, .seq = 2, .text = "damageable"});
    rig_put(&rig, (struct rig_put){.account = 5, .seq = 3, .text = "healthy"});
    rig_close(&rig);
    damage(&rig, "damageable");
    rig_start(&rig);
    cr_assert_eq(drain_read(rig.store, 0, 5, 1, 1, &view), 0);
    cr_assert_eq(drain_read(rig.store, 0, 5, 1, 2, &view), -EUCLEAN);
    cr_assert_eq(view.seq, 2);
    cr_assert_eq(drain_read(rig.store, 0, 5, 1, 3, &view), 0);
    drain_read_end(rig.store, 0);
    rig_close(&rig);
    rig_remove(&rig);
}

Test(store_folder, file_that_is_none_of_lmdbs_is_refused_with_a_sentence) {
    struct rig rig;
    char path[128];
    uint8_t garbage[8192];
    rig_make(&rig);
    rig_open(&rig);
    rig_close(&rig);
    memset(garbage, 0xa5, sizeof(garbage));
    snprintf(path, sizeof(path), "%s/env-0/data.mdb", rig.folder);
    int fd = open(path, O_RDWR);
    cr_assert_eq(pwrite(fd, garbage, sizeof(garbage), 0), sizeof(garbage));
    close(fd);
    cr_assert_eq(rig_try_open(&rig), -EUCLEAN);
    cr_assert_not_null(strstr(rig.error, "store salvage"), "%s", rig.error);
    rig_close(&rig);
    rig_remove(&rig);
}

Test(store_folder, backup_opens_equals_and_has_no_codes) {
    struct rig rig, copy;
    uint64_t account;
    uint8_t code[FRAME_CODE_BYTES], unused[FRAME_CODE_BYTES];
    uint8_t secret[2][KEY_BYTES], public[KEY_BYTES];
    rig_make(&rig);
    rig.config.store_environments = 2;
    rig_start(&rig);
    cr_assert_eq(rig_account(&rig, "alice", &account, code), 0);
    cr_assert_eq(rig_account(&rig, "bob", &account, unused), 0);
    for (uint64_t i = 1; i <= 40; i++)
        cr_assert_eq(rig_put(&rig, (struct rig_put){.account = i, .seq = i}), 0);
    struct request request = {.kind = REQUEST_BACKUP};
    snprintf(request.text, sizeof(request.text), "%s/copy", rig.folder);
    cr_assert_eq(rig_request(&rig, &request), 0, "%s", request.text);
    cr_assert_eq(rig_request(&rig, &request), -EEXIST, "not twice into the same folder");
    store_server_key(rig.store, secret[0], public);

    copy = rig;
    snprintf(copy.folder, sizeof(copy.folder), "%.50s/copy", rig.folder);
    copy.store = NULL;
    rig_start(&copy);
    store_server_key(copy.store, secret[1], public);
    cr_assert_eq(memcmp(secret[0], secret[1], KEY_BYTES), 0);
    for (uint64_t i = 1; i <= 40; i++)
        cr_assert_eq(rig_count(&copy, i, 1), 1);
    struct request found = {.kind = REQUEST_LOOKUP, .name = "bob"};
    cr_assert_eq(rig_request(&copy, &found), 0);
    cr_assert_eq(found.account, account);
    struct request link = {.kind = REQUEST_LINK, .account = account, .key = {1}};
    memcpy(link.code, unused, FRAME_CODE_BYTES);
    cr_assert_eq(rig_request(&copy, &link), -EKEYREJECTED, "codes are void in a copy");
    cr_assert_eq(rig_request(&rig, &link), 0, "but not in the store itself");
    rig_close(&copy);
    rig_close(&rig);
    rig_remove(&rig);
}
