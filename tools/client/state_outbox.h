/* tools/client/state_outbox.h: what this device sends: the messages that have no sent tick yet, and the ticks
 * of all.
 *
 * A message and its number are stored in one transaction before they are used; the message leaves the outbox
 * with its sent tick or when it failed. Ticks are kept as ranges for each addressed account, in whatever
 * order they come.
 *
 * Threads: one.  Memory: views as in state.h. All in a transaction. */
#ifndef TERN_TOOLS_CLIENT_STATE_OUTBOX_H
#define TERN_TOOLS_CLIENT_STATE_OUTBOX_H

#include "tools/client/state.h"

#define OUTBOX_HISTORY_MAX 1000      /* messages that `tern status` can still show */
#define OUTBOX_EXCERPT_BYTES_MAX 256 /* of each */
#define OUTBOX_CARRIED                                                                                       \
    512 /* why a message failed, beside enum refusal: it was exported without a sent tick */

struct outgoing {
    uint64_t to;
    uint64_t number;
    uint64_t utc_ms; /* when it was put into the outbox */
    uint32_t ttl_s;
    uint16_t content_type;
    bool is_strict; /* as long as it waits, only a person accepts that the account has changed (answers.h) */
    const uint8_t *payload;
    uint32_t payload_bytes;
};

/* Gives the message the next number to its account and stores both. -ENOSPC, -EOVERFLOW, -EMSGSIZE. */
int state_outbox_add(struct state *state, const struct outgoing *message, uint64_t *ret_number);
/* A line in the history, which state_outbox_add makes of every text: of message its account, number and
 * time. */
int state_outbox_note(struct state *state, const struct outgoing *message, const void *text, size_t bytes);
/* The message with the lowest number >= `from` to this account; the lowest account >= `from` that has any.
 * -ENOENT. */
int state_outbox_next(struct state *state, uint64_t to, uint64_t from, struct outgoing *ret_message);
int state_outbox_next_account(struct state *state, uint64_t from, uint64_t *ret_to);
bool state_outbox_is_strict(struct state *state, uint64_t to); /* any message that waits is */
uint64_t state_outbox_count(struct state *state);
uint64_t state_outbox_bytes(struct state *state); /* of the payloads */

/* A receipt for first..last; flags: enum receipt_flags. Numbers that were never used are ignored. *ret_left:
 * how many of the messages that left the outbox have a number below `below`. */
int state_outbox_tick(struct state *state, uint64_t to, uint64_t first, uint64_t last, uint8_t flags,
                      uint64_t below, uint32_t *ret_left);
/* Refused for good: the last word on a message, unless it has its sent tick. *ret_left as above. */
int state_outbox_refused(struct state *state, uint64_t to, uint64_t number, uint16_t reason, uint64_t below,
                         uint32_t *ret_left);
/* Messages to this account are refused for now. Forgotten when one of them leaves the outbox. */
int state_outbox_hold(struct state *state, uint64_t to, uint16_t reason);
/* enum refusal, 0: they are not held back. */
uint16_t state_outbox_held(struct state *state, uint64_t to);

/* The ticks to show: docs/PROTOCOL.md, section 3.3. *ret_reason: enum refusal, 0 where none is known. */
int state_outbox_ticks(struct state *state, uint64_t to, uint64_t number, uint8_t *ret_flags,
                       uint16_t *ret_reason);
/* How many of first..last have this tick to show: one of RECEIPT_SENT, _DELIVERED, _READ, _FAILED. A message
 * that failed counts as that alone. */
int state_outbox_ticked(struct state *state, uint64_t to, uint64_t first, uint64_t last, uint8_t flag,
                        uint64_t *ret_count);

/* Why the first of first..last that was refused for good was: enum refusal, 0 where none is known. */
uint16_t state_outbox_reason(struct state *state, uint64_t to, uint64_t first, uint64_t last);

/* What was sent lately, oldest first: the first entry from `position` on. -ENOENT. The payload is an excerpt,
 * of a text. */
int state_outbox_history(struct state *state, uint64_t position, uint64_t *ret_position,
                         struct outgoing *ret_message);

#endif
