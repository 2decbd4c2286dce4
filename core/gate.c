#include "core/gate.h"

#include <errno.h>
#include <stdlib.h>

#include "core/account.h"
#include "core/receipt.h"
#include "core/switch.h"

#define CLOSED_MAX 1024 /* per account; the oldest is given up */
#define HELD_MAX 128    /* receipts at a gate, from which on marks find no room */

/* --- the table ------------------------------------------------------------------------------------------ */

static uint64_t hash_of(const struct message_id *id) {
    return account_hash(id->number ^ account_hash(id->to ^ account_hash(id->epoch + id->from_device)));
}

static struct gate *gate_at(struct hash_link *link) {
    return link ? (struct gate *)(void *)((char *)link - offsetof(struct gate, by_id)) : NULL;
}

static struct gate *find(const struct gates *gates, const struct message_id *id) {
    if (!gates->by_id.count)
        return NULL;
    struct gate *gate = gate_at(hash_find(&gates->by_id, hash_of(id)));
    while (gate && (gate->id.number != id->number || !message_id_same_key(&gate->id, id)))
        gate = gate_at(hash_next(&gate->by_id));
    return gate;
}

static void link_after(struct gates *gates, struct gate *older, struct gate *gate) {
    gate->older = older;
    gate->newer = older ? older->newer : gates->oldest;
    *(gate->older ? &gate->older->newer : &gates->oldest) = gate;
    *(gate->newer ? &gate->newer->older : &gates->newest) = gate;
}

static void unlink_gate(struct gates *gates, struct gate *gate) {
    *(gate->older ? &gate->older->newer : &gates->oldest) = gate->newer;
    *(gate->newer ? &gate->newer->older : &gates->newest) = gate->older;
}

/* The closed ones, refused and without a copy on its way, come first in the list, in the order in which they
 * were closed. */
static void close_gate(struct gates *gates, struct gate *gate) {
    unlink_gate(gates, gate);
    link_after(gates, gates->last_closed, gate);
    gates->last_closed = gate;
    gates->closed_count++;
    gate->closed = true;
}

static void unlink_closed(struct gates *gates, struct gate *gate) {
    if (gates->last_closed == gate)
        gates->last_closed = gate->older;
    gates->closed_count--;
    gate->closed = false;
    unlink_gate(gates, gate);
}

static void gate_free(struct gates *gates, struct gate *gate) {
    hash_remove(&gates->by_id, &gate->by_id);
    if (gate->closed)
        unlink_closed(gates, gate);
    else
        unlink_gate(gates, gate);
    while (gate->held) {
        struct held *held = gate->held;
        gate->held = held->next;
        free(held);
    }
    free(gate);
}

void gates_fini(struct gates *gates) {
    while (gates->oldest)
        gate_free(gates, gates->oldest);
    hash_fini(&gates->by_id);
    *gates = (struct gates){0};
}

/* --- copies --------------------------------------------------------------------------------------------- */

int gate_add(struct gates *gates, const struct message_id *id, uint32_t *ret_attempt) {
    struct gate *gate = find(gates, id);
    if (gate) {
        if (gate->closed) {
            unlink_closed(gates, gate);
            link_after(gates, gates->newest, gate);
        }
        gate->refused = false;
        gate->copies++;
        *ret_attempt = ++gate->attempt;
        return 0;
    }
    gate = calloc(1, sizeof(*gate));
    if (!gate || hash_add(&gates->by_id, &gate->by_id, hash_of(id)) < 0) {
        free(gate);
        return -ENOMEM;
    }
    gate->id = *id;
    gate->copies = 1;
    link_after(gates, gates->newest, gate);
    *ret_attempt = 0;
    return 0;
}

void gate_forget_refusal(struct gates *gates, const struct message_id *id) {
    struct gate *gate = gates->oldest ? find(gates, id) : NULL;
    if (!gate)
        return;
    gate->refused = false;
    if (gate->closed)
        gate_free(gates, gate);
}

void gate_open(struct shard *shard, const struct message_id *id, uint32_t attempt, bool refused) {
    struct account *account = account_find(&shard->accounts, id->from);
    struct gate *gate = account ? find(&account->gates, id) : NULL;
    if (!gate)
        return;
    struct gates *gates = &account->gates;
    gate->refused |= refused && attempt == gate->attempt;
    if (--gate->copies > 0)
        return;
    struct held *held = gate->held;
    gate->held = NULL;
    gate->held_count = 0;
    bool keep = gate->refused; /* receipts still on their way must lose their tick, too */
    if (keep)
        close_gate(gates, gate);
    else
        gate_free(gates, gate);
    while (held) {
        struct held *next = held->next;
        if (keep)
            gate_hold(shard, account, gate, &held->note);
        else
            receipt_spread(shard, account, &held->note);
        free(held);
        held = next;
    }
    if (gates->closed_count > CLOSED_MAX)
        gate_free(gates, gates->oldest);
}

/* --- receipts ------------------------------------------------------------------------------------------- */

/* A short range is looked up number by number, a long one against all there are, newest first: so the
 * numbers mostly fall. */
struct gate *gates_within(const struct gates *gates, const struct message_id *id, uint64_t last) {
    struct gate *lowest = NULL;
    if (last - id->number < gates->by_id.count) {
        struct message_id at = *id;
        for (uint64_t left = last - id->number + 1; left > 0; left--) {
            at.number = id->number + left - 1;
            struct gate *gate = find(gates, &at);
            if (!gate)
                continue;
            gate->found = lowest;
            lowest = gate;
        }
        return lowest;
    }
    for (struct gate *gate = gates->newest; gate; gate = gate->older) {
        if (gate->id.number < id->number || gate->id.number > last || !message_id_same_key(&gate->id, id))
            continue;
        struct gate **link = &lowest;
        while (*link && (*link)->id.number < gate->id.number)
            link = &(*link)->found;
        gate->found = *link;
        *link = gate;
    }
    return lowest;
}

/* Held as often as it is said: each word settles one of the copies that the acknowledging device had. Without
 * memory, and where marks say the same again and again, it is lost, and will be repeated, as in
 * receipt_spread. */
void gate_hold(struct shard *shard, struct account *account, struct gate *gate, const struct note *note) {
    if (gate->refused) {
        struct note rest = *note;
        rest.flags &= (uint8_t)~RECEIPT_SENT;
        if (rest.flags)
            receipt_spread(shard, account, &rest);
        return;
    }
    bool fits = gate->held_count < HELD_MAX || !receipt_is_marked(note);
    struct held *held = fits ? malloc(sizeof(*held)) : NULL;
    if (!held) {
        stats_add(shard->stats->receipts_dropped, 1);
        return;
    }
    gate->held_count++;
    held->note = *note;
    held->next = NULL;
    *(gate->held ? &gate->last_held->next : &gate->held) = held;
    gate->last_held = held;
}
