#include "tools/tern/lock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tools/client/relock.h"
#include "tools/tern/home.h"
#include "tools/tern/passphrase.h"

static const struct lock_cost cost = {.passes = LOCK_PASSES, .memory_bytes = LOCK_MEMORY_BYTES};

struct locking {
    char home[PATH_MAX];
    bool is_locked;
    struct passphrase now, next;
};

/* The home's folder, and whether it is locked. */
static int look(struct locking *locking, const struct options *options) {
    struct client *client;
    int status = home_folder(options, locking->home);
    home_catch_signals();
    if (status != EXIT_DONE)
        return status;
    int error = client_open(locking->home, false, &client);
    if (error && error != -ENOKEY)
        return home_open_failed(locking->home, error);
    locking->is_locked = error == -ENOKEY;
    if (!error)
        client_close(client);
    return EXIT_DONE;
}

static int run(struct locking *locking, const char *passphrase, const char *new_passphrase) {
    int error = relock(locking->home, passphrase, new_passphrase, cost);
    if (error == -EWOULDBLOCK)
        fprintf(stderr, "tern: other tern commands run on %s; end them first\n", locking->home);
    else if (error)
        return home_open_failed(locking->home, error);
    return error ? EXIT_FAILED : EXIT_DONE;
}

static int lock(struct locking *locking, const struct options *options) {
    const char *new_file = options->new_passphrase_file;
    int status = look(locking, options);
    if (status == EXIT_DONE && locking->is_locked) {
        if (options->passphrase_file && !new_file) {
            fprintf(stderr, "tern: %s is locked already; --new-passphrase-file says another passphrase\n",
                    locking->home);
            return EXIT_FAILED;
        }
        status = passphrase_get(options->passphrase_file, locking->home, &locking->now);
    } else if (!new_file) {
        new_file = options->passphrase_file;
    }
    if (status == EXIT_DONE)
        status = passphrase_choose(new_file, locking->home, &locking->next);
    if (status == EXIT_DONE)
        status = run(locking, locking->is_locked ? locking->now.text : NULL, locking->next.text);
    if (status == EXIT_DONE)
        printf("%s is locked%s\n", locking->home, locking->is_locked ? " with the new passphrase" : "");
    return status;
}

int lock_run(const struct options *options) {
    struct locking locking = {0};
    int status = lock(&locking, options);
    primitive_wipe(&locking, sizeof(locking));
    return status;
}

static int unlock(struct locking *locking, const struct options *options) {
    int status = look(locking, options);
    if (status == EXIT_DONE && !locking->is_locked) {
        printf("%s is not locked\n", locking->home);
        return EXIT_DONE;
    }
    if (status == EXIT_DONE)
        status = passphrase_get(options->passphrase_file, locking->home, &locking->now);
    if (status == EXIT_DONE)
        status = run(locking, locking->now.text, NULL);
    if (status == EXIT_DONE)
        printf("%s is not locked any more: whoever copies its files can read them\n", locking->home);
    return status;
}

int lock_unlock_run(const struct options *options) {
    struct locking locking = {0};
    int status = unlock(&locking, options);
    primitive_wipe(&locking, sizeof(locking));
    return status;
}
