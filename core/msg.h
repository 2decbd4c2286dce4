/* core/msg.h: what travels in lanes between the threads of the switch.
 *
 * A note is one 64-byte slot, by value. What is larger goes by pointer: a message (its payload stays in the
 * receive buffer of the shard that accepted it), a request (to a store thread or to a shard, and back to who
 * made it), a move. Ownership goes with the note: after the push only the receiver touches what the note
 * points to.
 *
 * Threads: see each note.  Memory: a message comes from its owner shard's pool and goes home to it in
 * NOTE_MESSAGE_HOME. */
#ifndef TERN_CORE_MSG_H
#define TERN_CORE_MSG_H

#include <stdbool.h>
#include <stdint.h>

#include "core/frame.h"

enum { BUF_RING = 1, BUF_HEAP = 2 };

/* A receive buffer or a heap block that takes its place. refs is touched by the owner shard alone; at 0 a
 * ring buffer goes back to its ring (port_buf_give_back), a heap block is freed. */
struct buf {
    uint8_t *data;
    uint32_t capacity;
    uint32_t refs;
    uint16_t owner; /* shard */
    uint16_t kind;
    uint16_t id;             /* index in the ring's pool */
    uint16_t headroom_bytes; /* in front of data; they are the buffer's, too */
};

/* One accepted message on its way to the devices of one account. [the shard that holds it] */
struct message {
    struct message *next;
    struct buf *buf; /* one reference of it is this message's; dropped by the owner shard */
    uint8_t *frame;  /* the whole frame as it goes to the targets, or with their parts in it, inside buf */
    uint32_t frame_bytes;
    uint16_t owner;   /* shard whose pool and buffer it is */
    uint16_t pending; /* targets neither acknowledged nor committed yet */
    uint16_t holders; /* outbox items that still need the bytes */
    uint16_t puts;    /* of them, those a store thread is reading: the bytes must not move */
    bool refused;     /* some target could not take it: no sent tick */
    bool first;       /* MESSAGE_FIRST */
    bool own_copy;    /* for the sender's other devices: never makes delivered */
    bool stored;      /* some target has it committed */
    uint32_t conn;    /* of the session that sent it, on the owner's shard */
    bool in_parts;    /* each target has its own: core/parts.h */
    uint64_t session; /* its id */
    uint32_t attempt; /* of own copies: see struct gate */
    uint32_t acked;   /* bit per device slot of the account: acknowledged before all were discharged */
    struct message_id id;
};

enum note_kind {
    NOTE_MESSAGE = 1,  /* sender's home -> recipient's home */
    NOTE_MESSAGE_HOME, /* back to the owner: give back the buffer, free the message */
    NOTE_RECEIPT,      /* recipient's home -> sender's home */
    NOTE_SETTLED,  /* sender's home -> recipient's home: every device of the sender has it or it is committed
                    */
    NOTE_REFUSED,  /* recipient's home -> sender's home */
    NOTE_MOVE,     /* a connection goes to its home shard */
    NOTE_PUT,      /* shard -> store: append to a device's queue */
    NOTE_PUT_DONE, /* store -> shard: committed and fsynced, or not (status) */
    NOTE_DELETE,   /* shard -> store: discharged and settled, delete */
    NOTE_REQUEST,  /* anyone -> store or shard */
    NOTE_REQUEST_DONE, /* and back */
    NOTE_BUF_HOME,     /* a lent buffer reference comes back on its own */
    NOTE_WAKE,         /* nothing but a reason to look */
};

struct outbox_item;
struct request;
struct session_move;

