#include <criterion/criterion.h>
#include <stdlib.h>

#include "core/timer.h"

TestSuite(timer, .timeout = 20);

#define START_MS 1000003

static struct timer_wheel wheel;

Test(timer, fires_at_its_time_and_at_most_a_tick_later) {
    for (uint64_t delay_ms = 0; delay_ms < 40000; delay_ms += 37) {
        struct timer timer = {0};
        uint64_t now_ms = START_MS, fired_ms = 0;
        timer_wheel_init(&wheel, now_ms);
        timer_start(&wheel, &timer, START_MS + delay_ms);
        for (; !fired_ms && now_ms < START_MS + delay_ms + 1000; now_ms++) {
            if (timer_due(&wheel, now_ms) == &timer)
                fired_ms = now_ms;
        }
        cr_assert_geq(fired_ms, START_MS + delay_ms);
        cr_assert_lt(fired_ms, START_MS + delay_ms + 2 * TIMER_TICK_MS, "%u ms late",
                     (unsigned)(fired_ms - START_MS - delay_ms));
        cr_assert_eq(wheel.running, 0);
    }
}

Test(timer, a_stopped_timer_never_fires_and_stopping_twice_is_harmless) {
    struct timer timers[3] = {0};
    timer_wheel_init(&wheel, START_MS);
    for (int i = 0; i < 3; i++)
        timer_start(&wheel, &timers[i], START_MS + 100);
    timer_stop(&wheel, &timers[1]);
    timer_stop(&wheel, &timers[1]);
    cr_expect_eq(timer_due(&wheel, START_MS + 200), &timers[0]);
    cr_expect_eq(timer_due(&wheel, START_MS + 200), &timers[2]);
    cr_expect_null(timer_due(&wheel, START_MS + 20000));
    cr_expect_eq(timer_next_ms(&wheel), UINT64_MAX);
}

Test(timer, starting_a_running_timer_moves_it) {
    struct timer timer = {0};
    timer_wheel_init(&wheel, START_MS);
    timer_start(&wheel, &timer, START_MS + 50);
    timer_start(&wheel, &timer, START_MS + 20000);
    cr_expect_null(timer_due(&wheel, START_MS + 10000));
    cr_expect_eq(timer_due(&wheel, START_MS + 20016), &timer);
}

Test(timer, a_timer_of_a_later_round_waits_for_it) {
    const uint64_t round_ms = (uint64_t)TIMER_SLOTS * TIMER_TICK_MS;
    struct timer early = {0}, late = {0};
    timer_wheel_init(&wheel, START_MS);
    timer_start(&wheel, &late, START_MS + 3 * round_ms + 64);
    timer_start(&wheel, &early, START_MS + 64);
    cr_expect_eq(timer_due(&wheel, START_MS + 100), &early);
    for (uint64_t now_ms = START_MS + 100; now_ms < START_MS + 3 * round_ms + 64; now_ms += 100)
        cr_assert_null(timer_due(&wheel, now_ms));
    cr_expect_eq(timer_due(&wheel, START_MS + 3 * round_ms + 96), &late);
}

Test(timer, a_long_sleep_misses_nothing) {
    enum { TIMERS = 3000 };
    static struct timer timers[TIMERS];
    uint32_t fired = 0;
    timer_wheel_init(&wheel, START_MS);
    for (uint32_t i = 0; i < TIMERS; i++)
        timer_start(&wheel, &timers[i], START_MS + i * 10);
    while (timer_due(&wheel, START_MS + 1000000))
        fired++;
    cr_expect_eq(fired, TIMERS);
}

/* Whoever sleeps until timer_next_ms misses none by more than a tick, and does not spin. */
Test(timer, sleeping_until_the_next_is_enough) {
    enum { TIMERS = 200 };
    static struct timer timers[TIMERS];
    uint32_t fired = 0, wakes = 0;
    srand(7);
    timer_wheel_init(&wheel, START_MS);
    for (uint32_t i = 0; i < TIMERS; i++)
        timer_start(&wheel, &timers[i], START_MS + (uint64_t)(rand() % 30000));
    for (uint64_t now_ms = START_MS; wheel.running; wakes++) {
        struct timer *timer;
        while ((timer = timer_due(&wheel, now_ms))) {
            fired++;
            cr_assert_leq(now_ms, timer->due_ms + 2 * TIMER_TICK_MS);
        }
        uint64_t next_ms = timer_next_ms(&wheel);
        cr_assert(wheel.running == 0 || next_ms > now_ms);
        now_ms = next_ms;
    }
    cr_expect_eq(fired, TIMERS);
    cr_expect_lt(wakes, 4 * TIMERS);
}
