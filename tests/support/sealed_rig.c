#include "tests/support/sealed_rig.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/noise.h"
#include "core/reason.h"
#include "tools/client/state_request.h"

#define TRIES 64 /* of whatever is done until nothing changes */

/* --- devices -------------------------------------------------------------------------------------------- */

static void open_state(struct sealed_device *device) {
    cr_assert_eq(state_open(device->folder, &device->state), 0);
}

void sealed_restart(struct sealed_device *device) {
    state_close(device->state);
    open_state(device);
}

bool sealed_commit(struct sealed_rig *rig, struct sealed_device *device) {
    if (++rig->commits == rig->crash_at) {
        state_end(device->state);
        sealed_restart(device);
        return false;
    }
    cr_assert_eq(state_commit(device->state), 0);
    return true;
}

void sealed_rig_begin(struct sealed_rig *rig) {
    cr_assert_eq(noise_init(), 0);
    memset(rig, 0, sizeof(*rig));
    rig->now_s = 1700000000;
}

static void end_device(struct sealed_device *device) {
    char command[96];
    for (uint32_t i = 0; i < device->queued; i++)
        free((void *)device->queue[i].payload);
    state_close(device->state);
    snprintf(command, sizeof(command), "rm -r %s", device->folder);
    cr_assert_eq(system(command), 0);
}

void sealed_leave(struct sealed_rig *rig, struct sealed_device *device) {
    struct sealed_account *at = &rig->accounts[device->own.account];
    if (at->first == device->own.device) {
        at->first = 0;
        at->list_bytes = 0;
    }
    end_device(device);
    *device = (struct sealed_device){.is_cut = true};
}

void sealed_rig_end(struct sealed_rig *rig) {
    for (uint32_t a = 1; a <= SEALED_ACCOUNTS_MAX; a++) {
        for (uint32_t d = 1; d <= SEALED_DEVICES_MAX; d++) {
            if (rig->accounts[a].devices[d].is_there)
                end_device(&rig->accounts[a].devices[d]);
        }
    }
}

/* The account's public key is handed on by its first device, as in a link URI. */
static void make_keys(struct sealed_account *at, struct sealed_device *device) {
    struct sealed_device *first = at->first ? &at->devices[at->first] : device;
    struct identity_keys keys;
    cr_assert_eq(state_begin(device->state), 0);
    cr_assert_eq(state_keys_make(device->state), 0);
    if (first == device)
        cr_assert_eq(state_keys_make_account(device->state), 0);
    else
        cr_assert_eq(state_look(first->state), 0);
    cr_assert_eq(state_keys_account(first->state, &keys), 0);
    if (first != device)
        state_end(first->state);
    cr_assert_eq(contacts_pin(device->state, device->own.account, keys.public_key), 0);
    cr_assert_eq(state_commit(device->state), 0);
    at->first = first->own.device;
}

struct sealed_device *sealed_join(struct sealed_rig *rig, uint64_t account) {
    struct sealed_account *at = &rig->accounts[account];
    uint16_t number = 1;
    while (at->devices[number].is_there || at->devices[number].is_cut)
        number++;
    cr_assert_leq(number, SEALED_DEVICES_MAX);
    struct sealed_device *device = &at->devices[number];
    snprintf(device->folder, sizeof(device->folder), "/tmp/tern-sealed-XXXXXX");
    cr_assert(mkdtemp(device->folder));
    device->is_there = true;
    device->own = (struct identity){.is_linked = true,
                                    .account = account,
                                    .device = number,
                                    .epoch = account * 100 + number,
                                    .payload_bytes_max = 64000};
    open_state(device);
    make_keys(at, device);
    sealed_list(rig, account);
    sealed_publish(rig, device);
    return device;
}

void sealed_cut(struct sealed_device *device) {
    device->is_cut = true;
}

/* --- the switch's directory ----------------------------------------------------------------------------- */

