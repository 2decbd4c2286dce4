#include "tools/client/pairing.h"

#include <errno.h>
#include <sodium.h>

#include "tools/client/content.h"
#include "tools/client/state_keys.h"
#include "tools/client/state_outbox.h"

#define INVITED_LETTER 'i' /* of the records: whom this device invites, ... */
#define OWN_LETTER 'o'     /* ... and by what secret it was invited itself */

/* Offsets of the first. */
enum {
    INVITED_SECRET = 0,
    INVITED_UNTIL = 32,
    INVITED_CREATED = 40, /* when it was found */
    INVITED_DEVICE = 48,  /* 0: nobody yet */
    INVITED_IDENTITY = 50,
    INVITED_BYTES = 82,
};

#define OWN_BYTES (PAIRING_SECRET_BYTES + 1) /* and whether it was said */
#define STRANGERS_LETTER 'x'                 /* counter */

/* What is said: nonce, identity key, tag; sealed with it: the label, account and device. */
#define SAID_BYTES (PRIMITIVE_NONCE_BYTES + IDENTITY_KEY_BYTES + PRIMITIVE_TAG_BYTES)
#define LABEL "tern pairing"
#define DATA_BYTES (sizeof(LABEL) - 1 + 10)

static struct key record_key(char letter) {
    struct key key = key_of(KEY_PAIRING);
    key_add(&key, &letter, 1);
    return key;
}

static int forget(struct state *state, char letter) {
    struct key key = record_key(letter);
    int error = state_delete(state, &key);
    return error == -ENOENT ? 0 : error;
}

static void write_data(uint64_t account, uint16_t device, uint8_t ret_data[DATA_BYTES]) {
    memcpy(ret_data, LABEL, sizeof(LABEL) - 1);
    bytes_put64(ret_data + sizeof(LABEL) - 1, account);
    bytes_put16(ret_data + sizeof(LABEL) - 1 + 8, device);
}

/* --- the device that invites ---------------------------------------------------------------------------- */

int pairing_invite(struct state *state, const uint8_t secret[PAIRING_SECRET_BYTES], uint64_t until_s) {
    struct key key = record_key(INVITED_LETTER);
    uint8_t record[INVITED_BYTES] = {0};
    memcpy(record + INVITED_SECRET, secret, PAIRING_SECRET_BYTES);
    bytes_put64(record + INVITED_UNTIL, until_s);
    int error = state_put(state, &key, record, sizeof(record));
    primitive_wipe(record, sizeof(record));
    return error;
}

static int read_invited(struct state *state, uint8_t ret_record[INVITED_BYTES]) {
    struct key key = record_key(INVITED_LETTER);
    struct disk_view value;
    int error = state_get(state, &key, &value);
    if (error)
        return error;
    if (value.bytes != INVITED_BYTES)
        return state_damaged(state);
    memcpy(ret_record, value.at, INVITED_BYTES);
    return 0;
}

static int open_said(const uint8_t *secret, const struct frame_message *message,
                     uint8_t ret_identity[IDENTITY_KEY_BYTES]) {
    uint8_t data[DATA_BYTES];
    if (message->payload_bytes != SAID_BYTES)
        return -EBADMSG;
    write_data(message->id.from, message->id.from_device, data);
    return primitive_open(secret, message->payload, data, sizeof(data),
                          message->payload + PRIMITIVE_NONCE_BYTES, SAID_BYTES - PRIMITIVE_NONCE_BYTES,
                          ret_identity);
}

int pairing_take(struct state *state, const struct identity *own, const struct frame_message *message,
                 uint64_t now_s) {
    struct key key = record_key(INVITED_LETTER);
    uint8_t record[INVITED_BYTES];
    bool is_self = message->id.from == own->account && message->id.from_device == own->device;
    int error = is_self ? -ENOENT : read_invited(state, record);
    if (error)
        return error == -ENOENT ? 0 : error;
    bool is_open = message->id.from == own->account && bytes_get16(record + INVITED_DEVICE) == 0 &&
                   now_s <= bytes_get64(record + INVITED_UNTIL);
    if (is_open && open_said(record + INVITED_SECRET, message, record + INVITED_IDENTITY) == 0) {
        bytes_put16(record + INVITED_DEVICE, message->id.from_device);
        bytes_put64(record + INVITED_CREATED, now_s);
        primitive_wipe(record + INVITED_SECRET, PAIRING_SECRET_BYTES); /* it is for one device */
        state_put(state, &key, record, sizeof(record));
    } else {
        state_set_counter(state, STRANGERS_LETTER, pairing_strangers(state) + 1);
    }
    primitive_wipe(record, sizeof(record));
    return state->error;
}

