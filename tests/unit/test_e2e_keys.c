#include <criterion/criterion.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "core/msg.h"
#include "core/noise.h"
#include "tests/support/e2e_rig.h"
#include "tools/client/e2e/devicelist.h"
#include "tools/client/e2e/lock.h"
#include "tools/client/e2e/padding.h"
#include "tools/client/e2e/safety.h"

_Static_assert(DEVICELIST_DEVICES_MAX == DEVICES_MAX, "as many as an account may have");

static const uint8_t seed[32] = {1}, other_seed[32] = {2};

static void hex(const char *text, uint8_t *ret_bytes, size_t count) {
    size_t got = 0;
    cr_assert(sodium_hex2bin(ret_bytes, count, text, strlen(text), NULL, &got, NULL) == 0 && got == count);
}

/* --- primitives: vectors of their specifications -------------------------------------------------------- */

Test(primitive, hkdf_is_that_of_rfc_5869) {
    /* Appendix A.3: no salt, no info; the first two blocks of 42 bytes. */
    uint8_t material[22], salt[32] = {0}, first[32], second[32], expected[42];
    memset(material, 0x0b, sizeof(material));
    hex("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8", expected, 42);
    primitive_hkdf(salt, material, sizeof(material), "", first, second);
    cr_assert_arr_eq(first, expected, 32);
    cr_assert_arr_eq(second, expected + 32, 10);
    primitive_hkdf(salt, material, sizeof(material), "", second, NULL);
    cr_assert_arr_eq(second, expected, 32);
}

Test(primitive, agreement_is_that_of_rfc_7748) {
    /* Section 6.1. */
    uint8_t alice[32], bob_public[32], expected[32], shared[32], zeros[32] = {0};
    hex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a", alice, 32);
    hex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f", bob_public, 32);
    hex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742", expected, 32);
    cr_assert_eq(primitive_agree(alice, bob_public, shared), 0);
    cr_assert_arr_eq(shared, expected, 32);
    primitive_public(alice, shared);
    hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a", expected, 32);
    cr_assert_arr_eq(shared, expected, 32);
    cr_assert_eq(primitive_agree(alice, zeros, shared), -EBADMSG);
    cr_assert_arr_eq(shared, expected, 32, "written on success only");
}

/* --- identity ------------------------------------------------------------------------------------------- */

Test(identity, signature_holds_for_its_bytes_and_key_alone) {
    struct identity_keys keys, others;
    uint8_t signature[PRIMITIVE_SIGNATURE_BYTES], bytes[] = "text";
    cr_assert_eq(noise_init(), 0);
    identity_keys_init(&keys, seed);
    identity_keys_init(&others, other_seed);
    identity_sign(&keys, bytes, sizeof(bytes), signature);
    cr_assert_eq(identity_verify(keys.public_key, bytes, sizeof(bytes), signature), 0);
    cr_assert_eq(identity_verify(others.public_key, bytes, sizeof(bytes), signature), -EKEYREJECTED);
    cr_assert_eq(identity_verify(keys.public_key, bytes, sizeof(bytes) - 1, signature), -EKEYREJECTED);
    signature[5] ^= 1;
    cr_assert_eq(identity_verify(keys.public_key, bytes, sizeof(bytes), signature), -EKEYREJECTED);
}

Test(identity, secrets_are_wiped) {
    struct identity_keys keys, zeros = {0};
    struct prekey prekey, no_prekey = {0};
    identity_keys_init(&keys, seed);
    identity_keys_fini(&keys);
    cr_assert_eq(memcmp(&keys, &zeros, sizeof(keys)), 0);
    memset(&prekey, 0, sizeof(prekey));
    prekey_init(&prekey, 1, 2, seed);
    prekey_fini(&prekey);
    cr_assert_eq(memcmp(&prekey, &no_prekey, sizeof(prekey)), 0);
}

/* --- pre-keys ------------------------------------------------------------------------------------------- */

