/* tools/ternd/check_tool.h: `ternd --check-store FOLDER`: a check of a store, whether a switch uses it or
 * not.
 *
 * The reading is done by a child: should a damaged file crash it, that is a finding like others.
 *
 * Threads: the main thread of a process of its own.  Memory: its own. */
#ifndef TERN_TOOLS_TERND_CHECK_TOOL_H
#define TERN_TOOLS_TERND_CHECK_TOOL_H

#include <stdbool.h>

#define CHECK_TOOL_OPTION "--check-store"
#define CHECK_TOOL_WORKER_OPTION "--check-store-worker"

/* Prints a line for each finding and one that sums up, or with `json` the answer to "store check" of the
 * admin socket. The exit status: that of an admin code. */
int check_tool_run(const char *folder, bool json);
/* The child: prints a JSON object a line. */
int check_tool_work(const char *folder);

#endif
