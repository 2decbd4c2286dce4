#include "core/mutant.h"
#include "core/stats.h"
#include "core/switch.h"

#define REFUSED_WAYS 8 /* entries a key may lie in */

_Static_assert(REFUSED_MAX % REFUSED_WAYS == 0, "whole sets");

/* The table stays filled after a store was full, by keys whose device never came back: so a message must not
 * walk all of it. */
static struct refused_entry *refused_set(struct shard *shard, const struct message_id *id) {
    uint64_t hash = account_hash(id->from ^ account_hash(id->to ^ account_hash(id->epoch + id->from_device)));
    return &shard->refused[hash % (REFUSED_MAX / REFUSED_WAYS) * REFUSED_WAYS];
}

static struct refused_entry *refused_find(struct shard *shard, const struct message_id *id) {
    struct refused_entry *set = refused_set(shard, id);
    for (uint32_t i = 0; i < REFUSED_WAYS; i++) {
        if (set[i].id.number && message_id_same_key(&set[i].id, id))
            return &set[i];
    }
    return NULL;
}

void refused_note(struct shard *shard, const struct message_id *id) {
    struct refused_entry *entry = shard->refused_count ? refused_find(shard, id) : NULL;
    if (entry) {
        if (id->number < entry->id.number)
            entry->id.number = id->number;
        return;
    }
    struct refused_entry *set = refused_set(shard, id);
    entry = &set[0];
    for (uint32_t i = 0; i < REFUSED_WAYS && entry->id.number; i++) {
        if (!set[i].id.number || set[i].since_ms < entry->since_ms)
            entry = &set[i];
    }
    if (!entry->id.number)
        shard->refused_count++;
    *entry = (struct refused_entry){.id = *id, .since_ms = shard->now_ms};
}

bool refused_holds(struct shard *shard, const struct message_id *id, bool first) {
    if (MUTANT(refused_not_awaited))
        return false;
    if (!shard->refused_count)
        return false;
    struct refused_entry *entry = refused_find(shard, id);
    if (!entry || id->number < entry->id.number)
        return false;
    if (id->number > entry->id.number && !first)
        return true;
    *entry = (struct refused_entry){0};
    shard->refused_count--;
    return false;
}
