#include "bench/end.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "bench/payload.h"
#include "core/bytes.h"
#include "core/reason.h"
#include "tools/client/peer.h"

#define CONTENT_TYPE 0xbe00u           /* of the applications' range: ternbench's payload */
#define BLOCKED_BYTES_MAX (256u << 10) /* gathered for a socket that is full, before sending waits */

uint64_t end_clock_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void end_init(struct end *end, const struct load *load, struct tally *tally, uint32_t pair,
              uint32_t direction) {
    *end = (struct end){.load = load, .tally = tally, .fd = -1, .pair = pair, .direction = direction};
    ticks_init(&end->ticks, RECEIPT_SENT | RECEIPT_DELIVERED);
    ticks_init(&end->confirms, RECEIPT_DELIVERED);
}

void end_fini(struct end *end) {
    if (end->fd >= 0)
        close(end->fd);
    end->fd = -1;
    peer_destroy(end->peer);
    end->peer = NULL;
    ticks_fini(&end->ticks);
    ticks_fini(&end->confirms);
}

#define fail(end, ...) fail_with((end), -EPROTO, __VA_ARGS__)

__attribute__((format(printf, 3, 4))) static int fail_with(struct end *end, int error, const char *format,
                                                           ...) {
    char what[TALLY_PROBLEM_BYTES / 2];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    tally_fail(end->tally, "pair %u, device %c: %s", end->pair, end->direction ? 'B' : 'A', what);
    end->state = END_FAILED;
    return error;
}

/* --- opening -------------------------------------------------------------------------------------------- */

static int create_peer(struct end *end) {
    const struct load *load = end->load;
    struct {
        uint8_t device[NOISE_KEY_BYTES], ephemeral[NOISE_KEY_BYTES];
        uint64_t epoch;
    } fresh;
    if (getrandom(&fresh, sizeof(fresh), 0) != (ssize_t)sizeof(fresh))
        return -EIO;
    end->epoch = fresh.epoch | 1; /* never 0 */
    struct peer_setup setup = {
        .pattern = load->plaintext ? HELLO_PLAINTEXT : HELLO_IK,
        .device_secret = fresh.device,
        .server_public = load->server_key,
        .ephemeral_secret = fresh.ephemeral,
        .link = {.account = end->account, .epoch = end->epoch},
        .is_link = true,
    };
    memcpy(setup.link.code, end->code, FRAME_CODE_BYTES);
    int error = peer_create(&setup, &end->peer);
    explicit_bzero(&fresh, sizeof(fresh));
    return error;
}

/* An address has some 28,000 ports to connect from: on loopback, further pairs come from further
 * addresses.
 */
#define PAIRS_PER_ADDRESS 10000u

static int bind_source(const struct end *end) {
    const struct sockaddr_in *target = (const struct sockaddr_in *)&end->load->address;
    if (end->load->pairs <= PAIRS_PER_ADDRESS || target->sin_family != AF_INET ||
        ntohl(target->sin_addr.s_addr) >> 24 != IN_LOOPBACKNET)
        return 0;
    struct sockaddr_in source = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + end->pair / PAIRS_PER_ADDRESS),
    };
    int on = 1;
    setsockopt(end->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    return bind(end->fd, (struct sockaddr *)&source, sizeof(source)) < 0 ? -errno : 0;
}