void sealed_publish(struct sealed_rig *rig, struct sealed_device *device) {
    static struct state_keys_offer offer;
    device->stock.left = (uint16_t)device->one_time_count;
    cr_assert_eq(state_begin(device->state), 0);
    int error = state_keys_offer(device->state, &device->stock, rig->now_s, &offer);
    if (!sealed_commit(rig, device) || error == -EALREADY)
        return;
    cr_assert_eq(error, 0);
    memcpy(device->keys, offer.keys, FRAME_KEYS_BYTES);
    device->stock.signed_id = frame_keys_signed_id(offer.keys);
    for (uint32_t i = 0; i < offer.put.count; i++) {
        const uint8_t *key = offer.one_time + (size_t)i * FRAME_ONE_TIME_BYTES;
        if (frame_one_time_id(key) <= device->stock.one_time_last)
            continue;
        device->stock.one_time_last = frame_one_time_id(key);
        memcpy(device->one_time[device->one_time_count++], key, FRAME_ONE_TIME_BYTES);
    }
}

static void add_device(struct devicelist *list, struct sealed_rig *rig, struct sealed_device *device) {
    struct devicelist_device listed = {.number = device->own.device, .created_s = rig->now_s};
    struct identity_keys keys;
    cr_assert_eq(state_look(device->state), 0);
    cr_assert_eq(state_keys_identity(device->state, &keys), 0);
    state_end(device->state);
    memcpy(listed.identity, keys.public_key, IDENTITY_KEY_BYTES);
    cr_assert_eq(devicelist_add(list, &listed), 0);
}

void sealed_list(struct sealed_rig *rig, uint64_t account) {
    struct sealed_account *at = &rig->accounts[account];
    struct devicelist list = {.account = account, .version = at->list_version + 1, .created_s = rig->now_s};
    struct devicelist before = {.count = 0};
    struct identity_keys keys;
    struct state *first = at->devices[at->first].state;
    cr_assert_eq(state_look(first), 0);
    cr_assert_eq(state_keys_account(first, &keys), 0);
    state_end(first);
    if (at->list_bytes)
        cr_assert_eq(devicelist_read(&before, account, NULL, at->list, at->list_bytes), 0);
    for (uint16_t d = 1; d <= SEALED_DEVICES_MAX; d++) {
        const struct devicelist_device *listed = devicelist_find(&before, d);
        if (!at->devices[d].is_there || at->devices[d].is_cut)
            continue;
        if (listed)
            cr_assert_eq(devicelist_add(&list, listed), 0);
        else
            add_device(&list, rig, &at->devices[d]);
    }
    at->list_bytes = (uint32_t)devicelist_sign(&list, &keys, at->list);
    at->list_version = list.version;
    for (uint16_t d = 1; d <= SEALED_DEVICES_MAX; d++) { /* KEYS_STOCK tells the own devices */
        struct sealed_device *device = &at->devices[d];
        if (!device->is_there || device->is_cut)
            continue;
        cr_assert_eq(state_begin(device->state), 0);
        cr_assert_eq(answers_ask_list(device->state, account), 0);
        cr_assert_eq(state_commit(device->state), 0);
    }
}

static void answer_list(struct sealed_rig *rig, struct sealed_device *device, const struct ask *ask) {
    const struct sealed_account *at = &rig->accounts[ask->account];
    struct frame_list list = {.account = ask->account, .version = at->list_version};
    enum contact_news news = 0;
    if (ask->version != at->list_version) {
        list.list = at->list;
        list.list_bytes = at->list_bytes;
    }
    cr_assert_eq(state_begin(device->state), 0);
    cr_assert_eq(answers_list(device->state, &device->own, &list, rig->now_s, &news), 0);
    sealed_commit(rig, device);
}

static bool is_target(const struct sealed_device *device) {
    return device->is_there && !device->is_cut && device->stock.signed_id;
}

