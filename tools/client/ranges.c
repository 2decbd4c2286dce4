#include "tools/client/ranges.h"

#include <errno.h>
#include <string.h>

#include "core/bytes.h"
#include "core/must.h"

struct range_key {
    uint8_t bytes[DISK_KEY_BYTES_MAX];
};

static struct disk_view key_of(struct range_key *key, struct disk_view set, uint64_t first) {
    must(set.bytes + sizeof(first) <= sizeof(key->bytes));
    memcpy(key->bytes, set.at, set.bytes);
    bytes_put64_be(key->bytes + set.bytes, first);
    return (struct disk_view){.at = key->bytes, .bytes = set.bytes + sizeof(first)};
}

/* -ENOENT where the record belongs to something else. */
static int read_range(struct disk_view set, struct disk_view key, struct disk_view value, uint64_t *ret_first,
                      uint64_t *ret_last) {
    if (key.bytes != set.bytes + sizeof(uint64_t) || memcmp(key.at, set.at, set.bytes) != 0)
        return -ENOENT;
    if (value.bytes != sizeof(uint64_t))
        return -EUCLEAN;
    uint64_t first = bytes_get64_be(key.at + set.bytes), last = bytes_get64(value.at);
    if (last < first)
        return -EUCLEAN;
    *ret_first = first;
    *ret_last = last;
    return 0;
}

/* The whole first range whose last number is >= from. */
static int find(struct vault *vault, struct disk_view set, uint64_t from, uint64_t *ret_first,
                uint64_t *ret_last) {
    struct range_key at;
    struct disk_view key, value, behind = key_of(&at, set, from);
    /* The range that starts at or below `from` may reach up to it. With a byte more the key comes right
     * behind. */
    must(behind.bytes < sizeof(at.bytes));
    at.bytes[behind.bytes++] = 0;
    int error = vault_seek_before(vault, behind, &key, &value);
    if (error == 0)
        error = read_range(set, key, value, ret_first, ret_last);
    if (error != -ENOENT && (error || *ret_last >= from))
        return error;
    error = vault_seek(vault, key_of(&at, set, from), &key, &value);
    return error ? error : read_range(set, key, value, ret_first, ret_last);
}

static int put(struct vault *vault, struct disk_view set, uint64_t first, uint64_t last) {
    struct range_key key;
    uint8_t value[sizeof(last)];
    bytes_put64(value, last);
    return vault_put(vault, key_of(&key, set, first),
                     (struct disk_view){.at = value, .bytes = sizeof(value)});
}

int ranges_add(struct vault *vault, struct disk_view set, uint64_t first, uint64_t last) {
    struct range_key key;
    for (;;) { /* takes in what overlaps or touches */
        uint64_t there_first, there_last;
        int error = find(vault, set, first ? first - 1 : 0, &there_first, &there_last);
        if (error == -ENOENT || (error == 0 && last < UINT64_MAX && there_first > last + 1))
            break;
        if (error)
            return error;
        if (there_first <= first && there_last >= last)
            return 0;
        error = vault_delete(vault, key_of(&key, set, there_first));
        if (error)
            return error;
        first = there_first < first ? there_first : first;
        last = there_last > last ? there_last : last;
    }
    return put(vault, set, first, last);
}

int ranges_remove(struct vault *vault, struct disk_view set, uint64_t first, uint64_t last) {
    struct range_key key;
    for (;;) {
        uint64_t there_first, there_last;
        int error = find(vault, set, first, &there_first, &there_last);
        if (error == -ENOENT || (error == 0 && there_first > last))
            return 0;
        if (error == 0)
            error = vault_delete(vault, key_of(&key, set, there_first));
        if (error == 0 && there_first < first)
            error = put(vault, set, there_first, first - 1);
        if (error == 0 && there_last > last)
            error = put(vault, set, last + 1, there_last);
        if (error)
            return error;
    }
}

int ranges_next(struct vault *vault, struct disk_view set, uint64_t from, uint64_t *ret_first,
                uint64_t *ret_last) {
    uint64_t first, last;
    int error = find(vault, set, from, &first, &last);
    if (error)
        return error;
    *ret_first = first < from ? from : first;
    *ret_last = last;
    return 0;
}

int ranges_count(struct vault *vault, struct disk_view set, uint64_t first, uint64_t last,
                 uint64_t *ret_count) {
    uint64_t count = 0;
    while (first <= last) {
        uint64_t there_first, there_last;
        int error = ranges_next(vault, set, first, &there_first, &there_last);
        if (error == -ENOENT || (error == 0 && there_first > last))
            break;
        if (error)
            return error;
        there_last = there_last < last ? there_last : last;
        count += there_last - there_first + 1;
        if (there_last == UINT64_MAX)
            break;
        first = there_last + 1;
    }
    *ret_count = count;
    return 0;
}
