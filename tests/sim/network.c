#include "tests/sim/network.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "core/must.h"
#include "tests/sim/house.h"
#include "tests/sim/link.h"
#include "tests/sim/sim.h"

#define WAITING_MAX 16 /* connections that wait to be accepted */
#define OUTPUT_BYTES 70000
#define CHUNKS_MAX 64 /* received from one connection in a turn */
#define AROUND_BYTES 256
#define GRACE_MS 1000 /* for what a closing connection has left to say */

struct link links[NETWORK_LINKS_MAX];
static uint32_t lent[SIM_SHARDS_MAX];

/* --- pipes ---------------------------------------------------------------------------------------------- */

static void pipe_put(struct pipe *pipe, const uint8_t *bytes, size_t count) {
    if (pipe->count == 0) {
        pipe->start = 0;
        pipe->ready_ms = sim.now_ms + (sim.quiet ? 0 : sim_below(sim.plan.delay_ms + 1));
    }
    if (pipe->start && pipe->start + pipe->count + count > pipe->capacity) {
        memmove(pipe->bytes, pipe->bytes + pipe->start, pipe->count);
        pipe->start = 0;
    }
    if (pipe->count + count > pipe->capacity) {
        pipe->capacity = (pipe->count + count) * 2;
        pipe->bytes = realloc(pipe->bytes, pipe->capacity);
        must(pipe->bytes);
    }
    memcpy(pipe->bytes + pipe->start + pipe->count, bytes, count);
    pipe->count += count;
}

static void pipe_take(struct pipe *pipe, size_t count) {
    pipe->start += count;
    pipe->count -= count;
}

static bool pipe_ready(const struct link *link, const struct pipe *pipe) {
    return pipe->count && sim.now_ms >= pipe->ready_ms && sim.now_ms >= link->stalled_until_ms;
}

static size_t pipe_room(const struct pipe *pipe) {
    size_t most = sim.quiet ? 1 << 17 : sim.plan.pipe_bytes;
    return pipe->count < most ? most - pipe->count : 0;
}

static void pipe_lose_some(struct pipe *pipe) {
    pipe->count = sim_below(pipe->count + 1);
}

/* --- a life --------------------------------------------------------------------------------------------- */

static void link_free(struct link *link) {
    free(link->up.bytes);
    free(link->down.bytes);
    *link = (struct link){0};
}

static void free_where_over(struct link *link) {
    if (link->state == LINK_FREE || link->device_here || link->state != LINK_GONE)
        return;
    link_free(link);
}

void network_reset(void) {
    for (uint32_t i = 0; i < NETWORK_LINKS_MAX; i++)
        link_free(&links[i]);
    memset(lent, 0, sizeof(lent));
}

uint32_t network_connect(uint32_t device) {
    uint32_t shard = (uint32_t)sim_below(house.shards);
    uint32_t waiting = 0, free_link = NETWORK_NONE;
    for (uint32_t i = NETWORK_LINKS_MAX; i-- > 0;) {
        waiting += links[i].state == LINK_WAITING;
        if (links[i].state == LINK_FREE)
            free_link = i;
    }
    if (!house.up || free_link == NETWORK_NONE || waiting >= WAITING_MAX)
        return NETWORK_NONE;
    links[free_link] =
        (struct link){.state = LINK_WAITING, .device = device, .device_here = true, .shard = shard};
    sim.counts.connections++;
    TRACE3("link %llu: device %llu connects to shard %llu", free_link, device, shard);
    return free_link;
}

size_t network_room(uint32_t index) {
    return pipe_room(&links[index].up);
}

void network_write(uint32_t index, const uint8_t *bytes, size_t count) {
    struct link *link = &links[index];
    if (link->state != LINK_GONE && !link->vanished)
        pipe_put(&link->up, bytes, count);
}

size_t network_peek(uint32_t index, size_t most, const uint8_t **ret_bytes) {
    struct link *link = &links[index];
    if (!pipe_ready(link, &link->down) || link->vanished)
        return 0;
    *ret_bytes = link->down.bytes + link->down.start;
    return link->down.count < most ? link->down.count : most;
}

