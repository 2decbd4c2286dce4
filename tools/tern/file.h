/* tools/tern/file.h: the file of `tern listen --output`: its length up to which it holds each message once is
 * kept in the state, so that what was appended without being committed is cut off at the next start.
 *
 * Only what a listener that was killed may have left behind is cut, and only off the very file it wrote: that
 * has its device, inode, time of birth, and before the kept length the bytes that were written there. To any
 * other file, and to one whose listener ended in peace, is appended: what is in it is somebody's.
 *
 * Threads: one.  Memory: one buffer. */
#ifndef TERN_TOOLS_TERN_FILE_H
#define TERN_TOOLS_TERN_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "tools/client/state_inbox.h"

struct file {
    int fd;
    struct inbox_file known; /* as file_note noted it last */
    uint64_t length;         /* with what is in the buffer */
    uint8_t *buffer;
    size_t buffered;
};

/* Opens, cuts, and notes that there may be more in it from now on. Negative errno. */
int file_open(struct file *file, const char *path, struct state *state);
int file_append(struct file *file, const uint8_t *line, size_t bytes); /* and a newline */
int file_sync(struct file *file); /* written and on the disk when it returns 0 */
/* In the transaction that takes the messages, after file_sync. */
int file_note(struct file *file, struct state *state);
/* Everything in it is noted: what comes to it from now on is not ours. */
int file_end(struct file *file, struct state *state);
void file_close(struct file *file);

#endif
