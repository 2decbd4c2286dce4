/* Deletes that could not be committed: kept, and tried again until they are. A shard sends each delete once;
 * without this its entries would stay on disk until they expire, and come to their device again after a
 * restart. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/environment.h"

#define RETRY_MS 100
#define CAPACITY_FIRST 64

void deletes_keep(struct environment *environment, const struct note *note) {
    struct deletes *deletes = &environment->deletes;
    if (deletes->count == deletes->capacity) {
        uint32_t capacity = deletes->capacity ? deletes->capacity * 2 : CAPACITY_FIRST;
        struct delete_range *ranges =
            capacity <= DELETES_KEPT_MAX ? realloc(deletes->ranges, capacity * sizeof(*ranges)) : NULL;
        if (!ranges) { /* the entries stay until they expire; their device tells duplicates */
            port_log("store_delete_failed environment=%u", environment->index);
            return;
        }
        deletes->ranges = ranges;
        deletes->capacity = capacity;
    }
    deletes->ranges[deletes->count++] = (struct delete_range){.account = note->erase.account,
                                                              .first = note->erase.first,
                                                              .last = note->erase.last,
                                                              .device = note->device};
}

/* The first `count` of them in one transaction. 0 where it is committed. */
static int apply(struct environment *environment, uint32_t count) {
    struct map_txn *txn;
    int error = map_begin(environment->map, &txn);
    if (error)
        return error;
    for (uint32_t i = 0; i < count && error == 0; i++) {
        const struct delete_range *range = &environment->deletes.ranges[i];
        error = queue_delete(environment, txn, range->account, range->device, range->first, range->last);
    }
    if (error)
        map_abort(txn);
    else
        error = map_commit(txn);
    if (error)
        counts_undo(&environment->counts);
    else
        counts_keep(&environment->counts);
    return error;
}

void deletes_turn(struct environment *environment, uint64_t now_ms) {
    struct deletes *deletes = &environment->deletes;
    if (deletes->count == 0 || now_ms < deletes->next_ms || environment->closed)
        return;
    int error = -ENOSPC;
    uint32_t count = deletes->count;
    /* What does not fit one transaction together may fit in parts: each frees pages for the next. */
    for (; count > 0 && error == -ENOSPC; count /= 2) {
        error = apply(environment, count);
        if (error == 0)
            break;
    }
    if (error == 0) {
        deletes->count -= count;
        memmove(deletes->ranges, deletes->ranges + count, deletes->count * sizeof(*deletes->ranges));
        environment_measure(environment);
        return;
    }
    deletes->next_ms = now_ms + RETRY_MS;
    if (error != -ENOSPC && error != -ENOMEM)
        environment_close_writes(environment, error, "commit");
}

void deletes_fini(struct environment *environment) {
    free(environment->deletes.ranges);
    environment->deletes = (struct deletes){0};
}