static int connect_socket(struct end *end) {
    const struct load *load = end->load;
    end->fd = socket(load->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (end->fd < 0)
        return -errno;
    int on = 1;
    setsockopt(end->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    int error = bind_source(end);
    if (error)
        return error;
    if (connect(end->fd, (const struct sockaddr *)&load->address, load->address_bytes) < 0 &&
        errno != EINPROGRESS)
        return -errno;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = end};
    return epoll_ctl(end->epoll_fd, EPOLL_CTL_ADD, end->fd, &event) < 0 ? -errno : 0;
}

int end_open(struct end *end, int epoll_fd) {
    end->epoll_fd = epoll_fd;
    end->blocked = true; /* until it is connected */
    end->state = END_LINKING;
    int error = create_peer(end);
    if (error)
        return fail_with(end, error, "no handshake: %s", strerror(-error));
    error = connect_socket(end);
    if (error) {
        end->tally->unreachable = !end->tally->failed;
        return fail_with(end, error, "can not connect: %s", strerror(-error));
    }
    return 0;
}

/* --- what arrives --------------------------------------------------------------------------------------- */

static bool is_measured(const struct end *end, uint64_t at_ns) {
    return at_ns >= end->load->measure_from_ns && at_ns < end->load->measure_to_ns;
}

static void record_latency(const struct end *end, struct histogram *histogram, uint64_t sent_ns) {
    if (is_measured(end, sent_ns))
        histogram_record(histogram, end->now_ns > sent_ns ? end->now_ns - sent_ns : 0);
}

static int take_welcome(struct end *end, const struct frame *frame) {
    struct frame_welcome welcome;
    if (frame_read_welcome(frame, &welcome) < 0 || welcome.account != end->account)
        return fail(end, "the welcome is not for this account");
    if (end->load->window > welcome.unticked_max)
        return fail(end, "the switch takes %u messages without a tick, the window is %u",
                    welcome.unticked_max, end->load->window);
    if (end->load->size_bytes > welcome.payload_bytes_max)
        return fail(end, "the switch takes payloads of %u bytes, the size is %u", welcome.payload_bytes_max,
                    end->load->size_bytes);
    end->device = welcome.device;
    end->state = END_OPEN;
    return 0;
}

/* Is this key that of messages from `from` to `to`? */
static bool is_between(const struct message_id *id, const struct end *from, const struct end *to) {
    return id->from == from->account && id->from_device == from->device && id->epoch == from->epoch &&
           id->to == to->account;
}

static int take_message(struct end *end, const struct frame *frame) {
    struct end *from = end->other;
    struct frame_message message;
    struct payload payload;
    end->items++;
    if (frame_read_message(frame, &message) < 0 || !is_between(&message.id, from, end) ||
        message.content_type != CONTENT_TYPE)
        return fail(end, "a message arrived that nobody sent to it");
    uint64_t number = message.id.number, expected = end->confirms.next;
    if (payload_read(message.payload, message.payload_bytes, end->load->seed, &payload) < 0 ||
        message.payload_bytes != end->load->size_bytes || payload.number != number ||
        payload.pair != from->pair || payload.direction != from->direction)
        return fail(end, "message %" PRIu64 " is not what was sent", number);
    if (number < expected && from->has_resent) {
        end->tally->duplicates++;
        return 0;
    }
    if (number != expected)
        return fail(end, "message %" PRIu64 " arrived %s", number,
                    number < expected ? "twice" : "before its predecessors");
    if (ticks_add(&end->confirms, payload.sent_ns) < 0)
        return fail(end, "the acknowledgement of %u messages was not confirmed", TICKS_MAX);
    end->tally->received++;
    record_latency(end, &end->tally->to_receive, payload.sent_ns);
    return 0;
}

static void take_tick(struct end *end, struct tick *tick, uint8_t flags) {
    struct tally *tally = end->tally;
    uint8_t fresh = flags & (uint8_t)~tick->bits & (RECEIPT_SENT | RECEIPT_DELIVERED);
    tick->bits |= fresh;
    if (fresh & RECEIPT_SENT) {
        end->unticked--;
        tally->ticked_sent++;
        record_latency(end, &tally->to_sent, tick->sent_ns);
    }
    if (fresh & RECEIPT_DELIVERED) {
        tally->ticked_delivered++;
        record_latency(end, &tally->to_delivered, tick->sent_ns);
    }
    if (fresh && tick->bits == (RECEIPT_SENT | RECEIPT_DELIVERED)) {
        tally->completed++;
        tally->measured += is_measured(end, end->now_ns);
    }
}

static int take_receipt(struct end *end, const struct frame *frame) {
    struct frame_range range;
    end->items++;
    end->tally->receipts++;
    if (frame_read_range(frame, &range) < 0 || !is_between(&range.id, end, end->other) ||
        range.last >= end->ticks.next)
        return fail(end, "a receipt arrived for what it never sent");
    if (frame->flags & RECEIPT_FAILED)
        return fail(end, "message %" PRIu64 " failed", range.id.number);
    uint64_t first = range.id.number > end->ticks.low ? range.id.number : end->ticks.low;
    for (uint64_t number = first; number <= range.last; number++)
        take_tick(end, ticks_find(&end->ticks, number), frame->flags);
    ticks_advance(&end->ticks);
    return 0;
}

static int take_confirm(struct end *end, const struct frame *frame) {
    struct frame_range range;
    end->tally->confirms++;
    if (frame_read_range(frame, &range) < 0 || !is_between(&range.id, end->other, end) ||
        range.last >= end->confirms.next)
        return fail(end, "a confirmation arrived for what it never acknowledged");
    if (!(frame->flags & RECEIPT_DELIVERED))
        return 0;
    uint64_t first = range.id.number > end->confirms.low ? range.id.number : end->confirms.low;
    for (uint64_t number = first; number <= range.last; number++) {
        struct tick *tick = ticks_find(&end->confirms, number);
        end->tally->confirmed += !(tick->bits & RECEIPT_DELIVERED);
        tick->bits |= RECEIPT_DELIVERED;
    }
    ticks_advance(&end->confirms);
    return 0;
}

/* Refused for the moment: this and everything after it has to be sent again, in order, after the time. */
static int take_refused(struct end *end, const struct frame *frame) {
    struct frame_refused refused;
    if (frame_read_refused(frame, &refused) < 0 || !ticks_find(&end->ticks, refused.number))
        return fail(end, "a refusal arrived for what it did not send");
    if (refused.retry_ms == 0)
        return fail(end, "message %" PRIu64 " was refused: %s", refused.number, refusal_help(refused.reason));
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
    default: /* CLOSE and RECONNECT are kept by the peer, unknown frames are skipped */
        return 0;
    }
}

