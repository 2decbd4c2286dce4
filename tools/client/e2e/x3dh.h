/* tools/client/e2e/x3dh.h: the X3DH key agreement, https://signal.org/docs/specifications/x3dh/, revision 1:
 * two devices come to a shared secret though one of them is away. Section numbers are those of the
 * specification.
 *
 * Parameters (section 2.1): curve X25519, hash SHA-256, info "tern x3dh". The associated data (section 3.3)
 * goes on after the identity keys with account and device of both: initiator's first.
 *
 * Threads: pure.  Memory: the caller's; what was agreed is for the caller to wipe (x3dh_agreed_fini). */
#ifndef TERN_TOOLS_CLIENT_E2E_X3DH_H
#define TERN_TOOLS_CLIENT_E2E_X3DH_H

#include "tools/client/e2e/prekeys.h"

#define X3DH_HEADER_BYTES 72
#define X3DH_ADDRESS_BYTES 10
#define X3DH_ASSOCIATED_BYTES (2 * (IDENTITY_ENCODED_BYTES + X3DH_ADDRESS_BYTES))

struct x3dh_address {
    uint64_t account;
    uint16_t device;
};

/* What the initiator sends along with its first messages. */
struct x3dh_header {
    uint8_t identity[IDENTITY_KEY_BYTES];
    uint8_t ephemeral[PRIMITIVE_KEY_BYTES]; /* new in each agreement: what names a channel, too */
    uint32_t signed_id;
    uint32_t one_time_id; /* 0: none was used */
};

struct x3dh_end {
    const struct identity_keys *keys;
    struct x3dh_address address;
};

struct x3dh_agreed {
    uint8_t secret[PRIMITIVE_KEY_BYTES];
    uint8_t associated[X3DH_ASSOCIATED_BYTES];
};

/* Section 3.3. The bundle has been verified against the device list (prekey_bundle_verify). ephemeral: 32
 * fresh random bytes. 0; -EBADMSG: a key of the bundle is none. */
int x3dh_initiate(const struct x3dh_end *own, struct x3dh_address remote, const struct prekey_bundle *bundle,
                  const uint8_t ephemeral[PRIMITIVE_KEY_BYTES], struct x3dh_header *ret_header,
                  struct x3dh_agreed *ret_agreed);
/* Section 3.4. signed_prekey, one_time_prekey: those that the header names; NULL where it names none. 0;
 * -EBADMSG: a key of the header is none. */
int x3dh_respond(const struct x3dh_end *own, struct x3dh_address remote, const struct x3dh_header *header,
                 const struct prekey *signed_prekey, const struct prekey *one_time_prekey,
                 struct x3dh_agreed *ret_agreed);
void x3dh_agreed_fini(struct x3dh_agreed *agreed);

/* identity, ephemeral, signed id, one-time id. read: 0; -EBADMSG: too short, or a signed id of 0. */
void x3dh_header_write(const struct x3dh_header *header, uint8_t ret_bytes[X3DH_HEADER_BYTES]);
int x3dh_header_read(struct x3dh_header *ret_header, const uint8_t *bytes, size_t count);

#endif
