/* tests/support/world_device.h: the devices of the world, and what must hold whenever one is told something:
 * messages in order and without gaps, a sent tick only where every target has the message or its queue has.
 *
 * Threads: one.  Memory: world.h's. */
#ifndef TERN_TESTS_SUPPORT_WORLD_DEVICE_H
#define TERN_TESTS_SUPPORT_WORLD_DEVICE_H

#include "tests/support/world_store.h"

/* --- speaking ------------------------------------------------------------------------------------------- */

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

static inline void world_connect(struct world_device *device) {
    uint32_t shard = (uint32_t)(world_random() % world.shard_count);
    uint32_t slot = world_free_conn(shard);
    if (device->revoked || shard_accepted(world.shards[shard], slot, true, true) < 0)
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
    link.code[0] = (uint8_t)(device - world.devices);
    enum frame_type type = device->late && !device->linked ? FRAME_LINK : FRAME_LOGIN;
    world_write_record(device, out, frame_write_link(out, type, &link));
}

static inline void world_cut(struct world_device *device) {
    if (device->shard < 0)
        return;
    struct world_conn *conn = &world.conns[device->shard][device->conn];
    conn->cut = true;
    conn->device = NULL;
    if (world_chance(50))
        conn->in.count = conn->in.count ? world_random() % conn->in.count : 0; /* never received */
    world_device_away(device);
}

static void world_send_number(struct world_device *device, uint64_t to, uint64_t number, bool first) {
    uint8_t out[FRAME_MESSAGE_BYTES + 16];
    struct frame_message message = {.id = {.to = to, .number = number},
                                    .payload = (const uint8_t *)"0123456789",
                                    .payload_bytes = 10,
                                    .ttl_s = device->facts[to][number].may_expire ? 1 : 0,
                                    .first = first};
    world_write_record(device, out, frame_write_message(out, &message));
}

/* Nothing more is to be done for this message by who sent it. */
static bool world_is_ticked(const struct world_device *device, uint64_t to, uint64_t number) {
    return device->facts[to][number].refused ||
           (device->ticks[device - world.devices][to][number] & (RECEIPT_SENT | RECEIPT_FAILED));
}

/* Sends what it may, in order; a polite device keeps to the limit of unticked messages that WELCOME told
 * it. */
static void world_pump(struct world_device *device) {
    for (uint64_t to = 1; device->welcome && to <= world.account_count; to++) {
        while (device->cursor[to] < device->next[to] && device->out_count < device->out_max &&
               world.now_ms >= device->send_at_ms[to]) {
            uint64_t number = device->cursor[to]++;
            if (world_is_ticked(device, to, number))
                continue;
            device->out_count += !device->out[to][number];
            device->out[to][number] = true;
            world_send_number(device, to, number, device->again[to]);
            device->again[to] = false;
        }
    }
}

static void world_heard(struct world_device *device, uint64_t to, uint64_t number) {
    device->out_count -= device->out[to][number];
    device->out[to][number] = false;
}

static void world_send_again(struct world_device *device, uint64_t to, uint64_t wait_ms) {
    device->cursor[to] = 1;
    device->again[to] = true;
    device->send_at_ms[to] = world.now_ms + wait_ms;
}

static inline void world_send_new(struct world_device *device, uint64_t to) {
    if (device->next[to] >= WORLD_NUMBERS_MAX)
        return;
    uint64_t number = device->next[to]++;
    device->facts[to][number].may_expire = (world.troubles & WORLD_GIVES_UP) && world_chance(30);
}

static void world_send_mark(struct world_device *device, uint32_t from, uint64_t number, uint8_t flags) {
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    const struct world_device *sender = &world.devices[from];
    struct frame_range range = {.id = {.from = sender->account,
                                       .to = device->account,
                                       .epoch = sender->epoch,
                                       .number = number,
                                       .from_device = sender->number},
                                .last = number};
    world_write_record(device, out, frame_write_range(out, FRAME_MARK, flags, &range));
}

