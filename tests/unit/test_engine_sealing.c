/* Messages that are sealed, through the engine: what it asks first, what goes out, and what comes in. The
 * other account's device is here, with keys of its own. */
#include <criterion/criterion.h>

#include "core/frame_keys.h"
#include "core/noise.h"
#include "core/reason.h"
#include "tests/support/client_rig.h"
#include "tools/client/e2e/channels.h"
#include "tools/client/opening.h"
#include "tools/client/sealing.h"
#include "tools/client/state_keys.h"

TestSuite(engine_sealing, .timeout = 30);

static struct client_rig rig;
static uint8_t out[FRAME_BYTES_MAX];

/* The other account's devices: one key for all of them, which is enough here. */
static const uint8_t seeds[3][IDENTITY_KEY_BYTES] = {{1}, {2}, {3}};
static struct identity_keys other_account, other_identity;
static struct prekey other_prekey;
static struct devicelist other_list;
static struct identity_keys own_account, own_identity;

static void add_device(struct devicelist *list, uint16_t number, const struct identity_keys *identity) {
    struct devicelist_device device = {.number = number};
    memcpy(device.identity, identity->public_key, IDENTITY_KEY_BYTES);
    cr_assert_eq(devicelist_add(list, &device), 0);
}

/* A device that is on its account's list. */
static void begin(void) {
    struct devicelist list = {.account = RIG_ACCOUNT, .version = 1};
    struct contact self;
    cr_assert_eq(noise_init(), 0);
    identity_keys_init(&other_account, seeds[0]);
    identity_keys_init(&other_identity, seeds[1]);
    prekey_init(&other_prekey, 1, 1, seeds[2]);
    other_list = (struct devicelist){.account = RIG_OTHER, .version = 1};
    add_device(&other_list, 1, &other_identity);
    client_rig_begin(&rig);
    rig.payload_bytes_max = 64000;
    cr_assert_eq(state_begin(rig.state), 0);
    struct identity own;
    cr_assert_eq(state_identity(rig.state, &own), 0);
    own.payload_bytes_max = 64000;
    state_set_identity(rig.state, &own);
    state_keys_make(rig.state);
    state_keys_make_account(rig.state);
    state_keys_account(rig.state, &own_account);
    state_keys_identity(rig.state, &own_identity);
    contacts_pin(rig.state, RIG_ACCOUNT, own_account.public_key);
    add_device(&list, RIG_DEVICE, &own_identity);
    uint8_t bytes[DEVICELIST_BYTES_MAX];
    size_t count = devicelist_sign(&list, &own_account, bytes);
    contacts_get(rig.state, RIG_ACCOUNT, &self);
    cr_assert_eq(contact_take(&self, bytes, count), CONTACT_FIRST);
    contacts_put(rig.state, &self);
    cr_assert_eq(state_commit(rig.state), 0);
}

static void end(void) {
    client_rig_end(&rig);
}

static void say(size_t frame_bytes) {
    cr_assert_eq(client_rig_say(&rig, out, frame_bytes), 0);
}

static void turn(void) {
    cr_assert_eq(client_rig_turn(&rig), 0);
}

/* Puts texts into the outbox; the number of the last. */
static uint64_t put(uint64_t to, uint32_t count) {
    struct outgoing message = {.to = to, .payload = (const uint8_t *)"text", .payload_bytes = 4};
    uint64_t number = 0;
    cr_assert_eq(state_begin(rig.state), 0);
    for (uint32_t i = 0; i < count; i++)
        cr_assert_eq(sealing_add(rig.state, &message, INNER_TEXT, &number), 0);
    cr_assert_eq(state_commit(rig.state), 0);
    return number;
}

static void answer_list(void) {
    uint8_t bytes[DEVICELIST_BYTES_MAX];
    struct frame_list list;
    struct frame frame = client_rig_expect(&rig, FRAME_LIST_GET);
    cr_assert_eq(frame_read_list(&frame, &list), 0);
    cr_assert_eq(list.account, RIG_OTHER);
    client_rig_expect_nothing(&rig);
    list.version = other_list.version;
    list.list_bytes = (uint32_t)devicelist_sign(&other_list, &other_account, bytes);
    list.list = bytes;
    say(frame_write_list(out, FRAME_LIST, &list));
    turn();
}

