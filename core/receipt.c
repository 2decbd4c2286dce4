#include "core/receipt.h"

#include <errno.h>
#include <stdlib.h>

#include "core/crash.h"
#include "core/must.h"
#include "core/mutant.h"
#include "core/switch.h"

#define GATES_REFUSED_MAX 1024 /* per account; the oldest is given up */

/* --- the recipient's side ------------------------------------------------------------------------------- */

void receipt_flush(struct shard *shard) {
    struct note note = shard->receipt_open;
    if (note.kind == 0)
        return;
    shard->receipt_open.kind = 0;
    uint32_t home = switch_home(shard, note.range.id.from);
    if (MUTANT(receipt_lost) && home != shard->index && lanes_room(shard->lanes, shard->index, home) == 0)
        return;
    switch_post(shard, switch_home(shard, note.range.id.from), &note);
}

void receipt_emit(struct shard *shard, const struct message_id *id, uint64_t last, uint8_t flags,
                  uint16_t by_device) {
    struct note *open = &shard->receipt_open;
    if (open->kind != 0) {
        if (open->flags == flags && open->device == by_device && open->range.last + 1 == id->number &&
            message_id_same_key(&open->range.id, id)) {
            open->range.last = last;
            return;
        }
        receipt_flush(shard);
    }
    *open = (struct note){
        .kind = NOTE_RECEIPT,
        .flags = flags,
        .device = by_device,
        .range = {.id = *id, .last = last, .time_ms = shard->utc_ms},
    };
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

/* No memory for a receipt: nothing is settled, so the recipient's device repeats it when it comes back. */
static void receipt_spread(struct shard *shard, struct account *account, const struct note *note) {
    bool last_word = (note->flags & RECEIPT_SENT) || ((note->flags & RECEIPT_FAILED) && !note->device);
    if (last_word)
        receipt_credit(account, &note->range.id, note->range.last);
    if (MUTANT(settled_early) && note->device) {
        struct note settled = *note;
        settled.kind = NOTE_SETTLED;
        switch_post(shard, switch_home(shard, note->range.id.to), &settled);
    }
    struct receipt *receipt = receipt_take(shard);
    if (!receipt)
        return;
    shard->receipts_out++;
    crash_point(before_receipt);
    *receipt = (struct receipt){
        .id = note->range.id,
        .last = note->range.last,
        .time_ms = note->range.time_ms,
        .by_device = note->device,
        .flags = note->flags,
        .pending = 1,
        .last_device =
            last_word && account->device_count > 1 && !MUTANT(sender_first) ? note->range.id.from_device : 0,
    };
    for (uint32_t i = 0; i < DEVICES_MAX; i++) {
        struct device *device = account->devices[i];
        if (device && !(device->flags & DEVICE_REVOKED) && device->number != receipt->last_device) {
            receipt->pending++;
            outbox_push_receipt(shard, device, receipt);
        }
    }
    crash_point(after_receipt);
    receipt_discharge(shard, receipt);
}

/* The lowest gate of this key within first..last. */
static struct gate *gate_within(const struct account *account, const struct message_id *id, uint64_t last) {
    struct gate *lowest = NULL;
    for (struct gate *gate = account->gates; gate; gate = gate->next) {
        if (gate->id.number >= id->number && gate->id.number <= last && message_id_same_key(&gate->id, id) &&
            (!lowest || gate->id.number < lowest->id.number))
            lowest = gate;
    }
    return lowest;
}

/* A single message's receipt meets its gate: it waits there, or, where a copy was refused, goes on without
 * its tick. */
static void gate_receipt(struct shard *shard, struct account *account, struct gate *gate, struct note note) {
    if (gate->refused) {
        note.flags &= (uint8_t)~RECEIPT_SENT;
        if (note.flags)
            receipt_spread(shard, account, &note);
        return;
    }
    struct held *held = malloc(sizeof(*held));
    if (!held) /* as in receipt_spread: it will be repeated */
        return;
    held->note = note;
    held->next = NULL;
    struct held **end = &gate->held;
    while (*end)
        end = &(*end)->next;
    *end = held;
}

void receipt_arrived(struct shard *shard, const struct note *note) {
    stats_add(shard->stats->receipts_routed, 1);
    struct account *account = account_find(&shard->accounts, note->range.id.from);
    struct note rest = *note;
    if (!account || (account->flags & ACCOUNT_REMOVED)) { /* nobody is left to be told */
        if (rest.device) {
            rest.kind = NOTE_SETTLED;
            switch_post(shard, switch_home(shard, rest.range.id.to), &rest);
        }
        return;
    }
    while (account->gates && !MUTANT(gate_forgotten)) {
        struct gate *gate = gate_within(account, &rest.range.id, rest.range.last);
        if (!gate)
            break;
        struct note part = rest;
        part.range.last = gate->id.number - 1;
        if (rest.range.id.number < gate->id.number)
            receipt_spread(shard, account, &part);
        part.range.id.number = part.range.last = gate->id.number;
        gate_receipt(shard, account, gate, part);
        if (gate->id.number == rest.range.last)
            return;
        rest.range.id.number = gate->id.number + 1;
    }
    receipt_spread(shard, account, &rest);
}

/* --- gates ---------------------------------------------------------------------------------------------- */

static void gate_unlink(struct account *account, struct gate *gate) {
    struct gate **link = &account->gates;
    struct gate *before = NULL;
    while (*link != gate) {
        before = *link;
        link = &(*link)->next;
    }
    *link = gate->next;
    if (account->gates_last == gate)
        account->gates_last = before;
}

static struct gate *gate_find(const struct account *account, const struct message_id *id) {
    for (struct gate *gate = account->gates; gate; gate = gate->next) {
        if (gate->id.number == id->number && message_id_same_key(&gate->id, id))
            return gate;
    }
    return NULL;
}

/* A message that came again while its gate is there waits at the same gate. */
int gate_add(struct account *account, const struct message_id *id, uint32_t *ret_attempt) {
    struct gate *gate = gate_find(account, id);
    if (gate) {
        gate->refused = false;
        gate->copies++;
        *ret_attempt = ++gate->attempt;
        return 0;
    }
    gate = calloc(1, sizeof(*gate));
    if (!gate)
        return -ENOMEM;
    gate->id = *id;
    gate->copies = 1;
    if (account->gates_last)
        account->gates_last->next = gate;
    else
        account->gates = gate;
    account->gates_last = gate;
    *ret_attempt = 0;
    return 0;
}

void gate_forget_refusal(struct account *account, const struct message_id *id) {
    struct gate *gate = account->gates ? gate_find(account, id) : NULL;
    if (!gate || !gate->refused)
        return;
    gate->refused = false;
    if (gate->copies == 0) {
        gate_unlink(account, gate);
        free(gate);
    }
}

static void gate_give_up_oldest(struct account *account) {
    uint32_t refused = 0;
    struct gate *oldest = NULL;
    for (struct gate *gate = account->gates; gate; gate = gate->next) {
        if (gate->refused) {
            refused++;
            oldest = oldest ? oldest : gate;
        }
    }
    if (refused > GATES_REFUSED_MAX) {
        gate_unlink(account, oldest);
        free(oldest);
    }
}

void gate_open(struct shard *shard, const struct message_id *id, uint32_t attempt, bool refused) {
    struct account *account = account_find(&shard->accounts, id->from);
    struct gate *gate = account ? gate_find(account, id) : NULL;
    if (!gate)
        return;
    gate->refused |= refused && attempt == gate->attempt;
    if (--gate->copies > 0)
        return;
    struct held *held = gate->held;
    gate->held = NULL;
    bool keep = gate->refused; /* receipts still on their way must lose their tick, too */
    if (!keep)
        gate_unlink(account, gate);
    while (held) {
        struct held *next = held->next;
        if (keep)
            gate_receipt(shard, account, gate, held->note);
        else
            receipt_spread(shard, account, &held->note);
        free(held);
        held = next;
    }
    if (keep)
        gate_give_up_oldest(account);
    else
        free(gate);
}

void gates_free(struct account *account) {
    while (account->gates) {
        struct gate *gate = account->gates;
        account->gates = gate->next;
        while (gate->held) {
            struct held *held = gate->held;
            gate->held = held->next;
            free(held);
        }
        free(gate);
    }
    account->gates_last = NULL;
}
