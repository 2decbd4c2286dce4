#include "tools/client/publishing.h"

#include <errno.h>

#include "core/frame_keys.h"
#include "tools/client/ageing.h"
#include "tools/client/answers.h"
#include "tools/client/pairing.h"

#define DONE_LETTER 'p' /* counter: the signed pre-key that the switch had last */

void publishing_restart(struct publishing *publishing) {
    publishing->is_stocked = publishing->is_stale = publishing->has_offer = false;
    publishing->asked_version = 0;
    publishing->again_s = 0;
}

void publishing_look_again(struct publishing *publishing) {
    publishing->is_stale = true;
}

int publishing_take_stock(struct publishing *publishing, struct state *state, struct asking *asking,
                          const struct frame *frame, uint64_t now_s) {
    struct frame_keys_stock stock;
    if (frame_read_keys_stock(frame, &stock) < 0)
        return -EPROTO;
    if (stock.request)
        asking_keys_answered(asking, stock.request);
    publishing->stock = stock;
    publishing->is_stocked = true;
    publishing->is_stale = stock.status == 0;
    if (stock.status)
        publishing->again_s = now_s + PUBLISHING_RETRY_S;
    if (state_counter(state, DONE_LETTER) != stock.signed_id)
        state_set_counter(state, DONE_LETTER, stock.signed_id);
    return state->error;
}

void publishing_list_stored(struct publishing *publishing, uint64_t version) {
    publishing->stock.list_version = version;
    publishing->is_stale = true;
}

bool publishing_wants(const struct publishing *publishing, uint64_t now_s) {
    if (!publishing->is_stocked)
        return false;
    return publishing->is_stale || (publishing->again_s && now_s >= publishing->again_s);
}

/* --- the list ------------------------------------------------------------------------------------------- */

static int put_list(struct state *state, struct devicelist *list, const struct identity_keys *account_key) {
    uint8_t bytes[DEVICELIST_BYTES_MAX];
    struct ask ask = {.kind = ASK_LIST_PUT, .version = list->version, .bytes = bytes}, pending = ask;
    if (state_request_get(state, &pending) == 0 && !pending.is_answered)
        return 0; /* one is on its way */
    ask.byte_count = (uint32_t)devicelist_sign(list, account_key, bytes);
    return state_request_put(state, &ask);
}

int publishing_put_list(struct state *state, struct devicelist *list, uint64_t now_s) {
    struct identity_keys account_key;
    int error = state_keys_account(state, &account_key);
    if (error)
        return error;
    list->version++;
    list->created_s = now_s;
    error = put_list(state, list, &account_key);
    identity_keys_fini(&account_key);
    return error;
}

/* A list of a version that the switch takes, of the devices known, or of this one alone. */
static int put_next_list(struct publishing *publishing, struct state *state, const struct identity *own,
                         const struct contact *contact, const struct identity_keys *account_key,
                         uint64_t now_s) {
    struct devicelist list = {.account = own->account};
    struct identity_keys identity;
    if (contact->has_list)
        list = contact->list;
    else {
        struct devicelist_device device = {.number = own->device, .created_s = now_s};
        int error = state_keys_identity(state, &identity);
        if (error)
            return error;
        memcpy(device.identity, identity.public_key, IDENTITY_KEY_BYTES);
        identity_keys_fini(&identity);
        devicelist_add(&list, &device);
    }
    if (publishing->stock.list_version >= list.version) {
        list.version = publishing->stock.list_version + 1;
        list.created_s = now_s;
    }
    return put_list(state, &list, account_key);
}

/* The switch has another version than this device, or neither has one. */
static int settle_list(struct publishing *publishing, struct state *state, const struct identity *own,
                       const struct contact *contact, uint64_t now_s) {
    uint64_t version = publishing->stock.list_version;
    struct ask ask = {.kind = ASK_LIST, .account = own->account};
    if (version && publishing->asked_version != version) {
        publishing->asked_version = version;
        return answers_ask_list(state, own->account);
    }
    if (version && state_request_get(state, &ask) == 0)
        return 0;
    if (contact->has_list && version > contact->list.version)
        return 0; /* it is not the account's, or was not to be had: people were told, and look into it */
    struct identity_keys account_key;
    int error = state_keys_account(state, &account_key);
    if (error)
        return error == -ENOENT ? 0 : error;
    if (!contact->has_key ||
        primitive_equal(contact->account_key, account_key.public_key, IDENTITY_KEY_BYTES))
        error = put_next_list(publishing, state, own, contact, &account_key, now_s);
    identity_keys_fini(&account_key);
    return error;
}

/* A further device has said who it is, or this one waits to be let in. */
static int settle_pairing(struct state *state, const struct identity *own, struct contact *contact,
                          uint64_t now_s) {
    struct devicelist_device device;
    int error = pairing_found(state, &device);
    if (error == 0 && contact->has_list) {
        error = devicelist_add(&contact->list, &device);
        if (error) /* it is on the list, or that is full */
            return pairing_end(state);
        error = publishing_put_list(state, &contact->list, now_s);
    }
    if (error && error != -ENOENT)
        return error;
    return pairing_introduce(state, own, now_s * 1000);
}

/* --- keys ----------------------------------------------------------------------------------------------- */

bool publishing_is_listed(struct state *state, const struct identity *own, const struct contact *self) {
    struct identity_keys identity;
    const struct devicelist_device *device =
        self->has_list ? devicelist_find(&self->list, own->device) : NULL;
    if (!device || state_keys_identity(state, &identity) != 0)
        return false;
    bool is_same = primitive_equal(device->identity, identity.public_key, IDENTITY_KEY_BYTES);
    identity_keys_fini(&identity);
    return is_same;
}

static int make_offer(struct publishing *publishing, struct state *state, uint64_t now_s) {
    publishing->again_s = now_s + PUBLISHING_AGAIN_S;
    int error = state_keys_offer(state, &publishing->stock, now_s, &publishing->offer);
    publishing->has_offer = error == 0;
    return error == -EALREADY || error == -ENOENT ? 0 : error;
}

int publishing_prepare(struct publishing *publishing, struct state *state, const struct identity *own,
                       uint64_t now_s) {
    struct identity_keys identity;
    struct contact contact;
    publishing->is_stale = false;
    publishing->again_s = 0;
    int error = state_keys_identity(state, &identity);
    if (error)
        return error == -ENOENT ? 0 : error; /* a device that does not encrypt */
    identity_keys_fini(&identity);
    error = contacts_get(state, own->account, &contact);
    if (error && error != -ENOENT)
        return error;
    if (!contact.has_list || contact.list.version != publishing->stock.list_version)
        error = settle_list(publishing, state, own, &contact, now_s);
    else
        error = 0;
    if (error)
        return error;
    if (!publishing_is_listed(state, own, &contact))
        return settle_pairing(state, own, &contact, now_s);
    error = pairing_forget(state);
    if (!error)
        error = ageing_run(state, now_s);
    if (!error)
        error = make_offer(publishing, state, now_s);
    return error ? error : settle_pairing(state, own, &contact, now_s);
}

int publishing_fill(struct publishing *publishing, struct asking *asking, struct peer *peer) {
    if (!publishing->has_offer)
        return 0;
    int error = asking_put_keys(asking, &publishing->offer.put, peer);
    if (error == -EBUSY)
        return 0; /* when an answer has made room */
    publishing->has_offer = error != 0;
    return error;
}

bool publishing_is_done(struct state *state) {
    return state_counter(state, DONE_LETTER) != 0;
}
