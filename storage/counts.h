/* storage/counts.h: how many messages each queue of an environment has, in memory, so that a queue's limit
 * costs no walk; receipts are not counted. Changes of a transaction are kept in a journal and taken back
 * where it fails.
 *
 * A start doesn't walk the entries either: it finds the first and the last of each queue, and takes all
 * numbers between them for entries (counts_expect). Until something has walked over them once (counts_seen,
 * counts_walked), a queue with holes or receipts counts as longer than it is, never as shorter.
 *
 * Threads: the environment's store thread.  Memory: a hash table that grows with the queues that are not
 * empty; until the walk is over, a range for each queue that was there at the start. */
#ifndef TERN_STORAGE_COUNTS_H
#define TERN_STORAGE_COUNTS_H

#include <stdbool.h>
#include <stdint.h>

struct counts_slot {
    uint64_t account;      /* 0: free */
    uint64_t entries;      /* 0: was used, may be used again for the same queue */
    uint64_t refused_from; /* seq of the put that found the queue full and has not come again; 0: none */
    uint64_t put;          /* bytes of messages put since it was empty, or empty at a start */
    uint16_t device;
};

struct counts_change {
    uint64_t account;
    int64_t amount;
    uint32_t bytes;
    uint16_t device;
};

/* Numbers of a queue that were taken for entries and that the walk has not come to. */
struct counts_range {
    uint64_t account;
    uint64_t first, last;
    uint64_t bytes; /* of the frames there at the start; 0: not known */
    uint16_t device;
};

struct counts {
    struct counts_slot *slots;
    uint32_t capacity; /* a power of two, or 0 */
    uint32_t used;
    struct counts_change *journal;
    uint32_t journal_count, journal_capacity;
    struct counts_range *expected; /* in the order of the keys */
    uint32_t expected_count, expected_capacity;
    uint32_t expected_at; /* the walk has done those before it */
};

void counts_fini(struct counts *counts);
uint64_t counts_get(const struct counts *counts, uint64_t account, uint16_t device);
/* What has been put so far, in bytes: the next entry's `before`. */
uint64_t counts_put(const struct counts *counts, uint64_t account, uint16_t device);
/* Adds (or takes, amount < 0) entries of a queue, with so many bytes put, until counts_keep or counts_undo. 0
 * or -ENOMEM. */
int counts_add(struct counts *counts, uint64_t account, uint16_t device, int64_t amount, uint32_t bytes);
/* Of a queue with entries: puts from this seq on are refused; 0: they are taken. Not part of a
 * transaction. */
void counts_refuse_from(struct counts *counts, uint64_t account, uint16_t device, uint64_t seq);
uint64_t counts_refused_from(const struct counts *counts, uint64_t account, uint16_t device);
void counts_keep(struct counts *counts);
void counts_undo(struct counts *counts);

/* At the start, in the order of the keys: a queue has entries from first to last; `put`: what had been put in
 * bytes when the last was there. 0 or -ENOMEM. */
int counts_expect(struct counts *counts, const struct counts_range *range, uint64_t put);
/* The walk will come to this number: where it finds no entry there, it takes it off. So who deletes the entry
 * before that takes off nothing. */
bool counts_will_see(const struct counts *counts, uint64_t account, uint16_t device, uint64_t seq);
/* Between transactions: the walk, in the order of the keys, has come to this entry. It may begin anew. */
void counts_seen(struct counts *counts, uint64_t account, uint16_t device, uint64_t seq);
/* The walk is at the end: every count is right. */
void counts_walked(struct counts *counts);

#endif
