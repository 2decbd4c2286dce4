/* tests/support/sealed_rig.h: accounts whose devices exchange sealed messages, each device a real state in a
 * folder of its own, and a little switch in memory between them: a key directory, device lists, targets that
 * have to match, a queue for each device. No engine and no wire: what a turn would do is called by name.
 *
 * Any transaction can be the last of a process: then nothing of it is kept, and another process goes on.
 *
 * Threads: one.  Memory: the caller's; sealed_rig_end removes the folders. */
#ifndef TERN_TESTS_SUPPORT_SEALED_RIG_H
#define TERN_TESTS_SUPPORT_SEALED_RIG_H

#include "tools/client/answers.h"
#include "tools/client/contacts.h"
#include "tools/client/opening.h"
#include "tools/client/sealing.h"
#include "tools/client/state_inbox.h"
#include "tools/client/state_keys.h"
#include "tools/client/state_outbox.h"

#define SEALED_ACCOUNTS_MAX 4u
#define SEALED_DEVICES_MAX 5u /* of an account */
#define SEALED_QUEUE_MAX 256u
#define SEALED_TEXT_BYTES 64u

struct sealed_device {
    char folder[64];
    struct state *state;
    struct identity own;
    bool is_there, is_cut;
    /* What the switch has of it. */
    struct frame_keys_stock stock;
    uint8_t keys[FRAME_KEYS_BYTES];
    uint8_t one_time[256][FRAME_ONE_TIME_BYTES];
    uint32_t one_time_count;
    struct frame_message queue[SEALED_QUEUE_MAX]; /* payloads on the heap */
    uint32_t queued;
    uint32_t passed; /* messages of which it said that they did not open */
};

struct sealed_account {
    uint8_t list[DEVICELIST_BYTES_MAX]; /* as the switch has it */
    uint32_t list_bytes;
    uint64_t list_version;
    uint16_t first;                                       /* the device with the account key; 0: none */
    struct sealed_device devices[SEALED_DEVICES_MAX + 1]; /* by number */
};

struct sealed_rig {
    uint64_t now_s;
    struct sealed_account accounts[SEALED_ACCOUNTS_MAX + 1]; /* by number */
    uint32_t commits, crash_at;                /* the commit in which a process ends; 0: none does */
    uint32_t asked, keys_given, refused, held; /* LIST and KEYS answers, targets that did not match, holds */
    uint16_t reason;                           /* of the last hold or refusal for good */
    const struct sealed_device *keys_withheld; /* the switch names it, and hands out no keys of it */
    uint16_t keys_status;                      /* what the switch says to KEYS_GET; 0: the keys */
};

void sealed_rig_begin(struct sealed_rig *rig);
void sealed_rig_end(struct sealed_rig *rig);

/* A device with its keys: published and listed, the first one with the account key. */
struct sealed_device *sealed_join(struct sealed_rig *rig, uint64_t account);
/* The first device signs a list of those that are there and not cut off; the switch stores it. */
void sealed_list(struct sealed_rig *rig, uint64_t account);
void sealed_publish(struct sealed_rig *rig, struct sealed_device *device);
/* It is no more; its number is never used again. If it was the first, the next one that joins is it. */
void sealed_leave(struct sealed_rig *rig, struct sealed_device *device);
/* The switch cuts it off; the list stays. */
void sealed_cut(struct sealed_device *device);
/* Another process goes on with the state. */
void sealed_restart(struct sealed_device *device);
/* The transaction's end: false where it was the process's, too. */
bool sealed_commit(struct sealed_rig *rig, struct sealed_device *device);

/* Puts a text into the outbox; its number. */
uint64_t sealed_say(struct sealed_rig *rig, struct sealed_device *device, uint64_t to, const char *text);
/* Answers what the device asks, until it asks nothing. */
void sealed_answer(struct sealed_rig *rig, struct sealed_device *device);
/* Seals and sends what is in the outbox, answering questions; what is held stays. */
void sealed_send(struct sealed_rig *rig, struct sealed_device *device);
/* The device takes what is queued for it; its questions are not answered. */
void sealed_take(struct sealed_rig *rig, struct sealed_device *device);
/* Everybody sends, takes and is answered until nothing changes. */
void sealed_settle(struct sealed_rig *rig);

/* The texts and notices in the inbox from this position on, one after the other: "text|!notice|". */
const char *sealed_shown(struct sealed_device *device, uint64_t after);
uint64_t sealed_newest(struct sealed_device *device);
/* Contact and counters, in transactions of their own. */
struct contact sealed_contact(struct sealed_device *device, uint64_t account);
uint64_t sealed_count(struct sealed_device *device, enum opening_trouble trouble);
uint64_t sealed_waiting(struct sealed_device *device, uint64_t account);
uint64_t sealed_left(struct sealed_device *device); /* in the outbox */

#endif
