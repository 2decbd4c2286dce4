/* tools/client/client.h: a device's client: the engine on a socket, in a home folder that several processes
 * may share.
 *
 * A program puts what it wants into the state (state_outbox.h, state_inbox.h, state_request.h) and runs the
 * client until the state says that it is done. Whether this process holds the connection, or another one of
 * the same home does it, makes no difference to it. The connection comes back by itself, with exponential
 * backoff and jitter.
 *
 * Threads: one.  Memory: the engine's, and one input buffer. */
#ifndef TERN_TOOLS_CLIENT_CLIENT_H
#define TERN_TOOLS_CLIENT_CLIENT_H

#include <poll.h>
#include <signal.h>

#include "tools/client/engine.h"
#include "tools/client/state.h"

#define CLIENT_BACKOFF_MS 100 /* before the first new try, doubled with each */
#define CLIENT_BACKOFF_MS_MAX 30000
#define CLIENT_CONNECT_MS 10000 /* for an address to answer */
#define CLIENT_CLOSE_MS 1000    /* for the switch to take the last bytes */

struct client;

/* Makes a home folder and what is missing above it, mode 0700. */
int client_make_home(const char *home);
/* Opens the home folder; with `make`, makes it and its parents where they are not there, mode 0700. -ENOENT:
 * it is not there; -EPROTO: a newer version wrote its state; -EPERM: others may read it; -ENOKEY: it is
 * locked. */
int client_open(const char *home, bool make, struct client **ret_client);
/* The same of a home whose state may be locked: see state_open_with. */
int client_open_with(const char *home, bool make, const char *passphrase, struct client **ret_client);
/* Sends what is gathered, and closes. */
void client_close(struct client *client);
struct state *client_state(struct client *client);
const char *client_home(const struct client *client);

/* See engine_set_before_commit. */
void client_set_before_commit(struct client *client, engine_before_commit *call, void *context);
/* Once *stop is not 0, client_run returns -EINTR. A handler without SA_RESTART sets it. */
void client_set_stop(struct client *client, const volatile sig_atomic_t *stop);
/* Called when the connection is lost or can not be had, once until it is there again, with a sentence. */
void client_set_on_away(struct client *client, void (*call)(void *context, const char *sentence),
                        void *context);

/* Waits at most timeout_ms (-1: as long as it takes, but returns now and then) for the socket, the state or
 * `more` (which may be NULL), and does what there is to do. 0, or negative where coming back does not mend
 * it: then client_problem is a sentence about it. */
int client_step(struct client *client, int timeout_ms, struct pollfd *more);
/* Steps until `is_done`, which is called in a read transaction whenever the state has changed, returns
 * something else than 0: that is returned. -ETIMEDOUT after timeout_ms (-1: never); -EINTR: see
 * client_set_stop; client_step's. */
typedef int client_is_done(void *context, struct state *state);
int client_run(struct client *client, int64_t timeout_ms, client_is_done *is_done, void *context);

/* This process holds the connection, and the switch has welcomed it. */
bool client_is_connected(const struct client *client);
bool client_holds(const struct client *client);
/* Another process of this home has the connection, or is about to have it. Else this one could. */
bool client_is_elsewhere(struct client *client);
/* What went wrong last; "" where nothing did. */
const char *client_problem(const struct client *client);

/* Monotonic milliseconds. */
uint64_t client_now_ms(void);
/* Milliseconds since 1970, UTC. */
uint64_t client_utc_ms(void);

#endif
