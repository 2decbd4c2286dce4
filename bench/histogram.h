/* bench/histogram.h: counts values in buckets that grow with the value, so that a percentile of any size is
 * known to within 1/128, at the price of one increment a value.
 *
 * The buckets are those of HdrHistogram (Gil Tene): every power of two is cut into 128 equal parts.
 *
 * Threads: one at a time.  Memory: the caller's, 58 KiB, no allocation. */
#ifndef TERN_BENCH_HISTOGRAM_H
#define TERN_BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_PART_BITS 7
#define HISTOGRAM_BUCKETS ((64u - HISTOGRAM_PART_BITS + 1) << HISTOGRAM_PART_BITS)

struct histogram {
    uint64_t count;
    uint64_t min, max; /* exact; min is UINT64_MAX while there is none */
    double sum;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_init(struct histogram *histogram);
void histogram_record(struct histogram *histogram, uint64_t value);
/* Adds what the other one has counted. */
void histogram_merge(struct histogram *histogram, const struct histogram *other);
/* The smallest bound below which at least `percent` (0 to 100) of the values lie, never above the largest
 * value, at most 1/128 too high; 0 while there are none. */
uint64_t histogram_percentile(const struct histogram *histogram, double percent);
double histogram_mean(const struct histogram *histogram);

#endif
