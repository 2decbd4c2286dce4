#include "core/hash.h"

#include <errno.h>
#include <stdlib.h>

#define SLOTS_MAX (UINT32_C(1) << 30)

/* The highest power of two below: so many slots have one bit less of the hash, until a slot of their own with
 * one more splits each. */
static uint32_t half_of(uint32_t slot_count) {
    return UINT32_C(1) << (31 - __builtin_clz(slot_count - 1));
}

static struct hash_link **slot_of(const struct hash_table *table, uint64_t hash) {
    uint32_t half = half_of(table->slot_count);
    uint64_t at = hash & (2 * (uint64_t)half - 1);
    return &table->slots[at < table->slot_count ? at : at - half];
}

static void append(struct hash_link **slot, struct hash_link *link) {
    link->next = NULL;
    if (*slot) {
        link->prev = (*slot)->prev;
        link->prev->next = link;
        (*slot)->prev = link;
    } else {
        link->prev = link;
        *slot = link;
    }
}

int hash_reserve(struct hash_table *table) {
    if (table->slots)
        return 0;
    table->slots = calloc(HASH_SLOTS_MIN, sizeof(struct hash_link *));
    if (!table->slots)
        return -ENOMEM;
    table->slot_count = HASH_SLOTS_MIN;
    return 0;
}

/* One slot more, for some of what lies in another. Their order stays. */
static void grow(struct hash_table *table) {
    uint32_t at = table->slot_count;
    if ((at & (at - 1)) == 0) { /* the room is used up */
        if (at == SLOTS_MAX)
            return;
        struct hash_link **slots = realloc(table->slots, 2 * sizeof(struct hash_link *) * (size_t)at);
        if (!slots)
            return;
        table->slots = slots;
    }
    table->slot_count++;
    uint32_t half = half_of(table->slot_count);
    struct hash_link **from = &table->slots[at - half];
    struct hash_link **to = &table->slots[at];
    struct hash_link *next = *from;
    *from = *to = NULL;
    for (struct hash_link *link = next; link; link = next) {
        next = link->next;
        append(link->hash & half ? to : from, link);
    }
}

int hash_add(struct hash_table *table, struct hash_link *link, uint64_t hash) {
    int error = hash_reserve(table);
    if (error)
        return error;
    if (table->count >= table->slot_count)
        grow(table);
    link->hash = hash;
    append(slot_of(table, hash), link);
    table->count++;
    return 0;
}

static void give_back(struct hash_table *table) {
    struct hash_link **slots = realloc(table->slots, HASH_SLOTS_MIN * sizeof(struct hash_link *));
    if (slots)
        table->slots = slots;
    table->slot_count = HASH_SLOTS_MIN;
}

void hash_remove(struct hash_table *table, struct hash_link *link) {
    struct hash_link **slot = slot_of(table, link->hash);
    struct hash_link *first = *slot;
    (link->next ? link->next : first)->prev = link->prev; /* of a lone one: its own */
    *(link == first ? slot : &link->prev->next) = link->next;
    if (--table->count == 0 && table->slot_count > HASH_SLOTS_MIN)
        give_back(table);
}

static struct hash_link *with_hash(struct hash_link *link, uint64_t hash) {
    while (link && link->hash != hash)
        link = link->next;
    return link;
}

struct hash_link *hash_find(const struct hash_table *table, uint64_t hash) {
    return table->count ? with_hash(*slot_of(table, hash), hash) : NULL;
}

struct hash_link *hash_next(const struct hash_link *link) {
    return with_hash(link->next, link->hash);
}

void hash_fini(struct hash_table *table) {
    free(table->slots);
    *table = (struct hash_table){0};
}
