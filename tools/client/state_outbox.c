#include "tools/client/state_outbox.h"

#include <errno.h>

#include "tools/client/ranges.h"

#define COUNT_LETTER 'c'
#define BYTES_LETTER 'b'
#define OUTGOING_BYTES 16 /* of a record before its payload */
#define HISTORY_BYTES 24

/* --- messages ------------------------------------------------------------------------------------------- */

static struct key message_key(enum key_kind kind, uint64_t to, uint64_t number) {
    struct key key = key_of(kind);
    key_add64(&key, to);
    key_add64(&key, number);
    return key;
}

static uint64_t last_number(struct state *state, uint64_t to) {
    struct key key = key_of(KEY_COUNTER);
    struct disk_view value;
    key_add64(&key, to);
    if (state_get(state, &key, &value) != 0)
        return 0;
    if (value.bytes == sizeof(uint64_t))
        return bytes_get64(value.at);
    state_note(state, -EUCLEAN);
    return 0;
}

static void set_last_number(struct state *state, uint64_t to, uint64_t number) {
    struct key key = key_of(KEY_COUNTER);
    uint8_t value[sizeof(number)];
    key_add64(&key, to);
    bytes_put64(value, number);
    state_put(state, &key, value, sizeof(value));
}

static void add_history(struct state *state, const struct outgoing *message, uint64_t number) {
    struct key key = key_of(KEY_HISTORY), newest = key;
    struct disk_view at, value;
    key_add64(&newest, UINT64_MAX);
    uint64_t position = 1;
    if (state_seek_before(state, &newest, 1, &at, &value) == 0 && at.bytes == key.used + sizeof(uint64_t))
        position = bytes_get64_be(at.at + 1) + 1;
    uint32_t bytes =
        message->payload_bytes < OUTBOX_EXCERPT_BYTES_MAX ? message->payload_bytes : OUTBOX_EXCERPT_BYTES_MAX;
    bytes_put64(state->value, message->to);
    bytes_put64(state->value + 8, number);
    bytes_put64(state->value + 16, message->utc_ms);
    if (bytes)
        memcpy(state->value + HISTORY_BYTES, message->payload, bytes);
    struct key here = key;
    key_add64(&here, position);
    state_put(state, &here, state->value, HISTORY_BYTES + bytes);

    while (state_seek(state, &key, 1, &at, &value) == 0 && at.bytes == key.used + sizeof(uint64_t) &&
           bytes_get64_be(at.at + 1) + OUTBOX_HISTORY_MAX <= position && value.bytes >= HISTORY_BYTES) {
        struct key oldest = key,
                   reason = message_key(KEY_REASON, bytes_get64(value.at), bytes_get64(value.at + 8));
        key_add64(&oldest, bytes_get64_be(at.at + 1));
        state_delete(state, &reason);
        state_delete(state, &oldest);
    }
}

int state_outbox_add(struct state *state, const struct outgoing *message, uint64_t *ret_number) {
    if (message->payload_bytes > FRAME_PAYLOAD_BYTES_MAX)
        return -EMSGSIZE;
    uint64_t last = last_number(state, message->to);
    if (last == UINT64_MAX)
        return state_note(state, -EOVERFLOW);
    uint64_t number = last + 1;
    struct key key = message_key(KEY_OUTBOX, message->to, number);
    bytes_put64(state->value, message->utc_ms);
    bytes_put32(state->value + 8, message->ttl_s);
    bytes_put16(state->value + 12, message->content_type);
    bytes_put16(state->value + 14, 0);
    if (message->payload_bytes)
        memcpy(state->value + OUTGOING_BYTES, message->payload, message->payload_bytes);
    set_last_number(state, message->to, number);
    state_put(state, &key, state->value, OUTGOING_BYTES + message->payload_bytes);
    state_set_counter(state, COUNT_LETTER, state_outbox_count(state) + 1);
    state_set_counter(state, BYTES_LETTER, state_outbox_bytes(state) + message->payload_bytes);
    add_history(state, message, number);
    if (state->error)
        return state->error;
    *ret_number = number;
    return 0;
}

