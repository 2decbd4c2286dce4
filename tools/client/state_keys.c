#include "tools/client/state_keys.h"

#include <errno.h>
#include <sodium.h>

#define IDENTITY_LETTER 'i' /* of the seeds */
#define ACCOUNT_LETTER 'a'

#define SIGNED_LETTER 's'   /* counters: the last id of a signed pre-key, ... */
#define ONE_TIME_LETTER 'o' /* ... of a one-time pre-key, ... */
#define TAKEN_LETTER 't'    /* ... and of one that the switch had taken */

#define HANDED_S 86400u /* no more than one note in this time of what was handed out */

/* --- identities ----------------------------------------------------------------------------------------- */

static struct key seed_key(char letter) {
    struct key key = key_of(KEY_SEED);
    key_add(&key, &letter, 1);
    return key;
}

static int get_seed(struct state *state, char letter, struct identity_keys *ret_keys) {
    struct key key = seed_key(letter);
    struct disk_view value;
    int error = state_get(state, &key, &value);
    if (error)
        return error;
    if (value.bytes != IDENTITY_KEY_BYTES)
        return state_damaged(state);
    identity_keys_init(ret_keys, value.at);
    return 0;
}

static int make_seed(struct state *state, char letter) {
    struct key key = seed_key(letter);
    struct disk_view value;
    uint8_t seed[IDENTITY_KEY_BYTES];
    int error = state_get(state, &key, &value);
    if (error != -ENOENT)
        return error;
    randombytes_buf(seed, sizeof(seed));
    error = state_put(state, &key, seed, sizeof(seed));
    primitive_wipe(seed, sizeof(seed));
    return error;
}

int state_keys_make(struct state *state) {
    return make_seed(state, IDENTITY_LETTER);
}

int state_keys_make_account(struct state *state) {
    return make_seed(state, ACCOUNT_LETTER);
}

int state_keys_identity(struct state *state, struct identity_keys *ret_keys) {
    return get_seed(state, IDENTITY_LETTER, ret_keys);
}

int state_keys_account(struct state *state, struct identity_keys *ret_keys) {
    return get_seed(state, ACCOUNT_LETTER, ret_keys);
}

static int drop_seed(struct state *state, char letter) {
    struct key key = seed_key(letter);
    int error = state_delete(state, &key);
    return error == -ENOENT ? 0 : error;
}

int state_keys_drop_account(struct state *state) {
    return drop_seed(state, ACCOUNT_LETTER);
}

int state_keys_drop(struct state *state) {
    int error = drop_seed(state, IDENTITY_LETTER);
    return error ? error : drop_seed(state, ACCOUNT_LETTER);
}

/* --- pre-keys in the state ------------------------------------------------------------------------------ */

static struct key prekey_key(enum key_kind kind, uint64_t id) {
    struct key key = key_of(kind);
    key_add64(&key, id);
    return key;
}

static int read_prekey(struct state *state, struct disk_view value, struct prekey *ret_prekey) {
    int error = prekey_read(ret_prekey, value.at, value.bytes);
    return error ? state_note(state, error) : 0;
}

static int get_prekey(struct state *state, enum key_kind kind, uint32_t id, struct prekey *ret_prekey) {
    struct key key = prekey_key(kind, id);
    struct disk_view value;
    int error = state_get(state, &key, &value);
    return error ? error : read_prekey(state, value, ret_prekey);
}

/* The first of this kind from `id` on. */
static int next_prekey(struct state *state, enum key_kind kind, uint64_t id, struct prekey *ret_prekey) {
    struct key key = prekey_key(kind, id);
    struct disk_view at, value;
    int error = state_seek(state, &key, 1, &at, &value);
    return error ? error : read_prekey(state, value, ret_prekey);
}

static int delete_prekey(struct state *state, enum key_kind kind, uint32_t id) {
    struct key key = prekey_key(kind, id);
    return state_delete(state, &key);
}

static int make_prekey(struct state *state, enum key_kind kind, uint32_t id, uint64_t now_s,
                       struct prekey *ret_prekey) {
    struct key key = prekey_key(kind, id);
    uint8_t secret[PRIMITIVE_KEY_BYTES], bytes[PREKEY_BYTES];
    randombytes_buf(secret, sizeof(secret));
    prekey_init(ret_prekey, id, now_s, secret);
    prekey_write(ret_prekey, bytes);
    int error = state_put(state, &key, bytes, sizeof(bytes));
    primitive_wipe(secret, sizeof(secret));
    primitive_wipe(bytes, sizeof(bytes));
    return error;
}

int state_keys_signed(struct state *state, uint32_t id, struct prekey *ret_prekey) {
    return get_prekey(state, KEY_SIGNED, id, ret_prekey);
}

int state_keys_one_time(struct state *state, uint32_t id, struct prekey *ret_prekey) {
    return get_prekey(state, KEY_ONE_TIME, id, ret_prekey);
}

