/* tools/ternctl/show_queue.h: the answers about queues.
 *
 * Threads: the main thread.  Memory: the caller's. */
#ifndef TERN_TOOLS_TERNCTL_SHOW_QUEUE_H
#define TERN_TOOLS_TERNCTL_SHOW_QUEUE_H

#include "tools/ternctl/show.h"

show_answer show_queue_show;
show_answer show_queue_purge;

#endif
