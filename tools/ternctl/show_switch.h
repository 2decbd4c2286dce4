/* tools/ternctl/show_switch.h: the answers of what is done to the switch and its store as a whole.
 *
 * Threads: the main thread.  Memory: the caller's. */
#ifndef TERN_TOOLS_TERNCTL_SHOW_SWITCH_H
#define TERN_TOOLS_TERNCTL_SHOW_SWITCH_H

#include "tools/ternctl/show.h"

show_answer show_switch_drain;
show_answer show_switch_reload;
show_answer show_switch_check;
show_answer show_switch_backup;

#endif
