/* Items of outboxes: where they come from, and the shard's list of those that wait without a place in the
 * queue. */
#include <stdlib.h>
#include <string.h>

#include "core/must.h"
#include "core/outbox.h"
#include "core/switch.h"

struct outbox_item *outbox_item_take(struct shard *shard) {
    struct outbox_item *item = shard->item_free;
    if (item)
        shard->item_free = item->next;
    else
        item = malloc(sizeof(*item));
    if (item)
        memset(item, 0, offsetof(struct outbox_item, frame));
    return item;
}

void outbox_item_free(struct shard *shard, struct outbox_item *item) {
    item->next = shard->item_free;
    shard->item_free = item;
}

struct frame_message outbox_item_body(const struct outbox_item *item) {
    struct frame frame = {
        .type = FRAME_MESSAGE, .bytes = outbox_item_frame(item), .frame_bytes = item->bytes};
    struct frame_message body = {0};
    must(frame_read_message(&frame, &body) == 0);
    return body;
}

void outbox_age_append(struct shard *shard, struct outbox_item *item) {
    item->since_ms = shard->now_ms;
    item->age_next = NULL;
    item->age_prev = shard->age_tail;
    *(shard->age_tail ? &shard->age_tail->age_next : &shard->age_head) = item;
    shard->age_tail = item;
    if (!shard->hold_cursor)
        shard->hold_cursor = item;
}

void outbox_age_unlink(struct shard *shard, struct outbox_item *item) {
    if (shard->hold_cursor == item)
        shard->hold_cursor = item->age_next;
    *(item->age_prev ? &item->age_prev->age_next : &shard->age_head) = item->age_next;
    *(item->age_next ? &item->age_next->age_prev : &shard->age_tail) = item->age_prev;
}

bool outbox_is_copy(const struct device *device, const struct message_id *id) {
    return id->from == device->account->number && id->to != device->account->number;
}
