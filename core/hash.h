/* core/hash.h: a table that finds what is embedded in it by a hash, however much there is.
 *
 * It grows by one slot for each link more (W. Litwin, "Linear hashing", 1980), so no turn pays for all that
 * is there; when it is empty again, it gives back what a burst needed. Who must not be slowed down by a peer
 * that chooses what collides mixes a secret into the hashes.
 *
 * Threads: its owner's.  Memory: the slots from the heap; links belong to what they are embedded in. */
#ifndef TERN_CORE_HASH_H
#define TERN_CORE_HASH_H

#include <stdint.h>

#define HASH_SLOTS_MIN 8

struct hash_link {
    struct hash_link *next; /* in the same slot; NULL: the last */
    struct hash_link *prev; /* of the first: the last */
    uint64_t hash;
};

/* All zero: empty, without a slot. */
struct hash_table {
    struct hash_link **slots; /* with room up to a power of two */
    uint32_t slot_count;      /* in use */
    uint32_t count;           /* of links */
};

/* Adds a link, behind those with the same hash. 0; -ENOMEM: there was no memory for a first slot. A table
 * that has slots never fails: without memory for more it grows fuller. */
int hash_add(struct hash_table *table, struct hash_link *link, uint64_t hash);
void hash_remove(struct hash_table *table, struct hash_link *link);
/* The first slots, so that hash_add can't fail. 0 or -ENOMEM. */
int hash_reserve(struct hash_table *table);
/* The link with this hash that was added first, and the one that was added after it; NULL: there is none.
 * What is found has the hash, whether it is what was meant the caller compares. */
struct hash_link *hash_find(const struct hash_table *table, uint64_t hash);
struct hash_link *hash_next(const struct hash_link *link);
/* What is still linked is left alone. */
void hash_fini(struct hash_table *table);

#endif
