/* tools/ternctl/show_connection.h: the answers about connections.
 *
 * Threads: the main thread.  Memory: the caller's. */
#ifndef TERN_TOOLS_TERNCTL_SHOW_CONNECTION_H
#define TERN_TOOLS_TERNCTL_SHOW_CONNECTION_H

#include "tools/ternctl/show.h"

show_answer show_connection_list;
show_answer show_connection_kick;

#endif
