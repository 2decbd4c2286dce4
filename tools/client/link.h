/* tools/client/link.h: making a home folder a device: what a link URI says is kept before it is used, so that
 * a client which is killed while it links gets the same device with the same URI again.
 *
 * Threads: one.  Memory: nothing is kept. */
#ifndef TERN_TOOLS_CLIENT_LINK_H
#define TERN_TOOLS_CLIENT_LINK_H

#include "tools/client/state.h"

/* 0: to be linked, the next connection does it; 1: was linked with this account and switch before; -EEXIST:
 * the home belongs to another account or switch. */
int link_prepare(struct state *state, const struct uri *uri);

#endif