static void answer_keys(void) {
    struct frame_keys_get get;
    struct prekey_bundle bundle = {.signed_id = 1};
    uint8_t rows[4 * FRAME_KEYS_ROW_BYTES], bytes[PREKEY_BUNDLE_BYTES];
    struct frame frame = client_rig_expect(&rig, FRAME_KEYS_GET);
    cr_assert_eq(frame_read_keys_get(&frame, &get), 0);
    client_rig_expect_nothing(&rig);
    struct frame_keys keys = {.request = get.request, .account = get.account, .rows = rows};
    memcpy(bundle.identity, other_identity.public_key, IDENTITY_KEY_BYTES);
    memcpy(bundle.signed_public, other_prekey.public_key, PRIMITIVE_KEY_BYTES);
    prekey_sign(&other_prekey, &other_identity, bundle.signature);
    prekey_bundle_write(&bundle, bytes);
    for (uint32_t i = 0; i < other_list.count; i++) {
        if (get.device == 0 || get.device == other_list.devices[i].number)
            frame_write_keys_row(rows + keys.count++ * (size_t)FRAME_KEYS_ROW_BYTES,
                                 other_list.devices[i].number, bytes, NULL);
    }
    say(frame_write_keys(out, &keys));
    turn();
}

/* Brings it to the point where it can seal. */
static void introduce(void) {
    answer_list();
    answer_keys();
}

/* The next message, for these devices. Its payload is kept in *ret_parts where that is not NULL. */
static uint32_t expect_sealed(uint64_t number, bool first, uint16_t targets, uint8_t *ret_parts) {
    struct frame_message message;
    struct frame frame = client_rig_expect(&rig, FRAME_MESSAGE);
    cr_assert_eq(frame_read_message(&frame, &message), 0);
    cr_assert(frame_message_is_bare(&frame));
    cr_assert_eq(message.id.number, number);
    cr_assert_eq(message.content_type, CONTENT_SEALED);
    cr_assert_eq(message.target_count, targets);
    cr_assert_eq((frame.flags & MESSAGE_FIRST) != 0, first);
    cr_assert_null(memmem(message.payload, message.payload_bytes, "text", 4));
    if (ret_parts)
        memcpy(ret_parts, message.payload, message.payload_bytes);
    return message.payload_bytes;
}

static uint64_t commits(void) {
    return state_version(rig.state);
}

Test(engine_sealing, asks_for_list_and_keys_and_then_sends, .init = begin, .fini = end) {
    put(RIG_OTHER, 2);
    client_rig_connect(&rig);
    introduce();
    expect_sealed(1, true, 1, NULL);
    expect_sealed(2, false, 1, NULL);
    client_rig_expect_nothing(&rig);
}

Test(engine_sealing, the_same_bytes_are_sent_again, .init = begin, .fini = end) {
    static uint8_t before[FRAME_BYTES_MAX], after[FRAME_BYTES_MAX];
    put(RIG_OTHER, 1);
    client_rig_connect(&rig);
    introduce();
    uint32_t bytes = expect_sealed(1, true, 1, before);
    client_rig_restart(&rig);
    client_rig_connect(&rig);
    cr_assert_eq(expect_sealed(1, true, 1, after), bytes);
    cr_assert_eq(memcmp(before, after, bytes), 0);
}

Test(engine_sealing, what_goes_out_together_is_sealed_in_one_commit, .init = begin, .fini = end) {
    put(RIG_OTHER, 1);
    client_rig_connect(&rig);
    introduce();
    expect_sealed(1, true, 1, NULL);
    uint64_t before = commits() + 1; /* that of the outbox */
    put(RIG_OTHER, 300);
    for (uint64_t number = 2; number <= 301; number++) {
        while (rig.frame_at == rig.frame_count)
            turn();
        expect_sealed(number, false, 1, NULL);
    }
    cr_assert_eq(commits() - before, 1);
}

