#include "tools/client/answers.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/reason.h"
#include "tools/client/opening.h"
#include "tools/client/sealing.h"
#include "tools/client/state_channels.h"
#include "tools/client/state_keys.h"
#include "tools/client/state_outbox.h"
#include "tools/client/state_request.h"

#define SENTENCE_BYTES 256

/* --- asking --------------------------------------------------------------------------------------------- */

static bool is_asked(struct state *state, struct ask ask) {
    return state_request_get(state, &ask) == 0 && !ask.is_answered;
}

int answers_ask_list(struct state *state, uint64_t account) {
    struct ask ask = {.kind = ASK_LIST, .account = account};
    struct contact contact;
    if (is_asked(state, ask))
        return 0;
    if (contacts_get(state, account, &contact) == 0 && contact.has_list)
        ask.version = contact.list.version;
    return state->error ? state->error : state_request_put(state, &ask);
}

int answers_ask_keys(struct state *state, struct x3dh_address device) {
    struct ask ask = {.kind = ASK_KEYS, .account = device.account, .device = device.device};
    struct ask all = {.kind = ASK_KEYS, .account = device.account};
    return is_asked(state, ask) || is_asked(state, all) ? state->error : state_request_put(state, &ask);
}

int answers_ask_again(struct state *state) {
    uint64_t account = 0;
    while (opening_next_account(state, account, &account) == 0) {
        int error = answers_ask_list(state, account);
        if (error)
            return error;
        if (account++ == UINT64_MAX)
            break;
    }
    return state->error;
}

/* --- telling people ------------------------------------------------------------------------------------- */

static const char *bad_news(enum contact_news news) {
    switch (news) {
    case CONTACT_OLDER:
        return "the switch handed out an older device list than the one known; it is not used";
    case CONTACT_FORGED:
        return "the switch handed out a device list that the account has not signed; it is not used";
    case CONTACT_OTHER_KEY:
        return "the account key is another than before: a new beginning of the account, or somebody in "
               "between; compare safety numbers";
    case CONTACT_UNREADABLE:
        return "a newer version of tern made the device list; it is not used";
    default:
        return NULL;
    }
}

static void tell_device(struct state *state, uint64_t account, uint16_t device, const char *format) {
    char sentence[SENTENCE_BYTES];
    snprintf(sentence, sizeof(sentence), format, device);
    state_inbox_notice(state, account, device, sentence);
}

/* --- lists ---------------------------------------------------------------------------------------------- */

static int get_contact(struct state *state, uint64_t account, struct contact *ret_contact) {
    int error = contacts_get(state, account, ret_contact);
    return error == -ENOENT ? 0 : error;
}

/* Once until the news are others. */
static void tell_news(struct state *state, struct contact *contact, enum contact_news news) {
    const char *sentence = bad_news(news);
    if (sentence && news != contact->news)
        state_inbox_notice(state, contact->account, 0, sentence);
    contact->news = (uint8_t)news;
}

static void note_answer(struct contact *contact, enum contact_answer answer, uint16_t status,
                        uint64_t now_s) {
    contact->answered_s = now_s;
    contact->refused = status;
    if (contact->is_awaited)
        contact->answered = (uint8_t)(status ? CONTACT_ANSWERED_LIST : answer);
    contact->is_awaited = false;
}

static bool devices_changed(enum contact_news news) {
    return news == CONTACT_FIRST || news == CONTACT_NEWER;
}

static void take_list(struct state *state, struct contact *contact, const uint8_t *list, size_t count,
                      enum contact_news *ret_news) {
    *ret_news = contact_take(contact, list, count);
    tell_news(state, contact, *ret_news);
}

/* What follows from a list, once the contact is stored. */
static int follow(struct state *state, const struct identity *own, uint64_t account, enum contact_news news,
                  uint64_t now_s) {
    int error = devices_changed(news) ? sealing_drop(state, own, account) : 0;
    return error ? error : opening_go_on(state, own, account, news, now_s);
}

