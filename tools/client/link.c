#include "tools/client/link.h"

#include <errno.h>
#include <sodium.h>

#include "tools/client/contacts.h"
#include "tools/client/pairing.h"
#include "tools/client/state_keys.h"

static bool is_same_account(const struct identity *identity, const struct uri *uri) {
    return identity->account == uri->account &&
           memcmp(identity->server_key, uri->key, sizeof(identity->server_key)) == 0;
}

/* The epoch tells the numbers of this state from those of any earlier one of the same device. Keys of another
 * account, with which linking was tried before, are no keys of this one. */
static void make_identity(struct state *state, uint64_t account, struct identity *identity) {
    *identity = (struct identity){.payload_bytes_max = FRAME_PAYLOAD_BYTES_MAX};
    randombytes_buf(identity->secret, sizeof(identity->secret));
    while (identity->epoch == 0)
        randombytes_buf(&identity->epoch, sizeof(identity->epoch));
    state_keys_drop(state);
    contacts_forget(state, account);
}

/* A further device believes the account key of the one that lets it in. */
static void keep_pairing(struct state *state, const struct uri *uri) {
    state_keys_drop_account(state);
    contacts_forget(state, uri->account);
    contacts_pin(state, uri->account, uri->account_key);
    pairing_keep(state, uri->pair);
}

/* The first device of an account makes its account key. */
static void make_account_key(struct state *state, uint64_t account) {
    struct identity_keys keys;
    state_keys_make_account(state);
    if (state_keys_account(state, &keys) != 0)
        return; /* the transaction has failed */
    contacts_pin(state, account, keys.public_key);
    identity_keys_fini(&keys);
}

int link_prepare(struct state *state, const struct uri *uri) {
    struct identity identity;
    int error = state_begin(state);
    if (error)
        return error;
    error = state_identity(state, &identity);
    if (error == 0 && identity.is_linked) {
        state_end(state);
        sodium_memzero(identity.secret, sizeof(identity.secret));
        return is_same_account(&identity, uri) ? 1 : -EEXIST;
    }
    if (error == -ENOENT || (error == 0 && !is_same_account(&identity, uri))) {
        make_identity(state, uri->account, &identity);
        error = 0;
    }
    if (error) {
        state_end(state);
        return error;
    }
    identity.account = uri->account;
    identity.port = uri->port;
    memcpy(identity.server_key, uri->key, sizeof(identity.server_key));
    memcpy(identity.code, uri->code, sizeof(identity.code));
    memcpy(identity.host, uri->host, sizeof(identity.host));
    memcpy(identity.name, uri->name, sizeof(identity.name));
    state_set_identity(state, &identity);
    sodium_memzero(&identity, sizeof(identity));
    state_keys_make(state);
    if (uri->is_paired)
        keep_pairing(state, uri);
    else
        make_account_key(state, uri->account);
    return state_commit(state);
}
