/* tools/ternctl/control.h: ternctl but for main(): one command line, one answer, one exit status.
 *
 * Threads: the main thread.  Memory: freed before it returns. */
#ifndef TERN_TOOLS_TERNCTL_CONTROL_H
#define TERN_TOOLS_TERNCTL_CONTROL_H

/* Runs a command line and returns the exit status, one of ADMIN_CODES. */
int control_run(int count, char **arguments);
/* The exit status of an answer's code; of one this version does not know, that of a failure. */
int control_status(const char *code);

#endif
