#include "tests/sim/nemesis.h"

#include <stdlib.h>

#include "tests/sim/admin.h"
#include "tests/sim/client.h"
#include "tests/sim/house.h"
#include "tests/sim/keyring.h"
#include "tests/sim/network.h"
#include "tests/sim/sim.h"
#include "tests/sim/store_disk.h"

#define STALL_MS_MAX 8000
#define JUMP_MS_MAX 7200000
#define DOOM_EFFECTS_MAX 12
#define FAILED_MS 4000 /* after a disk failed, somebody comes and starts the switch anew */

static uint64_t failed_since_ms;
static bool suspended[SIM_ACCOUNTS_MAX + 1];

static void trouble_connection(uint32_t device) {
    const struct plan *plan = &sim.plan;
    uint32_t link = client_link(device);
    if (link == NETWORK_NONE) {
        if (!sim.plan.calm && sim_chance(plan->come))
            client_connect(device);
        return;
    }
    if (sim_chance(plan->cut)) {
        sim.counts.cuts++;
        client_hang_up(device, sim_chance(500) ? NETWORK_RESET : NETWORK_CLOSED);
    } else if (sim_chance(plan->leave)) {
        client_hang_up(device, NETWORK_CLOSED);
    } else if (sim_chance(plan->vanish)) {
        sim.counts.cuts++;
        if (sim_chance(500))
            client_hang_up(device, NETWORK_OPEN);
        else
            network_vanish(link);
    } else if (sim_chance(plan->stall)) {
        network_stall(link, sim.now_ms + sim_below(STALL_MS_MAX));
    }
}

static void trouble_devices(void) {
    for (uint32_t i = 0; i < SIM_DEVICES_MAX; i++) {
        if (!client_exists(i) || client_revoked(i))
            continue;
        trouble_connection(i);
        if (sim_chance(sim.plan.crash_client)) {
            sim.counts.client_crashes++;
            client_crash(i, sim_chance(500));
        }
    }
}

static uint32_t any_device(void) {
    uint32_t first = (uint32_t)sim_below(SIM_DEVICES_MAX);
    for (uint32_t i = 0; i < SIM_DEVICES_MAX; i++) {
        uint32_t device = (first + i) % SIM_DEVICES_MAX;
        if (client_exists(device) && client_linked(device) && !client_revoked(device))
            return device;
    }
    return SIM_DEVICES_MAX;
}

static void new_device(void) {
    for (uint32_t i = 0; i < SIM_DEVICES_MAX; i++) {
        if (client_exists(i))
            continue;
        client_make(i, 1 + sim_below(sim.plan.accounts));
        admin_want_device(i);
        return;
    }
}

static void trouble_accounts(void) {
    const struct plan *plan = &sim.plan;
    uint32_t device = any_device();
    uint64_t account = 1 + sim_below(plan->accounts);
    if (device == SIM_DEVICES_MAX)
        return;
    if (sim_chance(plan->link))
        new_device();
    if (sim_chance(plan->revoke) && !(plan->sealed && keyring_is_first(device)))
        admin_revoke(device);
    if (sim_chance(plan->purge))
        admin_purge(client_account(device), sim_chance(500) ? device : SIM_DEVICES_MAX);
    if (sim_chance(plan->kick))
        admin_kick(account);
    if (sim_chance(plan->suspend)) {
        suspended[account] = !suspended[account];
        admin_suspend(account, suspended[account]);
    }
}

static void trouble_switch(void) {
    const struct plan *plan = &sim.plan;
    if (!house.up) {
        if (sim.now_ms >= house.up_again_ms)
            house_start(sim_chance(500) ? sim.plan.shards : 1 + (uint32_t)sim_below(SIM_SHARDS_MAX));
        return;
    }
    if (sim_chance(plan->crash_switch))
        house_doom(sim_below(DOOM_EFFECTS_MAX));
    else if (sim_chance(plan->drain))
        admin_drain();
    bool failed = store_disk_failed(0) || store_disk_failed(1);
    if (!failed)
        failed_since_ms = sim.now_ms;
    else if (sim.now_ms - failed_since_ms > FAILED_MS)
        house_doom(0);
}

void nemesis_step(void) {
    if (sim.plan.calm)
        return;
    trouble_devices();
    trouble_accounts();
    trouble_switch();
    if (sim_chance(sim.plan.clock_jump)) {
        int64_t jump_ms = (int64_t)sim_below(2 * JUMP_MS_MAX) - JUMP_MS_MAX;
        sim.utc_shift_ms += jump_ms;
        sim.jumped_ms += (uint64_t)llabs(jump_ms);
        TRACE1("the wall clock jumps to %llu", sim_utc_ms());
    }
}

void nemesis_stop(void) {
    sim.quiet = true;
    TRACE("the nemesis stops");
    network_calm();
    store_disk_calm();
    for (uint64_t account = 1; account <= SIM_ACCOUNTS_MAX; account++) {
        if (suspended[account])
            admin_suspend(account, false);
        suspended[account] = false;
    }
    if (store_disk_failed(0) || store_disk_failed(1))
        house_doom(0);
    failed_since_ms = 0;
}
