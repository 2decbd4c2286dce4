#include "core/frame.h"

#include <errno.h>
#include <string.h>

#include "core/bytes.h"

/* Bytes of each fixed frame, header included; the offsets below are those of docs/PROTOCOL.md, "Frames". */
#define LINK_BYTES 40
#define WELCOME_BYTES 36 /* without the name */
#define ACK_BYTES 16
#define REFUSED_BYTES 28
#define TARGETS_BYTES 24
#define PING_BYTES 16
#define LOOKUP_BYTES 20 /* without the name */
#define BLOCK_BYTES 16
#define CLOSE_BYTES 12

int frame_next(uint8_t **bytes, size_t *bytes_left, struct frame *ret_frame) {
    if (*bytes_left == 0)
        return -ENODATA;
    if (*bytes_left < FRAME_HEADER_BYTES)
        return -EPROTO;
    size_t frame_bytes = FRAME_HEADER_BYTES + (size_t)bytes_get16(*bytes);
    if (frame_bytes > *bytes_left || frame_bytes > FRAME_BYTES_MAX)
        return -EPROTO;
    *ret_frame = (struct frame){
        .type = (*bytes)[2],
        .flags = (*bytes)[3],
        .bytes = *bytes,
        .frame_bytes = (uint32_t)frame_bytes,
    };
    *bytes += frame_bytes;
    *bytes_left -= frame_bytes;
    return 0;
}

size_t frame_write_header(uint8_t *out, size_t frame_bytes, enum frame_type type, uint8_t flags) {
    bytes_put16(out, (uint16_t)(frame_bytes - FRAME_HEADER_BYTES));
    out[2] = (uint8_t)type;
    out[3] = flags;
    return frame_bytes;
}

bool frame_is_fixed(const struct frame *frame, size_t frame_bytes) {
    return frame->frame_bytes == frame_bytes && frame->flags == 0;
}

/* --- message -------------------------------------------------------------------------------------------- */

int frame_read_message(const struct frame *frame, struct frame_message *ret) {
    const uint8_t *at = frame->bytes;
    if (frame->frame_bytes < FRAME_MESSAGE_BYTES || (frame->flags & ~MESSAGE_FIRST) ||
        bytes_get16(at + 54) != 0)
        return -EPROTO;
    *ret = (struct frame_message){
        .ttl_s = bytes_get32(at + 4),
        .id = {.to = bytes_get64(at + 8),
               .number = bytes_get64(at + 16),
               .epoch = bytes_get64(at + 24),
               .from = bytes_get64(at + 32),
               .from_device = bytes_get16(at + 48)},
        .accepted_ms = bytes_get64(at + 40),
        .content_type = bytes_get16(at + 50),
        .target_count = bytes_get16(at + 52),
        .payload = at + FRAME_MESSAGE_BYTES,
        .payload_bytes = frame->frame_bytes - FRAME_MESSAGE_BYTES,
    };
    return 0;
}

bool frame_message_is_bare(const struct frame *frame) {
    const uint8_t *at = frame->bytes;
    return (bytes_get64(at + 24) | bytes_get64(at + 32) | bytes_get64(at + 40) | bytes_get16(at + 48)) == 0;
}

size_t frame_write_message(uint8_t *out, const struct frame_message *message) {
    size_t frame_bytes = frame_write_header(out, FRAME_MESSAGE_BYTES + message->payload_bytes, FRAME_MESSAGE,
                                            message->first ? MESSAGE_FIRST : 0);
    bytes_put32(out + 4, message->ttl_s);
    bytes_put64(out + 8, message->id.to);
    bytes_put64(out + 16, message->id.number);
    bytes_put64(out + 24, message->id.epoch);
    bytes_put64(out + 32, message->id.from);
    bytes_put64(out + 40, message->accepted_ms);
    bytes_put16(out + 48, message->id.from_device);
    bytes_put16(out + 50, message->content_type);
    bytes_put16(out + 52, message->target_count);
    bytes_put16(out + 54, 0);
    if (message->payload_bytes)
        memcpy(out + FRAME_MESSAGE_BYTES, message->payload, message->payload_bytes);
    return frame_bytes;
}

