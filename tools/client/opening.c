#include "tools/client/opening.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "tools/client/answers.h"
#include "tools/client/files.h"
#include "tools/client/pairing.h"
#include "tools/client/sharing.h"
#include "tools/client/state_channels.h"
#include "tools/client/state_keys.h"
#include "tools/client/state_request.h"

#define WAITING_LETTER 'w' /* counter: the last position of a waiting message */
#define WAITING_BYTES 19   /* of a key: kind, account, device, position */
#define UNTOLD_BYTES 12    /* of a key: kind, account, device, trouble */
#define SENTENCE_BYTES 256

/* --- troubles ------------------------------------------------------------------------------------------- */

#define X(number, name, text, help) [number] = text,
static const char *const names[OPENING_TROUBLE_COUNT] = {OPENING_TROUBLES(X)};
#undef X
#define X(number, name, text, help) [number] = help,
static const char *const helps[OPENING_TROUBLE_COUNT] = {OPENING_TROUBLES(X)};
#undef X

const char *opening_trouble_name(unsigned trouble) {
    return trouble < OPENING_TROUBLE_COUNT && names[trouble] ? names[trouble] : "unknown";
}

const char *opening_trouble_help(unsigned trouble) {
    return trouble < OPENING_TROUBLE_COUNT && helps[trouble] ? helps[trouble] : "unknown";
}

static struct key trouble_key(enum opening_trouble trouble) {
    struct key key = key_of(KEY_TROUBLE);
    uint8_t letter = (uint8_t)trouble;
    key_add(&key, &letter, 1);
    return key;
}

static uint64_t read_count(struct state *state, const struct key *key) {
    struct disk_view value;
    if (state_get(state, key, &value) != 0)
        return 0;
    if (value.bytes == sizeof(uint64_t))
        return bytes_get64(value.at);
    state_damaged(state);
    return 0;
}

static void raise_count(struct state *state, const struct key *key) {
    uint8_t value[sizeof(uint64_t)];
    bytes_put64(value, read_count(state, key) + 1);
    state_put(state, key, value, sizeof(value));
}

uint64_t opening_count(struct state *state, enum opening_trouble trouble) {
    struct key key = trouble_key(trouble);
    return read_count(state, &key);
}

static void count(struct state *state, enum opening_trouble trouble) {
    struct key key = trouble_key(trouble);
    raise_count(state, &key);
}

/* Counted, and people are told when the turn ends. */
static void count_untold(struct state *state, struct x3dh_address remote, enum opening_trouble trouble) {
    struct key key = key_of(KEY_UNTOLD);
    uint8_t letter = (uint8_t)trouble;
    key_add64(&key, remote.account);
    key_add16(&key, remote.device);
    key_add(&key, &letter, 1);
    count(state, trouble);
    raise_count(state, &key);
}

/* key: KEY_UNTOLD's. */
static int tell(struct state *state, const uint8_t *key, uint64_t times) {
    char sentence[SENTENCE_BYTES], more[40] = "";
    unsigned trouble = key[UNTOLD_BYTES - 1];
    if (times > 1)
        snprintf(more, sizeof(more), " (and %" PRIu64 " more)", times - 1);
    snprintf(sentence, sizeof(sentence), "a message %s: %s%s",
             trouble == TROUBLE_REORDERED ? "is left out" : "could not be opened",
             opening_trouble_help(trouble), more);
    return state_inbox_notice(state, bytes_get64_be(key + 1), bytes_get16_be(key + 9), sentence);
}

int opening_tell(struct state *state) {
    const struct key from = key_of(KEY_UNTOLD);
    struct disk_view at, value;
    while (state_seek(state, &from, 1, &at, &value) == 0) {
        struct key key = {.used = 0};
        if (at.bytes != UNTOLD_BYTES || value.bytes != sizeof(uint64_t))
            return state_damaged(state);
        uint64_t times = bytes_get64(value.at);
        key_add(&key, at.at, at.bytes);
        if (state_delete(state, &key) != 0 || tell(state, key.bytes, times) != 0)
            break;
    }
    return state->error;
}

