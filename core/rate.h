/* core/rate.h: so much a second: a bucket of tokens that holds what a quarter of a second brings. Who finds
 * it empty waits. What is taken at once may be more than is left, and is paid off by waiting longer: so
 * nothing is too large to pass, and in the long run nobody gets more than the rate.
 *
 * Threads: the owner's.  Memory: the caller's; all zero is a bucket that is full when it is first asked. */
#ifndef TERN_CORE_RATE_H
#define TERN_CORE_RATE_H

#include <stdbool.h>
#include <stdint.h>

#define RATE_PART 4 /* of a second */

struct rate {
    int64_t tokens;
    uint64_t filled_ms; /* reckoned up to here; 0: never */
    uint32_t rest;      /* thousandths of a token beyond */
};

void rate_fill(struct rate *rate, uint64_t per_s, uint64_t now_ms);

/* per_s 0: no limit. False: nothing is left now. Reckons only then, so that a message costs no division. */
static inline bool rate_admits(struct rate *rate, uint64_t per_s, uint64_t now_ms) {
    if (per_s == 0)
        return true;
    if (rate->tokens <= 0)
        rate_fill(rate, per_s, now_ms);
    return rate->tokens > 0;
}

/* When one that was found empty is full again, a monotonic time in ms: who goes on then has something to say,
 * and costs others little. per_s: not 0. */
uint64_t rate_full_ms(const struct rate *rate, uint64_t per_s);

static inline void rate_take(struct rate *rate, uint64_t per_s, uint64_t amount) {
    if (per_s)
        rate->tokens -= (int64_t)amount;
}

#endif
