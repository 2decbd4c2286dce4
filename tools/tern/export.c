#include "tools/tern/export.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/client/carry.h"
#include "tools/client/whole.h"
#include "tools/tern/home.h"
#include "tools/tern/passphrase.h"

#define EXPORT_MODE 0600

static const struct lock_cost cost = {.passes = LOCK_PASSES, .memory_bytes = LOCK_MEMORY_BYTES};

static int file_failed(const char *path, int error) {
    const char *problem = passphrase_problem(error);
    if (error == -ENOMSG)
        problem = "it was not written by `tern export`";
    else if (error == -EPROTO)
        problem = "a newer version of tern wrote it";
    else if (error == -EBADMSG)
        problem = "it was changed, or its end is missing";
    else if (error == -EBUSY)
        problem = "another `tern export` is writing it";
    fprintf(stderr, "tern: %s: %s\n", path, problem ? problem : strerror(-error));
    return EXIT_FAILED;
}

/* --- export --------------------------------------------------------------------------------------------- */

static int write_file(struct client *client, const char *path, const char *passphrase) {
    struct whole whole;
    int error = whole_begin(&whole, path, EXPORT_MODE);
    if (error)
        return file_failed(path, error);
    error = carry_out(client_state(client), passphrase, cost, whole.file);
    if (error)
        whole_abort(&whole);
    else
        error = whole_finish(&whole);
    return error ? file_failed(path, error) : EXIT_DONE;
}

static int export_state(struct client *client, const struct options *options) {
    struct passphrase passphrase = {0};
    const char *path = options->words[0], *file = options->new_passphrase_file;
    if (!file && !state_is_locked(client_state(client)))
        file = options->passphrase_file;
    int status = passphrase_choose(file, path, &passphrase);
    if (status == EXIT_DONE)
        status = write_file(client, path, passphrase.text);
    primitive_wipe(&passphrase, sizeof(passphrase));
    if (status == EXIT_DONE)
        printf("exported to %s; who has it and its passphrase is this device\n", path);
    return status;
}

int export_run(const struct options *options) {
    struct client *client;
    int status = home_open(options, false, &client);
    return status == EXIT_DONE ? home_close(client, export_state(client, options)) : status;
}

/* --- import --------------------------------------------------------------------------------------------- */

static int import_failed(const char *home, const char *path, int error) {
    if (error == -EEXIST)
        fprintf(stderr, "tern: %s is a device already; name a new folder with --home\n", home);
    else if (error == -EWOULDBLOCK)
        fprintf(stderr, "tern: another tern runs on %s\n", home);
    else
        return file_failed(path, error);
    return EXIT_FAILED;
}

static int read_file(const char *home, const char *path, const char *passphrase) {
    struct carried carried;
    struct stat status;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return file_failed(path, -errno);
    bool is_new = stat(home, &status) < 0;
    int error = client_make_home(home);
    if (error) {
        close(file);
        return home_open_failed(home, error);
    }
    error = carry_in(home, passphrase, cost, file, &carried);
    close(file);
    if (error && is_new)
        rmdir(home);
    if (error)
        return import_failed(home, path, error);
    printf("imported to %s%s; the folder it was exported from is not to be used any more\n", home,
           carried.is_locked ? ", locked with the passphrase of the file" : "");
    if (carried.failed) {
        bool is_one = carried.failed == 1;
        printf(
            "%" PRIu64 " message%s had no sent tick when exported: whether the other folder has sent %s is "
            "not known here, so %s as failed\n",
            carried.failed, is_one ? "" : "s", is_one ? "it" : "them", is_one ? "it counts" : "they count");
    }
    return EXIT_DONE;
}

int import_run(const struct options *options) {
    struct passphrase passphrase = {0};
    char home[PATH_MAX];
    int status = home_folder(options, home);
    home_catch_signals();
    if (status == EXIT_DONE)
        status = passphrase_get(options->passphrase_file, options->words[0], &passphrase);
    if (status == EXIT_DONE)
        status = read_file(home, options->words[0], passphrase.text);
    primitive_wipe(&passphrase, sizeof(passphrase));
    return status;
}
