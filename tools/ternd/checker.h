/* tools/ternd/checker.h: the check of its store that a switch has going on, in a child; one at a time.
 *
 * Threads: the admin thread.  Memory: what the child has said so far. */
#ifndef TERN_TOOLS_TERND_CHECKER_H
#define TERN_TOOLS_TERND_CHECKER_H

#include <stddef.h>

#include "tools/ternd/child.h"

struct command;

struct checker {
    struct command *command; /* that waits for it; NULL: none is going on */
    struct child child;
    char *said;
    size_t said_bytes, said_capacity;
};

/* Starts it for this command, which it answers in time, or now where that fails. */
void checker_start(struct checker *checker, struct command *command, const char *folder);
/* What to wait for; -1: nothing. */
int checker_fd(const struct checker *checker);
/* Takes what the child says, and answers the command when that was all. */
void checker_serve(struct checker *checker);
/* Ends the child; its command is somebody else's to answer. */
void checker_end(struct checker *checker);

#endif
