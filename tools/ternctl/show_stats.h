/* tools/ternctl/show_stats.h: every counter: aligned for people, or in Prometheus' text exposition format,
 * whose HELP and TYPE come from the switch's own table.
 *
 * Threads: the main thread.  Memory: the caller's. */
#ifndef TERN_TOOLS_TERNCTL_SHOW_STATS_H
#define TERN_TOOLS_TERNCTL_SHOW_STATS_H

#include "tools/ternctl/show.h"

show_answer show_stats;

#endif
