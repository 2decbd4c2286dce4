#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "core/noise.h"
#include "tests/support/e2e_rig.h"
#include "tools/client/e2e/padding.h"

static struct e2e_device alice, bob, carol;
static uint64_t randomness;

static void begin(void) {
    cr_assert_eq(noise_init(), 0);
    randomness = 3;
    e2e_device_init(&alice, &randomness, 7, 1);
    e2e_device_init(&bob, &randomness, 9, 2);
    e2e_device_init(&carol, &randomness, 11, 1);
}

static void end(void) {
    e2e_device_fini(&alice);
    e2e_device_fini(&bob);
    e2e_device_fini(&carol);
}

TestSuite(channel, .init = begin, .fini = end);
TestSuite(channels, .init = begin, .fini = end);

static struct e2e_message sealed(struct e2e_device *from, const struct e2e_device *to) {
    static struct e2e_message message;
    cr_assert_eq(e2e_device_seal(from, to, 10, &message), 0);
    return message;
}

static enum channel_kind kind_of(const struct e2e_message *message) {
    struct channel_message read;
    cr_assert_eq(channel_message_read(&read, message->sealed, message->sealed_bytes), 0);
    return read.kind;
}

/* An initial message and its answer. */
static void establish(void) {
    cr_assert_eq(e2e_device_begin(&alice, &bob, true), 0);
    struct e2e_message message = sealed(&alice, &bob);
    cr_assert_eq(e2e_device_open(&bob, &alice, &message), 0);
    message = sealed(&bob, &alice);
    cr_assert_eq(e2e_device_open(&alice, &bob, &message), 0);
}

Test(channel, messages_are_initial_ones_until_an_answer_came) {
    cr_assert_eq(e2e_device_begin(&alice, &bob, true), 0);
    struct e2e_message first = sealed(&alice, &bob), second = sealed(&alice, &bob);
    cr_assert_eq(kind_of(&first), CHANNEL_INITIAL);
    cr_assert_eq(kind_of(&second), CHANNEL_INITIAL);
    cr_assert_eq(e2e_device_open(&bob, &alice, &second), 0, "whichever comes first begins it");
    cr_assert_eq(e2e_device_open(&bob, &alice, &first), 0);
    cr_assert_eq(bob.channels.count, 1);
    struct e2e_message answer = sealed(&bob, &alice);
    cr_assert_eq(kind_of(&answer), CHANNEL_ORDINARY);
    cr_assert_eq(e2e_device_open(&alice, &bob, &answer), 0);
    struct e2e_message third = sealed(&alice, &bob);
    cr_assert_eq(kind_of(&third), CHANNEL_ORDINARY);
    cr_assert_eq(e2e_device_open(&bob, &alice, &third), 0);
}

Test(channel, every_field_of_the_label_is_sealed_with_the_message) {
    establish();
    struct e2e_message message = sealed(&alice, &bob);
    for (int field = 0; field < 4; field++) {
        struct e2e_message wrong = message;
        wrong.label.to += field == 0;
        wrong.label.epoch += field == 1;
        wrong.label.number += field == 2;
        wrong.label.content_type = (uint16_t)(wrong.label.content_type + (field == 3));
        cr_assert_eq(e2e_device_open(&bob, &alice, &wrong), -EBADMSG, "field %d", field);
    }
    cr_assert_eq(e2e_device_open(&bob, &alice, &message), 0);
}

Test(channel, no_byte_of_an_initial_message_can_be_changed) {
    cr_assert_eq(e2e_device_begin(&alice, &bob, true), 0);
    struct e2e_message message = sealed(&alice, &bob);
    for (size_t i = 0; i < message.sealed_bytes; i++) {
        for (int bit = 0; bit < 8; bit += 7) { /* X25519 does not look at a key's last bit */
            message.sealed[i] ^= (uint8_t)(1 << bit);
            cr_assert_neq(e2e_device_open(&bob, &alice, &message), 0, "byte %zu", i);
            message.sealed[i] ^= (uint8_t)(1 << bit);
        }
    }
    cr_assert_eq(bob.channels.count, 0);
    cr_assert_eq(e2e_device_open(&bob, &alice, &message), 0);
}

