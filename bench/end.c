#include "bench/end.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define GATHERED_BYTES_MAX (256u << 10) /* for a socket that is full, before sending waits */
#define CONNECT_TIMEOUT_S 10

uint64_t end_clock_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void end_init(struct end *end, const struct load *load, struct tally *tally, uint32_t pair,
              uint32_t direction) {
    *end = (struct end){.load = load, .tally = tally, .pair = pair, .place = pair, .direction = direction};
    ticks_init(&end->ticks, RECEIPT_SENT | RECEIPT_DELIVERED);
    ticks_init(&end->confirms, RECEIPT_DELIVERED);
}

void end_fini(struct end *end) {
    if (end->speaks)
        end->load->wire->close(end);
    ticks_fini(&end->ticks);
    ticks_fini(&end->confirms);
    explicit_bzero(end->secret, sizeof(end->secret));
}

void end_leave(struct end *end) {
    if (end->speaks)
        end->load->wire->close(end);
    end->state = END_IDLE;
    end->sending = end->is_on_its_way = end->is_marked = false;
    end->items = end->items_acked = 0;
    if (end->unticked) /* sent again, in order, before anything new */
        end->resend_from = end->ticks.low;
}

int end_fail(struct end *end, const char *format, ...) {
    char what[TALLY_PROBLEM_BYTES / 2];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    tally_fail(end->tally, "pair %u, device %c: %s", end->pair, end->direction ? 'B' : 'A', what);
    end->state = END_FAILED;
    return -EPROTO;
}

/* --- opening -------------------------------------------------------------------------------------------- */

/* An address has some 28,000 ports to connect from, and the kernel looks the longer for a free one the fewer
 * are left: on loopback, further pairs come from further addresses. */
#define PAIRS_PER_ADDRESS 2000u

static int bind_source(const struct end *end, int fd) {
    const struct sockaddr_in *target = (const struct sockaddr_in *)&end->load->address;
    if (end->load->pairs <= PAIRS_PER_ADDRESS || target->sin_family != AF_INET ||
        ntohl(target->sin_addr.s_addr) >> 24 != IN_LOOPBACKNET)
        return 0;
    struct sockaddr_in source = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + end->pair / PAIRS_PER_ADDRESS),
    };
    int on = 1;
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    return bind(fd, (struct sockaddr *)&source, sizeof(source)) < 0 ? -errno : 0;
}

static int connect_socket(const struct end *end) {
    const struct load *load = end->load;
    int fd = socket(load->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int on = 1;
    struct timeval limit = {.tv_sec = CONNECT_TIMEOUT_S};
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)); /* of connecting, too */
    if (load->resets)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
    int error = bind_source(end, fd);
    if (!error && connect(fd, (const struct sockaddr *)&load->address, load->address_bytes) < 0)
        error = -errno;
    limit.tv_sec = 0;
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    if (error)
        close(fd);
    return error ? error : fd;
}

int end_connect(struct end *end) {
    end->state = END_LINKING;
    int error = end->load->wire->open(end);
    if (error) {
        end_fail(end, "no connection can be prepared: %s", strerror(-error));
        return error;
    }
    int fd = connect_socket(end);
    if (fd < 0) {
        end->tally->unreachable |= !end->tally->failed;
        end_fail(end, "can not connect: %s", strerror(-fd));
    }
    return fd;
}

void end_is_open(struct end *end) {
    end->state = END_OPEN;
}

/* --- what arrives --------------------------------------------------------------------------------------- */

static bool is_measured(const struct end *end, uint64_t at_ns) {
    return at_ns >= end->load->measure_from_ns && at_ns < end->load->measure_to_ns;
}

static void record_latency(const struct end *end, struct histogram *histogram, uint64_t sent_ns) {
    if (is_measured(end, sent_ns))
        histogram_record(histogram, end->now_ns > sent_ns ? end->now_ns - sent_ns : 0);
}

