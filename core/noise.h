/* core/noise.h: the Noise protocol framework, revision 34: XX and IK over 25519, AESGCM or ChaChaPoly,
 * SHA256. Section numbers in comments are those of the specification. noise.c has the handshake, cipher.c the
 * cipher states.
 *
 * Threads: a handshake or cipher state belongs to its session; no global state after noise_init.
 * Memory: the caller's; secrets are wiped by the function or the _fini that ends their use. */
#ifndef TERN_CORE_NOISE_H
#define TERN_CORE_NOISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NOISE_KEY_BYTES 32
#define NOISE_HASH_BYTES 32
#define NOISE_TAG_BYTES 16
#define NOISE_MESSAGE_BYTES_MAX 65535

enum noise_cipher { NOISE_PLAIN = 0, NOISE_AESGCM = 1, NOISE_CHACHAPOLY = 2 };
enum noise_pattern { NOISE_IK = 1, NOISE_XX = 2 };

/* Section 5.1. NOISE_PLAIN: no cipher at all, tern's plaintext mode; never the result of a handshake. */
struct noise_cipher_state {
    uint64_t nonce;
    uint8_t cipher; /* enum noise_cipher */
    bool has_key;
    uint8_t key[NOISE_KEY_BYTES];
};

struct noise_setup {
    enum noise_pattern pattern;
    enum noise_cipher cipher;
    bool initiator;
    const uint8_t *prologue;
    size_t prologue_bytes;
    const uint8_t *static_secret;    /* 32 bytes */
    const uint8_t *static_public;    /* its public key; NULL: it is reckoned, which takes as long as a
                                        Diffie-Hellman */
    const uint8_t *ephemeral_secret; /* 32 fresh random bytes; tests hand in known ones */
    const uint8_t *remote_static;    /* 32 bytes: the responder's, for an IK initiator; else NULL */
};

struct noise_handshake {
    struct noise_cipher_state cipher; /* the symmetric state's */
    uint8_t chaining_key[NOISE_HASH_BYTES];
    uint8_t hash[NOISE_HASH_BYTES];
    uint8_t static_secret[NOISE_KEY_BYTES], static_public[NOISE_KEY_BYTES];
    uint8_t ephemeral_secret[NOISE_KEY_BYTES], ephemeral_public[NOISE_KEY_BYTES];
    uint8_t remote_static[NOISE_KEY_BYTES], remote_ephemeral[NOISE_KEY_BYTES];
    enum noise_pattern pattern;
    bool initiator;
    uint8_t messages; /* written or read so far */
};

/* Once per process, before anything else here. 0, or -ENOSYS where libsodium does not start. */
int noise_init(void);
/* True where this CPU has what AES-GCM needs. */
bool noise_has_aes(void);
/* The public key of a secret one. */
void noise_public_key(const uint8_t secret[NOISE_KEY_BYTES], uint8_t ret_public[NOISE_KEY_BYTES]);

/* 0; -ENOTSUP: AESGCM without the CPU for it. */
int noise_handshake_init(struct noise_handshake *handshake, const struct noise_setup *setup);
void noise_handshake_fini(struct noise_handshake *handshake);
/* True when it is this side's turn to write; both false when complete. */
bool noise_handshake_writes(const struct noise_handshake *handshake);
bool noise_handshake_complete(const struct noise_handshake *handshake);
/* Bytes of the next message, written or read, with an empty payload. */
size_t noise_handshake_message_bytes(const struct noise_handshake *handshake);
/* Writes the next message with this payload (may be NULL, 0); out has room for message_bytes + payload_bytes.
 * 0, or -EBADMSG where a Diffie-Hellman result is all zero (section 12.1: refused). */
int noise_handshake_write(struct noise_handshake *handshake, const uint8_t *payload, size_t payload_bytes,
                          uint8_t *out, size_t *ret_out_bytes);
/* Reads the next message; payload has room for message_bytes. 0; -EBADMSG: wrong length or it does not
 * authenticate. */
int noise_handshake_read(struct noise_handshake *handshake, const uint8_t *message, size_t message_bytes,
                         uint8_t *ret_payload, size_t *ret_payload_bytes);
/* Section 5.2, Split: the keys of this side's two directions. After completion, once. */
void noise_handshake_split(struct noise_handshake *handshake, struct noise_cipher_state *ret_send,
                           struct noise_cipher_state *ret_receive);

void noise_cipher_init(struct noise_cipher_state *state, enum noise_cipher cipher,
                       const uint8_t key[NOISE_KEY_BYTES]);
void noise_cipher_fini(struct noise_cipher_state *state);
/* ENCRYPT and DECRYPT of section 4.2 in place, with a nonce and associated data of one's own: for the
 * handshake. text has room for the tag. decrypt: 0 or -EBADMSG. */
void noise_cipher_encrypt(const struct noise_cipher_state *state, uint64_t number, const uint8_t *data,
                          size_t data_bytes, uint8_t *text, size_t text_bytes);
int noise_cipher_decrypt(const struct noise_cipher_state *state, uint64_t number, const uint8_t *data,
                         size_t data_bytes, uint8_t *sealed, size_t sealed_bytes);
/* Seals bytes in place: text has room for text_bytes + 16. Returns the sealed bytes. Without associated
 * data. */
size_t noise_seal(struct noise_cipher_state *state, uint8_t *text, size_t text_bytes);
/* The same of a text that lies elsewhere, and stays as it is: out has the room. */
size_t noise_seal_from(struct noise_cipher_state *state, uint8_t *out, const uint8_t *text,
                       size_t text_bytes);
/* Opens in place. 0; -EBADMSG: it does not authenticate (the nonce stays). */
int noise_open(struct noise_cipher_state *state, uint8_t *sealed, size_t sealed_bytes,
               size_t *ret_text_bytes);
/* Section 4.2, REKEY. */
void noise_rekey(struct noise_cipher_state *state);

#endif
