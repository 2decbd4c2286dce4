/* storage/counts.h: how many entries each queue of an environment has, in memory, so that a queue's limit
 * costs no walk. Changes of a transaction are kept in a journal and taken back where it fails.
 *
 * Threads: the environment's store thread.  Memory: a hash table that grows with the queues that are not
 * empty. */
#ifndef TERN_STORAGE_COUNTS_H
#define TERN_STORAGE_COUNTS_H

#include <stdint.h>

struct counts_slot {
    uint64_t account; /* 0: free */
    uint64_t entries; /* 0: was used, may be used again for the same queue */
    uint16_t device;
};

struct counts_change {
    uint64_t account;
    int64_t amount;
    uint16_t device;
};

struct counts {
    struct counts_slot *slots;
    uint32_t capacity; /* a power of two, or 0 */
    uint32_t used;
    struct counts_change *journal;
    uint32_t journal_count, journal_capacity;
};

void counts_fini(struct counts *counts);
uint64_t counts_get(const struct counts *counts, uint64_t account, uint16_t device);
/* Adds (or takes, amount < 0) entries of a queue, until counts_keep or counts_undo. 0 or -ENOMEM. */
int counts_add(struct counts *counts, uint64_t account, uint16_t device, int64_t amount);
void counts_keep(struct counts *counts);
void counts_undo(struct counts *counts);

#endif