int answers_list(struct state *state, const struct identity *own, const struct frame_list *list,
                 uint64_t now_s, enum contact_news *ret_news) {
    uint64_t account = list->account ? list->account : own->account;
    struct ask ask = {.kind = ASK_LIST, .account = account};
    struct contact contact;
    enum contact_news news = CONTACT_SAME;
    bool is_known = state_request_get(state, &ask) == 0 && list->list_bytes == 0 && list->version != 0 &&
                    list->version == ask.version;
    state_request_delete(state, &ask);
    int error = get_contact(state, account, &contact);
    if (error)
        return error;
    note_answer(&contact, CONTACT_ANSWERED_LIST, list->status, now_s);
    if (list->status) {
        *ret_news = 0;
        return contacts_put(state, &contact);
    }
    if (is_known)
        tell_news(state, &contact, CONTACT_SAME);
    else
        take_list(state, &contact, list->list, list->list_bytes, &news);
    if (contact.strange && !(contact.has_other && devicelist_find(&contact.other, contact.strange)))
        tell_device(
            state, account, contact.strange,
            "the switch names device %u, which is not on the account's signed list; nothing is sent to it");
    error = contacts_put(state, &contact);
    if (!error)
        error = follow(state, own, account, news, now_s);
    if (!error)
        *ret_news = news;
    return error;
}

/* --- keys ----------------------------------------------------------------------------------------------- */

static int initiate(struct state *state, const struct identity *own, struct x3dh_address remote,
                    const uint8_t *identity, const struct prekey_bundle *bundle, struct channel *channel) {
    struct identity_keys keys;
    struct channel_fresh fresh;
    struct x3dh_end end = {.keys = &keys, .address = {.account = own->account, .device = own->device}};
    int error = state_keys_identity(state, &keys);
    if (error)
        return state_note(state, error == -ENOENT ? -EUCLEAN : error);
    randombytes_buf(&fresh, sizeof(fresh));
    error = channel_initiate(channel, &end, remote, identity, bundle, &fresh);
    primitive_wipe(&fresh, sizeof(fresh));
    identity_keys_fini(&keys);
    return error;
}

/* 0, or -EKEYREJECTED: these are not the device's keys. */
static int begin_channel(struct state *state, const struct identity *own, struct x3dh_address remote,
                         const uint8_t *identity, const struct prekey_bundle *bundle) {
    struct channel *channel = malloc(sizeof(*channel));
    struct channels channels;
    if (!channel)
        return state_note(state, -ENOMEM);
    int error = initiate(state, own, remote, identity, bundle, channel);
    if (error) {
        free(channel);
        return state->error ? state->error : -EKEYREJECTED;
    }
    error = state_channels_get(state, remote, &channels);
    if (!error)
        error = state_note(state, channels_add(&channels, channel));
    if (!error)
        error = state_channels_put(state, remote, &channels);
    channels_fini(&channels);
    channel_fini(channel);
    free(channel);
    return error;
}

/* The other end knows of the new channel by its first message. */
static int heal(struct state *state, struct x3dh_address remote, uint64_t now_s) {
    struct outgoing nothing = {.to = remote.account, .utc_ms = now_s * 1000};
    uint64_t number;
    int error = state_channels_healing_begun(state, remote);
    return error ? error : sealing_add(state, &nothing, INNER_NOTHING, &number);
}

/* A device that is on the list, and what the switch says are its keys. */
static int take_row(struct state *state, const struct identity *own, struct contact *contact,
                    const struct devicelist_device *device, const uint8_t *row, uint64_t now_s) {
    struct x3dh_address remote = {.account = contact->account, .device = device->number};
    struct prekey_bundle bundle;
    bool heals = state_channels_heals(state, remote);
    contact_set_gone(contact, device->number, false);
    if (state_channels_any(state, remote) && !heals)
        return state->error;
    int error = prekey_bundle_read(&bundle, row, FRAME_BUNDLE_BYTES);
    error = error ? -EKEYREJECTED : begin_channel(state, own, remote, device->identity, &bundle);
    if (error == -EKEYREJECTED) {
        if (contact->bad != device->number)
            tell_device(state, contact->account, device->number,
                        "the switch handed out keys for device %u that are not its own; they are not used");
        contact->bad = device->number;
        return state->error;
    }
    if (contact->bad == device->number)
        contact->bad = 0;
    return error || !heals ? error : heal(state, remote, now_s);
}