int state_outbox_next(struct state *state, uint64_t to, uint64_t from, struct outgoing *ret_message) {
    struct key key = message_key(KEY_OUTBOX, to, from);
    struct disk_view at, value;
    int error = state_seek(state, &key, 1 + sizeof(to), &at, &value);
    if (error)
        return error;
    if (at.bytes != key.used || value.bytes < OUTGOING_BYTES)
        return state_damaged(state);
    *ret_message = (struct outgoing){
        .to = to,
        .number = bytes_get64_be(at.at + 9),
        .utc_ms = bytes_get64(value.at),
        .ttl_s = bytes_get32(value.at + 8),
        .content_type = bytes_get16(value.at + 12),
        .payload = value.at + OUTGOING_BYTES,
        .payload_bytes = (uint32_t)(value.bytes - OUTGOING_BYTES),
    };
    return 0;
}

int state_outbox_next_account(struct state *state, uint64_t from, uint64_t *ret_to) {
    struct key key = message_key(KEY_OUTBOX, from, 0);
    struct disk_view at, value;
    int error = state_seek(state, &key, 1, &at, &value);
    if (error)
        return error;
    if (at.bytes != key.used)
        return state_damaged(state);
    *ret_to = bytes_get64_be(at.at + 1);
    return 0;
}

uint64_t state_outbox_count(struct state *state) {
    return state_counter(state, COUNT_LETTER);
}

uint64_t state_outbox_bytes(struct state *state) {
    return state_counter(state, BYTES_LETTER);
}

static struct key held_key(uint64_t to) {
    struct key key = key_of(KEY_HELD);
    key_add64(&key, to);
    return key;
}

int state_outbox_hold(struct state *state, uint64_t to, uint16_t reason) {
    struct key key = held_key(to);
    uint8_t value[sizeof(reason)];
    bytes_put16(value, reason);
    return state_put(state, &key, value, sizeof(value));
}

uint16_t state_outbox_held(struct state *state, uint64_t to) {
    struct key key = held_key(to);
    struct disk_view value;
    return state_get(state, &key, &value) == 0 && value.bytes == sizeof(uint16_t) ? bytes_get16(value.at) : 0;
}

/* Takes first..last out of the outbox. */
static uint32_t leave(struct state *state, uint64_t to, uint64_t first, uint64_t last, uint64_t below) {
    struct outgoing message;
    uint64_t count = state_outbox_count(state), bytes = state_outbox_bytes(state);
    uint32_t left_below = 0;
    bool any = false;
    while (state_outbox_next(state, to, first, &message) == 0 && message.number <= last) {
        uint64_t number = message.number;
        struct key key = message_key(KEY_OUTBOX, to, number);
        count -= count > 0;
        bytes -= message.payload_bytes < bytes ? message.payload_bytes : bytes;
        any = true;
        if (state_delete(state, &key) != 0)
            break;
        left_below += number < below;
        if (number == UINT64_MAX)
            break;
        first = number + 1;
    }
    if (any) {
        struct key held = held_key(to);
        state_delete(state, &held);
        state_set_counter(state, COUNT_LETTER, count);
        state_set_counter(state, BYTES_LETTER, bytes);
    }
    return left_below;
}

/* --- ticks ---------------------------------------------------------------------------------------------- */

static struct key tick_set(uint64_t to, uint8_t bit) {
    struct key key = key_of(KEY_TICKS);
    key_add64(&key, to);
    key_add(&key, &bit, 1);
    return key;
}

static const uint8_t bits[] = {RECEIPT_SENT, RECEIPT_DELIVERED, RECEIPT_READ, RECEIPT_FAILED};

static bool is_refused(struct state *state, uint64_t to, uint64_t number) {
    struct key key = message_key(KEY_REASON, to, number);
    struct disk_view value;
    return state_get(state, &key, &value) == 0;
}

