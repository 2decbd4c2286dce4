#include "core/frame_keys.h"

#include <errno.h>
#include <string.h>

/* Bytes of each frame, or of its fixed part, header included; offsets as in docs/PROTOCOL.md, "Frames". */
#define KEYS_PUT_BYTES (12 + FRAME_KEYS_BYTES)
#define KEYS_STOCK_BYTES 32
#define KEYS_GET_BYTES 24
#define CODE_GET_BYTES 8
#define CODE_BYTES 32
#define DEVICE_BYTES 12

/* --- keys ----------------------------------------------------------------------------------------------- */

static bool ids_rise(const uint8_t *one_time, uint32_t count) {
    uint32_t before = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t id = frame_one_time_id(one_time + (size_t)i * FRAME_ONE_TIME_BYTES);
        if (id <= before)
            return false;
        before = id;
    }
    return true;
}

int frame_read_keys_put(const struct frame *frame, struct frame_keys_put *ret) {
    const uint8_t *at = frame->bytes;
    if (frame->frame_bytes < KEYS_PUT_BYTES)
        return -EPROTO;
    struct frame_keys_put put = {.request = bytes_get32(at + 4),
                                 .count = bytes_get16(at + 8),
                                 .keys = at + 12,
                                 .one_time = at + KEYS_PUT_BYTES};
    if (!frame_is_fixed(frame, KEYS_PUT_BYTES + (size_t)put.count * FRAME_ONE_TIME_BYTES) ||
        put.count > FRAME_ONE_TIME_MAX || bytes_get16(at + 10) != 0 || frame_keys_signed_id(put.keys) == 0 ||
        !ids_rise(put.one_time, put.count))
        return -EPROTO;
    *ret = put;
    return 0;
}

size_t frame_write_keys_put(uint8_t *out, const struct frame_keys_put *put) {
    size_t one_time_bytes = (size_t)put->count * FRAME_ONE_TIME_BYTES;
    bytes_put32(out + 4, put->request);
    bytes_put16(out + 8, put->count);
    bytes_put16(out + 10, 0);
    memcpy(out + 12, put->keys, FRAME_KEYS_BYTES);
    if (one_time_bytes)
        memcpy(out + KEYS_PUT_BYTES, put->one_time, one_time_bytes);
    return frame_write_header(out, KEYS_PUT_BYTES + one_time_bytes, FRAME_KEYS_PUT, 0);
}

int frame_read_keys_stock(const struct frame *frame, struct frame_keys_stock *ret) {
    const uint8_t *at = frame->bytes;
    if (!frame_is_fixed(frame, KEYS_STOCK_BYTES) || bytes_get32(at + 20) != 0)
        return -EPROTO;
    *ret = (struct frame_keys_stock){.request = bytes_get32(at + 4),
                                     .status = bytes_get16(at + 8),
                                     .left = bytes_get16(at + 10),
                                     .signed_id = bytes_get32(at + 12),
                                     .one_time_last = bytes_get32(at + 16),
                                     .list_version = bytes_get64(at + 24)};
    return 0;
}

size_t frame_write_keys_stock(uint8_t *out, const struct frame_keys_stock *stock) {
    bytes_put32(out + 4, stock->request);
    bytes_put16(out + 8, stock->status);
    bytes_put16(out + 10, stock->left);
    bytes_put32(out + 12, stock->signed_id);
    bytes_put32(out + 16, stock->one_time_last);
    bytes_put32(out + 20, 0);
    bytes_put64(out + 24, stock->list_version);
    return frame_write_header(out, KEYS_STOCK_BYTES, FRAME_KEYS_STOCK, 0);
}

int frame_read_keys_get(const struct frame *frame, struct frame_keys_get *ret) {
    const uint8_t *at = frame->bytes;
    if (!frame_is_fixed(frame, KEYS_GET_BYTES) || bytes_get16(at + 18) != 0 || bytes_get32(at + 20) != 0)
        return -EPROTO;
    *ret = (struct frame_keys_get){
        .request = bytes_get32(at + 4), .account = bytes_get64(at + 8), .device = bytes_get16(at + 16)};
    return 0;
}

