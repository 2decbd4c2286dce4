/* tools/client/state_request.h: questions to the switch that wait for an answer: whose name is this, what is
 * the name of this account, block or unblock that account. They are kept in the state so that any process of
 * this home can ask and whichever holds the connection gets the answer. What LOOKUP finds goes to the names
 * in state.h.
 *
 * Threads: one.  Memory: the caller's. All in a transaction. */
#ifndef TERN_TOOLS_CLIENT_STATE_REQUEST_H
#define TERN_TOOLS_CLIENT_STATE_REQUEST_H

#include "tools/client/state.h"

enum request_kind { ASK_ACCOUNT = 'n' /* by name */, ASK_NAME = 'a' /* by account */, ASK_BLOCK = 'b' };

struct ask {
    enum request_kind kind;
    uint64_t account;                    /* ASK_NAME, ASK_BLOCK */
    char name[FRAME_NAME_BYTES_MAX + 1]; /* ASK_ACCOUNT */
    bool on;                             /* ASK_BLOCK: block, not unblock */
    bool is_answered;
    uint16_t status; /* enum refusal, once answered */
};

int state_request_put(struct state *state, const struct ask *ask);
/* Fills in the rest of what kind and name or account say. -ENOENT: nothing is asked. */
int state_request_get(struct state *state, struct ask *ask);
int state_request_delete(struct state *state, const struct ask *ask);
/* The first after `after` (NULL: of all) that is not answered. -ENOENT. */
int state_request_next(struct state *state, const struct ask *after, struct ask *ret_ask);

#endif
