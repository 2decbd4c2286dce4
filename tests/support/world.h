/* tests/support/world.h: a world around the real core in one thread, driven by a seed: shards without
 * sockets, a store without a disk, devices that send, acknowledge, read, stall, vanish and come back, an
 * administrator who revokes and purges. It supplies core/port.h, so exactly one test program includes it.
 *
 * world.h has the state and io's side, world_store.h storage's, world_device.h the devices and what must
 * hold, world_life.h how it starts, turns, crashes and ends.
 *
 * A crash: the store keeps what was committed, and the old switch is wound down on a store of its own that
 * nobody reads afterwards, by the drain that a SIGTERM makes: so the drain is tested in every state, and
 * whatever is not freed then is a leak.
 *
 * Threads: one.  Memory: freed by world_end. */
#ifndef TERN_TESTS_SUPPORT_WORLD_H
#define TERN_TESTS_SUPPORT_WORLD_H

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "core/hello.h"
#include "core/record.h"
#include "core/switch.h"

#define WORLD_SHARDS_MAX 4
#define WORLD_ACCOUNTS_MAX 4
#define WORLD_DEVICES_MAX 12
#define WORLD_NUMBERS_MAX 512 /* messages of a device to an account */
#define WORLD_CONNS_MAX 64
#define WORLD_UTC_MS UINT64_C(1700000000000)

/* What goes wrong in a run besides what always does: devices stall, are cut off, come back. */
enum world_trouble {
    WORLD_CRASHES = 1,
    WORLD_FULL_STORE = 2,
    WORLD_DEVICES_CHANGE = 4, /* linked and revoked in mid-flow */
    WORLD_GIVES_UP = 8,       /* messages that expire, queues that are purged, accounts that block */
};

struct world_entry {
    uint64_t account, seq, expires_ms;
    uint16_t device;
    uint32_t bytes;
    uint8_t *frame;
};

struct world_store {
    struct world_entry *entries; /* by account, device, seq */
    size_t count, capacity;
};

struct world_pipe { /* bytes on their way to the switch */
    uint8_t *bytes;
    size_t count;
};

struct world_conn {
    bool used, paused, closing, plaintext_hello;
    struct world_device *device;
    struct world_pipe in;
    bool cut; /* the device's end is gone: the switch gets to know */
};

/* What is known of a message outside the switch. */
struct world_fact {
    bool may_expire;
    bool refused; /* for good */
};

/* A client as docs/PROTOCOL.md asks for: keeps what has no sent tick, judges duplicates, repeats what is
 * unconfirmed. */
struct world_device {
    uint64_t account, epoch;
    uint16_t number;     /* 0: not linked yet */
    bool late;           /* linked in mid-flow */
    uint64_t created_ms; /* UTC */
    bool linked;         /* it was told its number */
    bool revoked;
    bool purged;     /* its queue was, at some time */
    int shard, conn; /* -1: away */
    bool welcome, stalled;
    uint64_t items, acked;
    uint64_t next[WORLD_ACCOUNTS_MAX + 1];
    struct world_fact facts[WORLD_ACCOUNTS_MAX + 1][WORLD_NUMBERS_MAX];
    /* What this device knows of what the devices of its account sent. */
    uint8_t ticks[WORLD_DEVICES_MAX][WORLD_ACCOUNTS_MAX + 1][WORLD_NUMBERS_MAX];
    uint64_t cursor[WORLD_ACCOUNTS_MAX + 1]; /* the next number to send */
    uint64_t send_at_ms[WORLD_ACCOUNTS_MAX + 1];
    bool again[WORLD_ACCOUNTS_MAX + 1];                  /* the next one is the first of a repetition */
    bool out[WORLD_ACCOUNTS_MAX + 1][WORLD_NUMBERS_MAX]; /* sent in this session, nothing heard yet */
    uint32_t out_count, out_max;
    uint64_t seen[WORLD_DEVICES_MAX][WORLD_ACCOUNTS_MAX + 1];
    bool skipped[WORLD_DEVICES_MAX][WORLD_ACCOUNTS_MAX + 1]
                [WORLD_NUMBERS_MAX];                           /* may be: who sent it gets to know */
    uint8_t unconfirmed[WORLD_DEVICES_MAX][WORLD_NUMBERS_MAX]; /* RECEIPT_DELIVERED, RECEIPT_READ */
};