static void answer_keys(struct sealed_rig *rig, struct sealed_device *device, const struct ask *ask) {
    static uint8_t rows[SEALED_DEVICES_MAX * FRAME_KEYS_ROW_BYTES];
    struct sealed_account *at = &rig->accounts[ask->account];
    struct frame_keys keys = {.account = ask->account, .list_version = at->list_version, .rows = rows};
    for (uint16_t d = 1; !rig->keys_status && d <= SEALED_DEVICES_MAX; d++) {
        struct sealed_device *other = &at->devices[d];
        if (!is_target(other) || other == device || other == rig->keys_withheld ||
            (ask->device && ask->device != d))
            continue;
        const uint8_t *one_time = other->one_time_count ? other->one_time[0] : NULL;
        frame_write_keys_row(rows + (size_t)keys.count++ * FRAME_KEYS_ROW_BYTES, d, other->keys, one_time);
        if (one_time)
            memmove(other->one_time[0], other->one_time[1], --other->one_time_count * FRAME_ONE_TIME_BYTES);
        rig->keys_given++;
    }
    keys.status = rig->keys_status;
    if (keys.status == 0 && keys.count == 0)
        keys.status = REFUSAL_NO_DEVICE;
    if (keys.status == 0) {
        keys.list = at->list;
        keys.list_bytes = at->list_bytes;
    }
    cr_assert_eq(state_begin(device->state), 0);
    cr_assert_eq(answers_keys(device->state, &device->own, ask->device, &keys, rig->now_s), 0);
    sealed_commit(rig, device);
}

void sealed_answer(struct sealed_rig *rig, struct sealed_device *device) {
    for (int i = 0; i < TRIES; i++) {
        struct ask ask;
        cr_assert_eq(state_look(device->state), 0);
        int error = state_request_next(device->state, NULL, &ask);
        state_end(device->state);
        if (error == -ENOENT)
            return;
        cr_assert_eq(error, 0);
        rig->asked++;
        if (ask.kind == ASK_LIST)
            answer_list(rig, device, &ask);
        else
            answer_keys(rig, device, &ask);
    }
    cr_assert_fail("asked without end");
}

/* --- the switch's messages ------------------------------------------------------------------------------ */

uint64_t sealed_say(struct sealed_rig *rig, struct sealed_device *device, uint64_t to, const char *text) {
    struct outgoing message = {.to = to,
                               .utc_ms = rig->now_s * 1000,
                               .payload = (const uint8_t *)text,
                               .payload_bytes = (uint32_t)strlen(text)};
    uint64_t number = 0;
    cr_assert_eq(state_begin(device->state), 0);
    cr_assert_eq(sealing_add(device->state, &message, INNER_TEXT, &number), 0);
    cr_assert_eq(state_commit(device->state), 0);
    return number;
}

static void enqueue(struct sealed_rig *rig, struct sealed_device *to, const struct sealed_device *from,
                    const struct outgoing *outgoing, const struct frame_message *part) {
    cr_assert_lt(to->queued, SEALED_QUEUE_MAX);
    uint8_t *payload = malloc(part->payload_bytes + 1);
    cr_assert(payload);
    memcpy(payload, part->payload, part->payload_bytes);
    to->queue[to->queued++] = (struct frame_message){
        .id = {.from = from->own.account,
               .to = outgoing->to,
               .epoch = from->own.epoch,
               .number = outgoing->number,
               .from_device = from->own.device},
        .accepted_ms = rig->now_s * 1000,
        .content_type = outgoing->content_type,
        .target_count = 1,
        .payload = payload,
        .payload_bytes = part->payload_bytes,
    };
}

/* The parts of a message, in order. */
static uint32_t read_parts(const struct sealed *sealed, struct frame_message parts[64]) {
    uint8_t *at = (uint8_t *)sealed->payload;
    size_t left = sealed->payload_bytes;
    struct frame frame;
    uint32_t count = 0;
    while (frame_next(&at, &left, &frame) == 0) {
        cr_assert_eq(frame.type, FRAME_MESSAGE);
        cr_assert_eq(frame_read_message(&frame, &parts[count]), 0);
        count++;
    }
    cr_assert_eq(count, sealed->targets);
    return count;
}

