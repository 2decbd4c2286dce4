/* tools/client/sharing.h: what was read on this device, told to the own others in sealed messages
 * (INNER_READ), so that they show it as read, too.
 *
 * Threads: one.  Memory: nothing is kept. All in a write transaction. */
#ifndef TERN_TOOLS_CLIENT_SHARING_H
#define TERN_TOOLS_CLIENT_SHARING_H

#include "tools/client/state_inbox.h"

/* True where something was read that the own other devices were not told. In any transaction. */
bool sharing_any(struct state *state);
/* Puts what was read into the outbox, as messages to the own account; forgets it where there is no other
 * device. */
int sharing_put(struct state *state, const struct identity *own, uint64_t utc_ms);
/* What another own device says it has read. -EBADMSG: malformed. */
int sharing_take(struct state *state, const uint8_t *rows, uint32_t bytes);

#endif
