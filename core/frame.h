/* core/frame.h: the frames, the protocol items inside a record. Layouts are those of docs/PROTOCOL.md,
 * "Frames".
 *
 * Every frame starts with the same 4-byte header; all numbers are little-endian and unaligned. A message
 * frame has one layout in both directions: the sender leaves zero what the switch fills in, so the switch
 * accepts a message by writing a few fields in place and hands the same bytes to every target, to the store
 * and back out of it.
 *
 * Threads: pure functions, any thread.  Memory: nothing is allocated, views point into the caller's bytes. */
#ifndef TERN_CORE_FRAME_H
#define TERN_CORE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/bytes.h"

#define FRAME_HEADER_BYTES 4
#define FRAME_BYTES_MAX 65515  /* header included: the most that fits one record, 65535 - 16 tag - 4 spare */
#define FRAME_MESSAGE_BYTES 56 /* message frame without its payload, header included */
#define FRAME_RECEIPT_BYTES 56
#define FRAME_PAYLOAD_BYTES_MAX (FRAME_BYTES_MAX - FRAME_MESSAGE_BYTES)
#define FRAME_NAME_BYTES_MAX 63
#define FRAME_CODE_BYTES 16 /* one-time link code */

enum frame_type {
    FRAME_LINK = 1,       /* device -> switch: first frame of a new device */
    FRAME_LOGIN = 2,      /* device -> switch: first frame of a known device */
    FRAME_WELCOME = 3,    /* switch -> device: answer to both */
    FRAME_MESSAGE = 4,    /* both ways; an item when it comes from the switch */
    FRAME_RECEIPT = 5,    /* switch -> device: ticks; an item */
    FRAME_ACK = 6,        /* device -> switch: the first n items of this session are safe here */
    FRAME_MARK = 7,       /* device -> switch: delivered (repeated after a reconnect) or read, as ranges */
    FRAME_CONFIRM = 8,    /* switch -> device: that mark or acknowledgement need not be repeated any more */
    FRAME_REFUSED = 9,    /* switch -> device: that message was not accepted, and why */
    FRAME_PING = 10,      /* both ways */
    FRAME_PONG = 11,      /* both ways: the ping's body comes back */
    FRAME_LOOKUP = 12,    /* device -> switch: which account has this name, which name has this account */
    FRAME_ACCOUNT = 13,   /* switch -> device: answer to lookup */
    FRAME_BLOCK = 14,     /* device -> switch: block or unblock an account */
    FRAME_BLOCKED = 15,   /* switch -> device: the block is stored, or why not */
    FRAME_RECONNECT = 16, /* switch -> device: come back after so many ms; the switch closes next */
    FRAME_CLOSE = 17,     /* both ways: why the connection is closed; the last frame */
    /* The key directory: core/frame_keys.h. */
    FRAME_KEYS_PUT = 18,       /* device -> switch: its public keys */
    FRAME_KEYS_STOCK = 19,     /* switch -> device: what there is of them; the answer, and unasked */
    FRAME_KEYS_GET = 20,       /* device -> switch: an account's keys, a one-time pre-key of each device */
    FRAME_KEYS = 21,           /* switch -> device: the answer, with the account's device list */
    FRAME_LIST_PUT = 22,       /* device -> switch: the account's device list, of a higher version */
    FRAME_LIST_STORED = 23,    /* switch -> device: it is stored, or why not */
    FRAME_LIST_GET = 24,       /* device -> switch: an account's device list */
    FRAME_LIST = 25,           /* switch -> device: the answer */
    FRAME_CODE_GET = 26,       /* device -> switch: a code for a further device of the account */
    FRAME_CODE = 27,           /* switch -> device: the answer */
    FRAME_DEVICE_REMOVE = 28,  /* device -> switch: cut another device of the account off */
    FRAME_DEVICE_REMOVED = 29, /* switch -> device: the answer */
    FRAME_TARGETS = 30, /* switch -> device: how a message's targets differ from the devices there are */
};