Test(prekeys, bundle_is_verified_against_the_identity_of_the_list) {
    static struct e2e_device device;
    struct identity_keys others;
    struct prekey_bundle bundle;
    uint64_t random = 1;
    identity_keys_init(&others, other_seed);
    e2e_device_init(&device, &random, 1, 1);
    e2e_device_bundle(&device, true, &bundle);
    cr_assert_eq(prekey_bundle_verify(&bundle, device.keys.public_key), 0);
    cr_assert_eq(prekey_bundle_verify(&bundle, others.public_key), -EKEYREJECTED);
    bundle.signed_public[3] ^= 1;
    cr_assert_eq(prekey_bundle_verify(&bundle, device.keys.public_key), -EKEYREJECTED);
    bundle.signed_public[3] ^= 1;
    prekey_sign(&device.signed_prekey, &others, bundle.signature);
    cr_assert_eq(prekey_bundle_verify(&bundle, device.keys.public_key), -EKEYREJECTED);
    e2e_device_fini(&device);
}

Test(prekeys, bundle_comes_off_the_wire_as_it_went_on) {
    static struct e2e_device device;
    struct prekey_bundle bundle, read;
    uint8_t bytes[PREKEY_BUNDLE_BYTES + 1], again[PREKEY_BUNDLE_BYTES];
    uint64_t random = 1;
    e2e_device_init(&device, &random, 1, 1);
    for (int has_one_time = 0; has_one_time < 2; has_one_time++) {
        e2e_device_bundle(&device, has_one_time, &bundle);
        prekey_bundle_write(&bundle, bytes);
        cr_assert_eq(prekey_bundle_read(&read, bytes, PREKEY_BUNDLE_BYTES), 0);
        prekey_bundle_write(&read, again);
        cr_assert_arr_eq(bytes, again, PREKEY_BUNDLE_BYTES);
        cr_assert_eq(read.one_time_id, has_one_time ? 1 : 0);
    }
    cr_assert_eq(prekey_bundle_read(&read, bytes, PREKEY_BUNDLE_BYTES - 1), -EBADMSG);
    cr_assert_eq(prekey_bundle_read(&read, bytes, PREKEY_BUNDLE_BYTES + 1), -EBADMSG);
    memset(bytes + 132, 0, 4);
    cr_assert_eq(prekey_bundle_read(&read, bytes, PREKEY_BUNDLE_BYTES), -EBADMSG, "a key without an id");
    memset(bytes + 32, 0, 4);
    cr_assert_eq(prekey_bundle_read(&read, bytes, PREKEY_BUNDLE_BYTES), -EBADMSG);
    e2e_device_fini(&device);
}

Test(prekeys, secret_goes_through_the_store) {
    struct prekey prekey, read;
    uint8_t bytes[PREKEY_BYTES];
    prekey_init(&prekey, 77, 1700000000, seed);
    prekey_write(&prekey, bytes);
    cr_assert_eq(prekey_read(&read, bytes, sizeof(bytes)), 0);
    cr_assert(read.id == 77 && read.created_s == 1700000000);
    cr_assert_arr_eq(read.public_key, prekey.public_key, PRIMITIVE_KEY_BYTES);
    cr_assert_eq(prekey_read(&read, bytes, sizeof(bytes) - 1), -EUCLEAN);
    bytes[0] = 2;
    cr_assert_eq(prekey_read(&read, bytes, sizeof(bytes)), -EPROTO);
    bytes[0] = 0;
    cr_assert_eq(prekey_read(&read, bytes, sizeof(bytes)), -EUCLEAN);
    prekey.id = 0;
    prekey_write(&prekey, bytes);
    cr_assert_eq(prekey_read(&read, bytes, sizeof(bytes)), -EUCLEAN);
}

Test(prekeys, signed_ones_get_a_successor_after_a_week_and_go_when_nothing_may_name_them) {
    struct prekey prekey = {.created_s = 1000000};
    cr_assert_not(prekey_wants_successor(&prekey, 1000000 + PREKEY_ROTATE_S - 1));
    cr_assert(prekey_wants_successor(&prekey, 1000000 + PREKEY_ROTATE_S));
    cr_assert_not(prekey_wants_successor(&prekey, 5), "a clock that went back");
    cr_assert_not(prekey_is_over(1000000, 1000000 + 2592000, 2592000));
    cr_assert(prekey_is_over(1000000, 1000000 + 2592001, 2592000));
    cr_assert_not(prekey_is_over(1000000, 5, 2592000));
}

