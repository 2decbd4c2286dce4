#include "tests/sim/tap.h"

#include <string.h>

#include "core/bytes.h"
#include "core/frame.h"
#include "core/hello.h"
#include "core/record.h"
#include "tests/sim/client.h"
#include "tests/sim/device.h"
#include "tests/sim/oracle.h"
#include "tests/sim/sim.h"

#define RECORD_BYTES_MAX (RECORD_LENGTH_BYTES + 65536)

static struct tap {
    size_t hello_left, count;
    uint8_t record[RECORD_BYTES_MAX];
} taps[SIM_DEVICES_MAX];

void tap_reset(void) {
    for (uint32_t i = 0; i < SIM_DEVICES_MAX; i++)
        taps[i].hello_left = taps[i].count = 0;
}

void tap_begin(uint32_t device) {
    taps[device].hello_left = HELLO_BYTES;
    taps[device].count = 0;
}

static void take_frame(uint32_t device, const struct frame *frame) {
    struct frame_range range;
    struct frame_refused refused;
    if (frame->type == FRAME_REFUSED && frame_read_refused(frame, &refused) == 0) {
        uint32_t message = client_message(device, refused.to, refused.number);
        if (message < SIM_MESSAGES_MAX)
            sight_touch(device, message);
        return;
    }
    if (frame->type != FRAME_RECEIPT && frame->type != FRAME_CONFIRM)
        return;
    if (frame_read_range(frame, &range) < 0)
        return;
    if (frame->type == FRAME_CONFIRM) {
        TRACE4("device %llu: %llu is confirmed from message %llu, last number %llu", device, frame->flags,
               client_message(client_find(range.id.from, range.id.from_device), range.id.to, range.id.number),
               range.last);
        return;
    }
    uint32_t sender = client_find(range.id.from, range.id.from_device);
    for (uint64_t number = range.id.number; number <= range.last; number++) {
        uint32_t message = client_message(sender, range.id.to, number);
        TRACE4("device %llu is told %llu of message %llu, number %llu", device, frame->flags, message,
               number);
        if (message < SIM_MESSAGES_MAX && sender == device)
            sight_touch(device, message);
        if (message < SIM_MESSAGES_MAX)
            oracle_told(device, message, frame->flags);
    }
}

static void take_record(uint32_t device, uint8_t *bytes, size_t count) {
    struct frame frame;
    while (frame_next(&bytes, &count, &frame) == 0)
        take_frame(device, &frame);
}

void tap_read(uint32_t device, const uint8_t *bytes, size_t count) {
    struct tap *tap = &taps[device];
    size_t skip = count < tap->hello_left ? count : tap->hello_left;
    tap->hello_left -= skip;
    bytes += skip;
    count -= skip;
    while (count > 0) {
        size_t whole = RECORD_LENGTH_BYTES;
        if (tap->count >= RECORD_LENGTH_BYTES)
            whole += bytes_get16(tap->record);
        size_t take = whole - tap->count < count ? whole - tap->count : count;
        memcpy(tap->record + tap->count, bytes, take);
        tap->count += take;
        bytes += take;
        count -= take;
        if (tap->count == whole && whole > RECORD_LENGTH_BYTES) {
            take_record(device, tap->record + RECORD_LENGTH_BYTES, whole - RECORD_LENGTH_BYTES);
            tap->count = 0;
        }
    }
}
