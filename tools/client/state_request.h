/* tools/client/state_request.h: questions to the switch that wait for an answer: names and accounts, blocks,
 * and those to the key directory (docs/PROTOCOL.md, section 3.4). They are kept in the state so that any
 * process of this home can ask and whichever holds the connection gets the answer. What LOOKUP finds goes to
 * the names in state.h; any other answer stays here until whoever asked deletes it.
 *
 * A question that is put again is asked again. After a connection that broke it is asked a second time: a
 * code is then another one, and a device that was cut off at once is none any more (no_device).
 *
 * Threads: one.  Memory: the caller's; bytes of an ask that was read are a view, as in state.h. All in a
 * transaction. */
#ifndef TERN_TOOLS_CLIENT_STATE_REQUEST_H
#define TERN_TOOLS_CLIENT_STATE_REQUEST_H

#include "tools/client/state.h"

#define ASK_LIST_BYTES_MAX 8192 /* of a list to be stored: any record takes it, the switch may take less */

enum request_kind {
    ASK_ACCOUNT = 'n', /* by name */
    ASK_NAME = 'a',    /* by account */
    ASK_BLOCK = 'b',
    ASK_LIST = 'l',     /* an account's device list, unless it is of the version that is known */
    ASK_KEYS = 'k',     /* the keys of an account's devices, a one-time pre-key of each */
    ASK_LIST_PUT = 'p', /* the own account's device list is this one from now on */
    ASK_CODE = 'c',     /* a code for a further device of the own account */
    ASK_REMOVE = 'r',   /* cut a device of the own account off */
};

struct ask {
    enum request_kind kind;
    uint64_t account;                    /* ASK_NAME, ASK_BLOCK, ASK_LIST, ASK_KEYS; else 0 */
    uint16_t device;                     /* ASK_KEYS (0: all), ASK_REMOVE; else 0 */
    char name[FRAME_NAME_BYTES_MAX + 1]; /* ASK_ACCOUNT */
    bool on;                             /* ASK_BLOCK: block, not unblock */
    uint64_t
        version; /* ASK_LIST: that is known, 0 none; ASK_LIST_PUT: of the list, once answered the switch's */
    bool is_answered;
    uint16_t status;      /* enum refusal, once answered */
    uint32_t ttl_s;       /* ASK_CODE, once answered: how long the code links */
    const uint8_t *bytes; /* ASK_LIST_PUT: the list; ASK_CODE, once answered: the code */
    uint32_t byte_count;
};

int state_request_put(struct state *state, const struct ask *ask); /* -EMSGSIZE: the list is too long */
/* Fills in the rest of what kind and name or account and device say. -ENOENT: nothing is asked. */
int state_request_get(struct state *state, struct ask *ask);
int state_request_delete(struct state *state, const struct ask *ask);
/* The first after `after` (NULL: of all) that is not answered. -ENOENT. */
int state_request_next(struct state *state, const struct ask *after, struct ask *ret_ask);

/* True for those of the key directory, of which the switch takes fewer at a time. */
bool state_request_is_directory(enum request_kind kind);

#endif