size_t frame_write_keys_get(uint8_t *out, const struct frame_keys_get *get) {
    bytes_put32(out + 4, get->request);
    bytes_put64(out + 8, get->account);
    bytes_put16(out + 16, get->device);
    bytes_put16(out + 18, 0);
    bytes_put32(out + 20, 0);
    return frame_write_header(out, KEYS_GET_BYTES, FRAME_KEYS_GET, 0);
}

int frame_read_keys(const struct frame *frame, struct frame_keys *ret) {
    const uint8_t *at = frame->bytes;
    if (frame->frame_bytes < FRAME_KEYS_FIXED_BYTES || frame->flags != 0)
        return -EPROTO;
    uint16_t count = bytes_get16(at + 18);
    size_t front = FRAME_KEYS_FIXED_BYTES + (size_t)count * FRAME_KEYS_ROW_BYTES;
    if (count > FRAME_KEYS_ROWS_MAX || frame->frame_bytes < front || bytes_get32(at + 20) != 0)
        return -EPROTO;
    *ret = (struct frame_keys){.request = bytes_get32(at + 4),
                               .account = bytes_get64(at + 8),
                               .status = bytes_get16(at + 16),
                               .count = count,
                               .list_version = bytes_get64(at + 24),
                               .rows = at + FRAME_KEYS_FIXED_BYTES,
                               .list = at + front,
                               .list_bytes = (uint32_t)(frame->frame_bytes - front)};
    return 0;
}

size_t frame_write_keys(uint8_t *out, const struct frame_keys *keys) {
    size_t rows_bytes = (size_t)keys->count * FRAME_KEYS_ROW_BYTES;
    bytes_put32(out + 4, keys->request);
    bytes_put64(out + 8, keys->account);
    bytes_put16(out + 16, keys->status);
    bytes_put16(out + 18, keys->count);
    bytes_put32(out + 20, 0);
    bytes_put64(out + 24, keys->list_version);
    if (rows_bytes)
        memcpy(out + FRAME_KEYS_FIXED_BYTES, keys->rows, rows_bytes);
    if (keys->list_bytes)
        memcpy(out + FRAME_KEYS_FIXED_BYTES + rows_bytes, keys->list, keys->list_bytes);
    return frame_write_header(out, FRAME_KEYS_FIXED_BYTES + rows_bytes + keys->list_bytes, FRAME_KEYS, 0);
}

void frame_write_keys_row(uint8_t *out, uint16_t device, const uint8_t *keys, const uint8_t *one_time) {
    memset(out, 0, FRAME_KEYS_ROW_BYTES);
    bytes_put16(out, device);
    memcpy(out + 8, keys, FRAME_KEYS_BYTES);
    if (one_time)
        memcpy(out + 8 + FRAME_KEYS_BYTES, one_time, FRAME_ONE_TIME_BYTES);
}

const uint8_t *frame_keys_row(const struct frame_keys *keys, uint32_t index, uint16_t *ret_device) {
    const uint8_t *row = keys->rows + (size_t)index * FRAME_KEYS_ROW_BYTES;
    *ret_device = bytes_get16(row);
    return row + 8;
}

/* --- lists ---------------------------------------------------------------------------------------------- */

static bool carries_list(uint8_t type) {
    return type == FRAME_LIST_PUT || type == FRAME_LIST;
}

