#include "bench/wire_tern.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

#include "bench/end.h"
#include "core/bytes.h"
#include "core/reason.h"
#include "tools/client/peer.h"

#define CONTENT_TYPE 0xbe00u /* of the applications' range: ternbench's payload */

static int open_peer(struct end *end) {
    const struct load *load = end->load;
    uint8_t ephemeral[NOISE_KEY_BYTES];
    if (getrandom(ephemeral, sizeof(ephemeral), 0) != (ssize_t)sizeof(ephemeral) ||
        (!end->is_known && (getrandom(end->secret, sizeof(end->secret), 0) != (ssize_t)sizeof(end->secret) ||
                            getrandom(&end->epoch, sizeof(end->epoch), 0) != (ssize_t)sizeof(end->epoch))))
        return -EIO;
    end->epoch |= 1; /* never 0 */
    struct peer_setup setup = {
        .pattern = load->plaintext ? HELLO_PLAINTEXT : HELLO_IK,
        .device_secret = end->secret,
        .server_public = load->server_key,
        .ephemeral_secret = ephemeral,
        .link = {.account = end->account, .epoch = end->epoch, .device = end->device},
        .is_link = !end->is_known,
    };
    if (!end->is_known)
        memcpy(setup.link.code, end->code, FRAME_CODE_BYTES);
    struct peer *peer;
    int error = peer_create(&setup, &peer);
    explicit_bzero(ephemeral, sizeof(ephemeral));
    if (!error)
        end->speaks = peer;
    return error;
}

static void close_peer(struct end *end) {
    peer_destroy(end->speaks);
    end->speaks = NULL;
}

/* --- what arrives --------------------------------------------------------------------------------------- */

static int take_welcome(struct end *end, const struct frame *frame) {
    struct frame_welcome welcome;
    if (frame_read_welcome(frame, &welcome) < 0 || welcome.account != end->account)
        return end_fail(end, "the welcome is not for this account");
    if (end->load->window > welcome.unticked_max)
        return end_fail(end, "the switch takes %u messages without a tick, the window is %u",
                        welcome.unticked_max, end->load->window);
    if (end->load->size_bytes > welcome.payload_bytes_max)
        return end_fail(end, "the switch takes payloads of %u bytes, the size is %u",
                        welcome.payload_bytes_max, end->load->size_bytes);
    end->device = welcome.device;
    end->is_known = true;
    end_is_open(end);
    return 0;
}

/* Is this key that of messages from `from` to `to`? */
static bool is_between(const struct message_id *id, const struct end *from, const struct end *to) {
    return id->from == from->account && id->from_device == from->device && id->epoch == from->epoch &&
           id->to == to->account;
}

static int take_message(struct end *end, const struct frame *frame) {
    struct frame_message message;
    struct payload payload;
    end->items++;
    if (frame_read_message(frame, &message) < 0 || !is_between(&message.id, end->other, end) ||
        message.content_type != CONTENT_TYPE)
        return end_fail(end, "a message arrived that nobody sent to it");
    if (message.payload_bytes != end->load->size_bytes ||
        payload_read(message.payload, message.payload_bytes, end->load->seed, &payload) < 0)
        return end_fail(end, "message %" PRIu64 " is not what was sent", message.id.number);
    return end_took_message(end, &payload, message.id.number);
}

static int take_receipt(struct end *end, const struct frame *frame) {
    struct frame_range range;
    end->items++;
    end->tally->receipts++;
    if (frame_read_range(frame, &range) < 0 || !is_between(&range.id, end, end->other))
        return end_fail(end, "a receipt arrived for what it never sent");
    if (frame->flags & RECEIPT_FAILED)
        return end_fail(end, "message %" PRIu64 " failed", range.id.number);
    return end_took_ticks(end, range.id.number, range.last, frame->flags);
}

static int take_confirm(struct end *end, const struct frame *frame) {
    struct frame_range range;
    end->tally->confirms++;
    if (frame_read_range(frame, &range) < 0 || !is_between(&range.id, end->other, end))
        return end_fail(end, "a confirmation arrived for what it never acknowledged");
    return frame->flags & RECEIPT_DELIVERED ? end_took_confirms(end, range.id.number, range.last) : 0;
}

