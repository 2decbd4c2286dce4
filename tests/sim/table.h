/* tests/sim/table.h: records sorted by key, in an array: what the simulated disks are made of. Copying a
 * table is cheap, as the records themselves are shared and never change.
 *
 * Threads: one.  Memory: records live until table_forget_all, at the end of a seed. */
#ifndef TERN_TESTS_SIM_TABLE_H
#define TERN_TESTS_SIM_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct record {
    struct record *made_before;
    uint32_t key_bytes, value_bytes;
    uint8_t bytes[]; /* key, then value */
};

struct table {
    struct record **at;
    uint32_t count, capacity;
};

void table_copy(struct table *to, const struct table *from);
void table_fini(struct table *table);
/* The first record whose key is not less; table->count where there is none. */
uint32_t table_seek(const struct table *table, const void *key, size_t key_bytes, bool *ret_same);
/* Puts a record with room for a value under this key; returns the room. */
uint8_t *table_put(struct table *table, const void *key, size_t key_bytes, size_t value_bytes);
void table_remove(struct table *table, uint32_t at);
void table_forget_all(void);

#endif
