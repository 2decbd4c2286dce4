/* tools/ternd/child.h: this very program once more, in another mode, as a child whose standard output we
 * read: what may crash there takes nobody with it.
 *
 * Threads: any; nothing is shared.  Memory: none. */
#ifndef TERN_TOOLS_TERND_CHILD_H
#define TERN_TOOLS_TERND_CHILD_H

#include <stddef.h>
#include <sys/types.h>

struct child {
    pid_t pid;
    int out_fd; /* closed on exec */
};

/* Starts it with this option and value, and a further option or NULL. 0 or negative errno. */
int child_start(struct child *child, const char *option, const char *value, const char *further);
/* When its output has ended: how it did, as waitpid says. Closes out_fd, unless that is -1 by then. */
int child_wait(struct child *child);
/* Says how it ended, where that was not by itself: "was ended by signal 7 (Bus error)". */
void child_describe_end(int status, char *ret_text, size_t text_bytes);

#endif
