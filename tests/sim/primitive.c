/* tools/client/e2e/primitive.h with numbers in the place of cryptography, which the simulator links instead
 * of libsodium's: what is agreed, signed, sealed and opened goes the way it does with the real ones, in a few
 * multiplications. Nothing here keeps a secret from who wants to know it; but a text that is sealed is not
 * there to be read, one with another key or other data does not open, and neither does a changed one.
 *
 * A key is a number of 64 bits, and the other bytes follow from it: so any changed byte is noticed. */
#include "tools/client/e2e/primitive.h"

#include <errno.h>
#include <string.h>

#include "core/account.h"
#include "core/bytes.h"

#define GENERATOR UINT64_C(0x9e3779b97f4a7c15) /* odd: a secret is lost in no product */

static uint64_t mix(uint64_t hash, const uint8_t *bytes, size_t count) {
    for (; count >= 8; bytes += 8, count -= 8)
        hash = account_hash(hash ^ bytes_get64(bytes)) + GENERATOR;
    for (; count; bytes++, count--)
        hash = account_hash(hash ^ *bytes) + GENERATOR;
    return hash;
}

static void expand(uint64_t number, uint8_t *ret_bytes, size_t count) {
    for (size_t at = 0; at < count; at += 8)
        bytes_put64(ret_bytes + at, at ? account_hash(number + at) : number);
}

static bool is_key(const uint8_t key[PRIMITIVE_KEY_BYTES]) {
    uint8_t whole[PRIMITIVE_KEY_BYTES];
    expand(bytes_get64(key), whole, sizeof(whole));
    return memcmp(whole, key, sizeof(whole)) == 0 && bytes_get64(key) != 0;
}

/* --- agreement ------------------------------------------------------------------------------------------ */

static uint64_t exponent(const uint8_t secret[PRIMITIVE_KEY_BYTES]) {
    return mix(1, secret, PRIMITIVE_KEY_BYTES) | 1;
}

void primitive_public(const uint8_t secret[PRIMITIVE_KEY_BYTES], uint8_t ret_public[PRIMITIVE_KEY_BYTES]) {
    expand(exponent(secret) * GENERATOR, ret_public, PRIMITIVE_KEY_BYTES);
}

int primitive_agree(const uint8_t secret[PRIMITIVE_KEY_BYTES], const uint8_t remote[PRIMITIVE_KEY_BYTES],
                    uint8_t ret_shared[PRIMITIVE_KEY_BYTES]) {
    if (!is_key(remote))
        return -EBADMSG;
    expand(account_hash(exponent(secret) * bytes_get64(remote)), ret_shared, PRIMITIVE_KEY_BYTES);
    return 0;
}

/* --- signatures ----------------------------------------------------------------------------------------- */

void primitive_sign_public(const uint8_t seed[PRIMITIVE_KEY_BYTES], uint8_t ret_public[PRIMITIVE_KEY_BYTES]) {
    primitive_public(seed, ret_public);
}

void primitive_sign(const uint8_t seed[PRIMITIVE_KEY_BYTES], const uint8_t public_key[PRIMITIVE_KEY_BYTES],
                    const uint8_t *bytes, size_t count, uint8_t ret_signature[PRIMITIVE_SIGNATURE_BYTES]) {
    (void)seed;
    expand(mix(bytes_get64(public_key), bytes, count), ret_signature, PRIMITIVE_SIGNATURE_BYTES);
}

bool primitive_verify(const uint8_t public_key[PRIMITIVE_KEY_BYTES], const uint8_t *bytes, size_t count,
                      const uint8_t signature[PRIMITIVE_SIGNATURE_BYTES]) {
    uint8_t right[PRIMITIVE_SIGNATURE_BYTES];
    primitive_sign(NULL, public_key, bytes, count, right);
    return is_key(public_key) && memcmp(right, signature, sizeof(right)) == 0;
}

