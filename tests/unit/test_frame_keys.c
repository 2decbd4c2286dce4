#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "core/config.h"
#include "core/frame_keys.h"
#include "tools/client/e2e/devicelist.h"
#include "tools/client/e2e/prekeys.h"

TestSuite(frame_keys);

#define SPACE_BYTES 8192
#define ONE_TIMES 3
#define LIST_TEXT "a list that somebody signed"

_Static_assert(FRAME_BUNDLE_BYTES == PREKEY_BUNDLE_BYTES, "what clients verify");

static uint8_t keys[FRAME_KEYS_BYTES], one_time[ONE_TIMES][FRAME_ONE_TIME_BYTES];

static void fill(void) {
    memset(keys, 7, sizeof(keys));
    memset(one_time, 9, sizeof(one_time));
    for (uint32_t i = 0; i < ONE_TIMES; i++)
        bytes_put32(one_time[i], 10 * (i + 1));
}

/* A valid frame of each type. */
static size_t write_any(uint8_t *out, int type) {
    uint8_t rows[2][FRAME_KEYS_ROW_BYTES];
    struct frame_list list = {.request = 1, .version = 3};
    fill();
    switch (type) {
    case FRAME_KEYS_PUT:
        return frame_write_keys_put(
            out, &(struct frame_keys_put){
                     .request = 1, .count = ONE_TIMES, .keys = keys, .one_time = one_time[0]});
    case FRAME_KEYS_STOCK:
        return frame_write_keys_stock(out, &(struct frame_keys_stock){.request = 1, .left = 2});
    case FRAME_KEYS_GET:
        return frame_write_keys_get(out, &(struct frame_keys_get){.request = 1, .account = 2, .device = 3});
    case FRAME_KEYS:
        frame_write_keys_row(rows[0], 1, keys, one_time[0]);
        frame_write_keys_row(rows[1], 4, keys, NULL);
        return frame_write_keys(out, &(struct frame_keys){.request = 1,
                                                          .count = 2,
                                                          .account = 2,
                                                          .list_version = 5,
                                                          .rows = rows[0],
                                                          .list = (const uint8_t *)LIST_TEXT,
                                                          .list_bytes = sizeof(LIST_TEXT)});
    case FRAME_LIST_PUT:
    case FRAME_LIST:
        list.list = (const uint8_t *)LIST_TEXT;
        list.list_bytes = sizeof(LIST_TEXT);
        return frame_write_list(out, (enum frame_type)type, &list);
    case FRAME_LIST_STORED:
    case FRAME_LIST_GET:
        return frame_write_list(out, (enum frame_type)type, &list);
    case FRAME_CODE_GET:
        return frame_write_code_get(out, 1);
    case FRAME_CODE:
        return frame_write_code(out, &(struct frame_code){.request = 1, .ttl_s = 60, .code = {4}});
    default:
        return frame_write_device(out, (enum frame_type)type,
                                  &(struct frame_device){.request = 1, .device = 2});
    }
}

static int read_any(const struct frame *frame) {
    union {
        struct frame_keys_put put;
        struct frame_keys_stock stock;
        struct frame_keys_get get;
        struct frame_keys keys;
        struct frame_list list;
        struct frame_code code;
        struct frame_device device;
        uint32_t request;
    } body;
    switch (frame->type) {
    case FRAME_KEYS_PUT:
        return frame_read_keys_put(frame, &body.put);
    case FRAME_KEYS_STOCK:
        return frame_read_keys_stock(frame, &body.stock);
    case FRAME_KEYS_GET:
        return frame_read_keys_get(frame, &body.get);
    case FRAME_KEYS:
        return frame_read_keys(frame, &body.keys);
    case FRAME_LIST_PUT ... FRAME_LIST:
        return frame_read_list(frame, &body.list);
    case FRAME_CODE_GET:
        return frame_read_code_get(frame, &body.request);
    case FRAME_CODE:
        return frame_read_code(frame, &body.code);
    default:
        return frame_read_device(frame, &body.device);
    }
}

