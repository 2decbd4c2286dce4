#include "tools/client/e2e/primitive.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "core/must.h"

_Static_assert(PRIMITIVE_KEY_BYTES == crypto_scalarmult_BYTES, "X25519");
_Static_assert(PRIMITIVE_KEY_BYTES == crypto_sign_ed25519_PUBLICKEYBYTES, "Ed25519");
_Static_assert(PRIMITIVE_SIGNATURE_BYTES == crypto_sign_ed25519_BYTES, "Ed25519");
_Static_assert(PRIMITIVE_KEY_BYTES == crypto_auth_hmacsha256_BYTES, "HMAC-SHA-256");
_Static_assert(PRIMITIVE_KEY_BYTES == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "XChaCha20-Poly1305");
_Static_assert(PRIMITIVE_NONCE_BYTES == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, "XChaCha20-Poly1305");
_Static_assert(PRIMITIVE_TAG_BYTES == crypto_aead_xchacha20poly1305_ietf_ABYTES, "XChaCha20-Poly1305");

/* --- Curve25519 ----------------------------------------------------------------------------------------- */

void primitive_public(const uint8_t secret[PRIMITIVE_KEY_BYTES], uint8_t ret_public[PRIMITIVE_KEY_BYTES]) {
    crypto_scalarmult_base(ret_public, secret);
}

int primitive_agree(const uint8_t secret[PRIMITIVE_KEY_BYTES], const uint8_t remote[PRIMITIVE_KEY_BYTES],
                    uint8_t ret_shared[PRIMITIVE_KEY_BYTES]) {
    uint8_t shared[PRIMITIVE_KEY_BYTES];
    int result = crypto_scalarmult(shared, secret, remote);
    if (result == 0)
        memcpy(ret_shared, shared, sizeof(shared));
    sodium_memzero(shared, sizeof(shared));
    return result == 0 ? 0 : -EBADMSG;
}

void primitive_sign_public(const uint8_t seed[PRIMITIVE_KEY_BYTES], uint8_t ret_public[PRIMITIVE_KEY_BYTES]) {
    uint8_t secret[crypto_sign_ed25519_SECRETKEYBYTES];
    crypto_sign_ed25519_seed_keypair(ret_public, secret, seed);
    sodium_memzero(secret, sizeof(secret));
}

/* libsodium's secret key is the seed and the public key behind it. */
void primitive_sign(const uint8_t seed[PRIMITIVE_KEY_BYTES], const uint8_t public_key[PRIMITIVE_KEY_BYTES],
                    const uint8_t *bytes, size_t count, uint8_t ret_signature[PRIMITIVE_SIGNATURE_BYTES]) {
    uint8_t secret[crypto_sign_ed25519_SECRETKEYBYTES];
    memcpy(secret, seed, PRIMITIVE_KEY_BYTES);
    memcpy(secret + PRIMITIVE_KEY_BYTES, public_key, PRIMITIVE_KEY_BYTES);
    crypto_sign_ed25519_detached(ret_signature, NULL, bytes, count, secret);
    sodium_memzero(secret, sizeof(secret));
}

bool primitive_verify(const uint8_t public_key[PRIMITIVE_KEY_BYTES], const uint8_t *bytes, size_t count,
                      const uint8_t signature[PRIMITIVE_SIGNATURE_BYTES]) {
    return crypto_sign_ed25519_verify_detached(signature, bytes, count, public_key) == 0;
}

void primitive_sign_to_agree_secret(const uint8_t seed[PRIMITIVE_KEY_BYTES],
                                    uint8_t ret_secret[PRIMITIVE_KEY_BYTES]) {
    uint8_t secret[crypto_sign_ed25519_SECRETKEYBYTES] = {0}; /* the conversion reads the seed alone */
    memcpy(secret, seed, PRIMITIVE_KEY_BYTES);
    crypto_sign_ed25519_sk_to_curve25519(ret_secret, secret);
    sodium_memzero(secret, sizeof(secret));
}

