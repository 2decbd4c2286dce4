#include "tools/tern/read.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "core/reason.h"
#include "tools/client/state_inbox.h"
#include "tools/client/state_request.h"
#include "tools/tern/home.h"

/* --- read ----------------------------------------------------------------------------------------------- */

static int is_confirmed(void *context, struct state *state) {
    const uint64_t *account = context;
    struct message_id start = {0};
    struct frame_range range;
    return state_inbox_mark(state, RECEIPT_READ, *account, &start, &range) == -ENOENT;
}

static int mark_read(struct client *client, const struct options *options) {
    uint64_t account, count = 0;
    int status = home_find(client, options->words[0], options->timeout_ms, &account);
    if (status != EXIT_DONE)
        return status;
    if (!home_begin(client))
        return EXIT_FAILED;
    state_inbox_read_all(client_state(client), account, &count);
    int error = state_commit(client_state(client));
    if (!error)
        error = client_run(client, options->timeout_ms < 0 ? HOME_ASK_MS : options->timeout_ms, is_confirmed,
                           &account);
    if (error == -ETIMEDOUT || error == -EINTR) {
        fprintf(stderr, "tern: marked as read; the switch has not confirmed it yet and will be told again\n");
        return EXIT_NOT_YET;
    }
    if (error < 0)
        return home_failed(client, error);
    if (count)
        printf("%" PRIu64 " message%s of %s marked as read\n", count, count == 1 ? "" : "s",
               options->words[0]);
    else
        printf("nothing of %s was unread\n", options->words[0]);
    return EXIT_DONE;
}

int read_run(const struct options *options) {
    struct client *client;
    int status = home_open(options, false, &client);
    return status == EXIT_DONE ? home_close(client, mark_read(client, options)) : status;
}

/* --- block ---------------------------------------------------------------------------------------------- */

static int is_blocked(void *context, struct state *state) {
    struct ask *ask = context;
    bool on = ask->on;
    if (state_request_get(state, ask) == -ENOENT || !ask->is_answered || ask->on != on) {
        ask->on = on;
        return 0;
    }
    return 1;
}

static int block(struct client *client, const struct options *options, bool on) {
    struct ask ask = {.kind = ASK_BLOCK, .on = on};
    const char *name = options->words[0];
    int status = home_find(client, name, options->timeout_ms, &ask.account);
    if (status != EXIT_DONE)
        return status;
    if (!home_begin(client))
        return EXIT_FAILED;
    state_request_put(client_state(client), &ask);
    int error = state_commit(client_state(client));
    if (!error)
        error =
            client_run(client, options->timeout_ms < 0 ? HOME_ASK_MS : options->timeout_ms, is_blocked, &ask);
    if (error == -ETIMEDOUT || error == -EINTR) {
        fprintf(stderr, "tern: the switch has not answered; it is asked again with the next connection\n");
        return EXIT_NOT_YET;
    }
    if (error < 0)
        return home_failed(client, error);
    if (ask.status) {
        fprintf(stderr, "tern: %s: %s\n", name, refusal_help(ask.status));
        return EXIT_REFUSED;
    }
    printf("%s is %s\n", name, on ? "blocked" : "not blocked");
    return EXIT_DONE;
}

static int run_block(const struct options *options, bool on) {
    struct client *client;
    int status = home_open(options, false, &client);
    return status == EXIT_DONE ? home_close(client, block(client, options, on)) : status;
}

int read_block_run(const struct options *options) {
    return run_block(options, true);
}

int read_unblock_run(const struct options *options) {
    return run_block(options, false);
}
