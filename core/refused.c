#include "core/stats.h"
#include "core/switch.h"

static struct refused_entry *refused_find(struct shard *shard, const struct message_id *id) {
    for (uint32_t i = 0; i < REFUSED_MAX; i++) {
        struct refused_entry *entry = &shard->refused[i];
        if (entry->id.from && message_id_same_key(&entry->id, id))
            return entry;
    }
    return NULL;
}

/* The table is small and walked whole: it is empty but while a store is full or fails. */
void refused_note(struct shard *shard, const struct message_id *id) {
    struct refused_entry *entry = shard->refused_count ? refused_find(shard, id) : NULL;
    if (entry) {
        if (id->number < entry->id.number)
            entry->id.number = id->number;
        return;
    }
    entry = &shard->refused[0];
    for (uint32_t i = 0; i < REFUSED_MAX; i++) {
        if (!shard->refused[i].id.from) {
            entry = &shard->refused[i];
            break;
        }
        if (shard->refused[i].since_ms < entry->since_ms)
            entry = &shard->refused[i];
    }
    if (!entry->id.from)
        shard->refused_count++;
    *entry = (struct refused_entry){.id = *id, .since_ms = shard->now_ms};
}

bool refused_holds(struct shard *shard, const struct message_id *id, bool first) {
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
