/* tools/client/vault.h: the map of disk.h, its values sealed where it has a key: whoever copies the file of a
 * locked state reads none of them. Without a key they pass through as they are.
 *
 * A sealed value is a random nonce, the value, and a tag: XChaCha20-Poly1305 with the vault's key, the
 * record's key as associated data, so that a value opens in no other record. Keys are not sealed, because
 * they have to keep their order. Two records never are: the layout's version and the lock, which are read
 * before there is a key.
 *
 * Errors: the disk's; -EUCLEAN, too, where a value was not sealed with this key for this record; -ENOMEM.
 *
 * Threads: one.
 * Memory: views as in disk.h. What was opened for them is kept until the transaction ends or changes
 * something, or vault_release, and wiped then. */
#ifndef TERN_TOOLS_CLIENT_VAULT_H
#define TERN_TOOLS_CLIENT_VAULT_H

#include "tools/client/disk.h"
#include "tools/client/e2e/primitive.h"

struct key;
struct vault;

int vault_open(const char *folder, uint64_t bytes_max, struct vault **ret_vault); /* without a key */
void vault_close(struct vault *vault);
/* All that is in the map was put there with this key, but for the two. */
void vault_set_key(struct vault *vault, const uint8_t key[PRIMITIVE_KEY_BYTES]);
bool vault_has_key(const struct vault *vault);

/* As the disk's. */
uint64_t vault_version(const struct vault *vault);
int vault_begin(struct vault *vault, bool write);
int vault_commit(struct vault *vault);
void vault_abort(struct vault *vault);
int vault_get(struct vault *vault, struct disk_view key, struct disk_view *ret_value);
int vault_put(struct vault *vault, struct disk_view key, struct disk_view value);
int vault_delete(struct vault *vault, struct disk_view key);
int vault_seek(struct vault *vault, struct disk_view key, struct disk_view *ret_key,
               struct disk_view *ret_value);
int vault_seek_before(struct vault *vault, struct disk_view key, struct disk_view *ret_key,
                      struct disk_view *ret_value);

/* Goes through all records in their order: *at is empty at first. -ENOENT: that was the last. */
int vault_walk(struct vault *vault, struct key *at, struct disk_view *ret_key, struct disk_view *ret_value);

/* For who reads without an end in one transaction: the values seen since the mark are not looked at any
 * more. */
uint64_t vault_mark(const struct vault *vault);
void vault_release(struct vault *vault, uint64_t mark);

#endif