/* Bits of a receipt's flags; also of a mark's, where only DELIVERED and READ are allowed. */
enum receipt_flags {
    RECEIPT_SENT = 1,
    RECEIPT_DELIVERED = 2,
    RECEIPT_READ = 4,
    RECEIPT_FAILED = 8,
};

/* Of a message from a device; the switch clears it. */
enum message_flags {
    MESSAGE_FIRST = 1, /* every lower number of this key has its sent tick, or failed */
};

struct frame {
    uint8_t type;
    uint8_t flags;
    uint8_t *bytes; /* the frame, header included */
    uint32_t frame_bytes;
};

/* What names a message: DESIGN's (sending device, epoch, addressed account, number). */
struct message_id {
    uint64_t from;   /* sending account */
    uint64_t to;     /* addressed account */
    uint64_t epoch;  /* of the sending device's client state */
    uint64_t number; /* rises within the four others, from 1 */
    uint16_t from_device;
};

/* Body of FRAME_MESSAGE. From a device: epoch, from, accepted_ms, from_device are zero, the session knows
 * them. */
struct frame_message {
    struct message_id id;
    uint32_t ttl_s;        /* time to live in seconds; 0: the switch's default, filled in by it */
    uint64_t accepted_ms;  /* UTC, the switch's clock at acceptance */
    uint16_t content_type; /* 0: UTF-8 text; others are the applications' */
    uint16_t target_count; /* 0: every device of the account, one payload. From a device: so many parts
                            * (core/parts.h) are the payload; to a device 1: it is one of them. */
    bool first;            /* for frame_write_message: MESSAGE_FIRST */
    const uint8_t *payload;
    uint32_t payload_bytes;
};

/* Body of FRAME_RECEIPT, FRAME_MARK and FRAME_CONFIRM: messages first..last of one key. */
struct frame_range {
    struct message_id id; /* number: the first of the range */
    uint64_t last;        /* the last, >= id.number */
    uint64_t time_ms; /* UTC, the switch's clock when it was acknowledged or read; 0 in marks and confirms */
};

struct frame_link { /* FRAME_LINK: code set; FRAME_LOGIN: code zero, device set */
    uint64_t account;
    uint64_t epoch;
    uint16_t device;
    uint8_t code[FRAME_CODE_BYTES];
};

struct frame_welcome {
    uint64_t account;
    uint64_t server_ms;
    uint32_t payload_bytes_max;
    uint32_t
        unticked_max; /* messages a session may have without a sent tick before the switch stops reading it */
    uint32_t ping_s;  /* silence after which the switch pings */
    uint16_t device;
    uint8_t name_bytes;
    const char *name; /* not terminated */
};

struct frame_refused {
    uint64_t to;
    uint64_t number;
    uint32_t
        retry_ms; /* 0: final, the message failed; else: send it again after so long, before anything newer */
    uint16_t reason; /* enum refusal of core/reason.h */
};

#define FRAME_TARGETS_MAX 4 /* device numbers of a TARGETS: what else differs is told at the next try */

struct frame_targets { /* at least one is told */
    uint64_t account;  /* whose devices these are */
    uint16_t missing;  /* of devices: the first so many have to be named, and are not */
    uint16_t gone;     /* so many behind them are named, and are not to be */
    uint16_t devices[FRAME_TARGETS_MAX];
};

struct frame_lookup { /* FRAME_LOOKUP and FRAME_ACCOUNT */
    uint32_t request; /* chosen by the device, returned */
    uint16_t status;  /* FRAME_ACCOUNT: enum refusal, 0 found */
    uint64_t account; /* lookup: 0 when by name */
    uint8_t name_bytes;
    const char *name;
};

struct frame_block { /* FRAME_BLOCK and FRAME_BLOCKED */
    uint64_t account;
    uint16_t status; /* FRAME_BLOCKED: enum refusal, 0 done */
    bool on;
};

struct frame_close { /* FRAME_CLOSE: reason; FRAME_RECONNECT: after_ms and reason */
    uint32_t after_ms;
    uint16_t reason; /* enum close_reason */
};

