/* tools/client/e2e/ratchet.h: the Double Ratchet, https://signal.org/docs/specifications/doubleratchet/,
 * revision 1, without header encryption: every message is sealed with a key of its own, and both ends move on
 * to new keys with every answer. Section numbers are those of the specification.
 *
 * Parameters (section 5.2): X25519; root chain HKDF-SHA-256 with info "tern ratchet"; message chains
 * HMAC-SHA-256 with input 1 for the message key, 2 for the next chain key; XChaCha20-Poly1305 with the
 * message key and a random nonce, which travels with the message. A fixed nonce would do as long as no
 * message key seals twice; with a random one not even a state that was copied or taken from a backup gives
 * two texts away.
 *
 * No header keys: the switch sees in every message who sends it and its number anyway.
 *
 * Messages may be lost and come in any order. The keys of those passed over are kept, RATCHET_KEPT_MAX of
 * them, the oldest dropped for the newest; no more than RATCHET_SKIP_MAX at a time are passed over in a
 * chain. That many, some hundredths of a second of work, because whole runs are lost where messages expire
 * before a device comes back. Where even more were, the channel is at its end, and the device begins another.
 *
 * Threads: one at a time for each ratchet.
 * Memory: the caller's, about 18 KB; ratchet_fini wipes, and each key is wiped when it was used. */
#ifndef TERN_TOOLS_CLIENT_E2E_RATCHET_H
#define TERN_TOOLS_CLIENT_E2E_RATCHET_H

#include "tools/client/e2e/primitive.h"

#ifndef RATCHET_SKIP_MAX
#define RATCHET_SKIP_MAX 25000u
#endif
#define RATCHET_KEPT_MAX 256u
#define RATCHET_HEADER_BYTES 40 /* ratchet key, previous, number */
#define RATCHET_TEXT_OFFSET (RATCHET_HEADER_BYTES + PRIMITIVE_NONCE_BYTES)
#define RATCHET_OVERHEAD_BYTES (RATCHET_TEXT_OFFSET + PRIMITIVE_TAG_BYTES)
#define RATCHET_ASSOCIATED_BYTES_MAX 256
#define RATCHET_FIXED_BYTES 212 /* of a written state */
#define RATCHET_KEPT_BYTES 68   /* of each kept key in it */
#define RATCHET_STATE_BYTES_MAX (RATCHET_FIXED_BYTES + RATCHET_KEPT_MAX * RATCHET_KEPT_BYTES)

/* Section 3.2. Numbers begin at 0 in each chain. */
struct ratchet_header {
    uint8_t public_key[PRIMITIVE_KEY_BYTES];
    uint32_t previous; /* messages in the sender's chain before this one: PN */
    uint32_t number;   /* N */
};

struct ratchet_kept {
    uint8_t public_key[PRIMITIVE_KEY_BYTES];
    uint32_t number;
    uint8_t message_key[PRIMITIVE_KEY_BYTES];
};

/* What a message moves on, all or nothing. */
struct ratchet_state {
    uint8_t root[PRIMITIVE_KEY_BYTES];
    uint8_t secret[PRIMITIVE_KEY_BYTES]; /* DHs, and its public key */
    uint8_t public_key[PRIMITIVE_KEY_BYTES];
    uint8_t remote[PRIMITIVE_KEY_BYTES];    /* DHr, where has_sending */
    uint8_t sending[PRIMITIVE_KEY_BYTES];   /* CKs, where has_sending */
    uint8_t receiving[PRIMITIVE_KEY_BYTES]; /* CKr, where has_receiving */
    uint32_t sent, received, previous;      /* Ns, Nr, PN */
    bool has_sending;                       /* false: a responder that has opened nothing yet */
    bool has_receiving;                     /* false also: an initiator without an answer */
};

struct ratchet {
    struct ratchet_state state;
    uint16_t kept_count;
    struct ratchet_kept kept[RATCHET_KEPT_MAX]; /* oldest first */
};

/* Section 3.3. shared: X3DH's secret. The initiator: remote is the responder's signed pre-key, secret 32
 * fresh random bytes; 0 or -EBADMSG (remote is no key). The responder: secret is that of its signed
 * pre-key.
 */
int ratchet_init_initiator(struct ratchet *ratchet, const uint8_t shared[PRIMITIVE_KEY_BYTES],
                           const uint8_t remote[PRIMITIVE_KEY_BYTES],
                           const uint8_t secret[PRIMITIVE_KEY_BYTES]);
void ratchet_init_responder(struct ratchet *ratchet, const uint8_t shared[PRIMITIVE_KEY_BYTES],
                            const uint8_t secret[PRIMITIVE_KEY_BYTES]);
void ratchet_fini(struct ratchet *ratchet);

/* Section 3.4. associated: at most RATCHET_ASSOCIATED_BYTES_MAX. nonce: 24 fresh random bytes. out has room
 * for text_bytes + RATCHET_OVERHEAD_BYTES; text lies at out + RATCHET_TEXT_OFFSET already or outside. 0;
 * -EAGAIN: a responder that has opened nothing yet; -EOVERFLOW: the chain is at its end (2^32 - 1 messages
 * without an answer). */
int ratchet_seal(struct ratchet *ratchet, const uint8_t *associated, size_t associated_bytes,
                 const uint8_t nonce[PRIMITIVE_NONCE_BYTES], const uint8_t *text, size_t text_bytes,
                 uint8_t *out);
/* Section 3.5. fresh: 32 random bytes, the next ratchet key if this message turns the ratchet. text has room
 * for sealed_bytes and overlaps nothing. After any error the ratchet is as it was before. 0; -EBADMSG: too
 * short, or it does not authenticate, as a repetition from an older chain does not; -EALREADY: its key was
 * used or dropped: a repetition, or too late, if the header is true; -ERANGE: more than RATCHET_SKIP_MAX
 * messages ahead, if it is. */
int ratchet_open(struct ratchet *ratchet, const uint8_t *associated, size_t associated_bytes,
                 const uint8_t fresh[PRIMITIVE_KEY_BYTES], const uint8_t *sealed, size_t sealed_bytes,
                 uint8_t *text, size_t *ret_text_bytes);

/* For the client's store: little-endian, RATCHET_FIXED_BYTES and RATCHET_KEPT_BYTES for each kept key. write
 * returns the bytes. read: 0; -EUCLEAN: not what write writes; -EPROTO: a newer version. */
size_t ratchet_state_bytes(const struct ratchet *ratchet);
size_t ratchet_write(const struct ratchet *ratchet, uint8_t *ret_bytes);
int ratchet_read(struct ratchet *ret_ratchet, const uint8_t *bytes, size_t count);

#endif
