/* tools/ternctl/offline.h: what is done to a store without a switch is ternd's to do: this becomes it.
 *
 * Threads: the main thread.  Memory: none. */
#ifndef TERN_TOOLS_TERNCTL_OFFLINE_H
#define TERN_TOOLS_TERNCTL_OFFLINE_H

#include <stdbool.h>

/* Runs the ternd beside this program, or the one in PATH, in the place of this process; with `json` it gets
 * --json too. At most 6 arguments. Returns only where there is none: negative errno. */
int offline_run(const char *const *arguments, bool json);

#endif
