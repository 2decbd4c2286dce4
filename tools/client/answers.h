/* tools/client/answers.h: what the switch's key directory answers, taken into the state: lists are verified,
 * channels begun with keys, waiting messages opened, sealed ones dropped where devices changed. What is wrong
 * with an answer is a line for people in the inbox, once until it changes.
 *
 * Threads: one.  Memory: nothing is kept. All in a write transaction. The questions (ASK_LIST, ASK_KEYS of
 * state_request.h) are put by sealing.c, opening.c and whoever wants to know, and deleted here. */
#ifndef TERN_TOOLS_CLIENT_ANSWERS_H
#define TERN_TOOLS_CLIENT_ANSWERS_H

#include "core/frame_keys.h"
#include "tools/client/contacts.h"
#include "tools/client/e2e/x3dh.h"

/* Has this account's list asked for, unless that is asked already; the keys of one of its devices. */
int answers_ask_list(struct state *state, uint64_t account);
int answers_ask_keys(struct state *state, struct x3dh_address device);
/* A session begins: what waits for lists that were not to be had asks for them again. */
int answers_ask_again(struct state *state);

/* LIST: the answer to ASK_LIST. Also the own list, by LIST_STORED. The list is no view of the state.
 * *ret_news: 0 where the switch refused to say. */
int answers_list(struct state *state, const struct identity *own, const struct frame_list *list,
                 uint64_t now_s, enum contact_news *ret_news);
/* KEYS: the answer to ASK_KEYS for this device, 0 all. As above. */
int answers_keys(struct state *state, const struct identity *own, uint16_t asked_device,
                 const struct frame_keys *keys, uint64_t now_s);
/* TARGETS: missing devices were not sealed for, gone ones were. The REFUSED behind it makes the flow send
 * again what is then sealed anew. */
int answers_targets(struct state *state, const struct identity *own, uint64_t account,
                    const uint16_t *missing, uint32_t missing_count, const uint16_t *gone,
                    uint32_t gone_count);
/* A person accepts the account as it is now. Its other key is believed from now on, where it has one, and not
 * verified; channels and sealed messages of the old one are dropped. What waits is opened. is_compared: a
 * person has compared safety numbers, else it was only told. -ENOENT: nothing has changed
 * (contact_is_changed); -EACCES: a message to it waits that wants them compared (is_strict). */
int answers_accept(struct state *state, const struct identity *own, uint64_t account, bool is_compared,
                   uint64_t now_s);

#endif