Test(x3dh, header_and_bundle_with_a_key_that_is_none_are_refused) {
    static struct e2e_device alice, bob;
    struct prekey_bundle bundle;
    struct x3dh_header header = {.signed_id = 1};
    struct x3dh_agreed agreed;
    uint64_t random = 1;
    e2e_device_init(&alice, &random, 1, 1);
    e2e_device_init(&bob, &random, 2, 1);
    struct x3dh_end own = {.keys = &alice.keys, .address = alice.address};
    e2e_device_bundle(&bob, true, &bundle);
    memset(bundle.one_time_public, 0, PRIMITIVE_KEY_BYTES);
    cr_assert_eq(x3dh_initiate(&own, bob.address, &bundle, seed, &header, &agreed), -EBADMSG);
    memset(bundle.identity, 0, IDENTITY_KEY_BYTES);
    cr_assert_eq(x3dh_initiate(&own, bob.address, &bundle, seed, &header, &agreed), -EBADMSG);
    memset(&header, 0, sizeof(header));
    header.signed_id = 1;
    cr_assert_eq(x3dh_respond(&own, bob.address, &header, &alice.signed_prekey, NULL, &agreed), -EBADMSG);
    memcpy(header.identity, bob.keys.public_key, IDENTITY_KEY_BYTES); /* the ephemeral key is still zeros */
    cr_assert_eq(x3dh_respond(&own, bob.address, &header, &alice.signed_prekey, NULL, &agreed), -EBADMSG);
    e2e_device_fini(&alice);
    e2e_device_fini(&bob);
}

/* --- device lists --------------------------------------------------------------------------------------- */

struct signed_list {
    struct devicelist list;
    struct identity_keys keys;
    uint8_t bytes[DEVICELIST_BYTES_MAX + 1];
    size_t count;
};

static void add(struct devicelist *list, uint16_t number, uint8_t key) {
    struct devicelist_device device = {.number = number, .created_s = 100u + number, .identity = {key}};
    cr_assert_eq(devicelist_add(list, &device), 0);
}

static void sign(struct signed_list *list) {
    list->count = devicelist_sign(&list->list, &list->keys, list->bytes);
}

static void make(struct signed_list *list, uint64_t version) {
    cr_assert_eq(noise_init(), 0);
    memset(list, 0, sizeof(*list));
    identity_keys_init(&list->keys, seed);
    list->list.account = 7;
    list->list.version = version;
    list->list.created_s = 1700000000;
    add(&list->list, 3, 33);
    add(&list->list, 1, 11);
    add(&list->list, 2, 22);
    sign(list);
}

Test(devicelist, list_is_read_as_it_was_signed) {
    static struct signed_list made;
    struct devicelist read;
    make(&made, 5);
    cr_assert_eq(made.count, devicelist_bytes(&made.list));
    cr_assert_eq(devicelist_read(&read, 7, NULL, made.bytes, made.count), 0);
    cr_assert_eq(devicelist_read(&read, 7, made.keys.public_key, made.bytes, made.count), 0);
    cr_assert(read.version == 5 && read.count == 3 && read.created_s == 1700000000);
    for (uint16_t number = 1; number <= 3; number++) {
        cr_assert_eq(read.devices[number - 1].number, number, "by number");
        cr_assert_eq(devicelist_find(&read, number)->identity[0], 11 * number);
        cr_assert_eq(devicelist_find(&read, number)->created_s, 100u + number);
    }
    cr_assert_null(devicelist_find(&read, 4));
}

Test(devicelist, no_byte_can_be_changed) {
    static struct signed_list made;
    struct devicelist read;
    make(&made, 5);
    for (size_t i = 0; i < made.count; i++) {
        made.bytes[i] ^= 1;
        cr_assert_neq(devicelist_read(&read, 7, NULL, made.bytes, made.count), 0, "byte %zu", i);
        made.bytes[i] ^= 1;
        cr_assert_neq(devicelist_read(&read, 7, NULL, made.bytes, i), 0, "%zu bytes", i);
    }
    cr_assert_eq(devicelist_read(&read, 7, NULL, made.bytes, made.count + 1), -EBADMSG);
    cr_assert_eq(devicelist_read(&read, 8, NULL, made.bytes, made.count), -EBADMSG, "another account's");
}

