/* bench/torture_family.h: an account with several devices, before they are put under torture: the first one
 * makes the account key, and lets the others in as `tern device add` does.
 *
 * Threads: one.  Memory: the client library's; no client of it is open when a process is forked. */
#ifndef TERN_BENCH_TORTURE_FAMILY_H
#define TERN_BENCH_TORTURE_FAMILY_H

#include "tools/client/client.h"
#include "tools/client/uri.h"

/* Links the first device in this home, and waits until others can encrypt for it. The caller closes it. 0 or
 * negative errno. */
int torture_family_begin(const char *home, const struct uri *uri, struct client **ret_first);
/* A further device in this home, which is on the signed list and can be encrypted for when this returns. 0 or
 * negative errno. */
int torture_family_let_in(struct client *first, const char *home);

#endif
