#include "core/noise.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "core/must.h"

#define HANDSHAKE_MESSAGES_MAX 3

/* --- patterns ------------------------------------------------------------------------------------------- */

enum token { TOKEN_END = 0, TOKEN_E, TOKEN_S, TOKEN_EE, TOKEN_ES, TOKEN_SE, TOKEN_SS };

/* Section 7.5. Messages alternate, the initiator begins. */
static const uint8_t patterns[][HANDSHAKE_MESSAGES_MAX][5] = {
    [NOISE_IK] = {{TOKEN_E, TOKEN_ES, TOKEN_S, TOKEN_SS}, {TOKEN_E, TOKEN_EE, TOKEN_SE}},
    [NOISE_XX] = {{TOKEN_E}, {TOKEN_E, TOKEN_EE, TOKEN_S, TOKEN_ES}, {TOKEN_S, TOKEN_SE}},
};

static unsigned message_count(const struct noise_handshake *handshake) {
    return handshake->pattern == NOISE_IK ? 2 : 3;
}

static const uint8_t *next_tokens(const struct noise_handshake *handshake) {
    must(handshake->messages < message_count(handshake));
    return patterns[handshake->pattern][handshake->messages];
}

/* --- the symmetric state, section 5.2 ------------------------------------------------------------------- */

static void mix_hash(struct noise_handshake *handshake, const uint8_t *bytes, size_t count) {
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, handshake->hash, NOISE_HASH_BYTES);
    crypto_hash_sha256_update(&state, bytes, count);
    crypto_hash_sha256_final(&state, handshake->hash);
    sodium_memzero(&state, sizeof(state));
}

/* With a state that has taken its key in, which stays as it is: that is half the work. */
static void hmac(const crypto_auth_hmacsha256_state *keyed, const uint8_t *bytes, size_t count,
                 uint8_t out[NOISE_HASH_BYTES]) {
    crypto_auth_hmacsha256_state state = *keyed;
    crypto_auth_hmacsha256_update(&state, bytes, count);
    crypto_auth_hmacsha256_final(&state, out);
    sodium_memzero(&state, sizeof(state));
}

/* Section 4.3, HKDF with two outputs. */
static void hkdf(const uint8_t chaining_key[NOISE_HASH_BYTES], const uint8_t *material, size_t material_bytes,
                 uint8_t first[NOISE_HASH_BYTES], uint8_t second[NOISE_HASH_BYTES]) {
    uint8_t temporary[NOISE_HASH_BYTES];
    uint8_t input[NOISE_HASH_BYTES + 1];
    crypto_auth_hmacsha256_state keyed;
    crypto_auth_hmacsha256_init(&keyed, chaining_key, NOISE_HASH_BYTES);
    hmac(&keyed, material, material_bytes, temporary);
    crypto_auth_hmacsha256_init(&keyed, temporary, NOISE_HASH_BYTES);
    input[0] = 1;
    hmac(&keyed, input, 1, first);
    memcpy(input, first, NOISE_HASH_BYTES);
    input[NOISE_HASH_BYTES] = 2;
    hmac(&keyed, input, sizeof(input), second);
    sodium_memzero(&keyed, sizeof(keyed));
    sodium_memzero(temporary, sizeof(temporary));
    sodium_memzero(input, sizeof(input));
}

static void mix_key(struct noise_handshake *handshake, const uint8_t *material, size_t material_bytes) {
    uint8_t next[NOISE_HASH_BYTES];
    uint8_t key[NOISE_HASH_BYTES];
    hkdf(handshake->chaining_key, material, material_bytes, next, key);
    memcpy(handshake->chaining_key, next, NOISE_HASH_BYTES);
    noise_cipher_init(&handshake->cipher, (enum noise_cipher)handshake->cipher.cipher, key);
    sodium_memzero(next, sizeof(next));
    sodium_memzero(key, sizeof(key));
}

/* EncryptAndHash in place: out holds the text and, once there is a key, gets the tag. Returns its bytes. */
static size_t encrypt_and_hash(struct noise_handshake *handshake, uint8_t *out, size_t text_bytes) {
    size_t out_bytes = text_bytes;
    if (handshake->cipher.has_key) {
        noise_cipher_encrypt(&handshake->cipher, handshake->cipher.nonce++, handshake->hash, NOISE_HASH_BYTES,
                             out, text_bytes);
        out_bytes += NOISE_TAG_BYTES;
    }
    mix_hash(handshake, out, out_bytes);
    return out_bytes;
}

