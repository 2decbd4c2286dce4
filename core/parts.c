#include "core/parts.h"

#include <errno.h>

#include "core/bytes.h"
#include "core/must.h"
#include "core/switch.h"

#define ACCOUNT_AT 32 /* of a part from a device: docs/PROTOCOL.md, 3.1 */
#define DEVICE_AT 48

/* --- from a device -------------------------------------------------------------------------------------- */

/* But for its target, the header of a part is zero. */
static bool is_bare(const struct frame *part) {
    const uint8_t *at = part->bytes;
    return part->type == FRAME_MESSAGE && part->flags == 0 && part->frame_bytes >= FRAME_MESSAGE_BYTES &&
           (bytes_get32(at + 4) | bytes_get64(at + 8) | bytes_get64(at + 16) | bytes_get64(at + 24) |
            bytes_get64(at + 40) | bytes_get32(at + 50) | bytes_get16(at + 54)) == 0;
}

int parts_check(const struct frame *frame, const struct frame_message *body) {
    const struct message_id *id = &body->id;
    uint8_t *at = frame->bytes + FRAME_MESSAGE_BYTES;
    size_t left = body->payload_bytes;
    uint64_t account = id->to;
    uint16_t before = 0; /* the device of this account that was named before */
    ptrdiff_t own_at = frame->frame_bytes;
    uint32_t count = 0;
    struct frame part;
    if (body->target_count > PARTS_MAX)
        return -EPROTO;
    for (; left > 0 && count < body->target_count; count++) {
        if (frame_next(&at, &left, &part) < 0 || !is_bare(&part))
            return -EPROTO;
        if (bytes_get64(part.bytes + ACCOUNT_AT) == id->from && account != id->from) {
            account = id->from;
            before = 0;
            own_at = part.bytes - frame->bytes;
        }
        uint16_t device = bytes_get16(part.bytes + DEVICE_AT);
        if (bytes_get64(part.bytes + ACCOUNT_AT) != account || device <= before ||
            (account == id->from && device == id->from_device))
            return -EPROTO;
        before = device;
    }
    return left == 0 && count == body->target_count ? (int)own_at : -EPROTO;
}

/* --- who is named --------------------------------------------------------------------------------------- */

/* Whole parts, one behind the other, for devices of one account. */
struct parts {
    uint8_t *at, *end;
};

struct part {
    uint8_t *frame;
    uint16_t device; /* until it is filled in */
};

static struct parts parts_of(const struct message *message) {
    uint32_t at = message->own_copy ? 0 : FRAME_MESSAGE_BYTES;
    return (struct parts){.at = message->frame + at, .end = message->frame + message->frame_bytes};
}

static bool next_part(struct parts *parts, struct part *ret_part) {
    if (parts->at == parts->end)
        return false;
    *ret_part = (struct part){.frame = parts->at, .device = bytes_get16(parts->at + DEVICE_AT)};
    parts->at += frame_whole_bytes(parts->at);
    return true;
}

/* except: the number of one that is not, 0: none. */
static bool is_target(const struct device *device, uint16_t except) {
    return device && device->signed_id && !(device->flags & DEVICE_REVOKED) && device->number != except;
}

/* At the home of the addressed account, which may be the sender's. */
static uint16_t sender_of(const struct message *message) {
    return message->id.from == message->id.to ? message->id.from_device : 0;
}

bool parts_has_targets(const struct account *account, const struct message *message) {
    for (uint32_t i = 0; i < account->slots_used; i++) {
        if (is_target(account->devices[i], sender_of(message)))
            return true;
    }
    return false;
}

static void tell(struct frame_targets *targets, uint16_t *count, uint16_t device) {
    uint32_t told = (uint32_t)targets->missing + targets->gone;
    if (told == FRAME_TARGETS_MAX)
        return;
    targets->devices[told] = device;
    (*count)++;
}

/* False: they do not name exactly the account's devices; ret_targets says how they differ. */
static bool match(const struct account *account, uint16_t except, struct parts parts,
                  struct frame_targets *ret_targets) {
    struct frame_targets targets = {.account = account->number};
    uint32_t named = 0; /* a bit per slot */
    struct part part;
    for (struct parts left = parts; next_part(&left, &part);) {
        const struct device *device = account_device(account, part.device);
        if (device)
            named |= UINT32_C(1) << device->slot;
    }
    for (uint32_t i = 0; i < account->slots_used; i++) {
        const struct device *device = account->devices[i];
        if (is_target(device, except) && !(named & UINT32_C(1) << i))
            tell(&targets, &targets.missing, device->number);
    }
    while (next_part(&parts, &part)) {
        if (!is_target(account_device(account, part.device), except))
            tell(&targets, &targets.gone, part.device);
    }
    *ret_targets = targets;
    return targets.missing + targets.gone == 0;
}

bool parts_own_match(struct session *session, const struct frame *frame, const struct message_id *id,
                     uint32_t own_at) {
    struct parts own = {.at = frame->bytes + own_at, .end = frame->bytes + frame->frame_bytes};
    struct frame_targets targets;
    if (id->to == id->from || match(session->device->account, id->from_device, own, &targets))
        return true;
    route_refuse_targets(session->shard, id, &targets);
    return false;
}

/* --- to the devices ------------------------------------------------------------------------------------- */

void parts_spread(struct shard *shard, struct account *account, struct message *message,
                  const uint8_t *accepted_frame) {
    struct parts parts = parts_of(message);
    struct part part;
    while (next_part(&parts, &part)) {
        struct device *device = account_device(account, part.device);
        must(device);
        frame_accept_part(part.frame, accepted_frame);
        message->pending++;
        message->holders++;
        outbox_push_message(shard, device, message, (uint16_t)(part.frame - message->frame));
    }
}

void parts_arrived(struct shard *shard, struct account *account, struct message *message) {
    struct frame_targets targets;
    if (match(account, sender_of(message), parts_of(message), &targets)) {
        parts_spread(shard, account, message, message->frame);
        return;
    }
    message->refused = true;
    route_refuse_targets(shard, &message->id, &targets);
}
