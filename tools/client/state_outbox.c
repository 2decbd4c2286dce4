#include "tools/client/state_outbox.h"

#include <errno.h>

#include "tools/client/content.h"
#include "tools/client/ranges.h"

#define COUNT_LETTER 'c'
#define BYTES_LETTER 'b'
#define OUTGOING_BYTES 16 /* of a record before its payload */
#define HISTORY_BYTES 24
#define FLAG_STRICT 1

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

/* What people see of a message: a text, without its inner type where it has one. */
static bool shown(const struct outgoing *message, struct disk_view *ret_text) {
    *ret_text = (struct disk_view){.at = message->payload, .bytes = message->payload_bytes};
    if (message->content_type != CONTENT_SEALED)
        return message->content_type == CONTENT_TEXT;
    if (ret_text->bytes < INNER_TYPE_BYTES || bytes_get16(ret_text->at) != INNER_TEXT)
        return false;
    ret_text->at += INNER_TYPE_BYTES;
    ret_text->bytes -= INNER_TYPE_BYTES;
    return true;
}

int state_outbox_note(struct state *state, const struct outgoing *message, const void *text, size_t bytes) {
    struct key key = key_of(KEY_HISTORY), newest = key;
    struct disk_view at, value;
    key_add64(&newest, UINT64_MAX);
    uint64_t position = 1;
    if (state_seek_before(state, &newest, 1, &at, &value) == 0 && at.bytes == key.used + sizeof(uint64_t))
        position = bytes_get64_be(at.at + 1) + 1;
    bytes = bytes < OUTBOX_EXCERPT_BYTES_MAX ? bytes : OUTBOX_EXCERPT_BYTES_MAX;
    bytes_put64(state->value, message->to);
    bytes_put64(state->value + 8, message->number);
    bytes_put64(state->value + 16, message->utc_ms);
    if (bytes)
        memcpy(state->value + HISTORY_BYTES, text, bytes);
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
    return state->error;
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
    bytes_put16(state->value + 14, message->is_strict ? FLAG_STRICT : 0);
    if (message->payload_bytes)
        memcpy(state->value + OUTGOING_BYTES, message->payload, message->payload_bytes);
    set_last_number(state, message->to, number);
    state_put(state, &key, state->value, OUTGOING_BYTES + message->payload_bytes);
    state_set_counter(state, COUNT_LETTER, state_outbox_count(state) + 1);
    state_set_counter(state, BYTES_LETTER, state_outbox_bytes(state) + message->payload_bytes);
    struct outgoing numbered = *message;
    struct disk_view text;
    numbered.number = number;
    if (shown(message, &text))
        state_outbox_note(state, &numbered, text.at, text.bytes);
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
        .is_strict = bytes_get16(value.at + 14) & FLAG_STRICT,
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

bool state_outbox_is_strict(struct state *state, uint64_t to) {
    struct outgoing message = {.number = 0};
    uint64_t mark = state_mark(state);
    bool is_strict = false;
    while (!is_strict && message.number < UINT64_MAX &&
           state_outbox_next(state, to, message.number + 1, &message) == 0) {
        is_strict = message.is_strict;
        state_release(state, mark);
    }
    return is_strict;
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
        struct key key = message_key(KEY_OUTBOX, to, number), sealed = message_key(KEY_SEALED, to, number);
        count -= count > 0;
        bytes -= message.payload_bytes < bytes ? message.payload_bytes : bytes;
        any = true;
        if (state_delete(state, &key) != 0)
            break;
        state_delete(state, &sealed);
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

/* Refused for good is kept apart from failed: it is the last word on a message, whatever came or comes
 * besides, so its numbers are in no other set. */
#define REFUSED 16
static const uint8_t bits[] = {RECEIPT_SENT, RECEIPT_DELIVERED, RECEIPT_READ, RECEIPT_FAILED};
#define BITS (sizeof(bits) / sizeof(bits[0]))

static void take_out(struct state *state, uint64_t to, uint8_t bit, uint64_t first, uint64_t last) {
    struct key set = tick_set(to, bit);
    state_note(state, ranges_remove(state->vault, key_view(&set), first, last));
}

static void add_ticks(struct state *state, uint64_t to, uint8_t bit, uint64_t first, uint64_t last) {
    struct key set = tick_set(to, bit), refused = tick_set(to, REFUSED);
    uint64_t from = first, there_first, there_last;
    state_note(state, ranges_add(state->vault, key_view(&set), first, last));
    while (!state->error && from <= last &&
           state_note(state,
                      ranges_next(state->vault, key_view(&refused), from, &there_first, &there_last)) == 0 &&
           there_first <= last) {
        take_out(state, to, bit, there_first, there_last < last ? there_last : last);
        if (there_last == UINT64_MAX)
            break;
        from = there_last + 1;
    }
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
    for (size_t i = 0; i < BITS; i++) {
        if (flags & bits[i])
            add_ticks(state, to, bits[i], first, last);
    }
    /* Failed may be the word of one target only, while others have nothing yet: only sent ends it. */
    if (flags & RECEIPT_SENT)
        *ret_left = leave(state, to, first, last, below);
    return state->error;
}

int state_outbox_refused(struct state *state, uint64_t to, uint64_t number, uint16_t reason, uint64_t below,
                         uint32_t *ret_left) {
    struct outgoing message;
    struct key key = message_key(KEY_REASON, to, number), set = tick_set(to, REFUSED);
    uint8_t value[sizeof(reason)];
    *ret_left = 0;
    if (state_outbox_next(state, to, number, &message) != 0 || message.number != number)
        return state->error; /* it was sent: a repetition of it was refused */
    bytes_put16(value, reason);
    state_put(state, &key, value, sizeof(value));
    for (size_t i = 0; i < BITS; i++)
        take_out(state, to, bits[i], number, number);
    state_note(state, ranges_add(state->vault, key_view(&set), number, number));
    *ret_left = leave(state, to, number, number, below);
    return state->error;
}

/* How many of first..last are in each of these sets. */
static uint64_t count_common(struct state *state, const struct key *sets, size_t count, uint64_t first,
                             uint64_t last) {
    uint64_t common = 0, from = first, there_first, there_last;
    while (from <= last) {
        int error =
            state_note(state, ranges_next(state->vault, key_view(sets), from, &there_first, &there_last));
        if (error || there_first > last)
            break;
        there_last = there_last < last ? there_last : last;
        common += count == 1 ? there_last - there_first + 1
                             : count_common(state, sets + 1, count - 1, there_first, there_last);
        if (there_last == UINT64_MAX)
            break;
        from = there_last + 1;
    }
    return common;
}

int state_outbox_ticked(struct state *state, uint64_t to, uint64_t first, uint64_t last, uint8_t flag,
                        uint64_t *ret_count) {
    struct key failed[] = {tick_set(to, RECEIPT_FAILED), tick_set(to, RECEIPT_SENT),
                           tick_set(to, RECEIPT_DELIVERED)};
    struct key ticked[] = {tick_set(to, flag), tick_set(to, RECEIPT_SENT)}, refused = tick_set(to, REFUSED);
    uint64_t count = count_common(state, ticked, 2, first, last);
    if (flag == RECEIPT_FAILED)
        count += count_common(state, &refused, 1, first, last) - count_common(state, failed, 3, first, last);
    else if (flag == RECEIPT_SENT) /* what failed is not shown as sent */
        count -= count_common(state, failed, 2, first, last) - count_common(state, failed, 3, first, last);
    if (state->error)
        return state->error;
    *ret_count = count;
    return 0;
}

int state_outbox_ticks(struct state *state, uint64_t to, uint64_t number, uint8_t *ret_flags,
                       uint16_t *ret_reason) {
    uint8_t flags = 0;
    for (size_t i = 0; i < BITS; i++) {
        uint64_t count = 0;
        state_outbox_ticked(state, to, number, number, bits[i], &count);
        if (count)
            flags |= bits[i];
    }
    uint16_t reason = state_outbox_reason(state, to, number, number);
    if (state->error)
        return state->error;
    *ret_flags = flags;
    *ret_reason = reason;
    return 0;
}

uint16_t state_outbox_reason(struct state *state, uint64_t to, uint64_t first, uint64_t last) {
    struct key key = message_key(KEY_REASON, to, first);
    struct disk_view at, value;
    if (state_seek(state, &key, 1 + sizeof(to), &at, &value) != 0)
        return 0;
    if (at.bytes != key.used || value.bytes != sizeof(uint16_t)) {
        state_damaged(state);
        return 0;
    }
    return bytes_get64_be(at.at + 1 + sizeof(to)) <= last ? bytes_get16(value.at) : 0;
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
