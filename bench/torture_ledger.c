#include "bench/torture_ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/bytes.h"
#include "tools/client/state_inbox.h"

uint64_t ledger_digest(const uint8_t *payload, size_t bytes) {
    uint8_t hash[crypto_generichash_BYTES_MIN];
    crypto_generichash(hash, sizeof(hash), payload, bytes, NULL, 0);
    return bytes_get64(hash) | 1;
}

int ledger_open(struct ledger *ledger, const char *folder, const char *name) {
    char path[PATH_MAX];
    struct stat status;
    if ((size_t)snprintf(path, sizeof(path), "%s/%s", folder, name) >= sizeof(path))
        return -ENAMETOOLONG;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &status) < 0) {
        int error = -errno;
        close(fd);
        return error;
    }
    /* An entry that was cut in the middle was of no use to anybody. */
    *ledger = (struct ledger){.fd = fd,
                              .length = (uint64_t)status.st_size / sizeof(struct ledger_entry) *
                                        sizeof(struct ledger_entry)};
    return 0;
}

void ledger_close(struct ledger *ledger) {
    close(ledger->fd);
    ledger->fd = -1;
}

int ledger_seek(struct ledger *ledger, struct state *state) {
    ledger->length = 0;
    struct inbox_file file;
    int error = state_inbox_file(state, 0, 0, &file);
    if (!error)
        ledger->length = file.length;
    return error == -ENOENT ? 0 : error;
}

int ledger_write(struct ledger *ledger, const struct ledger_entry *entries, size_t count) {
    size_t bytes = count * sizeof(*entries);
    ssize_t written = pwrite(ledger->fd, entries, bytes, (off_t)ledger->length);
    if (written != (ssize_t)bytes)
        return written < 0 ? -errno : -EIO;
    ledger->length += bytes;
    return 0;
}

int ledger_keep(const struct ledger *ledger, struct state *state) {
    const struct inbox_file file = {.length = ledger->length};
    return state_inbox_set_file(state, &file);
}

int ledger_read(const struct ledger *ledger, struct ledger_entry **ret_entries, size_t *ret_count) {
    struct ledger_entry *entries = malloc(ledger->length + 1);
    if (!entries)
        return -ENOMEM;
    ssize_t got = pread(ledger->fd, entries, ledger->length, 0);
    if (got != (ssize_t)ledger->length) {
        free(entries);
        return got < 0 ? -errno : -EIO;
    }
    *ret_entries = entries;
    *ret_count = ledger->length / sizeof(*entries);
    return 0;
}
