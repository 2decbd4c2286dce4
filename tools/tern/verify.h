/* tools/tern/verify.h: `tern verify`, see options.c for what it does; and account keys that have changed.
 *
 * Threads: one. */
#ifndef TERN_TOOLS_TERN_VERIFY_H
#define TERN_TOOLS_TERN_VERIFY_H

#include "tools/client/client.h"
#include "tools/tern/options.h"

int verify_run(const struct options *options);

/* What waits for this account is held because its account key is another one (HOLD_KEY_CHANGED): believes the
 * new one, so that it goes. Whoever calls it has told the person. Negative errno. */
int verify_accept(struct client *client, uint64_t account);
/* Tells it, on standard error. */
void verify_tell_changed(const char *name);

#endif
