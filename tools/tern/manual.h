/* tools/tern/manual.h: the manual page, from the tables of options.h.
 *
 * Threads: one.  Memory: manual_command_list's is the caller's. */
#ifndef TERN_TOOLS_TERN_MANUAL_H
#define TERN_TOOLS_TERN_MANUAL_H

#include <stdio.h>

void manual_print(FILE *out);    /* as troff */
char *manual_command_list(void); /* for --help; to be freed; NULL: no memory */

#endif
