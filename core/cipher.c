/* The cipher states of core/noise.h: section 5.1 of the specification and the cipher functions of section
 * 12. */
#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "core/bytes.h"
#include "core/must.h"
#include "core/noise.h"

#define NONCE_BYTES 12

int noise_init(void) {
    return sodium_init() < 0 ? -ENOSYS : 0;
}

bool noise_has_aes(void) {
    return crypto_aead_aes256gcm_is_available() == 1;
}

void noise_cipher_init(struct noise_cipher_state *state, enum noise_cipher cipher,
                       const uint8_t key[NOISE_KEY_BYTES]) {
    state->nonce = 0;
    state->cipher = (uint8_t)cipher;
    state->has_key = cipher != NOISE_PLAIN;
    if (state->has_key)
        memcpy(state->key, key, NOISE_KEY_BYTES);
}

void noise_cipher_fini(struct noise_cipher_state *state) {
    sodium_memzero(state, sizeof(*state));
}

/* Section 12.3: 4 zero bytes, then the nonce little-endian; section 12.4: the same, big-endian. */
static void write_nonce(const struct noise_cipher_state *state, uint64_t number, uint8_t out[NONCE_BYTES]) {
    memset(out, 0, 4);
    if (state->cipher == NOISE_AESGCM)
        bytes_put64_be(out + 4, number);
    else
        bytes_put64(out + 4, number);
}

/* AES round keys are made for each record, in less time than it takes to fetch them from memory where there
 * are many connections: kept, they would be most of what an idle one takes. */
static void aes_seal(const uint8_t key[NOISE_KEY_BYTES], const uint8_t nonce[NONCE_BYTES],
                     const uint8_t *data, size_t data_bytes, const uint8_t *text, size_t text_bytes,
                     uint8_t *out) {
    crypto_aead_aes256gcm_state aes;
    crypto_aead_aes256gcm_beforenm(&aes, key);
    crypto_aead_aes256gcm_encrypt_detached_afternm(out, out + text_bytes, NULL, text, text_bytes, data,
                                                   data_bytes, NULL, nonce, &aes);
    sodium_memzero(&aes, sizeof(aes));
}

static int aes_open(const uint8_t key[NOISE_KEY_BYTES], const uint8_t nonce[NONCE_BYTES], const uint8_t *data,
                    size_t data_bytes, uint8_t *text, size_t text_bytes) {
    crypto_aead_aes256gcm_state aes;
    crypto_aead_aes256gcm_beforenm(&aes, key);
    int result = crypto_aead_aes256gcm_decrypt_detached_afternm(
        text, NULL, text, text_bytes, text + text_bytes, data, data_bytes, nonce, &aes);
    sodium_memzero(&aes, sizeof(aes));
    return result;
}

/* Detached, so that sealing in place needs no room but the tag's. */
static void encrypt(const struct noise_cipher_state *state, uint64_t number, const uint8_t *data,
                    size_t data_bytes, const uint8_t *text, size_t text_bytes, uint8_t *out) {
    uint8_t nonce[NONCE_BYTES];
    write_nonce(state, number, nonce);
    if (state->cipher == NOISE_AESGCM)
        aes_seal(state->key, nonce, data, data_bytes, text, text_bytes, out);
    else
        crypto_aead_chacha20poly1305_ietf_encrypt_detached(out, out + text_bytes, NULL, text, text_bytes,
                                                           data, data_bytes, NULL, nonce, state->key);
}

void noise_cipher_encrypt(const struct noise_cipher_state *state, uint64_t number, const uint8_t *data,
                          size_t data_bytes, uint8_t *text, size_t text_bytes) {
    encrypt(state, number, data, data_bytes, text, text_bytes, text);
}

int noise_cipher_decrypt(const struct noise_cipher_state *state, uint64_t number, const uint8_t *data,
                         size_t data_bytes, uint8_t *sealed, size_t sealed_bytes) {
    uint8_t nonce[NONCE_BYTES];
    if (sealed_bytes < NOISE_TAG_BYTES)
        return -EBADMSG;
    size_t text_bytes = sealed_bytes - NOISE_TAG_BYTES;
    write_nonce(state, number, nonce);
    int result;
    if (state->cipher == NOISE_AESGCM)
        result = aes_open(state->key, nonce, data, data_bytes, sealed, text_bytes);
    else
        result = crypto_aead_chacha20poly1305_ietf_decrypt_detached(
            sealed, NULL, sealed, text_bytes, sealed + text_bytes, data, data_bytes, nonce, state->key);
    return result == 0 ? 0 : -EBADMSG;
}

size_t noise_seal(struct noise_cipher_state *state, uint8_t *text, size_t text_bytes) {
    return noise_seal_from(state, text, text, text_bytes);
}

size_t noise_seal_from(struct noise_cipher_state *state, uint8_t *out, const uint8_t *text,
                       size_t text_bytes) {
    if (state->cipher == NOISE_PLAIN) {
        if (out != text)
            memcpy(out, text, text_bytes);
        return text_bytes;
    }
    must(state->nonce != UINT64_MAX); /* section 5.1: reserved */
    encrypt(state, state->nonce++, NULL, 0, text, text_bytes, out);
    return text_bytes + NOISE_TAG_BYTES;
}

int noise_open(struct noise_cipher_state *state, uint8_t *sealed, size_t sealed_bytes,
               size_t *ret_text_bytes) {
    if (state->cipher == NOISE_PLAIN) {
        *ret_text_bytes = sealed_bytes;
        return 0;
    }
    if (state->nonce == UINT64_MAX)
        return -EBADMSG;
    int error = noise_cipher_decrypt(state, state->nonce, NULL, 0, sealed, sealed_bytes);
    if (error)
        return error;
    state->nonce++;
    *ret_text_bytes = sealed_bytes - NOISE_TAG_BYTES;
    return 0;
}

/* Section 4.2: the first 32 bytes of ENCRYPT(k, 2^64-1, zerolen, 32 zero bytes). */
void noise_rekey(struct noise_cipher_state *state) {
    uint8_t key[NOISE_KEY_BYTES + NOISE_TAG_BYTES] = {0};
    uint64_t nonce = state->nonce;
    noise_cipher_encrypt(state, UINT64_MAX, NULL, 0, key, NOISE_KEY_BYTES);
    noise_cipher_init(state, (enum noise_cipher)state->cipher, key);
    state->nonce = nonce;
    sodium_memzero(key, sizeof(key));
}
