/* tools/ternd/salvage_tool.h: `ternd --salvage-store FOLDER --into NEW-FOLDER`: makes a new store of what is
 * whole in a damaged one, and says what was recovered and what was lost.
 *
 * Threads: the main thread of a process of its own.  Memory: its own. */
#ifndef TERN_TOOLS_TERND_SALVAGE_TOOL_H
#define TERN_TOOLS_TERND_SALVAGE_TOOL_H

#include <stdbool.h>

/* The exit status: that of an admin code; `damaged` where something is lost. */
int salvage_tool_run(const char *folder, const char *new_folder, bool json);

#endif