void network_take(uint32_t index, size_t count) {
    pipe_take(&links[index].down, count);
}

bool network_over(uint32_t index) {
    struct link *link = &links[index];
    return link->state == LINK_GONE && !link->vanished && link->down.count == 0 &&
           sim.now_ms >= link->stalled_until_ms;
}

void network_hang_up(uint32_t index, enum network_end how) {
    struct link *link = &links[index];
    link->device_here = false;
    link->end = how;
    if (how == NETWORK_RESET)
        pipe_lose_some(&link->up);
    if (how == NETWORK_OPEN) {
        pipe_lose_some(&link->up);
        link->vanished = true;
    }
    TRACE2("link %llu: the device lets go, how %llu", index, how);
    free_where_over(link);
}

void network_vanish(uint32_t index) {
    links[index].vanished = true;
    TRACE1("link %llu: nothing gets through any more", index);
}

void network_stall(uint32_t index, uint64_t until_ms) {
    links[index].stalled_until_ms = until_ms;
}

void network_calm(void) {
    for (uint32_t i = 0; i < NETWORK_LINKS_MAX; i++) {
        links[i].stalled_until_ms = 0;
        links[i].up.ready_ms = links[i].down.ready_ms = 0;
    }
}

/* --- the switch's side: input --------------------------------------------------------------------------- */

uint32_t network_lent(uint32_t shard) {
    return lent[shard];
}

void network_give_back(uint32_t shard, struct buf *buf) {
    must(lent[shard] > 0);
    lent[shard]--;
    free(buf);
}

static bool ended(const struct link *link) {
    return !link->device_here && link->end != NETWORK_OPEN && link->up.count == 0 && !link->end_told &&
           sim.now_ms >= link->stalled_until_ms;
}

static bool readable(const struct link *link) {
    return link->state == LINK_OPEN && !link->closing && (!link->paused || link->received_already) &&
           (pipe_ready(link, &link->up) || (ended(link) && !link->paused));
}

static bool writable(const struct link *link) {
    return link->state == LINK_OPEN && link->output_ready && (pipe_room(&link->down) || link->vanished);
}

bool network_wants(uint32_t shard) {
    for (uint32_t i = 0; i < NETWORK_LINKS_MAX; i++) {
        const struct link *link = &links[i];
        if (link->shard == shard &&
            (link->state == LINK_WAITING || readable(link) || writable(link) || link->closing))
            return true;
    }
    return false;
}

static uint32_t free_slot(uint32_t shard) {
    uint64_t used = 0;
    for (uint32_t i = 0; i < NETWORK_LINKS_MAX; i++) {
        if (links[i].state == LINK_OPEN && links[i].shard == shard)
            used |= UINT64_C(1) << links[i].conn;
    }
    for (uint32_t slot = 0; slot < house.config.connections_max; slot++) {
        if (!(used & UINT64_C(1) << slot))
            return slot;
    }
    return NETWORK_NONE;
}

static void switch_lets_go(struct link *link) {
    link->state = LINK_GONE;
    link->output_ready = link->closing = false;
    free_where_over(link);
}

static void accept_one(uint32_t shard, struct link *link) {
    uint32_t slot = free_slot(shard);
    if (slot == NETWORK_NONE) {
        switch_lets_go(link);
        return;
    }
    link->state = LINK_OPEN;
    link->conn = slot;
    if (shard_accepted(house.shard[shard], slot, !sim.plan.encrypted, false) < 0)
        switch_lets_go(link);
}

