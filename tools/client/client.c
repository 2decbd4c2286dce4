#include "tools/client/client.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/crash.h"
#include "core/reason.h"
#include "tools/client/dial.h"
#include "tools/client/holder.h"
#include "tools/client/remake.h"

#define INPUT_BYTES (64u << 10)
#define STEP_MS_MAX 1000 /* a signal that came just before the wait is seen after it */
#define HOME_MODE 0700

struct client {
    char home[PATH_MAX];
    struct state *state;
    struct engine *engine;
    struct holder holder;
    int shared; /* holder_share's */
    struct dial dial;
    const volatile sig_atomic_t *stop;
    void (*on_away)(void *context, const char *sentence);
    void *on_away_context;
    bool is_away_told;
    bool was_open;       /* in this connection */
    uint32_t tries;      /* since the last welcome */
    uint64_t connect_ms; /* monotonic, when to try next */
    char problem[256];
    uint8_t input[INPUT_BYTES];
};

/* --- a life --------------------------------------------------------------------------------------------- */

uint64_t client_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t client_utc_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* The folder and what is missing above it. */
int client_make_home(const char *home) {
    char path[PATH_MAX];
    size_t bytes = strlen(home);
    if (bytes == 0 || bytes >= sizeof(path))
        return -ENAMETOOLONG;
    memcpy(path, home, bytes + 1);
    for (char *at = path + 1; *at; at++) {
        if (*at != '/')
            continue;
        *at = 0;
        if (mkdir(path, HOME_MODE) < 0 && errno != EEXIST)
            return -errno;
        *at = '/';
    }
    return mkdir(path, HOME_MODE) < 0 && errno != EEXIST ? -errno : 0;
}

static int open_state(struct client *client, const char *passphrase) {
    client->shared = holder_share(client->home);
    if (client->shared < 0)
        return client->shared;
    int error = remake_clear(client->home);
    if (!error)
        error = state_open_with(client->home, passphrase, &client->state);
    if (error)
        close(client->shared);
    return error;
}

static void close_state(struct client *client) {
    state_close(client->state);
    close(client->shared);
}

int client_open(const char *home, bool make, struct client **ret_client) {
    return client_open_with(home, make, NULL, ret_client);
}

int client_open_with(const char *home, bool make, const char *passphrase, struct client **ret_client) {
    if (strlen(home) >= PATH_MAX)
        return -ENAMETOOLONG;
    if (!make && !disk_is_there(home))
        return -ENOENT;
    int error = make ? client_make_home(home) : 0;
    if (error)
        return error;
    struct client *client = calloc(1, sizeof(*client));
    if (!client)
        return -ENOMEM;
    snprintf(client->home, sizeof(client->home), "%s", home);
    dial_init(&client->dial);
    error = open_state(client, passphrase);
    if (error)
        goto err_after_alloc;
    error = engine_create(client->state, &client->engine);
    if (error)
        goto err_after_state;
    error = holder_open(&client->holder, home);
    if (error)
        goto err_after_engine;
    *ret_client = client;
    return 0;

err_after_engine:
    engine_destroy(client->engine);
err_after_state:
    close_state(client);
err_after_alloc:
    free(client);
    return error;
}

struct state *client_state(struct client *client) {
    return client->state;
}

const char *client_home(const struct client *client) {
    return client->home;
}

void client_set_before_commit(struct client *client, engine_before_commit *call, void *context) {
    engine_set_before_commit(client->engine, call, context);
}

void client_set_stop(struct client *client, const volatile sig_atomic_t *stop) {
    client->stop = stop;
}

void client_set_on_away(struct client *client, void (*call)(void *context, const char *sentence),
                        void *context) {
    client->on_away = call;
    client->on_away_context = context;
}

bool client_is_connected(const struct client *client) {
    return engine_is_open(client->engine);
}

bool client_holds(const struct client *client) {
    return client->holder.holds;
}

