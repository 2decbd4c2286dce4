#include "tools/client/sealing.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>

#include "core/mutant.h"
#include "tools/client/answers.h"
#include "tools/client/state_channels.h"
#include "tools/client/state_request.h"

#define TARGETS_MAX (2 * DEVICELIST_DEVICES_MAX - 1) /* of the addressed account, and the own others */
#define STORED_BYTES 4                               /* of a stored sealed form before its parts */

/* Offsets in a part, which is a MESSAGE frame with nothing else in it; docs/PROTOCOL.md, section 2. */
#define PART_ACCOUNT 32
#define PART_DEVICE 48

/* --- why nothing goes ----------------------------------------------------------------------------------- */

const char *sealing_hold_help(uint16_t reason) {
    switch (reason) {
    case HOLD_KEY_CHANGED:
        return "the account key is another than before: compare safety numbers";
    case HOLD_STRANGE:
        return "the switch names a device that is not on the account's signed list";
    case HOLD_BAD_LIST:
        return "the switch hands out no device list that can be believed";
    case HOLD_BAD_KEYS:
        return "the switch hands out no keys that are those of the account's device";
    case HOLD_NOT_LISTED:
        return "this device is not on its own account's list yet";
    default:
        return refusal_help(reason);
    }
}

/* --- putting in ----------------------------------------------------------------------------------------- */

int sealing_add(struct state *state, const struct outgoing *message, enum inner_type type,
                uint64_t *ret_number) {
    struct outgoing outgoing = *message;
    size_t bytes = (size_t)message->payload_bytes + INNER_TYPE_BYTES;
    uint8_t *payload = malloc(bytes);
    if (!payload)
        return state_note(state, -ENOMEM);
    bytes_put16(payload, (uint16_t)type);
    if (message->payload_bytes)
        memcpy(payload + INNER_TYPE_BYTES, message->payload, message->payload_bytes);
    outgoing.content_type = CONTENT_SEALED;
    outgoing.payload = payload;
    outgoing.payload_bytes = (uint32_t)bytes;
    int error = state_outbox_add(state, &outgoing, ret_number);
    primitive_wipe(payload, bytes);
    free(payload);
    return error;
}

/* Of a part's payload, when the payload of all is shared evenly. */
static size_t part_bytes_max(const struct identity *own, uint32_t targets) {
    size_t bytes =
        own->payload_bytes_max < FRAME_PAYLOAD_BYTES_MAX ? own->payload_bytes_max : FRAME_PAYLOAD_BYTES_MAX;
    bytes /= targets;
    return bytes > FRAME_MESSAGE_BYTES ? bytes - FRAME_MESSAGE_BYTES : 0;
}

uint32_t sealing_bytes_max(struct state *state, const struct identity *own, uint64_t to) {
    const struct devicelist_device *devices[DEVICELIST_DEVICES_MAX];
    struct contact contact;
    uint32_t targets = 0;
    if (contacts_get(state, own->account, &contact) == 0)
        targets += contact_targets(&contact, own->device, devices);
    if (to != own->account && contacts_get(state, to, &contact) == 0)
        targets += contact_targets(&contact, 0, devices);
    size_t bytes = channel_text_bytes_max(part_bytes_max(own, targets ? targets : 1));
    return bytes > INNER_TYPE_BYTES ? (uint32_t)(bytes - INNER_TYPE_BYTES) : 0;
}

/* --- the sealed form ------------------------------------------------------------------------------------ */

static struct key sealed_key(uint64_t to, uint64_t number) {
    struct key key = key_of(KEY_SEALED);
    key_add64(&key, to);
    key_add64(&key, number);
    return key;
}

int sealing_get(struct state *state, uint64_t to, uint64_t number, struct sealed *ret_sealed) {
    struct key key = sealed_key(to, number);
    struct disk_view value;
    int error = state_get(state, &key, &value);
    if (error)
        return error;
    if (value.bytes < STORED_BYTES)
        return state_damaged(state);
    *ret_sealed = (struct sealed){.targets = bytes_get16(value.at),
                                  .payload = value.at + STORED_BYTES,
                                  .payload_bytes = (uint32_t)(value.bytes - STORED_BYTES)};
    return 0;
}

