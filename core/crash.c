#include "core/crash.h"

_Static_assert(CRASH_POINT_COUNT > 0, "the points");

#ifdef TERN_CRASH_POINTS
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HESITATION_NS 100000000L

#define X(name, passes, moment) #name,
static const char *const names[] = {CRASH_POINTS(X) CRASH_CLIENT_POINTS(X)};
#undef X

/* The environment is the same all the time; who asks it first or twice finds the same. */
void crash_pass(enum crash_point point) {
    static _Atomic long left = LONG_MIN; /* not asked yet */
    const char *chosen = getenv("TERN_CRASH");
    size_t bytes = strlen(names[point]);
    if (!chosen || strncmp(chosen, names[point], bytes) != 0 || chosen[bytes] != ':')
        return;
    long unknown = LONG_MIN;
    atomic_compare_exchange_strong(&left, &unknown, strtol(chosen + bytes + 1, NULL, 10));
    if (atomic_fetch_sub(&left, 1) != 1)
        return;
    /* Every other time this thread alone stops at first: what the others let out too early gets out. */
    if (strtol(chosen + bytes + 1, NULL, 10) % 2)
        nanosleep(&(struct timespec){.tv_nsec = HESITATION_NS}, NULL);
    _Exit(CRASH_STATUS); /* every thread, at once, nothing is flushed */
}
#endif
