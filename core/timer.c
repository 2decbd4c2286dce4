#include "core/timer.h"

#include <stddef.h>

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ms) {
    for (uint32_t i = 0; i < TIMER_SLOTS; i++)
        wheel->slots[i].next = wheel->slots[i].prev = &wheel->slots[i];
    wheel->tick = now_ms / TIMER_TICK_MS;
    wheel->running = 0;
}

void timer_start(struct timer_wheel *wheel, struct timer *timer, uint64_t due_ms) {
    timer_stop(wheel, timer);
    uint64_t tick = (due_ms + TIMER_TICK_MS - 1) / TIMER_TICK_MS;
    if (tick <= wheel->tick)
        tick = wheel->tick + 1;
    struct timer *slot = &wheel->slots[tick % TIMER_SLOTS];
    timer->due_ms = due_ms;
    timer->next = slot;
    timer->prev = slot->prev;
    slot->prev->next = timer;
    slot->prev = timer;
    wheel->running++;
}

void timer_stop(struct timer_wheel *wheel, struct timer *timer) {
    if (!timer->next)
        return;
    timer->next->prev = timer->prev;
    timer->prev->next = timer->next;
    timer->next = timer->prev = NULL;
    wheel->running--;
}

/* A slot holds timers of several rounds of the wheel: those of a later round stay. */
static struct timer *due_in(struct timer *slot, uint64_t now_ms) {
    for (struct timer *timer = slot->next; timer != slot; timer = timer->next) {
        if (timer->due_ms <= now_ms)
            return timer;
    }
    return NULL;
}

struct timer *timer_due(struct timer_wheel *wheel, uint64_t now_ms) {
    uint64_t now_tick = now_ms / TIMER_TICK_MS;
    if (wheel->running == 0 || now_tick >= wheel->tick + TIMER_SLOTS)
        wheel->tick = wheel->running == 0 ? now_tick : now_tick - TIMER_SLOTS + 1;
    for (;;) {
        struct timer *timer = due_in(&wheel->slots[wheel->tick % TIMER_SLOTS], now_ms);
        if (timer) {
            timer_stop(wheel, timer);
            return timer;
        }
        if (wheel->tick >= now_tick)
            return NULL;
        wheel->tick++;
    }
}

uint64_t timer_next_ms(const struct timer_wheel *wheel) {
    if (wheel->running == 0)
        return UINT64_MAX;
    for (uint64_t tick = wheel->tick + 1; tick <= wheel->tick + TIMER_SLOTS; tick++) {
        const struct timer *slot = &wheel->slots[tick % TIMER_SLOTS];
        if (slot->next != slot)
            return tick * TIMER_TICK_MS;
    }
    return (wheel->tick + 1) * TIMER_TICK_MS;
}
