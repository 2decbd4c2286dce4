/* tools/client/disk.h on LMDB. LMDB's own defaults give what it promises: a commit syncs the pages, then the
 * page that points to them; its lock is a robust mutex, so that a process that was killed inside a
 * transaction stops nobody. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/crash.h"
#include "tools/client/disk.h"

#define DISK_FILE_MODE 0600
#define DATA_FILE "data.mdb" /* as LMDB names them */
#define LOCK_FILE "lock.mdb"
#define FULL_BYTES (1u << 20) /* a disk with less room has none: blocks are not handed out one by one */
#define LOCK_READER_BYTES 64  /* of LMDB's lock file for each reader: a line of the processor's cache */
#define LOCK_SPARE_READERS 16 /* more than its head takes */
#define READERS_MAX 126       /* programs on one home at a time: as many as LMDB has places for by default */
#define COMMIT_US 50          /* from writing to the file to letting readers have it */
#define COMMIT_TRIES 100      /* a process that was killed in between never does */

struct disk {
    MDB_env *env;
    MDB_dbi dbi;
    MDB_txn *txn;
    MDB_cursor *cursor; /* of txn, opened when it is first needed */
};

static int translate(int code) {
    if (code > 0)
        return -code;
    switch (code) {
    case MDB_SUCCESS:
        return 0;
    case MDB_NOTFOUND:
        return -ENOENT;
    case MDB_MAP_FULL:
    case MDB_TXN_FULL:
        return -ENOSPC;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
        return -EUCLEAN;
    case MDB_VERSION_MISMATCH:
        return -EPROTO;
    case MDB_READERS_FULL:
        return -EUSERS;
    default:
        return -EIO;
    }
}

/* LMDB says EIO where the system wrote less than it was asked to, which it does when the disk fills up within
 * a write; an EIO of a disk that has room is the disk's own. */
static bool is_full(MDB_env *env) {
    struct statvfs disk;
    int fd;
    return mdb_env_get_fd(env, &fd) == 0 && fstatvfs(fd, &disk) == 0 &&
           (uint64_t)disk.f_bavail * disk.f_frsize < FULL_BYTES;
}

static int translate_write(MDB_env *env, int code) {
    return code == EIO && is_full(env) ? -ENOSPC : translate(code);
}

static MDB_val val(struct disk_view view) {
    return (MDB_val){.mv_size = view.bytes, .mv_data = (void *)(uintptr_t)view.at};
}

static struct disk_view view_of(MDB_val value) {
    return (struct disk_view){.at = value.mv_data, .bytes = value.mv_size};
}

static int open_table(struct disk *disk) {
    MDB_txn *txn;
    int code = mdb_txn_begin(disk->env, NULL, 0, &txn);
    if (code)
        return code;
    code = mdb_dbi_open(txn, NULL, 0, &disk->dbi);
    if (code) {
        mdb_txn_abort(txn);
        return code;
    }
    return mdb_txn_commit(txn);
}

static bool path_of(const char *folder, const char *file, char ret_path[PATH_MAX]) {
    return (size_t)snprintf(ret_path, PATH_MAX, "%s/%s", folder, file) < PATH_MAX;
}

/* A file that was copied or given other rights, may be: whoever looked may have what is in it. */
static int check_rights(MDB_env *env) {
    struct stat status;
    int fd, code = mdb_env_get_fd(env, &fd);
    if (code == 0 && fstat(fd, &status) < 0)
        code = errno;
    return code ? code : status.st_mode & (S_IRWXG | S_IRWXO) ? EPERM : 0;
}

/* LMDB maps its lock file and writes to it through the map. On a full disk a page of it that has no room is
 * SIGBUS at the first touch: so it gets its room first. Not while this process has the folder open: closing
 * the file would end LMDB's own lock on it. */
static int reserve_lock(const char *folder) {
    char path[PATH_MAX];
    struct stat status;
    if (!path_of(folder, LOCK_FILE, path))
        return ENAMETOOLONG;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, DISK_FILE_MODE);
    if (fd < 0)
        return errno;
    int error = fstat(fd, &status) < 0 ? errno : 0;
    off_t bytes = (off_t)(READERS_MAX + LOCK_SPARE_READERS) * LOCK_READER_BYTES;
    if (!error)
        error = posix_fallocate(fd, 0, status.st_size > bytes ? status.st_size : bytes);
    close(fd);
    return error;
}

bool disk_is_there(const char *folder) {
    char path[PATH_MAX];
    return path_of(folder, DATA_FILE, path) && access(path, F_OK) == 0;
}

int disk_open(const char *folder, uint64_t bytes_max, struct disk **ret_disk) {
    struct disk *disk = calloc(1, sizeof(*disk));
    if (!disk)
        return -ENOMEM;
    int error = 0, code = mdb_env_create(&disk->env);
    if (code)
        goto err_after_alloc;
    code = mdb_env_set_mapsize(disk->env, bytes_max);
    if (code == 0)
        code = mdb_env_set_maxreaders(disk->env, READERS_MAX);
    if (code == 0)
        code = reserve_lock(folder);
    if (code == 0)
        code = mdb_env_open(disk->env, folder, MDB_NOTLS, DISK_FILE_MODE);
    if (code == 0)
        code = check_rights(disk->env);
    int dead = 0; /* readers of killed processes would keep pages from being used again */
    if (code == 0)
        code = mdb_reader_check(disk->env, &dead);
    if (code == 0)
        code = open_table(disk);
    if (code)
        goto err_after_env;
    *ret_disk = disk;
    return 0;

err_after_env:
    error = translate_write(disk->env, code);
    mdb_env_close(disk->env);
err_after_alloc:
    free(disk);
    return error ? error : translate(code);
}

