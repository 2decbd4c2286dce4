/* tools/client/e2e/prekeys.h: what a device leaves with the switch so that others can begin while it is away:
 * a signed pre-key, changed every week, and one-time pre-keys, handed out once each. X3DH, section 3.2.
 *
 * A signed pre-key's secret is kept for as long as a message may still be on its way that was sealed for it:
 * the longest time to live after its successor came. A one-time pre-key's secret goes with the message that
 * used it, in the same transaction. Where the switch has no one-time pre-key left, X3DH does without
 * (section 4.2 of the specification: the first message could then be replayed; the numbers of messages, which
 * are sealed into them, and the receiving device's marks stop that).
 *
 * Threads: pure.  Memory: the caller's; prekey_fini wipes. */
#ifndef TERN_TOOLS_CLIENT_E2E_PREKEYS_H
#define TERN_TOOLS_CLIENT_E2E_PREKEYS_H

#include "tools/client/e2e/identity.h"

#define PREKEY_BYTES 46               /* a stored pre-key: version 2 bytes, id, created, secret */
#define PREKEY_BUNDLE_BYTES 168       /* a bundle, with or without one-time pre-key */
#define PREKEY_ONE_TIME_STOCK 100u    /* one-time pre-keys that should lie with the switch */
#define PREKEY_ONE_TIME_LOW 25u       /* at so few a device is told, and brings more */
#define PREKEY_ROTATE_S (7u * 86400u) /* a signed pre-key older than this gets a successor */

/* Ids begin at 1, rise, and are never used again; signed and one-time pre-keys are numbered apart. */
struct prekey {
    uint32_t id;
    uint64_t created_s; /* UTC */
    uint8_t secret[PRIMITIVE_KEY_BYTES];
    uint8_t public_key[PRIMITIVE_KEY_BYTES];
};

/* secret: 32 fresh random bytes. */
void prekey_init(struct prekey *prekey, uint32_t id, uint64_t created_s,
                 const uint8_t secret[PRIMITIVE_KEY_BYTES]);
void prekey_fini(struct prekey *prekey);
void prekey_sign(const struct prekey *prekey, const struct identity_keys *keys,
                 uint8_t ret_signature[PRIMITIVE_SIGNATURE_BYTES]);
/* Signed pre-keys: time for a successor; and, with the time since the successor came, time to wipe it. A
 * clock that went back makes neither true. */
bool prekey_wants_successor(const struct prekey *prekey, uint64_t now_s);
bool prekey_is_over(uint64_t successor_created_s, uint64_t now_s, uint64_t ttl_s_max);

/* For the client's store. read: 0; -EUCLEAN: not what write writes; -EPROTO: a newer version. */
void prekey_write(const struct prekey *prekey, uint8_t ret_bytes[PREKEY_BYTES]);
int prekey_read(struct prekey *ret_prekey, const uint8_t *bytes, size_t count);

/* What the switch hands out, to begin a channel with one device. */
struct prekey_bundle {
    uint8_t identity[IDENTITY_KEY_BYTES];
    uint32_t signed_id;
    uint8_t signed_public[PRIMITIVE_KEY_BYTES];
    uint8_t signature[PRIMITIVE_SIGNATURE_BYTES];
    uint32_t one_time_id; /* 0: the stock was empty, there is none */
    uint8_t one_time_public[PRIMITIVE_KEY_BYTES];
};

/* identity: what the device list that the account key signed says of this device. 0; -EKEYREJECTED: another
 * identity key, or the signed pre-key is not signed by it. */
int prekey_bundle_verify(const struct prekey_bundle *bundle, const uint8_t identity[IDENTITY_KEY_BYTES]);
/* On the wire: identity, signed id, signed public, signature, one-time id, one-time public (zeros without).
 * read: 0; -EBADMSG: another length, id 0 of the signed one, or bytes behind an id of 0. */
void prekey_bundle_write(const struct prekey_bundle *bundle, uint8_t ret_bytes[PREKEY_BUNDLE_BYTES]);
int prekey_bundle_read(struct prekey_bundle *ret_bundle, const uint8_t *bytes, size_t count);

#endif