/* Of a frame that begins here, its header included. */
static inline uint32_t frame_whole_bytes(const uint8_t *bytes) {
    return FRAME_HEADER_BYTES + (uint32_t)bytes_get16(bytes);
}

/* Takes the next frame off *bytes (advances it, lowers *bytes_left).
 * Returns 0; -ENODATA at the end; -EPROTO when what is left is no whole frame. */
int frame_next(uint8_t **bytes, size_t *bytes_left, struct frame *ret_frame);

/* Readers: 0, or -EPROTO where the body is too short, a reserved bit is set or a value out of its range. */
int frame_read_message(const struct frame *frame, struct frame_message *ret);
int frame_read_range(const struct frame *frame, struct frame_range *ret); /* receipt, mark, confirm */
int frame_read_link(const struct frame *frame, struct frame_link *ret);   /* link, login */
int frame_read_welcome(const struct frame *frame, struct frame_welcome *ret);
int frame_read_ack(const struct frame *frame, uint64_t *ret_count);
int frame_read_refused(const struct frame *frame, struct frame_refused *ret);
int frame_read_targets(const struct frame *frame, struct frame_targets *ret);
int frame_read_ping(const struct frame *frame, uint64_t *ret_opaque);       /* ping, pong */
int frame_read_lookup(const struct frame *frame, struct frame_lookup *ret); /* lookup, account */
int frame_read_block(const struct frame *frame, struct frame_block *ret);   /* block, blocked */
int frame_read_close(const struct frame *frame, struct frame_close *ret);   /* close, reconnect */

/* Writers: put a whole frame at out, which must have room (the size below; FRAME_MESSAGE_BYTES + payload for
 * a message), and return its bytes. */
#define FRAME_SMALL_BYTES_MAX 128 /* room that is enough for every frame of these */
size_t frame_write_message(uint8_t *out, const struct frame_message *message);
size_t frame_write_range(uint8_t *out, enum frame_type type, uint8_t flags, const struct frame_range *range);
size_t frame_write_link(uint8_t *out, enum frame_type type, const struct frame_link *link);
size_t frame_write_welcome(uint8_t *out, const struct frame_welcome *welcome);
size_t frame_write_ack(uint8_t *out, uint64_t count);
size_t frame_write_refused(uint8_t *out, const struct frame_refused *refused);
size_t frame_write_targets(uint8_t *out, const struct frame_targets *targets);
size_t frame_write_ping(uint8_t *out, enum frame_type type, uint64_t opaque);
size_t frame_write_lookup(uint8_t *out, enum frame_type type, const struct frame_lookup *lookup);
size_t frame_write_block(uint8_t *out, enum frame_type type, const struct frame_block *block);
size_t frame_write_close(uint8_t *out, enum frame_type type, const struct frame_close *close);

/* For the readers and writers of core/frame_keys.h, too: a frame of one size and without flags; the header,
 * whose frame_bytes, itself included, are returned. */
bool frame_is_fixed(const struct frame *frame, size_t frame_bytes);
size_t frame_write_header(uint8_t *out, size_t frame_bytes, enum frame_type type, uint8_t flags);

/* True where what the switch fills in (offsets 24 to 49) is zero, as it has to be in a message from a
 * device. */
bool frame_message_is_bare(const struct frame *frame);
/* Fills in what the switch adds to an accepted message, in place. */
void frame_accept_message(uint8_t *frame_bytes, const struct message_id *id, uint32_t ttl_s,
                          uint64_t accepted_ms);
/* Makes a part a message of its own, in place: all but its payload as in the accepted frame that it is a part
 * of, its target count 1. */
void frame_accept_part(uint8_t *part_bytes, const uint8_t *frame_bytes);

/* True where both name the same sending device, epoch and addressed account; the number is not compared. */
static inline bool message_id_same_key(const struct message_id *a, const struct message_id *b) {
    return a->from == b->from && a->to == b->to && a->epoch == b->epoch && a->from_device == b->from_device;
}

#endif