void primitive_sign_to_agree_secret(const uint8_t seed[PRIMITIVE_KEY_BYTES],
                                    uint8_t ret_secret[PRIMITIVE_KEY_BYTES]) {
    memcpy(ret_secret, seed, PRIMITIVE_KEY_BYTES);
}

int primitive_sign_to_agree_public(const uint8_t public_key[PRIMITIVE_KEY_BYTES],
                                   uint8_t ret_public[PRIMITIVE_KEY_BYTES]) {
    if (!is_key(public_key))
        return -EBADMSG;
    memcpy(ret_public, public_key, PRIMITIVE_KEY_BYTES);
    return 0;
}

/* --- derivation ----------------------------------------------------------------------------------------- */

void primitive_hmac_byte(const uint8_t key[PRIMITIVE_KEY_BYTES], uint8_t byte,
                         uint8_t ret_output[PRIMITIVE_KEY_BYTES]) {
    expand(mix(byte, key, PRIMITIVE_KEY_BYTES), ret_output, PRIMITIVE_KEY_BYTES);
}

void primitive_hkdf(const uint8_t salt[PRIMITIVE_KEY_BYTES], const uint8_t *material, size_t material_bytes,
                    const char *info, uint8_t ret_first[PRIMITIVE_KEY_BYTES], uint8_t *ret_second) {
    uint64_t hash = mix(2, salt, PRIMITIVE_KEY_BYTES);
    hash = mix(hash, material, material_bytes);
    hash = mix(hash, (const uint8_t *)info, strlen(info));
    expand(account_hash(hash), ret_first, PRIMITIVE_KEY_BYTES);
    if (ret_second)
        expand(account_hash(hash + 1), ret_second, PRIMITIVE_KEY_BYTES);
}

/* --- sealing -------------------------------------------------------------------------------------------- */

static void cross(uint64_t stream, uint8_t *text, size_t count) {
    uint8_t block[8];
    for (size_t at = 0; at < count; at++) {
        if (at % sizeof(block) == 0)
            bytes_put64(block, account_hash(stream + at));
        text[at] ^= block[at % sizeof(block)];
    }
}

static uint64_t stream_of(const uint8_t *key, const uint8_t *nonce) {
    return mix(mix(3, key, PRIMITIVE_KEY_BYTES), nonce, PRIMITIVE_NONCE_BYTES);
}

static void write_tag(uint64_t stream, const uint8_t *data, size_t data_bytes, const uint8_t *sealed,
                      size_t count, uint8_t ret_tag[PRIMITIVE_TAG_BYTES]) {
    expand(account_hash(mix(mix(stream, data, data_bytes), sealed, count)), ret_tag, PRIMITIVE_TAG_BYTES);
}

void primitive_seal(const uint8_t key[PRIMITIVE_KEY_BYTES], const uint8_t nonce[PRIMITIVE_NONCE_BYTES],
                    const uint8_t *data, size_t data_bytes, uint8_t *text, size_t text_bytes) {
    uint64_t stream = stream_of(key, nonce);
    cross(stream, text, text_bytes);
    write_tag(stream, data, data_bytes, text, text_bytes, text + text_bytes);
}

int primitive_open(const uint8_t key[PRIMITIVE_KEY_BYTES], const uint8_t nonce[PRIMITIVE_NONCE_BYTES],
                   const uint8_t *data, size_t data_bytes, const uint8_t *sealed, size_t sealed_bytes,
                   uint8_t *text) {
    uint64_t stream = stream_of(key, nonce);
    uint8_t tag[PRIMITIVE_TAG_BYTES];
    size_t count = sealed_bytes - PRIMITIVE_TAG_BYTES;
    write_tag(stream, data, data_bytes, sealed, count, tag);
    if (memcmp(tag, sealed + count, sizeof(tag)) != 0)
        return -EBADMSG;
    memmove(text, sealed, count);
    cross(stream, text, count);
    return 0;
}

bool primitive_equal(const uint8_t *one, const uint8_t *other, size_t count) {
    return memcmp(one, other, count) == 0;
}

void primitive_wipe(void *secret, size_t count) {
    memset(secret, 0, count);
}
