#include "tools/tern/attach.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/client/sealing.h"
#include "tools/tern/home.h"

/* Chunks that wait in the outbox fit as long as there are not twice as many devices. */
#define DEVICES_GROWTH 2

static int read_file(void *context, uint8_t *bytes, size_t count) {
    const int *file = context;
    for (size_t at = 0; at < count;) {
        ssize_t got = read(*file, bytes + at, count - at);
        if (got < 0 && errno != EINTR)
            return -errno;
        if (got == 0)
            return -ESTALE;
        at += got > 0 ? (size_t)got : 0;
    }
    return 0;
}

static int failed(const char *path, uint64_t size, int error) {
    if (error == -EFBIG)
        fprintf(stderr, "tern: %s has %llu bytes, a file may have at most %llu (64 MiB); it is not sent\n",
                path, (unsigned long long)size, (unsigned long long)FILES_BYTES_MAX);
    else if (error == -ESTALE)
        fprintf(stderr, "tern: %s became shorter while it was read; it is not sent\n", path);
    else if (error == -EMSGSIZE)
        fprintf(stderr, "tern: %s: too many devices for the messages that the switch takes\n", path);
    else if (error == -EINVAL)
        fprintf(stderr, "tern: %s has to be a regular file with a name of at most %u bytes\n", path,
                FILES_NAME_BYTES_MAX);
    else
        fprintf(stderr, "tern: %s: %s\n", path, strerror(-error));
    return EXIT_FAILED;
}

static int put(struct state *state, const struct files_source *source, struct attached *attached) {
    struct identity identity = {0};
    int error = state_begin(state);
    if (error)
        return error;
    error = state_identity(state, &identity);
    sodium_memzero(identity.secret, sizeof(identity.secret));
    if (!error)
        error = files_add(state, source, sealing_bytes_max(state, &identity, source->to) / DEVICES_GROWTH,
                          &attached->first, &attached->last);
    if (!error)
        return state_commit(state);
    state_end(state);
    return error;
}

int attach(struct client *client, uint64_t to, const char *path, bool is_strict,
           struct attached *ret_attached) {
    struct stat status = {0};
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    int file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (file < 0 || fstat(file, &status) < 0) {
        int error = -errno;
        if (file >= 0)
            close(file);
        return failed(path, 0, error);
    }
    struct files_source source = {
        .to = to,
        .utc_ms = client_utc_ms(),
        .name = name,
        .size = (uint64_t)status.st_size,
        .is_strict = is_strict,
        .read = read_file,
        .context = &file,
    };
    int error = !S_ISREG(status.st_mode) || strlen(name) > FILES_NAME_BYTES_MAX ? -EINVAL : 0;
    *ret_attached = (struct attached){.size = source.size};
    if (!error)
        error = put(client_state(client), &source, ret_attached);
    close(file);
    if (error)
        return failed(path, source.size, error);
    snprintf(ret_attached->name, sizeof(ret_attached->name), "%s", name);
    return EXIT_DONE;
}
