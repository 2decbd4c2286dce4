/* tools/client/asking.h: questions to the switch: what state_request.h holds goes out, the answers go back
 * there, or to directory.h: lists and keys.
 *
 * Threads: one.  Memory: the caller's. */
#ifndef TERN_TOOLS_CLIENT_ASKING_H
#define TERN_TOOLS_CLIENT_ASKING_H

#include "core/frame_keys.h"
#include "tools/client/peer.h"
#include "tools/client/state_request.h"

#define ASKING_MAX 16          /* questions out at a time ... */
#define ASKING_DIRECTORY_MAX 4 /* ... and beyond so many none to the key directory */

struct asking {
    struct asked {
        struct ask ask;
        uint32_t request;
        bool is_out;
    } out[ASKING_MAX];
    uint32_t last_request;
    uint32_t keys_request; /* of a KEYS_PUT that is out; 0: none is */
    bool is_stale;         /* there may be questions that were not sent */
};

void asking_restart(struct asking *asking);    /* a session begins */
void asking_look_again(struct asking *asking); /* the state has changed */
/* In a transaction. 0 or -ENOMEM. */
int asking_fill(struct asking *asking, struct state *state, struct peer *peer);
/* Says KEYS_PUT, whose request is filled in. 0; -EBUSY: too many questions are out, or one of these;
 * -ENOMEM. */
int asking_put_keys(struct asking *asking, struct frame_keys_put *put, struct peer *peer);
void asking_keys_answered(struct asking *asking, uint32_t request);
/* An answer: ACCOUNT, BLOCKED, KEYS, LIST, LIST_STORED, CODE or DEVICE_REMOVED, in a write transaction.
 * now_s: UTC. -EPROTO: the frame is malformed. */
int asking_take(struct asking *asking, struct state *state, const struct identity *own,
                const struct frame *frame, uint64_t now_s);
/* Has the name of this account asked for, where it is not known. In a write transaction. */
int asking_name(struct state *state, uint64_t account);

#endif
