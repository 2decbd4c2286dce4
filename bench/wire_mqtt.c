#include "bench/wire_mqtt.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bench/end.h"

#define HEAD_BYTES_MAX 32u /* of a PUBLISH: type, length, topic, identifier */
#define TOPIC_BYTES_MAX 16u

enum packet {
    PACKET_CONNACK = 2,
    PACKET_PUBLISH = 3,
    PACKET_PUBACK = 4,
    PACKET_SUBACK = 9,
};

static bool is_acknowledged(const struct end *end) {
    return end->load->wire == &wire_mqtt_qos1;
}

static size_t put16(uint8_t *out, size_t value) {
    out[0] = (uint8_t)(value >> 8);
    out[1] = (uint8_t)value;
    return 2;
}

static size_t put_topic(uint8_t *out, const struct end *end) {
    char topic[TOPIC_BYTES_MAX];
    int bytes = snprintf(topic, sizeof(topic), "e/%u", end->pair * 2 + end->direction);
    put16(out, (size_t)bytes);
    memcpy(out + 2, topic, (size_t)bytes);
    return 2 + (size_t)bytes;
}

static int open_mqtt(struct end *end) {
    int error = wire_plain_open(end);
    uint8_t out[64] = {0x10, 0, 0, 4, 'M', 'Q', 'T', 'T', 4, 2 /* clean session */, 0, 0 /* no keep alive */};
    size_t bytes = 12 + put_topic(out + 12, end); /* the topic is a good name, too */
    out[1] = (uint8_t)(bytes - 2);
    return error ? error : wire_plain_put(end, out, bytes);
}

static int subscribe(struct end *end) {
    uint8_t out[64] = {0x82, 0, 0, 1};
    size_t bytes = 4 + put_topic(out + 4, end);
    out[bytes++] = is_acknowledged(end);
    out[1] = (uint8_t)(bytes - 2);
    return wire_plain_put(end, out, bytes);
}

static int take_publish(struct end *end, uint8_t first, const uint8_t *at, size_t bytes) {
    size_t topic = bytes >= 2 ? (size_t)at[0] << 8 | at[1] : bytes;
    size_t qos = first >> 1 & 3, head = 2 + topic + (qos ? 2 : 0);
    if (bytes < head)
        return -EPROTO;
    if (qos) {
        uint8_t out[4] = {PACKET_PUBACK << 4, 2, at[head - 2], at[head - 1]};
        int error = wire_plain_put(end, out, sizeof(out));
        if (error)
            return error;
    }
    if (bytes - head == WIRE_RECEIPT_BYTES)
        return wire_take_receipt(end, at + head, bytes - head);
    return wire_take_body(end, at + head, bytes - head);
}

static int take_packet(struct end *end, uint8_t first, const uint8_t *at, size_t bytes) {
    switch (first >> 4) {
    case PACKET_CONNACK:
        return bytes == 2 && at[1] == 0 ? subscribe(end) : end_fail(end, "the broker refused the connection");
    case PACKET_SUBACK:
        if (bytes != 3 || at[2] != is_acknowledged(end))
            return end_fail(end, "the broker refused the subscription");
        end_is_open(end);
        return 0;
    case PACKET_PUBLISH:
        return take_publish(end, first, at, bytes);
    case PACKET_PUBACK:
        return 0;
    default:
        return -EPROTO;
    }
}

/* A byte of type, the length in groups of seven bits, then so many bytes. */
static int parse(struct end *end, const uint8_t *bytes, size_t count, size_t *ret_used) {
    size_t length = 0, at = 1;
    *ret_used = 0;
    for (uint32_t shift = 0;; shift += 7, at++) {
        if (at >= count)
            return 0;
        if (shift > 21)
            return -EPROTO;
        length |= (size_t)(bytes[at] & 127) << shift;
        if (!(bytes[at] & 128))
            break;
    }
    at++;
    if (count < at + length)
        return 0;
    *ret_used = at + length;
    return take_packet(end, bytes[0], bytes + at, length);
}

static int input(struct end *end, const uint8_t *bytes, size_t count) {
    return wire_plain_input(end, bytes, count, parse);
}

/* The identifier is that of the message or receipt, with what both share kept apart by the lowest bit. */
static uint8_t *put_head(struct end *end, size_t body, uint64_t identifier, size_t *ret_head) {
    uint8_t *out = wire_plain_space(end, HEAD_BYTES_MAX + body), topic[TOPIC_BYTES_MAX + 2];
    if (!out)
        return NULL;
    size_t topic_bytes = put_topic(topic, end->other), at = 0;
    size_t length = topic_bytes + (is_acknowledged(end) ? 2 : 0) + body;
    out[at++] = (uint8_t)(PACKET_PUBLISH << 4 | (is_acknowledged(end) ? 2 : 0));
    do {
        out[at++] = (uint8_t)((length & 127) | (length > 127 ? 128 : 0));
        length >>= 7;
    } while (length);
    memcpy(out + at, topic, topic_bytes);
    at += topic_bytes;
    if (is_acknowledged(end))
        at += put16(out + at, identifier % 65535 + 1);
    *ret_head = at;
    return out + at;
}

static int put_message(struct end *end, uint64_t number, uint64_t sent_ns, bool first) {
    (void)first;
    size_t head;
    uint8_t *body = put_head(end, end->load->size_bytes, number * 2, &head);
    if (!body)
        return -ENOMEM;
    wire_write_body(end, body, number, sent_ns);
    wire_plain_done(end, head + end->load->size_bytes);
    return 0;
}

static int put_receipts(struct end *end) {
    uint8_t receipt[WIRE_RECEIPT_BYTES];
    while (wire_write_receipt(end, receipt)) {
        size_t head;
        uint8_t *body = put_head(end, WIRE_RECEIPT_BYTES, end->confirms.next * 2 + 1, &head);
        if (!body)
            return -ENOMEM;
        memcpy(body, receipt, WIRE_RECEIPT_BYTES);
        wire_plain_done(end, head + WIRE_RECEIPT_BYTES);
    }
    return 0;
}

#define MQTT(text)                                                                                           \
    {                                                                                                        \
        .name = (text), .open = open_mqtt, .close = wire_plain_close, .input = input,                        \
        .put_message = put_message, .put_receipts = put_receipts, .gathered = wire_plain_gathered,           \
        .output = wire_plain_output, .sent = wire_plain_sent,                                                \
    }

const struct wire wire_mqtt_qos0 = MQTT("mqtt, QoS 0");
const struct wire wire_mqtt_qos1 = MQTT("mqtt, QoS 1");
