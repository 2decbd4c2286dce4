/* tools/ternctl/manual.h: help and manual page, made from the tables of commands, options and exit codes.
 *
 * Threads: pure.  Memory: none. */
#ifndef TERN_TOOLS_TERNCTL_MANUAL_H
#define TERN_TOOLS_TERNCTL_MANUAL_H

#include <stdio.h>

#include "tools/ternctl/usage.h"

void manual_help(FILE *out);
void manual_help_command(FILE *out, const struct usage *command);
void manual_page(FILE *out); /* troff, man macros */

#endif
