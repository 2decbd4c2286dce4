#include "tools/tern/link.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tools/client/link.h"
#include "tools/client/publishing.h"
#include "tools/tern/home.h"
#include "tools/tern/standing.h"

enum linked { LINKED_DONE = 1, LINKED_NOT_LET_IN };

struct linking {
    struct identity identity;
    enum standing standing;
};

/* A device is there when others can encrypt for it. */
static int is_linked(void *context, struct state *state) {
    struct linking *linking = context;
    int error = state_identity(state, &linking->identity);
    if (error || !linking->identity.is_linked)
        return error;
    if (publishing_is_done(state))
        return LINKED_DONE;
    linking->standing = standing_of(state, &linking->identity);
    bool is_final = linking->standing == STANDING_REFUSED ||
                    (linking->standing == STANDING_OTHER_KEY && pairing_stand(state) != PAIRING_NONE);
    return is_final ? LINKED_NOT_LET_IN : 0;
}

/* The switch has answered, or not even that. */
static int say_not_yet(const struct identity *identity) {
    if (identity->is_linked)
        fprintf(
            stderr,
            "tern: linked as %s, device %u, but not on the account's list yet: the device that showed the "
            "URI has to be connected; this one is let in whenever a tern of it connects\n",
            identity->name, identity->device);
    else
        fprintf(stderr, "tern: the switch did not answer in time; the same command goes on with it\n");
    return EXIT_NOT_YET;
}

/* A device's number, key and counters are for one life: also a revoked one is not linked again. */
static int linked_already(struct client *client) {
    struct identity identity = {0};
    struct state *state = client_state(client);
    int error = state_look(state);
    if (!error) {
        error = state_identity(state, &identity);
        state_end(state);
    }
    explicit_bzero(identity.secret, sizeof(identity.secret));
    if (error)
        return home_failed(client, error);
    fprintf(stderr,
            "tern: %s is linked already, as %s, device %u, and a home is linked once: for a new device, also "
            "where this one was revoked, name a new folder with --home. The URI was not used\n",
            client_home(client), identity.name, identity.device);
    return EXIT_FAILED;
}

static int link_client(struct client *client, const struct uri *uri, int64_t timeout_ms) {
    struct linking linking = {.standing = STANDING_UNKNOWN};
    const struct identity *identity = &linking.identity;
    int error = link_prepare(client_state(client), uri);
    if (error == -EEXIST || error > 0)
        return linked_already(client);
    if (error < 0)
        return home_failed(client, error);
    int done = client_run(client, timeout_ms < 0 ? HOME_ASK_MS : timeout_ms, is_linked, &linking);
    explicit_bzero(linking.identity.secret, sizeof(linking.identity.secret));
    if (done == -ETIMEDOUT)
        return say_not_yet(identity);
    if (done < 0)
        return home_failed(client, done);
    if (done == LINKED_NOT_LET_IN) {
        standing_print(stderr, linking.standing, identity->device, "tern: ");
        return EXIT_REFUSED;
    }
    printf("linked as %s, device %u\n", identity->name, identity->device);
    return EXIT_DONE;
}

int link_run(const struct options *options) {
    struct uri uri;
    const char *problem;
    if (uri_parse(options->words[0], &uri, &problem) < 0) {
        fprintf(stderr, "tern: %s\n", problem);
        return EXIT_USAGE;
    }
    struct client *client;
    int status = home_open(options, true, &client);
    if (status == EXIT_DONE)
        status = home_close(client, link_client(client, &uri, options->timeout_ms));
    explicit_bzero(&uri, sizeof(uri));
    return status;
}
