/* What section 8 of docs/PROTOCOL.md shows of sealed messages: the code makes these bytes of the page's
 * secrets, and opens them. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "tests/support/page.h"
#include "tests/support/publisher.h"
#include "tools/client/content.h"
#include "tools/client/e2e/channel.h"
#include "tools/client/e2e/devicelist.h"
#include "tools/client/e2e/safety.h"
#include "tools/client/pairing.h"

TestSuite(protocol_sealed, .timeout = 30);

#define CREATED_S UINT64_C(1700000000)
#define SEALED_BYTES_MAX 512u
#define TEXT "\0\0hello" /* inner type 0 */
#define ANSWER "\0\0hello, anna"

static const struct x3dh_address anna = {.account = 1, .device = 1}, bob = {.account = 2, .device = 1};

/* A secret of the page: so many bytes that rise by one from the first. */
static const uint8_t *rising(uint8_t first) {
    static uint8_t bytes[256 + PRIMITIVE_KEY_BYTES];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)i;
    return bytes + first;
}

static struct identity_keys keys_of(uint8_t first) {
    struct identity_keys keys;
    identity_keys_init(&keys, rising(first));
    return keys;
}

Test(protocol_sealed, signed_list_of_the_page_is_what_the_code_signs_and_reads) {
    struct identity_keys signing = keys_of(0x00), identity = keys_of(0x40);
    struct devicelist list = {.account = 1, .version = 1, .created_s = CREATED_S}, read;
    struct devicelist_device device = {.number = 1, .created_s = CREATED_S};
    uint8_t bytes[DEVICELIST_BYTES_MAX];
    memcpy(device.identity, identity.public_key, IDENTITY_KEY_BYTES);
    cr_assert_eq(devicelist_add(&list, &device), 0);
    page_expect("device list of anna", bytes, devicelist_sign(&list, &signing, bytes));
    struct page_block block = page_block("device list of anna");
    cr_assert_eq(devicelist_read(&read, 1, signing.public_key, block.bytes, block.count), 0);
    cr_assert_eq(memcmp(read.devices[0].identity, identity.public_key, IDENTITY_KEY_BYTES), 0);
}

/* What bob's device has left with the switch. */
static struct prekey_bundle bobs_bundle(const struct identity_keys *keys, const struct prekey *signed_prekey,
                                        const struct prekey *one_time) {
    uint8_t bytes[PREKEY_BUNDLE_BYTES];
    struct prekey_bundle bundle = {.signed_id = signed_prekey->id, .one_time_id = one_time->id};
    memcpy(bundle.identity, keys->public_key, IDENTITY_KEY_BYTES);
    memcpy(bundle.signed_public, signed_prekey->public_key, PRIMITIVE_KEY_BYTES);
    memcpy(bundle.one_time_public, one_time->public_key, PRIMITIVE_KEY_BYTES);
    prekey_sign(signed_prekey, keys, bundle.signature);
    prekey_bundle_write(&bundle, bytes);
    page_expect("keys of bob's device, one-time pre-key", bytes, sizeof(bytes));
    return bundle;
}

static void seal(struct channel *channel, const struct channel_label *label, uint8_t nonce, const void *text,
                 size_t text_bytes, const char *name) {
    uint8_t sealed[SEALED_BYTES_MAX];
    size_t bytes = channel_sealed_bytes(channel, text_bytes, sizeof(sealed));
    cr_assert_eq(channel_seal(channel, label, rising(nonce), text, text_bytes, sealed, bytes), 0);
    page_expect(name, sealed, bytes);
}

