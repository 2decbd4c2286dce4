#include "bench/wire_nats.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/end.h"

#define LINE_BYTES_MAX 4096u /* of INFO; others are short */
#define HEAD_BYTES_MAX 64u

static uint32_t subject_of(const struct end *end) {
    return end->pair * 2 + end->direction;
}

static int open_nats(struct end *end) {
    char text[192];
    int bytes =
        snprintf(text, sizeof(text),
                 "CONNECT {\"verbose\":false,\"pedantic\":false,\"echo\":false}\r\nSUB e.%u 1\r\nPING\r\n",
                 subject_of(end));
    int error = wire_plain_open(end);
    return error ? error : wire_plain_put(end, text, (size_t)bytes);
}

/* How long the body is: the last number of the line. */
static size_t body_bytes(const uint8_t *line, size_t head) {
    const uint8_t *at = line + head - 2;
    size_t body = 0, scale = 1;
    while (at > line && at[-1] >= '0' && at[-1] <= '9') {
        body += (size_t)(*--at - '0') * scale;
        scale *= 10;
    }
    return body;
}

static bool is_jetstream(const struct end *end) {
    return end->load->wire == &wire_jetstream;
}

/* The answer to a publication: it is in the stream. Its subject ends with the message's number. */
static int take_ack(struct end *end, const uint8_t *line, const uint8_t *body, size_t bytes) {
    uint32_t subject;
    uint64_t number;
    if (memmem(body, bytes, "\"error\"", 7) ||
        sscanf((const char *)line, "MSG a.%" SCNu32 ".%" SCNu64 " ", &subject, &number) != 2 ||
        subject != subject_of(end))
        return end_fail(end, "JetStream says %.*s", (int)bytes, (const char *)body);
    return end_took_ticks(end, number, number, RECEIPT_SENT);
}

static int take_consumer(struct end *end, const uint8_t *body, size_t bytes) {
    if (memmem(body, bytes, "\"error\"", 7))
        return end_fail(end, "JetStream says %.*s", (int)bytes, (const char *)body);
    if (end->state == END_LINKING)
        end_is_open(end);
    return 0;
}

/* MSG <subject> <sid> [reply] <bytes>, then the body and an end of line. */
static int parse_message(struct end *end, const uint8_t *bytes, size_t head, size_t count, size_t *ret_used) {
    size_t body = body_bytes(bytes, head);
    if (count < head + body + 2) {
        *ret_used = 0;
        return 0;
    }
    *ret_used = head + body + 2;
    if (is_jetstream(end) && bytes[4] == 'a')
        return take_ack(end, bytes, bytes + head, body);
    if (is_jetstream(end) && bytes[4] == 'j')
        return take_consumer(end, bytes + head, body);
    if (body == WIRE_RECEIPT_BYTES)
        return wire_take_receipt(end, bytes + head, body);
    return wire_take_body(end, bytes + head, body);
}

static int parse(struct end *end, const uint8_t *bytes, size_t count, size_t *ret_used) {
    *ret_used = 0;
    const uint8_t *line_end = memchr(bytes, '\n', count < LINE_BYTES_MAX ? count : LINE_BYTES_MAX);
    if (!line_end)
        return count < LINE_BYTES_MAX ? 0 : -EPROTO;
    size_t head = (size_t)(line_end - bytes) + 1;
    if (head > 4 && memcmp(bytes, "MSG ", 4) == 0)
        return parse_message(end, bytes, head, count, ret_used);
    *ret_used = head;
    if (memcmp(bytes, "PING", 4) == 0)
        return wire_plain_put(end, "PONG\r\n", 6);
    bool awaits_consumer = is_jetstream(end) && end->direction == 1;
    if (memcmp(bytes, "PONG", 4) == 0 && end->state == END_LINKING && !awaits_consumer)
        end_is_open(end);
    if (memcmp(bytes, "-ERR", 4) == 0)
        return end_fail(end, "the server says %.*s", (int)head - 2, (const char *)bytes);
    return 0;
}

static int input(struct end *end, const uint8_t *bytes, size_t count) {
    return wire_plain_input(end, bytes, count, parse);
}

/* With a number the server is asked for an answer, which names it. */
static uint8_t *put_head(struct end *end, uint32_t body, uint64_t number, size_t *ret_head) {
    uint8_t *out = wire_plain_space(end, HEAD_BYTES_MAX + body + 2);
    if (!out)
        return NULL;
    int head = number
                   ? snprintf((char *)out, HEAD_BYTES_MAX, "PUB q.%u a.%u.%" PRIu64 " %u\r\n",
                              subject_of(end->other), subject_of(end), number, body)
                   : snprintf((char *)out, HEAD_BYTES_MAX, "PUB e.%u %u\r\n", subject_of(end->other), body);
    *ret_head = (size_t)head;
    out[head + (int)body] = '\r';
    out[head + (int)body + 1] = '\n';
    return out + head;
}

static int put_message(struct end *end, uint64_t number, uint64_t sent_ns, bool first) {
    (void)first;
    size_t head;
    uint8_t *body = put_head(end, end->load->size_bytes, is_jetstream(end) ? number : 0, &head);
    if (!body)
        return -ENOMEM;
    wire_write_body(end, body, number, sent_ns);
    wire_plain_done(end, head + end->load->size_bytes + 2);
    return 0;
}

static int put_receipts(struct end *end) {
    uint8_t receipt[WIRE_RECEIPT_BYTES];
    /* A stream delivers as soon as one end is back; a receipt for the other, before that has subscribed
     * again, would be lost. Once sending begins, all have. */
    if (is_jetstream(end) && !end->sending)
        return 0;
    while (wire_write_receipt(end, receipt)) {
        size_t head;
        uint8_t *body = put_head(end, WIRE_RECEIPT_BYTES, 0, &head);
        if (!body)
            return -ENOMEM;
        memcpy(body, receipt, WIRE_RECEIPT_BYTES);
        wire_plain_done(end, head + WIRE_RECEIPT_BYTES + 2);
    }
    return 0;
}

/* Who receives has a durable push consumer of its own, which is the same one after it was away. */
static int open_jetstream(struct end *end) {
    char text[1024], config[512];
    uint32_t subject = subject_of(end);
    int bytes = snprintf(text, sizeof(text), "SUB a.%u.* 2\r\n", subject);
    if (end->direction == 1) {
        int length = snprintf(config, sizeof(config),
                              "{\"stream_name\":\"" WIRE_NATS_STREAM
                              "\",\"config\":{\"durable_name\":\"c%u\",\"deliver_subject\":\"d.%u\","
                              "\"filter_subject\":\"q.%u\",\"ack_policy\":\"none\","
                              "\"deliver_policy\":\"all\",\"replay_policy\":\"instant\"}}",
                              subject, subject, subject);
        bytes = snprintf(text, sizeof(text),
                         "SUB d.%u 3\r\nSUB j.%u 4\r\nPUB $JS.API.CONSUMER.DURABLE.CREATE." WIRE_NATS_STREAM
                         ".c%u j.%u %d\r\n%s\r\n",
                         subject, subject, subject, subject, length, config);
    }
    int error = open_nats(end);
    return error ? error : wire_plain_put(end, text, (size_t)bytes);
}

const struct wire wire_nats = {
    .name = "nats",
    .open = open_nats,
    .input = input,
    .put_message = put_message,
    .put_receipts = put_receipts,
    WIRE_PLAIN_CALLS,
};

const struct wire wire_jetstream = {
    .name = "jetstream",
    .open = open_jetstream,
    .input = input,
    .put_message = put_message,
    .put_receipts = put_receipts,
    WIRE_PLAIN_CALLS,
};
