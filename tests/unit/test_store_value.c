#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "storage/value.h"

TestSuite(store_value);

static struct map_view view(const void *at, size_t bytes) {
    return (struct map_view){.at = at, .bytes = bytes};
}

Test(store_value, crc_is_castagnolis) {
    /* RFC 3720, appendix B.4. */
    uint8_t bytes[32] = {0};
    cr_assert_eq(value_crc(0, "123456789", 9), 0xe3069283u);
    cr_assert_eq(value_crc(0, bytes, sizeof(bytes)), 0x8a9136aau);
    memset(bytes, 0xff, sizeof(bytes));
    cr_assert_eq(value_crc(0, bytes, sizeof(bytes)), 0x62a8ab43u);
}

Test(store_value, crc_of_parts_is_that_of_the_whole) {
    uint32_t crc = value_crc(0, "12345", 5);
    cr_assert_eq(value_crc(crc, "6789", 4), 0xe3069283u);
}

Test(store_value, queue_keys_sort_by_account_device_and_number) {
    struct value_key keys[] = {value_key_queue(1, 2, 300), value_key_queue(1, 2, 301),
                               value_key_queue(1, 3, 1), value_key_queue(256, 1, 1),
                               value_key_queue(UINT64_MAX, 1, 1)};
    for (size_t i = 1; i < sizeof(keys) / sizeof(keys[0]); i++)
        cr_assert_lt(memcmp(keys[i - 1].bytes, keys[i].bytes, keys[i].used), 0);
    struct value_place place;
    cr_assert(value_key_read(value_key_view(&keys[1]), &place));
    cr_assert(place.account == 1 && place.device == 2 && place.seq == 301);
}

static size_t make_value(const struct value_key *key, uint8_t *space) {
    memset(space, 0, VALUE_QUEUE_BYTES);
    memcpy(space + VALUE_QUEUE_BYTES, "\6\0\4\0abcdef", 10);
    value_seal(value_key_view(key), VALUE_QUEUE, space, VALUE_QUEUE_BYTES + 10);
    return VALUE_QUEUE_BYTES + 10;
}

Test(store_value, any_flipped_bit_is_noticed) {
    struct value_key key = value_key_queue(5, 1, 9);
    struct value_queue entry;
    uint8_t space[64];
    size_t bytes = make_value(&key, space);
    cr_assert_eq(value_read_queue(value_key_view(&key), view(space, bytes), &entry), 0);
    cr_assert_eq(entry.frame_bytes, 10);
    for (size_t i = 0; i < bytes * 8; i++) {
        space[i / 8] ^= (uint8_t)(1u << (i % 8));
        cr_assert_neq(value_read_queue(value_key_view(&key), view(space, bytes), &entry), 0, "bit %zu", i);
        space[i / 8] ^= (uint8_t)(1u << (i % 8));
    }
}

Test(store_value, value_under_another_key_is_refused) {
    struct value_key key = value_key_queue(5, 1, 9), other = value_key_queue(5, 1, 10);
    struct value_queue entry;
    uint8_t space[64];
    size_t bytes = make_value(&key, space);
    cr_assert_eq(value_read_queue(value_key_view(&other), view(space, bytes), &entry), -EUCLEAN);
}

Test(store_value, newer_version_is_told_from_damage) {
    struct value_key key = value_key_queue(5, 1, 9);
    struct value_queue entry;
    uint8_t space[64];
    size_t bytes = make_value(&key, space);
    space[0] = VALUE_RUN_VERSION + 1;
    cr_assert_eq(value_read_queue(value_key_view(&key), view(space, bytes), &entry), -EPROTO);
}

Test(store_value, cut_value_is_refused_at_every_length) {
    struct value_key key = value_key_queue(5, 1, 9);
    struct value_queue entry;
    uint8_t space[64];
    size_t bytes = make_value(&key, space);
    for (size_t i = 0; i < bytes; i++) {
        cr_assert_eq(value_check(value_key_view(&key), view(space, i)), -EUCLEAN);
        cr_assert_eq(value_read_queue(value_key_view(&key), view(space, i), &entry), -EUCLEAN);
    }
}