int sealing_drop(struct state *state, const struct identity *own, uint64_t account) {
    struct key key = sealed_key(account, 0);
    size_t same = account == own->account ? 1 : 1 + sizeof(account);
    struct disk_view at, value;
    if (account == own->account)
        key = key_of(KEY_SEALED);
    while (!MUTANT(sealed_kept) && state_seek(state, &key, same, &at, &value) == 0) {
        struct key found = {.used = 0};
        key_add(&found, at.at, at.bytes);
        if (state_delete(state, &found) != 0)
            break;
    }
    return state->error;
}

/* --- may it go, and to whom ----------------------------------------------------------------------------- */

struct sealing {
    struct state *state;
    const struct identity *own;
    uint64_t to, number, now_s;
    uint16_t reason;
    uint32_t count;
    struct x3dh_address targets[TARGETS_MAX];
    uint8_t *text; /* on the heap */
    size_t text_bytes;
    uint8_t *parts; /* TARGETS_MAX at most, together the largest payload */
    size_t parts_bytes;
};

static int hold(struct sealing *sealing, uint16_t reason) {
    sealing->reason = reason;
    return -EACCES;
}

static bool may_ask(const struct sealing *sealing, const struct contact *contact) {
    return contact->answered_s == 0 || contact->answered_s > sealing->now_s ||
           sealing->now_s - contact->answered_s >= SEALING_RETRY_S;
}

static int await(struct sealing *sealing, struct contact *contact) {
    contact->strange = 0; /* without it, this once: the switch may have changed its mind */
    contact->refused = 0;
    contact->is_awaited = true;
    contact->answered = CONTACT_ANSWERED_NOT;
    return contacts_put(sealing->state, contact);
}

static int ask_list(struct sealing *sealing, struct contact *contact) {
    int error = await(sealing, contact);
    if (!error)
        error = answers_ask_list(sealing->state, contact->account);
    return error ? error : -EAGAIN;
}

static bool is_asked(struct state *state, enum request_kind kind, uint64_t account, uint16_t device) {
    struct ask ask = {.kind = kind, .account = account, .device = device};
    return state_request_get(state, &ask) == 0 && !ask.is_answered;
}

static int ask_keys(struct sealing *sealing, struct contact *contact, uint16_t device) {
    struct ask ask = {.kind = ASK_KEYS, .account = contact->account, .device = device};
    if (is_asked(sealing->state, ASK_KEYS, contact->account, 0) ||
        is_asked(sealing->state, ASK_KEYS, contact->account, device))
        return -EAGAIN;
    int error = await(sealing, contact);
    if (!error)
        error = state_request_put(sealing->state, &ask);
    return error ? error : -EAGAIN;
}

/* A message fails only by an answer that was asked for after it was put into the outbox; the next one asks
 * anew, because it may be otherwise then. */
static int refuse(struct sealing *sealing, struct contact *contact, uint16_t reason) {
    contact->answered = CONTACT_ANSWERED_NOT;
    contact->refused = 0;
    sealing->reason = reason;
    int error = contacts_put(sealing->state, contact);
    return error ? error : -ECONNREFUSED;
}

/* What the switch said when it was asked about this account. Of the own one that ends no message: it was
 * about to be sent, and will be. */
static int check_refusal(struct sealing *sealing, struct contact *contact) {
    bool is_final = contact->refused == REFUSAL_NO_ACCOUNT || contact->refused == REFUSAL_BLOCKED ||
                    contact->refused == REFUSAL_SUSPENDED;
    if (contact->refused == REFUSAL_NONE)
        return 0;
    if (is_final && contact->account != sealing->own->account)
        return contact->answered ? refuse(sealing, contact, contact->refused) : ask_list(sealing, contact);
    return may_ask(sealing, contact) ? ask_list(sealing, contact) : hold(sealing, contact->refused);
}

/* Nobody is there who could be sealed for. */
static int check_nobody(struct sealing *sealing, struct contact *contact) {
    if (contact->answered >= (contact->has_list ? CONTACT_ANSWERED_KEYS : CONTACT_ANSWERED_LIST))
        return refuse(sealing, contact, REFUSAL_NO_DEVICE);
    return contact->has_list ? ask_keys(sealing, contact, 0) : ask_list(sealing, contact);
}

