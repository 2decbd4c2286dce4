#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/account.h"
#include "tests/sim/admin.h"
#include "tests/sim/client.h"
#include "tests/sim/device.h"
#include "tests/sim/dump.h"
#include "tests/sim/house.h"
#include "tests/sim/keyring.h"
#include "tests/sim/limits.h"
#include "tests/sim/nemesis.h"
#include "tests/sim/network.h"
#include "tests/sim/oracle.h"
#include "tests/sim/people.h"
#include "tests/sim/store_disk.h"

#define SETUP_MS_MAX 60000
#define QUIET_MS_MAX 1800000 /* a world that is left alone for half an hour has nothing left to do */
#define QUIET_FINE_MS 60000
#define QUIET_STEP_MS 40
#define QUIET_STEP_LATE_MS 200
#define TURN_MS 10
#define SEARCH_STEPS 32 /* the store is searched for texts */
#define AFTER_STEPS 20  /* and does not begin anew */

struct sim sim;

uint64_t sim_random(void) {
    sim.state += 0x9e3779b97f4a7c15u;
    return account_hash(sim.state);
}

uint64_t sim_below(uint64_t limit) {
    return limit ? sim_random() % limit : 0;
}

bool sim_chance(unsigned per_mille) {
    return per_mille && sim_random() % 1000 < per_mille;
}

uint64_t sim_utc_ms(void) {
    return SIM_UTC_BEGIN_MS + sim.now_ms + (uint64_t)sim.utc_shift_ms;
}

void sim_fail(const char *format, ...) {
    if (sim.error[0])
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sim.error, sizeof(sim.error), format, arguments);
    va_end(arguments);
    TRACE("FAILED");
}

bool sim_failed(void) {
    return sim.error[0] != '\0';
}

static void hash(uint64_t value) {
    sim.hash = (sim.hash ^ value) * 0x100000001b3u;
    sim.hash ^= sim.hash >> 29;
}

void sim_trace(const char *format, uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
    uint64_t front = 0;
    memcpy(&front, format, strnlen(format, sizeof(front)));
    hash(front ^ sim.now_ms);
    hash(a);
    hash(b);
    hash(c);
    hash(d);
    if (!sim.tracing)
        return;
    printf("%8llu.%03llu  ", (unsigned long long)(sim.now_ms / 1000),
           (unsigned long long)(sim.now_ms % 1000));
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-extra-args"
    /* cppcheck-suppress wrongPrintfScanfArgNum */
    printf(format, (unsigned long long)a, (unsigned long long)b, (unsigned long long)c,
           (unsigned long long)d);
#pragma GCC diagnostic pop
    putchar('\n');
}

/* --- a seed --------------------------------------------------------------------------------------------- */

static void step(uint32_t step_ms) {
    sim.now_ms += 1 + sim_below(step_ms);
    sim.counts.steps++;
    /* Threads turn many times in so long a time: else a tiny lane or window would make the world slow, not
     * just tight. */
    for (uint32_t turn = 0; turn < step_ms / TURN_MS; turn++)
        house_step();
    house_step();
    admin_step();
    for (uint32_t i = 0; i < SIM_DEVICES_MAX; i++) {
        if (client_exists(i))
            client_step(i);
    }
    limits_check();
    if (sim.counts.steps % SEARCH_STEPS == 0)
        store_disk_search();
}

static bool all_online(void) {
    for (uint32_t i = 0; i < SIM_DEVICES_MAX; i++) {
        if (client_exists(i) && !client_revoked(i) && !client_online(i))
            return false;
    }
    return true;
}

static void come_all(void) {
    for (uint32_t i = 0; i < SIM_DEVICES_MAX; i++) {
        if (client_exists(i) && !client_revoked(i) && client_link(i) == NETWORK_NONE && sim_chance(300))
            client_connect(i);
    }
}

static void step_of_setup(void) {
    step(sim.plan.step_ms);
    if (sim.now_ms > SETUP_MS_MAX)
        sim_fail("accounts and devices could not be made");
}

