#include "tools/tern/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define BUFFER_BYTES (256u << 10) /* more than any message */
#define FILE_MODE 0644
#define TAIL_BYTES 4096 /* that tell a file from another one */

/* The name of a new file has to be on the disk before what is in it counts. */
static int sync_folder(const char *path) {
    char copy[PATH_MAX];
    if (snprintf(copy, sizeof(copy), "%s", path) >= (int)sizeof(copy))
        return -ENAMETOOLONG;
    int folder = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return -errno;
    int error = fsync(folder) < 0 ? -errno : 0;
    close(folder);
    return error;
}

/* Who it is, as far as the kernel knows. */
static int look_at(struct file *file, uint64_t *ret_length) {
    struct statx status;
    if (statx(file->fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &status) < 0)
        return -errno;
    if (!S_ISREG(status.stx_mode))
        return -EINVAL;
    file->known.device = makedev(status.stx_dev_major, status.stx_dev_minor);
    file->known.inode = status.stx_ino;
    if (status.stx_mask & STATX_BTIME)
        file->known.born_ns =
            (uint64_t)status.stx_btime.tv_sec * UINT64_C(1000000000) + status.stx_btime.tv_nsec;
    *ret_length = status.stx_size;
    return 0;
}

/* A hash of the last bytes before this length, which the file has. */
static int hash_tail(const struct file *file, uint64_t length, uint8_t ret_tail[INBOX_FILE_TAIL_BYTES]) {
    uint8_t bytes[TAIL_BYTES];
    size_t count = length < sizeof(bytes) ? (size_t)length : sizeof(bytes), got = 0;
    while (got < count) {
        ssize_t part = pread(file->fd, bytes + got, count - got, (off_t)(length - count + got));
        if (part < 0 && errno != EINTR)
            return -errno;
        if (part == 0)
            return -EIO; /* somebody has cut it just now */
        got += part > 0 ? (size_t)part : 0;
    }
    crypto_generichash(ret_tail, INBOX_FILE_TAIL_BYTES, bytes, count, NULL, 0);
    return 0;
}

/* Whether what follows the kept length was left by a listener that was killed. 1: yes, 0: no. */
static int may_cut(const struct file *file, const struct inbox_file *kept, uint64_t there) {
    uint8_t tail[INBOX_FILE_TAIL_BYTES];
    if (!kept->is_open || kept->length > there || kept->born_ns != file->known.born_ns)
        return 0;
    int error = hash_tail(file, kept->length, tail);
    return error ? error : memcmp(tail, kept->tail, sizeof(tail)) == 0;
}

/* The length to go on from. */
static int agree_on_length(struct file *file, struct state *state, uint64_t there) {
    struct inbox_file kept;
    int error = state_begin(state);
    if (error)
        return error;
    error = state_inbox_file(state, file->known.device, file->known.inode, &kept);
    int cut = error == 0 ? may_cut(file, &kept, there) : 0;
    file->length = cut > 0 ? kept.length : there;
    if (cut < 0 || (error && error != -ENOENT)) {
        state_end(state);
        return cut < 0 ? cut : error;
    }
    if (cut && ftruncate(file->fd, (off_t)file->length) < 0) {
        state_end(state);
        return -errno;
    }
    error = file_note(file, state);
    return error ? (state_end(state), error) : state_commit(state);
}

int file_open(struct file *file, const char *path, struct state *state) {
    uint64_t there = 0;
    *file = (struct file){.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE),
                          .buffer = malloc(BUFFER_BYTES)};
    int error = file->fd < 0 ? -errno : !file->buffer ? -ENOMEM : 0;
    if (!error)
        error = look_at(file, &there);
    if (!error)
        error = sync_folder(path);
    if (!error)
        error = agree_on_length(file, state, there);
    if (error)
        file_close(file);
    return error;
}

static int flush(struct file *file) {
    struct stat status;
    size_t written = 0;
    if (fstat(file->fd, &status) < 0)
        return -errno;
    /* Emptied, or appended to by somebody, while this listener runs: it goes on at the end. */
    off_t start = status.st_size;
    file->length = (uint64_t)start + file->buffered;
    while (written < file->buffered) {
        ssize_t count =
            pwrite(file->fd, file->buffer + written, file->buffered - written, start + (off_t)written);
        if (count < 0 && errno != EINTR)
            return -errno;
        written += count > 0 ? (size_t)count : 0;
    }
    file->buffered = 0;
    return 0;
}

int file_append(struct file *file, const uint8_t *line, size_t bytes) {
    if (file->buffered + bytes + 1 > BUFFER_BYTES) {
        int error = flush(file);
        if (error)
            return error;
    }
    if (bytes)
        memcpy(file->buffer + file->buffered, line, bytes);
    file->buffer[file->buffered + bytes] = '\n';
    file->buffered += bytes + 1;
    file->length += bytes + 1;
    return 0;
}

int file_sync(struct file *file) {
    int error = flush(file);
    return error ? error : fdatasync(file->fd) < 0 ? -errno : 0;
}

int file_note(struct file *file, struct state *state) {
    file->known.length = file->length;
    file->known.is_open = true;
    int error = hash_tail(file, file->length, file->known.tail);
    return error ? error : state_inbox_set_file(state, &file->known);
}

int file_end(struct file *file, struct state *state) {
    int error = state_begin(state);
    if (error)
        return error;
    file->known.is_open = false;
    state_inbox_set_file(state, &file->known);
    return state_commit(state);
}

void file_close(struct file *file) {
    if (file->fd >= 0)
        close(file->fd);
    free(file->buffer);
    file->fd = -1;
    file->buffer = NULL;
}
