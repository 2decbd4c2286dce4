/* tools/client/copies.h: the ticks of what the account's other devices sent. The switch tells each device of
 * the account of every tick, and each has a copy of every message: so all of them can show the same.
 *
 * Kept as ranges, for each sending device, epoch and addressed account, in whatever order they come, and
 * whether or not the copy is here.
 *
 * Threads: one.  Memory: nothing is kept. All in a transaction. */
#ifndef TERN_TOOLS_CLIENT_COPIES_H
#define TERN_TOOLS_CLIENT_COPIES_H

#include "tools/client/state.h"

/* A receipt, in a write transaction; flags: enum receipt_flags. */
int copies_tick(struct state *state, const struct frame_range *range, uint8_t flags);
/* The ticks to show of this message, by docs/PROTOCOL.md, section 3.3. Failed is shown without sent, too:
 * where the switch refused the message for good, its sender alone was told so. */
int copies_ticks(struct state *state, const struct message_id *id, uint8_t *ret_flags);

#endif
