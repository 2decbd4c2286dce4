#include "tools/client/copies.h"

#include "tools/client/ranges.h"

static const uint8_t bits[] = {RECEIPT_SENT, RECEIPT_DELIVERED, RECEIPT_READ, RECEIPT_FAILED};
#define BITS (sizeof(bits) / sizeof(bits[0]))

static struct key tick_set(const struct message_id *id, uint8_t bit) {
    struct key key = key_of(KEY_COPIED);
    key_add16(&key, id->from_device);
    key_add64(&key, id->epoch);
    key_add64(&key, id->to);
    key_add(&key, &bit, 1);
    return key;
}

int copies_tick(struct state *state, const struct frame_range *range, uint8_t flags) {
    if (flags & RECEIPT_READ) /* who read it has it */
        flags |= RECEIPT_DELIVERED;
    for (size_t i = 0; i < BITS && range->id.number; i++) {
        struct key set = tick_set(&range->id, bits[i]);
        if (flags & bits[i])
            state_note(state, ranges_add(state->vault, key_view(&set), range->id.number, range->last));
    }
    return state->error;
}

int copies_ticks(struct state *state, const struct message_id *id, uint8_t *ret_flags) {
    uint8_t flags = 0;
    for (size_t i = 0; i < BITS; i++) {
        struct key set = tick_set(id, bits[i]);
        uint64_t count = 0;
        state_note(state, ranges_count(state->vault, key_view(&set), id->number, id->number, &count));
        if (count)
            flags |= bits[i];
    }
    if (state->error)
        return state->error;
    if (flags & RECEIPT_DELIVERED)
        flags &= (uint8_t)~RECEIPT_FAILED;
    if (!(flags & RECEIPT_SENT))
        flags &= RECEIPT_FAILED;
    *ret_flags = flags;
    return 0;
}
