/* core/timer.h: a timer wheel: many timers, most of them stopped before they are due; starting and stopping
 * cost the same whatever their number.
 *
 * Threads: the shard's.  Memory: a timer is embedded in what it belongs to. */
#ifndef TERN_CORE_TIMER_H
#define TERN_CORE_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#define TIMER_TICK_MS 16
#define TIMER_SLOTS 512

struct timer {
    struct timer *next, *prev; /* NULL: not running */
    uint64_t due_ms;
};

struct timer_wheel {
    struct timer slots[TIMER_SLOTS]; /* list heads */
    uint64_t tick;                   /* the last one that was looked at */
    uint32_t running;
};

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ms);
/* due_ms: monotonic; fires in the first timer_due call at or after it, at most one tick late. Restarts a
 * running one. */
void timer_start(struct timer_wheel *wheel, struct timer *timer, uint64_t due_ms);
void timer_stop(struct timer_wheel *wheel, struct timer *timer);
/* Takes one due timer, stopped, or NULL when no more are due. */
struct timer *timer_due(struct timer_wheel *wheel, uint64_t now_ms);
/* When to look again at the latest; UINT64_MAX where no timer runs. */
uint64_t timer_next_ms(const struct timer_wheel *wheel);

#endif