int state_keys_use_one_time(struct state *state, uint32_t id) {
    return delete_prekey(state, KEY_ONE_TIME, id);
}

/* --- signed pre-keys ------------------------------------------------------------------------------------ */

/* A clock that was ahead has dated the newest one, which would be in use until then: it is of today. Where
 * the one before it is of tomorrow, too, it is this clock that is wrong. */
static int redate(struct state *state, struct prekey *prekey, uint64_t now_s) {
    struct key key = prekey_key(KEY_SIGNED, prekey->id);
    struct disk_view at, value;
    struct prekey before = {.created_s = 0};
    uint8_t bytes[PREKEY_BYTES];
    int error = state_seek_before(state, &key, 1, &at, &value);
    if (!error)
        error = read_prekey(state, value, &before);
    bool is_ahead = prekey->created_s > now_s && before.created_s <= now_s;
    prekey_fini(&before);
    if (!is_ahead || (error && error != -ENOENT))
        return error == -ENOENT ? 0 : error;
    prekey->created_s = now_s;
    prekey_write(prekey, bytes);
    error = state_put(state, &key, bytes, sizeof(bytes));
    primitive_wipe(bytes, sizeof(bytes));
    return error;
}

/* The newest one, made where there is none, it is a week old, or the switch has one that came after it: then
 * this state is older than what was published from it. */
static int current_signed(struct state *state, uint32_t stocked_id, uint64_t now_s,
                          struct prekey *ret_prekey) {
    uint64_t last = state_counter(state, SIGNED_LETTER);
    int error = last ? get_prekey(state, KEY_SIGNED, (uint32_t)last, ret_prekey) : -ENOENT;
    if (error == 0)
        error = redate(state, ret_prekey, now_s);
    if (error && error != -ENOENT)
        return error;
    if (error == 0 && last >= stocked_id && !prekey_wants_successor(ret_prekey, now_s))
        return 0;
    last = last > stocked_id ? last : stocked_id;
    if (last == UINT32_MAX)
        return state_note(state, -EOVERFLOW);
    state_set_counter(state, SIGNED_LETTER, last + 1);
    return make_prekey(state, KEY_SIGNED, (uint32_t)last + 1, now_s, ret_prekey);
}

/* Those whose successor has been there for so long that nothing can be on its way for them any more. */
static void wipe_signed(struct state *state, uint64_t now_s) {
    struct prekey prekey, successor;
    while (next_prekey(state, KEY_SIGNED, 0, &prekey) == 0) {
        bool is_over = next_prekey(state, KEY_SIGNED, prekey.id + UINT64_C(1), &successor) == 0 &&
                       prekey_is_over(successor.created_s, now_s, STATE_KEYS_TTL_S_MAX);
        if (!is_over || delete_prekey(state, KEY_SIGNED, prekey.id) != 0)
            break;
    }
    prekey_fini(&prekey);
    prekey_fini(&successor);
}

/* --- one-time pre-keys ---------------------------------------------------------------------------------- */

/* The switch hands out the lowest it has: what it has left are the highest that it took, and what is below
 * these was handed out. 0: nothing was. Where one of them was used here although the switch says that it
 * still has it, this comes out too low, and secrets are kept for longer. */
static uint64_t highest_handed(struct state *state, const struct frame_keys_stock *stock) {
    uint64_t below = stock->one_time_last + UINT64_C(1);
    for (uint32_t left = stock->left;; left--) {
        struct key key = prekey_key(KEY_ONE_TIME, below);
        struct disk_view at, value;
        if (state_seek_before(state, &key, 1, &at, &value) != 0 || at.bytes != key.used)
            return 0;
        below = bytes_get64_be(at.at + 1);
        if (left == 0)
            return below;
    }
}

static int newest_note(struct state *state, uint64_t *ret_s) {
    struct key key = key_of(KEY_HANDED);
    struct disk_view at, value;
    key_add64(&key, UINT64_MAX);
    int error = state_seek_before(state, &key, 1, &at, &value);
    if (!error)
        *ret_s = bytes_get64_be(at.at + 1);
    return error;
}

static void note_handed(struct state *state, const struct frame_keys_stock *stock, uint64_t now_s) {
    struct key key;
    uint64_t newest_s = 0;
    uint8_t value[sizeof(uint64_t)];
    int error;
    while ((error = newest_note(state, &newest_s)) == 0 && newest_s > now_s) { /* the clock went back */
        key = prekey_key(KEY_HANDED, newest_s);
        if (state_delete(state, &key) != 0)
            return;
    }
    uint64_t handed = highest_handed(state, stock);
    if (handed == 0 || (error == 0 && now_s - newest_s < HANDED_S))
        return;
    key = prekey_key(KEY_HANDED, now_s);
    bytes_put64(value, handed);
    state_put(state, &key, value, sizeof(value));
}