/* --- one message ---------------------------------------------------------------------------------------- */

struct opening {
    struct state *state;
    const struct identity *own;
    const struct frame_message *message;
    uint64_t now_s;
    struct x3dh_address remote;
    uint8_t identity[IDENTITY_KEY_BYTES]; /* the sending device's, from its list */
    struct channel_label label;
    struct channel_message sealed;
    uint8_t *text; /* on the heap, the bytes of the sealed message */
    size_t text_bytes;
};

/* errno of the channel -> what people hear. 0: an error of the state. */
static enum opening_trouble trouble_of(int error) {
    switch (error) {
    case -EBADMSG:
        return TROUBLE_FORGED;
    case -ENOKEY:
        return TROUBLE_NO_KEY;
    case -EALREADY:
        return TROUBLE_LATE;
    case -ERANGE:
        return TROUBLE_AHEAD;
    case -EKEYREJECTED:
        return TROUBLE_IDENTITY;
    case -ENOMSG:
        return TROUBLE_MALFORMED;
    case -EPROTO:
        return TROUBLE_VERSION;
    default:
        return 0;
    }
}

/* An initial message of a channel that is not here. */
static int accept(struct opening *opening, const uint8_t *fresh, struct channels *channels) {
    struct state *state = opening->state;
    const struct x3dh_header *header = &opening->sealed.header;
    struct prekey signed_prekey, one_time;
    struct identity_keys keys;
    struct x3dh_end end = {.keys = &keys,
                           .address = {.account = opening->own->account, .device = opening->own->device}};
    struct channel *channel = malloc(sizeof(*channel));
    int error = channel ? state_keys_identity(state, &keys) : -ENOMEM;
    if (error) {
        free(channel);
        return state_note(state, error == -ENOENT ? -EUCLEAN : error);
    }
    bool has_signed = state_keys_signed(state, header->signed_id, &signed_prekey) == 0;
    bool has_one_time =
        header->one_time_id && state_keys_one_time(state, header->one_time_id, &one_time) == 0;
    error = channel_accept(channel, &end, opening->remote, opening->identity,
                           has_signed ? &signed_prekey : NULL, has_one_time ? &one_time : NULL,
                           &opening->sealed, &opening->label, fresh, opening->text, &opening->text_bytes);
    if (!error)
        error = state_note(state, channels_add(channels, channel));
    if (!error && header->one_time_id)
        error = state_keys_use_one_time(state, header->one_time_id);
    prekey_fini(&signed_prekey);
    prekey_fini(&one_time);
    identity_keys_fini(&keys);
    channel_fini(channel);
    free(channel);
    return error;
}

/* What a channel says stays out of the state's error: only what the state itself says ends the
 * transaction. */
static int open_sealed(struct opening *opening) {
    struct state *state = opening->state;
    struct channels channels;
    uint8_t fresh[PRIMITIVE_KEY_BYTES];
    int error = state_channels_get(state, opening->remote, &channels);
    if (error)
        return error;
    randombytes_buf(fresh, sizeof(fresh));
    error = channels_open(&channels, &opening->sealed, &opening->label, fresh, opening->text,
                          &opening->text_bytes);
    if (error == -ENOENT)
        error = accept(opening, fresh, &channels);
    if ((error == 0 || error == -ENOMSG) && channels.count)
        state_channels_put(state, opening->remote, &channels);
    if (error == 0)
        state_channels_healed(state, opening->remote);
    primitive_wipe(fresh, sizeof(fresh));
    channels_fini(&channels);
    return state->error ? state->error : error;
}

