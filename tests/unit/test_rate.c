#include <criterion/criterion.h>

#include "core/rate.h"

/* What is let through in so many milliseconds, asked for as often as it goes every step_ms. */
static uint64_t through(uint64_t per_s, uint64_t amount, uint64_t run_ms, uint64_t step_ms) {
    struct rate rate = {0};
    uint64_t taken = 0;
    for (uint64_t now_ms = 5000; now_ms < 5000 + run_ms; now_ms += step_ms) {
        while (rate_admits(&rate, per_s, now_ms)) {
            rate_take(&rate, per_s, amount);
            taken += amount;
        }
    }
    return taken;
}

/* And the burst at the beginning, and the one that is on its way. */
Test(rate, nobody_gets_more_and_who_asks_always_gets_all) {
    static const uint64_t rates[] = {1, 3, 50, 999, 1000, 40000, 1000000}, steps[] = {1, 7, 50, 240};
    static const uint64_t amounts[] = {1, 100, 65000};
    for (int i = 0; i < 7; i++) {
        for (int j = 0; j < 4; j++) {
            for (int k = 0; k < 3; k++) {
                uint64_t taken = through(rates[i], amounts[k], 100000, steps[j]);
                cr_expect_leq(taken, rates[i] * 101 + amounts[k], "%d %d %d: %lu", i, j, k, taken);
                cr_expect_geq(taken * 10, rates[i] * 100 * 9, "%d %d %d: %lu", i, j, k, taken);
            }
        }
    }
}

Test(rate, zero_is_no_limit) {
    struct rate rate = {0};
    for (int i = 0; i < 1000; i++) {
        cr_expect(rate_admits(&rate, 0, 1));
        rate_take(&rate, 0, 1000000);
    }
    cr_expect(rate_admits(&rate, 1, 2000), "and none is owed when one is set");
}

Test(rate, waiting_long_fills_one_bucket) {
    struct rate rate = {0};
    cr_expect(rate_admits(&rate, 10, 5000));
    rate_take(&rate, 10, 3);
    cr_expect(!rate_admits(&rate, 10, 5000));
    cr_expect(rate_admits(&rate, 10, UINT64_C(5000) + 86400000));
    cr_expect_eq(rate.tokens, 3);
    rate_take(&rate, 10, 1003);
    cr_expect(!rate_admits(&rate, 10, UINT64_C(5000) + 86400000 + 99000), "what was too much is paid off");
    cr_expect(rate_admits(&rate, 10, UINT64_C(5000) + 86400000 + 101000));
}

Test(rate, who_finds_it_empty_learns_when_it_is_full) {
    static const uint64_t rates[] = {1, 3, 50, 999, 262144};
    for (int i = 0; i < 5; i++) {
        struct rate rate = {0};
        for (uint64_t now_ms = 5000; now_ms < 50000; now_ms = rate_full_ms(&rate, rates[i])) {
            cr_assert(rate_admits(&rate, rates[i], now_ms));
            cr_expect_eq(rate.tokens, (int64_t)(rates[i] + RATE_PART - 1) / RATE_PART, "%lu", rates[i]);
            rate_take(&rate, rates[i], (uint64_t)rate.tokens + 20 * (rates[i] > 100));
            cr_assert(!rate_admits(&rate, rates[i], now_ms));
            cr_assert_gt(rate_full_ms(&rate, rates[i]), now_ms);
        }
    }
}
