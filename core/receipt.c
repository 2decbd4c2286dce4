#include "core/receipt.h"

#include <errno.h>
#include <stdlib.h>

#include "core/crash.h"
#include "core/must.h"
#include "core/mutant.h"
#include "core/switch.h"

#define MARKS_PART 2 /* of receipts_max */

/* --- the recipient's side ------------------------------------------------------------------------------- */

void receipt_flush(struct shard *shard) {
    if (shard->receipt_open.kind == 0)
        return;
    struct note note = shard->receipt_open;
    shard->receipt_open.kind = 0;
    uint32_t home = switch_home(shard, note.range.id.from);
    if (MUTANT(receipt_lost) && home != shard->index && lanes_room(shard->lanes, shard->index, home) == 0)
        return;
    switch_post(shard, home, &note);
}

static void emit(struct shard *shard, const struct message_id *id, uint64_t last, uint8_t flags,
                 uint16_t by_device, int32_t status) {
    struct note *open = &shard->receipt_open;
    if (open->kind != 0) {
        if (open->flags == flags && open->device == by_device && open->status == status &&
            open->range.last + 1 == id->number && message_id_same_key(&open->range.id, id)) {
            open->range.last = last;
            return;
        }
        receipt_flush(shard);
    }
    *open = (struct note){
        .kind = NOTE_RECEIPT,
        .flags = flags,
        .device = by_device,
        .status = status,
        .range = {.id = *id, .last = last, .time_ms = shard->utc_ms},
    };
}

void receipt_emit(struct shard *shard, const struct message_id *id, uint64_t last, uint8_t flags,
                  uint16_t by_device) {
    emit(shard, id, last, flags, by_device, 0);
}

void receipt_mark(struct shard *shard, const struct message_id *id, uint64_t last, uint8_t flags,
                  uint16_t by_device) {
    emit(shard, id, last, flags, by_device, RECEIPT_MARKED);
}

/* --- the sender's side ---------------------------------------------------------------------------------- */

static struct receipt *receipt_take(struct shard *shard) {
    struct receipt *receipt = shard->receipt_free;
    if (!receipt)
        return calloc(1, sizeof(*receipt));
    shard->receipt_free = receipt->next;
    return receipt;
}

/* The sending device, once all others of the account are told: until it has the tick it sends the message
 * again, so a crash in between takes no device's tick away. */
static bool receipt_tell_last(struct shard *shard, struct receipt *receipt) {
    if (receipt->refusal) {
        route_tell_refused(shard, &receipt->id, receipt->refusal, 0);
        return false;
    }
    uint16_t number = receipt->last_device;
    receipt->last_device = 0;
    const struct account *account = number ? account_find(&shard->accounts, receipt->id.from) : NULL;
    struct device *device = account ? account_device(account, number) : NULL;
    if (!device || (device->flags & DEVICE_REVOKED))
        return false;
    receipt->pending = 2; /* the device, and until outbox_push_receipt is back, a guard */
    outbox_push_receipt(shard, device, receipt);
    return true;
}

void receipt_discharge(struct shard *shard, struct receipt *receipt) {
    must(receipt->pending > 0);
    if (--receipt->pending > 0)
        return;
    if (receipt_tell_last(shard, receipt)) {
        receipt_discharge(shard, receipt);
        return;
    }
    if (receipt->by_device) {
        struct note note = {
            .kind = NOTE_SETTLED,
            .flags = receipt->flags,
            .device = receipt->by_device,
            .range = {.id = receipt->id, .last = receipt->last},
        };
        switch_post(shard, switch_home(shard, receipt->id.to), &note);
    }
    receipt->next = shard->receipt_free;
    shard->receipt_free = receipt;
    shard->receipts_out--;
}

size_t receipt_frame(const struct receipt *receipt, uint8_t *out) {
    struct frame_range range = {.id = receipt->id, .last = receipt->last, .time_ms = receipt->time_ms};
    return frame_write_range(out, FRAME_RECEIPT, receipt->flags, &range);
}

/* The session that sent the messages may have so many more without a tick. */
static void receipt_credit(struct account *account, const struct message_id *id, uint64_t last) {
    struct device *device = account_device(account, id->from_device);
    struct session *session = device ? device->session : NULL;
    if (!session || session->epoch != id->epoch)
        return;
    uint64_t count = last - id->number + 1;
    session->unticked = count < session->unticked ? session->unticked - (uint32_t)count : 0;
}

