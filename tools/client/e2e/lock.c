#include "tools/client/e2e/lock.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "core/bytes.h"

#define LOCKED_VERSION 1
#define SALT_OFFSET 16
#define NONCE_OFFSET (SALT_OFFSET + LOCK_SALT_BYTES)
#define SEALED_OFFSET (NONCE_OFFSET + PRIMITIVE_NONCE_BYTES)

_Static_assert(LOCK_SALT_BYTES == crypto_pwhash_argon2id_SALTBYTES, "Argon2id");
_Static_assert(LOCK_MEMORY_BYTES == crypto_pwhash_argon2id_MEMLIMIT_MODERATE, "libsodium's choice");
_Static_assert(LOCK_PASSES == crypto_pwhash_argon2id_OPSLIMIT_MODERATE, "libsodium's choice");

static bool is_allowed(struct lock_cost cost) {
    return cost.passes >= crypto_pwhash_argon2id_OPSLIMIT_MIN && cost.passes <= LOCK_PASSES_MAX &&
           cost.memory_bytes >= crypto_pwhash_argon2id_MEMLIMIT_MIN &&
           cost.memory_bytes <= LOCK_MEMORY_BYTES_MAX;
}

/* The key that a passphrase makes. */
static int derive(const char *passphrase, struct lock_cost cost, const uint8_t *salt,
                  uint8_t ret_key[PRIMITIVE_KEY_BYTES]) {
    size_t bytes = strnlen(passphrase, LOCK_PASSPHRASE_BYTES_MAX + 1);
    if (bytes == 0 || bytes > LOCK_PASSPHRASE_BYTES_MAX)
        return -EINVAL;
    /* All that is wrong is ruled out before; what is left is a lack of memory. */
    return crypto_pwhash_argon2id(ret_key, PRIMITIVE_KEY_BYTES, passphrase, bytes, salt, cost.passes,
                                  (size_t)cost.memory_bytes, crypto_pwhash_argon2id_ALG_ARGON2ID13) == 0
               ? 0
               : -ENOMEM;
}

int lock_key(const char *passphrase, struct lock_cost cost, const struct lock_fresh *fresh,
             const uint8_t key[PRIMITIVE_KEY_BYTES], uint8_t ret_locked[LOCK_BYTES]) {
    uint8_t derived[PRIMITIVE_KEY_BYTES], locked[LOCK_BYTES] = {0};
    if (!is_allowed(cost))
        return -EINVAL;
    int error = derive(passphrase, cost, fresh->salt, derived);
    if (error)
        return error;
    bytes_put16(locked, LOCKED_VERSION);
    bytes_put32(locked + 4, cost.passes);
    bytes_put64(locked + 8, cost.memory_bytes);
    memcpy(locked + SALT_OFFSET, fresh->salt, sizeof(fresh->salt));
    memcpy(locked + NONCE_OFFSET, fresh->nonce, sizeof(fresh->nonce));
    memcpy(locked + SEALED_OFFSET, key, PRIMITIVE_KEY_BYTES);
    primitive_seal(derived, fresh->nonce, locked, SEALED_OFFSET, locked + SEALED_OFFSET, PRIMITIVE_KEY_BYTES);
    primitive_wipe(derived, sizeof(derived));
    memcpy(ret_locked, locked, sizeof(locked));
    return 0;
}

int lock_open(const char *passphrase, const uint8_t *locked, size_t count,
              uint8_t ret_key[PRIMITIVE_KEY_BYTES]) {
    uint8_t derived[PRIMITIVE_KEY_BYTES], key[PRIMITIVE_KEY_BYTES];
    if (count >= 2 && bytes_get16(locked) > LOCKED_VERSION)
        return -EPROTO;
    if (count != LOCK_BYTES || bytes_get16(locked) != LOCKED_VERSION || bytes_get16(locked + 2) != 0)
        return -EUCLEAN;
    struct lock_cost cost = {.passes = bytes_get32(locked + 4), .memory_bytes = bytes_get64(locked + 8)};
    if (!is_allowed(cost))
        return -EUCLEAN;
    int error = derive(passphrase, cost, locked + SALT_OFFSET, derived);
    if (error)
        return error;
    error = primitive_open(derived, locked + NONCE_OFFSET, locked, SEALED_OFFSET, locked + SEALED_OFFSET,
                           LOCK_BYTES - SEALED_OFFSET, key);
    if (!error)
        memcpy(ret_key, key, sizeof(key));
    primitive_wipe(derived, sizeof(derived));
    primitive_wipe(key, sizeof(key));
    return error ? -EKEYREJECTED : 0;
}
