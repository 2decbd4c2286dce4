/* tools/tern/status.h: `tern status`; see options.c for what it does.
 *
 * Threads: one. */
#ifndef TERN_TOOLS_TERN_STATUS_H
#define TERN_TOOLS_TERN_STATUS_H

#include "tools/tern/options.h"

int status_run(const struct options *options);

#endif
