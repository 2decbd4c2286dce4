/* tools/tern/read.h: `tern read`, `tern block` and `tern unblock`: the state says what the switch shall be
 * told, and it is told once it has confirmed.
 *
 * Threads: one. */
#ifndef TERN_TOOLS_TERN_READ_H
#define TERN_TOOLS_TERN_READ_H

#include "tools/tern/options.h"

int read_run(const struct options *options);
int read_block_run(const struct options *options);
int read_unblock_run(const struct options *options);

#endif