int state_outbox_tick(struct state *state, uint64_t to, uint64_t first, uint64_t last, uint8_t flags,
                      uint64_t below, uint32_t *ret_left) {
    uint64_t used = last_number(state, to);
    last = last < used ? last : used;
    *ret_left = 0;
    if (first == 0 || first > last)
        return state->error;
    if (flags & RECEIPT_READ) /* who read it has it */
        flags |= RECEIPT_DELIVERED;
    for (size_t i = 0; i < sizeof(bits); i++) {
        struct key set = tick_set(to, bits[i]);
        if (flags & bits[i])
            state_note(state, ranges_add(state->disk, key_view(&set), first, last));
    }
    /* Failed may be the word of one target only, while others have nothing yet: but for a refusal, only sent
     * ends it. */
    if ((flags & RECEIPT_SENT) || ((flags & RECEIPT_FAILED) && first == last && is_refused(state, to, first)))
        *ret_left = leave(state, to, first, last, below);
    return state->error;
}

int state_outbox_refused(struct state *state, uint64_t to, uint64_t number, uint16_t reason) {
    struct key key = message_key(KEY_REASON, to, number);
    uint8_t value[sizeof(reason)];
    bytes_put16(value, reason);
    return state_put(state, &key, value, sizeof(value));
}

/* How many of first..last are in both sets; without = true: in the first, but not in the second. */
static uint64_t count_both(struct state *state, const struct key *one, const struct key *other, bool without,
                           uint64_t first, uint64_t last) {
    uint64_t count = 0, from = first, there_first, there_last;
    while (from <= last) {
        int error =
            state_note(state, ranges_next(state->disk, key_view(one), from, &there_first, &there_last));
        if (error || there_first > last)
            break;
        there_last = there_last < last ? there_last : last;
        uint64_t both = 0;
        state_note(state, ranges_count(state->disk, key_view(other), there_first, there_last, &both));
        count += without ? there_last - there_first + 1 - both : both;
        if (there_last == UINT64_MAX)
            break;
        from = there_last + 1;
    }
    return count;
}

int state_outbox_ticked(struct state *state, uint64_t to, uint64_t first, uint64_t last, uint8_t flag,
                        uint64_t *ret_count) {
    bool is_failed = flag == RECEIPT_FAILED;
    struct key one = tick_set(to, flag), other = tick_set(to, is_failed ? RECEIPT_DELIVERED : RECEIPT_SENT);
    uint64_t count = count_both(state, &one, &other, is_failed, first, last);
    if (state->error)
        return state->error;
    *ret_count = count;
    return 0;
}

int state_outbox_ticks(struct state *state, uint64_t to, uint64_t number, uint8_t *ret_flags,
                       uint16_t *ret_reason) {
    uint8_t flags = 0;
    for (size_t i = 0; i < sizeof(bits); i++) {
        uint64_t count = 0;
        state_outbox_ticked(state, to, number, number, bits[i], &count);
        if (count)
            flags |= bits[i];
    }
    struct key key = message_key(KEY_REASON, to, number);
    struct disk_view value;
    uint16_t reason = 0;
    if (state_get(state, &key, &value) == 0 && value.bytes == sizeof(reason))
        reason = bytes_get16(value.at);
    if (state->error)
        return state->error;
    if (reason && !(flags & RECEIPT_SENT)) /* whichever of the devices has it: it is not sent again */
        flags |= RECEIPT_FAILED;
    *ret_flags = flags;
    *ret_reason = reason;
    return 0;
}

int state_outbox_history(struct state *state, uint64_t position, uint64_t *ret_position,
                         struct outgoing *ret_message) {
    struct key key = key_of(KEY_HISTORY);
    struct disk_view at, value;
    key_add64(&key, position);
    int error = state_seek(state, &key, 1, &at, &value);
    if (error)
        return error;
    if (at.bytes != key.used || value.bytes < HISTORY_BYTES)
        return state_damaged(state);
    *ret_position = bytes_get64_be(at.at + 1);
    *ret_message = (struct outgoing){
        .to = bytes_get64(value.at),
        .number = bytes_get64(value.at + 8),
        .utc_ms = bytes_get64(value.at + 16),
        .payload = value.at + HISTORY_BYTES,
        .payload_bytes = (uint32_t)(value.bytes - HISTORY_BYTES),
    };
    return 0;
}
