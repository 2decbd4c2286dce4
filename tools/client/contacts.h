/* tools/client/contacts.h: what this device believes about accounts, its own among them: which account key is
 * theirs, which devices that key has signed for, and which of these the switch takes messages for.
 *
 * The account key is the one that was seen first, until a person accepts another one: nothing is sealed for,
 * and nothing opened from devices of a list that another key signed. So it is where a name that people know
 * comes to mean another account (naming.h). Lists only become newer. The switch can say that a device is
 * gone, because it can withhold messages anyway; it can't say that there is one more.
 *
 * A device that is off the list sent what it sent before that: its identity is remembered, so that what was
 * under way still opens.
 *
 * Threads: one.  Memory: the caller's, about 6 KB. All in a transaction. */
#ifndef TERN_TOOLS_CLIENT_CONTACTS_H
#define TERN_TOOLS_CLIENT_CONTACTS_H

#include "tools/client/e2e/devicelist.h"
#include "tools/client/state.h"

#define CONTACT_FORMER_MAX 32u
#define CONTACT_FORMER_SLACK_S 3600u /* between the clocks of the switch and of the device that signed */

/* What a list is to the one known. */
enum contact_news {
    CONTACT_UNASKED, /* none was asked for */
    CONTACT_SAME,
    CONTACT_FIRST,  /* the first list: its account key is believed from now on, unless one was before */
    CONTACT_NEWER,  /* taken in the place of the one known */
    CONTACT_NONE,   /* the account has no list */
    CONTACT_OLDER,  /* than the one known, which stays */
    CONTACT_FORGED, /* not a list of this account, or not signed by its key, or it changes what may not change
                     */
    CONTACT_OTHER_KEY,  /* signed by another account key: kept apart until a person accepts it */
    CONTACT_UNREADABLE, /* of a newer version of tern */
};

/* What the switch has answered. */
enum contact_answer {
    CONTACT_ANSWERED_NOT,
    CONTACT_ANSWERED_LIST, /* or that it refuses to say anything */
    CONTACT_ANSWERED_KEYS, /* which of the listed devices have keys, and so the list */
};

struct contact_former {
    uint16_t number;
    uint64_t until_s; /* UTC, by the list that left it out */
    uint8_t identity[IDENTITY_KEY_BYTES];
};

struct contact {
    uint64_t account;
    uint64_t answered_s; /* UTC; when the switch last answered a question about this account; 0: never */
    uint16_t refused;    /* what that answer was: enum refusal; 0: a good one */
    uint8_t news;        /* enum contact_news of the last list; 0: never asked */
    bool has_key;        /* account_key is believed */
    bool is_verified;    /* a person has compared the safety number */
    bool has_list;
    bool has_other;   /* another account key than the one believed has signed a list */
    bool is_doubted;  /* its name was another account's, or it had another name: whose it is is not known */
    bool is_awaited;  /* a message waits for an answer about this account ... */
    uint8_t answered; /* ... and there it is, not older than the message that fails for it: contact_answer */
    uint8_t account_key[IDENTITY_KEY_BYTES];
    struct devicelist list;  /* has_list: the newest by account_key */
    struct devicelist other; /* has_other */
    uint16_t gone_count;     /* of the list; the switch takes nothing for them */
    uint16_t gone[DEVICELIST_DEVICES_MAX];
    uint16_t strange; /* a device that the switch wants messages for and that is not on the list; 0: none */
    uint16_t named;   /* the last one on the list that the switch wanted messages for; 0: none */
    uint16_t bad; /* a device of which the switch hands out keys that are not its own, or none though it names
                   * it; 0: none */
    uint16_t former_count; /* oldest first */
    struct contact_former former[CONTACT_FORMER_MAX];
};

/* What is known of this account; -ENOENT: nothing, then *ret_contact is that. */
int contacts_get(struct state *state, uint64_t account, struct contact *ret_contact);
int contacts_put(struct state *state, const struct contact *contact);

/* Believes this account key before a list was seen: the own account's, which this device made or the link URI
 * named. -EEXIST: another one is believed. */
int contacts_pin(struct state *state, uint64_t account, const uint8_t account_key[IDENTITY_KEY_BYTES]);
/* Nothing is believed any more: this device is to be one of that account from the start. */
int contacts_forget(struct state *state, uint64_t account);
/* A person has compared the safety number. -ENOENT: no account key is known. */
int contacts_set_verified(struct state *state, uint64_t account, bool verified);
/* The key that a safety number is made of: the other one where there is one. */
static inline const uint8_t *contact_key(const struct contact *contact) {
    return contact->has_other ? contact->other.account_key : contact->account_key;
}
/* A person is shown the number of this account key. Whether this account's number was, and it was this key's
 * the last time: what a person has compared is nothing else. */
int contacts_set_shown(struct state *state, uint64_t account, const uint8_t account_key[IDENTITY_KEY_BYTES]);
bool contacts_was_shown(struct state *state, uint64_t account, const uint8_t account_key[IDENTITY_KEY_BYTES]);

/* --- for answers.c, sealing.c, opening.c and ageing.c --------------------------------------------------- */

/* Judges a list that the switch hands out, and takes it where it is good: in the contact alone, not in the
 * state. count 0: the switch says that there is none. */
enum contact_news contact_take(struct contact *contact, const uint8_t *list, size_t count);
/* A person has to look before anything goes: another account key, or the account of another. */
static inline bool contact_is_changed(const struct contact *contact) {
    return contact->has_other || contact->is_doubted;
}
/* The account is believed to be the one that is meant, with the account key of `other` where there is one,
 * and not verified. What else follows from that does answers_accept. -ENOENT: nothing has changed. */
int contact_accept(struct contact *contact);
/* The switch takes messages for this device or does not. True where that changed anything. */
bool contact_set_gone(struct contact *contact, uint16_t device, bool gone);
bool contact_is_gone(const struct contact *contact, uint16_t device);
/* The devices to seal for: listed, not gone, not `self` (0: none is). Returns how many. */
uint32_t contact_targets(const struct contact *contact, uint16_t self,
                         const struct devicelist_device *ret_devices[DEVICELIST_DEVICES_MAX]);
/* The identity key of a device that sent something which the switch accepted then; NULL: no such device. */
const uint8_t *contact_sender(const struct contact *contact, uint16_t device, uint64_t accepted_ms);
/* Nothing that this device sent can come and be opened any more: it has left the list, and what it sent
 * before that is over its time to live. */
bool contact_is_over(const struct contact *contact, uint16_t device, uint64_t now_s);

#endif