/* 0: there is a list to be believed, by which to seal. */
static int check_contact(struct sealing *sealing, struct contact *contact) {
    uint16_t reason = 0;
    if (is_asked(sealing->state, ASK_LIST, contact->account, 0))
        return -EAGAIN;
    if (contact->has_other)
        return hold(sealing, HOLD_KEY_CHANGED);
    int error = check_refusal(sealing, contact);
    if (error)
        return error;
    if (contact->account == sealing->own->account && !devicelist_find(&contact->list, sealing->own->device))
        reason = HOLD_NOT_LISTED;
    else if (contact->strange)
        reason = HOLD_STRANGE;
    else if (!contact->has_list && contact->news == CONTACT_NONE)
        return check_nobody(sealing, contact);
    else if (!contact->has_list)
        reason = HOLD_BAD_LIST;
    if (!reason)
        return contact->is_doubted ? hold(sealing, HOLD_KEY_CHANGED) : 0;
    return may_ask(sealing, contact) ? ask_list(sealing, contact) : hold(sealing, reason);
}

static void add_targets(struct sealing *sealing, const struct contact *contact, uint16_t self) {
    const struct devicelist_device *devices[DEVICELIST_DEVICES_MAX];
    uint32_t count = contact_targets(contact, self, devices);
    for (uint32_t i = 0; i < count; i++)
        sealing->targets[sealing->count++] =
            (struct x3dh_address){.account = contact->account, .device = devices[i]->number};
}

/* Channels with those from `first` on, which are all of one account: 0, or keys are asked for. All at once
 * where there is none yet, because how often may be asked is limited. */
static int check_channels(struct sealing *sealing, struct contact *contact, uint32_t first) {
    uint32_t lacking = 0;
    int error = 0;
    for (uint32_t i = first; i < sealing->count; i++)
        lacking += !state_channels_any(sealing->state, sealing->targets[i]);
    if (lacking == 0)
        return sealing->state->error;
    if (contact->bad && !may_ask(sealing, contact))
        return hold(sealing, HOLD_BAD_KEYS);
    if (lacking > 1 && lacking == sealing->count - first)
        return ask_keys(sealing, contact, 0);
    for (uint32_t i = first; i < sealing->count && (!error || error == -EAGAIN); i++) {
        if (!state_channels_any(sealing->state, sealing->targets[i]))
            error = ask_keys(sealing, contact, sealing->targets[i].device);
    }
    return error;
}

static int get_contact(struct sealing *sealing, uint64_t account, struct contact *ret_contact) {
    int error = contacts_get(sealing->state, account, ret_contact);
    return error == -ENOENT ? 0 : error;
}

/* It was for a message that goes. */
static int use_answer(struct sealing *sealing, struct contact *contact) {
    if (!contact->answered)
        return 0;
    contact->answered = CONTACT_ANSWERED_NOT;
    return contacts_put(sealing->state, contact);
}

/* The addressed account's devices come first, then the own others: as the parts have to be. */
static int find_targets(struct sealing *sealing) {
    const struct identity *own = sealing->own;
    bool is_own = sealing->to == own->account;
    struct contact self, contact;
    int error = get_contact(sealing, own->account, &self);
    if (!error)
        error = get_contact(sealing, sealing->to, &contact);
    if (!error)
        error = check_contact(sealing, &self);
    if (!error && !is_own)
        error = check_contact(sealing, &contact);
    if (error)
        return error;
    add_targets(sealing, &contact, is_own ? own->device : 0);
    if (sealing->count == 0) /* none is listed, or the switch takes nothing for any: is that still so? */
        return check_nobody(sealing, &contact);
    error = use_answer(sealing, &contact);
    if (!error && !is_own)
        error = use_answer(sealing, &self);
    if (error)
        return error;
    uint32_t addressed = sealing->count;
    error = check_channels(sealing, &contact, 0);
    if (is_own || (error && error != -EAGAIN))
        return error;
    add_targets(sealing, &self, own->device);
    int own_error = check_channels(sealing, &self, addressed);
    return own_error ? own_error : error;
}

/* --- sealing -------------------------------------------------------------------------------------------- */