int primitive_sign_to_agree_public(const uint8_t public_key[PRIMITIVE_KEY_BYTES],
                                   uint8_t ret_public[PRIMITIVE_KEY_BYTES]) {
    return crypto_sign_ed25519_pk_to_curve25519(ret_public, public_key) == 0 ? 0 : -EBADMSG;
}

/* --- keys from keys ------------------------------------------------------------------------------------- */

static void hmac(const uint8_t key[PRIMITIVE_KEY_BYTES], const uint8_t *bytes, size_t count,
                 uint8_t ret_output[PRIMITIVE_KEY_BYTES]) {
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, key, PRIMITIVE_KEY_BYTES);
    crypto_auth_hmacsha256_update(&state, bytes, count);
    crypto_auth_hmacsha256_final(&state, ret_output);
    sodium_memzero(&state, sizeof(state));
}

void primitive_hmac_byte(const uint8_t key[PRIMITIVE_KEY_BYTES], uint8_t byte,
                         uint8_t ret_output[PRIMITIVE_KEY_BYTES]) {
    hmac(key, &byte, 1, ret_output);
}

/* Section 2.3: each block is made of the one before it, the info and its number. */
void primitive_hkdf(const uint8_t salt[PRIMITIVE_KEY_BYTES], const uint8_t *material, size_t material_bytes,
                    const char *info, uint8_t ret_first[PRIMITIVE_KEY_BYTES], uint8_t *ret_second) {
    uint8_t key[PRIMITIVE_KEY_BYTES];
    uint8_t input[PRIMITIVE_KEY_BYTES + PRIMITIVE_HKDF_INFO_BYTES_MAX + 1];
    size_t info_bytes = 0;
    hmac(salt, material, material_bytes, key);
    for (; info[info_bytes]; info_bytes++) {
        must(info_bytes < PRIMITIVE_HKDF_INFO_BYTES_MAX);
        input[PRIMITIVE_KEY_BYTES + info_bytes] = (uint8_t)info[info_bytes];
    }
    input[PRIMITIVE_KEY_BYTES + info_bytes] = 1;
    hmac(key, input + PRIMITIVE_KEY_BYTES, info_bytes + 1, ret_first);
    if (ret_second) {
        memcpy(input, ret_first, PRIMITIVE_KEY_BYTES);
        input[PRIMITIVE_KEY_BYTES + info_bytes] = 2;
        hmac(key, input, PRIMITIVE_KEY_BYTES + info_bytes + 1, ret_second);
    }
    sodium_memzero(key, sizeof(key));
    sodium_memzero(input, sizeof(input));
}

/* --- sealing -------------------------------------------------------------------------------------------- */

void primitive_seal(const uint8_t key[PRIMITIVE_KEY_BYTES], const uint8_t nonce[PRIMITIVE_NONCE_BYTES],
                    const uint8_t *data, size_t data_bytes, uint8_t *text, size_t text_bytes) {
    crypto_aead_xchacha20poly1305_ietf_encrypt_detached(text, text + text_bytes, NULL, text, text_bytes, data,
                                                        data_bytes, NULL, nonce, key);
}

int primitive_open(const uint8_t key[PRIMITIVE_KEY_BYTES], const uint8_t nonce[PRIMITIVE_NONCE_BYTES],
                   const uint8_t *data, size_t data_bytes, const uint8_t *sealed, size_t sealed_bytes,
                   uint8_t *text) {
    must(sealed_bytes >= PRIMITIVE_TAG_BYTES);
    size_t text_bytes = sealed_bytes - PRIMITIVE_TAG_BYTES;
    int result = crypto_aead_xchacha20poly1305_ietf_decrypt_detached(
        text, NULL, sealed, text_bytes, sealed + text_bytes, data, data_bytes, nonce, key);
    return result == 0 ? 0 : -EBADMSG;
}

bool primitive_equal(const uint8_t *one, const uint8_t *other, size_t count) {
    return sodium_memcmp(one, other, count) == 0;
}

void primitive_wipe(void *secret, size_t count) {
    sodium_memzero(secret, count);
}