struct note {
    uint8_t kind;    /* enum note_kind */
    uint8_t flags;   /* enum receipt_flags */
    uint16_t device; /* of the account the note is about: who acknowledged; the target of a put */
    int32_t status;  /* 0 or negative errno; REFUSED: enum refusal; RECEIPT: see receipt.h */
    union {
        struct message *message;
        struct request *request;
        struct session_move *move;
        struct buf *buf;
        struct {                  /* RECEIPT, SETTLED, REFUSED */
            struct message_id id; /* number: first */
            union {
                uint64_t last;
                uint16_t devices[FRAME_TARGETS_MAX]; /* REFUSED for its targets, as in FRAME_TARGETS */
            };
            union {
                uint64_t time_ms;
                struct { /* REFUSED */
                    uint32_t retry_ms;
                    uint8_t missing, gone; /* of devices[] */
                    bool own;              /* devices of the sender's account, not of the addressed one */
                };
            };
        } range;
        struct { /* PUT, PUT_DONE: item and frame stay the shard's and stay put until PUT_DONE */
            uint64_t account;
            uint64_t seq;
            struct outbox_item *item;
            const uint8_t *frame;
            uint32_t frame_bytes;
            uint32_t generation; /* see port.h, "When a put fails" */
            uint64_t expires_ms; /* UTC */
        } put;
        struct { /* DELETE: the queue entries first..last of one device */
            uint64_t account;
            uint64_t first;
            uint64_t last;
        } erase;
    };
};
_Static_assert(sizeof(struct note) <= 72, "a note is about one cache line");

#define KEY_BYTES 32
#define NAME_BYTES_MAX FRAME_NAME_BYTES_MAX
#define DEVICES_MAX 32 /* devices an account ever has at a time: slots of struct message.acked */

enum account_flags { ACCOUNT_SUSPENDED = 1, ACCOUNT_REMOVED = 2 };
enum device_flags { DEVICE_REVOKED = 1 };

/* What is stored of a device, and loaded into its home shard at start. */
struct device_record {
    uint64_t account;
    uint64_t created_ms;    /* UTC */
    uint64_t last_seen_ms;  /* UTC, coarse: of the last login that was stored */
    uint32_t signed_id;     /* of the signed pre-key that it has published; 0: no keys */
    uint32_t one_time_last; /* highest id of a one-time pre-key ever taken from it: each is taken once */
    uint16_t one_time_left;
    uint16_t device; /* from 1, never reused */
    uint8_t flags;
    uint8_t key[KEY_BYTES];
};

struct account_record {
    uint64_t account;
    uint64_t created_ms;
    uint64_t list_version; /* of its device list; 0: none */
    uint16_t device_next;  /* the number the next device gets */
    uint8_t flags;
    char name[NAME_BYTES_MAX + 1];
};

enum request_kind {
    /* to the directory (store environment 0) */
    REQUEST_ACCOUNT_ADD = 1, /* in: accounts[].name; out: accounts[] whole, codes[] */
    REQUEST_ACCOUNT_FLAGS,   /* in: account, value = new flags */
    REQUEST_ACCOUNT_REMOVE,  /* in: account: the account, its devices, its codes, its name, its blocks */
    REQUEST_CODE_ADD,        /* in: account, device_number that asks, 0 the admin: -EEXIST where there is a
                              * device; out: code, value = its time to live, s */
    REQUEST_LINK,            /* in: account, code, key; out: device */
    REQUEST_DEVICE_REVOKE,   /* in: account, device_number, value = device that asks, 0 the admin */
    REQUEST_BLOCK,           /* in: account (who blocks), other, value 1 on, 0 off */
    REQUEST_LOOKUP,          /* in: name, or account when name is empty; out: account, name, value = flags,
                              * accounts[0] whole where there is one */
    REQUEST_LIST_ACCOUNTS,   /* in: account; out: accounts[] above it, in order of number. With a name: those
                              * whose   name begins with it. At most capacity; value = 1: there are more */
    REQUEST_KEYS_PUT,        /* in: account, device_number, bytes = keys, then count one-time pre-keys; out:
                              * devices[1]        as it is now, where it is refused, too */
    REQUEST_KEYS_GET, /* in: account, device_number (0 all), other = account that asks, value = its device
                       * that asks; out: bytes = count rows of KEYS and the list, first = its version,
                       * devices[count] as they are now */
    REQUEST_LIST_PUT, /* in: account, device_number that asks, first = version, bytes; out: value = version
                         now */
    REQUEST_LIST_GET, /* in: account, first = version known; out: value = version, bytes where it is another
                       */
    /* to the account's environment */
    REQUEST_FETCH,   /* in: account, device_number, first; out: entries[] up to value of them, paged in */
    REQUEST_PURGE,   /* in: account, device_number, first, last; out: entries[] */
    REQUEST_EXPIRED, /* store -> shard: account, device_number, entries[]; returned as done */
    REQUEST_BACKUP,  /* in: text = folder that must not exist */
    /* admin -> shard */
    REQUEST_APPLY_ACCOUNT, /* in: account_record, devices: put into the shard's tables, or change what is
                              there */
    REQUEST_APPLY_REMOVE,  /* in: account: close its sessions, forget it */
    REQUEST_APPLY_REVOKE,  /* in: account, device_number: close, purge its outbox */
    REQUEST_SHOW_ACCOUNT,  /* in: account; out: rows[] a device */
    REQUEST_SHOW_ACCOUNTS, /* in: accounts[], count; out: rows[] for those at home here, in the same order */
    /* in: first, capacity; out: rows[] a connection, those with an id above first in order of id, at most
     * capacity; value = 1: there are more */
    REQUEST_SHOW_CONNECTIONS,
    REQUEST_KICK,        /* in: account, device_number (0 all); out: value = how many */
    REQUEST_QUEUE_PURGE, /* in: account, device_number (0 all); out: value = entries */
    REQUEST_DRAIN,  /* stop accepting, send sessions away, spill; done when nothing is open or on its way.
                     * out: value = notes handled so far. Other shards may still send something: repeat it
                     * to all shards until the sum of a round is that of the round before, then
                     * STOP */
    REQUEST_STOP,   /* after DRAIN: shard_drained becomes true, the loop ends. Comes back before that */
    REQUEST_RELOAD, /* in: config */
    /* shard -> shard */
    REQUEST_APPLY_STOCK, /* in: account, devices[count]: one-time pre-keys of theirs were handed out */
};

