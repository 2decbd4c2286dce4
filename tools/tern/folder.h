/* tools/tern/folder.h: the folder of `tern listen --files`: what came whole is written there under a safe
 * name, never over another file, and is on the disk before the state forgets it.
 *
 * The name is a stranger's: no part of it leads out of the folder, hides the file, or does anything to a
 * terminal. A file that is there already with the same content is not written a second time: so one whose
 * writer was killed before the state forgot it is there once.
 *
 * Threads: one.  Memory: the caller's. */
#ifndef TERN_TOOLS_TERN_FOLDER_H
#define TERN_TOOLS_TERN_FOLDER_H

#include "tools/client/files.h"

#define FOLDER_NAME_BYTES_MAX 255 /* NAME_MAX */

struct folder {
    int fd;
};

int folder_open(struct folder *folder, const char *path); /* it exists. Negative errno */
void folder_close(struct folder *folder);
/* Writes a whole file, in a read transaction. *ret_name: where it is. 0; -EILSEQ: it is not what its sender
 * said; -EEXIST: too many of that name; others of the file system, -ENOENT or -EUCLEAN of the state. */
int folder_place(struct folder *folder, struct state *state, const struct transfer *transfer,
                 char ret_name[FOLDER_NAME_BYTES_MAX + 1]);
/* Another name for each `copy`; 1 is the first. */
void folder_safe_name(const char *name, unsigned copy, char ret_name[FOLDER_NAME_BYTES_MAX + 1]);

#endif
