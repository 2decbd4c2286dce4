/* tools/tern/conversation.h: what a chat shows: the latest messages from and to one account, and their ticks,
 * as the state has them. What another tern of this home sends or receives meanwhile is there, too, and what
 * other devices of the account send.
 *
 * Threads: one.  Memory: the entries, at most CONVERSATION_ENTRIES_MAX; older ones are forgotten. */
#ifndef TERN_TOOLS_TERN_CONVERSATION_H
#define TERN_TOOLS_TERN_CONVERSATION_H

#include "tools/client/state.h"

#define CONVERSATION_ENTRIES_MAX 500

struct entry {
    bool is_own;
    bool is_copy;      /* own, sent by another device */
    bool is_clear;     /* it came without encryption */
    bool is_notice;    /* a sentence of this device about the other account */
    bool is_changed;   /* new, or with other ticks, since somebody cleared it */
    bool is_unmarked;  /* received, not noted as shown yet */
    uint8_t flags;     /* enum receipt_flags */
    uint16_t reason;   /* enum refusal, of a failed one */
    uint64_t position; /* in the inbox; of a received one or a copy */
    uint64_t utc_ms;
    struct message_id id;
    uint8_t *text;
    size_t bytes;
};

struct conversation {
    uint64_t own_account, account;
    struct entry entries[CONVERSATION_ENTRIES_MAX];
    size_t count;
    uint64_t inbox_seen, history_seen; /* positions */
    uint64_t first_sent;               /* number of the first by conversation_send; 0: none */
    bool is_strict;                    /* what it sends, as in struct outgoing */
};

void conversation_init(struct conversation *conversation, uint64_t own_account, uint64_t account);
void conversation_fini(struct conversation *conversation);
/* Takes over what is new in the state. In a transaction. *ret_changed: an entry has is_changed. */
int conversation_look(struct conversation *conversation, struct state *state, bool *ret_changed);
bool conversation_has_unmarked(const struct conversation *conversation);
/* What is shown is read. In a write transaction. */
int conversation_mark(struct conversation *conversation, struct state *state);
/* Sends a message. In a write transaction. */
int conversation_send(struct conversation *conversation, struct state *state, const uint8_t *text,
                      size_t bytes, uint64_t utc_ms);
/* Of those sent by conversation_send. */
size_t conversation_failed(const struct conversation *conversation, uint16_t *ret_reason);
size_t conversation_waiting(
    const struct conversation *conversation); /* own ones without a sent tick, not failed */

#endif
