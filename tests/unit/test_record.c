/* Records: what one end seals the other opens, in order and unchanged, or not at all. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "core/bytes.h"
#include "core/record.h"

TestSuite(record, .timeout = 30);

static struct noise_cipher_state sender, receiver;
static uint8_t space[256];

static void begin(enum noise_cipher cipher) {
    static const uint8_t key[NOISE_KEY_BYTES] = {1, 2, 3};
    cr_assert_eq(noise_init(), 0);
    noise_cipher_init(&sender, cipher, key);
    noise_cipher_init(&receiver, cipher, key);
}

static size_t seal(const char *text) {
    memset(space, 0, sizeof(space));
    memcpy(space + RECORD_LENGTH_BYTES, text, strlen(text));
    return record_seal(&sender, space, strlen(text));
}

static int open_record(size_t *ret_bytes) {
    return record_open(&receiver, space + RECORD_LENGTH_BYTES, record_sealed_bytes(space), ret_bytes);
}

static void expect_passes(const char *text) {
    size_t bytes = 0, sealed_bytes = seal(text);
    cr_assert_eq(sealed_bytes, strlen(text) + record_overhead_bytes(&sender));
    cr_assert_eq(sealed_bytes, RECORD_LENGTH_BYTES + record_sealed_bytes(space));
    cr_assert_eq(open_record(&bytes), 0);
    cr_assert(bytes == strlen(text) && memcmp(space + RECORD_LENGTH_BYTES, text, bytes) == 0);
}

Test(record, what_is_sealed_opens_at_the_other_end) {
    begin(NOISE_CHACHAPOLY);
    expect_passes("hello");
    expect_passes("");
    expect_passes("hello again");
    cr_assert_eq(record_overhead_bytes(&sender), RECORD_LENGTH_BYTES + NOISE_TAG_BYTES);
}

Test(record, plaintext_has_its_length_in_front_and_nothing_else) {
    begin(NOISE_PLAIN);
    expect_passes("hello");
    cr_assert_eq(record_overhead_bytes(&sender), RECORD_LENGTH_BYTES);
    cr_assert_eq(bytes_get16(space), 5);
    cr_assert_eq(memcmp(space + RECORD_LENGTH_BYTES, "hello", 5), 0);
}

Test(record, changed_byte_anywhere_does_not_open) {
    size_t bytes, whole_bytes;
    begin(NOISE_CHACHAPOLY);
    whole_bytes = seal("hello");
    for (size_t at = RECORD_LENGTH_BYTES; at < whole_bytes; at++) {
        begin(NOISE_CHACHAPOLY);
        cr_assert_eq(seal("hello"), whole_bytes);
        space[at] ^= 1;
        cr_assert_eq(open_record(&bytes), -EBADMSG, "byte %zu", at);
    }
}

Test(record, record_that_comes_twice_or_after_a_lost_one_does_not_open) {
    size_t bytes;
    uint8_t first[sizeof(space)];
    begin(NOISE_CHACHAPOLY);
    seal("first");
    memcpy(first, space, sizeof(first));
    cr_assert_eq(open_record(&bytes), 0);
    memcpy(space, first, sizeof(first));
    cr_assert_eq(open_record(&bytes), -EBADMSG, "twice");
    begin(NOISE_CHACHAPOLY);
    seal("lost");
    seal("next");
    cr_assert_eq(open_record(&bytes), -EBADMSG, "after a lost one");
}

Test(record, what_is_shorter_than_its_tag_does_not_open) {
    size_t bytes;
    begin(NOISE_CHACHAPOLY);
    for (size_t count = 0; count < NOISE_TAG_BYTES; count++)
        cr_assert_eq(record_open(&receiver, space, count, &bytes), -EBADMSG);
}

/* The nonce of the record before the last of a key: so the next but one is under the next key at both
 * ends. */
Test(record, both_ends_change_the_key_after_the_same_record) {
    uint8_t before[NOISE_KEY_BYTES];
    begin(NOISE_CHACHAPOLY);
    sender.nonce = receiver.nonce = RECORD_REKEY_EVERY - 2;
    memcpy(before, sender.key, sizeof(before));
    expect_passes("the last but one");
    cr_assert_eq(memcmp(sender.key, before, sizeof(before)), 0);
    expect_passes("the last");
    cr_assert_neq(memcmp(sender.key, before, sizeof(before)), 0);
    cr_assert_eq(memcmp(sender.key, receiver.key, sizeof(before)), 0);
    cr_assert_eq(sender.nonce, RECORD_REKEY_EVERY, "the nonce goes on");
    expect_passes("the first of the next key");
}
