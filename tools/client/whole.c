#include "tools/client/whole.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PART ".part"

int whole_write(int file, const void *bytes, size_t count) {
    for (size_t at = 0; at < count;) {
        ssize_t wrote = write(file, (const uint8_t *)bytes + at, count - at);
        if (wrote < 0 && errno != EINTR)
            return -errno;
        at += wrote > 0 ? (size_t)wrote : 0;
    }
    return 0;
}

/* Some file systems have no rename that spares what is there. */
int whole_rename(int folder, const char *from, const char *to) {
    if (renameat2(folder, from, folder, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL)
        return -errno;
    if (linkat(folder, from, folder, to, 0) < 0)
        return -errno;
    return unlinkat(folder, from, 0) < 0 ? -errno : 0;
}

/* --- begun ---------------------------------------------------------------------------------------------- */

/* Only who has a part locked renames or removes it: so from here on it is this process's. -EBUSY: it is
 * another's, or was until now. */
static int lock_part(int file, const char *part) {
    struct stat opened, named;
    if (flock(file, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? -EBUSY : -errno;
    if (fstat(file, &opened) < 0)
        return -errno;
    if (lstat(part, &named) < 0)
        return errno == ENOENT ? -EBUSY : -errno;
    return opened.st_dev == named.st_dev && opened.st_ino == named.st_ino ? 0 : -EBUSY;
}

static int remove_left_behind(const char *part) {
    int file = open(part, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file < 0)
        return errno == ENOENT ? 0 : -errno;
    int error = lock_part(file, part);
    if (!error && unlink(part) < 0)
        error = -errno;
    close(file);
    return error;
}

int whole_begin(struct whole *whole, const char *path, mode_t mode) {
    struct stat status;
    whole->path = path;
    if ((size_t)snprintf(whole->part, sizeof(whole->part), "%s" PART, path) >= sizeof(whole->part))
        return -ENAMETOOLONG;
    if (lstat(path, &status) == 0)
        return -EEXIST;
    int error = remove_left_behind(whole->part);
    if (error)
        return error;
    whole->file = open(whole->part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (whole->file < 0)
        return errno == EEXIST ? -EBUSY : -errno;
    error = lock_part(whole->file, whole->part);
    if (error)
        close(whole->file);
    return error;
}

/* --- ended ---------------------------------------------------------------------------------------------- */

static int sync_folder_of(const char *path) {
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
    int file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file < 0)
        return -errno;
    int error = fsync(file) < 0 ? -errno : 0;
    close(file);
    return error;
}

int whole_finish(struct whole *whole) {
    int error = fsync(whole->file) < 0 ? -errno : whole_rename(AT_FDCWD, whole->part, whole->path);
    if (error) {
        whole_abort(whole);
        return error;
    }
    if (close(whole->file) < 0)
        return -errno;
    return sync_folder_of(whole->path);
}

void whole_abort(struct whole *whole) {
    unlink(whole->part);
    close(whole->file);
}
