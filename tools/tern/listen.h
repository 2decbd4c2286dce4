/* tools/tern/listen.h: `tern listen`; see options.c for what it does.
 *
 * Threads: one. */
#ifndef TERN_TOOLS_TERN_LISTEN_H
#define TERN_TOOLS_TERN_LISTEN_H

#include "tools/tern/options.h"

int listen_run(const struct options *options);

#endif