/* Refused for the moment: this and everything after it has to be sent again, in order, after the time. */
static int take_refused(struct end *end, const struct frame *frame) {
    struct frame_refused refused;
    if (frame_read_refused(frame, &refused) < 0 || !ticks_find(&end->ticks, refused.number))
        return end_fail(end, "a refusal arrived for what it did not send");
    if (refused.retry_ms == 0)
        return end_fail(end, "message %" PRIu64 " was refused: %s", refused.number,
                        refusal_help(refused.reason));
    end->tally->refused++;
    if (!end->resend_from || refused.number < end->resend_from)
        end->resend_from = refused.number;
    if (refused.reason != REFUSAL_OUT_OF_ORDER || !end->resend_at_ns)
        end->resend_at_ns = end->now_ns + refused.retry_ms * UINT64_C(1000000);
    return 0;
}

static int take_ping(struct peer *peer, const struct frame *frame) {
    uint64_t opaque;
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    if (frame_read_ping(frame, &opaque) < 0)
        return -EPROTO;
    return peer_put(peer, out, frame_write_ping(out, FRAME_PONG, opaque));
}

static int on_frame(void *context, struct peer *peer, const struct frame *frame) {
    struct end *end = context;
    switch (frame->type) {
    case FRAME_WELCOME:
        return take_welcome(end, frame);
    case FRAME_MESSAGE:
        return take_message(end, frame);
    case FRAME_RECEIPT:
        return take_receipt(end, frame);
    case FRAME_CONFIRM:
        return take_confirm(end, frame);
    case FRAME_REFUSED:
        return take_refused(end, frame);
    case FRAME_PING:
        return take_ping(peer, frame);
    case FRAME_CLOSE:
        return end_fail(end, "the switch closed the connection: %s (%s)",
                        close_reason_help(peer_close_reason(peer)),
                        close_reason_name(peer_close_reason(peer)));
    default: /* RECONNECT is kept by the peer, unknown frames are skipped */
        return 0;
    }
}

/* While a part of the handshake is on its way the peer may write the next: what the kernel has is 98 bytes at
 * most into an empty socket, which it took at once. */
static int input(struct end *end, const uint8_t *bytes, size_t count) {
    struct peer *peer = end->speaks;
    int error = peer_input(peer, bytes, count, on_frame, end);
    const char *refusal = error && end->state != END_FAILED ? peer_refusal(peer) : NULL;
    return refusal ? end_fail(end, "the switch closed the connection: %s", refusal) : error;
}

/* --- what goes out -------------------------------------------------------------------------------------- */

static int put_message(struct end *end, uint64_t number, uint64_t sent_ns, bool first) {
    uint32_t size_bytes = end->load->size_bytes;
    uint8_t *out = peer_put_space(end->speaks, FRAME_MESSAGE_BYTES + size_bytes);
    if (!out)
        return -ENOMEM;
    struct frame_message message = {
        .id = {.to = end->other->account, .number = number}, .content_type = CONTENT_TYPE, .first = first};
    struct payload payload = {
        .sent_ns = sent_ns, .number = number, .pair = end->pair, .direction = end->direction};
    /* The payload is written in place: the frame is written around it, as one of so many bytes. */
    frame_write_message(out, &message);
    bytes_put16(out, (uint16_t)(FRAME_MESSAGE_BYTES - FRAME_HEADER_BYTES + size_bytes));
    payload_write(out + FRAME_MESSAGE_BYTES, size_bytes, end->load->seed, &payload);
    peer_put_done(end->speaks, FRAME_MESSAGE_BYTES + size_bytes);
    return 0;
}

static int put_ack(struct end *end) {
    if (end->items == end->items_acked)
        return 0;
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    int error = peer_put(end->speaks, out, frame_write_ack(out, end->items));
    end->items_acked = end->items;
    end->tally->acks++;
    return error;
}

static size_t gathered(const struct end *end) {
    return peer_put_bytes(end->speaks);
}

static size_t output(struct end *end, const uint8_t **ret_bytes) {
    return peer_output(end->speaks, ret_bytes);
}

static void sent(struct end *end, size_t count) {
    peer_sent(end->speaks, count);
}

const struct wire wire_tern = {
    .name = "tern",
    .confirms = true,
    .open = open_peer,
    .close = close_peer,
    .input = input,
    .put_message = put_message,
    .put_receipts = put_ack,
    .gathered = gathered,
    .output = output,
    .sent = sent,
};