static struct frame parsed(uint8_t *bytes, size_t count) {
    struct frame frame;
    cr_assert_eq(frame_next(&bytes, &count, &frame), 0);
    return frame;
}

/* As long as `cut` says, at the end of the space, so that a sanitizer sees what reads on. */
static int read_cut(const uint8_t *bytes, size_t cut) {
    static uint8_t space[SPACE_BYTES];
    uint8_t *at = space + sizeof(space) - cut;
    memcpy(at, bytes, cut);
    bytes_put16(at, (uint16_t)(cut - FRAME_HEADER_BYTES));
    struct frame frame = parsed(at, cut);
    return read_any(&frame);
}

Test(frame_keys, every_reader_reads_what_its_writer_wrote_and_no_flags) {
    uint8_t bytes[SPACE_BYTES];
    for (int type = FRAME_KEYS_PUT; type <= FRAME_DEVICE_REMOVED; type++) {
        size_t count = write_any(bytes, type);
        struct frame frame = parsed(bytes, count);
        cr_assert(frame.type == type && frame.frame_bytes == count);
        cr_assert_eq(read_any(&frame), 0, "type %d", type);
        frame.flags = 1;
        cr_assert_eq(read_any(&frame), -EPROTO, "type %d", type);
    }
}

Test(frame_keys, every_reader_rejects_a_fixed_part_that_is_cut_short) {
    uint8_t bytes[SPACE_BYTES];
    for (int type = FRAME_KEYS_PUT; type <= FRAME_DEVICE_REMOVED; type++) {
        size_t count = write_any(bytes, type);
        bool carries = type == FRAME_KEYS || type == FRAME_LIST_PUT || type == FRAME_LIST;
        size_t fixed = carries ? count - sizeof(LIST_TEXT) : count;
        for (size_t cut = FRAME_HEADER_BYTES; cut < fixed; cut++)
            cr_assert_eq(read_cut(bytes, cut), -EPROTO, "type %d, %zu of %zu bytes", type, cut, count);
        memset(bytes + count, 0, 1);
        cr_assert_eq(read_cut(bytes, count + 1), carries ? 0 : -EPROTO, "type %d", type);
    }
}

Test(frame_keys, every_reader_rejects_reserved_bytes_that_are_set) {
    static const struct {
        uint8_t type, offset;
    } reserved[] = {
        {FRAME_KEYS_PUT, 10},    {FRAME_KEYS_STOCK, 20}, {FRAME_KEYS_GET, 18},      {FRAME_KEYS_GET, 23},
        {FRAME_KEYS, 20},        {FRAME_LIST_PUT, 8},    {FRAME_LIST_PUT, 24},      {FRAME_LIST_PUT, 26},
        {FRAME_LIST_STORED, 15}, {FRAME_LIST_GET, 24},   {FRAME_LIST_GET, 31},      {FRAME_LIST, 26},
        {FRAME_CODE, 10},        {FRAME_CODE, 11},       {FRAME_DEVICE_REMOVE, 10},
    };
    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
        uint8_t bytes[SPACE_BYTES];
        size_t count = write_any(bytes, reserved[i].type);
        bytes[reserved[i].offset] = 1;
        struct frame frame = parsed(bytes, count);
        cr_assert_eq(read_any(&frame), -EPROTO, "type %d offset %d", reserved[i].type, reserved[i].offset);
    }
}

Test(frame_keys, ids_begin_at_1_and_rise) {
    uint8_t bytes[SPACE_BYTES];
    size_t count = write_any(bytes, FRAME_KEYS_PUT);
    struct frame frame = parsed(bytes, count);
    uint8_t *second = bytes + count - 2 * FRAME_ONE_TIME_BYTES;
    bytes_put32(second, 10);
    cr_assert_eq(read_any(&frame), -EPROTO, "the same id twice");
    bytes_put32(second, 11);
    cr_assert_eq(read_any(&frame), 0);
    bytes_put32(second - FRAME_ONE_TIME_BYTES, 0);
    cr_assert_eq(read_any(&frame), -EPROTO, "a one-time pre-key without id");
    count = write_any(bytes, FRAME_KEYS_PUT);
    memset(bytes + 12 + FRAME_KEYS_SIGNED_ID, 0, 4);
    frame = parsed(bytes, count);
    cr_assert_eq(read_any(&frame), -EPROTO, "a signed pre-key without id");
}