/* DecryptAndHash: text gets what sealed holds. */
static int decrypt_and_hash(struct noise_handshake *handshake, const uint8_t *sealed, size_t sealed_bytes,
                            uint8_t *text, size_t *ret_text_bytes) {
    uint8_t hash[NOISE_HASH_BYTES];
    memcpy(hash, handshake->hash, NOISE_HASH_BYTES);
    mix_hash(handshake, sealed, sealed_bytes);
    if (sealed_bytes)
        memcpy(text, sealed, sealed_bytes);
    *ret_text_bytes = sealed_bytes;
    if (!handshake->cipher.has_key)
        return 0;
    int error = noise_cipher_decrypt(&handshake->cipher, handshake->cipher.nonce++, hash, NOISE_HASH_BYTES,
                                     text, sealed_bytes);
    if (!error)
        *ret_text_bytes = sealed_bytes - NOISE_TAG_BYTES;
    return error;
}

/* --- the handshake state, section 5.3 ------------------------------------------------------------------- */

void noise_public_key(const uint8_t secret[NOISE_KEY_BYTES], uint8_t ret_public[NOISE_KEY_BYTES]) {
    crypto_scalarmult_base(ret_public, secret);
}

int noise_handshake_init(struct noise_handshake *handshake, const struct noise_setup *setup) {
    if (setup->cipher == NOISE_AESGCM && !noise_has_aes())
        return -ENOTSUP;
    must(setup->cipher == NOISE_AESGCM || setup->cipher == NOISE_CHACHAPOLY);
    memset(handshake, 0, sizeof(*handshake));
    handshake->pattern = setup->pattern;
    handshake->initiator = setup->initiator;
    handshake->cipher.cipher = (uint8_t)setup->cipher;
    char name[64];
    int name_bytes =
        snprintf(name, sizeof(name), "Noise_%s_25519_%s_SHA256", setup->pattern == NOISE_IK ? "IK" : "XX",
                 setup->cipher == NOISE_AESGCM ? "AESGCM" : "ChaChaPoly");
    if (name_bytes <= NOISE_HASH_BYTES)
        memcpy(handshake->hash, name, (size_t)name_bytes);
    else
        crypto_hash_sha256(handshake->hash, (const uint8_t *)name, (unsigned long long)name_bytes);
    memcpy(handshake->chaining_key, handshake->hash, NOISE_HASH_BYTES);
    memcpy(handshake->static_secret, setup->static_secret, NOISE_KEY_BYTES);
    if (setup->static_public)
        memcpy(handshake->static_public, setup->static_public, NOISE_KEY_BYTES);
    else
        noise_public_key(handshake->static_secret, handshake->static_public);
    memcpy(handshake->ephemeral_secret, setup->ephemeral_secret, NOISE_KEY_BYTES);
    noise_public_key(handshake->ephemeral_secret, handshake->ephemeral_public);
    mix_hash(handshake, setup->prologue, setup->prologue_bytes);
    if (setup->pattern == NOISE_IK) { /* the responder's static key is known beforehand */
        if (setup->initiator)
            memcpy(handshake->remote_static, setup->remote_static, NOISE_KEY_BYTES);
        mix_hash(handshake, setup->initiator ? handshake->remote_static : handshake->static_public,
                 NOISE_KEY_BYTES);
    }
    return 0;
}

void noise_handshake_fini(struct noise_handshake *handshake) {
    sodium_memzero(handshake, sizeof(*handshake));
}

bool noise_handshake_complete(const struct noise_handshake *handshake) {
    return handshake->messages == message_count(handshake);
}

bool noise_handshake_writes(const struct noise_handshake *handshake) {
    bool initiators_turn = handshake->messages % 2 == 0;
    return !noise_handshake_complete(handshake) && initiators_turn == handshake->initiator;
}

/* A key is there as soon as one Diffie-Hellman was mixed in; from then on, keys and payloads carry a tag. */
size_t noise_handshake_message_bytes(const struct noise_handshake *handshake) {
    size_t bytes = 0;
    bool keyed = handshake->cipher.has_key;
    for (const uint8_t *token = next_tokens(handshake); *token != TOKEN_END; token++) {
        if (*token == TOKEN_E)
            bytes += NOISE_KEY_BYTES;
        else if (*token == TOKEN_S)
            bytes += NOISE_KEY_BYTES + (keyed ? NOISE_TAG_BYTES : 0);
        else
            keyed = true;
    }
    return bytes + (keyed ? NOISE_TAG_BYTES : 0);
}