Test(engine_sealing, keeps_its_window, .init = begin, .fini = end) {
    rig.unticked_max = 20;
    put(RIG_OTHER, 30);
    client_rig_connect(&rig);
    introduce();
    for (uint64_t number = 1; number <= 10; number++)
        expect_sealed(number, number == 1, 1, NULL);
    client_rig_expect_nothing(&rig);
    client_rig_say_receipt(&rig, 1, 4, RECEIPT_SENT);
    turn();
    client_rig_expect_ack(&rig, 1);
    for (uint64_t number = 11; number <= 14; number++)
        expect_sealed(number, false, 1, NULL);
    client_rig_expect_nothing(&rig);
}

static void say_targets(uint16_t missing, uint16_t gone, uint16_t device, uint64_t number) {
    struct frame_targets targets = {
        .account = RIG_OTHER, .missing = missing, .gone = gone, .devices = {device}};
    say(frame_write_targets(out, &targets));
    client_rig_say_refused(&rig, number, REFUSAL_TARGETS, 10);
}

static uint16_t held(void) {
    cr_assert_eq(state_look(rig.state), 0);
    uint16_t reason = state_outbox_held(rig.state, RIG_OTHER);
    state_end(rig.state);
    return reason;
}

Test(engine_sealing, a_new_device_is_sealed_for_under_the_same_number, .init = begin, .fini = end) {
    put(RIG_OTHER, 2);
    client_rig_connect(&rig);
    introduce();
    expect_sealed(1, true, 1, NULL);
    expect_sealed(2, false, 1, NULL);
    other_list.version = 2;
    add_device(&other_list, 4, &other_identity);
    say_targets(1, 0, 4, 1);
    client_rig_say_refused(&rig, 2, REFUSAL_OUT_OF_ORDER, 10);
    turn();
    cr_assert_eq(held(), 0, "without a word to people");
    answer_list();
    client_rig_expect_nothing(&rig); /* it waits as it was told */
    rig.now_ms += 10;
    turn();
    answer_keys();
    expect_sealed(1, true, 2, NULL);
    expect_sealed(2, false, 2, NULL);
    client_rig_expect_nothing(&rig);
}

Test(engine_sealing, nothing_is_sealed_for_a_device_that_is_gone, .init = begin, .fini = end) {
    add_device(&other_list, 4, &other_identity);
    put(RIG_OTHER, 1);
    client_rig_connect(&rig);
    introduce();
    expect_sealed(1, true, 2, NULL);
    say_targets(0, 1, 4, 1);
    turn();
    answer_list();
    rig.now_ms += 10;
    turn();
    expect_sealed(1, true, 1, NULL);
    client_rig_expect_nothing(&rig);
}

/* The switch adds a device that the account has not signed. */
Test(engine_sealing, a_device_that_is_not_on_the_list_gets_nothing, .init = begin, .fini = end) {
    put(RIG_OTHER, 1);
    client_rig_connect(&rig);
    introduce();
    expect_sealed(1, true, 1, NULL);
    say_targets(1, 0, 9, 1);
    turn();
    answer_list();
    rig.now_ms += 10;
    turn();
    client_rig_expect_nothing(&rig);
    cr_assert_eq(held(), HOLD_STRANGE);
}

/* A message to another account does not wait for it. */
Test(engine_sealing, one_account_that_is_held_does_not_hold_another, .init = begin, .fini = end) {
    static const uint64_t third = RIG_OTHER + 1;
    struct frame_list list;
    put(RIG_OTHER, 1);
    client_rig_connect(&rig);
    introduce();
    expect_sealed(1, true, 1, NULL);
    put(third, 1);
    put(RIG_OTHER, 1);
    turn();
    struct frame frame = client_rig_expect(&rig, FRAME_LIST_GET);
    cr_assert_eq(frame_read_list(&frame, &list), 0);
    cr_assert_eq(list.account, third);
    expect_sealed(2, false, 1, NULL);
    client_rig_expect_nothing(&rig);
    list.status = REFUSAL_BLOCKED;
    say(frame_write_list(out, FRAME_LIST, &list));
    turn();
    client_rig_expect_nothing(&rig);
    cr_assert_eq(state_look(rig.state), 0);
    cr_assert_eq(state_outbox_reason(rig.state, third, 1, 1), REFUSAL_BLOCKED);
    state_end(rig.state);
}

