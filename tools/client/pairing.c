#include "tools/client/pairing.h"

#include <errno.h>
#include <sodium.h>

#include "tools/client/contacts.h"
#include "tools/client/content.h"
#include "tools/client/state_keys.h"
#include "tools/client/state_outbox.h"

#define INVITED_LETTER 'i'  /* of the records: whom this device invites, ... */
#define STRANGER_LETTER 'x' /* ... who is linked without an invitation, by device, ... */
#define OWN_LETTER 'o'      /* ... and by what secret it was invited itself */

/* Offsets of the first. */
enum {
    INVITED_SECRET = 0,
    INVITED_UNTIL = 32,
    INVITED_CREATED = 40, /* when it was found */
    INVITED_DEVICE = 48,  /* 0: nobody yet */
    INVITED_IDENTITY = 50,
    INVITED_BYTES = 82,
};

/* Of the last: the secret, until it was used, and what came of it. */
enum { OWN_TO_SAY, OWN_SAID, OWN_REFUSED };
#define OWN_BYTES (PAIRING_SECRET_BYTES + 1)

/* What is said: nonce, identity key, tag; sealed with it: a label, account and device. */
#define SAID_BYTES (PRIMITIVE_NONCE_BYTES + IDENTITY_KEY_BYTES + PRIMITIVE_TAG_BYTES)
/* That a device is not let in: its number, signature; signed is another label, account and device. */
#define REFUSAL_BYTES (2 + PRIMITIVE_SIGNATURE_BYTES)

static const char said_label[] = "tern pairing", refusal_label[] = "tern not let in";
#define DATA_BYTES_MAX (sizeof(refusal_label) - 1 + 10)

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

/* Returns the bytes. */
static size_t write_data(const char *label, uint64_t account, uint16_t device,
                         uint8_t ret_data[DATA_BYTES_MAX]) {
    size_t bytes = 0;
    for (; label[bytes]; bytes++)
        ret_data[bytes] = (uint8_t)label[bytes];
    bytes_put64(ret_data + bytes, account);
    bytes_put16(ret_data + bytes + 8, device);
    return bytes + 10;
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
    uint8_t data[DATA_BYTES_MAX];
    if (message->payload_bytes != SAID_BYTES)
        return -EBADMSG;
    size_t bytes = write_data(said_label, message->id.from, message->id.from_device, data);
    return primitive_open(secret, message->payload, data, bytes, message->payload + PRIMITIVE_NONCE_BYTES,
                          SAID_BYTES - PRIMITIVE_NONCE_BYTES, ret_identity);
}

/* True where it is by who was invited, who is kept. */
static bool take_invited(struct state *state, const struct frame_message *message, uint64_t now_s) {
    struct key key = record_key(INVITED_LETTER);
    uint8_t record[INVITED_BYTES];
    if (read_invited(state, record) != 0)
        return false;
    bool is_invited = bytes_get16(record + INVITED_DEVICE) == 0 &&
                      now_s <= bytes_get64(record + INVITED_UNTIL) &&
                      open_said(record + INVITED_SECRET, message, record + INVITED_IDENTITY) == 0;
    if (is_invited) {
        bytes_put16(record + INVITED_DEVICE, message->id.from_device);
        bytes_put64(record + INVITED_CREATED, now_s);
        primitive_wipe(record + INVITED_SECRET, PAIRING_SECRET_BYTES); /* it is for one device */
        state_put(state, &key, record, sizeof(record));
    }
    primitive_wipe(record, sizeof(record));
    return is_invited;
}

/* --- strangers ------------------------------------------------------------------------------------------ */

static struct key stranger_key(uint16_t device) {
    struct key key = record_key(STRANGER_LETTER);
    key_add16(&key, device);
    return key;
}

int pairing_stranger(struct state *state, uint32_t from, uint16_t *ret_device) {
    struct key key = stranger_key((uint16_t)from);
    struct disk_view at, value;
    size_t same = key.used - sizeof(*ret_device);
    int error = from > UINT16_MAX ? -ENOENT : state_seek(state, &key, same, &at, &value);
    if (error)
        return error;
    if (at.bytes != key.used)
        return state_damaged(state);
    *ret_device = bytes_get16_be(at.at + same);
    return 0;
}

int pairing_stranger_left(struct state *state, uint16_t device) {
    struct key key = stranger_key(device);
    int error = state_delete(state, &key);
    return error == -ENOENT ? 0 : error;
}

static uint32_t count_strangers(struct state *state) {
    uint32_t count = 0;
    uint16_t device;
    for (uint32_t from = 0; pairing_stranger(state, from, &device) == 0; from = device + 1u)
        count++;
    return count;
}

/* Who was let in, or is about to be, is none, whatever is said in its name. */
static bool is_no_stranger(struct state *state, uint64_t account, uint16_t device) {
    struct devicelist_device found;
    struct contact self;
    return (pairing_found(state, &found) == 0 && found.number == device) ||
           (contacts_get(state, account, &self) == 0 && self.has_list &&
            devicelist_find(&self.list, device) != NULL);
}

static int refuse(struct state *state, const struct identity *own, const struct identity_keys *account_key,
                  uint16_t device, uint64_t now_s) {
    uint8_t refusal[REFUSAL_BYTES], data[DATA_BYTES_MAX];
    struct outgoing message = {.to = own->account,
                               .utc_ms = now_s * 1000,
                               .content_type = CONTENT_PAIRING,
                               .payload = refusal,
                               .payload_bytes = sizeof(refusal)};
    uint64_t number;
    size_t bytes = write_data(refusal_label, own->account, device, data);
    bytes_put16(refusal, device);
    identity_sign(account_key, data, bytes, refusal + 2);
    return state_outbox_add(state, &message, &number);
}

