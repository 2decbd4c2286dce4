#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "core/bytes.h"
#include "core/frame.h"

/* Reads a frame of any type with its reader. */
static int read_any(const struct frame *frame) {
    union {
        struct frame_message message;
        struct frame_range range;
        struct frame_link link;
        struct frame_welcome welcome;
        struct frame_refused refused;
        struct frame_lookup lookup;
        struct frame_block block;
        struct frame_close close;
        uint64_t number;
    } body;
    switch (frame->type) {
    case FRAME_LINK:
    case FRAME_LOGIN:
        return frame_read_link(frame, &body.link);
    case FRAME_WELCOME:
        return frame_read_welcome(frame, &body.welcome);
    case FRAME_MESSAGE:
        return frame_read_message(frame, &body.message);
    case FRAME_RECEIPT:
    case FRAME_MARK:
    case FRAME_CONFIRM:
        return frame_read_range(frame, &body.range);
    case FRAME_ACK:
        return frame_read_ack(frame, &body.number);
    case FRAME_REFUSED:
        return frame_read_refused(frame, &body.refused);
    case FRAME_PING:
    case FRAME_PONG:
        return frame_read_ping(frame, &body.number);
    case FRAME_LOOKUP:
    case FRAME_ACCOUNT:
        return frame_read_lookup(frame, &body.lookup);
    case FRAME_BLOCK:
    case FRAME_BLOCKED:
        return frame_read_block(frame, &body.block);
    default:
        return frame_read_close(frame, &body.close);
    }
}

static const struct frame_range range = {
    .id = {.from = 1, .to = 2, .epoch = 3, .number = 4, .from_device = 5}, .last = 6};

/* A valid frame of each type; returns its bytes. */
static size_t write_any(uint8_t *out, enum frame_type type) {
    switch (type) {
    case FRAME_LINK:
        return frame_write_link(out, type, &(struct frame_link){.account = 1, .epoch = 2, .code = {3}});
    case FRAME_LOGIN:
        return frame_write_link(out, type, &(struct frame_link){.account = 1, .epoch = 2, .device = 3});
    case FRAME_WELCOME:
        return frame_write_welcome(out, &(struct frame_welcome){.name = "bob", .name_bytes = 3, .device = 1});
    case FRAME_MESSAGE:
        return frame_write_message(out, &(struct frame_message){.id = range.id, .ttl_s = 7});
    case FRAME_RECEIPT:
    case FRAME_MARK:
    case FRAME_CONFIRM:
        return frame_write_range(out, type, RECEIPT_DELIVERED, &range);
    case FRAME_ACK:
        return frame_write_ack(out, 9);
    case FRAME_REFUSED:
        return frame_write_refused(out, &(struct frame_refused){.to = 1, .number = 2, .reason = 3});
    case FRAME_PING:
    case FRAME_PONG:
        return frame_write_ping(out, type, 10);
    case FRAME_LOOKUP:
    case FRAME_ACCOUNT:
        return frame_write_lookup(out, type, &(struct frame_lookup){.name = "bob", .name_bytes = 3});
    case FRAME_BLOCK:
    case FRAME_BLOCKED:
        return frame_write_block(out, type, &(struct frame_block){.account = 1, .on = true});
    default:
        return frame_write_close(out, type, &(struct frame_close){.reason = 1});
    }
}

static struct frame parsed(uint8_t *bytes, size_t count) {
    struct frame frame;
    cr_assert_eq(frame_next(&bytes, &count, &frame), 0);
    return frame;
}

Test(frame, every_reader_reads_what_its_writer_wrote) {
    uint8_t bytes[FRAME_SMALL_BYTES_MAX];
    for (int type = FRAME_LINK; type <= FRAME_CLOSE; type++) {
        size_t count = write_any(bytes, (enum frame_type)type);
        struct frame frame = parsed(bytes, count);
        cr_assert_eq(frame.type, type);
        cr_assert_eq(frame.frame_bytes, count);
        cr_assert_eq(read_any(&frame), 0, "type %d", type);
    }
}

Test(frame, every_reader_rejects_a_body_that_is_cut_short) {
    uint8_t bytes[FRAME_SMALL_BYTES_MAX];
    for (int type = FRAME_LINK; type <= FRAME_CLOSE; type++) {
        size_t count = write_any(bytes, (enum frame_type)type);
        for (size_t cut = FRAME_HEADER_BYTES; cut < count; cut++) {
            uint8_t
                shorter[FRAME_SMALL_BYTES_MAX]; /* exactly as long, so that a sanitizer sees what reads on */
            memcpy(shorter + sizeof(shorter) - cut, bytes, cut);
            bytes_put16(shorter + sizeof(shorter) - cut, (uint16_t)(cut - FRAME_HEADER_BYTES));
            struct frame frame = parsed(shorter + sizeof(shorter) - cut, cut);
            cr_assert_eq(read_any(&frame), -EPROTO, "type %d, %zu of %zu bytes", type, cut, count);
        }
    }
}