static int seal_part(struct sealing *sealing, struct x3dh_address target) {
    const struct channel_label label = {.to = sealing->to,
                                        .epoch = sealing->own->epoch,
                                        .number = sealing->number,
                                        .content_type = CONTENT_SEALED};
    struct channels channels;
    uint8_t nonce[PRIMITIVE_NONCE_BYTES];
    int error = state_channels_get(sealing->state, target, &channels);
    if (error)
        return error;
    struct channel *channel = channels_active(&channels);
    uint8_t *part = sealing->parts + sealing->parts_bytes;
    size_t bytes = channel ? channel_sealed_bytes(channel, sealing->text_bytes,
                                                  part_bytes_max(sealing->own, sealing->count))
                           : 0;
    randombytes_buf(nonce, sizeof(nonce));
    if (!channel || bytes == 0)
        error = state_damaged(sealing->state); /* both were looked at before */
    else
        error =
            state_note(sealing->state, channel_seal(channel, &label, nonce, sealing->text,
                                                    sealing->text_bytes, part + FRAME_MESSAGE_BYTES, bytes));
    if (!error) {
        memset(part, 0, FRAME_MESSAGE_BYTES);
        frame_write_header(part, FRAME_MESSAGE_BYTES + bytes, FRAME_MESSAGE, 0);
        bytes_put64(part + PART_ACCOUNT, target.account);
        bytes_put16(part + PART_DEVICE, target.device);
        sealing->parts_bytes += FRAME_MESSAGE_BYTES + bytes;
        error = MUTANT(channel_not_kept) ? 0 : state_channels_put(sealing->state, target, &channels);
    }
    channels_fini(&channels);
    return error;
}

static int put_sealed(struct sealing *sealing) {
    struct key key = sealed_key(sealing->to, sealing->number);
    uint8_t *value = sealing->state->value;
    bytes_put16(value, (uint16_t)sealing->count);
    bytes_put16(value + 2, 0);
    memcpy(value + STORED_BYTES, sealing->parts, sealing->parts_bytes);
    return state_put(sealing->state, &key, value, STORED_BYTES + sealing->parts_bytes);
}

static int seal_parts(struct sealing *sealing) {
    int error = 0;
    for (uint32_t i = 0; i < sealing->count && !error; i++)
        error = seal_part(sealing, sealing->targets[i]);
    if (!error)
        error = put_sealed(sealing);
    if (!error && state_outbox_held(sealing->state, sealing->to) >= HOLD_KEY_CHANGED)
        error = state_outbox_hold(sealing->state, sealing->to, REFUSAL_NONE);
    return error;
}

/* The text is a view of the state, which changes while it is sealed. */
static int copy_text(struct sealing *sealing, const struct outgoing *message) {
    sealing->text_bytes = message->payload_bytes;
    sealing->text = malloc(sealing->text_bytes + 1);
    sealing->parts = malloc(FRAME_BYTES_MAX);
    if (!sealing->text || !sealing->parts)
        return state_note(sealing->state, -ENOMEM);
    if (message->payload_bytes)
        memcpy(sealing->text, message->payload, message->payload_bytes);
    return 0;
}

static void wipe_text(struct sealing *sealing) {
    if (sealing->text)
        primitive_wipe(sealing->text, sealing->text_bytes);
    free(sealing->text);
    free(sealing->parts);
}

static int seal(struct sealing *sealing) {
    struct outgoing message;
    int error = find_targets(sealing);
    if (error)
        return error;
    error = state_outbox_next(sealing->state, sealing->to, sealing->number, &message);
    if (error)
        return error;
    if (message.payload_bytes > channel_text_bytes_max(part_bytes_max(sealing->own, sealing->count))) {
        sealing->reason = REFUSAL_TOO_LARGE;
        return -ECONNREFUSED;
    }
    error = copy_text(sealing, &message);
    if (!error)
        error = seal_parts(sealing);
    wipe_text(sealing);
    return error;
}

int sealing_seal(struct state *state, const struct identity *own, uint64_t to, uint64_t number,
                 uint64_t now_s, uint16_t *ret_reason) {
    struct sealing sealing = {.state = state, .own = own, .to = to, .number = number, .now_s = now_s};
    struct outgoing message;
    struct sealed sealed;
    int error = state_outbox_next(state, to, number, &message);
    if (!error && (message.number != number || message.content_type != CONTENT_SEALED))
        error = -ENOENT;
    if (error)
        return error;
    error = sealing_get(state, to, number, &sealed);
    if (error != -ENOENT)
        return error;
    error = seal(&sealing);
    if (error == -EACCES && state_outbox_held(state, to) != sealing.reason)
        state_outbox_hold(state, to, sealing.reason);
    if (state->error)
        return state->error;
    if (error == -EACCES || error == -ECONNREFUSED)
        *ret_reason = sealing.reason;
    return error;
}
