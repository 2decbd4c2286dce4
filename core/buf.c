#include <stdlib.h>

#include "core/port.h"
#include "core/switch.h"

struct buf *buf_create(uint32_t owner, uint32_t capacity) {
    struct buf *buf = malloc(sizeof(*buf) + capacity);
    if (!buf)
        return NULL;
    *buf = (struct buf){
        .data = (uint8_t *)(buf + 1),
        .capacity = capacity,
        .refs = 1,
        .owner = (uint16_t)owner,
        .kind = BUF_HEAP,
    };
    return buf;
}

void buf_drop(struct shard *shard, struct buf *buf) {
    if (buf->owner != shard->index) {
        struct note note = {.kind = NOTE_BUF_HOME, .buf = buf};
        switch_post(shard, buf->owner, &note);
        return;
    }
    if (--buf->refs > 0)
        return;
    if (buf->kind == BUF_RING)
        port_buf_give_back(shard, buf);
    else
        free(buf);
}