/* Accounts and their first devices, undisturbed. */
static void set_up(void) {
    uint32_t device = 0;
    house_start(sim.plan.shards);
    for (uint32_t account = 0; account < sim.plan.accounts; account++)
        admin_want_account(account + 1);
    while (!sim_failed() && !admin_idle())
        step_of_setup();
    for (uint32_t account = 0; account < sim.plan.accounts; account++) {
        for (uint32_t i = 0; i < sim.plan.devices[account]; i++) {
            client_make(device, account + 1);
            admin_want_device(device++);
        }
    }
    while (!sim_failed() && (!all_online() || !admin_idle() || !keyring_is_settled())) {
        come_all();
        step_of_setup();
    }
}

static void be_busy(void) {
    sim.quiet = false;
    for (uint32_t i = 0; i < sim.plan.steps && !sim_failed(); i++) {
        people_step();
        nemesis_step();
        step(sim.plan.step_ms);
    }
}

/* NULL: nothing is left to do in the world; else what is. */
static const char *unrest(void) {
    if (!house.up)
        return "the switch is down";
    if (!all_online())
        return "not everybody is online";
    if (!admin_idle())
        return "the administrator waits";
    if (!keyring_is_settled())
        return "a device can't be reached";
    if (!oracle_content())
        return "messages have no tick";
    for (uint32_t i = 0; i < SIM_DEVICES_MAX; i++) {
        if (client_exists(i) && !client_revoked(i) && !client_idle(i))
            return "a device has something to say";
    }
    if (store_disk_queue_entries(NULL, 0) > 0)
        return "the store is not empty";
    return house_idle() ? NULL : "the switch is busy";
}

/* P2: nobody was away and nobody slow, so nothing went to the disk. */
static void check_calm(void) {
    uint64_t spilled = 0, puts = 0;
    for (uint32_t i = 0; i < house.shards; i++)
        spilled += stats_get(house_stats(i)->messages_spilled) + stats_get(house_stats(i)->receipts_spilled);
    for (uint32_t i = 0; i < house.stores; i++)
        puts += stats_get(house_store_stats(i)->store_puts);
    if (spilled || puts)
        sim_fail("P2: on a calm day %llu messages and receipts went to the store, %llu were put",
                 (unsigned long long)spilled, (unsigned long long)puts);
}

/* The world is left alone: it has to come to rest, with everything said. */
static void come_to_rest(void) {
    nemesis_stop();
    uint64_t until_ms = sim.now_ms + QUIET_MS_MAX;
    uint32_t rested = 0;
    while (!sim_failed() && rested < AFTER_STEPS && sim.now_ms < until_ms) {
        if (!house.up && sim.now_ms >= house.up_again_ms)
            house_start(sim.plan.shards);
        come_all();
        step(until_ms - sim.now_ms > QUIET_MS_MAX - QUIET_FINE_MS ? QUIET_STEP_MS : QUIET_STEP_LATE_MS);
        rested = unrest() ? 0 : rested + 1;
    }
    sight_show_copies();
    oracle_judge();
    if (rested < AFTER_STEPS && !sim_failed()) {
        char text[128] = "";
        uint64_t entries = store_disk_queue_entries(text, sizeof(text));
        sim_fail("the world does not come to rest: %s; %llu queue entries%s%s", unrest(),
                 (unsigned long long)entries, entries ? ", first " : "", text);
    }
}

static void dump_all(void) {
    dump_switch();
    for (uint32_t i = 0; i < SIM_DEVICES_MAX; i++) {
        if (client_exists(i))
            client_dump(i);
    }
}

bool sim_run(uint64_t seed, bool tracing) {
    memset(&sim, 0, sizeof(sim));
    sim.seed = seed;
    sim.state = account_hash(seed);
    sim.now_ms = 1000;
    sim.tracing = tracing;
    sim.quiet = true;
    plan_draw(&sim.plan);
    TRACE4("window %llu, unticked %llu, lane slots %llu, time to live %llu s",
           sim.plan.config.window_messages, sim.plan.config.unticked_max, sim.plan.lane_slots,
           sim.plan.config.ttl_s);
    store_disk_reset();
    network_reset();
    admin_reset();
    client_reset();
    oracle_reset();
    house_reset();
    set_up();
    be_busy();
    come_to_rest();
    if (sim.plan.calm)
        check_calm();
    if (tracing && sim_failed())
        dump_all();
    sim.counts.seeds = 1;
    sim.counts.simulated_ms = sim.now_ms;
    return !sim_failed();
}