Test(channel, message_does_not_come_back_as_the_others) {
    establish();
    struct e2e_message message = sealed(&alice, &bob);
    cr_assert_neq(e2e_device_open(&alice, &bob, &message), 0);
    struct e2e_message next = sealed(&bob, &alice);
    cr_assert_eq(e2e_device_open(&alice, &bob, &next), 0);
}

Test(channel, ends_that_are_not_those_of_the_channel_open_nothing) {
    cr_assert_eq(e2e_device_begin(&alice, &bob, false), 0);
    struct e2e_message message = sealed(&alice, &bob);
    struct x3dh_address real = alice.address;
    alice.address.device = 2; /* as if the switch said so */
    cr_assert_eq(e2e_device_open(&bob, &alice, &message), -EBADMSG);
    alice.address = real;
    alice.address.account = 8;
    cr_assert_eq(e2e_device_open(&bob, &alice, &message), -EBADMSG);
    alice.address = real;
    cr_assert_eq(e2e_device_open(&carol, &alice, &message), -EBADMSG);
    cr_assert_eq(e2e_device_open(&bob, &alice, &message), 0);
}

Test(channel, identity_key_that_is_not_on_the_list_is_refused) {
    struct e2e_device *mallory = &carol;
    struct prekey_bundle bundle;
    static struct channel channel;
    struct channel_fresh fresh = {{1}, {2}};
    struct x3dh_end own = {.keys = &alice.keys, .address = alice.address};
    e2e_device_bundle(mallory, true, &bundle);
    cr_assert_eq(channel_initiate(&channel, &own, bob.address, bob.keys.public_key, &bundle, &fresh),
                 -EKEYREJECTED, "a switch that hands out its own bundle");
    cr_assert_eq(e2e_device_begin(mallory, &bob, true), 0);
    struct e2e_message message = sealed(mallory, &bob);
    struct e2e_device claimed = alice;
    cr_assert_eq(e2e_device_open(&bob, &claimed, &message), -EKEYREJECTED, "and a sender's");
    cr_assert_eq(bob.channels.count, 0);
}

Test(channel, prekeys_that_are_gone_are_named) {
    cr_assert_eq(e2e_device_begin(&alice, &bob, true), 0);
    struct e2e_message message = sealed(&alice, &bob);
    struct prekey used = bob.one_time[0];
    prekey_fini(&bob.one_time[0]);
    cr_assert_eq(e2e_device_open(&bob, &alice, &message), -ENOKEY);
    bob.one_time[0] = used;
    bob.signed_prekey.id = 2; /* rotated, and the old one not kept */
    cr_assert_eq(e2e_device_open(&bob, &alice, &message), -ENOKEY);
    bob.signed_prekey.id = 1;
    cr_assert_eq(e2e_device_open(&bob, &alice, &message), 0);
}

Test(channel, last_resort_is_a_channel_without_one_time_prekey) {
    cr_assert_eq(e2e_device_begin(&alice, &bob, false), 0);
    struct e2e_message message = sealed(&alice, &bob);
    cr_assert_eq(e2e_device_open(&bob, &alice, &message), 0);
    cr_assert_eq(bob.one_time[0].id, 1, "none was used");
    message = sealed(&bob, &alice);
    cr_assert_eq(e2e_device_open(&alice, &bob, &message), 0);
}

Test(channel, length_says_one_of_few_things) {
    establish();
    const struct channel *channel = channels_active(&alice.channels);
    size_t least = channel_sealed_bytes(channel, 0, 64000);
    for (size_t bytes = 0; bytes < PADDING_BYTES_MIN; bytes++)
        cr_assert_eq(channel_sealed_bytes(channel, bytes, 64000), least);
    cr_assert_gt(channel_sealed_bytes(channel, PADDING_BYTES_MIN, 64000), least);
    size_t most = channel_text_bytes_max(64000);
    cr_assert_leq(channel_sealed_bytes(channel, most, 64000), 64000);
    cr_assert_eq(channel_sealed_bytes(channel, 64000, 64000), 0);
    cr_assert_eq(channel_sealed_bytes(channel, 0, CHANNEL_PREFIX_BYTES + RATCHET_OVERHEAD_BYTES), 0);
    cr_assert_eq(channel_text_bytes_max(100), 0);
    static struct channel fresh;
    cr_assert_neq(channel_sealed_bytes(&fresh, most, 64000), 0, "with the header of X3DH too");
    cr_assert_eq(channel_sealed_bytes(&fresh, most + 1, 64000), 0);
}

