/* tools/client/ageing.h: secrets end when nothing can need them any more, so that who steals the state can't
 * read what was before. Those of pre-keys: state_keys.h. Here, once a day:
 *
 * the channels with a device that left its account's list, when the last message that it may have sent before
 * that is over its time to live; the secret of an invitation whose code links no more.
 *
 * Threads: one.  Memory: nothing is kept. */
#ifndef TERN_TOOLS_CLIENT_AGEING_H
#define TERN_TOOLS_CLIENT_AGEING_H

#include "tools/client/state.h"

#define AGEING_S 86400u /* between two looks through the state */

/* In a write transaction: looks through the state, where that was done AGEING_S ago or by a clock that was
 * ahead. now_s: UTC. 0 or the transaction's error. */
int ageing_run(struct state *state, uint64_t now_s);

#endif
