#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/port.h"
#include "storage/guard.h"
#include "storage/map.h"

#define MAP_FILE_MODE 0600
#define LOCK_READER_BYTES 64  /* of LMDB's lock file for each reader: a line of the processor's cache */
#define LOCK_SPARE_READERS 16 /* more than its head takes */
#define FULL_BYTES (1u << 20) /* a disk with less room has none: blocks are not handed out one by one */
#define META_PAGES 2
#define FREE_DBI 0 /* LMDB's own table of free pages; its tools read it by this number too */

struct map_txn {
    MDB_txn *txn;
    struct map *map;
    uint64_t visited;
    int error;
};

struct map_cursor {
    MDB_cursor *cursor;
    struct map_txn *txn;
};

struct map {
    MDB_env *env;
    MDB_dbi dbi;
    struct guard *guard; /* NULL: a missing page ends the process */
    struct map_txn writer;
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
    case MDB_CURSOR_FULL:
    case MDB_PAGE_FULL:
        return -EUCLEAN;
    case MDB_VERSION_MISMATCH:
        return -EPROTO;
    case MDB_READERS_FULL:
        return -EUSERS;
    case MDB_BAD_VALSIZE:
        return -EINVAL;
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

/* What LMDB said of pages that are not in the file counts for nothing. */
static int outcome(const struct map *map, int code) {
    return map_failed(map) ? -EIO : translate_write(map->env, code);
}

static int note_error(struct map_txn *txn, int code) {
    int error = outcome(txn->map, code);
    if (error && error != -ENOENT && txn->error == 0)
        txn->error = error;
    return error;
}

/* Asked before LMDB is: its cursors may stand on a page that is another one now. */
static bool is_lost(struct map_txn *txn) {
    return map_failed(txn->map) && note_error(txn, EIO);
}

static MDB_val val(struct map_view view) {
    return (MDB_val){.mv_size = view.bytes, .mv_data = (void *)(uintptr_t)view.at};
}

static struct map_view view_of(MDB_val value) {
    return (struct map_view){.at = value.mv_data, .bytes = value.mv_size};
}

static void guard(struct map *map) {
    MDB_envinfo info;
    MDB_stat stat;
    int fd, error = -EIO;
    if (mdb_env_get_fd(map->env, &fd) == 0 && mdb_env_info(map->env, &info) == 0 &&
        mdb_env_stat(map->env, &stat) == 0)
        error = guard_open(fd, info.me_mapsize, stat.ms_psize, &map->guard);
    if (error)
        port_log("store_unguarded error=%d", -error);
}

static int open_table(struct map *map) {
    MDB_txn *txn;
    int code = mdb_txn_begin(map->env, NULL, 0, &txn);
    if (code)
        return code;
    code = mdb_dbi_open(txn, NULL, 0, &map->dbi);
    if (code) {
        mdb_txn_abort(txn);
        return code;
    }
    return mdb_txn_commit(txn);
}

/* LMDB maps its lock file and writes to it through the map. On a full disk a page of it that has no room is
 * SIGBUS at the first touch: so it gets its room first. Not while this process has the folder open: closing
 * the file would end LMDB's own lock on it. */
static int reserve_lock(const char *folder, uint32_t readers) {
    char path[PATH_MAX];
    struct stat status;
    if ((size_t)snprintf(path, sizeof(path), "%s/lock.mdb", folder) >= sizeof(path))
        return ENAMETOOLONG;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, MAP_FILE_MODE);
    if (fd < 0)
        return errno;
    int error = fstat(fd, &status) < 0 ? errno : 0;
    off_t bytes = (off_t)(readers + LOCK_SPARE_READERS) * LOCK_READER_BYTES;
    if (!error)
        error = posix_fallocate(fd, 0, status.st_size > bytes ? status.st_size : bytes);
    close(fd);
    return error;
}

int map_open(const char *folder, uint64_t map_bytes, uint32_t readers_max, struct map **ret_map) {
    struct map *map = calloc(1, sizeof(*map));
    if (!map)
        return -ENOMEM;
    int error = 0, code = mdb_env_create(&map->env);
    if (code)
        goto err_after_alloc;
    code = mdb_env_set_mapsize(map->env, map_bytes);
    if (code == 0)
        code = mdb_env_set_maxreaders(map->env, readers_max);
    if (code == 0)
        code = reserve_lock(folder, readers_max);
    /* NOTLS: a read transaction may move between threads. NORDAHEAD: queues are read here and there. */
    if (code == 0)
        code = mdb_env_open(map->env, folder, MDB_NOTLS | MDB_NORDAHEAD, MAP_FILE_MODE);
    if (code)
        goto err_after_env;
    guard(map);
    code = open_table(map);
    if (code)
        goto err_after_env;
    map->writer.map = map;
    *ret_map = map;
    return 0;

err_after_env:
    error = outcome(map, code);
    guard_close(map->guard);
    mdb_env_close(map->env);
err_after_alloc:
    free(map);
    return error ? error : translate(code);
}

