#include "tools/tern/home.h"

#include <errno.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/reason.h"
#include "tools/client/state_request.h"
#include "tools/tern/passphrase.h"

volatile sig_atomic_t home_stopped;

static void on_signal(int number) {
    (void)number;
    home_stopped = 1;
}

/* Without SA_RESTART: a wait ends. A second signal ends the process as it always would. */
void home_catch_signals(void) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESETHAND};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static void on_away(void *context, const char *sentence) {
    (void)context;
    fprintf(stderr, "tern: %s; trying again\n", sentence);
}

int home_folder(const struct options *options, char path[PATH_MAX]) {
    const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    int bytes = -1;
    if (options->home)
        bytes = snprintf(path, PATH_MAX, "%s", options->home);
    else if (data && *data == '/')
        bytes = snprintf(path, PATH_MAX, "%s/tern", data);
    else if (home && *home == '/')
        bytes = snprintf(path, PATH_MAX, "%s/.local/share/tern", home);
    if (bytes > 0 && bytes < PATH_MAX)
        return EXIT_DONE;
    fprintf(stderr, "tern: there is no home folder: say which with --home DIR\n");
    return EXIT_USAGE;
}

int home_open_failed(const char *path, int error) {
    if (error == -ENOENT) {
        fprintf(stderr, "tern: %s is not linked: `tern --home %s link URI` does that\n", path, path);
        return EXIT_NOT_LINKED;
    }
    if (error == -EPROTO)
        fprintf(stderr, "tern: %s was written by a newer version of tern\n", path);
    else if (error == -EPERM)
        fprintf(stderr,
                "tern: others than you may read or write %s/data.mdb, which has this device's keys: "
                "where nobody did, `chmod 600` it; else link a new device\n",
                path);
    else if (passphrase_problem(error))
        fprintf(stderr, "tern: %s: %s\n", path, passphrase_problem(error));
    else
        fprintf(stderr, "tern: can not open %s: %s\n", path, strerror(-error));
    return EXIT_FAILED;
}

/* Asks for the passphrase where one is needed. */
static int open_client(const struct options *options, const char *path, bool link,
                       struct client **ret_client) {
    struct passphrase passphrase = {0};
    int error = client_open(path, link, ret_client);
    if (error == -ENOKEY) {
        int status = passphrase_get(options->passphrase_file, path, &passphrase);
        if (status != EXIT_DONE)
            return status;
        error = client_open_with(path, link, passphrase.text, ret_client);
        primitive_wipe(&passphrase, sizeof(passphrase));
    }
    return error ? home_open_failed(path, error) : EXIT_DONE;
}

int home_open(const struct options *options, bool link, struct client **ret_client) {
    char path[PATH_MAX];
    struct client *client;
    int status = home_folder(options, path);
    home_catch_signals();
    if (status == EXIT_DONE)
        status = open_client(options, path, link, &client);
    if (status != EXIT_DONE)
        return status;
    client_set_stop(client, &home_stopped);
    client_set_on_away(client, on_away, NULL);
    if (!link) {
        struct identity identity = {0};
        int error = state_look(client_state(client));
        if (!error) {
            error = state_identity(client_state(client), &identity);
            state_end(client_state(client));
        }
        sodium_memzero(identity.secret, sizeof(identity.secret));
        if (!error && !identity.is_linked)
            error = -ENOENT;
        if (error) {
            client_close(client);
            return home_open_failed(path, error);
        }
    }
    *ret_client = client;
    return EXIT_DONE;
}

int home_close(struct client *client, int status) {
    client_close(client);
    return status;
}

int home_failed(struct client *client, int error) {
    const char *problem = client_problem(client);
    if (error == -EINTR)
        return EXIT_NOT_YET;
    if (*problem)
        fprintf(stderr, "tern: %s\n", problem);
    else
        fprintf(stderr, "tern: the state in %s: %s\n", client_home(client), strerror(-error));
    return error == -ECONNABORTED || error == -ENOENT ? EXIT_NOT_LINKED : EXIT_FAILED;
}

bool home_begin(struct client *client) {
    int error = state_begin(client_state(client));
    if (error)
        home_failed(client, error);
    return error == 0;
}

/* --- names ---------------------------------------------------------------------------------------------- */

enum found { FOUND_ACCOUNT = 1, FOUND_NONE };

struct finding {
    struct ask ask;
    uint64_t account;
};

static int is_found(void *context, struct state *state) {
    struct finding *finding = context;
    if (state_find_account(state, finding->ask.name, &finding->account) == 0)
        return FOUND_ACCOUNT;
    return state_request_get(state, &finding->ask) == 0 && finding->ask.is_answered ? FOUND_NONE : 0;
}

/* Unless it is known; a question that was answered before is asked anew, the name may be there by now. */
static int put_question(struct client *client, struct finding *finding) {
    struct state *state = client_state(client);
    int error = state_begin(state);
    if (error)
        return error;
    if (state_find_account(state, finding->ask.name, &finding->account) == 0) {
        state_end(state);
        return FOUND_ACCOUNT;
    }
    state_request_put(state, &finding->ask);
    return state_commit(state);
}

int home_find(struct client *client, const char *name, int64_t timeout_ms, uint64_t *ret_account) {
    struct finding finding = {.ask = {.kind = ASK_ACCOUNT}};
    if (!uri_name_is_valid(name)) {
        fprintf(stderr, "tern: '%s' is no name: names are 1 to %d of a-z 0-9 . _ -\n", name,
                FRAME_NAME_BYTES_MAX);
        return EXIT_USAGE;
    }
    strcpy(finding.ask.name, name);
    int result = put_question(client, &finding);
    if (result == 0)
        result = client_run(client, timeout_ms < 0 ? HOME_ASK_MS : timeout_ms, is_found, &finding);
    if (result == FOUND_ACCOUNT) {
        *ret_account = finding.account;
        return EXIT_DONE;
    }
    if (result == FOUND_NONE) {
        fprintf(stderr, "tern: %s: %s\n", name, refusal_help(finding.ask.status));
        return EXIT_REFUSED;
    }
    if (result == -ETIMEDOUT) {
        fprintf(stderr, "tern: the switch was not there to say who %s is\n", name);
        return EXIT_NOT_YET;
    }
    return home_failed(client, result);
}