Test(frame_keys, keys_are_rows_and_then_the_list) {
    uint8_t bytes[SPACE_BYTES];
    struct frame_keys body;
    uint16_t device;
    struct frame frame = parsed(bytes, write_any(bytes, FRAME_KEYS));
    cr_assert_eq(frame_read_keys(&frame, &body), 0);
    cr_assert(body.count == 2 && body.list_version == 5 && body.account == 2);
    const uint8_t *bundle = frame_keys_row(&body, 0, &device);
    cr_assert(device == 1 && memcmp(bundle, keys, FRAME_KEYS_BYTES) == 0);
    cr_assert_eq(memcmp(bundle + FRAME_KEYS_BYTES, one_time[0], FRAME_ONE_TIME_BYTES), 0);
    bundle = frame_keys_row(&body, 1, &device);
    cr_assert(device == 4 && frame_one_time_id(bundle + FRAME_KEYS_BYTES) == 0);
    cr_assert(body.list_bytes == sizeof(LIST_TEXT) && memcmp(body.list, LIST_TEXT, sizeof(LIST_TEXT)) == 0);
    bytes_put16(bytes + 18, FRAME_KEYS_ROWS_MAX + 1);
    cr_assert_eq(frame_read_keys(&frame, &body), -EPROTO);
}

Test(frame_keys, a_list_without_version_or_bytes_is_none) {
    uint8_t bytes[SPACE_BYTES];
    struct frame_list list = {.request = 1, .version = 3};
    struct frame frame = parsed(bytes, frame_write_list(bytes, FRAME_LIST_PUT, &list));
    cr_assert_eq(read_any(&frame), -EPROTO, "no bytes");
    frame = parsed(bytes, write_any(bytes, FRAME_LIST_PUT));
    bytes_put64(bytes + 16, 0);
    cr_assert_eq(read_any(&frame), -EPROTO, "version 0");
}

/* The switch takes a bundle for bytes; what it reads of it has to be what clients write there. */
Test(frame_keys, a_row_is_the_bundle_of_the_client) {
    struct prekey_bundle bundle = {.signed_id = 1234, .one_time_id = 56, .one_time_public = {7}};
    uint8_t bytes[PREKEY_BUNDLE_BYTES], row[FRAME_KEYS_ROW_BYTES];
    prekey_bundle_write(&bundle, bytes);
    cr_assert_eq(frame_keys_signed_id(bytes), bundle.signed_id);
    cr_assert_eq(frame_one_time_id(bytes + FRAME_KEYS_BYTES), bundle.one_time_id);
    frame_write_keys_row(row, 1, bytes, bytes + FRAME_KEYS_BYTES);
    cr_assert_eq(memcmp(row + 8, bytes, sizeof(bytes)), 0);
    bundle.one_time_id = 0;
    memset(bundle.one_time_public, 0, sizeof(bundle.one_time_public));
    prekey_bundle_write(&bundle, bytes);
    frame_write_keys_row(row, 1, bytes, NULL);
    cr_assert_eq(memcmp(row + 8, bytes, sizeof(bytes)), 0, "without one-time pre-key");
}

Test(frame_keys, what_clients_bring_fits_the_switchs_defaults) {
    struct config config;
    config_defaults(&config);
    cr_assert_leq(DEVICELIST_BYTES_MAX, config.device_list_bytes_max);
    cr_assert_eq(PREKEY_ONE_TIME_LOW, config.one_time_keys_low);
    cr_assert_leq(PREKEY_ONE_TIME_STOCK, FRAME_ONE_TIME_MAX);
    cr_assert_leq(PREKEY_ONE_TIME_STOCK + PREKEY_ONE_TIME_LOW, config.one_time_keys_max);
}
