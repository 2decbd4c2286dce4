/* tools/client/relock.h: locking a home's state with a passphrase, unlocking it, locking it with another one.
 * Each makes the state anew (remake.h), sealed with a fresh key, or not sealed: so another passphrase makes
 * the one before it worth nothing for any later copy of the file.
 *
 * Threads: one; takes a second or so for each passphrase.  Memory: nothing is kept. */
#ifndef TERN_TOOLS_CLIENT_RELOCK_H
#define TERN_TOOLS_CLIENT_RELOCK_H

#include "tools/client/e2e/lock.h"
#include "tools/client/remake.h"
#include "tools/client/state.h"

/* passphrase: the one it is locked with, NULL where it is not; new_passphrase: NULL unlocks it. However it
 * ends, and whatever is killed when, the state is as before or as asked for. 0; -EWOULDBLOCK: another program
 * has the home open; state_open_with's, lock_key's and the disk's errors. */
int relock(const char *home, const char *passphrase, const char *new_passphrase, struct lock_cost cost);

/* Gives a state that is being made anew a fresh key, locked with this passphrase. */
int relock_begin(struct remake *remake, const char *passphrase, struct lock_cost cost);

#endif
