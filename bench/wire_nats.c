#include "bench/wire_nats.h"

#include <errno.h>
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

/* MSG <subject> <sid> <bytes>, then the body and an end of line. */
static int parse_message(struct end *end, const uint8_t *bytes, size_t head, size_t count, size_t *ret_used) {
    const uint8_t *at = bytes + head - 2; /* the end of the line: the number is in front of it */
    size_t body = 0, scale = 1;
    while (at > bytes && at[-1] >= '0' && at[-1] <= '9') {
        body += (size_t)(*--at - '0') * scale;
        scale *= 10;
    }
    if (count < head + body + 2) {
        *ret_used = 0;
        return 0;
    }
    *ret_used = head + body + 2;
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
    if (memcmp(bytes, "PONG", 4) == 0 && end->state == END_LINKING)
        end_is_open(end);
    if (memcmp(bytes, "-ERR", 4) == 0)
        return end_fail(end, "the server says %.*s", (int)head - 2, (const char *)bytes);
    return 0;
}

static int input(struct end *end, const uint8_t *bytes, size_t count) {
    return wire_plain_input(end, bytes, count, parse);
}

static uint8_t *put_head(struct end *end, uint32_t body, size_t *ret_head) {
    uint8_t *out = wire_plain_space(end, HEAD_BYTES_MAX + body + 2);
    if (!out)
        return NULL;
    int head = snprintf((char *)out, HEAD_BYTES_MAX, "PUB e.%u %u\r\n", subject_of(end->other), body);
    *ret_head = (size_t)head;
    out[head + (int)body] = '\r';
    out[head + (int)body + 1] = '\n';
    return out + head;
}

static int put_message(struct end *end, uint64_t number, uint64_t sent_ns, bool first) {
    (void)first;
    size_t head;
    uint8_t *body = put_head(end, end->load->size_bytes, &head);
    if (!body)
        return -ENOMEM;
    wire_write_body(end, body, number, sent_ns);
    wire_plain_done(end, head + end->load->size_bytes + 2);
    return 0;
}

static int put_receipts(struct end *end) {
    uint8_t receipt[WIRE_RECEIPT_BYTES];
    while (wire_write_receipt(end, receipt)) {
        size_t head;
        uint8_t *body = put_head(end, WIRE_RECEIPT_BYTES, &head);
        if (!body)
            return -ENOMEM;
        memcpy(body, receipt, WIRE_RECEIPT_BYTES);
        wire_plain_done(end, head + WIRE_RECEIPT_BYTES + 2);
    }
    return 0;
}

const struct wire wire_nats = {
    .name = "nats",
    .open = open_nats,
    .close = wire_plain_close,
    .input = input,
    .put_message = put_message,
    .put_receipts = put_receipts,
    .gathered = wire_plain_gathered,
    .output = wire_plain_output,
    .sent = wire_plain_sent,
};
