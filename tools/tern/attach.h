/* tools/tern/attach.h: the file of `tern send --file`: read, and put into the outbox.
 *
 * Threads: one.  Memory: a chunk. */
#ifndef TERN_TOOLS_TERN_ATTACH_H
#define TERN_TOOLS_TERN_ATTACH_H

#include "tools/client/client.h"
#include "tools/client/files.h"

struct attached {
    uint64_t size, first, last; /* bytes; the numbers of its messages */
    char name[FILES_NAME_BYTES_MAX + 1];
};

/* is_strict: as in struct outgoing. EXIT_DONE, or another status after a sentence: then nothing of it is in
 * the outbox. */
int attach(struct client *client, uint64_t to, const char *path, bool is_strict,
           struct attached *ret_attached);

#endif