int end_took_message(struct end *end, const struct payload *payload, uint64_t number) {
    struct end *from = end->other;
    uint64_t expected = end->confirms.next;
    if (payload->number != number || payload->pair != from->pair || payload->direction != from->direction)
        return end_fail(end, "message %" PRIu64 " is not what was sent", number);
    if (number < expected && from->has_resent) {
        end->tally->duplicates++;
        return 0;
    }
    if (number != expected)
        return end_fail(end, "message %" PRIu64 " arrived %s", number,
                        number < expected ? "twice" : "before its predecessors");
    if (ticks_add(&end->confirms, payload->sent_ns) < 0)
        return end_fail(end, "the acknowledgement of %u messages was not confirmed", TICKS_MAX);
    end->tally->received++;
    record_latency(end, &end->tally->to_receive, payload->sent_ns);
    return end->load->wire->confirms ? 0 : end_took_confirms(end, number, number);
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

int end_took_ticks(struct end *end, uint64_t first, uint64_t last, uint8_t flags) {
    if (last >= end->ticks.next)
        return end_fail(end, "a receipt arrived for what it never sent");
    if (first < end->ticks.low)
        first = end->ticks.low;
    for (uint64_t number = first; number <= last; number++)
        take_tick(end, ticks_find(&end->ticks, number), flags);
    ticks_advance(&end->ticks);
    return 0;
}

int end_took_confirms(struct end *end, uint64_t first, uint64_t last) {
    if (last >= end->confirms.next)
        return end_fail(end, "a confirmation arrived for what it never acknowledged");
    if (first < end->confirms.low)
        first = end->confirms.low;
    for (uint64_t number = first; number <= last; number++) {
        struct tick *tick = ticks_find(&end->confirms, number);
        end->tally->confirmed += !(tick->bits & RECEIPT_DELIVERED);
        tick->bits |= RECEIPT_DELIVERED;
    }
    ticks_advance(&end->confirms);
    return 0;
}

int end_input(struct end *end, const uint8_t *bytes, ssize_t count) {
    if (end->state == END_FAILED)
        return -EPROTO;
    if (count <= 0) {
        bool linking = end->state == END_LINKING;
        end->tally->unreachable |= linking && !end->tally->failed;
        if (count == 0 || count == -ECONNRESET)
            return end_fail(end, "the server closed the connection%s", linking ? " while linking" : "");
        return end_fail(end, "the connection broke: %s", strerror((int)-count));
    }
    end->now_ns = end_clock_ns();
    end->tally->reads++;
    end->tally->bytes_read += (uint64_t)count;
    int error = end->load->wire->input(end, bytes, (size_t)count);
    if (error && end->state != END_FAILED)
        return end_fail(end, "what the server sent is not the protocol: %s", strerror(-error));
    return error;
}

/* --- what goes out -------------------------------------------------------------------------------------- */

uint64_t end_intended_ns(const struct end *end, uint64_t number) {
    const struct load *load = end->load;
    double place = (double)(number - 1) * load->pairs * 2 + end->place * 2 + end->direction;
    return load->start_ns + (uint64_t)(place * 1e9 / load->rate);
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
        int error = end->load->wire->put_message(end, number, tick->sent_ns, first);
        if (error)
            return error;
        first = false;
        end->tally->resent++;
    }
    return 0;
}

/* With a rate a message counts from when it was meant to go, however late it goes: a server that stalls is
 * not excused from what would have been sent meanwhile. */
static int put_messages(struct end *end) {
    const struct load *load = end->load;
    if (end->resend_from)
        return end_clock_ns() < end->resend_at_ns ? 0 : put_again(end);
    if (!end->sending || end->is_mute)
        return 0;
    uint64_t sent_ns = end_clock_ns();
    while (end->unticked < load->window && load->wire->gathered(end) < GATHERED_BYTES_MAX) {
        uint64_t number = end->ticks.next;
        if ((load->rate > 0 && number > end->due) || (load->messages && number > load->messages))
            return 0;
        if (load->rate > 0)
            sent_ns = end_intended_ns(end, number);
        if (sent_ns >= load->measure_to_ns) /* the worker looks at the clock less often */
            return 0;
        int error = ticks_add(&end->ticks, sent_ns);
        if (error == -ENOSPC) /* ticked as sent, but not delivered yet: that is the server's queue */
            return 0;
        if (!error)
            error = load->wire->put_message(end, number, sent_ns, false);
        if (error)
            return error;
        end->unticked++;
        end->tally->sent++;
    }
    return 0;
}

int end_output(struct end *end, const uint8_t **ret_bytes, size_t *ret_count) {
    *ret_count = 0;
    if (end->state == END_IDLE)
        return 0;
    if (end->state == END_FAILED)
        return -EPROTO;
    int error = 0;
    if (end->state == END_OPEN) {
        error = put_messages(end);
        if (!error)
            error = end->load->wire->put_receipts(end);
    }
    if (error)
        return end_fail(end, "can not send: %s", strerror(-error));
    *ret_count = end->load->wire->output(end, ret_bytes);
    return 0;
}

void end_sent(struct end *end, size_t count) {
    end->tally->writes++;
    end->tally->bytes_written += count;
    end->load->wire->sent(end, count);
}
