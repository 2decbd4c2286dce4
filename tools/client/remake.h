/* tools/client/remake.h: putting another state in the place of a home folder's, whole or not at all. It is
 * written beside the old one, in a folder of the home, and takes its place by a rename; so nothing of the old
 * one is left in the file, either, as it would be on pages that LMDB has no use for.
 *
 * The caller has the home alone (holder_alone). What a process that was killed left behind is deleted by the
 * next one that opens the home.
 *
 * Threads: one.  Memory: the caller's. */
#ifndef TERN_TOOLS_CLIENT_REMAKE_H
#define TERN_TOOLS_CLIENT_REMAKE_H

#include <limits.h>

#include "tools/client/state.h"

struct remake {
    char home[PATH_MAX], folder[PATH_MAX];
    struct state *state; /* the new one, in a write transaction */
    uint64_t unwritten_bytes;
};

/* An empty state that is not locked. Negative errno: the disk's. */
int remake_begin(struct remake *remake, const char *home);
/* A record of another state, as vault_put; in any order. */
int remake_put(struct remake *remake, struct disk_view key, struct disk_view value);
/* The new state takes the place of the old one, which nobody has open. An error: there is the old one. */
int remake_finish(struct remake *remake);
void remake_abort(struct remake *remake); /* or neither; also after remake_put failed */
/* Deletes what was left behind. In a home that is shared or had alone. */
int remake_clear(const char *home);

#endif