static bool is_named(const struct frame_message *parts, uint32_t count, uint64_t account, uint16_t device) {
    for (uint32_t i = 0; i < count; i++) {
        if (parts[i].id.from == account && parts[i].id.from_device == device)
            return true;
    }
    return false;
}

/* False: the message was refused, and the device told why. */
static bool match(struct sealed_rig *rig, struct sealed_device *from, uint64_t account,
                  const struct frame_message *parts, uint32_t count) {
    uint16_t missing[SEALED_DEVICES_MAX], gone[SEALED_DEVICES_MAX];
    uint32_t missing_count = 0, gone_count = 0;
    for (uint16_t d = 1; d <= SEALED_DEVICES_MAX; d++) {
        const struct sealed_device *device = &rig->accounts[account].devices[d];
        bool is_wanted = is_target(device) && device != from, named = is_named(parts, count, account, d);
        cr_assert(!named || device != from, "for itself");
        if (is_wanted && !named)
            missing[missing_count++] = d;
        if (!is_wanted && named)
            gone[gone_count++] = d;
    }
    if (missing_count == 0 && gone_count == 0)
        return true;
    rig->refused++;
    cr_assert_eq(state_begin(from->state), 0);
    cr_assert_eq(answers_targets(from->state, &from->own, account, missing, missing_count, gone, gone_count),
                 0);
    sealed_commit(rig, from);
    return false;
}

static bool transmit(struct sealed_rig *rig, struct sealed_device *from, const struct outgoing *outgoing) {
    static struct frame_message parts[64];
    struct sealed sealed;
    uint32_t left, count;
    cr_assert_eq(state_look(from->state), 0);
    cr_assert_eq(sealing_get(from->state, outgoing->to, outgoing->number, &sealed), 0);
    uint8_t *copy = malloc(sealed.payload_bytes); /* what is on the way, whatever becomes of the state */
    cr_assert(copy);
    memcpy(copy, sealed.payload, sealed.payload_bytes);
    state_end(from->state);
    sealed.payload = copy;
    count = read_parts(&sealed, parts);
    bool is_taken = match(rig, from, outgoing->to, parts, count) &&
                    (outgoing->to == from->own.account || match(rig, from, from->own.account, parts, count));
    for (uint32_t i = 0; is_taken && i < count; i++) {
        struct sealed_device *to = &rig->accounts[parts[i].id.from].devices[parts[i].id.from_device];
        enqueue(rig, to, from, outgoing, &parts[i]);
    }
    if (is_taken) {
        cr_assert_eq(state_begin(from->state), 0);
        cr_assert_eq(state_outbox_tick(from->state, outgoing->to, outgoing->number, outgoing->number,
                                       RECEIPT_SENT, 0, &left),
                     0);
        sealed_commit(rig, from); /* if it crashes, the message comes again */
    }
    free(copy);
    return is_taken;
}

/* The next message of a flow: 0: gone, or refused with targets: look again; 1: nothing goes. */
static int send_one(struct sealed_rig *rig, struct sealed_device *device, uint64_t to, uint64_t from) {
    struct outgoing message;
    uint32_t left;
    cr_assert_eq(state_begin(device->state), 0);
    int error = state_outbox_next(device->state, to, from, &message);
    if (error == -ENOENT) {
        state_end(device->state);
        return 1;
    }
    cr_assert_eq(error, 0);
    error = sealing_seal(device->state, &device->own, to, message.number, rig->now_s, &rig->reason);
    cr_assert(error == 0 || error == -EAGAIN || error == -EACCES || error == -ECONNREFUSED, "%d", error);
    if (error == -ECONNREFUSED)
        cr_assert_eq(state_outbox_refused(device->state, to, message.number, rig->reason, 0, &left), 0);
    rig->held += error == -EACCES;
    if (!sealed_commit(rig, device))
        return 0;
    if (error == -EAGAIN)
        sealed_answer(rig, device);
    if (error == 0)
        transmit(rig, device, &message);
    return error == -EACCES;
}

