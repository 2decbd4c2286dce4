#include "tests/sim/house.h"

#include <stdio.h>
#include <string.h>

#include "core/must.h"
#include "core/stats.h"
#include "storage/environment.h"
#include "tests/sim/admin.h"
#include "tests/sim/machine.h"
#include "tests/sim/network.h"
#include "tests/sim/sim.h"
#include "tests/sim/store_disk.h"

#define DOWN_MS_MAX 3000
#define SLOW_MS_MAX 4000
#define PARTIES_MAX (SIM_SHARDS_MAX + SIM_STORES_MAX + 1)

struct house house;

static struct {
    bool drowsy; /* its turn is over, and it has not set its flag yet: others run in between */
    bool sleeping, rung;
    uint64_t next_ms, slow_until_ms;
} threads[PARTIES_MAX];
static struct stats shard_stats[SIM_SHARDS_MAX], store_stats[SIM_STORES_MAX];

static void ring(void *context, uint32_t party) {
    (void)context;
    threads[party].rung = true;
}

void house_reset(void) {
    memset(&house, 0, sizeof(house));
    machine_reset();
}

bool house_effect(void) {
    if (house.doom && --house.doom == 0)
        house.dying = true;
    return !house.dying;
}

void house_doom(uint64_t effects) {
    if (!house.up)
        return;
    house.doom = effects;
    if (effects == 0)
        house.dying = true;
}

/* --- start and end -------------------------------------------------------------------------------------- */

static void down(void) {
    house.up = house.dying = house.draining = house.stopping = false;
    house.doom = 0;
    house.lanes = NULL;
    house.store = NULL;
    memset(house.shard, 0, sizeof(house.shard));
    house.up_again_ms = sim.now_ms + sim_below(sim.quiet ? 10 : DOWN_MS_MAX);
}

/* Its memory is gone: nothing is freed, as nothing of it may be trusted any more. */
static void crash(void) {
    TRACE("the switch is dead");
    for (uint32_t i = 0; i < house.shards; i++)
        sim.counts.spilled += stats_get(shard_stats[i].messages_spilled);
    sim.counts.switch_crashes++;
    network_switch_gone();
    store_disk_switch_gone();
    admin_switch_gone();
    down();
}

static bool open_store(void) {
    char error[256];
    struct store_setup setup = {.folder = house.config.data,
                                .config = &house.config,
                                .lanes = house.lanes,
                                .shards = house.shards,
                                .stats = store_stats,
                                .ring = ring};
    int result = store_open(&setup, &house.store, error, sizeof(error));
    if (result)
        port_log("store_open %s", error);
    return result == 0;
}

static void open_shards(void) {
    uint8_t secret[KEY_BYTES];
    store_server_key(house.store, secret, sim.server_key);
    for (uint32_t i = 0; i < house.shards; i++) {
        struct shard_setup setup = {.index = i,
                                    .shards = house.shards,
                                    .stores = house.stores,
                                    .config = &house.config,
                                    .lanes = house.lanes,
                                    .stats = &shard_stats[i],
                                    .server_secret = secret,
                                    .epoch_ms = sim_utc_ms(),
                                    .store = house.store};
        must(shard_create(&setup, &house.shard[i]) == 0);
    }
    int error = store_load(house.store, house.shard, house.shards);
    if (error && !house.dying)
        sim_fail("the store does not load: error %d", error);
    must(store_start(house.store) == 0);
}

void house_start(uint32_t shards) {
    memset(threads, 0, sizeof(threads));
    memset(shard_stats, 0, sizeof(shard_stats));
    memset(store_stats, 0, sizeof(store_stats));
    house.config = sim.plan.config;
    snprintf(house.config.data, sizeof(house.config.data), "store");
    house.shards = shards;
    house.stores = (uint32_t)store_environments(house.config.data, &house.config);
    must(house.stores <= SIM_STORES_MAX);
    must(lanes_create(shards + house.stores + 1, sim.plan.lane_slots, &house.lanes) == 0);
    TRACE2("the switch starts: %llu shards, %llu stores", shards, house.stores);
    if (!open_store()) {
        store_disk_switch_gone();
        down();
        return;
    }
    open_shards();
    house.up = true;
    if (house.dying)
        crash();
}

