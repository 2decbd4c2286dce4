#include "tools/client/e2e/ratchet.h"

#include <errno.h>
#include <string.h>

#include "core/bytes.h"
#include "core/must.h"

#define INFO "tern ratchet"
#define STEP_MESSAGE 1 /* section 5.2: the inputs of KDF_CK */
#define STEP_CHAIN 2

/* --- chains --------------------------------------------------------------------------------------------- */

/* KDF_RK of a Diffie-Hellman result: the next root key, and the first key of a chain. */
static int turn_root(struct ratchet_state *state, uint8_t ret_chain[PRIMITIVE_KEY_BYTES]) {
    uint8_t shared[PRIMITIVE_KEY_BYTES], root[PRIMITIVE_KEY_BYTES];
    int error = primitive_agree(state->secret, state->remote, shared);
    if (error)
        return error;
    primitive_hkdf(state->root, shared, sizeof(shared), INFO, root, ret_chain);
    memcpy(state->root, root, sizeof(root));
    primitive_wipe(shared, sizeof(shared));
    primitive_wipe(root, sizeof(root));
    return 0;
}

/* KDF_CK; ret_message_key may be NULL where the message is passed over and forgotten. */
static void step_chain(uint8_t chain[PRIMITIVE_KEY_BYTES], uint8_t *ret_message_key) {
    uint8_t next[PRIMITIVE_KEY_BYTES];
    if (ret_message_key)
        primitive_hmac_byte(chain, STEP_MESSAGE, ret_message_key);
    primitive_hmac_byte(chain, STEP_CHAIN, next);
    memcpy(chain, next, sizeof(next));
    primitive_wipe(next, sizeof(next));
}

/* DHRatchet of section 3.5. On an error the state is of no use. */
static int turn(struct ratchet_state *state, const uint8_t remote[PRIMITIVE_KEY_BYTES],
                const uint8_t fresh[PRIMITIVE_KEY_BYTES]) {
    state->previous = state->sent;
    state->sent = 0;
    state->received = 0;
    memcpy(state->remote, remote, PRIMITIVE_KEY_BYTES);
    int error = turn_root(state, state->receiving);
    if (error)
        return error;
    state->has_receiving = true;
    memcpy(state->secret, fresh, PRIMITIVE_KEY_BYTES);
    primitive_public(fresh, state->public_key);
    state->has_sending = true;
    return turn_root(state, state->sending);
}

/* --- a life --------------------------------------------------------------------------------------------- */

static void init(struct ratchet *ratchet, const uint8_t *shared, const uint8_t *secret) {
    memset(ratchet, 0, sizeof(*ratchet));
    memcpy(ratchet->state.root, shared, PRIMITIVE_KEY_BYTES);
    memcpy(ratchet->state.secret, secret, PRIMITIVE_KEY_BYTES);
    primitive_public(secret, ratchet->state.public_key);
}

int ratchet_init_initiator(struct ratchet *ratchet, const uint8_t shared[PRIMITIVE_KEY_BYTES],
                           const uint8_t remote[PRIMITIVE_KEY_BYTES],
                           const uint8_t secret[PRIMITIVE_KEY_BYTES]) {
    init(ratchet, shared, secret);
    memcpy(ratchet->state.remote, remote, PRIMITIVE_KEY_BYTES);
    ratchet->state.has_sending = true;
    int error = turn_root(&ratchet->state, ratchet->state.sending);
    if (error)
        ratchet_fini(ratchet);
    return error;
}

void ratchet_init_responder(struct ratchet *ratchet, const uint8_t shared[PRIMITIVE_KEY_BYTES],
                            const uint8_t secret[PRIMITIVE_KEY_BYTES]) {
    init(ratchet, shared, secret);
}

void ratchet_fini(struct ratchet *ratchet) {
    primitive_wipe(ratchet, sizeof(*ratchet));
}

/* --- kept keys ------------------------------------------------------------------------------------------ */