/* What is left of the opened message, without its inner type. */
static struct received received(const struct opening *opening, enum inner_type type) {
    return (struct received){
        .id = opening->message->id,
        .accepted_ms = opening->message->accepted_ms,
        .is_sealed = true,
        .content_type = (uint16_t)type,
        .payload = opening->text + INNER_TYPE_BYTES,
        .payload_bytes = (uint32_t)(opening->text_bytes - INNER_TYPE_BYTES),
    };
}

/* What was in it; 0 or a trouble that is only counted. */
static enum opening_trouble take_content(struct opening *opening) {
    if (opening->text_bytes < INNER_TYPE_BYTES)
        return TROUBLE_UNKNOWN;
    bool is_own = opening->remote.account == opening->own->account;
    uint64_t own = opening->own->account;
    enum inner_type type = (enum inner_type)bytes_get16(opening->text);
    struct received message = received(opening, type);
    switch (type) {
    case INNER_TEXT:
        state_inbox_put(opening->state, &message, own);
        return 0;
    case INNER_FILE:
        return files_take(opening->state, &message, own) == -EBADMSG ? TROUBLE_UNKNOWN : 0;
    case INNER_NOTHING:
        return 0;
    case INNER_READ:
        return is_own && sharing_take(opening->state, message.payload, message.payload_bytes) == 0
                   ? 0
                   : TROUBLE_UNKNOWN;
    default:
        return TROUBLE_UNKNOWN;
    }
}

/* It is lost; what comes next should not be. A device of a newer version, or one that uses another key than
 * its own, would not open what comes from here either. */
static int fail(struct opening *opening, enum opening_trouble trouble) {
    struct state *state = opening->state;
    count_untold(state, opening->remote, trouble);
    bool heals = trouble == TROUBLE_FORGED || trouble == TROUBLE_NO_KEY || trouble == TROUBLE_AHEAD;
    if (heals && state_channels_heal(state, opening->remote, opening->now_s))
        answers_ask_keys(state, opening->remote);
    return state->error;
}

enum opened { OPENED, FAILED, WAITS };

static int open_text(struct opening *opening, enum opening_trouble *ret_trouble) {
    opening->text = malloc(opening->sealed.sealed_bytes);
    if (!opening->text)
        return state_note(opening->state, -ENOMEM);
    int error = open_sealed(opening);
    *ret_trouble = error ? trouble_of(error) : 0;
    enum opening_trouble unknown = error ? 0 : take_content(opening);
    if (unknown)
        count(opening->state, unknown);
    primitive_wipe(opening->text, opening->sealed.sealed_bytes);
    free(opening->text);
    return opening->state->error;
}

/* Whose it is shown as is not known yet, nor whether the name is one that was another account's. */
static bool is_name_asked(struct state *state, uint64_t account) {
    struct ask ask = {.kind = ASK_NAME, .account = account};
    return state_request_get(state, &ask) == 0 && !ask.is_answered;
}

/* is_final: the list was asked for just now. */
static int open_message(struct opening *opening, bool is_final, enum opened *ret_opened) {
    const struct frame_message *message = opening->message;
    const struct identity *own = opening->own;
    struct contact contact;
    enum opening_trouble trouble = 0;
    opening->remote = (struct x3dh_address){.account = message->id.from, .device = message->id.from_device};
    opening->label = (struct channel_label){.to = message->id.to,
                                            .epoch = message->id.epoch,
                                            .number = message->id.number,
                                            .content_type = message->content_type};
    int error = contacts_get(opening->state, opening->remote.account, &contact);
    if (error && error != -ENOENT)
        return error;
    const uint8_t *identity = contact_sender(&contact, opening->remote.device, message->accepted_ms);
    bool is_self = opening->remote.account == own->account && opening->remote.device == own->device;
    error = channel_message_read(&opening->sealed, message->payload, message->payload_bytes);
    if (error || is_self) {
        trouble = error == -EPROTO ? TROUBLE_VERSION : TROUBLE_MALFORMED;
    } else if (contact.is_doubted || is_name_asked(opening->state, contact.account) ||
               (!identity && !is_final)) {
        *ret_opened = WAITS;
        return 0;
    } else if (!identity) {
        trouble = TROUBLE_STRANGE;
    } else {
        memcpy(opening->identity, identity, sizeof(opening->identity));
        error = open_text(opening, &trouble);
        if (error)
            return error;
    }
    *ret_opened = trouble ? FAILED : OPENED;
    return trouble ? fail(opening, trouble) : opening->state->error;
}

