#include "tests/sim/people.h"

#include "tests/sim/client.h"
#include "tests/sim/oracle.h"
#include "tests/sim/payload.h"
#include "tests/sim/sim.h"

#define SEALED_BYTES_MIN (PAYLOAD_BYTES_MIN + PAYLOAD_WORD_BYTES)

static void talk(uint32_t device) {
    const struct plan *plan = &sim.plan;
    uint64_t to = 1 + sim_below(plan->accounts);
    uint64_t count = 1 + sim_below(plan->burst);
    for (uint64_t i = 0; i < count; i++) {
        uint32_t ttl_s = sim_chance(plan->short_lived) ? 1 + (uint32_t)sim_below(30) : 0;
        uint32_t bytes = 12 + (uint32_t)sim_below(plan->payload_bytes - 11);
        if (plan->sealed && bytes < SEALED_BYTES_MIN)
            bytes = SEALED_BYTES_MIN;
        if (!client_send(device, to, ttl_s, bytes))
            return;
        sim.counts.messages++;
    }
}

void people_step(void) {
    const struct plan *plan = &sim.plan;
    for (uint32_t i = 0; i < SIM_DEVICES_MAX; i++) {
        if (!client_exists(i) || !client_linked(i) || client_revoked(i))
            continue;
        if (sim_chance(plan->talk))
            talk(i);
        if (sim_chance(plan->reads))
            client_read(i);
        if (sim_chance(plan->block))
            client_block(i, 1 + sim_below(plan->accounts), sim_chance(500));
    }
}