/* What was handed out for longer than a message can be on its way. */
static void wipe_handed(struct state *state, uint64_t now_s) {
    struct key first = key_of(KEY_HANDED);
    struct disk_view at, value;
    struct prekey prekey;
    while (state_seek(state, &first, 1, &at, &value) == 0) {
        uint64_t noted_s = at.bytes == 1 + sizeof(uint64_t) ? bytes_get64_be(at.at + 1) : UINT64_MAX;
        if (value.bytes != sizeof(uint64_t) || noted_s == UINT64_MAX) {
            state_damaged(state);
            return;
        }
        uint64_t handed = bytes_get64(value.at);
        if (noted_s > now_s || now_s - noted_s <= STATE_KEYS_TTL_S_MAX)
            return;
        while (next_prekey(state, KEY_ONE_TIME, 0, &prekey) == 0 && prekey.id <= handed) {
            if (delete_prekey(state, KEY_ONE_TIME, prekey.id) != 0)
                break;
        }
        prekey_fini(&prekey);
        struct key key = prekey_key(KEY_HANDED, noted_s);
        if (state_delete(state, &key) != 0)
            return;
    }
}

static void add_one_time(struct state_keys_offer *offer, const struct prekey *prekey) {
    uint8_t *at = offer->one_time + (size_t)offer->put.count++ * FRAME_ONE_TIME_BYTES;
    bytes_put32(at, prekey->id);
    memcpy(at + 4, prekey->public_key, PRIMITIVE_KEY_BYTES);
}

/* Those that the switch never took first, then new ones, as many as it lacks. One that it took once is not
 * offered again, though a switch that came from a backup may not know that: it may have handed it out. */
static void offer_one_time(struct state *state, const struct frame_keys_stock *stock, uint64_t now_s,
                           struct state_keys_offer *offer) {
    uint64_t last = state_counter(state, ONE_TIME_LETTER), taken = state_counter(state, TAKEN_LETTER);
    uint32_t wanted = stock->left < PREKEY_ONE_TIME_STOCK ? PREKEY_ONE_TIME_STOCK - stock->left : 0;
    struct prekey prekey;
    if (stock->one_time_last > taken) {
        taken = stock->one_time_last;
        state_set_counter(state, TAKEN_LETTER, taken);
    }
    for (uint64_t id = taken; offer->put.count < wanted; id = prekey.id) {
        if (next_prekey(state, KEY_ONE_TIME, id + 1, &prekey) != 0)
            break;
        add_one_time(offer, &prekey);
    }
    last = last > taken ? last : taken;
    while (offer->put.count < wanted && last < UINT32_MAX) {
        if (make_prekey(state, KEY_ONE_TIME, (uint32_t)++last, now_s, &prekey) != 0)
            break;
        add_one_time(offer, &prekey);
    }
    state_set_counter(state, ONE_TIME_LETTER, last);
    prekey_fini(&prekey);
}

/* --- what is published ---------------------------------------------------------------------------------- */

/* The part of a bundle that says the same to everybody. */
static void write_keys(const struct identity_keys *identity, const struct prekey *prekey,
                       uint8_t ret_keys[FRAME_KEYS_BYTES]) {
    struct prekey_bundle bundle = {.signed_id = prekey->id};
    uint8_t bytes[PREKEY_BUNDLE_BYTES];
    memcpy(bundle.identity, identity->public_key, IDENTITY_KEY_BYTES);
    memcpy(bundle.signed_public, prekey->public_key, PRIMITIVE_KEY_BYTES);
    prekey_sign(prekey, identity, bundle.signature);
    prekey_bundle_write(&bundle, bytes);
    memcpy(ret_keys, bytes, FRAME_KEYS_BYTES);
}

int state_keys_offer(struct state *state, const struct frame_keys_stock *stock, uint64_t now_s,
                     struct state_keys_offer *ret_offer) {
    struct identity_keys identity;
    struct prekey prekey = {0};
    int error = state_keys_identity(state, &identity);
    if (error)
        return error;
    error = current_signed(state, stock->signed_id, now_s, &prekey);
    if (!error) {
        memset(&ret_offer->put, 0, sizeof(ret_offer->put));
        ret_offer->put.keys = ret_offer->keys;
        ret_offer->put.one_time = ret_offer->one_time;
        write_keys(&identity, &prekey, ret_offer->keys);
        wipe_signed(state, now_s);
        note_handed(state, stock, now_s);
        wipe_handed(state, now_s);
        offer_one_time(state, stock, now_s, ret_offer);
        error = state->error;
    }
    if (!error && stock->signed_id == prekey.id && ret_offer->put.count == 0)
        error = -EALREADY;
    prekey_fini(&prekey);
    identity_keys_fini(&identity);
    return error;
}
