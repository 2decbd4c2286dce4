/* The store's clocks. A simulator supplies its own. */
#include <time.h>

#include "storage/environment.h"

static uint64_t clock_us(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

uint64_t store_now_us(void) {
    return clock_us(CLOCK_MONOTONIC);
}

uint64_t store_now_ms(void) {
    return clock_us(CLOCK_MONOTONIC) / 1000;
}

uint64_t store_utc_ms(void) {
    return clock_us(CLOCK_REALTIME) / 1000;
}