static inline void world_send_block(struct world_device *device, uint64_t other, bool on) {
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    struct frame_block block = {.account = other, .on = on};
    if (device->welcome)
        world_write_record(device, out, frame_write_block(out, FRAME_BLOCK, &block));
}

static void world_device_acks(struct world_device *device) {
    if (!device->welcome || device->stalled || device->items == device->acked)
        return;
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    device->acked += 1 + world_random() % (device->items - device->acked);
    world_write_record(device, out, frame_write_ack(out, device->acked));
}

/* --- what must hold ------------------------------------------------------------------------------------- */

static bool world_is_target(const struct world_device *target, const struct world_device *sender,
                            uint64_t to) {
    return target->account == to || (target->account == sender->account && target != sender);
}

/* This target may lack the message though its sender is told that all is well. */
static bool world_is_excused(const struct world_device *target, const struct world_device *sender,
                             uint64_t to, uint64_t number) {
    const struct world_fact *fact = &sender->facts[to][number];
    return fact->may_expire || fact->refused || target->purged || target->revoked || target->late;
}

/* P1, at the moment the tick is seen. */
static void world_check_sent(uint32_t from, uint64_t to, uint64_t number) {
    const struct world_device *sender = &world.devices[from];
    struct message_id id = {.from = sender->account,
                            .to = to,
                            .epoch = sender->epoch,
                            .number = number,
                            .from_device = sender->number};
    for (uint32_t d = 0; d < world.device_count; d++) {
        const struct world_device *target = &world.devices[d];
        if (!world_is_target(target, sender, to) || world_is_excused(target, sender, to, number) ||
            target->seen[from][to] >= number || world_queued(target->account, target->number, &id))
            continue;
        world_fail("message %llu of device index %u to %llu has its sent tick, device index %u has it not",
                   (unsigned long long)number, from, (unsigned long long)to, d);
    }
}

/* Nobody has to get this message, or not this device. */
static bool world_is_given_up(const struct world_device *device, uint32_t from, uint64_t to,
                              uint64_t number) {
    const struct world_fact *fact = &world.devices[from].facts[to][number];
    bool failed = world.devices[from].ticks[from][to][number] & RECEIPT_FAILED;
    return failed || fact->may_expire || fact->refused || device->purged || device->late;
}

/* P4 and P5: the mark rises by one, whatever came twice. Where messages are given up, the word of that may
 * still be on its way to who sent them: the end tells. */
static void world_check_order(struct world_device *device, uint32_t from, uint64_t to, uint64_t number) {
    uint64_t seen = device->seen[from][to];
    for (uint64_t n = seen + 1; n < number; n++) {
        device->skipped[from][to][n] = true;
        if ((world.troubles & (WORLD_GIVES_UP | WORLD_DEVICES_CHANGE)) ||
            world_is_given_up(device, from, to, n))
            continue;
        world_fail("account %llu device %u got %llu after %llu of device index %u to %llu",
                   (unsigned long long)device->account, device->number, (unsigned long long)number,
                   (unsigned long long)seen, from, (unsigned long long)to);
        return;
    }
}

/* --- listening ------------------------------------------------------------------------------------------ */

static void world_take_welcome(struct world_device *device, const struct frame *frame) {
    struct frame_welcome body;
    if (frame_read_welcome(frame, &body) < 0 || body.device != device->number)
        world_fail("a welcome is malformed or not for this device");
    device->welcome = device->linked = true;
    device->out_max = body.unticked_max;
    device->out_count = 0;
    memset(device->out, 0, sizeof(device->out));
    for (uint32_t from = 0; from < world.device_count; from++) {
        for (uint64_t n = 1; n < WORLD_NUMBERS_MAX; n++) {
            uint8_t flags = device->unconfirmed[from][n];
            if (flags & RECEIPT_DELIVERED)
                world_send_mark(device, from, n, RECEIPT_DELIVERED);
            if (flags & RECEIPT_READ)
                world_send_mark(device, from, n, RECEIPT_READ);
        }
    }
    for (uint64_t to = 1; to <= world.account_count; to++)
        world_send_again(device, to, 0);
}

