#include <criterion/criterion.h>
#include <stdlib.h>

#include "bench/histogram.h"

TestSuite(histogram);

static struct histogram histogram, other;

Test(histogram, small_values_are_exact) {
    histogram_init(&histogram);
    for (uint64_t value = 1; value <= 100; value++)
        histogram_record(&histogram, value);
    cr_assert_eq(histogram_percentile(&histogram, 50), 50);
    cr_assert_eq(histogram_percentile(&histogram, 99), 99);
    cr_assert_eq(histogram_percentile(&histogram, 99.9), 100);
    cr_assert_eq(histogram_percentile(&histogram, 100), 100);
    cr_assert_eq(histogram_percentile(&histogram, 0), 1);
    cr_assert_eq(histogram.min, 1);
    cr_assert_float_eq(histogram_mean(&histogram), 50.5, 1e-9);
}

/* Every size of value, at its edges: what comes back is never too low and at most 1/128 too high. */
Test(histogram, a_value_of_any_size_comes_back_within_a_128th) {
    for (uint32_t bit = 0; bit < 64; bit++) {
        for (int64_t off = -1; off <= 1; off++) {
            uint64_t value = (UINT64_C(1) << bit) + (uint64_t)off;
            histogram_init(&histogram);
            histogram_record(&histogram, value);
            histogram_record(&histogram, UINT64_MAX); /* so that the largest value does not hide the bound */
            uint64_t bound = histogram_percentile(&histogram, 50);
            cr_assert_geq(bound, value, "2^%u%+d", bit, (int)off);
            cr_assert_leq(bound - value, value / 128, "2^%u%+d", bit, (int)off);
        }
    }
}

static int compare(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

Test(histogram, percentiles_agree_with_sorting) {
    enum { COUNT = 20000 };
    static uint64_t values[COUNT];
    uint64_t state = 12345;
    histogram_init(&histogram);
    for (uint32_t i = 0; i < COUNT; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        values[i] = (state >> 20) >> (state % 40);
        histogram_record(&histogram, values[i]);
    }
    qsort(values, COUNT, sizeof(values[0]), compare);
    static const double percents[] = {1, 10, 50, 90, 99, 99.9};
    for (size_t i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
        uint64_t exact = values[(size_t)(COUNT * percents[i] / 100.0) - 1];
        uint64_t bound = histogram_percentile(&histogram, percents[i]);
        cr_assert_geq(bound, exact, "p%g", percents[i]);
        cr_assert_leq(bound - exact, exact / 128, "p%g", percents[i]);
    }
}

Test(histogram, merging_counts_both) {
    histogram_init(&histogram);
    histogram_init(&other);
    histogram_record(&histogram, 10);
    histogram_record(&other, 5);
    histogram_record(&other, 1000000);
    histogram_merge(&histogram, &other);
    cr_assert_eq(histogram.count, 3);
    cr_assert_eq(histogram.min, 5);
    cr_assert_eq(histogram.max, 1000000);
    cr_assert_eq(histogram_percentile(&histogram, 100), 1000000);
    cr_assert_eq(histogram_percentile(&histogram, 50), 10);
}

Test(histogram, an_empty_one_says_zero) {
    histogram_init(&histogram);
    cr_assert_eq(histogram_percentile(&histogram, 99), 0);
    cr_assert_eq(histogram_mean(&histogram), 0);
}