void map_close(struct map *map) {
    guard_close(map->guard);
    mdb_env_close(map->env);
    free(map);
}

bool map_failed(const struct map *map) {
    return guard_failed(map->guard);
}

/* A transaction takes the roots of its tables from a page of the map, unchecked. */
static int begin(struct map *map, unsigned flags, MDB_txn **ret_txn) {
    if (map_failed(map))
        return -EIO;
    int code = mdb_txn_begin(map->env, NULL, flags, ret_txn);
    if (code)
        return translate(code);
    if (!map_failed(map))
        return 0;
    mdb_txn_abort(*ret_txn);
    return -EIO;
}

int map_begin(struct map *map, struct map_txn **ret_txn) {
    int error = begin(map, 0, &map->writer.txn);
    if (error)
        return error;
    map->writer.error = 0;
    *ret_txn = &map->writer;
    return 0;
}

/* A page may be missing while LMDB commits, too: then the descriptor that it writes and syncs with fails, or
 * had done all that was asked of it before. So the pages of a commit that succeeds were made of what is
 * there, and are on the disk. */
int map_commit(struct map_txn *txn) {
    if (is_lost(txn)) {
        map_abort(txn);
        return -EIO;
    }
    int code = mdb_txn_commit(txn->txn);
    txn->txn = NULL;
    return code ? outcome(txn->map, code) : 0;
}

void map_abort(struct map_txn *txn) {
    mdb_txn_abort(txn->txn);
    txn->txn = NULL;
    if (txn != &txn->map->writer)
        free(txn);
}

int map_error(const struct map_txn *txn) {
    return txn->error;
}

int map_begin_read(struct map *map, struct map_txn **ret_txn) {
    struct map_txn *txn = calloc(1, sizeof(*txn));
    if (!txn)
        return -ENOMEM;
    int error = begin(map, MDB_RDONLY, &txn->txn);
    if (error) {
        free(txn);
        return error;
    }
    txn->map = map;
    *ret_txn = txn;
    return 0;
}

void map_rest(struct map_txn *txn) {
    mdb_txn_reset(txn->txn);
}

int map_renew(struct map_txn *txn) {
    txn->error = 0;
    if (is_lost(txn))
        return -EIO;
    int error = note_error(txn, mdb_txn_renew(txn->txn));
    if (error)
        mdb_txn_reset(txn->txn);
    return error;
}

int map_get(struct map_txn *txn, struct map_view key, struct map_view *ret_value) {
    if (is_lost(txn))
        return -EIO;
    MDB_val at = val(key), found;
    int error = note_error(txn, mdb_get(txn->txn, txn->map->dbi, &at, &found));
    if (error == 0)
        *ret_value = view_of(found);
    return error;
}

int map_put(struct map_txn *txn, struct map_view key, size_t bytes, uint8_t **ret_space) {
    if (is_lost(txn))
        return -EIO;
    MDB_val at = val(key), space = {.mv_size = bytes};
    int error = note_error(txn, mdb_put(txn->txn, txn->map->dbi, &at, &space, MDB_RESERVE));
    if (error == 0)
        *ret_space = space.mv_data;
    return error;
}

int map_delete(struct map_txn *txn, struct map_view key) {
    if (is_lost(txn))
        return -EIO;
    MDB_val at = val(key);
    return note_error(txn, mdb_del(txn->txn, txn->map->dbi, &at, NULL));
}

int map_cursor_open(struct map_txn *txn, struct map_cursor **ret_cursor) {
    if (is_lost(txn))
        return -EIO;
    struct map_cursor *cursor = calloc(1, sizeof(*cursor));
    if (!cursor)
        return -ENOMEM;
    int error = note_error(txn, mdb_cursor_open(txn->txn, txn->map->dbi, &cursor->cursor));
    if (error) {
        free(cursor);
        return error;
    }
    cursor->txn = txn;
    *ret_cursor = cursor;
    return 0;
}

int map_cursor_renew(struct map_cursor *cursor) {
    if (is_lost(cursor->txn))
        return -EIO;
    return note_error(cursor->txn, mdb_cursor_renew(cursor->txn->txn, cursor->cursor));
}

void map_cursor_close(struct map_cursor *cursor) {
    mdb_cursor_close(cursor->cursor);
    free(cursor);
}

static int cursor_get(struct map_cursor *cursor, MDB_val *key, MDB_cursor_op op, struct map_view *ret_key,
                      struct map_view *ret_value) {
    MDB_val value;
    if (is_lost(cursor->txn))
        return -EIO;
    int error = note_error(cursor->txn, mdb_cursor_get(cursor->cursor, key, &value, op));
    if (error)
        return error;
    cursor->txn->visited++;
    *ret_key = view_of(*key);
    *ret_value = view_of(value);
    return 0;
}

