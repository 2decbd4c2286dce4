#include "bench/wire_xmpp.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bench/end.h"

#define HEAD_BYTES_MAX 256u
#define STANZA_BYTES_MAX 65536u

#define STREAM                                                                                               \
    "<?xml version='1.0'?><stream:stream to='localhost' xmlns='jabber:client' "                              \
    "xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
#define AUTH "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>"
#define BIND                                                                                                 \
    "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>t</resource></bind></iq>"
static const char tail[] = "</body></message>";
#define TAIL_BYTES (sizeof(tail) - 1)

/* What the server has to say next while logging in, and what is answered. */
static const struct step {
    const char *awaited, *answer;
} steps[] = {
    {"</stream:features>", AUTH},
    {"<success", STREAM},
    {"</stream:features>", BIND},
    {"</iq>", ""},
};

static int open_xmpp(struct end *end) {
    int error = wire_plain_open(end);
    end->items = 0; /* the step */
    return error ? error : wire_plain_put(end, STREAM, strlen(STREAM));
}

static const uint8_t *find(const uint8_t *bytes, size_t count, const char *text) {
    return memmem(bytes, count, text, strlen(text));
}

/* The server says in the end who it takes the end for; the other one writes to that name. */
static int take_name(struct end *end, const uint8_t *bytes, size_t count) {
    const uint8_t *name = find(bytes, count, "<jid>");
    const uint8_t *at = name ? find(name, count - (size_t)(name - bytes), "</jid>") : NULL;
    if (!at || (size_t)(at - name - 5) >= sizeof(end->name))
        return end_fail(end, "the server does not say who it takes the client for");
    memcpy(end->name, name + 5, (size_t)(at - name - 5));
    end->name[at - name - 5] = 0;
    end_is_open(end);
    return 0;
}

static int log_in(struct end *end, const uint8_t *bytes, size_t count, size_t *ret_used) {
    const struct step *step = &steps[end->items];
    const uint8_t *found = find(bytes, count, step->awaited);
    const uint8_t *close = found ? memchr(found, '>', count - (size_t)(found - bytes)) : NULL;
    if (!close) {
        if (find(bytes, count, "<failure") || find(bytes, count, "<stream:error"))
            return end_fail(end, "the server refused: %.*s", count > 90 ? 90 : (int)count,
                            (const char *)bytes);
        return 0;
    }
    *ret_used = (size_t)(close - bytes) + 1;
    if (++end->items == sizeof(steps) / sizeof(steps[0]))
        return take_name(end, bytes, *ret_used);
    return wire_plain_put(end, step->answer, strlen(step->answer));
}

static int parse(struct end *end, const uint8_t *bytes, size_t count, size_t *ret_used) {
    *ret_used = 0;
    if (end->state == END_LINKING)
        return log_in(end, bytes, count, ret_used);
    if (bytes[0] != '<') { /* white space between stanzas */
        *ret_used = 1;
        return 0;
    }
    const uint8_t *stanza_end = find(bytes, count, "</message>");
    if (!stanza_end)
        return count < STANZA_BYTES_MAX ? 0 : -EPROTO;
    *ret_used = (size_t)(stanza_end - bytes) + strlen("</message>");
    const uint8_t *body = find(bytes, *ret_used, "<body>");
    const uint8_t *body_end = body ? find(body, *ret_used - (size_t)(body - bytes), "</body>") : NULL;
    if (!body_end || find(bytes, (size_t)(body - bytes), "type='error'"))
        return end_fail(end, "the server sent back %.*s", *ret_used > 90 ? 90 : (int)*ret_used,
                        (const char *)bytes);
    body += strlen("<body>");
    size_t body_bytes = (size_t)(body_end - body);
    if (body_bytes == WIRE_RECEIPT_BYTES)
        return wire_take_receipt(end, body, body_bytes);
    return wire_take_body(end, body, body_bytes);
}

static int input(struct end *end, const uint8_t *bytes, size_t count) {
    return wire_plain_input(end, bytes, count, parse);
}

static uint8_t *put_head(struct end *end, size_t body, size_t *ret_head) {
    uint8_t *out = wire_plain_space(end, HEAD_BYTES_MAX + body + TAIL_BYTES);
    if (!out)
        return NULL;
    int head = snprintf((char *)out, HEAD_BYTES_MAX, "<message to='%s' type='chat'><body>", end->other->name);
    memcpy(out + head + body, tail, TAIL_BYTES);
    *ret_head = (size_t)head;
    return out + head;
}

static int put_message(struct end *end, uint64_t number, uint64_t sent_ns, bool first) {
    (void)first;
    size_t head;
    uint8_t *body = put_head(end, end->load->size_bytes, &head);
    if (!body)
        return -ENOMEM;
    wire_write_body(end, body, number, sent_ns);
    wire_plain_done(end, head + end->load->size_bytes + TAIL_BYTES);
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
        wire_plain_done(end, head + WIRE_RECEIPT_BYTES + TAIL_BYTES);
    }
    return 0;
}

const struct wire wire_xmpp = {
    .name = "xmpp",
    .is_text = true,
    .open = open_xmpp,
    .input = input,
    .put_message = put_message,
    .put_receipts = put_receipts,
    WIRE_PLAIN_CALLS,
};
