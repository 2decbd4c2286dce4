/* tools/ternctl/show_switch.h: the answers of what is done to the switch and its store as a whole.
 *
 * Threads: the main thread.  Memory: the caller's. */
#ifndef TERN_TOOLS_TERNCTL_SHOW_SWITCH_H
#define TERN_TOOLS_TERNCTL_SHOW_SWITCH_H

#include <stdio.h>

#include "tools/ternctl/show.h"

show_answer show_switch_drain;
show_answer show_switch_reload;
show_answer show_switch_check;
/* What a check found, a line each; nothing where the answer has no findings. */
void show_switch_findings(FILE *out, const cJSON *answer);
show_answer show_switch_backup;

#endif
