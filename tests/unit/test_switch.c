/* The rules of the switch as a whole, with everything around it going wrong at random. TERN_SEEDS is how many
 * seeds a test runs, TERN_SEED where it begins: a failure names its seed. */
#include <criterion/criterion.h>

#include "tests/support/world_life.h"

#define SEEDS 150
#define BUSY_STEPS 400
#define QUIET_STEPS 40000
#define QUIET_RECONNECT_STEPS                                                                                \
    500 /* all come again then, and after twice as many: they repeat what is unconfirmed */

TestSuite(switch, .timeout = 36000);

static void trouble(struct world_device *device, uint64_t to) {
    unsigned troubles = world.troubles;
    if ((troubles & WORLD_FULL_STORE) && world_chance(2))
        world.store_full = !world.store_full;
    if ((troubles & WORLD_CRASHES) && world_chance(1))
        world_crash();
    if ((troubles & WORLD_DEVICES_CHANGE) && world_chance(1) && world.device_count < WORLD_DEVICES_MAX)
        world_add_device(to)->late = true;
    if ((troubles & WORLD_DEVICES_CHANGE) && world_random() % 200 == 0)
        world_revoke(device);
    if ((troubles & WORLD_GIVES_UP) && world_random() % 300 == 0)
        world_purge(device);
    if ((troubles & WORLD_GIVES_UP) && world_random() % 100 == 0)
        world_send_block(device, to, world_chance(50));
}

static void live(void) {
    for (uint32_t step = 0; step < BUSY_STEPS && !world.error[0]; step++) {
        struct world_device *device = &world.devices[world_random() % world.device_count];
        uint64_t to = 1 + world_random() % world.account_count;
        if (device->shard < 0 && world_chance(20))
            world_connect(device);
        else if (world_chance(3))
            world_cut(device);
        if (world_chance(3))
            device->stalled = !device->stalled;
        if (world_chance(40) && !device->revoked) {
            for (uint64_t burst = world_random() % 5; burst > 0; burst--)
                world_send_new(device, to);
        }
        trouble(device, to);
        world_step(30);
    }
}

/* The last word on a message has come: delivered, failed or refused. A purge takes receipts that waited,
 * too. */
static bool is_told(const struct world_device *device, uint64_t to, uint64_t n) {
    uint8_t ticks = device->ticks[device - world.devices][to][n];
    const uint8_t both = RECEIPT_SENT | RECEIPT_DELIVERED;
    if (device->purged && (ticks & RECEIPT_SENT))
        return true;
    return (ticks & both) == both || (ticks & RECEIPT_FAILED) || device->facts[to][n].refused;
}

static bool all_is_told(const struct world_device *device) {
    for (uint64_t to = 1; to <= world.account_count; to++) {
        for (uint64_t n = 1; n < device->next[to]; n++) {
            if (!is_told(device, to, n))
                return false;
        }
    }
    for (uint32_t from = 0; from < world.device_count; from++) {
        for (uint64_t n = 1; n < WORLD_NUMBERS_MAX; n++) {
            if (device->unconfirmed[from][n])
                return false;
        }
    }
    return true;
}

static bool everything_is_told(void) {
    for (uint32_t i = 0; i < world.device_count; i++) {
        if (!world.devices[i].revoked && !all_is_told(&world.devices[i]))
            return false;
    }
    return world.store.count == 0;
}

static void settle(void) {
    world.store_full = false;
    for (uint32_t i = 0; i < world.device_count; i++)
        world.devices[i].stalled = false;
    uint32_t reconnect = QUIET_RECONNECT_STEPS;
    for (uint32_t step = 1; step < QUIET_STEPS && !world.error[0]; step++) {
        for (uint32_t i = 0; i < world.device_count; i++) {
            if (step == reconnect)
                world_cut(&world.devices[i]);
            if (world.devices[i].shard < 0 && world_chance(30))
                world_connect(&world.devices[i]);
        }
        if (step == reconnect)
            reconnect *= 2;
        world_step(60);
        if (everything_is_told() && world_is_idle())
            return;
    }
}

