#include <criterion/criterion.h>
#include <errno.h>

#include "bench/ticks.h"

TestSuite(ticks);

static void tick(struct ticks *ticks, uint64_t number, uint8_t bits) {
    struct tick *found = ticks_find(ticks, number);
    cr_assert_not_null(found, "number %lu", (unsigned long)number);
    found->bits |= bits;
    ticks_advance(ticks);
}

Test(ticks, numbers_begin_at_one_and_rise) {
    struct ticks ticks;
    ticks_init(&ticks, 3);
    cr_assert_null(ticks_find(&ticks, 0));
    cr_assert_null(ticks_find(&ticks, 1));
    for (uint64_t number = 1; number <= 100; number++) {
        cr_assert_eq(ticks.next, number);
        cr_assert_eq(ticks_add(&ticks, number * 10), 0);
    }
    for (uint64_t number = 1; number <= 100; number++)
        cr_assert_eq(ticks_find(&ticks, number)->sent_ns, number * 10, "grown without loss");
    ticks_fini(&ticks);
}

Test(ticks, low_rises_only_over_what_has_all_bits) {
    struct ticks ticks;
    ticks_init(&ticks, 3);
    for (int i = 0; i < 4; i++)
        ticks_add(&ticks, 1);
    tick(&ticks, 2, 3);
    cr_assert_eq(ticks.low, 1, "1 is still waited for");
    tick(&ticks, 1, 1);
    cr_assert_eq(ticks.low, 1, "one bit is not both");
    tick(&ticks, 1, 2);
    cr_assert_eq(ticks.low, 3);
    cr_assert_null(ticks_find(&ticks, 2), "what fell out is not found any more");
    tick(&ticks, 3, 3);
    tick(&ticks, 4, 7);
    cr_assert_eq(ticks.low, ticks.next);
    ticks_fini(&ticks);
}

Test(ticks, a_ring_that_goes_round_keeps_its_numbers) {
    struct ticks ticks;
    ticks_init(&ticks, 1);
    for (uint64_t number = 1; number <= 10000; number++) {
        cr_assert_eq(ticks_add(&ticks, number), 0);
        if (number <= 20) /* so that the ring wraps, and grows while it is wrapped */
            continue;
        cr_assert_eq(ticks_find(&ticks, number - 20)->sent_ns, number - 20);
        tick(&ticks, number - 20, 1);
    }
    cr_assert_eq(ticks.next - ticks.low, 20);
    cr_assert_eq(ticks.capacity, 32);
    ticks_fini(&ticks);
}

Test(ticks, a_full_ring_refuses) {
    struct ticks ticks;
    ticks_init(&ticks, 1);
    for (uint32_t i = 0; i < TICKS_MAX; i++)
        cr_assert_eq(ticks_add(&ticks, i), 0);
    cr_assert_eq(ticks_add(&ticks, 0), -ENOSPC);
    tick(&ticks, 1, 1);
    cr_assert_eq(ticks_add(&ticks, 77), 0);
    cr_assert_eq(ticks_find(&ticks, TICKS_MAX + 1)->sent_ns, 77);
    ticks_fini(&ticks);
}
