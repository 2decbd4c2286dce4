/* tools/tern/lock.h: `tern lock` and `tern unlock`; see options.c for what they do.
 *
 * Threads: one. */
#ifndef TERN_TOOLS_TERN_LOCK_H
#define TERN_TOOLS_TERN_LOCK_H

#include "tools/tern/options.h"

int lock_run(const struct options *options);
int lock_unlock_run(const struct options *options);

#endif