Test(devicelist, changed_account_key_is_told_from_a_forged_list) {
    static struct signed_list made;
    struct devicelist read = {.version = 99};
    struct identity_keys known;
    make(&made, 5);
    identity_keys_init(&known, other_seed);
    cr_assert_eq(devicelist_read(&read, 7, known.public_key, made.bytes, made.count), -EKEYREVOKED);
    cr_assert_eq(read.version, 99, "written on success only");
    memcpy(made.bytes + 26, known.public_key, IDENTITY_KEY_BYTES);
    cr_assert_eq(devicelist_read(&read, 7, known.public_key, made.bytes, made.count), -EKEYREJECTED);
}

Test(devicelist, signed_nonsense_is_refused_too) {
    static struct signed_list made;
    struct devicelist read;
    make(&made, 0);
    cr_assert_eq(devicelist_read(&read, 7, NULL, made.bytes, made.count), -EBADMSG, "version 0");
    make(&made, 1);
    made.list.devices[0].number = 2; /* twice */
    sign(&made);
    cr_assert_eq(devicelist_read(&read, 7, NULL, made.bytes, made.count), -EBADMSG);
    made.list.devices[0].number = 0;
    sign(&made);
    cr_assert_eq(devicelist_read(&read, 7, NULL, made.bytes, made.count), -EBADMSG);
    made.bytes[0] = 2;
    cr_assert_eq(devicelist_read(&read, 7, NULL, made.bytes, made.count), -EPROTO);
}

Test(devicelist, older_list_and_second_list_of_a_version_are_refused) {
    static struct signed_list known, next;
    make(&known, 5);
    make(&next, 5);
    cr_assert_eq(devicelist_follows(&known.list, &next.list), 0, "the same again");
    next.list.version = 4;
    cr_assert_eq(devicelist_follows(&known.list, &next.list), -ESTALE);
    next.list.version = 5;
    cr_assert_eq(devicelist_remove(&next.list, 2), 0);
    cr_assert_eq(devicelist_follows(&known.list, &next.list), -EBADMSG, "two lists of one version");
    add(&next.list, 4, 44);
    cr_assert_eq(devicelist_follows(&known.list, &next.list), -EBADMSG);
    next.list.version = 6;
    cr_assert_eq(devicelist_follows(&known.list, &next.list), 0);
    next.list.devices[0].identity[5] ^= 1;
    cr_assert_eq(devicelist_follows(&known.list, &next.list), -EBADMSG, "a device with another key");
    make(&next, 5);
    next.list.created_s++;
    cr_assert_eq(devicelist_follows(&known.list, &next.list), -EBADMSG);
}

Test(devicelist, holds_as_many_as_an_account_may_have) {
    static struct signed_list made;
    struct devicelist read;
    struct devicelist_device device = {.number = 1};
    make(&made, 1);
    cr_assert_eq(devicelist_add(&made.list, &device), -EEXIST);
    device.number = 0;
    cr_assert_eq(devicelist_add(&made.list, &device), -EINVAL);
    for (uint16_t number = 4; number <= DEVICELIST_DEVICES_MAX; number++)
        add(&made.list, number, 1);
    device.number = 1000;
    cr_assert_eq(devicelist_add(&made.list, &device), -ENOSPC);
    sign(&made);
    cr_assert_eq(made.count, DEVICELIST_BYTES_MAX);
    cr_assert_eq(devicelist_read(&read, 7, NULL, made.bytes, made.count), 0);
    cr_assert_eq(devicelist_remove(&made.list, 77), -ENOENT);
    for (uint16_t number = DEVICELIST_DEVICES_MAX; number > 0; number--)
        cr_assert_eq(devicelist_remove(&made.list, number), 0);
    sign(&made);
    cr_assert_eq(devicelist_read(&read, 7, NULL, made.bytes, made.count), 0, "all were revoked");
}

