#include "tools/client/e2e/x3dh.h"

#include <errno.h>
#include <string.h>

#include "core/bytes.h"
#include "core/must.h"

/* Section 2.2: F, 32 bytes of 0xFF, then the Diffie-Hellman results. */
#define SHARED_MAX 4u
#define INFO "tern x3dh"

struct material {
    uint8_t bytes[PRIMITIVE_KEY_BYTES * (1 + SHARED_MAX)];
    size_t used;
};

static void material_init(struct material *material) {
    memset(material->bytes, 0xFF, PRIMITIVE_KEY_BYTES);
    material->used = PRIMITIVE_KEY_BYTES;
}

static int material_add(struct material *material, const uint8_t secret[PRIMITIVE_KEY_BYTES],
                        const uint8_t remote[PRIMITIVE_KEY_BYTES]) {
    must(material->used + PRIMITIVE_KEY_BYTES <= sizeof(material->bytes));
    int error = primitive_agree(secret, remote, material->bytes + material->used);
    material->used += PRIMITIVE_KEY_BYTES;
    return error;
}

static void write_address(struct x3dh_address address, uint8_t *out) {
    bytes_put64(out, address.account);
    bytes_put16(out + 8, address.device);
}

static void write_associated(const uint8_t *initiator, const uint8_t *responder, struct x3dh_address from,
                             struct x3dh_address to, uint8_t ret_associated[X3DH_ASSOCIATED_BYTES]) {
    identity_encode(initiator, ret_associated);
    identity_encode(responder, ret_associated + IDENTITY_ENCODED_BYTES);
    write_address(from, ret_associated + 2 * IDENTITY_ENCODED_BYTES);
    write_address(to, ret_associated + 2 * IDENTITY_ENCODED_BYTES + X3DH_ADDRESS_BYTES);
}

static void derive(struct material *material, uint8_t ret_secret[PRIMITIVE_KEY_BYTES]) {
    static const uint8_t salt[PRIMITIVE_KEY_BYTES];
    primitive_hkdf(salt, material->bytes, material->used, INFO, ret_secret, NULL);
}

int x3dh_initiate(const struct x3dh_end *own, struct x3dh_address remote, const struct prekey_bundle *bundle,
                  const uint8_t ephemeral[PRIMITIVE_KEY_BYTES], struct x3dh_header *ret_header,
                  struct x3dh_agreed *ret_agreed) {
    uint8_t own_secret[PRIMITIVE_KEY_BYTES], remote_public[PRIMITIVE_KEY_BYTES];
    struct material material;
    int error = primitive_sign_to_agree_public(bundle->identity, remote_public);
    if (error)
        return error;
    primitive_sign_to_agree_secret(own->keys->seed, own_secret);
    material_init(&material);
    error = material_add(&material, own_secret, bundle->signed_public);
    if (!error)
        error = material_add(&material, ephemeral, remote_public);
    if (!error)
        error = material_add(&material, ephemeral, bundle->signed_public);
    if (!error && bundle->one_time_id)
        error = material_add(&material, ephemeral, bundle->one_time_public);
    if (!error) {
        memcpy(ret_header->identity, own->keys->public_key, IDENTITY_KEY_BYTES);
        primitive_public(ephemeral, ret_header->ephemeral);
        ret_header->signed_id = bundle->signed_id;
        ret_header->one_time_id = bundle->one_time_id;
        derive(&material, ret_agreed->secret);
        write_associated(own->keys->public_key, bundle->identity, own->address, remote,
                         ret_agreed->associated);
    }
    primitive_wipe(own_secret, sizeof(own_secret));
    primitive_wipe(&material, sizeof(material));
    return error;
}

int x3dh_respond(const struct x3dh_end *own, struct x3dh_address remote, const struct x3dh_header *header,
                 const struct prekey *signed_prekey, const struct prekey *one_time_prekey,
                 struct x3dh_agreed *ret_agreed) {
    uint8_t own_secret[PRIMITIVE_KEY_BYTES], remote_public[PRIMITIVE_KEY_BYTES];
    struct material material;
    must(signed_prekey->id == header->signed_id);
    must((one_time_prekey ? one_time_prekey->id : 0) == header->one_time_id);
    int error = primitive_sign_to_agree_public(header->identity, remote_public);
    if (error)
        return error;
    primitive_sign_to_agree_secret(own->keys->seed, own_secret);
    material_init(&material);
    error = material_add(&material, signed_prekey->secret, remote_public);
    if (!error)
        error = material_add(&material, own_secret, header->ephemeral);
    if (!error)
        error = material_add(&material, signed_prekey->secret, header->ephemeral);
    if (!error && one_time_prekey)
        error = material_add(&material, one_time_prekey->secret, header->ephemeral);
    if (!error) {
        derive(&material, ret_agreed->secret);
        write_associated(header->identity, own->keys->public_key, remote, own->address,
                         ret_agreed->associated);
    }
    primitive_wipe(own_secret, sizeof(own_secret));
    primitive_wipe(&material, sizeof(material));
    return error;
}

void x3dh_agreed_fini(struct x3dh_agreed *agreed) {
    primitive_wipe(agreed, sizeof(*agreed));
}

void x3dh_header_write(const struct x3dh_header *header, uint8_t ret_bytes[X3DH_HEADER_BYTES]) {
    memcpy(ret_bytes, header->identity, IDENTITY_KEY_BYTES);
    memcpy(ret_bytes + 32, header->ephemeral, PRIMITIVE_KEY_BYTES);
    bytes_put32(ret_bytes + 64, header->signed_id);
    bytes_put32(ret_bytes + 68, header->one_time_id);
}

int x3dh_header_read(struct x3dh_header *ret_header, const uint8_t *bytes, size_t count) {
    if (count < X3DH_HEADER_BYTES || bytes_get32(bytes + 64) == 0)
        return -EBADMSG;
    memcpy(ret_header->identity, bytes, IDENTITY_KEY_BYTES);
    memcpy(ret_header->ephemeral, bytes + 32, PRIMITIVE_KEY_BYTES);
    ret_header->signed_id = bytes_get32(bytes + 64);
    ret_header->one_time_id = bytes_get32(bytes + 68);
    return 0;
}