Test(protocol_sealed, messages_of_the_page_are_sealed_and_opened) {
    struct identity_keys annas = keys_of(0x40), bobs = keys_of(0x60);
    struct prekey signed_prekey, one_time;
    struct channel *one = calloc(2, sizeof(*one)), *other = one + 1;
    struct channel_fresh fresh;
    struct channel_message message;
    struct channel_label label = {
        .to = 2, .epoch = 0x1122334455667788, .number = 2, .content_type = CONTENT_SEALED};
    struct channel_label answer = {
        .to = 1, .epoch = 0x99aabbccddeeff01, .number = 2, .content_type = CONTENT_SEALED};
    struct x3dh_end anna_end = {.keys = &annas, .address = anna}, bob_end = {.keys = &bobs, .address = bob};
    uint8_t text[SEALED_BYTES_MAX];
    size_t bytes;
    prekey_init(&signed_prekey, 1, CREATED_S, rising(0x80));
    prekey_init(&one_time, 1, CREATED_S, rising(0xa0));
    struct prekey_bundle bundle = bobs_bundle(&bobs, &signed_prekey, &one_time);
    memcpy(fresh.ephemeral, rising(0xc0), sizeof(fresh.ephemeral));
    memcpy(fresh.ratchet, rising(0xe0), sizeof(fresh.ratchet));
    cr_assert_eq(channel_initiate(one, &anna_end, bob, bobs.public_key, &bundle, &fresh), 0);
    seal(one, &label, 0x30, TEXT, sizeof(TEXT) - 1, "initial message");

    struct page_block block = page_block("initial message");
    cr_assert_eq(channel_message_read(&message, block.bytes, block.count), 0);
    cr_assert_eq(message.kind, CHANNEL_INITIAL);
    cr_assert_eq(channel_accept(other, &bob_end, anna, annas.public_key, &signed_prekey, &one_time, &message,
                                &label, rising(0x08), text, &bytes),
                 0);
    cr_assert(bytes == sizeof(TEXT) - 1 && memcmp(text, TEXT, bytes) == 0);
    seal(other, &answer, 0x50, ANSWER, sizeof(ANSWER) - 1, "ordinary message");

    block = page_block("ordinary message");
    cr_assert_eq(channel_message_read(&message, block.bytes, block.count), 0);
    cr_assert_eq(message.kind, CHANNEL_ORDINARY);
    cr_assert_eq(channel_open(one, &message, &answer, rising(0x28), text, &bytes), 0);
    cr_assert(bytes == sizeof(ANSWER) - 1 && memcmp(text, ANSWER, bytes) == 0);
    free(one);
}

Test(protocol_sealed, pairing_of_the_page_is_taken_by_who_invited, .init = publisher_begin_bare,
     .fini = publisher_end) {
    struct identity_keys identity = keys_of(0x18);
    struct identity own = {.account = 1, .device = 1};
    struct devicelist_device found;
    uint8_t said[PRIMITIVE_NONCE_BYTES + IDENTITY_KEY_BYTES + PRIMITIVE_TAG_BYTES],
        data[12 + 10] = "tern pairing";
    bytes_put64(data + 12, 1);
    bytes_put16(data + 20, 2);
    memcpy(said, rising(0x70), PRIMITIVE_NONCE_BYTES);
    memcpy(said + PRIMITIVE_NONCE_BYTES, identity.public_key, IDENTITY_KEY_BYTES);
    primitive_seal(rising(0x90), said, data, sizeof(data), said + PRIMITIVE_NONCE_BYTES, IDENTITY_KEY_BYTES);
    page_expect("pairing", said, sizeof(said));
    struct page_block block = page_block("pairing");
    struct frame_message message = {.id = {.from = 1, .to = 1, .epoch = 9, .number = 1, .from_device = 2},
                                    .content_type = CONTENT_PAIRING,
                                    .payload = block.bytes,
                                    .payload_bytes = (uint32_t)block.count};
    cr_assert_eq(state_begin(rig.state), 0);
    pairing_invite(rig.state, rising(0x90), CREATED_S + 60);
    cr_assert_eq(pairing_take(rig.state, &own, &message, CREATED_S), 0);
    cr_assert_eq(pairing_found(rig.state, &found), 0);
    cr_assert_eq(found.number, 2);
    cr_assert_eq(memcmp(found.identity, identity.public_key, IDENTITY_KEY_BYTES), 0);
    cr_assert_eq(state_commit(rig.state), 0);
}

Test(protocol_sealed, safety_number_of_the_page_is_that_of_its_keys) {
    struct identity_keys annas = keys_of(0x00), bobs = keys_of(0x20);
    char digits[SAFETY_DIGITS + 1];
    safety_number(1, annas.public_key, 2, bobs.public_key, digits);
    cr_assert_not_null(strstr(page_text(), digits), "the page has not %s", digits);
}