/* Only who has the account key could let it in. */
static int take_stranger(struct state *state, const struct identity *own, uint16_t device, uint64_t now_s) {
    struct key key = stranger_key(device);
    struct identity_keys account_key;
    struct disk_view value;
    int error = state_keys_account(state, &account_key);
    if (error)
        return error == -ENOENT ? 0 : error;
    bool is_new = state_get(state, &key, &value) == -ENOENT && !is_no_stranger(state, own->account, device) &&
                  count_strangers(state) < PAIRING_STRANGERS_MAX;
    if (is_new && state_put(state, &key, "", 0) == 0)
        refuse(state, own, &account_key, device, now_s);
    identity_keys_fini(&account_key);
    return state->error ? state->error : -EBADMSG;
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

int pairing_age(struct state *state, uint64_t now_s) {
    uint8_t record[INVITED_BYTES];
    int error = read_invited(state, record);
    if (error)
        return error == -ENOENT ? 0 : error;
    bool is_over = bytes_get16(record + INVITED_DEVICE) == 0 && now_s > bytes_get64(record + INVITED_UNTIL);
    primitive_wipe(record, sizeof(record));
    return is_over ? pairing_end(state) : 0;
}

/* --- the device that is let in -------------------------------------------------------------------------- */

/* secret: NULL, it is wiped. */
static int put_own(struct state *state, const uint8_t *secret, uint8_t stand) {
    struct key key = record_key(OWN_LETTER);
    uint8_t record[OWN_BYTES] = {0};
    if (secret)
        memcpy(record, secret, PAIRING_SECRET_BYTES);
    record[PAIRING_SECRET_BYTES] = stand;
    int error = state_put(state, &key, record, sizeof(record));
    primitive_wipe(record, sizeof(record));
    return error;
}

int pairing_keep(struct state *state, const uint8_t secret[PAIRING_SECRET_BYTES]) {
    return put_own(state, secret, OWN_TO_SAY);
}

static int say(struct state *state, const struct identity *own, const uint8_t *secret, uint64_t utc_ms) {
    struct identity_keys keys;
    uint8_t said[SAID_BYTES], data[DATA_BYTES_MAX];
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
    size_t bytes = write_data(said_label, own->account, own->device, data);
    primitive_seal(secret, said, data, bytes, said + PRIMITIVE_NONCE_BYTES, IDENTITY_KEY_BYTES);
    return state_outbox_add(state, &message, &number);
}

static int read_own(struct state *state, uint8_t ret_record[OWN_BYTES]) {
    struct key key = record_key(OWN_LETTER);
    struct disk_view value;
    int error = state_get(state, &key, &value);
    if (error)
        return error;
    if (value.bytes != OWN_BYTES)
        return state_damaged(state);
    memcpy(ret_record, value.at, OWN_BYTES);
    return 0;
}

int pairing_introduce(struct state *state, const struct identity *own, uint64_t utc_ms) {
    uint8_t record[OWN_BYTES];
    int error = read_own(state, record);
    if (error)
        return error == -ENOENT ? 0 : error;
    if (record[PAIRING_SECRET_BYTES] == OWN_TO_SAY) {
        error = say(state, own, record, utc_ms);
        if (!error)
            error = put_own(state, NULL, OWN_SAID);
    }
    primitive_wipe(record, sizeof(record));
    return error;
}

/* Whoever signed it has the account key, so this is no word of the switch. */
static int take_refusal(struct state *state, const struct identity *own, const uint8_t *refusal) {
    struct contact self;
    uint8_t data[DATA_BYTES_MAX];
    if (bytes_get16(refusal) != own->device || pairing_stand(state) != PAIRING_WAITS)
        return state->error;
    int error = contacts_get(state, own->account, &self);
    if (error && error != -ENOENT)
        return error;
    size_t bytes = write_data(refusal_label, own->account, own->device, data);
    if (!self.has_key || identity_verify(self.account_key, data, bytes, refusal + 2) != 0)
        return -EBADMSG;
    return put_own(state, NULL, OWN_REFUSED);
}

enum pairing_stand pairing_stand(struct state *state) {
    uint8_t record[OWN_BYTES];
    if (read_own(state, record) != 0)
        return PAIRING_NONE;
    enum pairing_stand stand = record[PAIRING_SECRET_BYTES] == OWN_REFUSED ? PAIRING_REFUSED : PAIRING_WAITS;
    primitive_wipe(record, sizeof(record));
    return stand;
}

int pairing_forget(struct state *state) {
    return forget(state, OWN_LETTER);
}

/* --- both ----------------------------------------------------------------------------------------------- */

int pairing_take(struct state *state, const struct identity *own, const struct frame_message *message,
                 uint64_t now_s) {
    if (message->id.from != own->account)
        return -EBADMSG;
    if (message->id.from_device == own->device)
        return 0; /* what is said goes to all devices of the account */
    if (message->payload_bytes == REFUSAL_BYTES)
        return take_refusal(state, own, message->payload);
    if (take_invited(state, message, now_s) || state->error)
        return state->error;
    return take_stranger(state, own, message->id.from_device, now_s);
}
