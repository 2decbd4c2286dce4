/* tools/client/e2e/identity.h: keys that stand for somebody: the identity key of a device, which signs its
 * pre-keys and takes part in X3DH, and the account key, which signs device lists. Both are Ed25519; X3DH uses
 * the device's on Curve25519, by the conversion that libsodium has.
 *
 * Ed25519 with conversion and not X25519 with XEdDSA, because then no part of a signature is our own code;
 * that a key may serve both is shown by Thormarker, "On using the same key pair for Ed25519 and an X25519
 * based KEM", https://eprint.iacr.org/2021/509. It is not the static key of Noise: the switch, which is the
 * other end of the handshakes, has nothing to do with keys between devices.
 *
 * What is signed begins with a label of its own, so that no signature can be taken for another.
 *
 * Threads: pure.  Memory: the caller's; identity_keys_fini wipes. */
#ifndef TERN_TOOLS_CLIENT_E2E_IDENTITY_H
#define TERN_TOOLS_CLIENT_E2E_IDENTITY_H

#include "tools/client/e2e/primitive.h"

#define IDENTITY_KEY_BYTES PRIMITIVE_KEY_BYTES
#define IDENTITY_ENCODED_BYTES (1 + IDENTITY_KEY_BYTES)

struct identity_keys {
    uint8_t seed[IDENTITY_KEY_BYTES]; /* the secret: all that is stored */
    uint8_t public_key[IDENTITY_KEY_BYTES];
};

/* seed: 32 fresh random bytes, or the stored ones. */
void identity_keys_init(struct identity_keys *keys, const uint8_t seed[IDENTITY_KEY_BYTES]);
void identity_keys_fini(struct identity_keys *keys);

/* Encode(PK) of the X3DH specification, section 2.1: the kind of key, then the key. */
void identity_encode(const uint8_t public_key[IDENTITY_KEY_BYTES],
                     uint8_t ret_encoded[IDENTITY_ENCODED_BYTES]);

void identity_sign(const struct identity_keys *keys, const uint8_t *bytes, size_t count,
                   uint8_t ret_signature[PRIMITIVE_SIGNATURE_BYTES]);
/* 0; -EKEYREJECTED: not by this key. */
int identity_verify(const uint8_t public_key[IDENTITY_KEY_BYTES], const uint8_t *bytes, size_t count,
                    const uint8_t signature[PRIMITIVE_SIGNATURE_BYTES]);

#endif
