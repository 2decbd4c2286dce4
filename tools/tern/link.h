/* tools/tern/link.h: `tern link`; see options.c for what it does.
 *
 * Threads: one. */
#ifndef TERN_TOOLS_TERN_LINK_H
#define TERN_TOOLS_TERN_LINK_H

#include "tools/tern/options.h"

int link_run(const struct options *options);

#endif