bool client_is_elsewhere(struct client *client) {
    return !holder_try(&client->holder);
}

const char *client_problem(const struct client *client) {
    return client->problem;
}

/* --- the connection's comings and goings ---------------------------------------------------------------- */

/* Exponential, and half of it random: clients of a switch that restarted do not all come back at once. */
static void plan_next_try(struct client *client) {
    uint32_t doubled = client->tries < 16 ? client->tries : 16;
    uint64_t wait_ms = (uint64_t)CLIENT_BACKOFF_MS << doubled;
    uint32_t come_back_ms = engine_come_back_ms(client->engine);
    if (wait_ms > CLIENT_BACKOFF_MS_MAX)
        wait_ms = CLIENT_BACKOFF_MS_MAX;
    if (come_back_ms > wait_ms / 2)
        wait_ms = come_back_ms * UINT64_C(2);
    uint32_t half_ms = (uint32_t)(wait_ms / 2 < UINT32_MAX ? wait_ms / 2 : UINT32_MAX - 1);
    wait_ms = half_ms + randombytes_uniform(half_ms + 1);
    client->tries++;
    client->connect_ms = client_now_ms() + wait_ms;
}

/* Sentences for what is not mended by coming back. */
static const char *final_reason(unsigned reason) {
    switch (reason) {
    case CLOSE_REPLACED:
        return "another program uses the same device (a copy of this home folder?) and took over";
    case CLOSE_REVOKED:
        return "this device was revoked: link it anew with a new home folder";
    case CLOSE_SUSPENDED:
        return "the account is suspended";
    case CLOSE_UNKNOWN_DEVICE:
        return "the switch does not know this account or device; was its store made anew?";
    case CLOSE_BAD_CODE:
        return "the link code is wrong, used or expired: ask for a new link URI";
    default:
        return NULL;
    }
}

static void tell_away(struct client *client) {
    if (client->on_away && !client->is_away_told)
        client->on_away(client->on_away_context, client->problem);
    client->is_away_told = true;
}

/* The connection is over. 0: it comes back; negative: it must not. */
static int lost(struct client *client, int error) {
    bool was_open = engine_is_open(client->engine);
    engine_disconnected(client->engine);
    dial_close(&client->dial);
    unsigned reason = engine_close_reason(client->engine);
    const char *refusal = engine_refusal(client->engine), *final = final_reason(reason);
    if (engine_disk_error(client->engine)) {
        snprintf(client->problem, sizeof(client->problem), "the state in %.120s can not be written: %s",
                 client->home, strerror(-engine_disk_error(client->engine)));
        return engine_disk_error(client->engine);
    }
    if (final) {
        snprintf(client->problem, sizeof(client->problem), "%s", final);
        return -ECONNABORTED;
    }
    if (refusal)
        snprintf(client->problem, sizeof(client->problem), "the switch: %s", refusal);
    else if (error == -ETIMEDOUT)
        snprintf(client->problem, sizeof(client->problem), "the switch does not answer");
    else if (error == -EBADMSG || error == -EPROTO)
        snprintf(client->problem, sizeof(client->problem),
                 "what answers there is not the switch of the link URI");
    else if (error)
        snprintf(client->problem, sizeof(client->problem), "the connection broke: %s", strerror(-error));
    else if (was_open || client->was_open)
        snprintf(client->problem, sizeof(client->problem), "the switch closed the connection");
    else
        snprintf(client->problem, sizeof(client->problem),
                 "the switch closed the connection before it welcomed this device: is its key another now?");
    plan_next_try(client);
    tell_away(client);
    return 0;
}

static int connected(struct client *client) {
    uint8_t ephemeral[NOISE_KEY_BYTES];
    randombytes_buf(ephemeral, sizeof(ephemeral));
    int error = engine_connected(client->engine, HELLO_IK, ephemeral, client_now_ms(), client_utc_ms());
    sodium_memzero(ephemeral, sizeof(ephemeral));
    if (error)
        snprintf(client->problem, sizeof(client->problem), "the connection can not begin: %s",
                 strerror(-error));
    return error;
}

