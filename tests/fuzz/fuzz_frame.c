/* Fuzzes every reader and writer of frames: what a reader takes, its writer writes again to the same bytes;
 * every other reader may say what it likes about it, but reads no byte beyond. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/frame_keys.h"
#include "core/hello.h"
#include "core/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t again[FRAME_BYTES_MAX];

static void expect_same(const struct frame *frame, size_t bytes) {
    must(bytes == frame->frame_bytes && memcmp(again, frame->bytes, bytes) == 0);
}

static void take_link(const struct frame *frame) {
    struct frame_link body;
    if (frame_read_link(frame, &body) == 0)
        expect_same(frame, frame_write_link(again, (enum frame_type)frame->type, &body));
}

static void take_welcome(const struct frame *frame) {
    struct frame_welcome body;
    if (frame_read_welcome(frame, &body) == 0)
        expect_same(frame, frame_write_welcome(again, &body));
}

static void take_message(const struct frame *frame) {
    struct frame_message body;
    if (frame_read_message(frame, &body) < 0)
        return;
    body.first = frame->flags & MESSAGE_FIRST;
    expect_same(frame, frame_write_message(again, &body));
    if (!frame_message_is_bare(frame))
        return;
    struct message_id id = body.id;
    id.from = 1;
    id.epoch = 2;
    id.from_device = 3;
    frame_accept_message(again, &id, 9, 10);
    struct frame accepted = *frame;
    accepted.bytes = again;
    accepted.flags = again[3];
    struct frame_message read;
    must(frame_read_message(&accepted, &read) == 0 && !frame_message_is_bare(&accepted));
    must(message_id_same_key(&read.id, &id) && read.id.number == body.id.number && read.ttl_s == 9);
    must(read.accepted_ms == 10 && read.payload_bytes == body.payload_bytes && accepted.flags == 0);
}

static void take_range(const struct frame *frame) {
    struct frame_range body;
    if (frame_read_range(frame, &body) < 0)
        return;
    must(body.id.number > 0 && body.last >= body.id.number);
    expect_same(frame, frame_write_range(again, (enum frame_type)frame->type, frame->flags, &body));
}

static void take_ack(const struct frame *frame) {
    uint64_t count;
    if (frame_read_ack(frame, &count) == 0)
        expect_same(frame, frame_write_ack(again, count));
}

static void take_refused(const struct frame *frame) {
    struct frame_refused body;
    if (frame_read_refused(frame, &body) == 0)
        expect_same(frame, frame_write_refused(again, &body));
}

static void take_targets(const struct frame *frame) {
    struct frame_targets body;
    if (frame_read_targets(frame, &body) < 0)
        return;
    must(body.missing + body.gone <= FRAME_TARGETS_MAX);
    expect_same(frame, frame_write_targets(again, &body));
}

static void take_ping(const struct frame *frame) {
    uint64_t opaque;
    if (frame_read_ping(frame, &opaque) == 0)
        expect_same(frame, frame_write_ping(again, (enum frame_type)frame->type, opaque));
}

static void take_lookup(const struct frame *frame) {
    struct frame_lookup body;
    if (frame_read_lookup(frame, &body) < 0)
        return;
    must(body.name_bytes <= FRAME_NAME_BYTES_MAX);
    expect_same(frame, frame_write_lookup(again, (enum frame_type)frame->type, &body));
}

static void take_block(const struct frame *frame) {
    struct frame_block body;
    if (frame_read_block(frame, &body) == 0)
        expect_same(frame, frame_write_block(again, (enum frame_type)frame->type, &body));
}

static void take_close(const struct frame *frame) {
    struct frame_close body;
    if (frame_read_close(frame, &body) == 0)
        expect_same(frame, frame_write_close(again, (enum frame_type)frame->type, &body));
}

static void take_keys_put(const struct frame *frame) {
    struct frame_keys_put body;
    if (frame_read_keys_put(frame, &body) == 0)
        expect_same(frame, frame_write_keys_put(again, &body));
}

static void take_keys_stock(const struct frame *frame) {
    struct frame_keys_stock body;
    if (frame_read_keys_stock(frame, &body) == 0)
        expect_same(frame, frame_write_keys_stock(again, &body));
}

static void take_keys_get(const struct frame *frame) {
    struct frame_keys_get body;
    if (frame_read_keys_get(frame, &body) == 0)
        expect_same(frame, frame_write_keys_get(again, &body));
}

static void take_keys(const struct frame *frame) {
    struct frame_keys body;
    uint16_t device;
    if (frame_read_keys(frame, &body) < 0)
        return;
    for (uint32_t i = 0; i < body.count; i++)
        must(frame_keys_row(&body, i, &device) + FRAME_BUNDLE_BYTES <= frame->bytes + frame->frame_bytes);
    expect_same(frame, frame_write_keys(again, &body));
}

static void take_list(const struct frame *frame) {
    struct frame_list body;
    if (frame_read_list(frame, &body) == 0)
        expect_same(frame, frame_write_list(again, (enum frame_type)frame->type, &body));
}

static void take_code_get(const struct frame *frame) {
    uint32_t request;
    if (frame_read_code_get(frame, &request) == 0)
        expect_same(frame, frame_write_code_get(again, request));
}

static void take_code(const struct frame *frame) {
    struct frame_code body;
    if (frame_read_code(frame, &body) == 0)
        expect_same(frame, frame_write_code(again, &body));
}

static void take_device(const struct frame *frame) {
    struct frame_device body;
    if (frame_read_device(frame, &body) == 0)
        expect_same(frame, frame_write_device(again, (enum frame_type)frame->type, &body));
}

typedef void taker(const struct frame *frame);
static taker *const takers[] = {
    [FRAME_LINK] = take_link,
    [FRAME_LOGIN] = take_link,
    [FRAME_WELCOME] = take_welcome,
    [FRAME_MESSAGE] = take_message,
    [FRAME_RECEIPT] = take_range,
    [FRAME_ACK] = take_ack,
    [FRAME_MARK] = take_range,
    [FRAME_CONFIRM] = take_range,
    [FRAME_REFUSED] = take_refused,
    [FRAME_PING] = take_ping,
    [FRAME_PONG] = take_ping,
    [FRAME_LOOKUP] = take_lookup,
    [FRAME_ACCOUNT] = take_lookup,
    [FRAME_BLOCK] = take_block,
    [FRAME_BLOCKED] = take_block,
    [FRAME_RECONNECT] = take_close,
    [FRAME_CLOSE] = take_close,
    [FRAME_KEYS_PUT] = take_keys_put,
    [FRAME_KEYS_STOCK] = take_keys_stock,
    [FRAME_KEYS_GET] = take_keys_get,
    [FRAME_KEYS] = take_keys,
    [FRAME_LIST_PUT] = take_list,
    [FRAME_LIST_STORED] = take_list,
    [FRAME_LIST_GET] = take_list,
    [FRAME_LIST] = take_list,
    [FRAME_CODE_GET] = take_code_get,
    [FRAME_CODE] = take_code,
    [FRAME_DEVICE_REMOVE] = take_device,
    [FRAME_DEVICE_REMOVED] = take_device,
    [FRAME_TARGETS] = take_targets,
};
#define TAKERS (sizeof(takers) / sizeof(takers[0]))

static void take_hellos(const uint8_t *data) {
    struct hello_client client;
    struct hello_server server;
    uint8_t out[HELLO_BYTES];
    bool clear;
    if (hello_read_client(data, &client, &clear) == 0) {
        hello_write_client(out, &client);
        must(!clear || memcmp(out, data, sizeof(out)) == 0);
        struct hello_server answer = hello_choose(&client, clear, data[15] & 1, data[14] & 1);
        must(answer.status != HELLO_OK || answer.version == HELLO_VERSION);
    }
    if (hello_read_server(data, &server) == 0) {
        hello_write_server(out, &server);
        must(memcmp(out, data, sizeof(out)) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size >= HELLO_BYTES)
        take_hellos(data);
    uint8_t *bytes = malloc(size ? size : 1); /* exactly so many */
    must(bytes != NULL);
    memcpy(bytes, data, size);
    uint8_t *at = bytes;
    size_t left = size;
    struct frame frame;
    int error;
    while ((error = frame_next(&at, &left, &frame)) == 0) {
        must(frame.bytes >= bytes && frame.bytes + frame.frame_bytes == at && at + left == bytes + size);
        if (frame.type < TAKERS && takers[frame.type])
            takers[frame.type](&frame);
    }
    must(error == -EPROTO || (error == -ENODATA && left == 0));
    free(bytes);
    return 0;
}
