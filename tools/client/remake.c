#include "tools/client/remake.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#define REMAKE_FOLDER "remake"
#define REMAKE_MODE 0700
#define COMMIT_BYTES (16u << 20) /* no transaction is larger: LMDB keeps what it changes in memory */

static int find_folder(const char *home, char ret_folder[PATH_MAX]) {
    return (size_t)snprintf(ret_folder, PATH_MAX, "%s/" REMAKE_FOLDER, home) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

int remake_clear(const char *home) {
    char folder[PATH_MAX];
    int error = find_folder(home, folder);
    return error ? error : disk_erase(folder);
}

static void close_state(struct remake *remake) {
    if (remake->state)
        state_close(remake->state);
    remake->state = NULL;
}

int remake_begin(struct remake *remake, const char *home) {
    *remake = (struct remake){0};
    if ((size_t)snprintf(remake->home, sizeof(remake->home), "%s", home) >= sizeof(remake->home))
        return -ENAMETOOLONG;
    int error = find_folder(home, remake->folder);
    if (!error)
        error = remake_clear(home);
    if (!error && mkdir(remake->folder, REMAKE_MODE) < 0)
        error = -errno;
    if (!error)
        error = state_open(remake->folder, &remake->state);
    if (!error)
        error = state_begin(remake->state);
    if (error)
        remake_abort(remake);
    return error;
}

int remake_put(struct remake *remake, struct disk_view key, struct disk_view value) {
    int error = state_note(remake->state, vault_put(remake->state->vault, key, value));
    remake->unwritten_bytes += key.bytes + value.bytes;
    if (error || remake->unwritten_bytes < COMMIT_BYTES)
        return error;
    remake->unwritten_bytes = 0;
    error = state_commit(remake->state);
    return error ? error : state_begin(remake->state);
}

int remake_finish(struct remake *remake) {
    int error = state_commit(remake->state);
    close_state(remake);
    if (!error)
        error = disk_move(remake->folder, remake->home);
    remake_clear(remake->home);
    return error;
}

void remake_abort(struct remake *remake) {
    close_state(remake);
    remake_clear(remake->home);
}