int frame_read_list(const struct frame *frame, struct frame_list *ret) {
    const uint8_t *at = frame->bytes;
    bool from_device = frame->type == FRAME_LIST_PUT || frame->type == FRAME_LIST_GET;
    if (frame->frame_bytes < FRAME_LIST_FIXED_BYTES || frame->flags != 0 || bytes_get16(at + 26) != 0 ||
        bytes_get32(at + 28) != 0)
        return -EPROTO;
    struct frame_list list = {.request = bytes_get32(at + 4),
                              .account = bytes_get64(at + 8),
                              .version = bytes_get64(at + 16),
                              .status = bytes_get16(at + 24),
                              .list = at + FRAME_LIST_FIXED_BYTES,
                              .list_bytes = frame->frame_bytes - FRAME_LIST_FIXED_BYTES};
    bool own = frame->type == FRAME_LIST_PUT || frame->type == FRAME_LIST_STORED;
    if ((own && list.account) || (from_device && list.status) ||
        (list.list_bytes && !carries_list(frame->type)) ||
        (frame->type == FRAME_LIST_PUT && (list.version == 0 || list.list_bytes == 0)))
        return -EPROTO;
    *ret = list;
    return 0;
}

size_t frame_write_list(uint8_t *out, enum frame_type type, const struct frame_list *list) {
    size_t list_bytes = carries_list((uint8_t)type) ? list->list_bytes : 0;
    bytes_put32(out + 4, list->request);
    bytes_put64(out + 8, list->account);
    bytes_put64(out + 16, list->version);
    bytes_put16(out + 24, list->status);
    bytes_put16(out + 26, 0);
    bytes_put32(out + 28, 0);
    if (list_bytes)
        memcpy(out + FRAME_LIST_FIXED_BYTES, list->list, list_bytes);
    return frame_write_header(out, FRAME_LIST_FIXED_BYTES + list_bytes, type, 0);
}

/* --- codes, removal ------------------------------------------------------------------------------------- */

int frame_read_code_get(const struct frame *frame, uint32_t *ret_request) {
    if (!frame_is_fixed(frame, CODE_GET_BYTES))
        return -EPROTO;
    *ret_request = bytes_get32(frame->bytes + 4);
    return 0;
}

size_t frame_write_code_get(uint8_t *out, uint32_t request) {
    bytes_put32(out + 4, request);
    return frame_write_header(out, CODE_GET_BYTES, FRAME_CODE_GET, 0);
}

int frame_read_code(const struct frame *frame, struct frame_code *ret) {
    const uint8_t *at = frame->bytes;
    if (!frame_is_fixed(frame, CODE_BYTES) || bytes_get16(at + 10) != 0)
        return -EPROTO;
    *ret = (struct frame_code){
        .request = bytes_get32(at + 4), .status = bytes_get16(at + 8), .ttl_s = bytes_get32(at + 12)};
    memcpy(ret->code, at + 16, FRAME_CODE_BYTES);
    return 0;
}

size_t frame_write_code(uint8_t *out, const struct frame_code *code) {
    bytes_put32(out + 4, code->request);
    bytes_put16(out + 8, code->status);
    bytes_put16(out + 10, 0);
    bytes_put32(out + 12, code->ttl_s);
    memcpy(out + 16, code->code, FRAME_CODE_BYTES);
    return frame_write_header(out, CODE_BYTES, FRAME_CODE, 0);
}

int frame_read_device(const struct frame *frame, struct frame_device *ret) {
    const uint8_t *at = frame->bytes;
    if (!frame_is_fixed(frame, DEVICE_BYTES))
        return -EPROTO;
    struct frame_device device = {
        .request = bytes_get32(at + 4), .device = bytes_get16(at + 8), .status = bytes_get16(at + 10)};
    if (frame->type == FRAME_DEVICE_REMOVE && (device.status || device.device == 0))
        return -EPROTO;
    *ret = device;
    return 0;
}

size_t frame_write_device(uint8_t *out, enum frame_type type, const struct frame_device *device) {
    bytes_put32(out + 4, device->request);
    bytes_put16(out + 8, device->device);
    bytes_put16(out + 10, device->status);
    return frame_write_header(out, DEVICE_BYTES, type, 0);
}
