#include "tools/tern/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/client/state_inbox.h"

#define BUFFER_BYTES (256u << 10) /* more than any message */
#define FILE_MODE 0644

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

/* The length to go on from. A file that is shorter than it should be was emptied by somebody, on purpose. */
static int agree_on_length(struct file *file, struct state *state, uint64_t there) {
    uint64_t kept;
    int error = state_begin(state);
    if (error)
        return error;
    error = state_inbox_file(state, file->device, file->inode, &kept);
    if (error == 0 && kept <= there) {
        state_end(state);
        file->length = kept;
        return ftruncate(file->fd, (off_t)kept) < 0 ? -errno : 0;
    }
    state_inbox_set_file(state, file->device, file->inode, there);
    file->length = there;
    return state_commit(state);
}

int file_open(struct file *file, const char *path, struct state *state) {
    struct stat status;
    *file = (struct file){.fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, FILE_MODE),
                          .buffer = malloc(BUFFER_BYTES)};
    int error = file->fd < 0 ? -errno : !file->buffer ? -ENOMEM : 0;
    if (!error && fstat(file->fd, &status) < 0)
        error = -errno;
    if (!error && !S_ISREG(status.st_mode))
        error = -EINVAL;
    if (!error)
        error = sync_folder(path);
    if (!error) {
        file->device = status.st_dev;
        file->inode = status.st_ino;
        error = agree_on_length(file, state, (uint64_t)status.st_size);
    }
    if (error)
        file_close(file);
    return error;
}

static int flush(struct file *file) {
    size_t written = 0;
    off_t start = (off_t)(file->length - file->buffered);
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

void file_close(struct file *file) {
    if (file->fd >= 0)
        close(file->fd);
    free(file->buffer);
    file->fd = -1;
    file->buffer = NULL;
}