/* What was lacking is asked for again after a while, and no turn comes too early for it. */
Test(engine_sealing, what_is_held_is_tried_again, .init = begin, .fini = end) {
    struct frame_list list;
    put(RIG_OTHER, 1);
    client_rig_connect(&rig);
    struct frame frame = client_rig_expect(&rig, FRAME_LIST_GET);
    cr_assert_eq(frame_read_list(&frame, &list), 0);
    list.status = REFUSAL_RATE;
    say(frame_write_list(out, FRAME_LIST, &list));
    turn();
    client_rig_expect_nothing(&rig);
    cr_assert_eq(held(), REFUSAL_RATE);
    uint64_t before = commits();
    turn();
    cr_assert_eq(commits(), before, "nothing is tried before its time");
    cr_assert_gt(engine_due_ms(rig.engine), rig.now_ms);
    rig.now_ms += SEALING_RETRY_S * 1000;
    say(frame_write_ping(out, FRAME_PONG, 0));
    turn();
    introduce();
    expect_sealed(1, true, 1, NULL);
}

/* --- receiving ------------------------------------------------------------------------------------------ */

static struct channels channels; /* of the other device with this one */

/* A text of the other device, sealed for this one. */
static void say_sealed(uint64_t number, const char *text) {
    struct channel_label label = {
        .to = RIG_ACCOUNT, .epoch = 5, .number = number, .content_type = CONTENT_SEALED};
    struct channel *channel = channels_active(&channels);
    uint8_t inner[256] = {0}, sealed[1024], nonce[PRIMITIVE_NONCE_BYTES] = {(uint8_t)number};
    memcpy(inner + INNER_TYPE_BYTES, text, strlen(text));
    size_t bytes = channel_sealed_bytes(channel, INNER_TYPE_BYTES + strlen(text), sizeof(sealed));
    cr_assert_eq(channel_seal(channel, &label, nonce, inner, INNER_TYPE_BYTES + strlen(text), sealed, bytes),
                 0);
    struct frame_message message = {
        .id = {.from = RIG_OTHER, .to = RIG_ACCOUNT, .epoch = 5, .number = number, .from_device = 1},
        .content_type = CONTENT_SEALED,
        .target_count = 1,
        .payload = sealed,
        .payload_bytes = (uint32_t)bytes};
    memset(out, 0, FRAME_MESSAGE_BYTES);
    say(frame_write_message(out, &message));
}

/* The device has published its keys; the other one begins a channel with them. */
static void begin_channel(void) {
    static struct state_keys_offer offer;
    struct frame_keys_stock stock = {0};
    struct prekey_bundle bundle;
    uint8_t bytes[PREKEY_BUNDLE_BYTES] = {0};
    struct channel_fresh fresh = {{8}, {9}};
    struct x3dh_end other = {.keys = &other_identity, .address = {.account = RIG_OTHER, .device = 1}};
    static struct channel channel;
    cr_assert_eq(state_begin(rig.state), 0);
    cr_assert_eq(state_keys_offer(rig.state, &stock, 1, &offer), 0);
    cr_assert_eq(state_commit(rig.state), 0);
    memcpy(bytes, offer.keys, FRAME_KEYS_BYTES);
    memcpy(bytes + FRAME_KEYS_BYTES, offer.one_time, FRAME_ONE_TIME_BYTES);
    cr_assert_eq(prekey_bundle_read(&bundle, bytes, sizeof(bytes)), 0);
    channels_init(&channels);
    cr_assert_eq(channel_initiate(&channel, &other,
                                  (struct x3dh_address){.account = RIG_ACCOUNT, .device = RIG_DEVICE},
                                  own_identity.public_key, &bundle, &fresh),
                 0);
    cr_assert_eq(channels_add(&channels, &channel), 0);
}

