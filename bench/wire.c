#include "bench/wire.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "bench/end.h"
#include "bench/payload.h"
#include "core/bytes.h"

#define TEXT_BYTES_MAX 65536u

struct buffer {
    uint8_t *bytes;
    size_t begin, end, capacity;
};

struct plain {
    struct buffer in;     /* a unit that has come in part */
    struct buffer out[2]; /* gathered; on its way */
    uint64_t receipts;    /* messages that were given one */
};

static struct plain *plain_of(const struct end *end) {
    return end->speaks;
}

static uint8_t *space(struct buffer *buffer, size_t bytes) {
    if (buffer->begin == buffer->end)
        buffer->begin = buffer->end = 0;
    if (buffer->end + bytes > buffer->capacity && buffer->begin) {
        memmove(buffer->bytes, buffer->bytes + buffer->begin, buffer->end - buffer->begin);
        buffer->end -= buffer->begin;
        buffer->begin = 0;
    }
    if (buffer->end + bytes > buffer->capacity) {
        size_t capacity = buffer->capacity ? buffer->capacity * 2 : 512;
        while (capacity < buffer->end + bytes)
            capacity *= 2;
        uint8_t *grown = realloc(buffer->bytes, capacity);
        if (!grown)
            return NULL;
        buffer->bytes = grown;
        buffer->capacity = capacity;
    }
    return buffer->bytes + buffer->end;
}

int wire_plain_open(struct end *end) {
    end->speaks = calloc(1, sizeof(struct plain));
    return end->speaks ? 0 : -ENOMEM;
}

void wire_plain_close(struct end *end) {
    struct plain *plain = plain_of(end);
    if (!plain)
        return;
    free(plain->in.bytes);
    free(plain->out[0].bytes);
    free(plain->out[1].bytes);
    free(plain);
    end->speaks = NULL;
}

/* Units straight from where they came; only what is left over of one is kept. */
int wire_plain_input(struct end *end, const uint8_t *bytes, size_t count, wire_parse *parse) {
    struct buffer *in = &plain_of(end)->in;
    if (in->end != in->begin) {
        uint8_t *at = space(in, count);
        if (!at)
            return -ENOMEM;
        memcpy(at, bytes, count);
        in->end += count;
        bytes = in->bytes + in->begin;
        count = in->end - in->begin;
    }
    bool is_kept = in->end != in->begin;
    size_t used = 1;
    while (count && used) {
        int error = parse(end, bytes, count, &used);
        if (error)
            return error;
        bytes += used;
        count -= used;
    }
    if (is_kept) {
        in->begin = in->end - count;
        return 0;
    }
    if (count) {
        uint8_t *at = space(in, count);
        if (!at)
            return -ENOMEM;
        memcpy(at, bytes, count);
        in->end += count;
    }
    return 0;
}

uint8_t *wire_plain_space(struct end *end, size_t bytes) {
    return space(&plain_of(end)->out[0], bytes);
}

void wire_plain_done(struct end *end, size_t bytes) {
    plain_of(end)->out[0].end += bytes;
}

int wire_plain_put(struct end *end, const void *bytes, size_t count) {
    uint8_t *at = wire_plain_space(end, count);
    if (!at)
        return -ENOMEM;
    memcpy(at, bytes, count);
    wire_plain_done(end, count);
    return 0;
}

size_t wire_plain_gathered(const struct end *end) {
    const struct buffer *out = &plain_of(end)->out[0];
    return out->end - out->begin;
}

size_t wire_plain_output(struct end *end, const uint8_t **ret_bytes) {
    struct plain *plain = plain_of(end);
    if (plain->out[1].begin == plain->out[1].end) {
        struct buffer sent = plain->out[1];
        plain->out[1] = plain->out[0];
        sent.begin = sent.end = 0;
        plain->out[0] = sent;
    }
    *ret_bytes = plain->out[1].bytes + plain->out[1].begin;
    return plain->out[1].end - plain->out[1].begin;
}

void wire_plain_sent(struct end *end, size_t count) {
    plain_of(end)->out[1].begin += count;
}

/* --- bodies --------------------------------------------------------------------------------------------- */

void wire_write_body(const struct end *end, uint8_t *out, uint64_t number, uint64_t sent_ns) {
    struct payload payload = {
        .sent_ns = sent_ns, .number = number, .pair = end->pair, .direction = end->direction};
    uint32_t bytes = end->load->size_bytes;
    if (!end->load->wire->is_text) {
        payload_write(out, bytes, end->load->seed, &payload);
        return;
    }
    uint8_t half[TEXT_BYTES_MAX / 2];
    char text[TEXT_BYTES_MAX + 1];
    payload_write(half, bytes / 2, end->load->seed, &payload);
    sodium_bin2hex(text, bytes / 2 * 2 + 1, half, bytes / 2);
    memcpy(out, text, bytes / 2 * 2);
    if (bytes % 2)
        out[bytes - 1] = '0';
}

int wire_take_body(struct end *end, const uint8_t *body, size_t bytes) {
    struct payload payload;
    if (!end->load->wire->is_text)
        return bytes == end->load->size_bytes && payload_read(body, bytes, end->load->seed, &payload) == 0
                   ? end_took_message(end, &payload, payload.number)
                   : end_fail(end, "what arrived is no message of this run");
    uint8_t half[TEXT_BYTES_MAX / 2];
    size_t half_bytes = 0;
    if (bytes != end->load->size_bytes ||
        sodium_hex2bin(half, sizeof(half), (const char *)body, bytes / 2 * 2, NULL, &half_bytes, NULL) < 0 ||
        payload_read(half, half_bytes, end->load->seed, &payload) < 0)
        return end_fail(end, "what arrived is no message of this run");
    return end_took_message(end, &payload, payload.number);
}

/* 16 hex digits of the number, mixed with whose it is: a receipt of another pair does not pass for one's
 * own. */
static uint64_t receipt_word(const struct end *sender, uint64_t number) {
    return number ^ (sender->load->seed << 40) ^ ((uint64_t)(sender->pair * 2 + sender->direction) << 40);
}

bool wire_write_receipt(struct end *end, uint8_t out[WIRE_RECEIPT_BYTES]) {
    struct plain *plain = plain_of(end);
    if (plain->receipts + 1 >= end->confirms.next)
        return false;
    static const char digits[] = "0123456789abcdef";
    uint64_t word = receipt_word(end->other, ++plain->receipts);
    for (uint32_t i = 0; i < WIRE_RECEIPT_BYTES; i++)
        out[i] = (uint8_t)digits[word >> (60 - 4 * i) & 15];
    return true;
}

int wire_take_receipt(struct end *end, const uint8_t *body, size_t bytes) {
    if (bytes != WIRE_RECEIPT_BYTES)
        return end_fail(end, "what arrived is no receipt");
    uint64_t word = 0;
    for (uint32_t i = 0; i < WIRE_RECEIPT_BYTES; i++) {
        uint8_t digit = body[i] <= '9' ? (uint8_t)(body[i] - '0') : (uint8_t)(body[i] - 'a' + 10);
        if (digit > 15)
            return end_fail(end, "what arrived is no receipt");
        word = word << 4 | digit;
    }
    uint64_t number = end->ticks.low;
    if (number == end->ticks.next || word != receipt_word(end, number))
        return end_fail(end, "a receipt arrived twice, too early, or for what it never sent");
    return end_took_ticks(end, number, number, RECEIPT_SENT | RECEIPT_DELIVERED);
}