void frame_accept_message(uint8_t *frame_bytes, const struct message_id *id, uint32_t ttl_s,
                          uint64_t accepted_ms) {
    frame_bytes[3] = 0;
    bytes_put32(frame_bytes + 4, ttl_s);
    bytes_put64(frame_bytes + 24, id->epoch);
    bytes_put64(frame_bytes + 32, id->from);
    bytes_put64(frame_bytes + 40, accepted_ms);
    bytes_put16(frame_bytes + 48, id->from_device);
}

void frame_accept_part(uint8_t *part_bytes, const uint8_t *frame_bytes) {
    memcpy(part_bytes + FRAME_HEADER_BYTES, frame_bytes + FRAME_HEADER_BYTES,
           FRAME_MESSAGE_BYTES - FRAME_HEADER_BYTES);
    bytes_put16(part_bytes + 52, 1);
}

/* --- receipt, mark, confirm ----------------------------------------------------------------------------- */

static uint8_t range_flags_allowed(uint8_t type) {
    if (type == FRAME_RECEIPT)
        return RECEIPT_SENT | RECEIPT_DELIVERED | RECEIPT_READ | RECEIPT_FAILED;
    return type == FRAME_MARK ? RECEIPT_DELIVERED | RECEIPT_READ | RECEIPT_FAILED
                              : RECEIPT_DELIVERED | RECEIPT_READ;
}

int frame_read_range(const struct frame *frame, struct frame_range *ret) {
    const uint8_t *at = frame->bytes;
    if (frame->frame_bytes != FRAME_RECEIPT_BYTES || frame->flags == 0 ||
        (frame->flags & ~range_flags_allowed(frame->type)) || bytes_get16(at + 6) != 0)
        return -EPROTO;
    if (frame->type == FRAME_MARK && (frame->flags & (frame->flags - 1)))
        return -EPROTO; /* one thing at a time */
    struct frame_range range = {
        .id = {.from_device = bytes_get16(at + 4),
               .to = bytes_get64(at + 8),
               .epoch = bytes_get64(at + 16),
               .number = bytes_get64(at + 24),
               .from = bytes_get64(at + 48)},
        .last = bytes_get64(at + 32),
        .time_ms = bytes_get64(at + 40),
    };
    if (range.id.number == 0 || range.last < range.id.number ||
        (frame->type != FRAME_RECEIPT && range.time_ms))
        return -EPROTO;
    *ret = range;
    return 0;
}

size_t frame_write_range(uint8_t *out, enum frame_type type, uint8_t flags, const struct frame_range *range) {
    bytes_put16(out + 4, range->id.from_device);
    bytes_put16(out + 6, 0);
    bytes_put64(out + 8, range->id.to);
    bytes_put64(out + 16, range->id.epoch);
    bytes_put64(out + 24, range->id.number);
    bytes_put64(out + 32, range->last);
    bytes_put64(out + 40, range->time_ms);
    bytes_put64(out + 48, range->id.from);
    return frame_write_header(out, FRAME_RECEIPT_BYTES, type, flags);
}

/* --- link, login, welcome ------------------------------------------------------------------------------- */

int frame_read_link(const struct frame *frame, struct frame_link *ret) {
    static const uint8_t no_code[FRAME_CODE_BYTES];
    const uint8_t *at = frame->bytes;
    if (!frame_is_fixed(frame, LINK_BYTES) || bytes_get16(at + 6) != 0)
        return -EPROTO;
    bool is_link = frame->type == FRAME_LINK;
    bool no_device = bytes_get16(at + 4) == 0;
    if (is_link != no_device || (!is_link && memcmp(at + 24, no_code, FRAME_CODE_BYTES) != 0))
        return -EPROTO;
    *ret = (struct frame_link){
        .device = bytes_get16(at + 4),
        .account = bytes_get64(at + 8),
        .epoch = bytes_get64(at + 16),
    };
    memcpy(ret->code, at + 24, FRAME_CODE_BYTES);
    return 0;
}

