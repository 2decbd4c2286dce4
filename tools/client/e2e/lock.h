/* tools/client/e2e/lock.h: a key locked with a passphrase: Argon2id (RFC 9106) makes a key of the passphrase,
 * which seals the key that the state is sealed with.
 *
 * As bytes: u16 version (1), u16 zero, u32 passes, u64 memory bytes, salt, nonce, sealed key. All before the
 * sealed key is its associated data.
 *
 * Threads: pure; takes a second or so and the memory it says.  Memory: the caller's; what comes from the
 * passphrase is wiped. */
#ifndef TERN_TOOLS_CLIENT_E2E_LOCK_H
#define TERN_TOOLS_CLIENT_E2E_LOCK_H

#include "tools/client/e2e/primitive.h"

#define LOCK_SALT_BYTES 16
#define LOCK_BYTES (16 + LOCK_SALT_BYTES + PRIMITIVE_NONCE_BYTES + PRIMITIVE_KEY_BYTES + PRIMITIVE_TAG_BYTES)
#define LOCK_PASSPHRASE_BYTES_MAX 1024u
/* crypto_pwhash_argon2id_*_MODERATE of libsodium. */
#define LOCK_PASSES 3u
#define LOCK_MEMORY_BYTES (UINT64_C(256) << 20)
/* What a locked key may ask for at most: whoever can change the file can't make us take all memory. */
#define LOCK_PASSES_MAX 16u
#define LOCK_MEMORY_BYTES_MAX (UINT64_C(1) << 30)

struct lock_cost {
    uint32_t passes;
    uint64_t memory_bytes;
};

/* Fresh random bytes for a lock. */
struct lock_fresh {
    uint8_t salt[LOCK_SALT_BYTES], nonce[PRIMITIVE_NONCE_BYTES];
};

/* 0; -EINVAL: a passphrase that is empty or too long, a cost out of its range; -ENOMEM. */
int lock_key(const char *passphrase, struct lock_cost cost, const struct lock_fresh *fresh,
             const uint8_t key[PRIMITIVE_KEY_BYTES], uint8_t ret_locked[LOCK_BYTES]);
/* 0; -EKEYREJECTED: another passphrase, or the bytes were changed; -EUCLEAN: not what lock_key writes;
 * -EPROTO: a newer version; -EINVAL, -ENOMEM as above. */
int lock_open(const char *passphrase, const uint8_t *locked, size_t count,
              uint8_t ret_key[PRIMITIVE_KEY_BYTES]);

#endif
