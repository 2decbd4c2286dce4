/* tools/tern/file.h: the file of `tern listen --output`: its length up to which it holds each message once is
 * kept in the state, so that what was appended without being committed is cut off at the next start.
 *
 * The file is known by its device and inode: a file that was put in its place, or rotated away, is never cut.
 *
 * Threads: one.  Memory: one buffer. */
#ifndef TERN_TOOLS_TERN_FILE_H
#define TERN_TOOLS_TERN_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "tools/client/state.h"

struct file {
    int fd;
    uint64_t device, inode;
    uint64_t length; /* with what is in the buffer */
    uint8_t *buffer;
    size_t buffered;
};

/* Opens and cuts; notes the length of a file that is not known yet before anything is appended to it.
 * Negative errno. */
int file_open(struct file *file, const char *path, struct state *state);
int file_append(struct file *file, const uint8_t *line, size_t bytes); /* and a newline */
int file_sync(struct file *file); /* written and on the disk when it returns 0 */
void file_close(struct file *file);

#endif
