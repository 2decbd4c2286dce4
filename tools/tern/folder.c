#include "tools/tern/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/client/whole.h"
#include "tools/tern/terminal.h"

#define FILE_MODE 0600
#define STEM_BYTES_MAX 200 /* leaves room for a number */
#define COPIES_MAX 1000
#define READ_BYTES 65536
#define PART_NAME_BYTES 64

/* --- names ---------------------------------------------------------------------------------------------- */

void folder_safe_name(const char *name, unsigned copy, char ret_name[FOLDER_NAME_BYTES_MAX + 1]) {
    const uint8_t *at = (const uint8_t *)name;
    size_t left = strlen(name), used = 0;
    char safe[STEM_BYTES_MAX + 1];
    while (left) {
        uint32_t character;
        size_t length = terminal_utf8(at, left, &character), step = length ? length : 1;
        bool is_good = length && character != '/' && !terminal_is_hidden(character) &&
                       (used || (character != '.' && character != '-' && character != ' '));
        if (used + (is_good ? length : 1) > STEM_BYTES_MAX)
            break;
        if (is_good)
            memcpy(safe + used, at, length);
        else
            safe[used] = '_';
        used += is_good ? length : 1;
        at += step;
        left -= step;
    }
    if (used == 0)
        safe[used++] = '_';
    safe[used] = 0;
    char *dot = strrchr(safe, '.');
    int stem = dot ? (int)(dot - safe) : (int)used;
    if (copy == 1)
        strcpy(ret_name, safe);
    else
        snprintf(ret_name, FOLDER_NAME_BYTES_MAX + 1, "%.*s (%u)%s", stem, safe, copy, safe + stem);
}

/* --- writing -------------------------------------------------------------------------------------------- */

static int write_chunks(int file, struct state *state, const struct transfer *transfer) {
    crypto_generichash_state hashing;
    uint8_t hash[FILES_HASH_BYTES];
    struct disk_view chunk;
    uint64_t mark = state_mark(state);
    crypto_generichash_init(&hashing, NULL, 0, sizeof(hash));
    for (uint64_t at = 0; at < transfer->size; at += chunk.bytes) {
        int error = files_chunk(state, transfer, at, &chunk);
        if (!error && (chunk.bytes == 0 || chunk.bytes > transfer->size - at))
            error = -EUCLEAN;
        if (!error)
            error = whole_write(file, chunk.at, chunk.bytes);
        if (error)
            return error;
        crypto_generichash_update(&hashing, chunk.at, chunk.bytes);
        state_release(state, mark);
    }
    crypto_generichash_final(&hashing, hash, sizeof(hash));
    if (memcmp(hash, transfer->hash, sizeof(hash)) != 0)
        return -EILSEQ;
    return fsync(file) < 0 ? -errno : 0;
}

/* Whether the file of this name is this very one. */
static bool is_there(const struct folder *folder, const char *name, const struct transfer *transfer) {
    crypto_generichash_state hashing;
    uint8_t hash[FILES_HASH_BYTES], bytes[READ_BYTES];
    struct stat status;
    ssize_t got = -1;
    int file = openat(folder->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file < 0)
        return false;
    crypto_generichash_init(&hashing, NULL, 0, sizeof(hash));
    if (fstat(file, &status) == 0 && S_ISREG(status.st_mode) && (uint64_t)status.st_size == transfer->size) {
        while ((got = read(file, bytes, sizeof(bytes))) > 0)
            crypto_generichash_update(&hashing, bytes, (size_t)got);
    }
    close(file);
    crypto_generichash_final(&hashing, hash, sizeof(hash));
    return got == 0 && memcmp(hash, transfer->hash, sizeof(hash)) == 0;
}

static int give_name(const struct folder *folder, const char *part, const struct transfer *transfer,
                     char ret_name[FOLDER_NAME_BYTES_MAX + 1]) {
    for (unsigned copy = 1; copy <= COPIES_MAX; copy++) {
        folder_safe_name(transfer->name, copy, ret_name);
        int error = whole_rename(folder->fd, part, ret_name);
        if (error == -EEXIST && is_there(folder, ret_name, transfer))
            error = unlinkat(folder->fd, part, 0) < 0 ? -errno : 0;
        if (error == 0)
            return fsync(folder->fd) < 0 ? -errno : 0;
        if (error != -EEXIST)
            return error;
    }
    return -EEXIST;
}

int folder_place(struct folder *folder, struct state *state, const struct transfer *transfer,
                 char ret_name[FOLDER_NAME_BYTES_MAX + 1]) {
    char part[PART_NAME_BYTES], id[2 * FILES_ID_BYTES + 1];
    sodium_bin2hex(id, sizeof(id), transfer->id, FILES_ID_BYTES);
    snprintf(part, sizeof(part), ".tern-%s.part", id);
    if (unlinkat(folder->fd, part, 0) < 0 && errno != ENOENT) /* of one that was killed */
        return -errno;
    int file = openat(folder->fd, part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
    if (file < 0)
        return -errno;
    int error = write_chunks(file, state, transfer);
    if (close(file) < 0 && !error)
        error = -errno;
    if (!error)
        error = give_name(folder, part, transfer, ret_name);
    if (error)
        unlinkat(folder->fd, part, 0);
    return error;
}

int folder_open(struct folder *folder, const char *path) {
    folder->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return folder->fd < 0 ? -errno : 0;
}

void folder_close(struct folder *folder) {
    if (folder->fd >= 0)
        close(folder->fd);
    folder->fd = -1;
}