/* Takes out so many from `index` on. */
static void forget(struct ratchet *ratchet, size_t index, size_t count) {
    must(index + count <= ratchet->kept_count);
    size_t behind = ratchet->kept_count - index - count;
    memmove(&ratchet->kept[index], &ratchet->kept[index + count], behind * sizeof(ratchet->kept[0]));
    primitive_wipe(&ratchet->kept[index + behind], count * sizeof(ratchet->kept[0]));
    ratchet->kept_count = (uint16_t)(ratchet->kept_count - count);
}

static struct ratchet_kept *find_kept(struct ratchet *ratchet, const struct ratchet_header *header) {
    for (size_t i = 0; i < ratchet->kept_count; i++) {
        struct ratchet_kept *kept = &ratchet->kept[i];
        if (kept->number == header->number &&
            primitive_equal(kept->public_key, header->public_key, PRIMITIVE_KEY_BYTES))
            return kept;
    }
    return NULL;
}

/* The keys of so many messages of the receiving chain are kept, or the newest of them; the chain stays. */
static void keep(struct ratchet *ratchet, const struct ratchet_state *state, uint32_t count) {
    uint8_t chain[PRIMITIVE_KEY_BYTES];
    uint32_t kept = count < RATCHET_KEPT_MAX ? count : RATCHET_KEPT_MAX;
    if (ratchet->kept_count + kept > RATCHET_KEPT_MAX)
        forget(ratchet, 0, ratchet->kept_count + kept - RATCHET_KEPT_MAX);
    memcpy(chain, state->receiving, sizeof(chain));
    for (uint32_t i = 0; i < count; i++) {
        if (i + kept < count) {
            step_chain(chain, NULL);
            continue;
        }
        struct ratchet_kept *place = &ratchet->kept[ratchet->kept_count++];
        memcpy(place->public_key, state->remote, PRIMITIVE_KEY_BYTES);
        place->number = state->received + i;
        step_chain(chain, place->message_key);
    }
    primitive_wipe(chain, sizeof(chain));
}

/* --- messages ------------------------------------------------------------------------------------------- */

struct concatenated {
    uint8_t bytes[RATCHET_ASSOCIATED_BYTES_MAX + RATCHET_HEADER_BYTES];
    size_t used;
};

/* CONCAT of section 3.1: the caller's part has a length of its own choice, the header always the same. */
static void concatenate(struct concatenated *data, const uint8_t *associated, size_t associated_bytes,
                        const uint8_t header[RATCHET_HEADER_BYTES]) {
    must(associated_bytes <= RATCHET_ASSOCIATED_BYTES_MAX);
    memcpy(data->bytes, associated, associated_bytes);
    memcpy(data->bytes + associated_bytes, header, RATCHET_HEADER_BYTES);
    data->used = associated_bytes + RATCHET_HEADER_BYTES;
}

int ratchet_seal(struct ratchet *ratchet, const uint8_t *associated, size_t associated_bytes,
                 const uint8_t nonce[PRIMITIVE_NONCE_BYTES], const uint8_t *text, size_t text_bytes,
                 uint8_t *out) {
    struct ratchet_state *state = &ratchet->state;
    struct concatenated data;
    uint8_t message_key[PRIMITIVE_KEY_BYTES];
    if (!state->has_sending)
        return -EAGAIN;
    if (state->sent == UINT32_MAX)
        return -EOVERFLOW;
    memcpy(out, state->public_key, PRIMITIVE_KEY_BYTES);
    bytes_put32(out + 32, state->previous);
    bytes_put32(out + 36, state->sent);
    concatenate(&data, associated, associated_bytes, out);
    memcpy(out + RATCHET_HEADER_BYTES, nonce, PRIMITIVE_NONCE_BYTES);
    if (text != out + RATCHET_TEXT_OFFSET && text_bytes)
        memcpy(out + RATCHET_TEXT_OFFSET, text, text_bytes);
    step_chain(state->sending, message_key);
    state->sent++;
    primitive_seal(message_key, nonce, data.bytes, data.used, out + RATCHET_TEXT_OFFSET, text_bytes);
    primitive_wipe(message_key, sizeof(message_key));
    return 0;
}

