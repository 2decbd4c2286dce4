/* tools/ternctl/show_device.h: the answers about devices.
 *
 * Threads: the main thread.  Memory: the caller's. */
#ifndef TERN_TOOLS_TERNCTL_SHOW_DEVICE_H
#define TERN_TOOLS_TERNCTL_SHOW_DEVICE_H

#include "tools/ternctl/show.h"

show_answer show_device_list;
show_answer show_device_revoke;

#endif