Test(frame, every_reader_of_a_fixed_frame_rejects_bytes_behind_it) {
    uint8_t bytes[FRAME_SMALL_BYTES_MAX] = {0};
    for (int type = FRAME_LINK; type <= FRAME_CLOSE; type++) {
        size_t count = write_any(bytes, (enum frame_type)type) + 1;
        if (type == FRAME_MESSAGE)
            continue; /* that is its payload */
        bytes_put16(bytes, (uint16_t)(count - FRAME_HEADER_BYTES));
        struct frame frame = parsed(bytes, count);
        cr_assert_eq(read_any(&frame), -EPROTO, "type %d", type);
    }
}

Test(frame, every_reader_rejects_flags_that_are_not_its_own) {
    static const uint8_t allowed[FRAME_CLOSE + 1] = {
        [FRAME_MESSAGE] = 1, [FRAME_RECEIPT] = 15, [FRAME_MARK] = 14, [FRAME_CONFIRM] = 6};
    uint8_t bytes[FRAME_SMALL_BYTES_MAX];
    for (int type = FRAME_LINK; type <= FRAME_CLOSE; type++) {
        size_t count = write_any(bytes, (enum frame_type)type);
        for (int bit = 0; bit < 8; bit++) {
            bytes[3] = (uint8_t)(1 << bit);
            struct frame frame = parsed(bytes, count);
            cr_assert_eq(read_any(&frame), allowed[type] & (1 << bit) ? 0 : -EPROTO, "type %d bit %d", type,
                         bit);
        }
    }
}

Test(frame, every_reader_rejects_reserved_bytes_that_are_set) {
    static const struct {
        uint8_t type, offset;
    } reserved[] = {
        {FRAME_LINK, 4},    {FRAME_LINK, 6},     {FRAME_LOGIN, 6},   {FRAME_LOGIN, 24},  {FRAME_LOGIN, 39},
        {FRAME_WELCOME, 7}, {FRAME_MESSAGE, 54}, {FRAME_RECEIPT, 6}, {FRAME_MARK, 7},    {FRAME_MARK, 40},
        {FRAME_CONFIRM, 6}, {FRAME_CONFIRM, 47}, {FRAME_ACK, 4},     {FRAME_REFUSED, 7}, {FRAME_PING, 4},
        {FRAME_PONG, 7},    {FRAME_LOOKUP, 19},  {FRAME_BLOCK, 7},   {FRAME_CLOSE, 10},
    };
    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
        uint8_t bytes[FRAME_SMALL_BYTES_MAX];
        size_t count = write_any(bytes, reserved[i].type);
        bytes[reserved[i].offset] = 1;
        struct frame frame = parsed(bytes, count);
        cr_assert_eq(read_any(&frame), -EPROTO, "type %d offset %d", reserved[i].type, reserved[i].offset);
    }
}

Test(frame, range_that_is_empty_or_starts_at_zero_is_rejected) {
    uint8_t bytes[FRAME_SMALL_BYTES_MAX];
    struct frame_range bad = range;
    bad.last = bad.id.number - 1;
    struct frame frame = parsed(bytes, frame_write_range(bytes, FRAME_MARK, RECEIPT_READ, &bad));
    cr_assert_eq(read_any(&frame), -EPROTO);
    bad = range;
    bad.id.number = 0;
    frame = parsed(bytes, frame_write_range(bytes, FRAME_MARK, RECEIPT_READ, &bad));
    cr_assert_eq(read_any(&frame), -EPROTO);
}

Test(frame, mark_says_one_thing_at_a_time) {
    uint8_t bytes[FRAME_SMALL_BYTES_MAX];
    uint8_t both = RECEIPT_DELIVERED | RECEIPT_READ;
    struct frame frame = parsed(bytes, frame_write_range(bytes, FRAME_MARK, both, &range));
    cr_assert_eq(read_any(&frame), -EPROTO);
}

