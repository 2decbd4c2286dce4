#include "tests/support/client_rig.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/hello.h"

static void open_state(struct client_rig *rig) {
    cr_assert_eq(state_open(rig->folder, &rig->state), 0);
    cr_assert_eq(engine_create(rig->state, &rig->engine), 0);
}

void client_rig_begin(struct client_rig *rig) {
    *rig = (struct client_rig){.now_ms = 1000,
                               .unticked_max = 1000,
                               .payload_bytes_max = 4096,
                               .ping_s = 30,
                               .folder = "/tmp/tern-client-XXXXXX"};
    cr_assert(mkdtemp(rig->folder));
    open_state(rig);
    struct identity identity = {.is_linked = true,
                                .account = RIG_ACCOUNT,
                                .device = RIG_DEVICE,
                                .epoch = RIG_EPOCH,
                                .port = 7440,
                                .name = "me",
                                .host = "127.0.0.1"};
    cr_assert_eq(state_begin(rig->state), 0);
    state_set_identity(rig->state, &identity);
    cr_assert_eq(state_commit(rig->state), 0);
}

void client_rig_end(struct client_rig *rig) {
    engine_destroy(rig->engine);
    state_close(rig->state);
    free(rig->bytes);
    char command[96];
    snprintf(command, sizeof(command), "rm -r %s", rig->folder);
    cr_assert_eq(system(command), 0);
}

void client_rig_disconnect(struct client_rig *rig) {
    engine_disconnected(rig->engine);
    rig->frame_count = rig->frame_at = rig->byte_count = 0;
}

void client_rig_restart(struct client_rig *rig) {
    client_rig_disconnect(rig);
    engine_destroy(rig->engine);
    state_close(rig->state);
    open_state(rig);
}

/* --- the switch's side ---------------------------------------------------------------------------------- */

static void take_frames(struct client_rig *rig, uint8_t *bytes, size_t count) {
    while (count) {
        size_t record = bytes_get16(bytes);
        cr_assert_leq(2 + record, count, "records are whole");
        uint8_t *at = bytes + 2;
        size_t left = record;
        while (left) {
            cr_assert_lt(rig->frame_count, RIG_FRAMES_MAX);
            cr_assert_eq(frame_next(&at, &left, &rig->frames[rig->frame_count]), 0);
            rig->frame_count++;
        }
        bytes += 2 + record;
        count -= 2 + record;
    }
}

/* Everything the device has to say just now. Frames that were not looked at are forgotten. */
static void listen_to_device(struct client_rig *rig) {
    const uint8_t *out;
    size_t count;
    rig->frame_count = rig->frame_at = rig->byte_count = 0;
    while ((count = engine_output(rig->engine, &out)) > 0) {
        uint8_t *more = realloc(rig->bytes, rig->byte_count + count);
        cr_assert(more);
        rig->bytes = more;
        memcpy(rig->bytes + rig->byte_count, out, count);
        rig->byte_count += count;
        engine_sent(rig->engine, count);
    }
}

int client_rig_say(struct client_rig *rig, const uint8_t *frame, size_t frame_bytes) {
    uint8_t record[2 + FRAME_BYTES_MAX];
    bytes_put16(record, (uint16_t)frame_bytes);
    memcpy(record + 2, frame, frame_bytes);
    return engine_input(rig->engine, record, 2 + frame_bytes, rig->now_ms);
}

static void say_hello(struct client_rig *rig) {
    struct hello_server hello = {.version = HELLO_VERSION, .pattern = HELLO_PLAINTEXT};
    uint8_t bytes[HELLO_BYTES];
    listen_to_device(rig);
    cr_assert_eq(rig->byte_count, HELLO_BYTES);
    hello_write_server(bytes, &hello);
    cr_assert_eq(engine_input(rig->engine, bytes, sizeof(bytes), rig->now_ms), 0);
}

static void say_welcome(struct client_rig *rig) {
    struct frame_welcome welcome = {
        .account = RIG_ACCOUNT,
        .device = RIG_DEVICE,
        .payload_bytes_max = rig->payload_bytes_max,
        .unticked_max = rig->unticked_max,
        .ping_s = rig->ping_s,
        .name = "me",
        .name_bytes = 2,
    };
    uint8_t out[FRAME_SMALL_BYTES_MAX] = {0};
    cr_assert_eq(client_rig_say(rig, out, frame_write_welcome(out, &welcome)), 0);
}