struct world {
    uint64_t seed, state, now_ms;
    unsigned troubles;
    uint32_t shard_count, account_count, device_count;
    uint16_t device_next[WORLD_ACCOUNTS_MAX + 1];
    bool blocks[WORLD_ACCOUNTS_MAX + 1][WORLD_ACCOUNTS_MAX + 1];
    bool winding_down;
    bool drained; /* what the last REQUEST_DRAIN said */
    struct config config;
    struct lanes *lanes;
    struct stats stats[WORLD_SHARDS_MAX];
    struct shard *shards[WORLD_SHARDS_MAX];
    struct world_conn conns[WORLD_SHARDS_MAX][WORLD_CONNS_MAX];
    bool ready[WORLD_SHARDS_MAX][WORLD_CONNS_MAX];
    struct world_device devices[WORLD_DEVICES_MAX];
    struct world_store store;
    struct note *store_waiting;
    uint32_t store_count, store_capacity;
    uint32_t failed_generation[WORLD_SHARDS_MAX];
    bool store_full;
    uint64_t refused_from[WORLD_ACCOUNTS_MAX + 1][WORLD_DEVICES_MAX + 1]; /* of full queues */
    char error[256];
};

static struct world world;

__attribute__((format(printf, 1, 2))) static void world_fail(const char *format, ...) {
    if (world.error[0])
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(world.error, sizeof(world.error), format, arguments);
    va_end(arguments);
}

static uint64_t world_random(void) {
    world.state += 0x9e3779b97f4a7c15u;
    return account_hash(world.state);
}

static bool world_chance(unsigned percent) {
    return world_random() % 100 < percent;
}

static uint32_t world_store_party(void) {
    return world.shard_count;
}

static uint32_t world_admin_party(void) {
    return world.shard_count + 1;
}

static struct world_device *world_find(uint64_t account, uint16_t number, uint32_t *ret_index) {
    for (uint32_t i = 0; i < world.device_count; i++) {
        if (number && world.devices[i].account == account && world.devices[i].number == number) {
            *ret_index = i;
            return &world.devices[i];
        }
    }
    return NULL;
}

static void world_device_away(struct world_device *device) {
    device->shard = device->conn = -1;
    device->welcome = false;
}

/* --- io's side of core/port.h --------------------------------------------------------------------------- */

void port_output_ready(struct shard *shard, uint32_t conn) {
    world.ready[shard_index(shard)][conn] = true;
}

void port_input_pause(struct shard *shard, uint32_t conn) {
    world.conns[shard_index(shard)][conn].paused = true;
}

void port_input_resume(struct shard *shard, uint32_t conn) {
    world.conns[shard_index(shard)][conn].paused = false;
}

void port_input_quiet(struct shard *shard, uint32_t conn) {
    (void)shard, (void)conn;
}

void port_close(struct shard *shard, uint32_t conn) {
    world.conns[shard_index(shard)][conn].closing = true;
}

void port_address(struct shard *shard, uint32_t conn, char out[ADDRESS_TEXT_BYTES]) {
    (void)shard, (void)conn;
    snprintf(out, ADDRESS_TEXT_BYTES, "192.0.2.1");
}

void port_settle(struct shard *shard, uint32_t conn) {
    (void)shard;
    (void)conn;
}

void port_move(struct shard *shard, uint32_t conn, uint32_t target_shard, struct session_move *move) {
    move->io = &world.conns[shard_index(shard)][conn];
    struct note note = {.kind = NOTE_MOVE, .move = move};
    lanes_post(world.lanes, shard_index(shard), target_shard, &note);
}

static uint32_t world_free_conn(uint32_t shard) {
    for (uint32_t i = 0; i < WORLD_CONNS_MAX; i++) {
        if (!world.conns[shard][i].used)
            return i;
    }
    abort();
}

static void world_conn_free(struct world_conn *conn) {
    if (conn->device)
        world_device_away(conn->device);
    free(conn->in.bytes);
    memset(conn, 0, sizeof(*conn));
}

void port_move_arrived(struct shard *shard, struct session_move *move) {
    uint32_t to = shard_index(shard);
    struct world_conn *old = move->io;
    if (world_chance(2)) { /* no slot */
        world_conn_free(old);
        shard_move_failed(shard, move);
        return;
    }
    uint32_t slot = world_free_conn(to);
    struct world_conn *conn = &world.conns[to][slot];
    *conn = *old;
    memset(old, 0, sizeof(*old));
    if (conn->device) {
        conn->device->shard = (int)to;
        conn->device->conn = (int)slot;
    }
    shard_moved_in(shard, slot, move);
}

void port_buf_give_back(struct shard *shard, struct buf *buf) {
    (void)shard;
    free(buf);
}

bool port_bufs_scarce(struct shard *shard) {
    (void)shard;
    return world_chance(2);
}

void port_entropy(void *bytes, size_t count) {
    for (size_t i = 0; i < count; i++)
        ((uint8_t *)bytes)[i] = (uint8_t)world_random();
}

void port_log(const char *format, ...) {
    (void)format;
}

#endif
