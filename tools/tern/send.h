/* tools/tern/send.h: `tern send`; see options.c for what it does.
 *
 * Threads: one. */
#ifndef TERN_TOOLS_TERN_SEND_H
#define TERN_TOOLS_TERN_SEND_H

#include "tools/tern/options.h"

int send_run(const struct options *options);

#endif
