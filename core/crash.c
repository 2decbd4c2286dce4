#include "core/crash.h"

_Static_assert(CRASH_POINT_COUNT > 0, "the points");

#ifdef TERN_CRASH_POINTS
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define X(name, passes, moment) #name,
static const char *const names[] = {CRASH_POINTS(X) CRASH_CLIENT_POINTS(X)};
#undef X

/* The environment is the same all the time; who asks it first or twice finds the same. */
void crash_pass(enum crash_point point) {
    static _Atomic long left = -1; /* -1: not asked yet */
    const char *chosen = getenv("TERN_CRASH");
    size_t bytes = strlen(names[point]);
    if (!chosen || strncmp(chosen, names[point], bytes) != 0 || chosen[bytes] != ':')
        return;
    long unknown = -1;
    atomic_compare_exchange_strong(&left, &unknown, strtol(chosen + bytes + 1, NULL, 10));
    if (atomic_fetch_sub(&left, 1) == 1)
        _Exit(CRASH_STATUS); /* every thread, at once, nothing is flushed */
}
#endif