void client_rig_connect(struct client_rig *rig) {
    struct frame_link link;
    cr_assert_eq(engine_connected(rig->engine, HELLO_PLAINTEXT, NULL, rig->now_ms, RIG_UTC_MS + rig->now_ms),
                 0);
    say_hello(rig);
    cr_assert_eq(client_rig_turn(rig), 0);
    struct frame login = rig->frames[rig->frame_at++];
    cr_assert_eq(rig->frame_count, 1, "nothing but the first frame before WELCOME");
    cr_assert_eq(frame_read_link(&login, &link), 0);
    cr_assert_eq(link.account, RIG_ACCOUNT);
    cr_assert_eq(link.epoch, RIG_EPOCH);
    say_welcome(rig);
    cr_assert_eq(client_rig_turn(rig), 0);
}

int client_rig_say_message(struct client_rig *rig, uint64_t number, const char *text) {
    uint8_t out[FRAME_MESSAGE_BYTES + 4096] = {0};
    struct frame_message message = {
        .id = {.from = RIG_OTHER, .to = RIG_ACCOUNT, .epoch = 5, .number = number, .from_device = 1},
        .accepted_ms = 1700000000000 + number,
        .payload = (const uint8_t *)text,
        .payload_bytes = (uint32_t)strlen(text),
    };
    return client_rig_say(rig, out, frame_write_message(out, &message));
}

int client_rig_say_receipt(struct client_rig *rig, uint64_t first, uint64_t last, uint8_t flags) {
    uint8_t out[FRAME_SMALL_BYTES_MAX] = {0};
    struct frame_range range = {
        .id = {.from = RIG_ACCOUNT,
               .to = RIG_OTHER,
               .epoch = RIG_EPOCH,
               .number = first,
               .from_device = RIG_DEVICE},
        .last = last,
        .time_ms = 1,
    };
    return client_rig_say(rig, out, frame_write_range(out, FRAME_RECEIPT, flags, &range));
}

int client_rig_say_refused(struct client_rig *rig, uint64_t number, uint16_t reason, uint32_t retry_ms) {
    uint8_t out[FRAME_SMALL_BYTES_MAX] = {0};
    struct frame_refused refused = {
        .to = RIG_OTHER, .number = number, .retry_ms = retry_ms, .reason = reason};
    return client_rig_say(rig, out, frame_write_refused(out, &refused));
}

int client_rig_turn(struct client_rig *rig) {
    int error = engine_turn(rig->engine, rig->now_ms);
    listen_to_device(rig);
    take_frames(rig, rig->bytes, rig->byte_count);
    return error;
}

/* --- what the device said ------------------------------------------------------------------------------- */

struct frame client_rig_expect(struct client_rig *rig, enum frame_type type) {
    cr_assert_lt(rig->frame_at, rig->frame_count, "the device said nothing more, not %d", (int)type);
    struct frame frame = rig->frames[rig->frame_at++];
    cr_assert_eq(frame.type, type, "frame of type %d, not %d", frame.type, type);
    return frame;
}

void client_rig_expect_message(struct client_rig *rig, uint64_t number, bool first) {
    struct frame_message message;
    struct frame frame = client_rig_expect(rig, FRAME_MESSAGE);
    cr_assert_eq(frame_read_message(&frame, &message), 0);
    cr_assert(frame_message_is_bare(&frame));
    cr_assert_eq(message.id.to, RIG_OTHER);
    cr_assert_eq(message.id.number, number, "message %lu, not %lu", (unsigned long)message.id.number,
                 (unsigned long)number);
    cr_assert_eq((frame.flags & MESSAGE_FIRST) != 0, first);
}

void client_rig_expect_ack(struct client_rig *rig, uint64_t count) {
    uint64_t acked;
    struct frame frame = client_rig_expect(rig, FRAME_ACK);
    cr_assert_eq(frame_read_ack(&frame, &acked), 0);
    cr_assert_eq(acked, count);
}

void client_rig_expect_nothing(struct client_rig *rig) {
    cr_assert_eq(rig->frame_at, rig->frame_count, "the device said something more, of type %d",
                 rig->frames[rig->frame_at].type);
}

/* --- the device's side ---------------------------------------------------------------------------------- */

uint64_t client_rig_send(struct client_rig *rig, const char *text) {
    struct outgoing message = {
        .to = RIG_OTHER, .payload = (const uint8_t *)text, .payload_bytes = (uint32_t)strlen(text)};
    uint64_t number = 0;
    cr_assert_eq(state_begin(rig->state), 0);
    cr_assert_eq(state_outbox_add(rig->state, &message, &number), 0);
    cr_assert_eq(state_commit(rig->state), 0);
    return number;
}

uint8_t client_rig_ticks(struct client_rig *rig, uint64_t number) {
    uint8_t flags = 0;
    uint16_t reason;
    cr_assert_eq(state_look(rig->state), 0);
    cr_assert_eq(state_outbox_ticks(rig->state, RIG_OTHER, number, &flags, &reason), 0);
    state_end(rig->state);
    return flags;
}