/* --- the safety number ---------------------------------------------------------------------------------- */

Test(safety, halves_are_those_of_libsignal) {
    /* Its own test, NumericFingerprintGeneratorTest: encoded keys, and telephone numbers for names. */
    static const char expected[] = "300354477692869396892869876765458257569162576843440918079131";
    uint8_t alice[33], bob[33];
    char half[SAFETY_HALF_DIGITS + 1], other[SAFETY_HALF_DIGITS + 1];
    hex("0506863bc66d02b40d27b8d49ca7c09e9239236f9d7d25d6fcca5ce13c7064d868", alice, 33);
    hex("05f781b6fb32fed9ba1cf2de978d4d5da28dc34046ae814402b5c0dbd96fda907b", bob, 33);
    safety_half(alice, 33, (const uint8_t *)"+14152222222", 12, half);
    safety_half(bob, 33, (const uint8_t *)"+14153333333", 12, other);
    cr_assert_arr_eq(half, expected, SAFETY_HALF_DIGITS);
    cr_assert_str_eq(other, expected + SAFETY_HALF_DIGITS);
}

Test(safety, number_is_the_same_on_both_sides_and_another_for_other_keys_or_accounts) {
    struct identity_keys keys, others;
    char number[SAFETY_DIGITS + 1], again[SAFETY_DIGITS + 1];
    identity_keys_init(&keys, seed);
    identity_keys_init(&others, other_seed);
    safety_number(1, keys.public_key, 2, others.public_key, number);
    safety_number(2, others.public_key, 1, keys.public_key, again);
    cr_assert_str_eq(number, again);
    cr_assert_eq(strspn(number, "0123456789"), SAFETY_DIGITS);
    safety_number(1, keys.public_key, 3, others.public_key, again);
    cr_assert_str_neq(number, again);
    safety_number(1, keys.public_key, 2, keys.public_key, again);
    cr_assert_str_neq(number, again);
}

/* --- padding -------------------------------------------------------------------------------------------- */

Test(padding, lengths_are_few_and_cost_little) {
    size_t last = 0, lengths = 0;
    for (size_t bytes = 0; bytes < 65000; bytes++) {
        size_t padded = padding_bytes(bytes, 70000);
        cr_assert(padded > bytes && padded >= PADDING_BYTES_MIN && padded >= last);
        cr_assert(bytes < PADDING_BYTES_MIN || (padded - bytes - 1) * 100 <= bytes * 12, "%zu", bytes);
        lengths += padded != last;
        last = padded;
    }
    cr_assert_lt(lengths, 150);
    /* Figure 5 of the paper: the lowest bits are zero, 9 has E = 3 and S = 2. */
    cr_assert_eq(padding_bytes(1023, 70000), 1024);
    cr_assert_eq(padding_bytes(1024, 70000), 1088);
}

Test(padding, comes_off_as_it_went_on) {
    uint8_t text[400];
    size_t bytes = 0;
    for (size_t count = 0; count < 300; count++) {
        size_t padded = padding_bytes(count, sizeof(text));
        memset(text, 0x80, sizeof(text));
        padding_add(text, count, padded);
        cr_assert_eq(padding_remove(text, padded, &bytes), 0);
        cr_assert_eq(bytes, count);
    }
    cr_assert_eq(padding_bytes(399, 400), 400);
    cr_assert_eq(padding_bytes(400, 400), 0);
    cr_assert_eq(padding_bytes(3, 200), 200);
}

Test(padding, what_is_not_padded_is_refused) {
    uint8_t text[PADDING_BYTES_MIN] = {0};
    size_t bytes = 9;
    cr_assert_eq(padding_remove(text, sizeof(text), &bytes), -EBADMSG);
    text[255] = 1;
    cr_assert_eq(padding_remove(text, sizeof(text), &bytes), -EBADMSG);
    cr_assert_eq(padding_remove(text, 0, &bytes), -EBADMSG);
    cr_assert_eq(bytes, 9);
}

