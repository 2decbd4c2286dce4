/* tests/support/world_life.h: the world's switch starts, turns, crashes and ends; what its administrator
 * does; and the limits that must hold after each step.
 *
 * Threads: one.  Memory: world.h's. */
#ifndef TERN_TESTS_SUPPORT_WORLD_LIFE_H
#define TERN_TESTS_SUPPORT_WORLD_LIFE_H

#include "tests/support/world_device.h"

#define WORLD_LANE_SLOTS 16
#define WORLD_DRAIN_STEPS 3000

/* --- turns ---------------------------------------------------------------------------------------------- */

static void world_output(uint32_t shard, uint32_t slot) {
    static uint8_t space[70000];
    struct world_conn *conn = &world.conns[shard][slot];
    size_t needed, bytes;
    while (conn->used && (bytes = shard_output(world.shards[shard], slot, space, sizeof(space), &needed))) {
        if (conn->plaintext_hello) {
            conn->plaintext_hello = false;
            continue;
        }
        uint8_t *at = space + RECORD_LENGTH_BYTES;
        size_t left = bytes - RECORD_LENGTH_BYTES;
        struct frame frame;
        while (conn->device && frame_next(&at, &left, &frame) == 0)
            world_take_frame(conn->device, &frame);
    }
}

static void world_input(uint32_t shard, uint32_t slot) {
    struct world_conn *conn = &world.conns[shard][slot];
    if (conn->in.count && !conn->paused && !conn->closing) {
        size_t count = 1 + world_random() % conn->in.count;
        struct buf *buf = calloc(1, sizeof(*buf) + count);
        *buf = (struct buf){.data = (uint8_t *)(buf + 1),
                            .capacity = (uint32_t)count,
                            .refs = 1,
                            .owner = (uint16_t)shard,
                            .kind = BUF_RING};
        memcpy(buf->data, conn->in.bytes, count);
        conn->in.count -= count;
        memmove(conn->in.bytes, conn->in.bytes + count, conn->in.count);
        shard_input(world.shards[shard], slot, buf, 0, (uint32_t)count);
    } else if (conn->cut && !conn->closing && (conn->in.count == 0 || world_chance(5))) {
        shard_ended(world.shards[shard], slot, world_chance(50) ? 0 : ECONNRESET);
    }
}

static void world_ring(void *context, uint32_t party) {
    (void)context;
    (void)party;
}

static void world_turn(uint32_t shard) {
    struct world_conn *conns = world.conns[shard];
    shard_turn_begin(world.shards[shard], world.now_ms, WORLD_UTC_MS + world.now_ms);
    for (uint32_t i = 0; i < WORLD_CONNS_MAX; i++) {
        if (conns[i].used && world_chance(70))
            world_input(shard, i);
    }
    for (uint32_t i = 0; i < WORLD_CONNS_MAX; i++) {
        if (world.ready[shard][i] && conns[i].used) {
            world.ready[shard][i] = false;
            world_output(shard, i);
        }
    }
    shard_turn_end(world.shards[shard]);
    for (uint32_t i = 0; i < WORLD_CONNS_MAX; i++) {
        if (!conns[i].used || !conns[i].closing)
            continue;
        world_output(shard, i);
        world_conn_free(&conns[i]);
        shard_closed(world.shards[shard], i);
    }
    lanes_publish(world.lanes, shard, world_ring, NULL);
}

static void world_admin_take(void) {
    struct note note;
    uint32_t from;
    while (lanes_take(world.lanes, world_admin_party(), &note, &from)) {
        if (note.request->kind == REQUEST_DRAIN)
            world.drained = true;
        free(note.request);
    }
}

/* P8: what has a limit keeps it. */
static void world_check_limits(void) {
    for (uint32_t i = 0; i < world.shard_count; i++) {
        const struct shard *shard = world.shards[i];
        if (shard->messages_out > shard->config.messages_max)
            world_fail("%u messages are held by shard %u", shard->messages_out, i);
        for (uint32_t s = 0; s < shard->session_high; s++) {
            const struct session *session = session_at(shard, s);
            if (session && session->control_bytes > SESSION_CONTROL_BYTES_MAX + 8192)
                world_fail("%u bytes of control frames wait", session->control_bytes);
            if (session && session->unticked > shard->config.unticked_max + 1)
                world_fail("%u messages are unticked", session->unticked);
        }
    }
    for (uint32_t d = 0; d < world.device_count; d++) {
        uint32_t home = account_home(world.devices[d].account, world.shard_count);
        const struct account *account = account_find(&world.shards[home]->accounts, world.devices[d].account);
        const struct device *device = account_device(account, world.devices[d].number);
        if (device && device->outbox.sent_count > world.config.window_messages)
            world_fail("%u items are on their way to device index %u", device->outbox.sent_count, d);
    }
}

