#include "bench/ticks.h"

#include <errno.h>
#include <stdlib.h>

#define TICKS_MIN 16u

void ticks_init(struct ticks *ticks, uint8_t wanted) {
    *ticks = (struct ticks){.low = 1, .next = 1, .wanted = wanted};
}

void ticks_fini(struct ticks *ticks) {
    free(ticks->ring);
    ticks->ring = NULL;
    ticks->capacity = 0;
    ticks->low = ticks->next;
}

static struct tick *slot(const struct ticks *ticks, uint64_t number) {
    return &ticks->ring[number & (ticks->capacity - 1)];
}

static int grow(struct ticks *ticks) {
    uint32_t capacity = ticks->capacity ? ticks->capacity * 2 : TICKS_MIN;
    if (capacity > TICKS_MAX)
        return -ENOSPC;
    struct tick *ring = calloc(capacity, sizeof(*ring));
    if (!ring)
        return -ENOMEM;
    for (uint64_t number = ticks->low; number < ticks->next; number++)
        ring[number & (capacity - 1)] = *slot(ticks, number);
    free(ticks->ring);
    ticks->ring = ring;
    ticks->capacity = capacity;
    return 0;
}

int ticks_add(struct ticks *ticks, uint64_t sent_ns) {
    if (ticks->next - ticks->low == ticks->capacity) {
        int error = grow(ticks);
        if (error)
            return error;
    }
    *slot(ticks, ticks->next) = (struct tick){.sent_ns = sent_ns};
    ticks->next++;
    return 0;
}

struct tick *ticks_find(const struct ticks *ticks, uint64_t number) {
    if (number < ticks->low || number >= ticks->next)
        return NULL;
    return slot(ticks, number);
}

void ticks_advance(struct ticks *ticks) {
    while (ticks->low < ticks->next && (slot(ticks, ticks->low)->bits & ticks->wanted) == ticks->wanted)
        ticks->low++;
}