/* --- what goes out -------------------------------------------------------------------------------------- */

static int put_message(struct end *end, uint64_t number, uint64_t sent_ns, bool first) {
    uint32_t size_bytes = end->load->size_bytes;
    uint8_t *out = peer_put_space(end->peer, FRAME_MESSAGE_BYTES + size_bytes);
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
    peer_put_done(end->peer, FRAME_MESSAGE_BYTES + size_bytes);
    return 0;
}

/* From the lowest unticked number on, as docs/PROTOCOL.md, 3.1, has it. */
static int put_again(struct end *end) {
    end->resend_from = 0;
    end->resend_at_ns = 0;
    end->has_resent = true;
    bool first = true;
    for (uint64_t number = end->ticks.low; number < end->ticks.next; number++) {
        const struct tick *tick = ticks_find(&end->ticks, number);
        if (tick->bits & RECEIPT_SENT)
            continue;
        int error = put_message(end, number, tick->sent_ns, first);
        if (error)
            return error;
        first = false;
        end->tally->resent++;
    }
    return 0;
}

static int put_messages(struct end *end) {
    if (end->resend_from)
        return end_clock_ns() < end->resend_at_ns ? 0 : put_again(end);
    if (!end->sending)
        return 0;
    uint64_t sent_ns = end_clock_ns();
    if (sent_ns >= end->load->measure_to_ns) /* the worker looks at the clock less often */
        return 0;
    while (end->unticked < end->load->window && peer_put_bytes(end->peer) < BLOCKED_BYTES_MAX) {
        uint64_t number = end->ticks.next;
        int error = ticks_add(&end->ticks, sent_ns);
        if (error == -ENOSPC) /* ticked as sent, but not delivered yet: that is the switch's queue */
            return 0;
        if (!error)
            error = put_message(end, number, sent_ns, false);
        if (error)
            return error;
        end->unticked++;
        end->tally->sent++;
    }
    return 0;
}

