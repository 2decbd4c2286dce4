/* tools/ternd/file.h: the configuration file: `setting = value` a line, # or ; begin a comment, a list
 * setting may be repeated.
 *
 * Threads: any.  Memory: the caller's. */
#ifndef TERN_TOOLS_TERND_FILE_H
#define TERN_TOOLS_TERND_FILE_H

#include <stddef.h>

#include "core/config.h"

/* Sets what the file says. 0 or negative errno with a sentence that names the file, the line and what is
 * allowed. */
int file_read(const char *path, struct config *config, char *ret_error, size_t error_bytes);
/* The same from text; `path` is only named in the sentence. */
int file_read_text(const char *path, const char *text, size_t bytes, struct config *config, char *ret_error,
                   size_t error_bytes);

#endif
