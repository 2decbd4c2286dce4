/* tools/client/state_keys.h: the secret keys of this device: its identity key, the account key where it has
 * that, and the pre-keys that it left with the switch (tools/client/e2e/prekeys.h).
 *
 * Ids of pre-keys only rise: never below one that was used here, never below one that the switch has taken.
 * What is offered to the switch is committed first, so that a secret is there before its key can be used.
 *
 * Secrets end: a signed pre-key's when its successor is older than a message can be that was sealed for it; a
 * one-time pre-key's with the message that used it, or so long after the switch was seen to have handed it
 * out.
 *
 * Threads: one.  Memory: the caller's; what is handed out is for the caller to wipe. All in a transaction. */
#ifndef TERN_TOOLS_CLIENT_STATE_KEYS_H
#define TERN_TOOLS_CLIENT_STATE_KEYS_H

#include "core/frame_keys.h"
#include "tools/client/e2e/prekeys.h"
#include "tools/client/state.h"

#define STATE_KEYS_TTL_S_MAX (30u * 86400u) /* the longest time to live of a message */

/* --- identities ----------------------------------------------------------------------------------------- */

/* Makes the identity key where there is none yet: what is there stays. */
int state_keys_make(struct state *state);
/* Makes an account key, too, where there is none: for the first device of an account. It is not believed
 * before contacts_pin. */
int state_keys_make_account(struct state *state);
int state_keys_identity(struct state *state, struct identity_keys *ret_keys); /* -ENOENT: none was made */
int state_keys_account(struct state *state, struct identity_keys *ret_keys); /* -ENOENT: not on this device */
/* Another device has the account key: the one made here signs nothing any more. */
int state_keys_drop_account(struct state *state);
/* Identity and account key: the device that they were made for is none, or another account's. */
int state_keys_drop(struct state *state);

/* --- pre-keys ------------------------------------------------------------------------------------------- */

/* What a KEYS_PUT says: its views point into this. */
struct state_keys_offer {
    struct frame_keys_put put; /* but for the request */
    uint8_t keys[FRAME_KEYS_BYTES];
    uint8_t one_time[PREKEY_ONE_TIME_STOCK * FRAME_ONE_TIME_BYTES];
};

/* In a write transaction, to be committed before the offer is sent. stock: what the switch has. Makes and
 * wipes pre-keys as is due, and says what the switch should have: 0; -EALREADY: it has that, nothing is to be
 * sent; -ENOENT: no identity key was made. An offer whose answer got lost is made again with the same
 * keys.
 */
int state_keys_offer(struct state *state, const struct frame_keys_stock *stock, uint64_t now_s,
                     struct state_keys_offer *ret_offer);
/* The secrets of these. -ENOENT: gone, or never made here. */
int state_keys_signed(struct state *state, uint32_t id, struct prekey *ret_prekey);
int state_keys_one_time(struct state *state, uint32_t id, struct prekey *ret_prekey);
/* The message that used it was opened. */
int state_keys_use_one_time(struct state *state, uint32_t id);

#endif