/* What opening a message would make of the ratchet. */
struct advance {
    struct ratchet_state turned; /* at the beginning of what is passed over in the message's chain */
    uint8_t receiving[PRIMITIVE_KEY_BYTES]; /* that chain behind the message */
    uint8_t message_key[PRIMITIVE_KEY_BYTES];
    uint32_t ended; /* messages of the chain before it that did not come */
};

/* Keeps nothing yet: whoever wrote the header may have made it up. */
static int advance(const struct ratchet *ratchet, const struct ratchet_header *header, const uint8_t *fresh,
                   struct advance *ret_advance) {
    struct ratchet_state *turned = &ret_advance->turned;
    *turned = ratchet->state;
    ret_advance->ended = 0;
    if (header->number == UINT32_MAX)
        return -EBADMSG;
    if (!turned->has_receiving || !primitive_equal(turned->remote, header->public_key, PRIMITIVE_KEY_BYTES)) {
        if (turned->has_receiving && header->previous > turned->received)
            ret_advance->ended = header->previous - turned->received;
        int error = turn(turned, header->public_key, fresh);
        if (error)
            return error;
    }
    if (header->number < turned->received)
        return -EALREADY;
    if (header->number - turned->received > RATCHET_SKIP_MAX)
        return -ERANGE;
    memcpy(ret_advance->receiving, turned->receiving, PRIMITIVE_KEY_BYTES);
    for (uint32_t number = turned->received; number < header->number; number++)
        step_chain(ret_advance->receiving, NULL);
    step_chain(ret_advance->receiving, ret_advance->message_key);
    return 0;
}

/* The message was authentic: the keys of those before it are kept, and the ratchet moves on. An old chain
 * that lost more than RATCHET_SKIP_MAX ends without: or the ratchet could never move on again. */
static void commit(struct ratchet *ratchet, const struct ratchet_header *header,
                   const struct advance *advance) {
    if (advance->ended <= RATCHET_SKIP_MAX)
        keep(ratchet, &ratchet->state, advance->ended);
    keep(ratchet, &advance->turned, header->number - advance->turned.received);
    ratchet->state = advance->turned;
    memcpy(ratchet->state.receiving, advance->receiving, PRIMITIVE_KEY_BYTES);
    ratchet->state.received = header->number + 1;
}

static void read_header(const uint8_t *bytes, struct ratchet_header *ret_header) {
    memcpy(ret_header->public_key, bytes, PRIMITIVE_KEY_BYTES);
    ret_header->previous = bytes_get32(bytes + 32);
    ret_header->number = bytes_get32(bytes + 36);
}

int ratchet_open(struct ratchet *ratchet, const uint8_t *associated, size_t associated_bytes,
                 const uint8_t fresh[PRIMITIVE_KEY_BYTES], const uint8_t *sealed, size_t sealed_bytes,
                 uint8_t *text, size_t *ret_text_bytes) {
    struct ratchet_header header;
    struct advance next;
    struct concatenated data;
    int error = 0;
    if (sealed_bytes < RATCHET_OVERHEAD_BYTES)
        return -EBADMSG;
    read_header(sealed, &header);
    concatenate(&data, associated, associated_bytes, sealed);
    struct ratchet_kept *kept = find_kept(ratchet, &header);
    if (!kept)
        error = advance(ratchet, &header, fresh, &next);
    if (!error)
        error = primitive_open(kept ? kept->message_key : next.message_key, sealed + RATCHET_HEADER_BYTES,
                               data.bytes, data.used, sealed + RATCHET_TEXT_OFFSET,
                               sealed_bytes - RATCHET_TEXT_OFFSET, text);
    if (!error && kept)
        forget(ratchet, (size_t)(kept - ratchet->kept), 1);
    else if (!error)
        commit(ratchet, &header, &next);
    primitive_wipe(&next, sizeof(next));
    if (!error)
        *ret_text_bytes = sealed_bytes - RATCHET_OVERHEAD_BYTES;
    return error;
}

/* --- the stored state ----------------------------------------------------------------------------------- */

#define STORED_VERSION 1
#define STORED_SENDING 1
#define STORED_RECEIVING 2
#define STORED_KEYS 6u

