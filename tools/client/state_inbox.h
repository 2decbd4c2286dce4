/* tools/client/state_inbox.h: what this device received: the highest number taken of each key, the messages
 * themselves, and the marks (delivered, read) that the switch has not confirmed.
 *
 * A received message is stored with its mark in one transaction, whichever program holds the connection just
 * then; what shows messages to people or files (`tern listen`, `tern chat`) takes them from here. One
 * position says how far listening has come. A message is deleted when listening has passed it or a chat has
 * shown it, but the newest INBOX_KEPT stay, so that a listener and a chat of one home can both show them.
 *
 * Threads: one.  Memory: views as in state.h. All in a transaction. */
#ifndef TERN_TOOLS_CLIENT_STATE_INBOX_H
#define TERN_TOOLS_CLIENT_STATE_INBOX_H

#include "tools/client/state.h"

#define INBOX_KEPT 256

struct received {
    uint64_t position; /* in the inbox, rises with each message */
    struct message_id id;
    uint64_t accepted_ms;
    bool is_sealed;        /* it was encrypted; else whoever has the switch could read or change it */
    bool is_notice;        /* a sentence of this device about its account, from nobody */
    uint16_t content_type; /* enum content_type of the frame; is_sealed: enum inner_type */
    const uint8_t *payload;
    uint32_t payload_bytes;
};

/* Takes a message. A duplicate is stored nowhere again. One with a number below the first that was taken of
 * its key was never here: it was on its way before this device was linked, was sent again, and came behind
 * later ones. It is passed over like a duplicate, but not delivered. So is one with a number that was passed
 * over when a higher one came (INBOX_BEHIND): somebody has held it back, or it was lost on the way and sent
 * again. Whether a message is addressed to the own account or a copy of what another own device sent is seen
 * from own_account. */
enum inbox_take { INBOX_FRESH, INBOX_DUPLICATE, INBOX_PASSED, INBOX_BEHIND };
int state_inbox_take(struct state *state, const struct frame_message *message, uint64_t own_account,
                     enum inbox_take *ret_take);
/* The same in two steps, for what is opened between them (opening.h). judge: its number and marks. put: what
 * was in it, where it is fresh and somebody is to see it. */
int state_inbox_judge(struct state *state, const struct message_id *id, uint64_t own_account,
                      enum inbox_take *ret_take);
int state_inbox_put(struct state *state, const struct received *message, uint64_t own_account);
/* It did not open: it is not delivered, and passed over when it comes again. */
int state_inbox_unopened(struct state *state, const struct message_id *id);
/* People were told of this INBOX_BEHIND: when it comes again it is passed over, or, a copy, a duplicate. */
int state_inbox_behind_told(struct state *state, const struct message_id *id, uint64_t own_account);
/* A sentence for people about this account, or this device of it. */
int state_inbox_notice(struct state *state, uint64_t account, uint16_t device, const char *sentence);

/* --- showing -------------------------------------------------------------------------------------------- */

/* The first message at or after this position. -ENOENT. */
int state_inbox_next(struct state *state, uint64_t position, struct received *ret_message);
uint64_t state_inbox_newest(struct state *state); /* position of the newest message ever taken; 0: none */
/* How far listening has come: everything up to this position was shown, or written to a file. */
uint64_t state_inbox_listened(struct state *state);
int state_inbox_set_listened(struct state *state, uint64_t position);
int state_inbox_set_chatted(struct state *state, uint64_t position);
bool state_inbox_is_chatted(struct state *state, uint64_t position);

/* A file of messages, as it was when the state was last committed with it. */
#define INBOX_FILE_TAIL_BYTES 16

struct inbox_file {
    uint64_t device, inode;              /* it is found by these, which a later file may have again */
    uint64_t born_ns;                    /* 0: the file system does not say */
    uint64_t length;                     /* up to which it holds each message once */
    uint8_t tail[INBOX_FILE_TAIL_BYTES]; /* a hash of its last bytes before that length */
    bool is_open;                        /* whoever wrote it has not said that it ended: there may be more */
};

/* The file of this device and inode. -ENOENT. */
int state_inbox_file(struct state *state, uint64_t device, uint64_t inode, struct inbox_file *ret_file);
int state_inbox_set_file(struct state *state, const struct inbox_file *file);

/* --- marks ---------------------------------------------------------------------------------------------- */

/* Received from this account and not read; 0 counts those of all accounts. */
int state_inbox_unread(struct state *state, uint64_t from, uint64_t *ret_count);
/* The lowest account >= `from` that something is unread from. -ENOENT. */
int state_inbox_unread_account(struct state *state, uint64_t from, uint64_t *ret_account);
/* Everything received from this account is read from now on: to be told to the switch. */
int state_inbox_read_all(struct state *state, uint64_t from, uint64_t *ret_count);
int state_inbox_read(struct state *state, const struct message_id *id);
/* The next range that the switch has to be told of (flag: RECEIPT_DELIVERED or RECEIPT_READ), at or after
 * `at`, in the order of the keys; start with all zero, go on with the range's key and last + 1. from: of this
 * account only, 0: of all. -ENOENT. */
int state_inbox_mark(struct state *state, uint8_t flag, uint64_t from, const struct message_id *at,
                     struct frame_range *ret_range);
/* The switch needs not be told again; flags as in FRAME_CONFIRM. */
int state_inbox_confirm(struct state *state, const struct frame_range *range, uint8_t flags);
/* The first range at or after `at` that was read here and that the own other devices were not told of, as in
 * state_inbox_mark. They are told, or there are none. And what they say was read there. */
int state_inbox_unshared(struct state *state, const struct message_id *at, struct frame_range *ret_range);
int state_inbox_shared(struct state *state, const struct frame_range *range);
int state_inbox_read_elsewhere(struct state *state, const struct frame_range *range);

#endif
