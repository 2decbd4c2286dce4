#include "tools/client/sharing.h"

#include <errno.h>

#include "tools/client/contacts.h"
#include "tools/client/content.h"
#include "tools/client/sealing.h"

#define ROWS_MAX 64u /* of a message: fewer where the own devices are many */

bool sharing_any(struct state *state) {
    const struct message_id first = {0};
    struct frame_range range;
    return state_inbox_unshared(state, &first, &range) == 0;
}

static void write_row(uint8_t *at, const struct frame_range *range) {
    memset(at, 0, INNER_READ_ROW_BYTES);
    bytes_put64(at, range->id.from);
    bytes_put64(at + 8, range->id.epoch);
    bytes_put64(at + 16, range->id.number);
    bytes_put64(at + 24, range->last);
    bytes_put16(at + 32, range->id.from_device);
}

/* As many as go into one message; those are taken for told. */
static uint32_t gather(struct state *state, uint8_t *rows, uint32_t rows_max) {
    const struct message_id first = {0};
    struct frame_range range;
    uint32_t count = 0;
    while (count < rows_max && state_inbox_unshared(state, &first, &range) == 0) {
        if (rows)
            write_row(rows + (size_t)count * INNER_READ_ROW_BYTES, &range);
        if (state_inbox_shared(state, &range) != 0)
            break;
        count++;
    }
    return count;
}

int sharing_put(struct state *state, const struct identity *own, uint64_t utc_ms) {
    const struct devicelist_device *devices[DEVICELIST_DEVICES_MAX];
    uint8_t rows[ROWS_MAX * INNER_READ_ROW_BYTES];
    struct contact self;
    uint64_t number;
    uint32_t rows_max = sealing_bytes_max(state, own, own->account) / INNER_READ_ROW_BYTES;
    rows_max = rows_max > ROWS_MAX ? ROWS_MAX : rows_max;
    bool has_others =
        contacts_get(state, own->account, &self) == 0 && contact_targets(&self, own->device, devices) > 0;
    if (!has_others || rows_max == 0) {
        while (gather(state, NULL, ROWS_MAX))
            ;
        return state->error;
    }
    for (uint32_t count; (count = gather(state, rows, rows_max)) > 0 && !state->error;) {
        struct outgoing message = {.to = own->account,
                                   .utc_ms = utc_ms,
                                   .payload = rows,
                                   .payload_bytes = count * INNER_READ_ROW_BYTES};
        sealing_add(state, &message, INNER_READ, &number);
    }
    return state->error;
}

int sharing_take(struct state *state, const uint8_t *rows, uint32_t bytes) {
    if (bytes == 0 || bytes % INNER_READ_ROW_BYTES)
        return -EBADMSG;
    for (; bytes; rows += INNER_READ_ROW_BYTES, bytes -= INNER_READ_ROW_BYTES) {
        struct frame_range range = {.id = {.from = bytes_get64(rows),
                                           .epoch = bytes_get64(rows + 8),
                                           .number = bytes_get64(rows + 16),
                                           .from_device = bytes_get16(rows + 32)},
                                    .last = bytes_get64(rows + 24)};
        if (range.id.number == 0 || range.last < range.id.number)
            return -EBADMSG;
        state_inbox_read_elsewhere(state, &range);
    }
    return state->error;
}
