#include "core/rate.h"

#define MS_PER_S 1000u
#define PASSED_MS_MAX 3600000u /* what is reckoned at once; with the largest rate, it fits 64 bits */

/* What a bucket holds. */
static int64_t most(uint64_t per_s) {
    return (int64_t)((per_s + RATE_PART - 1) / RATE_PART);
}

void rate_fill(struct rate *rate, uint64_t per_s, uint64_t now_ms) {
    uint64_t passed_ms = rate->filled_ms ? now_ms - rate->filled_ms : MS_PER_S;
    if (passed_ms > PASSED_MS_MAX)
        passed_ms = PASSED_MS_MAX;
    uint64_t more = passed_ms * per_s + rate->rest;
    rate->filled_ms = now_ms;
    rate->rest = (uint32_t)(more % MS_PER_S);
    rate->tokens += (int64_t)(more / MS_PER_S);
    if (rate->tokens > most(per_s))
        rate->tokens = most(per_s);
}

uint64_t rate_full_ms(const struct rate *rate, uint64_t per_s) {
    uint64_t missing = (uint64_t)(most(per_s) - rate->tokens) * MS_PER_S - rate->rest;
    return rate->filled_ms + (missing + per_s - 1) / per_s;
}