/* The Diffie-Hellman of a token; the letters name the initiator's key first. Section 12.1 allows to refuse an
 * all-zero result, which a peer could force. */
static int mix_token(struct noise_handshake *handshake, enum token token) {
    bool initiator = handshake->initiator;
    bool own_static = token == TOKEN_SS || token == (initiator ? TOKEN_SE : TOKEN_ES);
    bool remote_static = token == TOKEN_SS || token == (initiator ? TOKEN_ES : TOKEN_SE);
    uint8_t shared[NOISE_KEY_BYTES];
    int result =
        crypto_scalarmult(shared, own_static ? handshake->static_secret : handshake->ephemeral_secret,
                          remote_static ? handshake->remote_static : handshake->remote_ephemeral);
    if (result == 0)
        mix_key(handshake, shared, sizeof(shared));
    sodium_memzero(shared, sizeof(shared));
    return result == 0 ? 0 : -EBADMSG;
}

int noise_handshake_write(struct noise_handshake *handshake, const uint8_t *payload, size_t payload_bytes,
                          uint8_t *out, size_t *ret_out_bytes) {
    must(noise_handshake_writes(handshake));
    uint8_t *at = out;
    for (const uint8_t *token = next_tokens(handshake); *token != TOKEN_END; token++) {
        if (*token == TOKEN_E) {
            memcpy(at, handshake->ephemeral_public, NOISE_KEY_BYTES);
            mix_hash(handshake, at, NOISE_KEY_BYTES);
            at += NOISE_KEY_BYTES;
        } else if (*token == TOKEN_S) {
            memcpy(at, handshake->static_public, NOISE_KEY_BYTES);
            at += encrypt_and_hash(handshake, at, NOISE_KEY_BYTES);
        } else if (mix_token(handshake, (enum token) * token) < 0) {
            return -EBADMSG;
        }
    }
    if (payload_bytes)
        memcpy(at, payload, payload_bytes);
    at += encrypt_and_hash(handshake, at, payload_bytes);
    handshake->messages++;
    *ret_out_bytes = (size_t)(at - out);
    return 0;
}

int noise_handshake_read(struct noise_handshake *handshake, const uint8_t *message, size_t message_bytes,
                         uint8_t *ret_payload, size_t *ret_payload_bytes) {
    must(!noise_handshake_writes(handshake) && !noise_handshake_complete(handshake));
    if (message_bytes < noise_handshake_message_bytes(handshake) || message_bytes > NOISE_MESSAGE_BYTES_MAX)
        return -EBADMSG;
    const uint8_t *at = message;
    for (const uint8_t *token = next_tokens(handshake); *token != TOKEN_END; token++) {
        if (*token == TOKEN_E) {
            memcpy(handshake->remote_ephemeral, at, NOISE_KEY_BYTES);
            mix_hash(handshake, at, NOISE_KEY_BYTES);
            at += NOISE_KEY_BYTES;
        } else if (*token == TOKEN_S) {
            uint8_t key[NOISE_KEY_BYTES + NOISE_TAG_BYTES];
            size_t key_bytes = 0;
            size_t sealed_bytes = NOISE_KEY_BYTES + (handshake->cipher.has_key ? NOISE_TAG_BYTES : 0);
            if (decrypt_and_hash(handshake, at, sealed_bytes, key, &key_bytes) < 0)
                return -EBADMSG;
            memcpy(handshake->remote_static, key, NOISE_KEY_BYTES);
            at += sealed_bytes;
        } else if (mix_token(handshake, (enum token) * token) < 0) {
            return -EBADMSG;
        }
    }
    int error = decrypt_and_hash(handshake, at, message_bytes - (size_t)(at - message), ret_payload,
                                 ret_payload_bytes);
    if (!error)
        handshake->messages++;
    return error;
}

void noise_handshake_split(struct noise_handshake *handshake, struct noise_cipher_state *ret_send,
                           struct noise_cipher_state *ret_receive) {
    must(noise_handshake_complete(handshake));
    uint8_t first[NOISE_HASH_BYTES];
    uint8_t second[NOISE_HASH_BYTES];
    hkdf(handshake->chaining_key, NULL, 0, first, second);
    enum noise_cipher cipher = (enum noise_cipher)handshake->cipher.cipher;
    noise_cipher_init(ret_send, cipher, handshake->initiator ? first : second);
    noise_cipher_init(ret_receive, cipher, handshake->initiator ? second : first);
    sodium_memzero(first, sizeof(first));
    sodium_memzero(second, sizeof(second));
}