/* --- the lock ------------------------------------------------------------------------------------------- */

static const struct lock_cost cheap = {.passes = 1, .memory_bytes = 1 << 16};

Test(lock, opens_with_its_passphrase_alone) {
    struct lock_fresh fresh = {.salt = {1}, .nonce = {2}};
    uint8_t locked[LOCK_BYTES], key[32] = {0};
    cr_assert_eq(noise_init(), 0);
    cr_assert_eq(lock_key("passphrase", cheap, &fresh, seed, locked), 0);
    cr_assert_null(memmem(locked, sizeof(locked), seed, sizeof(seed)));
    cr_assert_eq(lock_open("passphrasf", locked, sizeof(locked), key), -EKEYREJECTED);
    cr_assert_eq(key[0], 0, "written on success only");
    cr_assert_eq(lock_open("passphrase", locked, sizeof(locked), key), 0);
    cr_assert_arr_eq(key, seed, 32);
    for (size_t i = 16; i < LOCK_BYTES; i++) {
        locked[i] ^= 1;
        cr_assert_eq(lock_open("passphrase", locked, sizeof(locked), key), -EKEYREJECTED, "byte %zu", i);
        locked[i] ^= 1;
    }
}

Test(lock, asks_for_no_more_than_its_limits) {
    struct lock_fresh fresh = {.salt = {1}};
    uint8_t locked[LOCK_BYTES], changed[LOCK_BYTES], key[32];
    cr_assert_eq(lock_key("p", cheap, &fresh, seed, locked), 0);
    for (size_t i = 0; i < 16; i++) {
        memcpy(changed, locked, sizeof(changed));
        changed[i] ^= 0x80;
        int error = lock_open("p", changed, sizeof(changed), key);
        cr_assert(error == -EUCLEAN || error == -EKEYREJECTED || error == -EPROTO, "byte %zu: %d", i, error);
    }
    cr_assert_eq(lock_open("p", locked, sizeof(locked) - 1, key), -EUCLEAN);
    locked[0] = 2;
    cr_assert_eq(lock_open("p", locked, sizeof(locked), key), -EPROTO);
    struct lock_cost dear = {.passes = LOCK_PASSES_MAX + 1, .memory_bytes = 1 << 16};
    cr_assert_eq(lock_key("p", dear, &fresh, seed, locked), -EINVAL);
    dear = (struct lock_cost){.passes = 1, .memory_bytes = LOCK_MEMORY_BYTES_MAX + 1};
    cr_assert_eq(lock_key("p", dear, &fresh, seed, locked), -EINVAL);
    cr_assert_eq(lock_key("p", (struct lock_cost){0}, &fresh, seed, locked), -EINVAL);
}

Test(lock, passphrases_have_a_length) {
    static char longest[LOCK_PASSPHRASE_BYTES_MAX + 2];
    struct lock_fresh fresh = {.salt = {1}};
    uint8_t locked[LOCK_BYTES], key[32];
    cr_assert_eq(lock_key("", cheap, &fresh, seed, locked), -EINVAL);
    memset(longest, 'x', LOCK_PASSPHRASE_BYTES_MAX);
    cr_assert_eq(lock_key(longest, cheap, &fresh, seed, locked), 0);
    cr_assert_eq(lock_open(longest, locked, sizeof(locked), key), 0);
    longest[LOCK_PASSPHRASE_BYTES_MAX] = 'x';
    cr_assert_eq(lock_key(longest, cheap, &fresh, seed, locked), -EINVAL);
    cr_assert_eq(lock_open(longest, locked, sizeof(locked), key), -EINVAL);
}

Test(lock, libsodiums_cost_works) {
    struct lock_fresh fresh = {.salt = {1}};
    struct lock_cost cost = {.passes = LOCK_PASSES, .memory_bytes = LOCK_MEMORY_BYTES};
    uint8_t locked[LOCK_BYTES], key[32];
    cr_assert_eq(lock_key("passphrase", cost, &fresh, seed, locked), 0);
    cr_assert_eq(lock_open("passphrase", locked, sizeof(locked), key), 0);
    cr_assert_arr_eq(key, seed, 32);
}
