#include "tools/tern/conversation.h"

#include <stdlib.h>

#include "tools/client/copies.h"
#include "tools/client/files.h"
#include "tools/client/sealing.h"
#include "tools/client/state_inbox.h"

#define ENDED (RECEIPT_READ | RECEIPT_FAILED) /* no other tick comes after these that would be shown */

void conversation_init(struct conversation *conversation, uint64_t own_account, uint64_t account) {
    *conversation = (struct conversation){.own_account = own_account, .account = account};
}

void conversation_fini(struct conversation *conversation) {
    for (size_t i = 0; i < conversation->count; i++)
        free(conversation->entries[i].text);
    conversation->count = 0;
}

/* In the order of time, so that what was sent and what was received before the chat began interleave. */
static int add(struct conversation *conversation, struct entry entry, const uint8_t *text, size_t bytes) {
    struct entry *entries = conversation->entries;
    entry.text = malloc(bytes ? bytes : 1);
    if (!entry.text)
        return -ENOMEM;
    if (bytes)
        memcpy(entry.text, text, bytes);
    entry.bytes = bytes;
    entry.is_changed = true;
    if (conversation->count == CONVERSATION_ENTRIES_MAX) {
        free(entries[0].text);
        memmove(entries, entries + 1, --conversation->count * sizeof(*entries));
    }
    size_t at = conversation->count++;
    for (; at > 0 && entries[at - 1].utc_ms > entry.utc_ms; at--)
        entries[at] = entries[at - 1];
    entries[at] = entry;
    return 0;
}

static int add_received(struct conversation *conversation, struct entry entry,
                        const struct received *message) {
    char name[FILES_NAME_BYTES_MAX + 1], text[FILES_TEXT_BYTES];
    uint64_t size;
    if (files_is_notice(message) && files_read_notice(message, &size, name) == 0)
        return add(conversation, entry, (const uint8_t *)text, files_describe(size, name, text));
    return add(conversation, entry, message->payload, message->payload_bytes);
}

static int look_at_inbox(struct conversation *conversation, struct state *state) {
    struct received message;
    uint64_t mark = state_mark(state);
    for (; state_inbox_next(state, conversation->inbox_seen + 1, &message) == 0; state_release(state, mark)) {
        conversation->inbox_seen = message.position;
        bool is_received = message.id.from == conversation->account &&
                           (message.id.to == conversation->own_account || message.is_notice);
        bool is_copy = message.id.from == conversation->own_account && message.id.to == conversation->account;
        if (!is_received && !is_copy)
            continue;
        struct entry entry = {
            .is_own = is_copy && !is_received,
            .is_copy = is_copy && !is_received,
            .is_clear = !message.is_sealed && !message.is_notice,
            .is_notice = message.is_notice,
            .is_unmarked = true,
            .position = message.position,
            .utc_ms = message.accepted_ms,
            .id = message.id,
        };
        int error = add_received(conversation, entry, &message);
        if (error)
            return error;
    }
    return state->error;
}

static bool has_sent(const struct conversation *conversation, uint64_t number) {
    for (size_t i = conversation->count; i > 0; i--) {
        const struct entry *entry = &conversation->entries[i - 1];
        if (entry->is_own && !entry->is_copy && entry->id.number == number)
            return true;
    }
    return false;
}

static int look_at_history(struct conversation *conversation, struct state *state) {
    struct outgoing message;
    uint64_t position;
    while (state_outbox_history(state, conversation->history_seen + 1, &position, &message) == 0) {
        conversation->history_seen = position;
        if (message.to != conversation->account || has_sent(conversation, message.number))
            continue;
        struct entry entry = {
            .is_own = true, .utc_ms = message.utc_ms, .id = {.to = message.to, .number = message.number}};
        int error = add(conversation, entry, message.payload, message.payload_bytes);
        if (error)
            return error;
    }
    return state->error;
}

/* Of a copy only read is the end: failed may have been the word of one target. */
static int look_at_ticks(struct entry *entry, struct state *state) {
    uint8_t flags = entry->flags;
    int error = 0;
    if (entry->is_copy && !(flags & RECEIPT_READ))
        error = copies_ticks(state, &entry->id, &flags);
    else if (entry->is_own && !entry->is_copy && !(flags & ENDED))
        error = state_outbox_ticks(state, entry->id.to, entry->id.number, &flags, &entry->reason);
    entry->is_changed |= flags != entry->flags;
    entry->flags = flags;
    return error;
}

int conversation_look(struct conversation *conversation, struct state *state, bool *ret_changed) {
    int error = look_at_history(conversation, state);
    if (!error)
        error = look_at_inbox(conversation, state);
    bool changed = false;
    for (size_t i = 0; !error && i < conversation->count; i++) {
        error = look_at_ticks(&conversation->entries[i], state);
        changed |= conversation->entries[i].is_changed;
    }
    if (!error)
        *ret_changed = changed;
    return error;
}

bool conversation_has_unmarked(const struct conversation *conversation) {
    for (size_t i = 0; i < conversation->count; i++) {
        if (conversation->entries[i].is_unmarked)
            return true;
    }
    return false;
}

int conversation_mark(struct conversation *conversation, struct state *state) {
    for (size_t i = 0; i < conversation->count; i++) {
        struct entry *entry = &conversation->entries[i];
        if (!entry->is_unmarked)
            continue;
        entry->is_unmarked = false;
        state_inbox_set_chatted(state, entry->position);
        if (!entry->is_own && !entry->is_notice)
            state_inbox_read(state, &entry->id);
    }
    return state->error;
}

int conversation_send(struct conversation *conversation, struct state *state, const uint8_t *text,
                      size_t bytes, uint64_t utc_ms) {
    struct outgoing message = {
        .to = conversation->account,
        .utc_ms = utc_ms,
        .is_strict = conversation->is_strict,
        .payload = text,
        .payload_bytes = (uint32_t)bytes,
    };
    struct entry entry = {.is_own = true, .utc_ms = utc_ms, .id = {.to = conversation->account}};
    int error = sealing_add(state, &message, INNER_TEXT, &entry.id.number);
    if (!error && !conversation->first_sent)
        conversation->first_sent = entry.id.number;
    return error ? error : add(conversation, entry, text, bytes);
}

size_t conversation_failed(const struct conversation *conversation, uint16_t *ret_reason) {
    size_t count = 0;
    for (size_t i = 0; conversation->first_sent && i < conversation->count; i++) {
        const struct entry *entry = &conversation->entries[i];
        if (!entry->is_own || entry->is_copy || entry->id.number < conversation->first_sent ||
            !(entry->flags & RECEIPT_FAILED))
            continue;
        count++;
        *ret_reason = entry->reason;
    }
    return count;
}

size_t conversation_waiting(const struct conversation *conversation) {
    size_t count = 0;
    for (size_t i = 0; i < conversation->count; i++) {
        const struct entry *entry = &conversation->entries[i];
        count += entry->is_own && !entry->is_copy && !(entry->flags & (RECEIPT_SENT | RECEIPT_FAILED));
    }
    return count;
}
