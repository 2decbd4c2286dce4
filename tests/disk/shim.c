/* A disk that remembers and fails: preloaded into a ternd, it stands under the files of its store.
 *
 *     LD_PRELOAD=build/disk_shim.so DISK_LOG=FILE DISK_FAULT=FILE DISK_MATCH=data.mdb ternd ...
 *
 * DISK_LOG gets what was written and what was made durable, in order, so that tests/disk/cuts.c can put
 * together what a power cut at any moment would have left (records of struct disk_record,
 * tests/disk/record.h). DISK_FAULT is a file of DISK_FAULT_BYTES that is mapped and looked at before each
 * call: "write 28" makes writes fail with error 28, "sync 5" fsyncs, "" nothing; so a test turns faults on
 * and off while the switch runs. A file is tracked when its path ends in DISK_MATCH.
 *
 * LMDB writes pages with pwrite, pwritev or writev, makes them durable with fdatasync, and writes its meta
 * page through a second descriptor that was opened with O_DSYNC, which is durable when the write returns.
 *
 * Threads: any; one mutex around the log. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "tests/disk/record.h"

#define DESCRIPTORS_MAX 4096
#define VECTORS_MAX 1024

static struct {
    bool tracked, synced; /* synced: O_DSYNC */
    uint32_t file;        /* a number of the path */
} descriptors[DESCRIPTORS_MAX];

static char paths[DISK_FILES_MAX][256];
static uint32_t path_count;
static int log_fd = -1;
static const volatile char *fault;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The library's own functions, looked up by name once. */
#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found)
        abort();
    return found;
}

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

__attribute__((constructor)) static void start(void) {
    const char *log = getenv("DISK_LOG");
    if (log)
        log_fd = REAL(open)(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    const char *control = getenv("DISK_FAULT");
    int fd = control ? REAL(open)(control, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        void *map = mmap(NULL, DISK_FAULT_BYTES, PROT_READ, MAP_SHARED, fd, 0);
        fault = map == MAP_FAILED ? NULL : map;
        close(fd);
    }
}

/* The error that the test wants of this kind of call, or 0. */
static int wanted_error(const char *kind) {
    char text[DISK_FAULT_BYTES + 1] = {0};
    for (size_t i = 0; fault && i < DISK_FAULT_BYTES; i++)
        text[i] = fault[i];
    size_t kind_bytes = strlen(kind);
    return strncmp(text, kind, kind_bytes) == 0 && text[kind_bytes] == ' ' ? atoi(text + kind_bytes + 1) : 0;
}

static bool is_tracked(int fd) {
    return fd >= 0 && fd < DESCRIPTORS_MAX && descriptors[fd].tracked;
}

static void log_record(uint16_t kind, int fd, uint64_t offset, const struct iovec *vectors, int count) {
    if (log_fd < 0)
        return;
    struct disk_record record = {.time_ns = now_ns(),
                                 .offset = offset,
                                 .file = descriptors[fd].file,
                                 .kind = kind,
                                 .magic = DISK_MAGIC};
    struct iovec out[VECTORS_MAX + 1] = {{.iov_base = &record, .iov_len = sizeof(record)}};
    for (int i = 0; i < count && i < VECTORS_MAX; i++) {
        out[i + 1] = vectors[i];
        record.bytes += (uint32_t)vectors[i].iov_len;
    }
    if (REAL(writev)(log_fd, out, count + 1) != (ssize_t)(sizeof(record) + record.bytes))
        abort();
}

static void track(int fd, const char *path, int flags) {
    const char *match = getenv("DISK_MATCH");
    size_t path_bytes = strlen(path);
    size_t match_bytes = match ? strlen(match) : 0;
    if (fd < 0 || fd >= DESCRIPTORS_MAX)
        return;
    descriptors[fd].tracked = false;
    if (!match || path_bytes < match_bytes || strcmp(path + path_bytes - match_bytes, match) != 0)
        return;
    if ((flags & O_ACCMODE) == O_RDONLY)
        return;
    pthread_mutex_lock(&lock);
    uint32_t file = 0;
    while (file < path_count && strcmp(paths[file], path) != 0)
        file++;
    if (file == path_count && path_count < DISK_FILES_MAX && path_bytes < sizeof(paths[0])) {
        strcpy(paths[path_count++], path);
        descriptors[fd].file = file;
        struct iovec name = {.iov_base = paths[file], .iov_len = path_bytes};
        log_record(DISK_OPEN, fd, 0, &name, 1);
    }
    descriptors[fd].file = file;
    descriptors[fd].synced = (flags & O_DSYNC) != 0;
    descriptors[fd].tracked = file < path_count;
    pthread_mutex_unlock(&lock);
}

/* --- opening -------------------------------------------------------------------------------------------- */

int open(const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    int fd = REAL(open)(path, flags, mode);
    track(fd, path, flags);
    return fd;
}

int open64(const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    int fd = REAL(open64)(path, flags, mode);
    track(fd, path, flags);
    return fd;
}

int close(int fd) {
    if (fd >= 0 && fd < DESCRIPTORS_MAX)
        descriptors[fd].tracked = false;
    return REAL(close)(fd);
}

/* LMDB sets O_DSYNC on a descriptor of the same file this way where opening it twice is not wanted. */
int fcntl(int fd, int command, ...) {
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    if (command == F_SETFL && is_tracked(fd))
        descriptors[fd].synced = ((intptr_t)argument & O_DSYNC) != 0;
    return REAL(fcntl)(fd, command, argument);
}

/* --- writing -------------------------------------------------------------------------------------------- */

/* Logged before it is done: from then on any part of it may be on the disk. */
static ssize_t write_tracked(int fd, const struct iovec *vectors, int count, off_t offset) {
    int error = wanted_error("write");
    if (error) {
        errno = error;
        return -1;
    }
    pthread_mutex_lock(&lock);
    log_record(DISK_WRITE, fd, (uint64_t)offset, vectors, count);
    ssize_t wrote = REAL(pwritev)(fd, vectors, count, offset);
    if (wrote >= 0 && descriptors[fd].synced)
        log_record(DISK_WRITE_DURABLE, fd, (uint64_t)offset, NULL, 0);
    pthread_mutex_unlock(&lock);
    return wrote;
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
    struct iovec vector = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = count};
    return is_tracked(fd) ? write_tracked(fd, &vector, 1, offset) : REAL(pwrite)(fd, bytes, count, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
    struct iovec vector = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = count};
    return is_tracked(fd) ? write_tracked(fd, &vector, 1, offset) : REAL(pwrite64)(fd, bytes, count, offset);
}

