/* tools/client/publishing.h: what this device leaves with the switch so that others can encrypt for it: its
 * keys, and, where it has the account key, the account's device list; docs/PROTOCOL.md, section 3.4.
 *
 * A device publishes its keys only when it is on its account's list: nobody would encrypt for one that is
 * not. The first device of an account signs version 1 of the list, with itself on it. What the switch has
 * (KEYS_STOCK, after WELCOME and whenever it changed) says what is to be done; a list that the switch lost is
 * put again. A new device with a new account key that finds a list of an older key, whose devices are lost,
 * puts one above it, once: two devices that did so again and again would never come to an end.
 *
 * Threads: one.  Memory: the caller's, 4 KB. */
#ifndef TERN_TOOLS_CLIENT_PUBLISHING_H
#define TERN_TOOLS_CLIENT_PUBLISHING_H

#include "tools/client/asking.h"
#include "tools/client/contacts.h"
#include "tools/client/e2e/devicelist.h"
#include "tools/client/state_keys.h"

#define PUBLISHING_AGAIN_S 3600 /* then pre-keys are looked at again */
#define PUBLISHING_RETRY_S                                                                                   \
    60 /* then keys that were refused are put again: nobody can write to their device */

struct publishing {
    bool is_stocked; /* KEYS_STOCK came in this session */
    bool is_stale;   /* there may be something to do */
    bool has_offer;  /* made in a transaction, to be sent once that is committed */
    struct frame_keys_stock stock;
    uint64_t asked_version; /* of the own list, for which it was asked in this session */
    uint64_t again_s;       /* UTC; 0: not planned */
    struct state_keys_offer offer;
};

void publishing_restart(struct publishing *publishing); /* a session begins */
/* What is known of the own account has changed. */
void publishing_look_again(struct publishing *publishing);
/* KEYS_STOCK, in a write transaction. -EPROTO: the frame is malformed. */
int publishing_take_stock(struct publishing *publishing, struct state *state, struct asking *asking,
                          const struct frame *frame, uint64_t now_s);
/* LIST_STORED: the switch has this version of the own list. */
void publishing_list_stored(struct publishing *publishing, uint64_t version);
/* True where publishing_prepare has something to look at. */
bool publishing_wants(const struct publishing *publishing, uint64_t now_s);
/* In a write transaction: makes keys and puts questions. 0 or the transaction's error. */
int publishing_prepare(struct publishing *publishing, struct state *state, const struct identity *own,
                       uint64_t now_s);
/* After it was committed: what was made goes to the peer. 0 or -ENOMEM. */
int publishing_fill(struct publishing *publishing, struct asking *asking, struct peer *peer);

/* Signs a list of the own account, of the version after the one it has, and puts it to be stored
 * (ASK_LIST_PUT), unless one is on its way. In a write transaction. -ENOENT: the account key is not on this
 * device. */
int publishing_put_list(struct state *state, struct devicelist *list, uint64_t now_s);
/* Whether the list of the own account, if there is one, has this device on it, with its identity key. In a
 * transaction. */
bool publishing_is_listed(struct state *state, const struct identity *own, const struct contact *self);
/* Whether the switch has had this device's keys: others can encrypt for it. In a transaction. */
bool publishing_is_done(struct state *state);

#endif
