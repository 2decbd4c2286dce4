#include "bench/histogram.h"

#include <math.h>
#include <string.h>

#define PARTS (1u << HISTOGRAM_PART_BITS)

void histogram_init(struct histogram *histogram) {
    memset(histogram, 0, sizeof(*histogram));
    histogram->min = UINT64_MAX;
}

/* Below 2 * PARTS a value is its own bucket; above, the PART_BITS after its highest bit choose one. */
static uint32_t bucket_index(uint64_t value) {
    if (value < PARTS)
        return (uint32_t)value;
    uint32_t shift = 63u - (uint32_t)__builtin_clzll(value) - HISTOGRAM_PART_BITS;
    return shift * PARTS + (uint32_t)(value >> shift);
}

/* The largest value that falls into the bucket. For the last one the shift wraps to zero, as it has to. */
static uint64_t bucket_highest(uint32_t index) {
    if (index < PARTS)
        return index;
    uint32_t shift = index / PARTS - 1;
    uint64_t part = index - shift * PARTS;
    return ((part + 1) << shift) - 1;
}

void histogram_record(struct histogram *histogram, uint64_t value) {
    histogram->buckets[bucket_index(value)]++;
    histogram->count++;
    histogram->sum += (double)value;
    if (value > histogram->max)
        histogram->max = value;
    if (value < histogram->min)
        histogram->min = value;
}

void histogram_merge(struct histogram *histogram, const struct histogram *other) {
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        histogram->buckets[i] += other->buckets[i];
    histogram->count += other->count;
    histogram->sum += other->sum;
    if (other->max > histogram->max)
        histogram->max = other->max;
    if (other->min < histogram->min)
        histogram->min = other->min;
}

uint64_t histogram_percentile(const struct histogram *histogram, double percent) {
    if (histogram->count == 0)
        return 0;
    double wanted = ceil((double)histogram->count * percent / 100.0);
    uint64_t rank = wanted < 1 ? 1 : (uint64_t)wanted;
    uint64_t seen = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen >= rank)
            return bucket_highest(i) < histogram->max ? bucket_highest(i) : histogram->max;
    }
    return histogram->max;
}

double histogram_mean(const struct histogram *histogram) {
    return histogram->count ? histogram->sum / (double)histogram->count : 0;
}