static const uint8_t *find_row(const struct frame_keys *keys, uint16_t device) {
    for (uint32_t i = 0; i < keys->count; i++) {
        uint16_t number;
        const uint8_t *row = frame_keys_row(keys, i, &number);
        if (number == device)
            return row;
    }
    return NULL;
}

/* Those that are asked for and not among the keys have none: nothing can be sealed for them. */
static int take_rows(struct state *state, const struct identity *own, struct contact *contact,
                     uint16_t asked_device, const struct frame_keys *keys, uint64_t now_s) {
    int error = 0;
    for (uint32_t i = 0; contact->has_list && i < contact->list.count && !error; i++) {
        const struct devicelist_device *device = &contact->list.devices[i];
        bool is_self = contact->account == own->account && device->number == own->device;
        if (is_self || (asked_device && device->number != asked_device))
            continue;
        const uint8_t *row = find_row(keys, device->number);
        if (row)
            error = take_row(state, own, contact, device, row, now_s);
        else if (contact->named == device->number) /* says TARGETS: it can't be both */
            contact->bad = device->number;
        else
            contact_set_gone(contact, device->number, true);
        if (contact->named == device->number)
            contact->named = 0;
    }
    return error;
}

static bool same_gone(const struct contact *contact, const struct contact *before) {
    return contact->gone_count == before->gone_count &&
           memcmp(contact->gone, before->gone, contact->gone_count * sizeof(contact->gone[0])) == 0;
}

int answers_keys(struct state *state, const struct identity *own, uint16_t asked_device,
                 const struct frame_keys *keys, uint64_t now_s) {
    struct ask ask = {.kind = ASK_KEYS, .account = keys->account, .device = asked_device};
    struct contact contact, before;
    enum contact_news news = CONTACT_SAME;
    state_request_delete(state, &ask);
    int error = get_contact(state, keys->account, &contact);
    if (error)
        return error;
    before = contact;
    note_answer(&contact, asked_device ? CONTACT_ANSWERED_NOT : CONTACT_ANSWERED_KEYS,
                keys->status == REFUSAL_NO_DEVICE ? REFUSAL_NONE : keys->status, now_s);
    if (contact.refused)
        return contacts_put(state, &contact);
    if (keys->list_bytes)
        take_list(state, &contact, keys->list, keys->list_bytes, &news);
    error = take_rows(state, own, &contact, asked_device, keys, now_s);
    if (!error)
        error = contacts_put(state, &contact);
    if (!error && !same_gone(&contact, &before))
        error = sealing_drop(state, own, keys->account);
    return error || keys->list_bytes == 0 ? error : follow(state, own, keys->account, news, now_s);
}

/* --- targets -------------------------------------------------------------------------------------------- */

int answers_targets(struct state *state, const struct identity *own, uint64_t account,
                    const uint16_t *missing, uint32_t missing_count, const uint16_t *gone,
                    uint32_t gone_count) {
    struct contact contact;
    int error = get_contact(state, account, &contact);
    if (error)
        return error;
    for (uint32_t i = 0; i < gone_count; i++)
        contact_set_gone(&contact, gone[i], true);
    for (uint32_t i = 0; i < missing_count; i++) {
        contact_set_gone(&contact, missing[i], false);
        if (contact.has_list && devicelist_find(&contact.list, missing[i]))
            contact.named = missing[i];
        else
            contact.strange = missing[i];
    }
    error = contacts_put(state, &contact);
    if (!error)
        error = sealing_drop(state, own, account);
    return error ? error : answers_ask_list(state, account);
}

int answers_accept(struct state *state, const struct identity *own, uint64_t account, bool is_compared,
                   uint64_t now_s) {
    struct contact contact;
    int error = contacts_get(state, account, &contact);
    bool is_other = contact.has_other;
    if (!error)
        error = contact_accept(&contact);
    if (!error && !is_compared && state_outbox_is_strict(state, account))
        error = -EACCES;
    if (error)
        return error;
    if (is_other)
        contact.news = CONTACT_NEWER;
    error = contacts_put(state, &contact);
    if (!error && !is_other) /* its key is the same, and so are the channels: the list opens what waits */
        return answers_ask_list(state, account);
    if (!error)
        error = state_channels_delete_account(state, account);
    return error ? error : follow(state, own, account, CONTACT_NEWER, now_s);
}
