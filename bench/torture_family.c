#include "bench/torture_family.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "tools/client/contacts.h"
#include "tools/client/link.h"
#include "tools/client/pairing.h"
#include "tools/client/publishing.h"
#include "tools/client/state_request.h"

#define WAIT_S 20 /* for anything that the switch or the other device has to do */
#define STEP_MS 5

static int is_published(void *context, struct state *state) {
    (void)context;
    return publishing_is_done(state);
}

int torture_family_begin(const char *home, const struct uri *uri, struct client **ret_first) {
    struct client *first;
    int error = client_open(home, true, &first);
    if (error)
        return error;
    error = link_prepare(client_state(first), uri);
    if (error >= 0)
        error = client_run(first, WAIT_S * 1000, is_published, NULL);
    if (error < 0) {
        client_close(first);
        return error;
    }
    *ret_first = first;
    return 0;
}

/* --- inviting ------------------------------------------------------------------------------------------- */

static int take_code(void *context, struct state *state) {
    struct uri *uri = context;
    struct ask ask = {.kind = ASK_CODE};
    if (state_request_get(state, &ask) != 0 || !ask.is_answered)
        return 0;
    if (ask.status || ask.byte_count != sizeof(uri->code))
        return -EPROTO;
    memcpy(uri->code, ask.bytes, sizeof(uri->code));
    return 1;
}

static int ask_code(struct client *first, struct uri *uri) {
    const struct ask ask = {.kind = ASK_CODE};
    struct state *state = client_state(first);
    int error = state_begin(state);
    if (error)
        return error;
    state_request_put(state, &ask);
    error = state_commit(state);
    if (!error)
        error = client_run(first, WAIT_S * 1000, take_code, uri);
    return error < 0 ? error : 0;
}

/* All of the URI but its code. */
static int invite(struct client *first, struct uri *uri) {
    const struct ask ask = {.kind = ASK_CODE};
    struct state *state = client_state(first);
    struct identity own = {0};
    struct contact self;
    int error = state_begin(state);
    if (error)
        return error;
    error = state_identity(state, &own);
    if (!error)
        error = contacts_get(state, own.account, &self);
    if (error) {
        state_end(state);
        return error;
    }
    uri->port = own.port;
    uri->account = own.account;
    uri->is_paired = true;
    memcpy(uri->host, own.host, sizeof(uri->host));
    memcpy(uri->name, own.name, sizeof(uri->name));
    memcpy(uri->key, own.server_key, sizeof(uri->key));
    memcpy(uri->account_key, self.account_key, sizeof(uri->account_key));
    randombytes_buf(uri->pair, sizeof(uri->pair));
    sodium_memzero(own.secret, sizeof(own.secret));
    state_request_delete(state, &ask);
    pairing_invite(state, uri->pair, client_utc_ms() / 1000 + WAIT_S);
    return state_commit(state);
}

/* --- letting in ----------------------------------------------------------------------------------------- */

/* Its number, once it can be encrypted for; 0: not yet; negative errno. */
static int number_of(struct client *further) {
    struct state *state = client_state(further);
    struct identity identity = {0};
    int error = state_look(state);
    if (error)
        return error;
    error = state_identity(state, &identity);
    bool is_there = publishing_is_done(state);
    state_end(state);
    sodium_memzero(identity.secret, sizeof(identity.secret));
    return error ? error : is_there ? identity.device : 0;
}

/* 1; 0: not yet; negative errno. */
static int is_listed(struct client *first, uint64_t account, uint16_t device) {
    struct state *state = client_state(first);
    struct contact self;
    int error = state_look(state);
    if (error)
        return error;
    bool is_there = contacts_get(state, account, &self) == 0 && devicelist_find(&self.list, device);
    state_end(state);
    return is_there;
}

static int step_both(struct client *first, struct client *further, uint64_t account) {
    uint64_t end_ms = client_now_ms() + WAIT_S * 1000;
    while (client_now_ms() < end_ms) {
        int number = number_of(further);
        int done = number > 0 ? is_listed(first, account, (uint16_t)number) : number;
        if (done)
            return done < 0 ? done : 0;
        int error = client_step(first, STEP_MS, NULL);
        if (!error)
            error = client_step(further, STEP_MS, NULL);
        if (error)
            return error;
    }
    return -ETIMEDOUT;
}

int torture_family_let_in(struct client *first, const char *home) {
    struct uri uri = {0};
    struct client *further = NULL;
    int error = ask_code(first, &uri);
    if (!error)
        error = invite(first, &uri);
    if (!error)
        error = client_open(home, true, &further);
    if (!error)
        error = link_prepare(client_state(further), &uri);
    if (!error)
        error = step_both(first, further, uri.account);
    if (further)
        client_close(further);
    sodium_memzero(&uri, sizeof(uri));
    return error;
}
