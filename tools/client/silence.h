/* tools/client/silence.h: how long the switch says nothing: after the time that WELCOME names it is pinged,
 * and what does not answer either is taken for dead; docs/PROTOCOL.md, section 3.5.
 *
 * Threads: one.  Memory: the caller's. */
#ifndef TERN_TOOLS_CLIENT_SILENCE_H
#define TERN_TOOLS_CLIENT_SILENCE_H

#include "tools/client/peer.h"

struct silence {
    uint64_t heard_ms, pinged_ms; /* monotonic; pinged: 0, it was not */
    uint64_t limit_ms;
};

void silence_begin(struct silence *silence, uint64_t now_ms);    /* a connection is there */
void silence_welcome(struct silence *silence, uint32_t limit_s); /* as WELCOME says, within bounds */
void silence_heard(struct silence *silence, uint64_t now_ms);
/* Pings where that is due. 0; -ETIMEDOUT: it has been silent for too long; -ENOMEM. */
int silence_watch(struct silence *silence, struct peer *peer, uint64_t now_ms);
uint64_t silence_due_ms(const struct silence *silence); /* when silence_watch has something to do */

#endif
