#include "tools/client/e2e/devicelist.h"

#include <errno.h>
#include <string.h>

#include "core/bytes.h"
#include "core/must.h"

#define LAYOUT_VERSION 1
#define HEAD_BYTES (DEVICELIST_FIXED_BYTES - PRIMITIVE_SIGNATURE_BYTES)

/* What a signature covers: the label, then the list. */
static const char label[] = "tern device list";
#define LABEL_BYTES (sizeof(label) - 1)

struct covered {
    uint8_t bytes[LABEL_BYTES + DEVICELIST_BYTES_MAX];
    size_t used;
};

static void cover(struct covered *covered, const uint8_t *list, size_t count) {
    must(count <= DEVICELIST_BYTES_MAX);
    memcpy(covered->bytes, label, LABEL_BYTES);
    memcpy(covered->bytes + LABEL_BYTES, list, count);
    covered->used = LABEL_BYTES + count;
}

/* --- devices -------------------------------------------------------------------------------------------- */

const struct devicelist_device *devicelist_find(const struct devicelist *list, uint16_t number) {
    for (size_t i = 0; i < list->count; i++) {
        if (list->devices[i].number == number)
            return &list->devices[i];
    }
    return NULL;
}

int devicelist_add(struct devicelist *list, const struct devicelist_device *device) {
    size_t place = 0;
    if (device->number == 0)
        return -EINVAL;
    if (devicelist_find(list, device->number))
        return -EEXIST;
    if (list->count == DEVICELIST_DEVICES_MAX)
        return -ENOSPC;
    while (place < list->count && list->devices[place].number < device->number)
        place++;
    memmove(&list->devices[place + 1], &list->devices[place],
            (list->count - place) * sizeof(list->devices[0]));
    list->devices[place] = *device;
    list->count++;
    return 0;
}

int devicelist_remove(struct devicelist *list, uint16_t number) {
    const struct devicelist_device *device = devicelist_find(list, number);
    if (!device)
        return -ENOENT;
    size_t place = (size_t)(device - list->devices);
    memmove(&list->devices[place], &list->devices[place + 1],
            (list->count - place - 1u) * sizeof(list->devices[0]));
    list->count--;
    return 0;
}

/* --- bytes ---------------------------------------------------------------------------------------------- */

size_t devicelist_bytes(const struct devicelist *list) {
    return DEVICELIST_FIXED_BYTES + (size_t)list->count * DEVICELIST_DEVICE_BYTES;
}

size_t devicelist_sign(struct devicelist *list, const struct identity_keys *keys, uint8_t *ret_bytes) {
    struct covered covered;
    uint8_t *at = ret_bytes;
    memcpy(list->account_key, keys->public_key, IDENTITY_KEY_BYTES);
    bytes_put16(at, LAYOUT_VERSION);
    bytes_put64(at + 2, list->account);
    bytes_put64(at + 10, list->version);
    bytes_put64(at + 18, list->created_s);
    memcpy(at + 26, list->account_key, IDENTITY_KEY_BYTES);
    bytes_put16(at + 58, list->count);
    at += HEAD_BYTES;
    for (size_t i = 0; i < list->count; i++, at += DEVICELIST_DEVICE_BYTES) {
        bytes_put16(at, list->devices[i].number);
        bytes_put64(at + 2, list->devices[i].created_s);
        memcpy(at + 10, list->devices[i].identity, IDENTITY_KEY_BYTES);
    }
    cover(&covered, ret_bytes, (size_t)(at - ret_bytes));
    identity_sign(keys, covered.bytes, covered.used, at);
    return (size_t)(at + PRIMITIVE_SIGNATURE_BYTES - ret_bytes);
}

static int read_devices(struct devicelist *list, const uint8_t *at) {
    for (size_t i = 0; i < list->count; i++, at += DEVICELIST_DEVICE_BYTES) {
        struct devicelist_device *device = &list->devices[i];
        device->number = bytes_get16(at);
        device->created_s = bytes_get64(at + 2);
        memcpy(device->identity, at + 10, IDENTITY_KEY_BYTES);
        if (device->number <= (i ? list->devices[i - 1].number : 0))
            return -EBADMSG;
    }
    return 0;
}

int devicelist_read(struct devicelist *ret_list, uint64_t account, const uint8_t *account_key,
                    const uint8_t *bytes, size_t count) {
    struct devicelist list;
    struct covered covered;
    if (count >= 2 && bytes_get16(bytes) > LAYOUT_VERSION)
        return -EPROTO;
    if (count < DEVICELIST_FIXED_BYTES || bytes_get16(bytes) != LAYOUT_VERSION)
        return -EBADMSG;
    memset(&list, 0, sizeof(list));
    list.account = bytes_get64(bytes + 2);
    list.version = bytes_get64(bytes + 10);
    list.created_s = bytes_get64(bytes + 18);
    memcpy(list.account_key, bytes + 26, IDENTITY_KEY_BYTES);
    list.count = bytes_get16(bytes + 58);
    if (list.account != account || list.version == 0 || list.count > DEVICELIST_DEVICES_MAX ||
        count != devicelist_bytes(&list) || read_devices(&list, bytes + HEAD_BYTES) < 0)
        return -EBADMSG;
    cover(&covered, bytes, count - PRIMITIVE_SIGNATURE_BYTES);
    int error = identity_verify(list.account_key, covered.bytes, covered.used,
                                bytes + count - PRIMITIVE_SIGNATURE_BYTES);
    if (error)
        return error;
    if (account_key && !primitive_equal(account_key, list.account_key, IDENTITY_KEY_BYTES))
        return -EKEYREVOKED;
    *ret_list = list;
    return 0;
}

static bool same_device(const struct devicelist_device *one, const struct devicelist_device *other) {
    return one->number == other->number && one->created_s == other->created_s &&
           primitive_equal(one->identity, other->identity, IDENTITY_KEY_BYTES);
}

int devicelist_follows(const struct devicelist *known, const struct devicelist *list) {
    if (list->version < known->version)
        return -ESTALE;
    bool is_same = list->created_s == known->created_s && list->count == known->count;
    for (size_t i = 0; i < list->count; i++) {
        const struct devicelist_device *before = devicelist_find(known, list->devices[i].number);
        if (before && !same_device(before, &list->devices[i]))
            return -EBADMSG;
        is_same = is_same && before;
    }
    return list->version == known->version && !is_same ? -EBADMSG : 0;
}
