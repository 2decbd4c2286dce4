#include "tools/client/marks.h"
#include "core/mutant.h"

#include <errno.h>

void marks_restart(struct marks *marks) {
    marks->flag = MUTANT(mark_not_repeated) ? 0 : RECEIPT_DELIVERED;
    marks->at = (struct message_id){0};
    marks->repeat_ms = 0;
    marks->told_count = 0;
}

void marks_look_again(struct marks *marks) {
    if (marks->flag == RECEIPT_DELIVERED)
        return; /* read comes after it anyway */
    marks->flag = RECEIPT_READ;
    marks->at = (struct message_id){0};
}

static bool is_told(const struct marks *marks, const struct frame_range *range) {
    uint32_t count = marks->told_count < MARKS_TOLD_MAX ? marks->told_count : MARKS_TOLD_MAX;
    for (uint32_t i = 0; i < count; i++) {
        const struct frame_range *told = &marks->told[i];
        if (message_id_same_key(&told->id, &range->id) && told->id.number <= range->id.number &&
            told->last >= range->last)
            return true;
    }
    return false;
}

int marks_fill(struct marks *marks, struct state *state, uint64_t own_account, struct peer *peer,
               uint64_t now_ms) {
    if (marks->repeat_ms && marks->repeat_ms <= now_ms) {
        marks->repeat_ms = 0;
        marks->told_count = 0;
        marks_look_again(marks);
    }
    while (marks->flag && peer_put_bytes(peer) < MARKS_GATHER_BYTES_MAX) {
        struct frame_range range;
        uint8_t out[FRAME_SMALL_BYTES_MAX];
        if (state_inbox_mark(state, marks->flag, 0, &marks->at, &range) < 0) {
            marks->flag = marks->flag == RECEIPT_DELIVERED ? RECEIPT_READ : 0;
            marks->at = (struct message_id){0};
            continue;
        }
        marks->at = range.id;
        marks->at.number = range.last + 1;
        range.id.to = own_account;
        if (marks->flag == RECEIPT_READ) {
            marks->repeat_ms = marks->repeat_ms ? marks->repeat_ms : now_ms + MARKS_REPEAT_MS;
            if (is_told(marks, &range))
                continue;
            marks->told[marks->told_count++ % MARKS_TOLD_MAX] = range;
        }
        int error = peer_put(peer, out, frame_write_range(out, FRAME_MARK, marks->flag, &range));
        if (error)
            return error;
    }
    return 0;
}

uint64_t marks_due_ms(const struct marks *marks) {
    return marks->repeat_ms ? marks->repeat_ms : UINT64_MAX;
}
