/* tools/client/key.h: keys of the client's state: first the kind of record, then big-endian numbers, so that
 * records of a kind lie together and in order.
 *
 * Threads: pure.  Memory: the caller's. */
#ifndef TERN_TOOLS_CLIENT_KEY_H
#define TERN_TOOLS_CLIENT_KEY_H

#include <string.h>

#include "core/bytes.h"
#include "core/must.h"
#include "tools/client/disk.h"

enum key_kind {
    KEY_ACCOUNT_NAME = 'A', /* account -> name */
    KEY_SIGNED = 'B',       /* id -> a signed pre-key, secret */
    KEY_COUNTER = 'C',      /* addressed account -> the last number used */
    KEY_DELIVERED = 'D',    /* key of messages, first -> last: acknowledged, not confirmed */
    KEY_ONE_TIME = 'E',     /* id -> a one-time pre-key, secret */
    KEY_FILE = 'F',         /* device and inode of a file -> what it is known by */
    KEY_CHATTED = 'G',      /* position in the inbox -> nothing: a chat has shown it */
    KEY_HISTORY = 'H',      /* position -> what was sent, for people to look at */
    KEY_IDENTITY = 'I',
    KEY_HELD = 'J',     /* addressed account -> why messages to it are refused for now */
    KEY_HIGHEST = 'K',  /* key of messages -> the highest number taken, the first */
    KEY_CONTACT = 'L',  /* account -> what is believed about it */
    KEY_INBOX = 'M',    /* position -> a received message */
    KEY_NAME = 'N',     /* name -> account */
    KEY_OUTBOX = 'O',   /* addressed account, number -> a message without its sent tick */
    KEY_POSITION = 'P', /* a letter -> a counter of this file */
    KEY_REQUEST = 'Q',  /* what the switch is asked */
    KEY_READ = 'R',     /* as KEY_DELIVERED: read, not confirmed */
    KEY_SEALED = 'S',   /* as KEY_OUTBOX -> its sealed form */
    KEY_TICKS = 'T',    /* addressed account, bit, first -> last */
    KEY_UNREAD = 'U',   /* as KEY_DELIVERED: received, not read */
    KEY_VERSION = 'V',
    KEY_WAITING = 'W',  /* account, device, position -> a received message that could not be opened yet */
    KEY_REASON = 'X',   /* addressed account, number -> why it was refused for good */
    KEY_HEALING = 'Y',  /* account, device -> when a new channel was wanted, and whether it is begun */
    KEY_CHANNELS = 'Z', /* account, device -> the channels with it, secret */
    KEY_COPIED = 'c', /* device, epoch, addressed account, bit, first -> last: ticks of another own device */
    KEY_HANDED = 'e', /* UTC, s -> the highest one-time pre-key that was handed out by then */
    KEY_TRANSFER = 'f', /* account, device, name of a transfer -> a file that comes */
    KEY_CHUNK = 'k',    /* the same, offset -> a part of it */
    KEY_LOCK = 'l',     /* the key that the others are sealed with, locked with a passphrase */
    KEY_FORMER = 'n',   /* name -> the account that had it and is no more */
    KEY_SKIPPED = 'o',  /* key of messages, first -> last: below the highest taken, never here */
    KEY_PAIRING = 'p',  /* a letter -> a further device that is let in, secret */
    KEY_SHARE = 'r',    /* as KEY_DELIVERED: read, the own other devices were not told */
    KEY_SEED = 's',     /* whose -> the secret that an identity or account key is made of */
    KEY_TROUBLE = 't',  /* enum opening_trouble -> how often */
    KEY_UNOPENED = 'u', /* as KEY_DELIVERED: did not open */
    KEY_SHOWN = 'v',    /* account -> the account key whose safety number a person was shown last */
    KEY_UNTOLD = 'w',   /* account, device, enum opening_trouble -> how often; until the turn ends */
};

struct key {
    uint8_t bytes[DISK_KEY_BYTES_MAX];
    size_t used;
};

static inline struct key key_of(enum key_kind kind) {
    struct key key = {.used = 1};
    key.bytes[0] = (uint8_t)kind;
    return key;
}

static inline void key_add(struct key *key, const void *bytes, size_t count) {
    must(key->used + count <= sizeof(key->bytes));
    memcpy(key->bytes + key->used, bytes, count);
    key->used += count;
}

static inline void key_add16(struct key *key, uint16_t number) {
    uint8_t bytes[sizeof(number)];
    bytes_put16_be(bytes, number);
    key_add(key, bytes, sizeof(bytes));
}

static inline void key_add64(struct key *key, uint64_t number) {
    uint8_t bytes[sizeof(number)];
    bytes_put64_be(bytes, number);
    key_add(key, bytes, sizeof(bytes));
}

static inline struct disk_view key_view(const struct key *key) {
    return (struct disk_view){.at = key->bytes, .bytes = key->used};
}

#endif