Test(channel, text_that_was_not_padded_is_none_and_comes_once) {
    establish();
    struct e2e_message message;
    cr_assert_eq(e2e_device_seal(&alice, &bob, 0, &message), 0);
    static struct ratchet copy;
    struct channel *channel = channels_active(&alice.channels);
    copy = channel->ratchet;
    uint8_t associated[X3DH_ASSOCIATED_BYTES + X3DH_HEADER_BYTES + 37] = {0};
    uint8_t nonce[PRIMITIVE_NONCE_BYTES] = {5}, text[300] = {0};
    memcpy(associated, channel->associated, X3DH_ASSOCIATED_BYTES);
    uint8_t *at = associated + X3DH_ASSOCIATED_BYTES;
    x3dh_header_write(&channel->header, at);
    at += X3DH_HEADER_BYTES;
    at[0] = CHANNEL_VERSION;
    at[1] = 7;  /* from account */
    at[9] = 1;  /* and device */
    at[11] = 9; /* to */
    at[19] = 9; /* epoch */
    at[27] = (uint8_t)message.label.number;
    at[35] = 3; /* content type */
    message.sealed_bytes = CHANNEL_PREFIX_BYTES + RATCHET_OVERHEAD_BYTES + sizeof(text);
    cr_assert_eq(ratchet_seal(&copy, associated, sizeof(associated), nonce, text, sizeof(text),
                              message.sealed + CHANNEL_PREFIX_BYTES),
                 0);
    cr_assert_eq(e2e_device_open(&bob, &alice, &message), -ENOMSG);
    cr_assert_eq(e2e_device_open(&bob, &alice, &message), -EALREADY);
}

Test(channel, text_that_could_not_be_sealed_does_not_stay) {
    static struct e2e_message message;
    static const uint8_t zeros[E2E_SEALED_BYTES_MAX];
    establish();
    channels_active(&alice.channels)->ratchet.state.sent = UINT32_MAX;
    cr_assert_eq(e2e_device_seal(&alice, &bob, 100, &message), -EOVERFLOW);
    cr_assert_eq(memcmp(message.sealed, zeros, sizeof(zeros)), 0);
}

Test(channel, malformed_messages_are_refused) {
    struct channel_message read;
    establish();
    struct e2e_message message = sealed(&alice, &bob);
    for (size_t bytes = 0; bytes <= CHANNEL_PREFIX_BYTES + RATCHET_OVERHEAD_BYTES; bytes++)
        cr_assert_eq(channel_message_read(&read, message.sealed, bytes), -EBADMSG);
    message.sealed[1] = 3;
    cr_assert_eq(channel_message_read(&read, message.sealed, message.sealed_bytes), -EBADMSG);
    message.sealed[0] = 2;
    cr_assert_eq(channel_message_read(&read, message.sealed, message.sealed_bytes), -EPROTO);
    message.sealed[0] = 0;
    cr_assert_eq(channel_message_read(&read, message.sealed, message.sealed_bytes), -EBADMSG);
    cr_assert_eq(e2e_device_begin(&alice, &carol, false), 0);
    message = sealed(&alice, &carol);
    memset(message.sealed + 66, 0, 4); /* the signed pre-key's id */
    cr_assert_eq(channel_message_read(&read, message.sealed, message.sealed_bytes), -EBADMSG);
}

Test(channels, two_that_begin_at_once_end_up_in_one) {
    cr_assert_eq(e2e_device_begin(&alice, &bob, true), 0);
    cr_assert_eq(e2e_device_begin(&bob, &alice, true), 0);
    struct e2e_message one = sealed(&alice, &bob), other = sealed(&bob, &alice);
    cr_assert_eq(e2e_device_open(&bob, &alice, &one), 0);
    cr_assert_eq(e2e_device_open(&alice, &bob, &other), 0);
    for (int i = 0; i < 4; i++) {
        one = sealed(&alice, &bob);
        cr_assert_eq(e2e_device_open(&bob, &alice, &one), 0);
        other = sealed(&bob, &alice);
        cr_assert_eq(e2e_device_open(&alice, &bob, &other), 0);
    }
    cr_assert_eq(alice.channels.count, 2);
    uint8_t *ephemeral = channels_active(&alice.channels)->header.ephemeral;
    cr_assert_arr_eq(ephemeral, channels_active(&bob.channels)->header.ephemeral, PRIMITIVE_KEY_BYTES);
}