size_t frame_write_link(uint8_t *out, enum frame_type type, const struct frame_link *link) {
    bytes_put16(out + 4, type == FRAME_LOGIN ? link->device : 0);
    bytes_put16(out + 6, 0);
    bytes_put64(out + 8, link->account);
    bytes_put64(out + 16, link->epoch);
    if (type == FRAME_LINK)
        memcpy(out + 24, link->code, FRAME_CODE_BYTES);
    else
        memset(out + 24, 0, FRAME_CODE_BYTES);
    return frame_write_header(out, LINK_BYTES, type, 0);
}

int frame_read_welcome(const struct frame *frame, struct frame_welcome *ret) {
    const uint8_t *at = frame->bytes;
    if (frame->frame_bytes < WELCOME_BYTES || at[6] > FRAME_NAME_BYTES_MAX ||
        !frame_is_fixed(frame, (size_t)WELCOME_BYTES + at[6]) || at[7] != 0)
        return -EPROTO;
    *ret = (struct frame_welcome){
        .device = bytes_get16(at + 4),
        .name_bytes = at[6],
        .account = bytes_get64(at + 8),
        .server_ms = bytes_get64(at + 16),
        .payload_bytes_max = bytes_get32(at + 24),
        .unticked_max = bytes_get32(at + 28),
        .ping_s = bytes_get32(at + 32),
        .name = (const char *)at + WELCOME_BYTES,
    };
    return 0;
}

size_t frame_write_welcome(uint8_t *out, const struct frame_welcome *welcome) {
    bytes_put16(out + 4, welcome->device);
    out[6] = welcome->name_bytes;
    out[7] = 0;
    bytes_put64(out + 8, welcome->account);
    bytes_put64(out + 16, welcome->server_ms);
    bytes_put32(out + 24, welcome->payload_bytes_max);
    bytes_put32(out + 28, welcome->unticked_max);
    bytes_put32(out + 32, welcome->ping_s);
    memcpy(out + WELCOME_BYTES, welcome->name, welcome->name_bytes);
    return frame_write_header(out, (size_t)WELCOME_BYTES + welcome->name_bytes, FRAME_WELCOME, 0);
}

/* --- the small ones ------------------------------------------------------------------------------------- */

int frame_read_ack(const struct frame *frame, uint64_t *ret_count) {
    if (!frame_is_fixed(frame, ACK_BYTES) || bytes_get32(frame->bytes + 4) != 0)
        return -EPROTO;
    *ret_count = bytes_get64(frame->bytes + 8);
    return 0;
}

size_t frame_write_ack(uint8_t *out, uint64_t count) {
    bytes_put32(out + 4, 0);
    bytes_put64(out + 8, count);
    return frame_write_header(out, ACK_BYTES, FRAME_ACK, 0);
}

int frame_read_refused(const struct frame *frame, struct frame_refused *ret) {
    const uint8_t *at = frame->bytes;
    if (!frame_is_fixed(frame, REFUSED_BYTES) || bytes_get16(at + 6) != 0)
        return -EPROTO;
    *ret = (struct frame_refused){
        .reason = bytes_get16(at + 4),
        .to = bytes_get64(at + 8),
        .number = bytes_get64(at + 16),
        .retry_ms = bytes_get32(at + 24),
    };
    return 0;
}

size_t frame_write_refused(uint8_t *out, const struct frame_refused *refused) {
    bytes_put16(out + 4, refused->reason);
    bytes_put16(out + 6, 0);
    bytes_put64(out + 8, refused->to);
    bytes_put64(out + 16, refused->number);
    bytes_put32(out + 24, refused->retry_ms);
    return frame_write_header(out, REFUSED_BYTES, FRAME_REFUSED, 0);
}

int frame_read_targets(const struct frame *frame, struct frame_targets *ret) {
    const uint8_t *at = frame->bytes;
    if (!frame_is_fixed(frame, TARGETS_BYTES))
        return -EPROTO;
    struct frame_targets targets = {
        .missing = bytes_get16(at + 4), .gone = bytes_get16(at + 6), .account = bytes_get64(at + 8)};
    uint32_t told = (uint32_t)targets.missing + targets.gone;
    if (told == 0 || told > FRAME_TARGETS_MAX)
        return -EPROTO;
    for (uint32_t i = 0; i < FRAME_TARGETS_MAX; i++) {
        targets.devices[i] = bytes_get16(at + 16 + (size_t)i * 2);
        if ((targets.devices[i] != 0) != (i < told))
            return -EPROTO;
    }
    *ret = targets;
    return 0;
}