struct queue_entry {
    uint64_t seq;
    uint32_t frame_bytes;
    uint8_t frame_type; /* FRAME_MESSAGE or FRAME_RECEIPT */
    bool expired;
    uint16_t target_count; /* of a message entry, as in struct frame_message */
    struct message_id id;  /* of a message entry */
    uint64_t accepted_ms;  /* of a message entry, UTC */
};

#define ADDRESS_TEXT_BYTES 64

/* A row for people: what ternctl shows of a device or connection. */
struct status_row {
    uint64_t account;
    uint16_t device;
    uint16_t shard;
    uint8_t state;         /* enum session_state; 0 where not connected */
    uint8_t flags;         /* enum device_flags */
    uint32_t outbox_count; /* in memory, unacknowledged */
    uint64_t queue_count;  /* on disk, an estimate while the device drains */
    uint16_t devices;      /* of an account: not revoked; of them connected */
    uint16_t connected;
    uint64_t created_ms;    /* UTC; of a device */
    uint64_t last_seen_ms;  /* UTC; of a device */
    uint64_t connected_ms;  /* UTC */
    uint64_t id;            /* of the connection */
    uint8_t key[KEY_BYTES]; /* of a device */
    char name[NAME_BYTES_MAX + 1];
    char address[ADDRESS_TEXT_BYTES];
};

/* A request: heap memory of the requester, the other side's until it comes back. The requester frees it. */
struct request {
    uint8_t kind;
    int status;    /* 0 or negative errno */
    uint16_t from; /* party that gets it back */
    uint16_t device_number;
    uint64_t account;
    uint64_t other;
    uint64_t first, last;
    uint64_t value;
    void *context;       /* the requester's; in requests to the directory, last is, too */
    uint64_t context_id; /* the requester's */
    uint8_t key[KEY_BYTES];
    uint8_t code[FRAME_CODE_BYTES];
    char name[NAME_BYTES_MAX + 1];
    char text[256];
    struct account_record *accounts;    /* [count], the requester's memory */
    uint8_t (*codes)[FRAME_CODE_BYTES]; /* [count] */
    struct device_record *devices;      /* malloc'd by the answerer, freed by the requester; [count] */
    uint8_t *bytes;                     /* malloc'd by who fills it, freed by the requester */
    uint32_t bytes_count;
    uint32_t tag;                /* the requester's: the device's own number of its request */
    struct queue_entry *entries; /* [capacity], count filled */
    struct status_row *rows;     /* malloc'd by the answerer, freed by the requester; [count] */
    uint32_t count, capacity;
    const struct config *config;
};

#endif
