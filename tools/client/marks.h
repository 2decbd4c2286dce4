/* tools/client/marks.h: telling the switch what was delivered and read, until it confirms; docs/PROTOCOL.md,
 * section 3.3.
 *
 * A session begins with everything unconfirmed. In it, delivered goes by acknowledgements; what is newly read
 * is told when it is found in the state, and again after MARKS_REPEAT_MS where no confirmation came.
 *
 * Threads: one.  Memory: the caller's. */
#ifndef TERN_TOOLS_CLIENT_MARKS_H
#define TERN_TOOLS_CLIENT_MARKS_H

#include "tools/client/peer.h"
#include "tools/client/state_inbox.h"

#define MARKS_TOLD_MAX                                                                                       \
    256 /* ranges remembered as told; more than these may be told twice, which is harmless */
#define MARKS_REPEAT_MS 30000
#define MARKS_GATHER_BYTES_MAX (64u << 10)

struct marks {
    uint8_t flag; /* what is being told: RECEIPT_DELIVERED, RECEIPT_READ, 0 when done */
    struct message_id at;
    uint64_t repeat_ms; /* monotonic; 0: nothing was told */
    uint32_t told_count;
    struct frame_range told[MARKS_TOLD_MAX]; /* read, in this session */
};

void marks_restart(struct marks *marks);    /* a session begins */
void marks_look_again(struct marks *marks); /* the state has changed */
/* Hands marks to the peer, as many as may go out now. In a transaction. 0 or -ENOMEM. */
int marks_fill(struct marks *marks, struct state *state, uint64_t own_account, struct peer *peer,
               uint64_t now_ms);
uint64_t marks_due_ms(const struct marks *marks); /* UINT64_MAX: nothing waits to be repeated */

#endif
