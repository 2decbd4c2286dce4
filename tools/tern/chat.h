/* tools/tern/chat.h: `tern chat`; see options.c for what it does.
 *
 * Threads: one. */
#ifndef TERN_TOOLS_TERN_CHAT_H
#define TERN_TOOLS_TERN_CHAT_H

#include "tools/tern/options.h"

int chat_run(const struct options *options);

#endif
