/* tools/client/holder.h: which process of a home folder holds the connection.
 *
 * A device has one session at a time, and people run `tern listen` in one terminal and `tern send` in
 * another. So one process, whichever takes the lock, connects and does what the state asks for; the others
 * put what they want into the state and watch it for what became of it. The kernel frees the lock with the
 * process that held it, however it ended, and another one takes over.
 *
 * Both are told of changes by inotify on the state's file; where there is none left to be had, they look four
 * times a second.
 *
 * Threads: one.  Memory: the caller's. */
#ifndef TERN_TOOLS_CLIENT_HOLDER_H
#define TERN_TOOLS_CLIENT_HOLDER_H

#include <stdbool.h>

#define HOLDER_LOOK_MS 250 /* how often a process that does not hold the lock tries it, changes or not */

struct holder {
    int lock;
    int watch; /* readable when the state may have changed or the lock may be free; -1: there is none */
    bool holds;
};

/* folder: the home folder, which exists and has the state in it. */
int holder_open(struct holder *holder, const char *folder);
void holder_close(struct holder *holder);
/* True where this process holds the lock now. */
bool holder_try(struct holder *holder);
void holder_drain(struct holder *holder); /* after watch was readable */

/* A lock of another name, for what only one process of a home may do. A descriptor that keeps it until it is
 * closed; -EWOULDBLOCK: another process has it. */
int holder_lock(const char *folder, const char *name);

/* Every program that has the home open shares it, until it closes this descriptor; who puts another state in
 * its place (remake.h) has it alone. Sharing waits for that; -EINTR. To have it alone: -EWOULDBLOCK where
 * another program has it open. */
int holder_share(const char *folder);
int holder_alone(const char *folder);
/* Ends having it alone, in a folder with nothing in it: the lock's file goes, too. */
void holder_leave(const char *folder, int alone);

#endif
