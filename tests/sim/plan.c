#include "tests/sim/plan.h"

#include "core/account.h"
#include "tests/sim/sim.h"

#define WINDOW_MIN 4       /* items */
#define QUEUE_SMALL_MAX 60 /* messages */
#define CALM_PART 60       /* of a thousand seeds, so many are calm */
#define ENCRYPTED_PART 150 /* and so many encrypted */
#define SEALED_PART 350    /* and in so many devices encrypt for each other */
#define SEALED_PAYLOAD_MAX 2000
#define SEALED_MORE 500    /* bytes of a part beside its text, and of its padding */
#define SEALED_PARTS 6     /* of a message, where there are many devices */
#define SEALED_WORD 0x5ea1 /* not drawn: a seed whose devices do not encrypt tells what it told before */
#define MIB (UINT64_C(1) << 20)

static uint32_t between(uint64_t low, uint64_t high) {
    return (uint32_t)(low + sim_below(high - low + 1));
}

/* Small numbers as often as large ones. */
static uint32_t scaled(uint32_t low, uint32_t high) {
    uint32_t limit = low;
    while (limit < high && sim_chance(700))
        limit = limit * 2 + 1;
    return between(low, limit < high ? limit : high);
}

/* A fault is in some seeds, there with a chance of its own. */
static uint32_t sometimes(unsigned seeds_per_mille, uint32_t most) {
    return sim_chance(seeds_per_mille) ? scaled(1, most) : 0;
}

/* Of a message in the store. */
static uint32_t stored_bytes(const struct plan *plan) {
    return plan->payload_bytes + (plan->sealed ? SEALED_MORE : 0);
}

/* On its way from its device. */
static uint32_t sent_bytes(const struct plan *plan) {
    return stored_bytes(plan) * (plan->sealed ? SEALED_PARTS : 1);
}

static void draw_limits(struct plan *plan) {
    struct config *config = &plan->config;
    config_defaults(config);
    config->session_messages_per_s = config->session_bytes_per_s = config->session_frames_per_s = 0;
    config->connections_max = between(12, 40);
    if (config->connections_max < SIM_DEVICES_MAX)
        config->connections_max = SIM_DEVICES_MAX;
    config->handshake_ms = between(500, 10000);
    config->ping_s = between(2, 30);
    config->idle_s = config->ping_s + between(1, 60);
    config->unticked_max = scaled(1, 1024);
    config->window_messages = scaled(1, 4096);
    /* On slow links one item a round trip would take longer than a seed lasts. */
    if (config->window_messages < WINDOW_MIN)
        config->window_messages = WINDOW_MIN;
    config->window_bytes = sim_chance(300) ? 65536 : config->window_bytes;
    config->messages_max = sim_chance(300) ? between(64, 200) : config->messages_max;
    config->spill_ms = scaled(5, 2000);
    config->hold_ms = scaled(1, 200);
    config->ttl_s = sim_chance(100) ? between(5, 120) : config->ttl_s;
    config->buffers = UINT64_C(1) << between(3, 8);
    config->buffer_bytes = scaled(64, 16384);
    config->map_bytes = sim_chance(300) ? MIB * (1 + stored_bytes(plan) / 400) : 64 * MIB;
    config->map_reserve_percent = between(1, 50);
    config->queue_messages_max = sim_chance(150) ? between(5, QUEUE_SMALL_MAX) : config->queue_messages_max;
    config->expiry_sweep_s = scaled(1, 60);
    config->clock_jump_ms = between(1000, 60000);
    config->store_environments = plan->stores;
    config->keys_window_s = plan->sealed ? 60 : config->keys_window_s;
    plan->lane_slots = 1u << between(1, 8);
}