void disk_close(struct disk *disk) {
    if (disk->txn)
        disk_abort(disk);
    mdb_env_close(disk->env);
    free(disk);
}

static int sync_folder(const char *path) {
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return -errno;
    int error = fsync(folder) < 0 ? -errno : 0;
    close(folder);
    return error;
}

/* The lock file stays where it is: whoever is the first to open a map begins it anew. */
int disk_move(const char *from, const char *to) {
    char from_file[PATH_MAX], to_file[PATH_MAX];
    if (!path_of(from, DATA_FILE, from_file) || !path_of(to, DATA_FILE, to_file))
        return -ENAMETOOLONG;
    return rename(from_file, to_file) < 0 ? -errno : sync_folder(to);
}

int disk_erase(const char *folder) {
    static const char *const files[] = {DATA_FILE, LOCK_FILE};
    char path[PATH_MAX];
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        if (!path_of(folder, files[i], path))
            return -ENAMETOOLONG;
        if (unlink(path) < 0 && errno != ENOENT)
            return -errno;
    }
    return rmdir(folder) < 0 && errno != ENOENT ? -errno : 0;
}

static uint64_t snapshot(const struct disk *disk) {
    MDB_txn *txn;
    if (mdb_txn_begin(disk->env, NULL, MDB_RDONLY, &txn) != 0)
        return 0;
    uint64_t version = mdb_txn_id(txn);
    mdb_txn_abort(txn);
    return version;
}

/* A committing process writes to the file first, which wakes those who watch it, and lets readers have what
 * it wrote a moment later. Who was woken must not look in between, find nothing new, and go back to sleep. */
uint64_t disk_version(const struct disk *disk) {
    if (disk->txn)
        return mdb_txn_id(disk->txn);
    uint64_t version = snapshot(disk);
    for (unsigned tries = 0; tries < COMMIT_TRIES; tries++) {
        MDB_envinfo info;
        mdb_env_info(disk->env, &info);
        if (version >= info.me_last_txnid)
            break;
        usleep(COMMIT_US);
        version = snapshot(disk);
    }
    return version;
}

int disk_begin(struct disk *disk, bool write) {
    return translate(mdb_txn_begin(disk->env, NULL, write ? 0 : MDB_RDONLY, &disk->txn));
}

static void close_cursor(struct disk *disk) {
    if (disk->cursor)
        mdb_cursor_close(disk->cursor);
    disk->cursor = NULL;
}

int disk_commit(struct disk *disk) {
    close_cursor(disk);
    crash_point(client_before_commit);
    int code = mdb_txn_commit(disk->txn);
    crash_point(client_after_commit);
    disk->txn = NULL;
    return translate_write(disk->env, code);
}

void disk_abort(struct disk *disk) {
    close_cursor(disk);
    mdb_txn_abort(disk->txn);
    disk->txn = NULL;
}

int disk_get(struct disk *disk, struct disk_view key, struct disk_view *ret_value) {
    MDB_val at = val(key), found;
    int code = mdb_get(disk->txn, disk->dbi, &at, &found);
    if (code == 0)
        *ret_value = view_of(found);
    return translate(code);
}

int disk_put(struct disk *disk, struct disk_view key, struct disk_view value) {
    MDB_val at = val(key), body = val(value);
    return translate_write(disk->env, mdb_put(disk->txn, disk->dbi, &at, &body, 0));
}

int disk_delete(struct disk *disk, struct disk_view key) {
    MDB_val at = val(key);
    return translate(mdb_del(disk->txn, disk->dbi, &at, NULL));
}

static int cursor_get(struct disk *disk, MDB_val *key, MDB_val *value, MDB_cursor_op op) {
    if (!disk->cursor) {
        int code = mdb_cursor_open(disk->txn, disk->dbi, &disk->cursor);
        if (code)
            return code;
    }
    return mdb_cursor_get(disk->cursor, key, value, op);
}

int disk_seek(struct disk *disk, struct disk_view key, struct disk_view *ret_key,
              struct disk_view *ret_value) {
    MDB_val at = val(key), value;
    int code = cursor_get(disk, &at, &value, MDB_SET_RANGE);
    if (code)
        return translate(code);
    *ret_key = view_of(at);
    *ret_value = view_of(value);
    return 0;
}

int disk_seek_before(struct disk *disk, struct disk_view key, struct disk_view *ret_key,
                     struct disk_view *ret_value) {
    MDB_val at = val(key), value;
    int code = cursor_get(disk, &at, &value, MDB_SET_RANGE);
    if (code == 0)
        code = cursor_get(disk, &at, &value, MDB_PREV);
    else if (code == MDB_NOTFOUND)
        code = cursor_get(disk, &at, &value, MDB_LAST);
    if (code)
        return translate(code);
    *ret_key = view_of(at);
    *ret_value = view_of(value);
    return 0;
}