size_t frame_write_targets(uint8_t *out, const struct frame_targets *targets) {
    bytes_put16(out + 4, targets->missing);
    bytes_put16(out + 6, targets->gone);
    bytes_put64(out + 8, targets->account);
    for (uint32_t i = 0; i < FRAME_TARGETS_MAX; i++)
        bytes_put16(out + 16 + (size_t)i * 2, targets->devices[i]);
    return frame_write_header(out, TARGETS_BYTES, FRAME_TARGETS, 0);
}

int frame_read_ping(const struct frame *frame, uint64_t *ret_opaque) {
    if (!frame_is_fixed(frame, PING_BYTES) || bytes_get32(frame->bytes + 4) != 0)
        return -EPROTO;
    *ret_opaque = bytes_get64(frame->bytes + 8);
    return 0;
}

size_t frame_write_ping(uint8_t *out, enum frame_type type, uint64_t opaque) {
    bytes_put32(out + 4, 0);
    bytes_put64(out + 8, opaque);
    return frame_write_header(out, PING_BYTES, type, 0);
}

int frame_read_lookup(const struct frame *frame, struct frame_lookup *ret) {
    const uint8_t *at = frame->bytes;
    if (frame->frame_bytes < LOOKUP_BYTES || at[18] > FRAME_NAME_BYTES_MAX ||
        !frame_is_fixed(frame, (size_t)LOOKUP_BYTES + at[18]) || at[19] != 0)
        return -EPROTO;
    *ret = (struct frame_lookup){
        .request = bytes_get32(at + 4),
        .account = bytes_get64(at + 8),
        .status = bytes_get16(at + 16),
        .name_bytes = at[18],
        .name = (const char *)at + LOOKUP_BYTES,
    };
    return 0;
}

size_t frame_write_lookup(uint8_t *out, enum frame_type type, const struct frame_lookup *lookup) {
    bytes_put32(out + 4, lookup->request);
    bytes_put64(out + 8, lookup->account);
    bytes_put16(out + 16, lookup->status);
    out[18] = lookup->name_bytes;
    out[19] = 0;
    if (lookup->name_bytes)
        memcpy(out + LOOKUP_BYTES, lookup->name, lookup->name_bytes);
    return frame_write_header(out, (size_t)LOOKUP_BYTES + lookup->name_bytes, type, 0);
}

int frame_read_block(const struct frame *frame, struct frame_block *ret) {
    const uint8_t *at = frame->bytes;
    if (!frame_is_fixed(frame, BLOCK_BYTES) || at[6] > 1 || at[7] != 0)
        return -EPROTO;
    *ret = (struct frame_block){.status = bytes_get16(at + 4), .on = at[6], .account = bytes_get64(at + 8)};
    return 0;
}

size_t frame_write_block(uint8_t *out, enum frame_type type, const struct frame_block *block) {
    bytes_put16(out + 4, block->status);
    out[6] = block->on;
    out[7] = 0;
    bytes_put64(out + 8, block->account);
    return frame_write_header(out, BLOCK_BYTES, type, 0);
}

int frame_read_close(const struct frame *frame, struct frame_close *ret) {
    const uint8_t *at = frame->bytes;
    if (!frame_is_fixed(frame, CLOSE_BYTES) || bytes_get16(at + 10) != 0)
        return -EPROTO;
    if (frame->type == FRAME_CLOSE && bytes_get32(at + 4) != 0)
        return -EPROTO;
    *ret = (struct frame_close){.after_ms = bytes_get32(at + 4), .reason = bytes_get16(at + 8)};
    return 0;
}

size_t frame_write_close(uint8_t *out, enum frame_type type, const struct frame_close *close) {
    bytes_put32(out + 4, close->after_ms);
    bytes_put16(out + 8, close->reason);
    bytes_put16(out + 10, 0);
    return frame_write_header(out, CLOSE_BYTES, type, 0);
}