static void draw_faults(struct plan *plan) {
    plan->cut = sometimes(600, 40);
    plan->stall = sometimes(300, 30);
    plan->vanish = sometimes(300, 20);
    plan->leave = sometimes(300, 20);
    plan->crash_client = sometimes(350, 20);
    plan->crash_switch = sometimes(450, 15);
    plan->drain = sometimes(200, 8);
    plan->disk_fail = sometimes(120, 4);
    plan->disk_full = sometimes(200, 60);
    plan->disk_slow = sometimes(300, 30);
    plan->disk_memory = sometimes(60, 30);
    plan->clock_jump = sometimes(150, 8);
    plan->link = sometimes(250, 8);
    plan->revoke = sometimes(200, 6);
    plan->purge = sometimes(150, 8);
    plan->block = sometimes(100, 6);
    plan->kick = sometimes(150, 8);
    plan->suspend = sometimes(80, 5);
    plan->delay_ms = sim_chance(500) ? scaled(1, 400) : 0;
    plan->pipe_bytes = scaled(200, 1 << 17);
    plan->commit_client_ms = scaled(1, 600);
    plan->turn_shard = between(200, 1000);
    plan->turn_store = between(50, 1000);
    plan->short_lived = sometimes(200, 500);
}

/* Drawn last, and seldom: what seeds told before there were these limits, most of them tell still. Slow, but
 * not so slow that nobody's resending ever ends: what a small queue refuses comes again and again,
 * and after each message refused for good all that were sent behind it. */
static void draw_rates(struct plan *plan) {
    struct config *config = &plan->config;
    bool small_queues = config->queue_messages_max <= QUEUE_SMALL_MAX;
    uint64_t some_bytes = (20000 + UINT64_C(20) * sent_bytes(plan)) * (small_queues ? 10 : 1);
    if (!sim_chance(120))
        return;
    config->session_messages_per_s = sim_chance(500) ? between(20, 200) : 0;
    config->account_messages_per_s = sim_chance(300) ? between(20, 200) : 0;
    if (small_queues)
        config->session_messages_per_s = config->account_messages_per_s = 0;
    config->session_bytes_per_s = sim_chance(300) ? some_bytes : 0;
    config->account_bytes_per_s = sim_chance(300) ? 3 * some_bytes : 0;
    config->unticked_bytes_max = sim_chance(500) ? 65536 : config->unticked_bytes_max;
    config->queue_bytes_max = sim_chance(300) ? 65536 : config->queue_bytes_max;
    config->pending_max = sim_chance(300) ? between(2, 10) : config->pending_max;
    config->account_logins_max = sim_chance(200) ? between(2, 20) : config->account_logins_max;
    config->session_frames_per_s = sim_chance(300) ? between(2, 200) : 0;
}

/* Everybody is there and quick: nothing is a reason to touch the disk. */
static void draw_calm(struct plan *plan) {
    struct config *config = &plan->config;
    plan->pipe_bytes = 1 << 17;
    plan->commit_client_ms = 1;
    plan->turn_shard = plan->turn_store = 1000;
    plan->step_ms = 3;
    plan->payload_bytes = between(12, 400);
    plan->lane_slots = 256;
    config->unticked_max = 1024;
    config->messages_max = 262144;
    config->buffers = 256;
    config->buffer_bytes = 16384;
    config->queue_messages_max = 1000000;
    config->spill_ms = 100000;
    config->window_messages = 4096;
    config->window_bytes = 4 * MIB;
    config->ping_s = 60;
    config->idle_s = 120;
    config->ttl_s = 2592000;
}

void plan_draw(struct plan *plan) {
    *plan = (struct plan){0};
    plan->calm = sim_chance(CALM_PART);
    plan->encrypted = sim_chance(ENCRYPTED_PART);
    plan->shards = between(1, SIM_SHARDS_MAX);
    plan->stores = between(1, SIM_STORES_MAX);
    plan->accounts = between(2, SIM_ACCOUNTS_MAX);
    for (uint32_t i = 0; i < plan->accounts; i++)
        plan->devices[i] = between(1, sim_chance(600) ? 1 : 3);
    plan->steps = between(100, 700);
    plan->step_ms = scaled(2, 60);
    plan->talk = scaled(10, 200);
    plan->burst = scaled(1, 12);
    plan->payload_bytes = sim_chance(800) ? between(12, 200) : between(200, 20000);
    plan->reads = between(0, 300);
    plan->come = scaled(20, 500);
    plan->sealed = !plan->calm && account_hash(sim.seed ^ SEALED_WORD) % 1000 < SEALED_PART;
    if (plan->sealed && plan->payload_bytes > SEALED_PAYLOAD_MAX)
        plan->payload_bytes = SEALED_PAYLOAD_MAX;
    draw_limits(plan);
    if (plan->calm)
        draw_calm(plan);
    else
        draw_faults(plan);
    if (!plan->calm)
        draw_rates(plan);
}
