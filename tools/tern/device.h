/* tools/tern/device.h: `tern device`: the devices of the own account: add one, list them, remove one.
 *
 * Threads: one.  Memory: the caller's. */
#ifndef TERN_TOOLS_TERN_DEVICE_H
#define TERN_TOOLS_TERN_DEVICE_H

#include "tools/tern/options.h"

int device_run(const struct options *options);

#endif