static void receive(uint32_t shard, struct link *link) {
    struct pipe *pipe = &link->up;
    link->received_already = false;
    if (!pipe_ready(link, pipe)) {
        if (ended(link)) {
            link->end_told = true;
            shard_ended(house.shard[shard], link->conn, link->end == NETWORK_RESET ? ECONNRESET : 0);
        }
        return;
    }
    if (lent[shard] >= house.config.buffers)
        return;
    size_t count = pipe->count < house.config.buffer_bytes ? pipe->count : house.config.buffer_bytes;
    if (!sim.plan.calm && sim_chance(300))
        count = 1 + sim_below(count);
    /* Some have room around what came, as those of the ring have, and some have none. */
    size_t around = count % 2 ? AROUND_BYTES : 0;
    struct buf *buf = malloc(sizeof(*buf) + count + 2 * around);
    must(buf);
    *buf = (struct buf){.data = (uint8_t *)(buf + 1) + around,
                        .capacity = (uint32_t)(count + around),
                        .refs = 1,
                        .owner = (uint16_t)shard,
                        .kind = BUF_RING,
                        .headroom_bytes = (uint16_t)around};
    memcpy(buf->data, pipe->bytes + pipe->start, count);
    pipe_take(pipe, count);
    lent[shard]++;
    shard_input(house.shard[shard], link->conn, buf, 0, (uint32_t)count);
}

void network_input(uint32_t shard) {
    uint32_t first = (uint32_t)sim_below(NETWORK_LINKS_MAX);
    for (uint32_t i = 0; i < NETWORK_LINKS_MAX; i++) {
        struct link *link = &links[(first + i) % NETWORK_LINKS_MAX];
        if (link->shard != shard)
            continue;
        if (link->state == LINK_WAITING)
            accept_one(shard, link);
        for (int chunk = 0; chunk < CHUNKS_MAX && link->shard == shard && readable(link); chunk++) {
            if (!sim.plan.calm && !sim.quiet && sim_chance(300))
                break;
            receive(shard, link);
        }
    }
}

/* --- the switch's side: output -------------------------------------------------------------------------- */

/* What is sent is as much as a send buffer takes; a pipe takes the last one whole. */
static void send_what_there_is(uint32_t shard, struct link *link) {
    static uint8_t space[OUTPUT_BYTES];
    while (link->state == LINK_OPEN && (pipe_room(&link->down) || link->vanished)) {
        size_t room = sim.plan.calm ? OUTPUT_BYTES : 64 + sim_below(16000);
        size_t needed = 0;
        size_t bytes = shard_output(house.shard[shard], link->conn, space, room, &needed);
        if (bytes == 0 && needed)
            bytes = shard_output(house.shard[shard], link->conn, space, needed, &needed);
        if (bytes == 0) {
            link->output_ready = false;
            return;
        }
        must(bytes <= OUTPUT_BYTES);
        if (house_effect() && !link->vanished && link->device_here)
            pipe_put(&link->down, space, bytes);
    }
}

static void close_one(uint32_t shard, struct link *link) {
    if (link->output_ready && sim.now_ms < link->closing_ms + GRACE_MS && !link->vanished)
        return; /* it has something left to say, and the pipe is full */
    uint32_t conn = link->conn;
    link->state = LINK_CLOSING;
    shard_closed(house.shard[shard], conn);
    switch_lets_go(link);
}

void network_output(uint32_t shard) {
    uint32_t first = (uint32_t)sim_below(NETWORK_LINKS_MAX);
    for (uint32_t i = 0; i < NETWORK_LINKS_MAX; i++) {
        struct link *link = &links[(first + i) % NETWORK_LINKS_MAX];
        if (link->shard == shard && writable(link))
            send_what_there_is(shard, link);
    }
    for (uint32_t i = 0; i < NETWORK_LINKS_MAX; i++) {
        if (links[i].shard == shard && links[i].state == LINK_OPEN && links[i].closing)
            close_one(shard, &links[i]);
    }
}

void network_switch_gone(void) {
    for (uint32_t i = 0; i < NETWORK_LINKS_MAX; i++) {
        struct link *link = &links[i];
        if (link->state == LINK_FREE)
            continue;
        pipe_lose_some(&link->down);
        link->up.count = 0;
        switch_lets_go(link);
    }
    memset(lent, 0, sizeof(lent));
}

struct link *network_at(uint32_t shard, uint32_t conn) {
    for (uint32_t i = 0; i < NETWORK_LINKS_MAX; i++) {
        if (links[i].state == LINK_OPEN && links[i].shard == shard && links[i].conn == conn)
            return &links[i];
    }
    return NULL;
}

uint32_t network_slot(uint32_t shard) {
    return free_slot(shard);
}

void network_drop(struct link *link) {
    switch_lets_go(link);
}
