/* tools/client/pairing.h: how a further device of an account is let in, so that the switch can't let in one
 * of its own: docs/SECURITY.md, section 5.
 *
 * A device that has the account key invites: the link URI that it shows carries, beside the code, the account
 * key and a secret, which do not go by the switch. The new device believes that account key, links, and says
 * its identity key to its own account in a message that is sealed with the secret. The inviting device opens
 * it and signs a list with the new device on it (publishing.h). An invitation is for one device, and for as
 * long as the code links.
 *
 * A device that says who it is without the secret of an invitation is linked at the switch, and nothing more:
 * it is a stranger, until a person has it cut off. It is told so, once, in a message that the account key has
 * signed, so that it does not wait for ever.
 *
 * Threads: one.  Memory: nothing is kept; secrets are wiped. All in a transaction. */
#ifndef TERN_TOOLS_CLIENT_PAIRING_H
#define TERN_TOOLS_CLIENT_PAIRING_H

#include "tools/client/e2e/devicelist.h"
#include "tools/client/state.h"

#define PAIRING_SECRET_BYTES 32
#define PAIRING_STRANGERS_MAX DEVICELIST_DEVICES_MAX /* an account has no more linked at a time */

/* A message of CONTENT_PAIRING that came, in a write transaction: to the device that has the account key,
 * what a new one says of itself; to that one, that it is not let in. 0: taken, or not for this device;
 * -EBADMSG: by nobody who was invited, or not by the account key, and to be counted; the transaction's
 * error. */
int pairing_take(struct state *state, const struct identity *own, const struct frame_message *message,
                 uint64_t now_s);

/* --- the device that invites ---------------------------------------------------------------------------- */

/* In a write transaction: invites one device until then (UTC), in the place of whatever was invited
 * before. */
int pairing_invite(struct state *state, const uint8_t secret[PAIRING_SECRET_BYTES], uint64_t until_s);
/* The device that said who it is, to be put on the list. -ENOENT: nobody did. */
int pairing_found(struct state *state, struct devicelist_device *ret_device);
int pairing_end(struct state *state); /* nobody is invited any more */
/* In a write transaction: wipes the secret of an invitation whose time is over. */
int pairing_age(struct state *state, uint64_t now_s);
/* The stranger with the lowest number from `from` on. -ENOENT: there is none. */
int pairing_stranger(struct state *state, uint32_t from, uint16_t *ret_device);
/* In a write transaction: the switch has cut this device off. */
int pairing_stranger_left(struct state *state, uint16_t device);

/* --- the device that is let in -------------------------------------------------------------------------- */

enum pairing_stand {
    PAIRING_NONE,    /* on the list, or never invited */
    PAIRING_WAITS,   /* to be let in */
    PAIRING_REFUSED, /* for good: it is a stranger */
};

/* In a write transaction: the URI's secret is kept until it was used. */
int pairing_keep(struct state *state, const uint8_t secret[PAIRING_SECRET_BYTES]);
/* In a write transaction, once this device has its number: puts what it says of itself into the outbox, once,
 * and wipes the secret. 0 also where it has nothing to say. */
int pairing_introduce(struct state *state, const struct identity *own, uint64_t utc_ms);
enum pairing_stand pairing_stand(struct state *state);
int pairing_forget(struct state *state); /* it is on the list */

#endif