Test(channels, message_of_an_older_channel_still_opens) {
    establish();
    struct e2e_message late = sealed(&alice, &bob);
    cr_assert_eq(e2e_device_begin(&alice, &bob, true), 0);
    struct e2e_message message = sealed(&alice, &bob);
    cr_assert_eq(e2e_device_open(&bob, &alice, &message), 0);
    cr_assert_eq(e2e_device_open(&bob, &alice, &late), 0);
    cr_assert_eq(e2e_device_open(&bob, &alice, &late), -EALREADY);
    cr_assert_eq(bob.channels.count, 2);
}

Test(channels, device_that_lost_its_state_begins_anew_and_is_heard) {
    establish();
    channels_fini(&alice.channels);
    cr_assert_eq(e2e_device_begin(&alice, &bob, true), 0);
    struct e2e_message message = sealed(&alice, &bob);
    cr_assert_eq(e2e_device_open(&bob, &alice, &message), 0);
    message = sealed(&bob, &alice);
    cr_assert_eq(e2e_device_open(&alice, &bob, &message), 0, "answered in the channel that was begun last");
}

Test(channels, no_more_than_so_many_and_the_unused_go_first) {
    struct e2e_message first, message;
    establish();
    first = sealed(&alice, &bob);
    for (unsigned i = 0; i < CHANNELS_MAX; i++) {
        cr_assert_eq(e2e_device_begin(&alice, &bob, i % 2), 0);
        message = sealed(&alice, &bob);
        cr_assert_eq(e2e_device_open(&bob, &alice, &message), 0);
    }
    cr_assert_eq(alice.channels.count, CHANNELS_MAX);
    cr_assert_eq(bob.channels.count, CHANNELS_MAX);
    cr_assert_eq(e2e_device_open(&bob, &alice, &first), -EBADMSG, "of the channel that went");
}

Test(channels, state_goes_through_the_store) {
    cr_assert_eq(e2e_device_begin(&alice, &bob, true), 0);
    e2e_device_restart(&alice);
    struct e2e_message message = sealed(&alice, &bob);
    cr_assert_eq(kind_of(&message), CHANNEL_INITIAL);
    cr_assert_eq(e2e_device_open(&bob, &alice, &message), 0);
    e2e_device_restart(&bob);
    message = sealed(&bob, &alice);
    cr_assert_eq(e2e_device_open(&alice, &bob, &message), 0);
    e2e_device_restart(&alice);
    message = sealed(&alice, &bob);
    cr_assert_eq(kind_of(&message), CHANNEL_ORDINARY);
    cr_assert_eq(e2e_device_open(&bob, &alice, &message), 0);
    cr_assert_eq(channels_active(&alice.channels)->own.account, 7);
    cr_assert_eq(channels_active(&alice.channels)->remote.device, 2);
    cr_assert_eq(channels_active(&bob.channels)->own.device, 2);
    cr_assert_eq(channels_active(&bob.channels)->remote.account, 7);
}

Test(channels, damaged_state_is_named) {
    static uint8_t bytes[CHANNELS_STATE_BYTES_MAX];
    struct channels read;
    establish();
    cr_assert_eq(e2e_device_begin(&alice, &bob, true), 0);
    size_t count = channels_write(&alice.channels, bytes);
    cr_assert_eq(count, channels_state_bytes(&alice.channels));
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(channels_read(&read, bytes, i), -EUCLEAN, "%zu bytes", i);
    cr_assert_eq(channels_read(&read, bytes, count + 1), -EUCLEAN);
    for (size_t i = 0; i < 12; i++) { /* versions, counts, lengths, flags */
        uint8_t was = bytes[i];
        bytes[i] ^= 0x84;
        cr_assert_neq(channels_read(&read, bytes, count), 0, "byte %zu", i);
        bytes[i] = was;
    }
    bytes[0]++;
    cr_assert_eq(channels_read(&read, bytes, count), -EPROTO);
}