static void check_message(uint32_t from, uint64_t to, uint64_t n) {
    const struct world_device *sender = &world.devices[from];
    uint8_t ticks = sender->ticks[from][to][n];
    if (!is_told(sender, to, n))
        world_fail("message %llu of device index %u to %llu has ticks %u", (unsigned long long)n, from,
                   (unsigned long long)to, ticks);
    bool may_fail = world.troubles & (WORLD_GIVES_UP | WORLD_DEVICES_CHANGE);
    if ((ticks & RECEIPT_FAILED) && !may_fail)
        world_fail("message %llu of device index %u to %llu failed", (unsigned long long)n, from,
                   (unsigned long long)to);
    /* Who told of delivered or read may be revoked by now, and can't repeat it after a crash. */
    uint8_t known = world.troubles & WORLD_DEVICES_CHANGE ? RECEIPT_SENT : 7;
    bool all_know = !sender->purged && !sender->facts[to][n].refused && !(ticks & RECEIPT_FAILED);
    for (uint32_t d = 0; d < world.device_count; d++) {
        const struct world_device *other = &world.devices[d];
        bool knows = other->account == sender->account && !other->revoked && !other->late && !other->purged;
        bool told = other->ticks[from][to][n] & (RECEIPT_FAILED | RECEIPT_DELIVERED);
        if (sender->facts[to][n].refused && to != sender->account && d != from && knows && !told)
            world_fail("message %llu of device index %u to %llu was refused, device index %u was not told",
                       (unsigned long long)n, from, (unsigned long long)to, d);
        if (all_know && knows && (other->ticks[from][to][n] & known) != (ticks & known))
            world_fail("of message %llu of device index %u to %llu, device index %u knows %u instead of %u",
                       (unsigned long long)n, from, (unsigned long long)to, d, other->ticks[from][to][n],
                       ticks);
        if (other->skipped[from][to][n] && !other->revoked && !world_is_given_up(other, from, to, n))
            world_fail("device index %u got a later message and never %llu of device index %u to %llu", d,
                       (unsigned long long)n, from, (unsigned long long)to);
        if (world_is_target(other, sender, to) && !world_is_excused(other, sender, to, n) &&
            !(ticks & RECEIPT_FAILED) && other->seen[from][to] < n)
            world_fail("device index %u never saw message %llu of device index %u to %llu", d,
                       (unsigned long long)n, from, (unsigned long long)to);
    }
}

static void check_all_arrived(void) {
    for (uint32_t i = 0; i < world.device_count; i++) {
        const struct world_device *device = &world.devices[i];
        for (uint64_t to = 1; to <= world.account_count && !device->revoked; to++) {
            for (uint64_t n = 1; n < device->next[to]; n++)
                check_message(i, to, n);
        }
        if (!device->revoked && !all_is_told(device))
            world_fail("device index %u has something unconfirmed", i);
    }
    if (world.store.count)
        world_fail("%zu entries stay in the store, first of account %llu device %u type %u",
                   world.store.count, (unsigned long long)world.store.entries[0].account,
                   world.store.entries[0].device, world.store.entries[0].frame[2]);
}

static uint64_t setting(const char *name, uint64_t fallback) {
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : fallback;
}

static void run(uint64_t first, unsigned troubles) {
    first = setting("TERN_SEED", first);
    uint64_t seeds = setting("TERN_SEEDS", SEEDS);
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        world_begin(seed, troubles);
        live();
        settle();
        check_all_arrived();
        cr_assert(world.error[0] == '\0', "seed %llu: %s", (unsigned long long)seed, world.error);
        world_end();
        cr_assert(world.error[0] == '\0', "seed %llu, drained: %s", (unsigned long long)seed, world.error);
    }
}

Test(switch, messages_arrive_once_in_order_and_every_tick_comes) {
    run(1, 0);
}

Test(switch, a_crash_loses_nothing_that_was_ticked) {
    run(1000, WORLD_CRASHES);
}

Test(switch, a_full_store_refuses_and_nothing_is_lost_or_reordered) {
    run(2000, WORLD_FULL_STORE);
}

Test(switch, crashes_and_a_full_store_together) {
    run(3000, WORLD_CRASHES | WORLD_FULL_STORE);
}

Test(switch, devices_are_linked_and_revoked_in_mid_flow) {
    run(4000, WORLD_DEVICES_CHANGE);
}

Test(switch, what_expires_or_is_purged_or_blocked_fails_and_the_rest_arrives) {
    run(5000, WORLD_GIVES_UP);
}

Test(switch, all_of_it_at_once) {
    run(6000, WORLD_CRASHES | WORLD_FULL_STORE | WORLD_DEVICES_CHANGE | WORLD_GIVES_UP);
}
