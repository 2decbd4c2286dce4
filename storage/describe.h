/* storage/describe.h: says for people which record a key names: "queue entry 7 of account 5, device 1".
 *
 * Threads: pure.  Memory: the caller's. */
#ifndef TERN_STORAGE_DESCRIBE_H
#define TERN_STORAGE_DESCRIBE_H

#include <stddef.h>

#include "storage/value.h"

#define DESCRIBE_BYTES 160

void describe_key(struct map_view key, char *ret_text, size_t text_bytes);
/* A kind of record in the plural: "queue entries". */
const char *describe_kind(enum value_kind kind);

#endif
