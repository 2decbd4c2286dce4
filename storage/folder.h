/* storage/folder.h: the store's folder: made, locked, and what in it is an environment.
 *
 *     FOLDER/lock        locked while a switch runs
 *     FOLDER/server.key  the switch's static key
 *     FOLDER/env-N/      environment N; the highest is made first, so that their number is always to be seen
 *
 * Threads: any.  Memory: none. */
#ifndef TERN_STORAGE_FOLDER_H
#define TERN_STORAGE_FOLDER_H

#include <stddef.h>
#include <stdint.h>

/* Makes the folder, mode 0700, and those above it where they are missing. 0, also where it is there. */
int folder_make(const char *folder);
/* Makes the folder's entries durable. */
int folder_sync(const char *folder);
/* The lock's descriptor; -EBUSY: another process has it. */
int folder_lock(const char *folder);
/* How many environments are in it; 0: none, or no such folder. Negative errno. */
int folder_environments(const char *folder);
void folder_environment_path(const char *folder, uint32_t index, char *ret_path, size_t path_bytes);
/* fsyncs a file in it. */
int folder_sync_file(const char *folder, const char *name);

#endif
