/* storage/server_key.h: the switch's static key, in a file of its own: FOLDER/server.key, 64 hex digits and a
 * newline.
 *
 * Threads: one, before the others start.  Memory: the caller's; wipes what it held of the secret. */
#ifndef TERN_STORAGE_SERVER_KEY_H
#define TERN_STORAGE_SERVER_KEY_H

#include <stddef.h>
#include <stdint.h>

#include "core/msg.h"

#define SERVER_KEY_FILE "server.key"

/* Reads the key. 0; -ENOENT; -EPERM: others may read the file; -EUCLEAN: it is no key; or the system's. */
int server_key_read(const char *folder, uint8_t ret_secret[KEY_BYTES]);
/* Writes it, durably and whole or not at all, mode 0600; a file that is there is kept (-EEXIST). */
int server_key_write(const char *folder, const uint8_t secret[KEY_BYTES]);

#endif
