#include "tools/client/e2e/prekeys.h"

#include <errno.h>
#include <string.h>

#include "core/bytes.h"

#define STORED_VERSION 1

/* What a signature covers: the label, then the key. */
static const char label[] = "tern signed pre-key";
#define LABEL_BYTES (sizeof(label) - 1)
#define SIGNED_BYTES (LABEL_BYTES + PRIMITIVE_KEY_BYTES)

static void write_signed(const uint8_t public_key[PRIMITIVE_KEY_BYTES], uint8_t ret_bytes[SIGNED_BYTES]) {
    memcpy(ret_bytes, label, LABEL_BYTES);
    memcpy(ret_bytes + LABEL_BYTES, public_key, PRIMITIVE_KEY_BYTES);
}

void prekey_init(struct prekey *prekey, uint32_t id, uint64_t created_s,
                 const uint8_t secret[PRIMITIVE_KEY_BYTES]) {
    prekey->id = id;
    prekey->created_s = created_s;
    memcpy(prekey->secret, secret, PRIMITIVE_KEY_BYTES);
    primitive_public(secret, prekey->public_key);
}

void prekey_fini(struct prekey *prekey) {
    primitive_wipe(prekey, sizeof(*prekey));
}

void prekey_sign(const struct prekey *prekey, const struct identity_keys *keys,
                 uint8_t ret_signature[PRIMITIVE_SIGNATURE_BYTES]) {
    uint8_t bytes[SIGNED_BYTES];
    write_signed(prekey->public_key, bytes);
    identity_sign(keys, bytes, sizeof(bytes), ret_signature);
}

bool prekey_wants_successor(const struct prekey *prekey, uint64_t now_s) {
    return now_s > prekey->created_s && now_s - prekey->created_s >= PREKEY_ROTATE_S;
}

bool prekey_is_over(uint64_t successor_created_s, uint64_t now_s, uint64_t ttl_s_max) {
    return now_s > successor_created_s && now_s - successor_created_s > ttl_s_max;
}

void prekey_write(const struct prekey *prekey, uint8_t ret_bytes[PREKEY_BYTES]) {
    bytes_put16(ret_bytes, STORED_VERSION);
    bytes_put32(ret_bytes + 2, prekey->id);
    bytes_put64(ret_bytes + 6, prekey->created_s);
    memcpy(ret_bytes + 14, prekey->secret, PRIMITIVE_KEY_BYTES);
}

int prekey_read(struct prekey *ret_prekey, const uint8_t *bytes, size_t count) {
    if (count >= 2 && bytes_get16(bytes) > STORED_VERSION)
        return -EPROTO;
    if (count != PREKEY_BYTES || bytes_get16(bytes) != STORED_VERSION || bytes_get32(bytes + 2) == 0)
        return -EUCLEAN;
    prekey_init(ret_prekey, bytes_get32(bytes + 2), bytes_get64(bytes + 6), bytes + 14);
    return 0;
}

int prekey_bundle_verify(const struct prekey_bundle *bundle, const uint8_t identity[IDENTITY_KEY_BYTES]) {
    uint8_t bytes[SIGNED_BYTES];
    if (!primitive_equal(bundle->identity, identity, IDENTITY_KEY_BYTES))
        return -EKEYREJECTED;
    write_signed(bundle->signed_public, bytes);
    return identity_verify(identity, bytes, sizeof(bytes), bundle->signature);
}

void prekey_bundle_write(const struct prekey_bundle *bundle, uint8_t ret_bytes[PREKEY_BUNDLE_BYTES]) {
    memset(ret_bytes, 0, PREKEY_BUNDLE_BYTES);
    memcpy(ret_bytes, bundle->identity, IDENTITY_KEY_BYTES);
    bytes_put32(ret_bytes + 32, bundle->signed_id);
    memcpy(ret_bytes + 36, bundle->signed_public, PRIMITIVE_KEY_BYTES);
    memcpy(ret_bytes + 68, bundle->signature, PRIMITIVE_SIGNATURE_BYTES);
    bytes_put32(ret_bytes + 132, bundle->one_time_id);
    if (bundle->one_time_id)
        memcpy(ret_bytes + 136, bundle->one_time_public, PRIMITIVE_KEY_BYTES);
}

int prekey_bundle_read(struct prekey_bundle *ret_bundle, const uint8_t *bytes, size_t count) {
    static const uint8_t zeros[PRIMITIVE_KEY_BYTES];
    if (count != PREKEY_BUNDLE_BYTES || bytes_get32(bytes + 32) == 0)
        return -EBADMSG;
    if (bytes_get32(bytes + 132) == 0 && memcmp(bytes + 136, zeros, sizeof(zeros)) != 0)
        return -EBADMSG;
    memcpy(ret_bundle->identity, bytes, IDENTITY_KEY_BYTES);
    ret_bundle->signed_id = bytes_get32(bytes + 32);
    memcpy(ret_bundle->signed_public, bytes + 36, PRIMITIVE_KEY_BYTES);
    memcpy(ret_bundle->signature, bytes + 68, PRIMITIVE_SIGNATURE_BYTES);
    ret_bundle->one_time_id = bytes_get32(bytes + 132);
    memcpy(ret_bundle->one_time_public, bytes + 136, PRIMITIVE_KEY_BYTES);
    return 0;
}
