/* tools/client/e2e/devicelist.h: which devices an account has, signed by its account key, with a version that
 * rises: the switch hands lists out, but can neither add a device nor bring an old list back.
 *
 * A list is whole: what is not on it is no device of the account. Device numbers are never used again, so one
 * that is on two lists has the same identity key on both.
 *
 * As bytes: u16 version of this layout (1), u64 account, u64 version, u64 created (UTC, s), account key, u16
 * count, for each device u16 number, u64 created, identity key, in the order of the numbers; then the
 * signature over "tern device list" and all before it.
 *
 * Threads: pure.  Memory: the caller's. */
#ifndef TERN_TOOLS_CLIENT_E2E_DEVICELIST_H
#define TERN_TOOLS_CLIENT_E2E_DEVICELIST_H

#include "tools/client/e2e/identity.h"

#define DEVICELIST_DEVICES_MAX 32u /* as DEVICES_MAX of core/msg.h */
#define DEVICELIST_DEVICE_BYTES 42
#define DEVICELIST_FIXED_BYTES 124 /* without devices, with the signature */
#define DEVICELIST_BYTES_MAX (DEVICELIST_FIXED_BYTES + DEVICELIST_DEVICES_MAX * DEVICELIST_DEVICE_BYTES)

struct devicelist_device {
    uint16_t number;    /* from 1 */
    uint64_t created_s; /* UTC; when it joined */
    uint8_t identity[IDENTITY_KEY_BYTES];
};

struct devicelist {
    uint64_t account;
    uint64_t version;   /* from 1 */
    uint64_t created_s; /* UTC; of this version */
    uint8_t account_key[IDENTITY_KEY_BYTES];
    uint16_t count;
    struct devicelist_device devices[DEVICELIST_DEVICES_MAX]; /* by number, rising */
};

/* Device of this number; NULL: it is not on the list. */
const struct devicelist_device *devicelist_find(const struct devicelist *list, uint16_t number);
/* Takes a device on, in its place. 0; -EEXIST; -ENOSPC: the list is full; -EINVAL: number 0. */
int devicelist_add(struct devicelist *list, const struct devicelist_device *device);
int devicelist_remove(struct devicelist *list, uint16_t number); /* -ENOENT */

size_t devicelist_bytes(const struct devicelist *list);
/* Signs and writes: account_key is taken from keys. ret_bytes has room for devicelist_bytes, which is
 * returned. */
size_t devicelist_sign(struct devicelist *list, const struct identity_keys *keys, uint8_t *ret_bytes);
/* Reads a list that somebody says is this account's. account_key: the one known of the account, or NULL at
 * first contact: then the key on the list is to be remembered. 0; -EBADMSG: malformed, not in order, another
 * account; -EPROTO: a newer layout; -EKEYREJECTED: the signature is not by the key on the list; -EKEYREVOKED:
 * it is, but that key is not the one known: the account key has changed, which people have to be told. */
int devicelist_read(struct devicelist *ret_list, uint64_t account, const uint8_t *account_key,
                    const uint8_t *bytes, size_t count);
/* May `list` take the place of `known`, both read and of the same account key? 0: it is newer, or the same;
 * -ESTALE: it is older; -EBADMSG: the version is the same and the list is not, or a number has another
 * identity key than before. */
int devicelist_follows(const struct devicelist *known, const struct devicelist *list);

#endif
