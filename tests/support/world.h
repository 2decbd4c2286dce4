/* tests/support/world.h: a world around the real core in one thread, driven by a seed: shards without sockets, stores
 * without a disk, devices that send, acknowledge, stall, vanish and come back. It supplies core/port.h, so exactly one
 * test program includes it.
 *
 * Threads: one.  Memory: what a crash of the switch leaves behind is not freed: the process would be gone, too. */
#ifndef TERN_TESTS_SUPPORT_WORLD_H
#define TERN_TESTS_SUPPORT_WORLD_H

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/account.h"
#include "core/bytes.h"
#include "core/config.h"
#include "core/lane.h"
#include "core/port.h"
#include "core/shard.h"
#include "core/stats.h"
#include "core/hello.h"

#define WORLD_SHARDS_MAX 4
#define WORLD_ACCOUNTS_MAX 4
#define WORLD_DEVICES_MAX 8
#define WORLD_NUMBERS_MAX 512 /* messages of a device to an account */
#define WORLD_CONNS_MAX 64
#define WORLD_PENDING_BYTES_MAX (1 << 20)

struct world_entry {
    uint64_t account, seq;
    uint16_t device;
    uint32_t bytes;
    uint8_t *frame;
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

/* A client as docs/PROTOCOL.md asks for: keeps what has no sent tick, judges duplicates, repeats what is unconfirmed. */
struct world_device {
    uint64_t account, epoch;
    uint16_t number;
    int shard, conn; /* -1: away */
    bool welcome, stalled;
    uint64_t items, acked;
    uint64_t next[WORLD_ACCOUNTS_MAX + 1];
    uint8_t ticks[WORLD_ACCOUNTS_MAX + 1][WORLD_NUMBERS_MAX];
    uint64_t resend_from[WORLD_ACCOUNTS_MAX + 1]; /* 0: nothing to send again */
    uint64_t resend_at_ms[WORLD_ACCOUNTS_MAX + 1];
    uint64_t seen[WORLD_DEVICES_MAX][WORLD_ACCOUNTS_MAX + 1];
    uint8_t unconfirmed[WORLD_DEVICES_MAX][WORLD_NUMBERS_MAX]; /* delivered to this account, not confirmed */
};

struct world {
    uint64_t seed, state, now_ms;
    uint32_t shard_count, account_count, device_count;
    struct config config;
    struct lanes *lanes;
    struct stats stats[WORLD_SHARDS_MAX];
    struct shard *shards[WORLD_SHARDS_MAX];
    struct world_conn conns[WORLD_SHARDS_MAX][WORLD_CONNS_MAX];
    bool ready[WORLD_SHARDS_MAX][WORLD_CONNS_MAX];
    struct world_device devices[WORLD_DEVICES_MAX];
    struct world_entry *entries;
    size_t entry_count, entry_capacity;
    struct note *store_waiting;
    uint32_t store_count, store_capacity;
    uint32_t failed_generation[WORLD_SHARDS_MAX];
    bool store_full;
    uint64_t crashes, drained;
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

/* --- io's side of core/port.h ------------------------------------------------------------------------------------------ */

void port_output_ready(struct shard *shard, uint32_t conn) {
    world.ready[shard_index(shard)][conn] = true;
}

void port_input_pause(struct shard *shard, uint32_t conn) {
    world.conns[shard_index(shard)][conn].paused = true;
}

void port_input_resume(struct shard *shard, uint32_t conn) {
    world.conns[shard_index(shard)][conn].paused = false;
}

void port_close(struct shard *shard, uint32_t conn) {
    world.conns[shard_index(shard)][conn].closing = true;
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

void port_move_arrived(struct shard *shard, struct session_move *move) {
    uint32_t to = shard_index(shard);
    struct world_conn *old = move->io;
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

/* --- storage's side: committed entries in an array, ordered by account, device, seq ------------------------------------------ */

static int world_compare(const struct world_entry *entry, uint64_t account, uint16_t device, uint64_t seq) {
    if (entry->account != account)
        return entry->account < account ? -1 : 1;
    if (entry->device != device)
        return entry->device < device ? -1 : 1;
    return entry->seq < seq ? -1 : entry->seq > seq;
}

static size_t world_lower(uint64_t account, uint16_t device, uint64_t seq) {
    size_t at = 0;
    while (at < world.entry_count && world_compare(&world.entries[at], account, device, seq) < 0)
        at++;
    return at;
}

int port_store_read(struct shard *shard, uint64_t account, uint16_t device, uint64_t seq, struct store_view *ret_view) {
    (void)shard;
    size_t at = world_lower(account, device, seq);
    if (at == world.entry_count || world.entries[at].account != account || world.entries[at].device != device)
        return -ENOENT;
    const struct world_entry *entry = &world.entries[at];
    *ret_view = (struct store_view){.seq = entry->seq, .frame = entry->frame, .frame_bytes = entry->bytes};
    world.drained++;
    return 0;
}

void port_store_read_end(struct shard *shard) {
    (void)shard;
}

uint32_t port_store_party(const struct shard *shard, uint64_t account) {
    (void)shard;
    (void)account;
    return world.shard_count;
}

uint32_t port_directory_party(const struct shard *shard) {
    (void)shard;
    return world.shard_count;
}

static int world_put(const struct note *note, uint32_t from) {
    if (note->put.generation <= world.failed_generation[from])
        return -ECANCELED;
    if (world.store_full && note->put.frame[2] == FRAME_MESSAGE) {
        world.failed_generation[from] = note->put.generation;
        return -ENOSPC;
    }
    size_t at = world_lower(note->put.account, note->device, note->put.seq);
    if (at < world.entry_count && world_compare(&world.entries[at], note->put.account, note->device, note->put.seq) == 0)
        world_fail("queue number %llu was used twice", (unsigned long long)note->put.seq);
    if (world.entry_count == world.entry_capacity) {
        world.entry_capacity = world.entry_capacity ? world.entry_capacity * 2 : 256;
        world.entries = realloc(world.entries, world.entry_capacity * sizeof(*world.entries));
    }
    memmove(world.entries + at + 1, world.entries + at, (world.entry_count - at) * sizeof(*world.entries));
    struct world_entry *entry = &world.entries[at];
    *entry = (struct world_entry){note->put.account, note->put.seq, note->device, note->put.frame_bytes, NULL};
    entry->frame = malloc(entry->bytes);
    memcpy(entry->frame, note->put.frame, entry->bytes);
    world.entry_count++;
    return 0;
}

static void world_delete(const struct note *note) {
    size_t at = world_lower(note->erase.account, note->device, note->erase.first);
    while (at < world.entry_count &&
           world_compare(&world.entries[at], note->erase.account, note->device, note->erase.last) <= 0) {
        free(world.entries[at].frame);
        memmove(world.entries + at, world.entries + at + 1, (world.entry_count - at - 1) * sizeof(*world.entries));
        world.entry_count--;
    }
}

static void world_fetch(struct request *request) {
    size_t at = world_lower(request->account, request->device_number, request->first);
    request->count = 0;
    for (; at < world.entry_count && request->count < request->value && request->count < request->capacity; at++) {
        const struct world_entry *entry = &world.entries[at];
        if (entry->account != request->account || entry->device != request->device_number || entry->seq > request->last)
            break;
        request->entries[request->count++] = (struct queue_entry){.seq = entry->seq, .frame_bytes = entry->bytes};
    }
    request->status = 0;
}

/* Commits everything that waits, in order, and answers. */
static void world_store_commit(void) {
    uint32_t party = world.shard_count;
    for (uint32_t i = 0; i < world.store_count; i++) {
        struct note note = world.store_waiting[i];
        uint32_t from = (uint32_t)note.flags; /* see world_store_take */
        note.flags = 0;
        if (note.kind == NOTE_PUT) {
            note.status = world_put(&note, from);
            note.kind = NOTE_PUT_DONE;
            lanes_post(world.lanes, party, from, &note);
        } else if (note.kind == NOTE_DELETE) {
            world_delete(&note);
        } else if (note.kind == NOTE_REQUEST) {
            world_fetch(note.request);
            note.kind = NOTE_REQUEST_DONE;
            lanes_post(world.lanes, party, from, &note);
        }
    }
    world.store_count = 0;
}

static void world_store_take(void) {
    struct note note;
    uint32_t from;
    while (lanes_take(world.lanes, world.shard_count, &note, &from)) {
        if (world.store_count == world.store_capacity) {
            world.store_capacity = world.store_capacity ? world.store_capacity * 2 : 256;
            world.store_waiting = realloc(world.store_waiting, world.store_capacity * sizeof(note));
        }
        note.flags = (uint8_t)from; /* the notes a store gets use no flags */
        world.store_waiting[world.store_count++] = note;
    }
}

/* --- the switch starts, turns and crashes ------------------------------------------------------------------------------------- */

static void world_start(void) {
    static const uint8_t secret[32] = {1};
    if (lanes_create(world.shard_count + 2, 16, &world.lanes) < 0)
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
        };
        if (shard_create(&setup, &world.shards[i]) < 0)
            abort();
        world.failed_generation[i] = 0;
        for (uint64_t account = 1; account <= world.account_count; account++) {
            struct account_record record = {.account = account};
            snprintf(record.name, sizeof(record.name), "account%u", (unsigned)account);
            shard_load_account(world.shards[i], &record);
        }
        for (uint32_t d = 0; d < world.device_count; d++) {
            struct device_record record = {.account = world.devices[d].account, .device = world.devices[d].number};
            shard_load_device(world.shards[i], &record);
        }
    }
    for (size_t at = 0; at < world.entry_count;) {
        size_t end = at;
        while (end + 1 < world.entry_count && world.entries[end + 1].account == world.entries[at].account &&
               world.entries[end + 1].device == world.entries[at].device)
            end++;
        for (uint32_t i = 0; i < world.shard_count; i++)
            shard_load_queue(world.shards[i], world.entries[at].account, world.entries[at].device,
                             world.entries[at].seq, world.entries[end].seq);
        at = end + 1;
    }
}

static void world_device_away(struct world_device *device) {
    device->shard = device->conn = -1;
    device->welcome = false;
}

static void world_crash(void) {
    world.crashes++;
    world.store_count = 0; /* nothing uncommitted is left */
    for (uint32_t i = 0; i < world.device_count; i++)
        world_device_away(&world.devices[i]);
    memset(world.conns, 0, sizeof(world.conns));
    memset(world.ready, 0, sizeof(world.ready));
    memset(world.stats, 0, sizeof(world.stats));
    world.shard_count = 1 + (uint32_t)(world_random() % 3);
    world_start();
}

/* --- devices ---------------------------------------------------------------------------------------------------------------- */

static void world_write(struct world_device *device, const uint8_t *bytes, size_t count) {
    struct world_pipe *in = &world.conns[device->shard][device->conn].in;
    in->bytes = realloc(in->bytes, in->count + count);
    memcpy(in->bytes + in->count, bytes, count);
    in->count += count;
}

static void world_write_record(struct world_device *device, const uint8_t *frame, size_t bytes) {
    uint8_t length[2];
    bytes_put16(length, (uint16_t)bytes);
    world_write(device, length, sizeof(length));
    world_write(device, frame, bytes);
}

static void world_connect(struct world_device *device) {
    uint32_t shard = (uint32_t)(world_random() % world.shard_count);
    uint32_t slot = world_free_conn(shard);
    if (shard_accepted(world.shards[shard], slot, "world", true) < 0)
        return;
    world.conns[shard][slot] = (struct world_conn){.used = true, .device = device, .plaintext_hello = true};
    device->shard = (int)shard;
    device->conn = (int)slot;
    device->welcome = false;
    device->items = device->acked = 0;
    uint8_t hello[HELLO_BYTES];
    struct hello_client client = {.version_min = 1, .version_max = 1, .pattern = HELLO_PLAINTEXT};
    hello_write_client(hello, &client);
    world_write(device, hello, sizeof(hello));
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    struct frame_link link = {.account = device->account, .epoch = device->epoch, .device = device->number};
    world_write_record(device, out, frame_write_link(out, FRAME_LOGIN, &link));
}

static void world_cut(struct world_device *device) {
    if (device->shard < 0)
        return;
    struct world_conn *conn = &world.conns[device->shard][device->conn];
    conn->cut = true;
    conn->device = NULL;
    if (world_chance(50))
        conn->in.count = conn->in.count ? world_random() % conn->in.count : 0; /* the rest was never received */
    world_device_away(device);
}

static void world_send_number(struct world_device *device, uint64_t to, uint64_t number, bool first) {
    uint8_t out[FRAME_MESSAGE_BYTES + 16];
    struct frame_message message = {
        .id = {.to = to, .number = number}, .payload = (const uint8_t *)"0123456789", .payload_bytes = 10, .first = first};
    world_write_record(device, out, frame_write_message(out, &message));
}

static void world_resend(struct world_device *device, uint64_t to) {
    bool first = true;
    for (uint64_t n = 1; n < device->next[to]; n++) {
        if (device->ticks[to][n] & RECEIPT_SENT)
            continue;
        world_send_number(device, to, n, first);
        first = false;
    }
    device->resend_from[to] = 0;
}

static void world_send_new(struct world_device *device, uint64_t to) {
    if (device->next[to] >= WORLD_NUMBERS_MAX)
        return;
    uint64_t number = device->next[to]++;
    if (device->shard >= 0 && device->welcome && !device->resend_from[to])
        world_send_number(device, to, number, false);
    else if (!device->resend_from[to])
        device->resend_from[to] = number;
}

static struct world_device *world_find(uint64_t account, uint16_t number, uint32_t *ret_index) {
    for (uint32_t i = 0; i < world.device_count; i++) {
        if (world.devices[i].account == account && world.devices[i].number == number) {
            *ret_index = i;
            return &world.devices[i];
        }
    }
    return NULL;
}

static void world_take_welcome(struct world_device *device) {
    device->welcome = true;
    for (uint32_t from = 0; from < world.device_count; from++) {
        for (uint64_t n = 1; n < WORLD_NUMBERS_MAX; n++) {
            if (!device->unconfirmed[from][n])
                continue;
            uint8_t out[FRAME_SMALL_BYTES_MAX];
            struct frame_range range = {
                .id = {.from = world.devices[from].account, .to = device->account, .epoch = world.devices[from].epoch,
                       .number = n, .from_device = world.devices[from].number},
                .last = n};
            world_write_record(device, out, frame_write_range(out, FRAME_MARK, RECEIPT_DELIVERED, &range));
        }
    }
    for (uint64_t to = 1; to <= world.account_count; to++) {
        device->resend_from[to] = 1;
        device->resend_at_ms[to] = 0;
        world_resend(device, to);
    }
}

static void world_take_message(struct world_device *device, const struct frame *frame) {
    struct frame_message body;
    uint32_t from;
    if (frame_read_message(frame, &body) < 0 || !world_find(body.id.from, body.id.from_device, &from)) {
        world_fail("a message is malformed");
        return;
    }
    uint64_t *seen = &device->seen[from][body.id.to];
    if (body.id.number > *seen + 1)
        world_fail("account %llu device %u got %llu after %llu of device index %u to %llu",
                   (unsigned long long)device->account, device->number, (unsigned long long)body.id.number,
                   (unsigned long long)*seen, from, (unsigned long long)body.id.to);
    if (body.id.number > *seen)
        *seen = body.id.number;
    if (body.id.to == device->account)
        device->unconfirmed[from][body.id.number] = 1;
}

static void world_take_range(struct world_device *device, const struct frame *frame) {
    struct frame_range range;
    uint32_t from;
    if (frame_read_range(frame, &range) < 0 || !world_find(range.id.from, range.id.from_device, &from)) {
        world_fail("a range is malformed");
        return;
    }
    for (uint64_t n = range.id.number; n <= range.last && n < WORLD_NUMBERS_MAX; n++) {
        if (frame->type == FRAME_CONFIRM)
            device->unconfirmed[from][n] = 0;
        else if (range.id.from == device->account)
            world.devices[from].ticks[range.id.to][n] |= range.id.from_device == device->number ? frame->flags : 0;
    }
}

static void world_take_refused(struct world_device *device, const struct frame *frame) {
    struct frame_refused refused;
    if (frame_read_refused(frame, &refused) < 0 || refused.retry_ms == 0) {
        world_fail("a refusal that can't be: reason %u", refused.reason);
        return;
    }
    device->resend_from[refused.to] = 1;
    device->resend_at_ms[refused.to] = world.now_ms + refused.retry_ms;
}

static void world_take_frame(struct world_device *device, const struct frame *frame) {
    switch (frame->type) {
    case FRAME_WELCOME:
        world_take_welcome(device);
        break;
    case FRAME_MESSAGE:
        device->items++;
        world_take_message(device, frame);
        break;
    case FRAME_RECEIPT:
        device->items++;
        world_take_range(device, frame);
        break;
    case FRAME_CONFIRM:
        world_take_range(device, frame);
        break;
    case FRAME_REFUSED:
        world_take_refused(device, frame);
        break;
    default:
        break;
    }
}

static void world_device_acks(struct world_device *device) {
    if (device->shard < 0 || !device->welcome || device->stalled || device->items == device->acked)
        return;
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    device->acked += 1 + world_random() % (device->items - device->acked);
    world_write_record(device, out, frame_write_ack(out, device->acked));
}

/* --- turns ------------------------------------------------------------------------------------------------------------------------ */

static void world_output(uint32_t shard, uint32_t slot) {
    static uint8_t space[70000];
    struct world_conn *conn = &world.conns[shard][slot];
    size_t needed, bytes;
    while (conn->used && (bytes = shard_output(world.shards[shard], slot, space, sizeof(space), &needed))) {
        if (conn->plaintext_hello) {
            conn->plaintext_hello = false;
            continue;
        }
        struct world_device *device = conn->device;
        uint8_t *at = space + 2;
        size_t left = bytes - 2;
        struct frame frame;
        while (device && frame_next(&at, &left, &frame) == 0)
            world_take_frame(device, &frame);
    }
}

static void world_input(uint32_t shard, uint32_t slot) {
    struct world_conn *conn = &world.conns[shard][slot];
    if (conn->in.count && !conn->paused && !conn->closing) {
        size_t count = 1 + world_random() % conn->in.count;
        struct buf *buf = calloc(1, sizeof(*buf) + count);
        *buf = (struct buf){.data = (uint8_t *)(buf + 1), .capacity = (uint32_t)count, .refs = 1, .owner = (uint16_t)shard, .kind = BUF_RING};
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
    shard_turn_begin(world.shards[shard], world.now_ms, UINT64_C(1700000000000) + world.now_ms);
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
        if (conns[i].device)
            world_device_away(conns[i].device);
        free(conns[i].in.bytes);
        memset(&conns[i], 0, sizeof(conns[i]));
        shard_closed(world.shards[shard], i);
    }
    lanes_publish(world.lanes, shard, world_ring, NULL);
}

/* One step of everything; chances in percent. */
static void world_step(unsigned commit_chance) {
    world.now_ms += 1 + world_random() % 20;
    for (uint32_t i = 0; i < world.shard_count; i++)
        world_turn(i);
    world_store_take();
    if (world_chance(commit_chance))
        world_store_commit();
    lanes_publish(world.lanes, world.shard_count, world_ring, NULL);
    for (uint32_t i = 0; i < world.device_count; i++) {
        struct world_device *device = &world.devices[i];
        world_device_acks(device);
        for (uint64_t to = 1; to <= world.account_count; to++) {
            if (device->welcome && device->resend_from[to] && world.now_ms >= device->resend_at_ms[to])
                world_resend(device, to);
        }
    }
}

static void world_begin(uint64_t seed) {
    memset(&world, 0, sizeof(world));
    world.seed = world.state = seed;
    world.now_ms = 1000;
    config_defaults(&world.config);
    world.config.connections_max = WORLD_CONNS_MAX;
    world.config.window_messages = 1 + world_random() % 40;
    world.config.unticked_max = 1 + world_random() % 60;
    world.config.spill_ms = 20 + world_random() % 500;
    world.config.hold_ms = 1 + world_random() % 50;
    world.shard_count = 1 + (uint32_t)(world_random() % 3);
    world.account_count = 2 + (uint32_t)(world_random() % 3);
    for (uint64_t account = 1; account <= world.account_count; account++) {
        uint32_t count = 1 + (uint32_t)(world_random() % 2);
        for (uint32_t d = 1; d <= count; d++) {
            struct world_device *device = &world.devices[world.device_count++];
            device->account = account;
            device->number = (uint16_t)d;
            device->epoch = 1000 + world.device_count;
            for (uint64_t to = 0; to <= WORLD_ACCOUNTS_MAX; to++)
                device->next[to] = 1;
            world_device_away(device);
        }
    }
    world_start();
}

#endif
