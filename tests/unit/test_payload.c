#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "bench/payload.h"

TestSuite(payload);

#define SEED UINT64_C(0x1234567890abcdef)

static const struct payload sample = {.sent_ns = 987654321, .number = 42, .pair = 7, .direction = 1};

Test(payload, what_is_written_is_read) {
    for (size_t bytes = PAYLOAD_BYTES_MIN; bytes < PAYLOAD_BYTES_MIN + 40; bytes++) {
        uint8_t space[PAYLOAD_BYTES_MIN + 40 + 1];
        struct payload read;
        memset(space, 0xaa, sizeof(space));
        payload_write(space, bytes, SEED, &sample);
        cr_assert_eq(space[bytes], 0xaa, "%zu bytes: one more was written", bytes);
        cr_assert_eq(payload_read(space, bytes, SEED, &read), 0, "%zu bytes", bytes);
        cr_assert(read.sent_ns == sample.sent_ns && read.number == sample.number &&
                  read.pair == sample.pair && read.direction == sample.direction);
    }
}

Test(payload, any_bit_that_turns_is_seen) {
    uint8_t space[77];
    struct payload read;
    payload_write(space, sizeof(space), SEED, &sample);
    for (size_t bit = 0; bit < sizeof(space) * 8; bit++) {
        space[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_assert_eq(payload_read(space, sizeof(space), SEED, &read), -EBADMSG, "bit %zu", bit);
        space[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    cr_assert_eq(payload_read(space, sizeof(space), SEED, &read), 0);
}

Test(payload, a_shorter_or_longer_one_is_seen) {
    uint8_t space[100] = {0};
    struct payload read;
    payload_write(space, 80, SEED, &sample);
    for (size_t bytes = 0; bytes <= sizeof(space); bytes++)
        cr_assert_eq(payload_read(space, bytes, SEED, &read), bytes == 80 ? 0 : -EBADMSG, "%zu bytes", bytes);
}

Test(payload, one_of_another_run_is_seen) {
    uint8_t space[200];
    struct payload read;
    payload_write(space, sizeof(space), SEED + 1, &sample);
    cr_assert_eq(payload_read(space, sizeof(space), SEED, &read), -EBADMSG);
}