/* --- what waits ----------------------------------------------------------------------------------------- */

static struct key waiting_key(uint64_t account, uint16_t device, uint64_t position) {
    struct key key = key_of(KEY_WAITING);
    key_add64(&key, account);
    key_add16(&key, device);
    key_add64(&key, position);
    return key;
}

static bool any_waits(struct state *state, const struct message_id *id) {
    struct key key = waiting_key(id->from, id->from_device, 0);
    struct disk_view at, value;
    return state_seek(state, &key, WAITING_BYTES - sizeof(uint64_t), &at, &value) == 0;
}

static int put_waiting(struct state *state, const struct frame_message *message) {
    uint64_t position = state_counter(state, WAITING_LETTER) + 1;
    struct key key = waiting_key(message->id.from, message->id.from_device, position);
    state_set_counter(state, WAITING_LETTER, position);
    state_put(state, &key, state->value, frame_write_message(state->value, message));
    return answers_ask_list(state, message->id.from);
}

struct waiting {
    struct key key;
    uint16_t device;
    uint8_t *frame; /* on the heap */
    struct frame_message message;
};

/* The first of this account from (device, position) on. -ENOENT. */
static int next_waiting(struct state *state, uint64_t account, uint16_t device, struct waiting *ret_waiting) {
    struct key key = waiting_key(account, device, 0);
    struct disk_view at, value;
    struct frame frame;
    int error = state_seek(state, &key, 1 + sizeof(account), &at, &value);
    if (error)
        return error;
    if (at.bytes != WAITING_BYTES)
        return state_damaged(state);
    ret_waiting->key.used = 0;
    key_add(&ret_waiting->key, at.at, at.bytes);
    ret_waiting->device = bytes_get16_be(at.at + 9);
    ret_waiting->frame = malloc(value.bytes + 1);
    if (!ret_waiting->frame)
        return state_note(state, -ENOMEM);
    memcpy(ret_waiting->frame, value.at, value.bytes);
    uint8_t *bytes = ret_waiting->frame;
    size_t left = value.bytes;
    if (frame_next(&bytes, &left, &frame) == 0 && frame_read_message(&frame, &ret_waiting->message) == 0)
        return 0;
    free(ret_waiting->frame);
    return state_damaged(state);
}

/* Whether the device's next one is to be tried, too. */
static int open_waiting(struct state *state, const struct identity *own, const struct waiting *waiting,
                        bool is_final, uint64_t now_s, bool *ret_go_on) {
    struct opening opening = {.state = state, .own = own, .message = &waiting->message, .now_s = now_s};
    enum opened opened = WAITS;
    int error = open_message(&opening, is_final, &opened);
    *ret_go_on = opened != WAITS;
    return error || opened == WAITS ? error : state_delete(state, &waiting->key);
}

int opening_named(struct state *state, const struct identity *own, uint64_t account, uint64_t now_s) {
    int error = opening_go_on(state, own, account, CONTACT_UNASKED, now_s);
    if (error || opening_waiting(state, account) == 0)
        return error;
    return answers_ask_list(state, account);
}

