#include "storage/counts.h"

#include <errno.h>
#include <stdlib.h>

#include "core/account.h"

#define COUNTS_CAPACITY_FIRST 256

void counts_fini(struct counts *counts) {
    free(counts->slots);
    free(counts->journal);
    free(counts->expected);
    *counts = (struct counts){0};
}

static struct counts_slot *slot_of(const struct counts *counts, uint64_t account, uint16_t device) {
    uint64_t at = account_hash(account ^ ((uint64_t)device << 48));
    for (;; at++) {
        struct counts_slot *slot = &counts->slots[at & (counts->capacity - 1)];
        if (slot->account == 0 || (slot->account == account && slot->device == device))
            return slot;
    }
}

uint64_t counts_get(const struct counts *counts, uint64_t account, uint16_t device) {
    return counts->capacity ? slot_of(counts, account, device)->entries : 0;
}

uint64_t counts_put(const struct counts *counts, uint64_t account, uint16_t device) {
    return counts->capacity ? slot_of(counts, account, device)->put : 0;
}

static bool is_live(const struct counts_slot *slot) {
    return slot->entries > 0 || slot->refused_from;
}

/* Growing leaves empty queues behind: the table follows the queues that are in use, not all there ever
 * were. */
static int grow(struct counts *counts) {
    uint32_t live = 0;
    for (uint32_t i = 0; i < counts->capacity; i++)
        live += is_live(&counts->slots[i]);
    struct counts next = {.capacity = COUNTS_CAPACITY_FIRST};
    while (next.capacity < live * 4)
        next.capacity *= 2;
    next.slots = calloc(next.capacity, sizeof(*next.slots));
    if (!next.slots)
        return -ENOMEM;
    for (uint32_t i = 0; i < counts->capacity; i++) {
        const struct counts_slot *slot = &counts->slots[i];
        if (is_live(slot))
            *slot_of(&next, slot->account, slot->device) = *slot;
    }
    free(counts->slots);
    counts->slots = next.slots;
    counts->capacity = next.capacity;
    counts->used = live;
    return 0;
}

static int change(struct counts *counts, uint64_t account, uint16_t device, int64_t amount, int64_t bytes) {
    if ((counts->used + 1) * 2 > counts->capacity) {
        int error = grow(counts);
        if (error)
            return error;
    }
    struct counts_slot *slot = slot_of(counts, account, device);
    if (slot->account == 0) {
        slot->account = account;
        slot->device = device;
        counts->used++;
    }
    slot->entries += (uint64_t)amount;
    slot->put += (uint64_t)bytes;
    return 0;
}

int counts_add(struct counts *counts, uint64_t account, uint16_t device, int64_t amount, uint32_t bytes) {
    if (counts->journal_count == counts->journal_capacity) {
        uint32_t capacity = counts->journal_capacity ? counts->journal_capacity * 2 : COUNTS_CAPACITY_FIRST;
        struct counts_change *journal = realloc(counts->journal, capacity * sizeof(*journal));
        if (!journal)
            return -ENOMEM;
        counts->journal = journal;
        counts->journal_capacity = capacity;
    }
    int error = change(counts, account, device, amount, bytes);
    if (error)
        return error;
    counts->journal[counts->journal_count++] =
        (struct counts_change){.account = account, .device = device, .amount = amount, .bytes = bytes};
    return 0;
}

void counts_refuse_from(struct counts *counts, uint64_t account, uint16_t device, uint64_t seq) {
    struct counts_slot *slot = counts->capacity ? slot_of(counts, account, device) : NULL;
    if (slot && slot->account)
        slot->refused_from = seq;
}

uint64_t counts_refused_from(const struct counts *counts, uint64_t account, uint16_t device) {
    return counts->capacity ? slot_of(counts, account, device)->refused_from : 0;
}

void counts_keep(struct counts *counts) {
    counts->journal_count = 0;
}

/* Backwards, so that no count is below zero in between. A slot to take back from is there: only grow drops
 * slots, and a queue it dropped as empty gets its slot anew, within the room that grow has just made. */
void counts_undo(struct counts *counts) {
    while (counts->journal_count > 0) {
        const struct counts_change *last = &counts->journal[--counts->journal_count];
        change(counts, last->account, last->device, -last->amount, -(int64_t)last->bytes);
    }
}

/* --- what was taken for entries at the start ------------------------------------------------------------ */

int counts_expect(struct counts *counts, const struct counts_range *range, uint64_t put) {
    if (counts->expected_count == counts->expected_capacity) {
        uint32_t capacity = counts->expected_capacity ? counts->expected_capacity * 2 : COUNTS_CAPACITY_FIRST;
        struct counts_range *expected = realloc(counts->expected, capacity * sizeof(*expected));
        if (!expected)
            return -ENOMEM;
        counts->expected = expected;
        counts->expected_capacity = capacity;
    }
    int error = change(counts, range->account, range->device, (int64_t)(range->last - range->first + 1),
                       (int64_t)put);
    if (error)
        return error;
    counts->expected[counts->expected_count++] = *range;
    return 0;
}

static int compare(const struct counts_range *range, uint64_t account, uint16_t device) {
    if (range->account != account)
        return range->account < account ? -1 : 1;
    return range->device < device ? -1 : range->device > device;
}

bool counts_will_see(const struct counts *counts, uint64_t account, uint16_t device, uint64_t seq) {
    uint32_t low = counts->expected_at, high = counts->expected_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = compare(&counts->expected[middle], account, device);
        if (order == 0)
            return seq >= counts->expected[middle].first && seq <= counts->expected[middle].last;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static void take_off(struct counts *counts, const struct counts_range *range, uint64_t numbers) {
    slot_of(counts, range->account, range->device)->entries -= numbers;
}

/* None of its numbers is there any more. */
static void pass(struct counts *counts) {
    const struct counts_range *range = &counts->expected[counts->expected_at++];
    take_off(counts, range, range->last - range->first + 1);
}

void counts_seen(struct counts *counts, uint64_t account, uint16_t device, uint64_t seq) {
    while (counts->expected_at < counts->expected_count) {
        struct counts_range *range = &counts->expected[counts->expected_at];
        int order = compare(range, account, device);
        if (order > 0 || (order == 0 && seq < range->first))
            return;
        if (order == 0 && seq <= range->last) {
            take_off(counts, range, seq - range->first);
            range->first = seq + 1;
            counts->expected_at += seq == range->last;
            return;
        }
        pass(counts);
    }
}

void counts_walked(struct counts *counts) {
    while (counts->expected_at < counts->expected_count)
        pass(counts);
    free(counts->expected);
    counts->expected = NULL;
    counts->expected_count = counts->expected_capacity = counts->expected_at = 0;
}
