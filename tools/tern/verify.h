/* tools/tern/verify.h: `tern verify`, see options.c for what it does; and account keys that have changed.
 *
 * Threads: one. */
#ifndef TERN_TOOLS_TERN_VERIFY_H
#define TERN_TOOLS_TERN_VERIFY_H

#include "tools/client/client.h"
#include "tools/tern/options.h"

int verify_run(const struct options *options);

/* What waits for this account is held because its account key is another one (HOLD_KEY_CHANGED): believes the
 * new one, so that it goes. Whoever calls it has told the person. Negative errno; -EACCES: something that
 * waits was sent with --strict, so only `tern verify --yes` does that. */
int verify_accept(struct client *client, uint64_t account);
/* Tells that it has changed; and that --strict keeps it waiting. On standard error. */
void verify_tell_changed(const char *name);
void verify_tell_strict(const char *name);

#endif
