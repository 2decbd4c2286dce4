/* tools/client/sealing.h: sealing messages of the outbox for the devices they go to: those of the addressed
 * account and the own others. The sealed form lies beside the message until that leaves the outbox, is what
 * is sent, and is sent again as the same bytes. It is made anew, under the same number, when the devices
 * change.
 *
 * Sealing moves channels on: sealed form and channels are committed in one transaction before any of it is
 * sent.
 *
 * Threads: one.  Memory: views as in state.h. All in a transaction. own: state_identity's, its secret is not
 * looked at. now_s: UTC. */
#ifndef TERN_TOOLS_CLIENT_SEALING_H
#define TERN_TOOLS_CLIENT_SEALING_H

#include "core/reason.h"
#include "tools/client/contacts.h"
#include "tools/client/content.h"
#include "tools/client/state_outbox.h"

#define SEALING_RETRY_S 60u /* after which what could not be had is asked for again */

/* Why messages are held, beside enum refusal: state_outbox_held says either. */
enum sealing_hold {
    HOLD_KEY_CHANGED = 256, /* contact_is_changed: a person has to look */
    HOLD_STRANGE,           /* the switch names a device that is not on the signed list */
    HOLD_BAD_LIST,          /* the switch hands out no list that can be believed */
    HOLD_BAD_KEYS,          /* the switch hands out keys that are not the device's, or none */
    HOLD_NOT_LISTED,        /* this device is not on its own account's list */
};

/* A sentence about enum refusal or enum sealing_hold. Static storage. */
const char *sealing_hold_help(uint16_t reason);

/* Puts a message that is to be sealed into the outbox: its payload is the content, the inner type goes before
 * it. As state_outbox_add. */
int sealing_add(struct state *state, const struct outgoing *message, enum inner_type type,
                uint64_t *ret_number);
/* The longest content of a message to this account, for as many devices as are known of now. */
uint32_t sealing_bytes_max(struct state *state, const struct identity *own, uint64_t to);

struct sealed {
    uint16_t targets;
    const uint8_t *payload; /* of the outer MESSAGE: all parts */
    uint32_t payload_bytes;
};

/* -ENOENT: it is not sealed (again). */
int sealing_get(struct state *state, uint64_t to, uint64_t number, struct sealed *ret_sealed);
/* In a write transaction: seals a message of CONTENT_SEALED that is in the outbox, unless it is. 0: sealed.
 * -EAGAIN: questions are asked first (state_request.h): try again when one of them was answered. -EACCES:
 * held, *ret_reason says why and is kept (state_outbox_hold): try again after SEALING_RETRY_S, or when the
 * state has changed. -ECONNREFUSED: refused for good, with *ret_reason of enum refusal: fail the message.
 * After any of these the transaction has to be committed. -ENOENT: there is no such message, or it is not to
 * be sealed. Others: the transaction's error. */
int sealing_seal(struct state *state, const struct identity *own, uint64_t to, uint64_t number,
                 uint64_t now_s, uint16_t *ret_reason);

/* The devices of this account have changed: what was sealed for it, all where it is the own one, is sealed
 * anew. */
int sealing_drop(struct state *state, const struct identity *own, uint64_t account);

#endif