static void unreachable(struct client *client) {
    snprintf(client->problem, sizeof(client->problem), "can not reach the switch: %s",
             dial_problem(&client->dial));
    plan_next_try(client);
    tell_away(client);
}

static int start(struct client *client) {
    struct identity identity;
    int error = state_look(client->state);
    if (error)
        return error;
    error = state_identity(client->state, &identity);
    state_end(client->state);
    sodium_memzero(identity.secret, sizeof(identity.secret));
    if (error) {
        snprintf(client->problem, sizeof(client->problem),
                 "this home is not linked: `tern link URI` does that");
        return error;
    }
    client->was_open = false;
    error = dial_start(&client->dial, identity.host, identity.port, client_now_ms());
    if (error)
        unreachable(client);
    else if (client->dial.is_open)
        return connected(client);
    return 0;
}

/* --- a step --------------------------------------------------------------------------------------------- */

/* What is there to be read, up to what belongs into one turn. 0; 1: the switch closed; negative. */
static int read_input(struct client *client) {
    size_t total = 0;
    while (total < ENGINE_TURN_BYTES_MAX) {
        ssize_t got = recv(client->dial.socket, client->input, sizeof(client->input), 0);
        if (got == 0)
            return 1;
        if (got < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        int error = engine_input(client->engine, client->input, (size_t)got, client_now_ms());
        if (error)
            return error;
        total += (size_t)got;
    }
    return 0;
}

static int write_output(struct client *client) {
    const uint8_t *bytes;
    size_t count;
    while ((count = engine_output(client->engine, &bytes)) > 0) {
        ssize_t sent = send(client->dial.socket, bytes, count, MSG_NOSIGNAL);
        if (sent < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        engine_sent(client->engine, (size_t)sent);
        crash_point(client_after_send);
    }
    return 0;
}

static int turn(struct client *client, bool readable) {
    int ended = readable ? read_input(client) : 0;
    /* What came before the end of the connection counts, unless it was not the protocol. */
    int error = ended < 0 ? ended : engine_turn(client->engine, client_now_ms());
    if (!error && engine_is_open(client->engine)) {
        client->tries = 0;
        client->was_open = true;
        client->is_away_told = false;
        client->problem[0] = 0;
    }
    if (!error && ended == 0)
        error = write_output(client);
    return error || ended ? lost(client, error) : 0;
}

/* Until something is due, at most until `until_ms`. */
static int wait_ms(const struct client *client, uint64_t now_ms, uint64_t until_ms) {
    uint64_t due_ms = now_ms + STEP_MS_MAX;
    uint64_t dial_ms = dial_due_ms(&client->dial), engine_ms = engine_due_ms(client->engine);
    if (!client->holder.holds || client->holder.watch < 0)
        due_ms = now_ms + HOLDER_LOOK_MS;
    if (client->holder.holds && client->dial.socket < 0 && client->connect_ms < due_ms)
        due_ms = client->connect_ms;
    due_ms = until_ms < due_ms ? until_ms : due_ms;
    due_ms = dial_ms < due_ms ? dial_ms : due_ms;
    due_ms = engine_ms < due_ms ? engine_ms : due_ms;
    return due_ms > now_ms ? (int)(due_ms - now_ms) : 0;
}

static int serve_socket(struct client *client, short happened) {
    if (client->dial.is_open)
        return turn(client, happened & (POLLIN | POLLERR | POLLHUP));
    int error = dial_proceed(&client->dial, happened != 0, client_now_ms());
    if (error == -EINPROGRESS)
        return 0;
    if (error == 0) {
        error = connected(client);
        return error ? error : turn(client, false);
    }
    unreachable(client);
    return 0;
}

int client_step(struct client *client, int timeout_ms, struct pollfd *more) {
    uint64_t now_ms = client_now_ms();
    uint64_t until_ms = timeout_ms < 0 ? UINT64_MAX : now_ms + (uint64_t)timeout_ms;
    if (holder_try(&client->holder) && client->dial.socket < 0 && now_ms >= client->connect_ms) {
        int error = start(client);
        if (error)
            return error;
    }
    struct pollfd polls[3] = {
        {.fd = client->holder.watch, .events = POLLIN},
        {.fd = client->dial.socket, .events = POLLIN},
        {.fd = more ? more->fd : -1, .events = more ? more->events : 0},
    };
    const uint8_t *bytes;
    if (client->dial.socket >= 0 && (!client->dial.is_open || engine_output(client->engine, &bytes) > 0))
        polls[1].events |= POLLOUT;
    int count = poll(polls, 3, wait_ms(client, now_ms, until_ms));
    if (count < 0 && errno != EINTR)
        return -errno;
    if (count < 0)
        polls[0].revents = polls[1].revents = polls[2].revents = 0;
    if (more)
        more->revents = polls[2].revents;
    if (polls[0].revents)
        holder_drain(&client->holder);
    return client->dial.socket >= 0 ? serve_socket(client, polls[1].revents) : 0;
}

/* The state is looked at when it has changed, and first of all. */
static int ask(struct client *client, uint64_t *version, client_is_done *is_done, void *context) {
    uint64_t found = state_version(client->state);
    if (found == *version)
        return 0;
    int error = state_look(client->state);
    if (error)
        return error;
    *version = found;
    int done = is_done(context, client->state);
    error = client->state->error;
    state_end(client->state);
    return error ? error : done;
}

int client_run(struct client *client, int64_t timeout_ms, client_is_done *is_done, void *context) {
    uint64_t end_ms = timeout_ms < 0 ? UINT64_MAX : client_now_ms() + (uint64_t)timeout_ms;
    uint64_t version = UINT64_MAX;
    for (;;) {
        int done = ask(client, &version, is_done, context);
        if (done)
            return done;
        if (client->stop && *client->stop)
            return -EINTR;
        uint64_t now_ms = client_now_ms();
        if (now_ms >= end_ms)
            return -ETIMEDOUT;
        uint64_t left_ms = end_ms - now_ms;
        int error = client_step(client, left_ms < STEP_MS_MAX ? (int)left_ms : STEP_MS_MAX, NULL);
        if (error)
            return error;
    }
}

/* --- closing -------------------------------------------------------------------------------------------- */

/* Closing a socket with unread bytes resets the connection, and a reset may overtake the last
 * acknowledgement. */
static void say_goodbye(struct client *client) {
    uint64_t end_ms = client_now_ms() + CLIENT_CLOSE_MS;
    bool is_shut = false;
    engine_turn(client->engine, client_now_ms());
    for (uint64_t now_ms; (now_ms = client_now_ms()) < end_ms;) {
        const uint8_t *bytes;
        if (!is_shut && write_output(client) < 0)
            return;
        if (!is_shut && engine_output(client->engine, &bytes) == 0)
            is_shut = shutdown(client->dial.socket, SHUT_WR) == 0;
        struct pollfd wait = {.fd = client->dial.socket, .events = (short)(POLLIN | (is_shut ? 0 : POLLOUT))};
        if (poll(&wait, 1, (int)(end_ms - now_ms)) < 0 && errno != EINTR)
            return;
        if (!(wait.revents & (POLLIN | POLLHUP | POLLERR)))
            continue;
        ssize_t got = recv(client->dial.socket, client->input, sizeof(client->input), MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
            return;
    }
}

void client_close(struct client *client) {
    if (engine_is_open(client->engine) && !engine_disk_error(client->engine))
        say_goodbye(client);
    engine_destroy(client->engine);
    dial_close(&client->dial);
    holder_close(&client->holder);
    close_state(client);
    sodium_memzero(client->input, sizeof(client->input));
    free(client);
}