static uint32_t before_commits;

static int before_commit(void *context, struct state *state) {
    (void)context;
    (void)state;
    before_commits++;
    return 0;
}

/* The texts in the inbox, one after the other. */
static const char *shown(void) {
    static char texts[256];
    struct received message;
    uint64_t position = 0;
    texts[0] = 0;
    cr_assert_eq(state_look(rig.state), 0);
    while (state_inbox_next(rig.state, position + 1, &message) == 0) {
        position = message.position;
        cr_assert(message.is_sealed);
        cr_assert_eq(message.content_type, INNER_TEXT);
        strncat(texts, (const char *)message.payload, message.payload_bytes);
        strcat(texts, "|");
    }
    state_end(rig.state);
    return texts;
}

/* The name of RIG_OTHER is asked for with its first message: the question, and its answer. */
static struct frame_lookup expect_lookup(void) {
    struct frame_lookup lookup;
    struct frame frame = client_rig_expect(&rig, FRAME_LOOKUP);
    cr_assert_eq(frame_read_lookup(&frame, &lookup), 0);
    cr_assert_eq(lookup.account, RIG_OTHER);
    return lookup;
}

static void answer_name(struct frame_lookup lookup) {
    lookup.name = "other";
    lookup.name_bytes = 5;
    say(frame_write_lookup(out, FRAME_ACCOUNT, &lookup));
    turn();
}

Test(engine_sealing, what_waits_for_a_name_and_a_list_is_shown_when_they_came, .init = begin, .fini = end) {
    client_rig_connect(&rig);
    begin_channel();
    engine_set_before_commit(rig.engine, before_commit, NULL);
    say_sealed(1, "one");
    say_sealed(2, "two");
    turn();
    client_rig_expect_ack(&rig, 2);
    struct frame_lookup lookup = expect_lookup();
    answer_list();
    cr_assert_str_eq(shown(), "", "by which name is not known yet");
    before_commits = 0;
    answer_name(lookup);
    cr_assert_str_eq(shown(), "one|two|");
    cr_assert_eq(before_commits, 1, "whoever writes messages to a file has them in that transaction");
    say_sealed(3, "three");
    turn();
    client_rig_expect_ack(&rig, 3);
    cr_assert_str_eq(shown(), "one|two|three|");
    channels_fini(&channels);
}

/* A message that does not open is passed over, so that nobody hears that it was delivered. */
Test(engine_sealing, what_does_not_open_is_not_delivered, .init = begin, .fini = end) {
    client_rig_connect(&rig);
    begin_channel();
    say_sealed(1, "one");
    turn();
    client_rig_expect_ack(&rig, 1);
    struct frame_lookup lookup = expect_lookup();
    answer_list();
    answer_name(lookup);
    cr_assert_str_eq(shown(), "one|");
    struct frame_message message = {
        .id = {.from = RIG_OTHER, .to = RIG_ACCOUNT, .epoch = 5, .number = 2, .from_device = 1},
        .content_type = CONTENT_SEALED,
        .target_count = 1,
        .payload = (const uint8_t *)"\001\001 what nobody has sealed",
        .payload_bytes = 24};
    memset(out, 0, FRAME_MESSAGE_BYTES);
    say(frame_write_message(out, &message));
    turn();
    struct frame frame = client_rig_expect(&rig, FRAME_MARK);
    cr_assert_eq(frame.flags, RECEIPT_FAILED);
    client_rig_expect_ack(&rig, 2);
    cr_assert_eq(state_look(rig.state), 0);
    cr_assert_eq(opening_count(rig.state, TROUBLE_MALFORMED), 1);
    state_end(rig.state);
    channels_fini(&channels);
}
