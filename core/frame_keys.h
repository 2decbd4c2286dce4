/* core/frame_keys.h: the frames of the key directory: public keys and device lists that devices leave with
 * the switch for each other, codes for further devices, and their removal. Layouts are those of
 * docs/PROTOCOL.md, "Frames".
 *
 * What a device publishes is opaque here: a bundle is its keys, then one one-time pre-key or zeros; the only
 * part the switch reads is the id of the signed pre-key. Lists are bytes with a version beside them.
 *
 * Threads: pure functions, any thread.  Memory: nothing is allocated, views point into the caller's bytes. */
#ifndef TERN_CORE_FRAME_KEYS_H
#define TERN_CORE_FRAME_KEYS_H

#include "core/bytes.h"
#include "core/frame.h"

#define FRAME_KEYS_BYTES 132    /* identity key 32, signed pre-key: id 4, key 32, signature 64 */
#define FRAME_KEYS_SIGNED_ID 32 /* offset of that id */
#define FRAME_IDENTITY_BYTES 32
#define FRAME_ONE_TIME_BYTES 36 /* id 4, key 32 */
#define FRAME_ONE_TIME_MAX 256  /* one-time pre-keys of a KEYS_PUT */
#define FRAME_BUNDLE_BYTES (FRAME_KEYS_BYTES + FRAME_ONE_TIME_BYTES)
#define FRAME_KEYS_ROW_BYTES (8 + FRAME_BUNDLE_BYTES) /* a device of KEYS: u16 number, 6 zero, bundle */
#define FRAME_KEYS_ROWS_MAX 32                        /* as DEVICES_MAX of core/msg.h */
#define FRAME_KEYS_FIXED_BYTES 32                     /* KEYS without rows and list */
#define FRAME_LIST_FIXED_BYTES 32                     /* LIST and LIST_PUT without the list */

struct frame_keys_put {
    uint32_t request; /* in all of these frames: chosen by the device, returned */
    uint16_t count;
    const uint8_t *keys;     /* FRAME_KEYS_BYTES */
    const uint8_t *one_time; /* [count] of FRAME_ONE_TIME_BYTES, behind the keys on the wire; ids rise */
};

struct frame_keys_stock {   /* what the switch has of the device that gets it */
    uint32_t request;       /* 0: nobody asked */
    uint16_t status;        /* of the KEYS_PUT: enum refusal */
    uint16_t left;          /* one-time pre-keys */
    uint32_t signed_id;     /* 0: the device has published nothing */
    uint32_t one_time_last; /* highest id of a one-time pre-key that it took; 0: none */
    uint64_t list_version;  /* of the account's device list; 0: none */
};

struct frame_keys_get {
    uint32_t request;
    uint16_t device; /* 0: all of the account */
    uint64_t account;
};

struct frame_keys {
    uint32_t request;
    uint16_t status; /* enum refusal, 0: here they are */
    uint16_t count;
    uint64_t account;
    uint64_t list_version; /* 0: the account has no list */
    const uint8_t *rows;   /* [count] of FRAME_KEYS_ROW_BYTES */
    const uint8_t *list;   /* behind the rows on the wire */
    uint32_t list_bytes;
};

struct frame_list { /* LIST_PUT, LIST_STORED, LIST_GET, LIST */
    uint32_t request;
    uint16_t status;     /* enum refusal; 0 from a device */
    uint64_t account;    /* 0 in LIST_PUT and LIST_STORED: one's own */
    uint64_t version;    /* LIST_GET: the one that is known, 0 none; from the switch: the stored one */
    const uint8_t *list; /* LIST_PUT, LIST */
    uint32_t list_bytes;
};

struct frame_code {
    uint32_t request;
    uint16_t status; /* enum refusal, 0: here it is */
    uint32_t ttl_s;  /* how long it links */
    uint8_t code[FRAME_CODE_BYTES];
};

struct frame_device { /* DEVICE_REMOVE, DEVICE_REMOVED */
    uint32_t request;
    uint16_t device;
    uint16_t status; /* enum refusal, 0 done; 0 from a device */
};

static inline uint32_t frame_keys_signed_id(const uint8_t keys[FRAME_KEYS_BYTES]) {
    return bytes_get32(keys + FRAME_KEYS_SIGNED_ID);
}

static inline uint32_t frame_one_time_id(const uint8_t one_time[FRAME_ONE_TIME_BYTES]) {
    return bytes_get32(one_time);
}

/* Readers: 0, or -EPROTO as those of core/frame.h. */
int frame_read_keys_put(const struct frame *frame, struct frame_keys_put *ret);
int frame_read_keys_stock(const struct frame *frame, struct frame_keys_stock *ret);
int frame_read_keys_get(const struct frame *frame, struct frame_keys_get *ret);
int frame_read_keys(const struct frame *frame, struct frame_keys *ret);
int frame_read_list(const struct frame *frame, struct frame_list *ret);
int frame_read_code_get(const struct frame *frame, uint32_t *ret_request);
int frame_read_code(const struct frame *frame, struct frame_code *ret);
int frame_read_device(const struct frame *frame, struct frame_device *ret);

/* Writers: the frame's bytes, as those of core/frame.h. All but these three take at most
 * FRAME_SMALL_BYTES_MAX: KEYS_PUT 144 and the one-time pre-keys, KEYS and lists the fixed bytes above and
 * what they carry. */
size_t frame_write_keys_put(uint8_t *out, const struct frame_keys_put *put);
size_t frame_write_keys_stock(uint8_t *out, const struct frame_keys_stock *stock);
size_t frame_write_keys_get(uint8_t *out, const struct frame_keys_get *get);
size_t frame_write_keys(uint8_t *out, const struct frame_keys *keys);
size_t frame_write_list(uint8_t *out, enum frame_type type, const struct frame_list *list);
size_t frame_write_code_get(uint8_t *out, uint32_t request);
size_t frame_write_code(uint8_t *out, const struct frame_code *code);
size_t frame_write_device(uint8_t *out, enum frame_type type, const struct frame_device *device);

/* A row of KEYS; the bundle is FRAME_KEYS_BYTES of keys and FRAME_ONE_TIME_BYTES, zeros where none is left.
 * write: one_time may be NULL. */
void frame_write_keys_row(uint8_t *out, uint16_t device, const uint8_t *keys, const uint8_t *one_time);
const uint8_t *frame_keys_row(const struct frame_keys *keys, uint32_t index, uint16_t *ret_device);

#endif