int opening_go_on(struct state *state, const struct identity *own, uint64_t account, enum contact_news news,
                  uint64_t now_s) {
    bool is_final =
        news == CONTACT_SAME || news == CONTACT_FIRST || news == CONTACT_NEWER || news == CONTACT_NONE;
    struct waiting waiting;
    uint16_t device = 0;
    uint64_t mark = state_mark(state); /* many may wait */
    int error;
    while ((error = next_waiting(state, account, device, &waiting)) == 0) {
        bool go_on = false;
        error = open_waiting(state, own, &waiting, is_final, now_s, &go_on);
        free(waiting.frame);
        state_release(state, mark);
        device = waiting.device;
        if (error || (!go_on && device == UINT16_MAX))
            break;
        device = (uint16_t)(device + !go_on);
    }
    return error && error != -ENOENT ? error : opening_tell(state);
}

uint64_t opening_waiting(struct state *state, uint64_t account) {
    struct key key = waiting_key(account, 0, 0);
    struct disk_view at, value;
    uint8_t next = 0;
    uint64_t waits = 0, mark = state_mark(state);
    while (state_seek(state, &key, 1 + sizeof(account), &at, &value) == 0 && at.bytes == WAITING_BYTES) {
        waits++;
        key.used = 0;
        key_add(&key, at.at, at.bytes);
        key_add(&key, &next, 1);
        state_release(state, mark);
    }
    return waits;
}

int opening_next_account(struct state *state, uint64_t from, uint64_t *ret_account) {
    struct key key = waiting_key(from, 0, 0);
    struct disk_view at, value;
    int error = state_seek(state, &key, 1, &at, &value);
    if (error)
        return error;
    if (at.bytes != WAITING_BYTES)
        return state_damaged(state);
    *ret_account = bytes_get64_be(at.at + 1);
    return 0;
}

/* --- taking --------------------------------------------------------------------------------------------- */

static int take_fresh(struct state *state, const struct identity *own, const struct frame_message *message,
                      uint64_t now_s, enum inbox_take *ret_take) {
    struct opening opening = {.state = state, .own = own, .message = message, .now_s = now_s};
    enum opened opened = WAITS;
    int error = any_waits(state, &message->id) ? 0 : open_message(&opening, false, &opened);
    if (!error && opened == WAITS)
        error = put_waiting(state, message);
    if (!error && opened == FAILED && message->id.to == own->account) {
        error = state_inbox_unopened(state, &message->id);
        *ret_take = INBOX_PASSED;
    }
    return error;
}

/* It may be of somebody who only says that he is the account's. */
static int take_pairing(struct state *state, const struct identity *own, const struct frame_message *message,
                        uint64_t now_s) {
    int error = pairing_take(state, own, message, now_s);
    if (error != -EBADMSG)
        return error;
    count(state, TROUBLE_STRANGE);
    return state->error;
}

static int take_behind(struct state *state, const struct identity *own, const struct frame_message *message,
                       enum inbox_take *ret_take) {
    struct x3dh_address remote = {.account = message->id.from, .device = message->id.from_device};
    count_untold(state, remote, TROUBLE_REORDERED);
    *ret_take = INBOX_PASSED;
    return state_inbox_behind_told(state, &message->id, own->account);
}

int opening_take(struct state *state, const struct identity *own, const struct frame_message *message,
                 uint64_t now_s, enum inbox_take *ret_take) {
    enum inbox_take take = INBOX_DUPLICATE;
    bool is_pairing = message->content_type == CONTENT_PAIRING && message->id.to == own->account;
    bool is_sealed = message->content_type == CONTENT_SEALED;
    int error = is_sealed || is_pairing ? state_inbox_judge(state, &message->id, own->account, &take)
                                        : state_inbox_take(state, message, own->account, &take);
    if (error)
        return error;
    if (take == INBOX_BEHIND)
        error = take_behind(state, own, message, &take);
    else if (take == INBOX_FRESH && is_pairing)
        error = take_pairing(state, own, message, now_s);
    else if (take == INBOX_FRESH && is_sealed)
        error = take_fresh(state, own, message, now_s, &take);
    else if (is_sealed)
        count(state, TROUBLE_REPEATED);
    if (!error)
        error = state->error;
    if (!error)
        *ret_take = take;
    return error;
}
