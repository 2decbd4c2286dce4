#include "bench/wire_floor.h"

#include <errno.h>

#include "bench/end.h"
#include "core/bytes.h"

#define LENGTH_BYTES 2u
#define INDEX_BYTES 4u

static int open_floor(struct end *end) {
    int error = wire_plain_open(end);
    uint8_t index[INDEX_BYTES];
    bytes_put32(index, end->pair * 2 + end->direction);
    return error ? error : wire_plain_put(end, index, sizeof(index));
}

static int parse(struct end *end, const uint8_t *bytes, size_t count, size_t *ret_used) {
    *ret_used = 0;
    if (end->state == END_LINKING) {
        if (count < INDEX_BYTES)
            return 0;
        *ret_used = INDEX_BYTES;
        end_is_open(end);
        return 0;
    }
    if (count < LENGTH_BYTES)
        return 0;
    size_t body = bytes_get16(bytes);
    if (count < LENGTH_BYTES + body)
        return 0;
    *ret_used = LENGTH_BYTES + body;
    if (body == WIRE_RECEIPT_BYTES)
        return wire_take_receipt(end, bytes + LENGTH_BYTES, body);
    return wire_take_body(end, bytes + LENGTH_BYTES, body);
}

static int input(struct end *end, const uint8_t *bytes, size_t count) {
    return wire_plain_input(end, bytes, count, parse);
}

static int put_message(struct end *end, uint64_t number, uint64_t sent_ns, bool first) {
    (void)first;
    uint32_t bytes = end->load->size_bytes;
    uint8_t *out = wire_plain_space(end, LENGTH_BYTES + bytes);
    if (!out)
        return -ENOMEM;
    bytes_put16(out, (uint16_t)bytes);
    wire_write_body(end, out + LENGTH_BYTES, number, sent_ns);
    wire_plain_done(end, LENGTH_BYTES + bytes);
    return 0;
}

static int put_receipts(struct end *end) {
    uint8_t out[LENGTH_BYTES + WIRE_RECEIPT_BYTES];
    bytes_put16(out, WIRE_RECEIPT_BYTES);
    int error = 0;
    while (!error && wire_write_receipt(end, out + LENGTH_BYTES))
        error = wire_plain_put(end, out, sizeof(out));
    return error;
}

const struct wire wire_floor = {
    .name = "floor",
    .open = open_floor,
    .input = input,
    .put_message = put_message,
    .put_receipts = put_receipts,
    WIRE_PLAIN_CALLS,
};