int map_seek(struct map_cursor *cursor, struct map_view key, struct map_view *ret_key,
             struct map_view *ret_value) {
    MDB_val at = val(key);
    return cursor_get(cursor, &at, MDB_SET_RANGE, ret_key, ret_value);
}

int map_next(struct map_cursor *cursor, struct map_view *ret_key, struct map_view *ret_value) {
    MDB_val at;
    return cursor_get(cursor, &at, MDB_NEXT, ret_key, ret_value);
}

int map_seek_before(struct map_cursor *cursor, struct map_view key, struct map_view *ret_key,
                    struct map_view *ret_value) {
    MDB_val at = val(key), value;
    if (is_lost(cursor->txn))
        return -EIO;
    int code = mdb_cursor_get(cursor->cursor, &at, &value, MDB_SET_RANGE);
    if (code && code != MDB_NOTFOUND)
        return note_error(cursor->txn, code);
    return cursor_get(cursor, &at, code ? MDB_LAST : MDB_PREV, ret_key, ret_value);
}

int map_cursor_delete(struct map_cursor *cursor) {
    if (is_lost(cursor->txn))
        return -EIO;
    return note_error(cursor->txn, mdb_cursor_del(cursor->cursor, 0));
}

uint64_t map_visited(const struct map_txn *txn) {
    return txn->visited;
}

static uint64_t stat_pages(const MDB_stat *stat) {
    return stat->ms_branch_pages + stat->ms_leaf_pages + stat->ms_overflow_pages;
}

/* What is not in use is free: so the list of free pages, which may be long, needs no walk. */
int map_usage(struct map *map, struct map_usage *ret_usage) {
    MDB_txn *txn;
    MDB_stat stat, free_stat;
    MDB_envinfo info;
    int error = begin(map, MDB_RDONLY, &txn);
    if (error)
        return error;
    int code = mdb_stat(txn, map->dbi, &stat);
    if (code == 0)
        code = mdb_stat(txn, FREE_DBI, &free_stat);
    mdb_txn_abort(txn);
    if (code)
        return translate(code);
    mdb_env_info(map->env, &info);
    if (map_failed(map))
        return -EIO;
    uint64_t high = info.me_last_pgno + 1;
    uint64_t used = META_PAGES + stat_pages(&stat) + stat_pages(&free_stat);
    *ret_usage = (struct map_usage){.page_bytes = stat.ms_psize,
                                    .pages_max = info.me_mapsize / stat.ms_psize,
                                    .pages_high = high,
                                    .pages_free = used < high ? high - used : 0,
                                    .records = stat.ms_entries};
    return 0;
}

int map_readers_check(struct map *map) {
    int dead = 0;
    int code = mdb_reader_check(map->env, &dead);
    return code ? translate(code) : dead;
}

struct map_pin {
    MDB_env *env;
    MDB_txn *txn;
};

int map_pin(const char *folder, struct map_pin **ret_pin) {
    struct map_pin *pin = calloc(1, sizeof(*pin));
    if (!pin)
        return -ENOMEM;
    int code = mdb_env_create(&pin->env);
    if (code == 0) {
        code = mdb_env_open(pin->env, folder, MDB_RDONLY | MDB_NOTLS, MAP_FILE_MODE);
        if (code == 0)
            code = mdb_txn_begin(pin->env, NULL, MDB_RDONLY, &pin->txn);
        if (code)
            mdb_env_close(pin->env);
    }
    if (code) {
        free(pin);
        return translate(code);
    }
    *ret_pin = pin;
    return 0;
}

void map_unpin(struct map_pin *pin) {
    mdb_txn_abort(pin->txn);
    mdb_env_close(pin->env);
    free(pin);
}

static int copy_to(struct map *map, int fd) {
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0) /* past the cache, as LMDB does it; some file systems can't */
        (void)fcntl(fd, F_SETFL, flags | O_DIRECT);
    int to = map->guard ? guard_lend(map->guard, fd) : fd;
    if (to < 0)
        return to;
    int code = mdb_env_copyfd2(map->env, to, MDB_CP_COMPACT);
    if (map->guard)
        guard_give_back(map->guard);
    return map_failed(map) ? -EIO : translate(code);
}

int map_copy(struct map *map, const char *folder) {
    char path[PATH_MAX];
    struct map_txn *look;
    if ((size_t)snprintf(path, sizeof(path), "%s/data.mdb", folder) >= sizeof(path))
        return -ENAMETOOLONG;
    /* LMDB begins the copy's transaction itself: the page that this takes is there. */
    int error = map_begin_read(map, &look);
    if (error)
        return error;
    map_abort(look);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, MAP_FILE_MODE);
    if (fd < 0)
        return -errno;
    error = copy_to(map, fd);
    if (close(fd) < 0 && error == 0)
        error = -errno;
    return error;
}
