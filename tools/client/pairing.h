/* tools/client/pairing.h: how a further device of an account is let in, so that the switch can't let in one
 * of its own: docs/SECURITY.md, section 5.
 *
 * A device that has the account key invites: the link URI that it shows carries, beside the code, the account
 * key and a secret, which do not go by the switch. The new device believes that account key, links, and says
 * its identity key to its own account in a message that is sealed with the secret. The inviting device opens
 * it and signs a list with the new device on it (publishing.h). An invitation is for one device, and for as
 * long as the code links.
 *
 * Threads: one.  Memory: nothing is kept; secrets are wiped. All in a transaction. */
#ifndef TERN_TOOLS_CLIENT_PAIRING_H
#define TERN_TOOLS_CLIENT_PAIRING_H

#include "tools/client/e2e/devicelist.h"
#include "tools/client/state.h"

#define PAIRING_SECRET_BYTES 32

/* --- the device that invites ---------------------------------------------------------------------------- */

/* In a write transaction: invites one device until then (UTC), in the place of whatever was invited
 * before. */
int pairing_invite(struct state *state, const uint8_t secret[PAIRING_SECRET_BYTES], uint64_t until_s);
/* A message of CONTENT_PAIRING that came, in a write transaction. One that is not by who was invited is
 * passed over, and counted. 0, or the transaction's error. */
int pairing_take(struct state *state, const struct identity *own, const struct frame_message *message,
                 uint64_t now_s);
/* The device that said who it is, to be put on the list. -ENOENT: nobody did. */
int pairing_found(struct state *state, struct devicelist_device *ret_device);
int pairing_end(struct state *state); /* nobody is invited any more */
uint64_t pairing_strangers(
    struct state *state); /* messages that were passed over, since the state was made */

/* --- the device that is let in -------------------------------------------------------------------------- */

/* In a write transaction: the URI's secret is kept until this device is on its account's list. */
int pairing_keep(struct state *state, const uint8_t secret[PAIRING_SECRET_BYTES]);
/* In a write transaction, once this device has its number: puts what it says of itself into the outbox, once.
 * 0 also where it has nothing to say. */
int pairing_introduce(struct state *state, const struct identity *own, uint64_t utc_ms);
/* Whether this device waits to be let in. */
bool pairing_waits(struct state *state);
int pairing_forget(struct state *state); /* it is on the list */

#endif