/* The keys of the state in the order they are stored. */
static void list_keys(struct ratchet_state *state, uint8_t *ret_keys[STORED_KEYS]) {
    ret_keys[0] = state->root;
    ret_keys[1] = state->secret;
    ret_keys[2] = state->public_key;
    ret_keys[3] = state->remote;
    ret_keys[4] = state->sending;
    ret_keys[5] = state->receiving;
}

size_t ratchet_state_bytes(const struct ratchet *ratchet) {
    return RATCHET_FIXED_BYTES + (size_t)ratchet->kept_count * RATCHET_KEPT_BYTES;
}

size_t ratchet_write(const struct ratchet *ratchet, uint8_t *ret_bytes) {
    struct ratchet_state state = ratchet->state;
    uint8_t *keys[STORED_KEYS], *at = ret_bytes;
    list_keys(&state, keys);
    bytes_put16(at, STORED_VERSION);
    at[2] =
        (uint8_t)((state.has_sending ? STORED_SENDING : 0) | (state.has_receiving ? STORED_RECEIVING : 0));
    at[3] = 0;
    bytes_put32(at + 4, state.sent);
    bytes_put32(at + 8, state.received);
    bytes_put32(at + 12, state.previous);
    bytes_put32(at + 16, ratchet->kept_count);
    at += 20;
    for (size_t i = 0; i < STORED_KEYS; i++, at += PRIMITIVE_KEY_BYTES)
        memcpy(at, keys[i], PRIMITIVE_KEY_BYTES);
    for (size_t i = 0; i < ratchet->kept_count; i++, at += RATCHET_KEPT_BYTES) {
        memcpy(at, ratchet->kept[i].public_key, PRIMITIVE_KEY_BYTES);
        bytes_put32(at + 32, ratchet->kept[i].number);
        memcpy(at + 36, ratchet->kept[i].message_key, PRIMITIVE_KEY_BYTES);
    }
    primitive_wipe(&state, sizeof(state));
    return (size_t)(at - ret_bytes);
}

int ratchet_read(struct ratchet *ret_ratchet, const uint8_t *bytes, size_t count) {
    uint8_t *keys[STORED_KEYS];
    if (count >= 2 && bytes_get16(bytes) > STORED_VERSION)
        return -EPROTO;
    if (count < RATCHET_FIXED_BYTES || bytes_get16(bytes) != STORED_VERSION)
        return -EUCLEAN;
    uint32_t kept_count = bytes_get32(bytes + 16);
    bool has_sending = bytes[2] & STORED_SENDING, has_receiving = bytes[2] & STORED_RECEIVING;
    if (bytes[2] > (STORED_SENDING | STORED_RECEIVING) || bytes[3] != 0 || (has_receiving && !has_sending) ||
        kept_count > RATCHET_KEPT_MAX || count != RATCHET_FIXED_BYTES + kept_count * RATCHET_KEPT_BYTES)
        return -EUCLEAN;
    memset(ret_ratchet, 0, sizeof(*ret_ratchet));
    list_keys(&ret_ratchet->state, keys);
    ret_ratchet->state.has_sending = has_sending;
    ret_ratchet->state.has_receiving = has_receiving;
    ret_ratchet->state.sent = bytes_get32(bytes + 4);
    ret_ratchet->state.received = bytes_get32(bytes + 8);
    ret_ratchet->state.previous = bytes_get32(bytes + 12);
    ret_ratchet->kept_count = (uint16_t)kept_count;
    bytes += 20;
    for (size_t i = 0; i < STORED_KEYS; i++, bytes += PRIMITIVE_KEY_BYTES)
        memcpy(keys[i], bytes, PRIMITIVE_KEY_BYTES);
    for (size_t i = 0; i < kept_count; i++, bytes += RATCHET_KEPT_BYTES) {
        struct ratchet_kept *kept = &ret_ratchet->kept[i];
        memcpy(kept->public_key, bytes, PRIMITIVE_KEY_BYTES);
        kept->number = bytes_get32(bytes + 32);
        memcpy(kept->message_key, bytes + 36, PRIMITIVE_KEY_BYTES);
    }
    return 0;
}