void sealed_send(struct sealed_rig *rig, struct sealed_device *device) {
    uint64_t to = 0;
    for (;;) {
        cr_assert_eq(state_look(device->state), 0);
        int error = state_outbox_next_account(device->state, to, &to);
        state_end(device->state);
        if (error == -ENOENT)
            return;
        int tries = 0;
        while (send_one(rig, device, to, 0) == 0)
            cr_assert_lt(tries++, 20 * TRIES, "sealed without end");
        to++;
    }
}

void sealed_take(struct sealed_rig *rig, struct sealed_device *device) {
    while (device->queued) {
        enum inbox_take take = INBOX_DUPLICATE;
        struct frame_message message = device->queue[0];
        cr_assert_eq(state_begin(device->state), 0);
        cr_assert_eq(opening_take(device->state, &device->own, &message, rig->now_s, &take), 0);
        cr_assert_eq(opening_tell(device->state), 0);
        if (!sealed_commit(rig, device))
            continue; /* it was not acknowledged: it comes again */
        device->passed += take == INBOX_PASSED;
        free((void *)message.payload);
        memmove(&device->queue[0], &device->queue[1], --device->queued * sizeof(device->queue[0]));
    }
}

void sealed_settle(struct sealed_rig *rig) {
    for (int i = 0; i < 8; i++) {
        for (uint32_t a = 1; a <= SEALED_ACCOUNTS_MAX; a++) {
            for (uint32_t d = 1; d <= SEALED_DEVICES_MAX; d++) {
                struct sealed_device *device = &rig->accounts[a].devices[d];
                if (!device->is_there || device->is_cut)
                    continue;
                sealed_answer(rig, device);
                sealed_send(rig, device);
                sealed_take(rig, device);
                sealed_answer(rig, device);
            }
        }
    }
}

/* --- what is there -------------------------------------------------------------------------------------- */

const char *sealed_shown(struct sealed_device *device, uint64_t after) {
    static char shown[16384];
    struct received message = {.position = after};
    size_t used = 0;
    shown[0] = 0;
    cr_assert_eq(state_look(device->state), 0);
    while (state_inbox_next(device->state, message.position + 1, &message) == 0) {
        cr_assert(message.is_sealed || message.is_notice);
        used += (size_t)snprintf(shown + used, sizeof(shown) - used, "%s%.*s|", message.is_notice ? "!" : "",
                                 (int)message.payload_bytes, (const char *)message.payload);
        cr_assert_lt(used, sizeof(shown));
    }
    state_end(device->state);
    return shown;
}

uint64_t sealed_newest(struct sealed_device *device) {
    cr_assert_eq(state_look(device->state), 0);
    uint64_t newest = state_inbox_newest(device->state);
    state_end(device->state);
    return newest;
}

struct contact sealed_contact(struct sealed_device *device, uint64_t account) {
    struct contact contact;
    cr_assert_eq(state_look(device->state), 0);
    contacts_get(device->state, account, &contact);
    state_end(device->state);
    return contact;
}

uint64_t sealed_count(struct sealed_device *device, enum opening_trouble trouble) {
    cr_assert_eq(state_look(device->state), 0);
    uint64_t count = opening_count(device->state, trouble);
    state_end(device->state);
    return count;
}

uint64_t sealed_waiting(struct sealed_device *device, uint64_t account) {
    cr_assert_eq(state_look(device->state), 0);
    uint64_t count = opening_waiting(device->state, account);
    state_end(device->state);
    return count;
}

uint64_t sealed_left(struct sealed_device *device) {
    cr_assert_eq(state_look(device->state), 0);
    uint64_t count = state_outbox_count(device->state);
    state_end(device->state);
    return count;
}