Test(frame, targets_are_at_least_one_and_at_most_as_many_as_there_is_room) {
    uint8_t bytes[FRAME_SMALL_BYTES_MAX];
    for (uint16_t missing = 0; missing <= FRAME_TARGETS_MAX + 1; missing++) {
        for (uint16_t gone = 0; gone <= FRAME_TARGETS_MAX + 1; gone++) {
            struct frame_targets targets = {.account = 9, .missing = missing, .gone = gone}, read;
            for (uint16_t i = 0; i < missing + gone && i < FRAME_TARGETS_MAX; i++)
                targets.devices[i] = (uint16_t)(i + 5);
            struct frame frame = parsed(bytes, frame_write_targets(bytes, &targets));
            bool good = missing + gone > 0 && missing + gone <= FRAME_TARGETS_MAX;
            cr_assert_eq(frame_read_targets(&frame, &read), good ? 0 : -EPROTO);
            cr_assert(!good || memcmp(&read, &targets, sizeof(read)) == 0);
        }
    }
}

Test(frame, targets_with_a_number_too_many_or_too_few_a_byte_too_many_or_a_flag_are_rejected) {
    uint8_t bytes[FRAME_SMALL_BYTES_MAX];
    static const uint16_t wrong[][FRAME_TARGETS_MAX] = {{1, 0, 0, 0}, {1, 0, 2, 0}, {1, 2, 0, 3}};
    struct frame_targets targets = {.account = 9, .missing = 1, .gone = 1}, read;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        memcpy(targets.devices, wrong[i], sizeof(targets.devices));
        struct frame frame = parsed(bytes, frame_write_targets(bytes, &targets));
        cr_assert_eq(frame_read_targets(&frame, &read), -EPROTO, "%zu", i);
    }
    targets.devices[1] = 2;
    targets.devices[3] = 0;
    struct frame frame = parsed(bytes, frame_write_targets(bytes, &targets));
    cr_assert_eq(frame_read_targets(&frame, &read), 0);
    frame.frame_bytes++;
    cr_assert_eq(frame_read_targets(&frame, &read), -EPROTO);
    frame.frame_bytes -= 2;
    cr_assert_eq(frame_read_targets(&frame, &read), -EPROTO);
    frame.frame_bytes++;
    frame.flags = 1;
    cr_assert_eq(frame_read_targets(&frame, &read), -EPROTO);
}

Test(frame, next_takes_whole_frames_only) {
    uint8_t bytes[2 * FRAME_SMALL_BYTES_MAX];
    struct frame frame;
    size_t first = write_any(bytes, FRAME_PING);
    size_t count = first + write_any(bytes + first, FRAME_ACK);
    for (size_t cut = 0; cut <= count; cut++) {
        uint8_t *at = bytes;
        size_t left = cut;
        int whole = 0, error;
        while ((error = frame_next(&at, &left, &frame)) == 0)
            whole++;
        cr_assert_eq(whole, (cut >= first) + (cut == count));
        cr_assert_eq(error, left == 0 ? -ENODATA : -EPROTO);
    }
}

Test(frame, accepted_message_has_what_the_switch_knows_and_no_flags) {
    uint8_t bytes[FRAME_SMALL_BYTES_MAX];
    struct frame_message body = {.id = {.to = 2, .number = 4}, .first = true, .content_type = 8};
    struct frame frame = parsed(bytes, frame_write_message(bytes, &body));
    cr_assert(frame_message_is_bare(&frame));
    frame_accept_message(bytes, &range.id, 60, 1234);
    frame = parsed(bytes, frame.frame_bytes);
    cr_assert(!frame_message_is_bare(&frame));
    cr_assert_eq(frame.flags, 0);
    cr_assert_eq(frame_read_message(&frame, &body), 0);
    cr_assert(message_id_same_key(&body.id, &range.id));
    cr_assert_eq(body.id.number, 4);
    cr_assert_eq(body.ttl_s, 60);
    cr_assert_eq(body.accepted_ms, 1234);
    cr_assert_eq(body.content_type, 8);
}

Test(frame, accepted_part_is_a_message_of_its_own) {
    uint8_t whole[FRAME_SMALL_BYTES_MAX], bytes[FRAME_SMALL_BYTES_MAX];
    struct frame_message outer = {.id = {.to = 2, .number = 4}, .content_type = 8, .target_count = 2}, body;
    struct frame_message part = {
        .id = {.from = 2, .from_device = 9}, .payload = (const uint8_t *)"part", .payload_bytes = 4};
    frame_write_message(whole, &outer);
    frame_accept_message(whole, &range.id, 60, 1234);
    struct frame frame = parsed(bytes, frame_write_message(bytes, &part));
    frame_accept_part(bytes, whole);
    frame = parsed(bytes, frame.frame_bytes);
    cr_assert_eq(frame_read_message(&frame, &body), 0);
    cr_assert(message_id_same_key(&body.id, &range.id));
    cr_assert(body.id.number == 4 && body.ttl_s == 60 && body.accepted_ms == 1234 && body.content_type == 8);
    cr_assert(body.target_count == 1 && body.payload_bytes == 4 && memcmp(body.payload, "part", 4) == 0);
}