/* One step of everything; chances in percent. */
static void world_step(unsigned commit_chance) {
    world.now_ms += 1 + world_random() % 20;
    for (uint32_t i = 0; i < world.shard_count; i++)
        world_turn(i);
    world_store_take();
    if (world_chance(commit_chance))
        world_store_commit(world_chance(50) ? world.store_count
                                            : (uint32_t)(world_random() % (world.store_count + 1)));
    if (world_chance(3))
        world_sweep();
    lanes_publish(world.lanes, world_store_party(), world_ring, NULL);
    lanes_publish(world.lanes, world_admin_party(), world_ring, NULL);
    world_admin_take();
    world_check_limits();
    for (uint32_t i = 0; i < world.device_count; i++) {
        world_device_acks(&world.devices[i]);
        world_pump(&world.devices[i]);
    }
}

/* --- start, crash, end ---------------------------------------------------------------------------------- */

static void world_load(uint32_t index) {
    struct shard *shard = world.shards[index];
    for (uint64_t account = 1; account <= world.account_count; account++) {
        struct account_record record = {.account = account};
        snprintf(record.name, sizeof(record.name), "account%u", (unsigned)account);
        shard_load_account(shard, &record);
        for (uint64_t other = 1; other <= world.account_count; other++) {
            if (world.blocks[account][other])
                shard_load_block(shard, account, other);
        }
    }
    for (uint32_t d = 0; d < world.device_count; d++) {
        const struct world_device *device = &world.devices[d];
        struct device_record record = {.account = device->account,
                                       .device = device->number,
                                       .created_ms = device->created_ms,
                                       .flags = device->revoked ? DEVICE_REVOKED : 0};
        if (device->number)
            shard_load_device(shard, &record);
    }
    for (size_t at = 0; at < world.store.count;) {
        const struct world_entry *first = &world.store.entries[at];
        size_t end = at;
        while (world_is_of(end + 1, first->account, first->device))
            end++;
        shard_load_queue(shard, first->account, first->device, first->seq, world.store.entries[end].seq, 0);
        at = end + 1;
    }
}

static void world_start(void) {
    static const uint8_t secret[32] = {1};
    memset(world.refused_from, 0, sizeof(world.refused_from));
    if (lanes_create(world.shard_count + 2, WORLD_LANE_SLOTS, &world.lanes) < 0)
        abort();
    for (uint32_t i = 0; i < world.shard_count; i++) {
        struct shard_setup setup = {
            .index = i,
            .shards = world.shard_count,
            .stores = 1,
            .config = &world.config,
            .lanes = world.lanes,
            .stats = &world.stats[i],
            .server_secret = secret,
            .epoch_ms = WORLD_UTC_MS + world.now_ms,
        };
        if (shard_create(&setup, &world.shards[i]) < 0)
            abort();
        world.failed_generation[i] = 0;
        world_load(i);
    }
}

static struct request *world_ask(uint32_t shard, uint8_t kind) {
    struct request *request = calloc(1, sizeof(*request));
    request->kind = kind;
    request->from = (uint16_t)world_admin_party();
    struct note note = {.kind = NOTE_REQUEST, .request = request};
    lanes_post(world.lanes, world_admin_party(), shard, &note);
    return request;
}

static bool world_is_idle(void) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < world.shard_count + 2; i++)
        kept += lanes_kept(world.lanes, i);
    bool empty = true;
    for (uint32_t i = 0; i < world.shard_count + 2; i++)
        empty &= lanes_may_sleep(world.lanes, i);
    return !kept && empty && !world.store_count;
}

/* Each shard answers a drain when nothing of its own is on its way; what others sent it since is what the
 * further rounds are for. */
