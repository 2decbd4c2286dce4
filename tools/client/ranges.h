/* tools/client/ranges.h: sets of message numbers, kept on disk as ranges that neither touch nor overlap: a
 * hundred thousand messages in a row are one record. A set is named by the start of its keys; a key is that
 * and the first number, its value the last number.
 *
 * Threads: one.  Memory: nothing is kept. */
#ifndef TERN_TOOLS_CLIENT_RANGES_H
#define TERN_TOOLS_CLIENT_RANGES_H

#include "tools/client/vault.h"

/* In a transaction of the vault. first <= last. 0 or the vault's error. */
int ranges_add(struct vault *vault, struct disk_view set, uint64_t first, uint64_t last);
int ranges_remove(struct vault *vault, struct disk_view set, uint64_t first, uint64_t last);
/* The first range that holds `from` or lies above it, cut off below `from`. -ENOENT: there is none. */
int ranges_next(struct vault *vault, struct disk_view set, uint64_t from, uint64_t *ret_first,
                uint64_t *ret_last);
/* How many numbers of first..last are in the set. 0 or the vault's error. */
int ranges_count(struct vault *vault, struct disk_view set, uint64_t first, uint64_t last,
                 uint64_t *ret_count);

#endif
