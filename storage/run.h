/* storage/run.h: runs: queue entries of consecutive seqs that were put in one commit, as one record of the
 * map. A queue's backlog is written, found and deleted many entries at a time; a record for each would cost
 * the map's own work, and its half-empty pages, for each.
 *
 * A record's key is that of its first entry. With one entry its value is the entry. With several it is a
 * header as of any value (version 3), u16 how many, for each a u16 where it ends in the value, and the
 * entries one behind the other, each a whole value as under a key of its own. The header's checksum is over
 * key, header and these numbers, not over the entries, which have theirs: so a damaged entry is lost alone.
 *
 * A run of RUN_BYTES_MAX fills a page of the map: it has one of its own, never several in a row, which a map
 * with holes might not have.
 *
 * Threads: pure, or those of the cursor or transaction handed in.  Memory: views, as long as the map's. */
#ifndef TERN_STORAGE_RUN_H
#define TERN_STORAGE_RUN_H

#include "core/msg.h"
#include "storage/value.h"

#define RUN_BYTES_MAX 4080 /* a page of LMDB, 4096 bytes, less its header */
#define RUN_ENTRIES_MAX 120

struct run {                  /* a record of a queue */
    struct value_place place; /* of its first entry */
    struct map_view value;
    uint32_t count; /* entries; their seqs follow one another */
    bool is_single; /* the value is the entry */
};

/* False where the key is no queue's. A value that is damaged or newer counts as one entry: who reads that
 * entry is told. */
bool run_open(struct map_view key, struct map_view value, struct run *ret_run);
/* True for what run_open could not read: so its entries are unknown, up to RUN_ENTRIES_MAX from its place. */
bool run_is_damaged(const struct run *run);
struct value_key run_key(const struct run *run, uint32_t index);
struct map_view run_entry(const struct run *run, uint32_t index);

/* --- one entry after the other -------------------------------------------------------------------------- */

struct run_cursor {
    struct map_cursor *cursor; /* the caller's */
    struct run run;
    uint32_t index; /* it is at this entry of the run */
};

/* The queue's first entry with a seq >= `seq`; -ENOENT: there is none. */
int run_seek(struct run_cursor *at, uint64_t account, uint16_t device, uint64_t seq);
/* The queue's next entry, or -ENOENT. */
int run_next(struct run_cursor *at);
static inline uint64_t run_seq(const struct run_cursor *at) {
    return at->run.place.seq + at->index;
}
/* Deletes the entries of this record from here up to and with the one with seq `last`, in a write
 * transaction, and goes on to the queue's next entry. 0; -ENOENT: that was the queue's last. */
int run_delete(struct run_cursor *at, struct map_txn *txn, uint64_t last);

/* --- putting -------------------------------------------------------------------------------------------- */

struct run_draft { /* to be put; count == 0: nothing */
    struct value_place place;
    uint32_t count;
    uint32_t bytes; /* of the entries */
    struct value_queue entries[RUN_ENTRIES_MAX];
};

/* False where it does not follow what the draft has, or has no room there: then the draft is put first. */
bool run_draft_add(struct run_draft *draft, const struct value_place *place, const struct value_queue *entry);
/* Puts what the draft has, if anything, and empties it. 0 or the map's error. */
int run_draft_put(struct run_draft *draft, struct map_txn *txn);

#endif