static void world_wind_down(void) {
    world.winding_down = true;
    world.store_full = false;
    for (uint32_t i = 0; i < world.device_count; i++) {
        if (world.devices[i].shard >= 0)
            world.conns[world.devices[i].shard][world.devices[i].conn].device = NULL;
        world_device_away(&world.devices[i]);
    }
    uint32_t steps = 0;
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < world.shard_count; i++) {
            world.drained = false;
            world_ask(i, REQUEST_DRAIN);
            do
                world_step(90);
            while (!world.drained && ++steps < WORLD_DRAIN_STEPS);
        }
        while (!world_is_idle() && ++steps < WORLD_DRAIN_STEPS)
            world_step(90);
    }
    if (steps >= WORLD_DRAIN_STEPS)
        world_fail("the drain does not end");
    for (uint32_t i = 0; i < world.shard_count; i++) {
        if (world.shards[i]->messages_out)
            world_fail("%u messages are left of a drained shard", world.shards[i]->messages_out);
        shard_destroy(world.shards[i]);
    }
    lanes_destroy(world.lanes);
    for (uint32_t i = 0; i < world.shard_count; i++) {
        for (uint32_t s = 0; s < WORLD_CONNS_MAX; s++)
            free(world.conns[i][s].in.bytes);
    }
    memset(world.conns, 0, sizeof(world.conns));
    memset(world.ready, 0, sizeof(world.ready));
    memset(world.stats, 0, sizeof(world.stats));
    world.winding_down = false;
}

static inline void world_crash(void) {
    struct world_store kept = world_store_copy();
    uint64_t now_ms = world.now_ms;
    world_wind_down();
    world.now_ms = now_ms;
    world_store_free(&world.store);
    world.store = kept;
    world.shard_count = 1 + (uint32_t)(world_random() % 3);
    world_start();
}

static struct world_device *world_add_device(uint64_t account) {
    struct world_device *device = &world.devices[world.device_count++];
    device->account = account;
    device->epoch = 1000 + world.device_count;
    for (uint64_t to = 0; to <= WORLD_ACCOUNTS_MAX; to++)
        device->next[to] = device->cursor[to] = 1;
    world_device_away(device);
    return device;
}

static void world_begin(uint64_t seed, unsigned troubles) {
    memset(&world, 0, sizeof(world));
    world.seed = world.state = seed;
    world.troubles = troubles;
    world.now_ms = 1000;
    config_defaults(&world.config);
    world.config.connections_max = WORLD_CONNS_MAX;
    world.config.window_messages = 1 + world_random() % 40;
    world.config.unticked_max = 1 + world_random() % 60;
    world.config.messages_max = 4 + world_random() % 200;
    world.config.spill_ms = 20 + world_random() % 500;
    world.config.hold_ms = 1 + world_random() % 50;
    if ((troubles & WORLD_FULL_STORE) && world_chance(50)) {
        /* What is refused is sent again, and makes receipts again: no window so small that it never ends. */
        world.config.queue_messages_max = 1 + world_random() % 20;
        world.config.window_messages += 20;
    }
    world.shard_count = 1 + (uint32_t)(world_random() % 3);
    world.account_count = 2 + (uint32_t)(world_random() % 3);
    for (uint64_t account = 1; account <= world.account_count; account++) {
        for (uint64_t count = 1 + world_random() % 2; count > 0; count--)
            world_add_device(account)->number = ++world.device_next[account];
    }
    world_start();
}

static void world_end(void) {
    world_wind_down();
    world_store_free(&world.store);
    free(world.store_waiting);
}

/* --- the administrator ---------------------------------------------------------------------------------- */

static inline void world_revoke(struct world_device *device) {
    if (!device->number || device->revoked)
        return;
    device->revoked = true;
    struct request *request =
        world_ask(account_home(device->account, world.shard_count), REQUEST_APPLY_REVOKE);
    request->account = device->account;
    request->device_number = device->number;
}

static inline void world_purge(struct world_device *device) {
    if (!device->number)
        return;
    device->purged = true;
    struct request *request =
        world_ask(account_home(device->account, world.shard_count), REQUEST_QUEUE_PURGE);
    request->account = device->account;
    request->device_number = device->number;
}

#endif
