/* tools/client/opening.h: opening what arrives sealed. A message is judged by its number first
 * (state_inbox_take): what was taken before is neither opened nor shown. Then it is opened in one transaction
 * with its mark, the channel it moved on, and the one-time pre-key it used up, whose secret is deleted.
 *
 * Where the sending device is not known to be the account's, the message waits, and those of that device
 * behind it, until the list has been asked for; where its name is asked for, until that is known, because it
 * may be doubted by it; and where the account is doubted, until a person accepts it. What does not open is
 * counted by reason, is told to people by a line in the inbox, and has a new channel begun, so that what
 * comes next opens.
 *
 * Threads: one.  Memory: nothing is kept; texts are wiped. All in a write transaction. */
#ifndef TERN_TOOLS_CLIENT_OPENING_H
#define TERN_TOOLS_CLIENT_OPENING_H

#include "tools/client/contacts.h"
#include "tools/client/content.h"
#include "tools/client/state_inbox.h"

#define OPENING_TROUBLES(X)                                                                                  \
    X(1, REPEATED, "repeated", "a message that was taken before came again")                                 \
    X(2, FORGED, "forged", "it is not authentic, or of a channel that is not here any more")                 \
    X(3, NO_KEY, "no_key", "the pre-key that it was sealed for is not here any more")                        \
    X(4, LATE, "late", "its key was used or dropped before")                                                 \
    X(5, AHEAD, "ahead", "too many messages of its channel are missing before it")                           \
    X(6, STRANGE, "strange", "the sending device is not on the signed list of its account")                  \
    X(7, IDENTITY, "identity", "the sending device has another identity key than its account's list says")   \
    X(8, MALFORMED, "malformed", "it is not a sealed message")                                               \
    X(9, VERSION, "version", "a newer version of tern sealed it")                                            \
    X(10, UNKNOWN, "unknown", "it holds what this version of tern does not know")                            \
    X(11, REORDERED, "reordered",                                                                            \
      "it came behind later ones: held back by the switch, or lost to a purge or its time and sent again")

#define X(number, name, text, help) TROUBLE_##name = number,
enum opening_trouble { OPENING_TROUBLES(X) OPENING_TROUBLE_COUNT };
#undef X

/* Short name and sentence; "unknown" for one out of range. Static storage. */
const char *opening_trouble_name(unsigned trouble);
const char *opening_trouble_help(unsigned trouble);
/* How often since the state was made. */
uint64_t opening_count(struct state *state, enum opening_trouble trouble);

/* In the place of state_inbox_take, for every message. INBOX_BEHIND, of which people are told, becomes
 * INBOX_PASSED, and so does what does not open, where it is to the own account: it is not delivered, and its
 * sender hears that (MARK, passed over). */
int opening_take(struct state *state, const struct identity *own, const struct frame_message *message,
                 uint64_t now_s, enum inbox_take *ret_take);

/* Before the transaction is committed: a line for people of each sending device and reason, however many
 * messages. */
int opening_tell(struct state *state);

/* What waits of this account is tried again: its list was asked for, with these news, or a person accepted
 * its account key. answers.c calls it. */
int opening_go_on(struct state *state, const struct identity *own, uint64_t account, enum contact_news news,
                  uint64_t now_s);
/* The same when the switch has said its name, or that it has none. */
int opening_named(struct state *state, const struct identity *own, uint64_t account, uint64_t now_s);
/* How many messages wait of this account; the lowest account >= `from` of which any wait, -ENOENT. */
uint64_t opening_waiting(struct state *state, uint64_t account);
int opening_next_account(struct state *state, uint64_t from, uint64_t *ret_account);

#endif
