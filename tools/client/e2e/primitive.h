/* tools/client/e2e/primitive.h: the primitives under the end-to-end encryption: X25519, Ed25519, HMAC and
 * HKDF with SHA-256, XChaCha20-Poly1305. All of them are libsodium's; agreement and ratchet compute with
 * these functions alone, so that a simulator can put cheap ones in their place at link time.
 *
 * Secret bytes come from the caller, as time and randomness do everywhere in the library.
 *
 * Threads: pure, any thread, after sodium_init (noise_init does it).
 * Memory: the caller's; secrets in between are wiped here. */
#ifndef TERN_TOOLS_CLIENT_E2E_PRIMITIVE_H
#define TERN_TOOLS_CLIENT_E2E_PRIMITIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PRIMITIVE_KEY_BYTES 32 /* of every key here: X25519, Ed25519 (seed and public), HMAC, cipher */
#define PRIMITIVE_SIGNATURE_BYTES 64
#define PRIMITIVE_NONCE_BYTES 24
#define PRIMITIVE_TAG_BYTES 16
#define PRIMITIVE_HKDF_INFO_BYTES_MAX 64

/* RFC 7748: the public key of a secret one. */
void primitive_public(const uint8_t secret[PRIMITIVE_KEY_BYTES], uint8_t ret_public[PRIMITIVE_KEY_BYTES]);
/* RFC 7748: what both ends compute. 0; -EBADMSG: the public key is one of those that force a result of
 * zeros.
 */
int primitive_agree(const uint8_t secret[PRIMITIVE_KEY_BYTES], const uint8_t remote[PRIMITIVE_KEY_BYTES],
                    uint8_t ret_shared[PRIMITIVE_KEY_BYTES]);

/* RFC 8032. public: what belongs to the seed. */
void primitive_sign_public(const uint8_t seed[PRIMITIVE_KEY_BYTES], uint8_t ret_public[PRIMITIVE_KEY_BYTES]);
void primitive_sign(const uint8_t seed[PRIMITIVE_KEY_BYTES], const uint8_t public_key[PRIMITIVE_KEY_BYTES],
                    const uint8_t *bytes, size_t count, uint8_t ret_signature[PRIMITIVE_SIGNATURE_BYTES]);
bool primitive_verify(const uint8_t public_key[PRIMITIVE_KEY_BYTES], const uint8_t *bytes, size_t count,
                      const uint8_t signature[PRIMITIVE_SIGNATURE_BYTES]);
/* The same keys on Curve25519 (RFC 7748, section 4.1). Secret: RFC 8032, section 5.1.5, steps 1 and 2.
 * Public: 0; -EBADMSG: no point, or one of small order. */
void primitive_sign_to_agree_secret(const uint8_t seed[PRIMITIVE_KEY_BYTES],
                                    uint8_t ret_secret[PRIMITIVE_KEY_BYTES]);
int primitive_sign_to_agree_public(const uint8_t public_key[PRIMITIVE_KEY_BYTES],
                                   uint8_t ret_public[PRIMITIVE_KEY_BYTES]);

/* RFC 2104 with SHA-256, one byte of input. */
void primitive_hmac_byte(const uint8_t key[PRIMITIVE_KEY_BYTES], uint8_t byte,
                         uint8_t ret_output[PRIMITIVE_KEY_BYTES]);
/* RFC 5869 with SHA-256: one or two keys. salt: 32 bytes; info: at most PRIMITIVE_HKDF_INFO_BYTES_MAX;
 * ret_second may be NULL. */
void primitive_hkdf(const uint8_t salt[PRIMITIVE_KEY_BYTES], const uint8_t *material, size_t material_bytes,
                    const char *info, uint8_t ret_first[PRIMITIVE_KEY_BYTES], uint8_t *ret_second);

/* XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) in place: text has room for the tag behind it. */
void primitive_seal(const uint8_t key[PRIMITIVE_KEY_BYTES], const uint8_t nonce[PRIMITIVE_NONCE_BYTES],
                    const uint8_t *data, size_t data_bytes, uint8_t *text, size_t text_bytes);
/* sealed_bytes: with the tag, at least its bytes. text has room for the rest, and may be sealed itself. 0;
 * -EBADMSG: it does not authenticate; text may then hold zeros. */
int primitive_open(const uint8_t key[PRIMITIVE_KEY_BYTES], const uint8_t nonce[PRIMITIVE_NONCE_BYTES],
                   const uint8_t *data, size_t data_bytes, const uint8_t *sealed, size_t sealed_bytes,
                   uint8_t *text);

/* Constant-time. */
bool primitive_equal(const uint8_t *one, const uint8_t *other, size_t count);
void primitive_wipe(void *secret, size_t count);

#endif