static int put_ack(struct end *end) {
    if (end->items == end->items_acked)
        return 0;
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    int error = peer_put(end->peer, out, frame_write_ack(out, end->items));
    end->items_acked = end->items;
    end->tally->acks++;
    return error;
}

static int ask_for_room(struct end *end, bool blocked) {
    if (end->blocked == blocked)
        return 0;
    end->blocked = blocked;
    struct epoll_event event = {.events = EPOLLIN | (blocked ? EPOLLOUT : 0), .data.ptr = end};
    return epoll_ctl(end->epoll_fd, EPOLL_CTL_MOD, end->fd, &event) < 0 ? -errno : 0;
}

static int write_out(struct end *end) {
    for (;;) {
        const uint8_t *bytes;
        size_t count = peer_output(end->peer, &bytes);
        if (count == 0)
            return ask_for_room(end, false);
        ssize_t taken = send(end->fd, bytes, count, MSG_NOSIGNAL);
        if (taken < 0 && errno == EINTR)
            continue;
        if (taken < 0)
            return errno == EAGAIN ? ask_for_room(end, true) : -errno;
        end->tally->writes++;
        end->tally->bytes_written += (uint64_t)taken;
        peer_sent(end->peer, (size_t)taken);
        if ((size_t)taken < count)
            return ask_for_room(end, true);
    }
}

int end_send(struct end *end) {
    if (end->state == END_FAILED)
        return -EPROTO;
    int error = 0;
    if (end->state == END_OPEN && !end->blocked)
        error = put_messages(end);
    if (!error)
        error = put_ack(end);
    if (!error)
        error = write_out(end);
    if (error && !end->tally->failed)
        return fail_with(end, error, "can not send: %s", strerror(-error));
    return error;
}

/* --- the socket ----------------------------------------------------------------------------------------- */

static int fail_closed(struct end *end, int error) {
    bool linking = end->state == END_LINKING;
    unsigned reason = end->peer ? peer_close_reason(end->peer) : 0;
    const char *refusal = end->peer ? peer_refusal(end->peer) : NULL;
    if (reason)
        return fail_with(end, error, "the switch closed the connection: %s (%s)", close_reason_help(reason),
                         close_reason_name(reason));
    if (refusal)
        return fail_with(end, error, "the switch closed the connection: %s", refusal);
    if (linking && !end->tally->failed)
        end->tally->unreachable = true;
    if (error == -ECONNRESET)
        return fail_with(end, error, "the switch closed the connection%s", linking ? " while linking" : "");
    return fail_with(end, error, "the connection broke: %s", strerror(-error));
}

/* All that has come, up to a full space at a time. */
static int read_in(struct end *end, uint8_t *space, size_t space_bytes) {
    for (;;) {
        ssize_t count = recv(end->fd, space, space_bytes, 0);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return errno == EAGAIN ? 0 : fail_closed(end, -errno);
        if (count == 0)
            return fail_closed(end, -ECONNRESET);
        end->now_ns = end_clock_ns();
        end->tally->reads++;
        end->tally->bytes_read += (uint64_t)count;
        int error = peer_input(end->peer, space, (size_t)count, on_frame, end);
        if (error && end->state == END_FAILED)
            return error;
        if (error == -ECONNREFUSED)
            return fail_closed(end, error);
        if (error)
            return fail_with(end, error, "what the switch sent is not the protocol: %s", strerror(-error));
        if ((size_t)count < space_bytes)
            return 0;
    }
}

int end_event(struct end *end, uint32_t events, uint8_t *space, size_t space_bytes) {
    if (end->state == END_FAILED)
        return -EPROTO;
    int error = 0;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        error = read_in(end, space, space_bytes);
    if (error)
        return error;
    if (events & EPOLLOUT)
        error = ask_for_room(end, false);
    return error ? error : end_send(end);
}