/* Nobody asks it anything any more: the stores work off their lanes, and everything is freed. */
static void end(void) {
    for (uint32_t idle = 0; idle < 2; idle++) {
        for (uint32_t i = 0; i < house.stores; i++) {
            if (turn_run(&house.store->environments[i], true) > 0)
                idle = 0;
        }
    }
    if (house.dying) {
        crash();
        return;
    }
    TRACE("the switch has ended");
    for (uint32_t i = 0; i < house.shards; i++)
        shard_destroy(house.shard[i]);
    store_close(house.store);
    lanes_destroy(house.lanes);
    network_switch_gone();
    store_disk_switch_gone();
    admin_switch_gone();
    sim.counts.drains++;
    down();
}

/* --- turns ---------------------------------------------------------------------------------------------- */

static bool has_work(uint32_t party) {
    return !threads[party].sleeping || threads[party].rung || sim.now_ms >= threads[party].next_ms;
}

static void wake(uint32_t party) {
    threads[party].drowsy = threads[party].sleeping = threads[party].rung = false;
    lanes_awake(house.lanes, party);
}

static void sleep_until(uint32_t party, uint64_t next_ms) {
    threads[party].drowsy = true;
    threads[party].next_ms = lanes_kept(house.lanes, party) ? sim.now_ms + 1 : next_ms;
}

/* True: it sleeps now. */
static bool falls_asleep(uint32_t party) {
    if (!threads[party].drowsy || sim.now_ms >= threads[party].next_ms)
        return false;
    threads[party].drowsy = false;
    threads[party].sleeping = lanes_may_sleep(house.lanes, party);
    return threads[party].sleeping;
}

static void turn_shard(uint32_t index) {
    struct shard *shard = house.shard[index];
    bool wanted = network_wants(index);
    if (shard_drained(shard) || (!has_work(index) && !wanted) || (!wanted && falls_asleep(index)))
        return;
    wake(index);
    shard_turn_begin(shard, sim.now_ms, sim_utc_ms());
    network_input(index);
    network_output(index);
    shard_turn_end(shard);
    lanes_publish(house.lanes, index, ring, NULL);
    if (!network_wants(index))
        sleep_until(index, shard_defers(shard) ? sim.now_ms : shard_next_ms(shard));
}

static void turn_store(uint32_t index) {
    uint32_t party = house.shards + index;
    struct environment *environment = &house.store->environments[index];
    if (!has_work(party) || sim.now_ms < threads[party].slow_until_ms || falls_asleep(party))
        return;
    if (!sim.quiet && sim_chance(sim.plan.disk_slow)) {
        sim.counts.disk_faults++;
        threads[party].slow_until_ms = sim.now_ms + sim_below(SLOW_MS_MAX);
        return;
    }
    wake(party);
    if (turn_run(environment, false) == 0)
        sleep_until(party, turn_next_ms(environment, sim.now_ms));
}

static bool all_drained(void) {
    for (uint32_t i = 0; i < house.shards; i++) {
        if (!shard_drained(house.shard[i]))
            return false;
    }
    return true;
}

void house_step(void) {
    uint32_t count = house.shards + house.stores;
    uint32_t first = (uint32_t)sim_below(count);
    for (uint32_t i = 0; i < count && house.up; i++) {
        uint32_t party = (first + i) % count;
        bool shard = party < house.shards;
        if (!sim.quiet && !sim_chance(shard ? sim.plan.turn_shard : sim.plan.turn_store))
            continue;
        if (shard)
            turn_shard(party);
        else
            turn_store(party - house.shards);
        if (house.dying)
            crash();
    }
    if (house.up && house.stopping && all_drained())
        end();
}

void house_publish(uint32_t party) {
    lanes_publish(house.lanes, party, ring, NULL);
}

bool house_idle(void) {
    for (uint32_t party = 0; party < house.shards + house.stores; party++) {
        if (!threads[party].sleeping || threads[party].rung || lanes_kept(house.lanes, party))
            return false;
    }
    return true;
}

const struct stats *house_stats(uint32_t shard) {
    return &shard_stats[shard];
}

const struct stats *house_store_stats(uint32_t environment) {
    return &store_stats[environment];
}
