/* What the store does when the disk fails: the program's own fdatasync, pwrite and writev come before libc's,
 * so that LMDB meets the failures we want. */
#include <errno.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "core/frame_keys.h"
#include "tests/support/store_rig.h"

static _Atomic int sync_error, write_error;

int fdatasync(int fd) {
    if (sync_error) {
        errno = sync_error;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
    if (write_error) {
        errno = write_error;
        return -1;
    }
    return syscall(SYS_pwrite64, fd, bytes, count, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (write_error && fd > STDERR_FILENO) {
        errno = write_error;
        return -1;
    }
    return syscall(SYS_writev, fd, parts, count);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    if (write_error) {
        errno = write_error;
        return -1;
    }
    return syscall(SYS_pwritev, fd, parts, count, offset, 0);
}

TestSuite(store_fault, .timeout = 120);

Test(store_fault, failed_fsync_closes_to_writes_for_good_and_reads_go_on) {
    struct rig rig;
    struct store_status status;
    rig_make(&rig);
    rig_start(&rig);
    cr_assert_eq(rig_put(&rig, (struct rig_put){.account = 5, .seq = 1}), 0);
    sync_error = EIO;
    cr_assert_eq(rig_put(&rig, (struct rig_put){.account = 5, .seq = 2}), -EIO);
    sync_error = 0;
    cr_assert_eq(rig_put(&rig, (struct rig_put){.account = 5, .seq = 2, .generation = 1}), -EIO);
    struct request request = {.kind = REQUEST_CODE_ADD, .account = 5};
    cr_assert_eq(rig_request(&rig, &request), -EIO);
    store_read_status(rig.store, 0, &status);
    cr_assert(status.closed);
    cr_assert_not_null(strstr(status.error, "commit failed"), "%s", status.error);
    cr_assert_eq(rig_count(&rig, 5, 1), 1);
    rig_close(&rig);
    rig_start(&rig);
    cr_assert_eq(rig_count(&rig, 5, 1), 1, "only what was answered is there");
    cr_assert_eq(rig_put(&rig, (struct rig_put){.account = 5, .seq = 2}), 0, "a restart opens it again");
    rig_close(&rig);
    rig_remove(&rig);
}

/* What is not known to be on the disk might be handed out again. */
Test(store_fault, a_one_time_key_is_handed_out_only_when_the_disk_knows) {
    uint8_t bytes[FRAME_KEYS_BYTES + FRAME_ONE_TIME_BYTES] = {
        [FRAME_KEYS_SIGNED_ID] = 1, [FRAME_KEYS_BYTES] = 1};
    struct rig rig;
    uint64_t bob;
    struct request link = {.kind = REQUEST_LINK, .key = {1}};
    rig_make(&rig);
    rig_start(&rig);
    cr_assert_eq(rig_account(&rig, "bob", &bob, link.code), 0);
    link.account = bob;
    cr_assert_eq(rig_request(&rig, &link), 0);
    struct request put = {
        .kind = REQUEST_KEYS_PUT, .account = bob, .device_number = 1, .bytes = bytes, .count = 1};
    cr_assert_eq(rig_request(&rig, &put), 0);
    free(put.devices);
    sync_error = EIO;
    struct request get = {.kind = REQUEST_KEYS_GET, .account = bob, .other = 9};
    cr_assert_eq(rig_request(&rig, &get), -EIO);
    sync_error = 0;
    cr_assert_eq(rig_request(&rig, &get), -EIO, "the store is closed");
    free(get.bytes);
    free(get.devices);
    rig_close(&rig);
    rig_remove(&rig);
}

Test(store_fault, full_disk_refuses_puts_and_heals) {
    struct rig rig;
    struct store_status status;
    rig_make(&rig);
    rig_start(&rig);
    cr_assert_eq(rig_put(&rig, (struct rig_put){.account = 5, .seq = 1}), 0);
    write_error = ENOSPC;
    cr_assert_eq(rig_put(&rig, (struct rig_put){.account = 5, .seq = 2}), -ENOSPC);
    cr_assert_eq(rig_put(&rig, (struct rig_put){.account = 5, .seq = 3}), -ECANCELED);
    write_error = 0;
    cr_assert_eq(rig_put(&rig, (struct rig_put){.account = 5, .seq = 2, .generation = 1}), 0);
    store_read_status(rig.store, 0, &status);
    cr_assert_not(status.closed);
    cr_assert_eq(rig_count(&rig, 5, 1), 2);
    rig_close(&rig);
    rig_remove(&rig);
}

Test(store_fault, a_delete_that_a_full_disk_refused_is_done_when_there_is_room) {
    struct rig rig;
    rig_make(&rig);
    rig_start(&rig);
    for (uint64_t seq = 1; seq <= 3; seq++)
        cr_assert_eq(rig_put(&rig, (struct rig_put){.account = 5, .seq = seq}), 0);
    write_error = ENOSPC;
    rig_delete(&rig, 5, 1, 1, 2);
    cr_assert_eq(rig_count(&rig, 5, 1), 3);
    write_error = 0;
    for (uint32_t waited_ms = 0; waited_ms < RIG_WAIT_MS && rig_count(&rig, 5, 1) != 1; waited_ms += 10)
        usleep(10000);
    cr_assert_eq(rig_count(&rig, 5, 1), 1);
    rig_close(&rig);
    rig_remove(&rig);
}
