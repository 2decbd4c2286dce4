/* tools/client/disk.h: what the client keeps on its disk, as an ordered map: one key space, one transaction
 * at a time.
 *
 * Everything that decides in the client library stands on this interface alone; disk_lmdb.c puts LMDB behind
 * it, a simulator replaces it at link time. Several processes may have the same folder open: their write
 * transactions follow one another. Errors: -ENOSPC the size limit or the disk is full; -EUCLEAN damaged;
 * -EPROTO written by another version of LMDB; -EIO and others from the system. After an error other than
 * -ENOENT a transaction can only be aborted.
 *
 * Threads: one.
 * Memory: views are valid until the transaction ends or, in a write transaction, the next change. */
#ifndef TERN_TOOLS_CLIENT_DISK_H
#define TERN_TOOLS_CLIENT_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DISK_KEY_BYTES_MAX 128

struct disk;

struct disk_view {
    const uint8_t *at;
    size_t bytes;
};

bool disk_is_there(const char *folder); /* a map is in this folder */
/* Opens the map in this folder, which exists; makes it where it is new, for its owner to read alone. -EPERM:
 * others may read or write it. */
int disk_open(const char *folder, uint64_t bytes_max, struct disk **ret_disk);
void disk_close(struct disk *disk);
/* Puts the map of one folder in the place of the other's, durably: after a crash it is the one or the other.
 * Nobody has either open. */
int disk_move(const char *from, const char *to);
/* Deletes the map in this folder, if there is one, and the folder, if nothing else is in it. */
int disk_erase(const char *folder);
/* Rises with every commit, whichever process made it. In a transaction: of what it sees. */
uint64_t disk_version(const struct disk *disk);

int disk_begin(struct disk *disk, bool write);
/* Makes a write transaction durable: 0 only after the disk has it. The transaction is over either way. */
int disk_commit(struct disk *disk);
void disk_abort(struct disk *disk); /* ends a read transaction, too */

int disk_get(struct disk *disk, struct disk_view key, struct disk_view *ret_value); /* -ENOENT */
/* The value may not be a view of this transaction. */
int disk_put(struct disk *disk, struct disk_view key, struct disk_view value);
int disk_delete(struct disk *disk, struct disk_view key); /* -ENOENT */
/* The first key >= key, or the last key < key. -ENOENT: there is none. */
int disk_seek(struct disk *disk, struct disk_view key, struct disk_view *ret_key,
              struct disk_view *ret_value);
int disk_seek_before(struct disk *disk, struct disk_view key, struct disk_view *ret_key,
                     struct disk_view *ret_value);

#endif