int pairing_found(struct state *state, struct devicelist_device *ret_device) {
    uint8_t record[INVITED_BYTES];
    int error = read_invited(state, record);
    if (error)
        return error;
    struct devicelist_device device = {.number = bytes_get16(record + INVITED_DEVICE),
                                       .created_s = bytes_get64(record + INVITED_CREATED)};
    memcpy(device.identity, record + INVITED_IDENTITY, IDENTITY_KEY_BYTES);
    primitive_wipe(record, sizeof(record));
    if (device.number == 0)
        return -ENOENT;
    *ret_device = device;
    return 0;
}

int pairing_end(struct state *state) {
    return forget(state, INVITED_LETTER);
}

uint64_t pairing_strangers(struct state *state) {
    return state_counter(state, STRANGERS_LETTER);
}

/* --- the device that is let in -------------------------------------------------------------------------- */

static int put_own(struct state *state, const uint8_t *secret, bool is_said) {
    struct key key = record_key(OWN_LETTER);
    uint8_t record[OWN_BYTES];
    memcpy(record, secret, PAIRING_SECRET_BYTES);
    record[PAIRING_SECRET_BYTES] = is_said;
    int error = state_put(state, &key, record, sizeof(record));
    primitive_wipe(record, sizeof(record));
    return error;
}

int pairing_keep(struct state *state, const uint8_t secret[PAIRING_SECRET_BYTES]) {
    return put_own(state, secret, false);
}

static int say(struct state *state, const struct identity *own, const uint8_t *secret, uint64_t utc_ms) {
    struct identity_keys keys;
    uint8_t said[SAID_BYTES], data[DATA_BYTES];
    struct outgoing message = {.to = own->account,
                               .utc_ms = utc_ms,
                               .content_type = CONTENT_PAIRING,
                               .payload = said,
                               .payload_bytes = sizeof(said)};
    uint64_t number;
    int error = state_keys_identity(state, &keys);
    if (error)
        return state_note(state, error == -ENOENT ? -EUCLEAN : error);
    randombytes_buf(said, PRIMITIVE_NONCE_BYTES);
    memcpy(said + PRIMITIVE_NONCE_BYTES, keys.public_key, IDENTITY_KEY_BYTES);
    identity_keys_fini(&keys);
    write_data(own->account, own->device, data);
    primitive_seal(secret, said, data, sizeof(data), said + PRIMITIVE_NONCE_BYTES, IDENTITY_KEY_BYTES);
    return state_outbox_add(state, &message, &number);
}

int pairing_introduce(struct state *state, const struct identity *own, uint64_t utc_ms) {
    struct key key = record_key(OWN_LETTER);
    struct disk_view value;
    uint8_t secret[PAIRING_SECRET_BYTES];
    int error = state_get(state, &key, &value);
    if (error)
        return error == -ENOENT ? 0 : error;
    if (value.bytes != OWN_BYTES)
        return state_damaged(state);
    if (value.at[PAIRING_SECRET_BYTES])
        return 0;
    memcpy(secret, value.at, sizeof(secret));
    error = say(state, own, secret, utc_ms);
    if (!error)
        error = put_own(state, secret, true);
    primitive_wipe(secret, sizeof(secret));
    return error;
}

bool pairing_waits(struct state *state) {
    struct key key = record_key(OWN_LETTER);
    struct disk_view value;
    return state_get(state, &key, &value) == 0;
}

int pairing_forget(struct state *state) {
    return forget(state, OWN_LETTER);
}
