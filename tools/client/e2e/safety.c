#include "tools/client/e2e/safety.h"

#include <sodium.h>
#include <string.h>

#include "core/bytes.h"
#include "core/must.h"

#define VERSION_BYTES 2 /* of a version of 0 */
#define ITERATIONS 5200u
#define ID_BYTES_MAX 64
#define ENCODED_BYTES_MAX 64
#define CHUNK_BYTES 5
#define CHUNK_DIGITS 5

static void write_digits(const uint8_t *hash, char ret_digits[SAFETY_HALF_DIGITS + 1]) {
    for (size_t i = 0; i < SAFETY_HALF_DIGITS / CHUNK_DIGITS; i++, hash += CHUNK_BYTES) {
        uint64_t chunk = 0;
        for (size_t j = 0; j < CHUNK_BYTES; j++)
            chunk = chunk << 8 | hash[j];
        for (size_t j = CHUNK_DIGITS; j-- > 0; chunk /= 10)
            ret_digits[i * CHUNK_DIGITS + j] = (char)('0' + chunk % 10);
    }
    ret_digits[SAFETY_HALF_DIGITS] = 0;
}

void safety_half(const uint8_t *key, size_t key_bytes, const uint8_t *id, size_t id_bytes,
                 char ret_digits[SAFETY_HALF_DIGITS + 1]) {
    uint8_t first[VERSION_BYTES + ENCODED_BYTES_MAX + ID_BYTES_MAX] = {0};
    uint8_t hash[crypto_hash_sha512_BYTES];
    const uint8_t *input = first;
    size_t input_bytes = VERSION_BYTES + key_bytes + id_bytes;
    must(key_bytes <= ENCODED_BYTES_MAX && id_bytes <= ID_BYTES_MAX);
    memcpy(first + VERSION_BYTES, key, key_bytes);
    memcpy(first + VERSION_BYTES + key_bytes, id, id_bytes);
    for (unsigned i = 0; i < ITERATIONS; i++) {
        crypto_hash_sha512_state state;
        crypto_hash_sha512_init(&state);
        crypto_hash_sha512_update(&state, input, input_bytes);
        crypto_hash_sha512_update(&state, key, key_bytes);
        crypto_hash_sha512_final(&state, hash);
        input = hash;
        input_bytes = sizeof(hash);
    }
    write_digits(hash, ret_digits);
}

static void half_of(uint64_t account, const uint8_t *account_key, char *ret_digits) {
    uint8_t key[IDENTITY_ENCODED_BYTES], id[8];
    identity_encode(account_key, key);
    bytes_put64(id, account);
    safety_half(key, sizeof(key), id, sizeof(id), ret_digits);
}

void safety_number(uint64_t account, const uint8_t account_key[IDENTITY_KEY_BYTES], uint64_t other_account,
                   const uint8_t other_account_key[IDENTITY_KEY_BYTES], char ret_digits[SAFETY_DIGITS + 1]) {
    char half[SAFETY_HALF_DIGITS + 1], other[SAFETY_HALF_DIGITS + 1];
    half_of(account, account_key, half);
    half_of(other_account, other_account_key, other);
    bool is_first = strcmp(half, other) <= 0;
    memcpy(ret_digits, is_first ? half : other, SAFETY_HALF_DIGITS);
    memcpy(ret_digits + SAFETY_HALF_DIGITS, is_first ? other : half, SAFETY_HALF_DIGITS + 1);
}
