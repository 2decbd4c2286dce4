/* tools/client/naming.h: names, as the switch gives them to accounts.
 *
 * Who writes to a name means who had it before. So a name that comes to mean another account, and an account
 * that comes with another name, are doubted where an account key was believed: as with another account key,
 * nothing goes out to the account, and what comes from it waits, until a person accepts it (answers_accept).
 * Honestly that is so when an account was removed and its name given anew, or the switch's store restored
 * from a backup; or somebody who has the switch wants to be taken for another.
 *
 * Threads: one.  Memory: nothing is kept. */
#ifndef TERN_TOOLS_CLIENT_NAMING_H
#define TERN_TOOLS_CLIENT_NAMING_H

#include "tools/client/state.h"

/* In a write transaction. The switch says that this account has this name, a valid one, and that of the own
 * account where it is that. 0, or the transaction's error. */
int naming_take(struct state *state, const struct identity *own, uint64_t account, const char *name);
/* In a write transaction. WELCOME gives the own account this name; one that is known, from the link URI or an
 * earlier WELCOME, stays: or else the switch could have what is for others sent to oneself, and choose what
 * stands in link URIs. */
int naming_take_own(struct state *state, struct identity *own, const char *name, size_t bytes);

#endif
