/* The rules of the switch as a whole, with everything around it going wrong at random. */
#include <criterion/criterion.h>

#include "tests/support/world.h"

#define SEEDS 150
#define BUSY_STEPS 400
#define QUIET_STEPS 40000

/* A crashed switch frees nothing. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "detect_leaks=0";
}

static void live(bool crashes, bool full_store) {
    for (uint32_t step = 0; step < BUSY_STEPS && !world.error[0]; step++) {
        struct world_device *device = &world.devices[world_random() % world.device_count];
        uint64_t to = 1 + world_random() % world.account_count;
        if (device->shard < 0 && world_chance(20))
            world_connect(device);
        else if (world_chance(3))
            world_cut(device);
        if (world_chance(3))
            device->stalled = !device->stalled;
        if (world_chance(40)) {
            for (uint64_t burst = world_random() % 5; burst > 0; burst--)
                world_send_new(device, to);
        }
        if (full_store && world_chance(2))
            world.store_full = !world.store_full;
        if (crashes && world_chance(1))
            world_crash();
        world_step(30);
    }
}

static bool everything_is_told(void) {
    for (uint32_t i = 0; i < world.device_count; i++) {
        const struct world_device *device = &world.devices[i];
        for (uint64_t to = 1; to <= world.account_count; to++) {
            for (uint64_t n = 1; n < device->next[to]; n++) {
                if ((device->ticks[to][n] & (RECEIPT_SENT | RECEIPT_DELIVERED)) != (RECEIPT_SENT | RECEIPT_DELIVERED))
                    return false;
            }
        }
    }
    return world.entry_count == 0;
}

static void settle(void) {
    world.store_full = false;
    for (uint32_t i = 0; i < world.device_count; i++)
        world.devices[i].stalled = false;
    for (uint32_t step = 0; step < QUIET_STEPS && !world.error[0]; step++) {
        for (uint32_t i = 0; i < world.device_count; i++) {
            if (world.devices[i].shard < 0 && world_chance(30))
                world_connect(&world.devices[i]);
        }
        world_step(60);
        if (everything_is_told())
            return;
    }
}

static void check_all_arrived(void) {
    for (uint32_t i = 0; i < world.device_count; i++) {
        const struct world_device *device = &world.devices[i];
        for (uint64_t to = 1; to <= world.account_count; to++) {
            for (uint64_t n = 1; n < device->next[to]; n++) {
                if ((device->ticks[to][n] & 3) != 3)
                    world_fail("message %llu of device index %u to %llu has ticks %u", (unsigned long long)n, i,
                               (unsigned long long)to, device->ticks[to][n]);
            }
            for (uint32_t d = 0; d < world.device_count; d++) {
                const struct world_device *target = &world.devices[d];
                bool wants = target->account == to || (target->account == device->account && target != device);
                if (wants && target->seen[i][to] + 1 != device->next[to])
                    world_fail("device index %u saw %llu of %llu from index %u to %llu", d,
                               (unsigned long long)target->seen[i][to], (unsigned long long)device->next[to] - 1, i,
                               (unsigned long long)to);
            }
        }
    }
    if (world.entry_count)
        world_fail("%zu entries stay in the store, first of account %llu device %u type %u", world.entry_count,
                   (unsigned long long)world.entries[0].account, world.entries[0].device, world.entries[0].frame[2]);
}

static void run(uint64_t first, bool crashes, bool full_store) {
    for (uint64_t seed = first; seed < first + SEEDS; seed++) {
        world_begin(seed);
        live(crashes, full_store);
        settle();
        check_all_arrived();
        cr_assert(world.error[0] == '\0', "seed %llu: %s", (unsigned long long)seed, world.error);
    }
}

Test(switch, messages_arrive_once_in_order_and_every_tick_comes) {
    run(1, false, false);
}

Test(switch, a_crash_loses_nothing_that_was_ticked) {
    run(1000, true, false);
}

Test(switch, a_full_store_refuses_and_nothing_is_lost_or_reordered) {
    run(2000, false, true);
}

Test(switch, crashes_and_a_full_store_together) {
    run(3000, true, true);
}