static void world_take_message(struct world_device *device, const struct frame *frame) {
    struct frame_message body;
    uint32_t from;
    if (frame_read_message(frame, &body) < 0 || !world_find(body.id.from, body.id.from_device, &from)) {
        world_fail("a message is malformed");
        return;
    }
    uint64_t number = body.id.number;
    uint64_t *seen = &device->seen[from][body.id.to];
    if (number > *seen) {
        world_check_order(device, from, body.id.to, number);
        *seen = number;
    }
    if (body.id.to != device->account)
        return;
    device->unconfirmed[from][number] |= RECEIPT_DELIVERED;
    if (world_chance(20)) {
        device->unconfirmed[from][number] |= RECEIPT_READ;
        world_send_mark(device, from, number, RECEIPT_READ);
    }
}

static void world_take_range(struct world_device *device, const struct frame *frame) {
    struct frame_range range;
    uint32_t from;
    if (frame_read_range(frame, &range) < 0 || !world_find(range.id.from, range.id.from_device, &from) ||
        range.last >= WORLD_NUMBERS_MAX) {
        world_fail("a range is malformed");
        return;
    }
    for (uint64_t n = range.id.number; n <= range.last; n++) {
        if (frame->type == FRAME_CONFIRM) {
            device->unconfirmed[from][n] &= (uint8_t)~frame->flags;
            continue;
        }
        if (range.id.from != device->account)
            world_fail("a receipt for another account");
        device->ticks[from][range.id.to][n] |= frame->flags;
        if (world_is_ticked(device, range.id.to, n) && &world.devices[from] == device)
            world_heard(device, range.id.to, n);
        if (frame->flags & RECEIPT_SENT)
            world_check_sent(from, range.id.to, n);
    }
}

static void world_take_refused(struct world_device *device, const struct frame *frame) {
    struct frame_refused refused;
    if (frame_read_refused(frame, &refused) < 0 || refused.to > world.account_count) {
        world_fail("a refusal is malformed");
        return;
    }
    world_heard(device, refused.to, refused.number);
    if (refused.retry_ms == 0) {
        bool may_be = refused.reason == REFUSAL_BLOCKED && (world.troubles & WORLD_GIVES_UP);
        may_be |= refused.reason == REFUSAL_NO_DEVICE && (world.troubles & WORLD_DEVICES_CHANGE);
        if (!may_be)
            world_fail("a refusal that can't be: reason %u", refused.reason);
        device->facts[refused.to][refused.number].refused = true;
        return;
    }
    world_send_again(device, refused.to, refused.retry_ms);
}

static void world_take_close(struct world_device *device, const struct frame *frame) {
    struct frame_close body;
    if (frame_read_close(frame, &body) < 0)
        world_fail("a close is malformed");
    else if (body.reason != CLOSE_REPLACED && (body.reason != CLOSE_REVOKED || !device->revoked))
        world_fail("a device index %u was closed: %s", (unsigned)(device - world.devices),
                   close_reason_name(body.reason));
}

static void world_take_ping(struct world_device *device, const struct frame *frame) {
    uint64_t opaque;
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    if (frame_read_ping(frame, &opaque) == 0)
        world_write_record(device, out, frame_write_ping(out, FRAME_PONG, opaque));
}

static void world_take_frame(struct world_device *device, const struct frame *frame) {
    switch (frame->type) {
    case FRAME_WELCOME:
        world_take_welcome(device, frame);
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
    case FRAME_PING:
        world_take_ping(device, frame);
        break;
    case FRAME_CLOSE:
        world_take_close(device, frame);
        break;
    default:
        break;
    }
}

#endif