ssize_t pwritev(int fd, const struct iovec *vectors, int count, off_t offset) {
    return is_tracked(fd) ? write_tracked(fd, vectors, count, offset)
                          : REAL(pwritev)(fd, vectors, count, offset);
}

ssize_t pwritev64(int fd, const struct iovec *vectors, int count, off64_t offset) {
    return is_tracked(fd) ? write_tracked(fd, vectors, count, offset)
                          : REAL(pwritev64)(fd, vectors, count, offset);
}

/* At the descriptor's own offset, which then moves on. */
static ssize_t write_here(int fd, const struct iovec *vectors, int count) {
    off_t offset = lseek(fd, 0, SEEK_CUR);
    ssize_t wrote = write_tracked(fd, vectors, count, offset);
    if (wrote > 0)
        lseek(fd, offset + wrote, SEEK_SET);
    return wrote;
}

ssize_t write(int fd, const void *bytes, size_t count) {
    struct iovec vector = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = count};
    return is_tracked(fd) ? write_here(fd, &vector, 1) : REAL(write)(fd, bytes, count);
}

ssize_t writev(int fd, const struct iovec *vectors, int count) {
    return is_tracked(fd) ? write_here(fd, vectors, count) : REAL(writev)(fd, vectors, count);
}

/* --- making durable ------------------------------------------------------------------------------------- */

static int sync_tracked(int fd, int (*sync)(int)) {
    int error = wanted_error("sync");
    if (error) {
        errno = error;
        return -1;
    }
    pthread_mutex_lock(&lock);
    log_record(DISK_SYNC, fd, 0, NULL, 0);
    int result = sync(fd);
    if (result == 0)
        log_record(DISK_SYNCED, fd, 0, NULL, 0);
    pthread_mutex_unlock(&lock);
    return result;
}

int fdatasync(int fd) {
    return is_tracked(fd) ? sync_tracked(fd, REAL(fdatasync)) : REAL(fdatasync)(fd);
}

int fsync(int fd) {
    return is_tracked(fd) ? sync_tracked(fd, REAL(fsync)) : REAL(fsync)(fd);
}
