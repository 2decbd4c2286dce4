/* The frames of an open session, one by one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/session.h"
#include "core/switch.h"

#define QUESTION_FRAMES 16 /* a question goes to the store, which may have to sync its answer */

static int take_ack(struct session *session, const struct frame *frame) {
    uint64_t count;
    if (frame_read_ack(frame, &count) < 0 || count < session->items_acked)
        return -EPROTO;
    if (outbox_ack(session->shard, session->device, count - session->items_acked) < 0)
        session_close(session, CLOSE_ACK_BEYOND);
    else
        session->items_acked = count;
    return 0;
}

/* Delivered, repeated after a reconnect, read, or passed over. Only about messages to the own account. */
static int take_mark(struct session *session, const struct frame *frame) {
    struct shard *shard = session->shard;
    struct frame_range range;
    if (frame_read_range(frame, &range) < 0 || range.id.to != session->account || range.id.number == 0)
        return -EPROTO;
    uint32_t home = switch_home(shard, range.id.from);
    if (!pace_marks(session))
        return -EAGAIN;
    if (frame->flags & RECEIPT_FAILED) {
        session->burst->marks_left--;
        outbox_pass(session->device, &range.id, range.last);
        return 0;
    }
    if (home != shard->index && lanes_room(shard->lanes, shard->index, home) == 0)
        return -EAGAIN;
    session->burst->marks_left--;
    receipt_mark(shard, &range.id, range.last, frame->flags, session->device_number);
    return 0;
}

static int take_ping(struct session *session, const struct frame *frame) {
    uint64_t opaque;
    if (frame_read_ping(frame, &opaque) < 0)
        return -EPROTO;
    if (frame->type == FRAME_PONG)
        return 0;
    if (session->control_bytes >= SESSION_CONTROL_BYTES_MAX)
        return -EAGAIN;
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    session_put(session, out, frame_write_ping(out, FRAME_PONG, opaque));
    return 0;
}

/* Whether the store's lane has room or not: behind what waits here lie acknowledgements, and without them a
 * store that is behind never catches up. */
int intake_ask(struct session *session, uint32_t most, const struct request *fields, const uint8_t *bytes,
               uint32_t bytes_count) {
    struct shard *shard = session->shard;
    uint32_t party = port_directory_party(shard);
    if (session->requests >= most || session->control_bytes >= SESSION_CONTROL_BYTES_MAX)
        return -EAGAIN;
    struct request *request = malloc(sizeof(*request));
    uint8_t *copy = malloc(bytes_count + 1u);
    if (!request || !copy) {
        free(request);
        free(copy);
        return -EAGAIN;
    }
    if (bytes_count)
        memcpy(copy, bytes, bytes_count);
    *request = *fields;
    request->bytes = copy;
    request->bytes_count = bytes_count;
    request->from = (uint16_t)shard->index;
    request->context_id = session->id;
    request->last = session->conn;
    session->requests++;
    struct note note = {.kind = NOTE_REQUEST, .request = request};
    switch_post(shard, party, &note);
    return 0;
}

static int take_lookup(struct session *session, const struct frame *frame) {
    struct frame_lookup lookup;
    if (frame_read_lookup(frame, &lookup) < 0 || lookup.status != 0)
        return -EPROTO;
    struct request fields = {.kind = REQUEST_LOOKUP, .account = lookup.account, .other = lookup.request};
    memcpy(fields.name, lookup.name, lookup.name_bytes);
    return intake_ask(session, SESSION_REQUESTS_MAX, &fields, NULL, 0);
}

static int refuse_block(struct session *session, uint64_t account) {
    struct frame_block body = {.account = account, .status = REFUSAL_TARGETS, .on = true};
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    if (session->control_bytes >= SESSION_CONTROL_BYTES_MAX)
        return -EAGAIN;
    session_put(session, out, frame_write_block(out, FRAME_BLOCKED, &body));
    return 0;
}

static int take_block(struct session *session, const struct frame *frame) {
    struct frame_block block;
    if (frame_read_block(frame, &block) < 0 || block.status != 0)
        return -EPROTO;
    if (block.on &&
        block.account == session->account) /* its devices could not write to each other any more */
        return refuse_block(session, block.account);
    struct request fields = {
        .kind = REQUEST_BLOCK, .account = session->account, .other = block.account, .value = block.on};
    return intake_ask(session, SESSION_REQUESTS_MAX, &fields, NULL, 0);
}

static int take_close(struct session *session, const struct frame *frame) {
    struct frame_close body;
    if (frame_read_close(frame, &body) < 0)
        return -EPROTO;
    session_close(session, CLOSE_PEER);
    return 0;
}

static int take_frame(struct session *session, const struct frame *frame) {
    switch (frame->type) {
    case FRAME_ACK:
        return take_ack(session, frame);
    case FRAME_MARK:
        return take_mark(session, frame);
    case FRAME_PING:
    case FRAME_PONG:
        return take_ping(session, frame);
    case FRAME_LOOKUP:
        return take_lookup(session, frame);
    case FRAME_BLOCK:
        return take_block(session, frame);
    case FRAME_CLOSE:
        return take_close(session, frame);
    case FRAME_KEYS_PUT ... FRAME_DEVICE_REMOVED:
        return keys_take(session, frame);
    case FRAME_LINK:
    case FRAME_LOGIN:
    case FRAME_WELCOME:
    case FRAME_RECEIPT:
    case FRAME_CONFIRM:
    case FRAME_REFUSED:
    case FRAME_ACCOUNT:
    case FRAME_BLOCKED:
    case FRAME_RECONNECT:
    case FRAME_TARGETS:
        return -EPROTO;
    default:
        stats_add(session->shard->stats->frames_unknown, 1);
        return 0;
    }
}

/* An ACK of something is one of what the switch itself sent. */
static uint32_t frames_of(const struct session *session, const struct frame *frame) {
    uint64_t count;
    switch (frame->type) {
    case FRAME_ACK:
        return frame_read_ack(frame, &count) == 0 && count > session->items_acked ? 0 : 1;
    case FRAME_LOOKUP:
    case FRAME_BLOCK:
    case FRAME_KEYS_PUT ... FRAME_DEVICE_REMOVED:
        return QUESTION_FRAMES;
    default:
        return 1;
    }
}

/* Not inlined: messages, of which there are many, would pay for the stack that all of this needs. */
__attribute__((noinline)) static int take_counted(struct session *session, const struct frame *frame) {
    uint32_t frames = frames_of(session, frame);
    if (frames && !pace_frames(session))
        return -EAGAIN;
    int error = take_frame(session, frame);
    if (!error)
        pace_take_frames(session, frames);
    return error;
}

/* Messages have a rate of their own. */
int intake_frame(struct session *session, const struct frame *frame, struct buf *buf) {
    if (session->state != SESSION_OPEN)
        return -EAGAIN; /* the directory has not answered yet */
    return frame->type == FRAME_MESSAGE ? route_accept(session, frame, buf) : take_counted(session, frame);
}
