/* tools/client/whole.h: files that are there whole or not at all: written beside their place under another
 * name, synced, then given their own, never over another file.
 *
 * While it is written, PATH.part is locked by its writer; one that nobody has locked was left behind by a
 * process that was killed, and goes when the next one begins.
 *
 * Threads: one.  Memory: the caller's. Negative errno everywhere. */
#ifndef TERN_TOOLS_CLIENT_WHOLE_H
#define TERN_TOOLS_CLIENT_WHOLE_H

#include <limits.h>
#include <stddef.h>
#include <sys/types.h>

struct whole {
    const char *path; /* the caller's */
    char part[PATH_MAX];
    int file; /* to be written to */
};

/* -EEXIST: there is a file of this name; -EBUSY: another process is writing one. */
int whole_begin(struct whole *whole, const char *path, mode_t mode);
/* What was written is on the disk, under its name. -EEXIST: another file has it now. After an error there is
 * nothing, but where the folder could not be synced. */
int whole_finish(struct whole *whole);
void whole_abort(struct whole *whole); /* in the place of whole_finish: there is nothing */

/* The parts of it. All of these bytes, however often the kernel has to be asked. */
int whole_write(int file, const void *bytes, size_t count);
/* Both names are in this folder (AT_FDCWD: paths). -EEXIST: what is there stays. */
int whole_rename(int folder, const char *from, const char *to);

#endif
