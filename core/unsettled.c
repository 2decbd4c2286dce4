/* The part of the outbox that waits for the sender's side: what was acknowledged or has failed stays in
 * memory until every device of the sender knows; then its copy in the queue is deleted. A peer can make these
 * many, with one id or with many, so one is found by its id or its number in the queue without a look at the
 * others. */
#include "core/must.h"
#include "core/outbox.h"
#include "core/switch.h"

#define EACH_ONCE_MAX 64 /* numbers of a word that settles one copy of each; a longer one settles all */

/* --- the tables ----------------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t hash, uint64_t value) {
    return account_hash(hash ^ value);
}

static uint64_t hash_of_seq(const struct shard *shard, const struct device *device, uint64_t seq) {
    return mix(mix(shard->hash_key ^ device->number, device->account->number), seq);
}

static uint64_t hash_of_id(const struct shard *shard, const struct device *device,
                           const struct message_id *id) {
    uint64_t hash = mix(mix(shard->hash_key ^ device->number, device->account->number), id->to);
    return mix(mix(mix(mix(hash, id->from), id->from_device), id->epoch), id->number);
}

static struct outbox_item *item_by_id(struct hash_link *link) {
    return link ? (struct outbox_item *)(void *)((char *)link - offsetof(struct outbox_item, by_id)) : NULL;
}

static struct outbox_item *item_by_seq(struct hash_link *link) {
    return link ? (struct outbox_item *)(void *)((char *)link - offsetof(struct outbox_item, by_seq)) : NULL;
}

static bool is_by_id(const struct outbox_item *item) {
    return item->type == FRAME_MESSAGE && !(item->flags & ITEM_SETTLED);
}

/* The tables have slots from the start, so they take whatever comes. */
void outbox_unsettle(struct shard *shard, struct outbox_item *item) {
    struct outbox *outbox = &item->device->outbox;
    item->next = NULL;
    item->prev = outbox->unsettled_tail;
    *(item->prev ? &item->prev->next : &outbox->unsettled) = item;
    outbox->unsettled_tail = item;
    outbox->unsettled_count++;
    int error =
        hash_add(&shard->unsettled_by_seq, &item->by_seq, hash_of_seq(shard, item->device, item->seq));
    if (is_by_id(item) && !error)
        error = hash_add(&shard->unsettled_by_id, &item->by_id, hash_of_id(shard, item->device, &item->id));
    must(!error);
}

void outbox_unsettled_unlink(struct shard *shard, struct outbox_item *item) {
    struct outbox *outbox = &item->device->outbox;
    *(item->prev ? &item->prev->next : &outbox->unsettled) = item->next;
    *(item->next ? &item->next->prev : &outbox->unsettled_tail) = item->prev;
    outbox->unsettled_count--;
    hash_remove(&shard->unsettled_by_seq, &item->by_seq);
    if (is_by_id(item))
        hash_remove(&shard->unsettled_by_id, &item->by_id);
}

struct outbox_item *outbox_unsettled_at(const struct shard *shard, const struct device *device,
                                        uint64_t seq) {
    struct outbox_item *item =
        item_by_seq(hash_find(&shard->unsettled_by_seq, hash_of_seq(shard, device, seq)));
    while (item && (item->seq != seq || item->device != device))
        item = item_by_seq(hash_next(&item->by_seq));
    return item;
}

/* The one that was acknowledged first. */
static struct outbox_item *find_copy(const struct shard *shard, const struct device *device,
                                     const struct message_id *id) {
    struct outbox_item *item = item_by_id(hash_find(&shard->unsettled_by_id, hash_of_id(shard, device, id)));
    while (item &&
           (item->id.number != id->number || item->device != device || !message_id_same_key(&item->id, id)))
        item = item_by_id(hash_next(&item->by_id));
    return item;
}

/* --- settled -------------------------------------------------------------------------------------------- */

/* Entries are deleted in runs: one note for neighbours in the queue. */
struct run {
    uint64_t first, last;
};

static void run_end(struct shard *shard, const struct device *device, const struct run *run) {
    if (run->first)
        outbox_delete(shard, device->account->number, device->number, run->first, run->last);
}

static void run_add(struct shard *shard, const struct device *device, struct run *run, uint64_t seq) {
    if (run->first && seq == run->last + 1) {
        run->last = seq;
        return;
    }
    run_end(shard, device, run);
    *run = (struct run){seq, seq};
}

static void settle(struct shard *shard, struct device *device, struct outbox_item *item, struct run *run) {
    if (item->flags & ITEM_PUTTING) {
        hash_remove(&shard->unsettled_by_id, &item->by_id);
        item->flags |= ITEM_SETTLED;
        return;
    }
    if (item->flags & ITEM_FAILED)
        device->outbox.failed_count--;
    outbox_unsettled_unlink(shard, item);
    outbox_count_bytes(&device->outbox, item, false);
    run_add(shard, device, run, item->seq);
    outbox_item_free(shard, item);
}

static void settle_all_within(struct shard *shard, struct device *device, const struct message_id *id,
                              uint64_t last, struct run *run) {
    struct outbox_item *next;
    for (struct outbox_item *item = device->outbox.unsettled; item; item = next) {
        next = item->next;
        if (is_by_id(item) && item->id.number >= id->number && item->id.number <= last &&
            message_id_same_key(&item->id, id))
            settle(shard, device, item, run);
    }
}

/* What came twice is there twice, and was told twice: each word settles one copy of each number, the one that
 * was acknowledged first. */
void outbox_settled(struct shard *shard, struct device *device, const struct message_id *id, uint64_t last) {
    struct run run = {0};
    struct message_id at = *id;
    uint64_t more = last - id->number; /* numbers behind the first */
    bool each_once = more < EACH_ONCE_MAX;
    if (!each_once && more >= device->outbox.unsettled_count) {
        settle_all_within(shard, device, id, last, &run);
    } else {
        for (; device->outbox.unsettled && at.number - id->number <= more; at.number++) {
            struct outbox_item *item;
            while ((item = find_copy(shard, device, &at))) {
                settle(shard, device, item, &run);
                if (each_once)
                    break;
            }
        }
    }
    run_end(shard, device, &run);
    outbox_purge_go_on(shard, device);
    if (device->session && outbox_has_output(shard, device)) /* the drain may have waited for this */
        port_output_ready(shard, device->session->conn);
}
