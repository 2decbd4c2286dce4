/* tools/ternd/lines.h: the lines of one admin connection: bytes go in, whole lines come out; and what a line
 * asks.
 *
 * Threads: any, one at a time.  Memory: one buffer, at most ADMIN_LINE_BYTES_MAX; empty while nothing
 * waits. */
#ifndef TERN_TOOLS_TERND_LINES_H
#define TERN_TOOLS_TERND_LINES_H

#include <cjson/cJSON.h>
#include <stddef.h>

#include "tools/admin/commands.h"

struct lines {
    char *bytes;
    size_t capacity;
    size_t taken;   /* what lines_next gave out already */
    size_t scanned; /* behind it, up to here there is no newline */
    size_t used;
};

void lines_init(struct lines *lines);
void lines_fini(struct lines *lines);
/* 0; -ENOMEM; -EMSGSIZE: the line that is begun is longer than ADMIN_LINE_BYTES_MAX. */
int lines_add(struct lines *lines, const char *bytes, size_t count);
/* The next whole line, without its end, zero-terminated; NULL: there is none yet. Valid until the next
 * lines_add. */
char *lines_next(struct lines *lines, size_t *ret_bytes);

/* What a line asks. ret_request is the caller's to delete. 0, or -EINVAL and a sentence. */
int lines_read_request(const char *line, size_t bytes, enum admin_command *ret_command, cJSON **ret_request,
                       char *ret_error, size_t error_bytes);

#endif
