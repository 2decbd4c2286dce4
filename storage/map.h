/* storage/map.h: an ordered map on disk, as little of it as the store needs: one key space, one writer,
 * snapshots.
 *
 * What decides in storage stands on this interface alone; lmdb_map.c puts LMDB behind it, a simulator
 * replaces it at link time. Errors: -ENOSPC the size limit or the disk is full; -EUCLEAN damaged; -EIO and
 * others from the system. After an error other than -ENOENT a transaction can only be aborted, and map_error
 * says so. Where the disk does not give a page of the map, everything is -EIO from then on, and what was read
 * before may have been zeros: map_failed.
 *
 * Threads: a write transaction belongs to the environment's one writer; a read transaction to one thread at a
 * time.
 * Memory: views point into the map: valid until the transaction ends or, in a write transaction, the next
 * change. */
#ifndef TERN_STORAGE_MAP_H
#define TERN_STORAGE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map;
struct map_txn;
struct map_cursor;

struct map_view {
    const uint8_t *at;
    size_t bytes;
};

struct map_usage {
    uint64_t page_bytes;
    uint64_t pages_max;  /* what the size limit allows */
    uint64_t pages_high; /* pages the file has reached */
    uint64_t pages_free; /* of these, how many can be used again */
    uint64_t records;
};

/* Opens the map in this folder, which exists; makes it where it is new. */
int map_open(const char *folder, uint64_t map_bytes, uint32_t readers_max, struct map **ret_map);
void map_close(struct map *map);
/* True once a page of the map could not be read: asked after the bytes of a view were read and before they
 * are believed. Threads: any. */
bool map_failed(const struct map *map);

int map_begin(struct map *map, struct map_txn **ret_txn); /* a write transaction */
/* Makes it durable: 0 only after the disk has it. The transaction is gone either way. */
int map_commit(struct map_txn *txn);
void map_abort(struct map_txn *txn); /* also ends and frees a read transaction */
/* The first error but -ENOENT that this transaction met; 0: none. */
int map_error(const struct map_txn *txn);

int map_begin_read(struct map *map, struct map_txn **ret_txn);
/* Gives the snapshot up and takes the newest one, without the cost of a new transaction. */
void map_rest(struct map_txn *txn);
int map_renew(struct map_txn *txn);

int map_get(struct map_txn *txn, struct map_view key, struct map_view *ret_value); /* -ENOENT */
/* Sets the key to a value of so many bytes, to be written at *ret_space before the next change. */
int map_put(struct map_txn *txn, struct map_view key, size_t bytes, uint8_t **ret_space);
int map_delete(struct map_txn *txn, struct map_view key); /* -ENOENT */

/* Cursors of a write transaction are closed before it ends, those of a read transaction before or after. */
int map_cursor_open(struct map_txn *txn, struct map_cursor **ret_cursor);
int map_cursor_renew(struct map_cursor *cursor); /* after map_renew of its transaction */
void map_cursor_close(struct map_cursor *cursor);
/* The first key >= key; then the next ones. -ENOENT at the end. */
int map_seek(struct map_cursor *cursor, struct map_view key, struct map_view *ret_key,
             struct map_view *ret_value);
int map_next(struct map_cursor *cursor, struct map_view *ret_key, struct map_view *ret_value);
/* The last key < key. */
int map_seek_before(struct map_cursor *cursor, struct map_view key, struct map_view *ret_key,
                    struct map_view *ret_value);
/* Deletes what the cursor is at; map_next then goes on behind it. */
int map_cursor_delete(struct map_cursor *cursor);

/* Records that cursors of this transaction and its renewals came to: what a walk costs, for tests. */
uint64_t map_visited(const struct map_txn *txn);

/* Costs the same however much is in the map. */
int map_usage(struct map *map, struct map_usage *ret_usage);
/* Clears readers of processes that are gone, which would keep pages from being used again; returns how
 * many. */
int map_readers_check(struct map *map);
/* Keeps the newest commit of a map that another process may be writing, and those after it, from losing pages
 * to later ones: for who reads the file by other means. */
struct map_pin;
int map_pin(const char *folder, struct map_pin **ret_pin);
void map_unpin(struct map_pin *pin);
/* A compacted copy of the newest snapshot into a folder that exists, while writing goes on. */
int map_copy(struct map *map, const char *folder);

#endif
