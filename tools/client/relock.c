#include "tools/client/relock.h"

#include <errno.h>
#include <sodium.h>
#include <unistd.h>

#include "tools/client/holder.h"

int relock_begin(struct remake *remake, const char *passphrase, struct lock_cost cost) {
    uint8_t key[PRIMITIVE_KEY_BYTES], locked[LOCK_BYTES];
    struct lock_fresh fresh;
    struct key record = key_of(KEY_LOCK);
    randombytes_buf(key, sizeof(key));
    randombytes_buf(&fresh, sizeof(fresh));
    int error = lock_key(passphrase, cost, &fresh, key, locked);
    if (!error) {
        vault_set_key(remake->state->vault, key);
        error =
            remake_put(remake, key_view(&record), (struct disk_view){.at = locked, .bytes = sizeof(locked)});
    }
    primitive_wipe(key, sizeof(key));
    return error;
}

/* Every record but the lock. */
static int copy(struct vault *from, struct remake *to) {
    struct key at = {0};
    struct disk_view key, value;
    int error = vault_begin(from, false);
    if (error)
        return error;
    while (!error && (error = vault_walk(from, &at, &key, &value)) == 0) {
        if (key.bytes != 1 || key.at[0] != KEY_LOCK)
            error = remake_put(to, key, value);
        vault_release(from, 0);
    }
    vault_abort(from);
    return error == -ENOENT ? 0 : error;
}

static int relock_alone(const char *home, const char *passphrase, const char *new_passphrase,
                        struct lock_cost cost) {
    struct remake remake;
    struct state *state;
    int error = state_open_with(home, passphrase, &state);
    if (error)
        return error;
    error = remake_begin(&remake, home);
    if (!error) {
        if (new_passphrase)
            error = relock_begin(&remake, new_passphrase, cost);
        if (!error)
            error = copy(state->vault, &remake);
        if (error)
            remake_abort(&remake);
    }
    state_close(state);
    return error ? error : remake_finish(&remake);
}

int relock(const char *home, const char *passphrase, const char *new_passphrase, struct lock_cost cost) {
    int alone = holder_alone(home);
    if (alone < 0)
        return alone;
    int error = relock_alone(home, passphrase, new_passphrase, cost);
    close(alone);
    return error;
}