/* Anybody can mark as often as he may, so marks leave room to what comes of messages. What failed is bounded
 * where it is held, and nobody repeats it. */
static bool has_room(const struct shard *shard, const struct note *note) {
    uint64_t most = shard->config.receipts_max;
    if (note->flags & RECEIPT_FAILED)
        return true;
    return shard->receipts_out < (receipt_is_marked(note) ? most / MARKS_PART : most);
}

/* To the devices of the account; to `last_device` (0: none), or where there is a refusal the word of that,
 * when the others have it. -ENOMEM or -ENOBUFS: to none. */
static int spread(struct shard *shard, struct account *account, const struct note *note, uint16_t last_device,
                  enum refusal refusal) {
    if (!has_room(shard, note)) {
        stats_add(shard->stats->receipts_dropped, 1);
        return -ENOBUFS;
    }
    struct receipt *receipt = receipt_take(shard);
    if (!receipt)
        return -ENOMEM;
    shard->receipts_out++;
    crash_point(before_receipt);
    *receipt = (struct receipt){
        .id = note->range.id,
        .last = note->range.last,
        .time_ms = note->range.time_ms,
        .by_device = note->device,
        .flags = note->flags,
        .pending = 1,
        .last_device = last_device,
        .refusal = (uint8_t)refusal,
        .marked = receipt_is_marked(note),
    };
    for (uint32_t i = 0; i < account->slots_used; i++) {
        struct device *device = account->devices[i];
        if (device && !(device->flags & DEVICE_REVOKED) && device->number != receipt->last_device) {
            receipt->pending++;
            outbox_push_receipt(shard, device, receipt);
        }
    }
    crash_point(after_receipt);
    receipt_discharge(shard, receipt);
    return 0;
}

/* No room for a receipt: nothing is settled, so the recipient's device repeats it when it comes back, and the
 * sender, where it waits for its tick, is asked for the message again. */
void receipt_spread(struct shard *shard, struct account *account, const struct note *note) {
    bool last_word = (note->flags & RECEIPT_SENT) || ((note->flags & RECEIPT_FAILED) && !note->device);
    if (last_word)
        receipt_credit(account, &note->range.id, note->range.last);
    if (MUTANT(settled_early) && note->device) {
        struct note settled = *note;
        settled.kind = NOTE_SETTLED;
        switch_post(shard, switch_home(shard, note->range.id.to), &settled);
    }
    bool in_turn = last_word && account->device_count > 1 && !MUTANT(sender_first);
    int error = spread(shard, account, note, in_turn ? note->range.id.from_device : 0, REFUSAL_NONE);
    if (error && (note->flags & RECEIPT_SENT))
        route_ask_again(shard, &note->range.id);
}

void receipt_refuse(struct shard *shard, struct account *account, const struct note *note) {
    struct note failed = *note;
    failed.status = 0;
    enum refusal refusal = (enum refusal)note->status;
    failed.device = 0;
    failed.flags = RECEIPT_FAILED;
    failed.range.time_ms = shard->utc_ms;
    if (spread(shard, account, &failed, note->range.id.from_device, refusal) < 0)
        route_tell_refused(shard, &note->range.id, refusal, 0);
}

void receipt_arrived(struct shard *shard, const struct note *note) {
    stats_add(shard->stats->receipts_routed, 1);
    struct account *account = account_find(&shard->accounts, note->range.id.from);
    struct note rest = *note;
    bool invented = account && receipt_is_marked(note) &&
                    !account_has_epoch(account, rest.range.id.from_device, rest.range.id.epoch);
    if (!account || (account->flags & ACCOUNT_REMOVED) || invented) { /* nobody has to be told */
        if (rest.device) {
            rest.kind = NOTE_SETTLED;
            switch_post(shard, switch_home(shard, rest.range.id.to), &rest);
        }
        return;
    }
    struct gate *gate = gates_within(&account->gates, &rest.range.id, rest.range.last);
    for (; gate && !MUTANT(gate_forgotten); gate = gate->found) {
        struct note part = rest;
        part.range.last = gate->id.number - 1;
        if (rest.range.id.number < gate->id.number)
            receipt_spread(shard, account, &part);
        part.range.id.number = part.range.last = gate->id.number;
        gate_hold(shard, account, gate, &part);
        if (gate->id.number == rest.range.last)
            return;
        rest.range.id.number = gate->id.number + 1;
    }
    receipt_spread(shard, account, &rest);
}
