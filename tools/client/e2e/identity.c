#include "tools/client/e2e/identity.h"

#include <errno.h>
#include <string.h>

#define KIND_ED25519 1

void identity_keys_init(struct identity_keys *keys, const uint8_t seed[IDENTITY_KEY_BYTES]) {
    memcpy(keys->seed, seed, IDENTITY_KEY_BYTES);
    primitive_sign_public(seed, keys->public_key);
}

void identity_keys_fini(struct identity_keys *keys) {
    primitive_wipe(keys, sizeof(*keys));
}

void identity_encode(const uint8_t public_key[IDENTITY_KEY_BYTES],
                     uint8_t ret_encoded[IDENTITY_ENCODED_BYTES]) {
    ret_encoded[0] = KIND_ED25519;
    memcpy(ret_encoded + 1, public_key, IDENTITY_KEY_BYTES);
}

void identity_sign(const struct identity_keys *keys, const uint8_t *bytes, size_t count,
                   uint8_t ret_signature[PRIMITIVE_SIGNATURE_BYTES]) {
    primitive_sign(keys->seed, keys->public_key, bytes, count, ret_signature);
}

int identity_verify(const uint8_t public_key[IDENTITY_KEY_BYTES], const uint8_t *bytes, size_t count,
                    const uint8_t signature[PRIMITIVE_SIGNATURE_BYTES]) {
    return primitive_verify(public_key, bytes, count, signature) ? 0 : -EKEYREJECTED;
}
