#include <criterion/criterion.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "core/aesgcm.h"

#define BYTES_MAX 65519
#define ROOM (BYTES_MAX + AESGCM_TAG_BYTES + 1)

static uint8_t key[AESGCM_KEY_BYTES], nonce[AESGCM_NONCE_BYTES];
static uint8_t text[ROOM], expected[ROOM], sealed[ROOM];

static void need_cpu(void) {
    cr_assert(sodium_init() >= 0);
    aesgcm_init();
    if (!aesgcm_available() || !crypto_aead_aes256gcm_is_available())
        cr_skip_test("this CPU has not the instructions");
}

static void fill(uint32_t round) {
    uint8_t seed[randombytes_SEEDBYTES] = {(uint8_t)round, (uint8_t)(round >> 8), 1};
    uint8_t bytes[AESGCM_KEY_BYTES + AESGCM_NONCE_BYTES];
    randombytes_buf_deterministic(bytes, sizeof(bytes), seed);
    memcpy(key, bytes, sizeof(key));
    memcpy(nonce, bytes + sizeof(key), sizeof(nonce));
    seed[2] = 2;
    randombytes_buf_deterministic(text, sizeof(text), seed);
}

/* As libsodium seals it, which is another's work. */
static void seal_expected(size_t bytes) {
    unsigned long long sealed_bytes;
    crypto_aead_aes256gcm_encrypt(expected, &sealed_bytes, text, bytes, NULL, 0, NULL, nonce, key);
    cr_assert_eq(sealed_bytes, bytes + AESGCM_TAG_BYTES);
}

static void compare(size_t bytes) {
    size_t sealed_bytes = bytes + AESGCM_TAG_BYTES;
    seal_expected(bytes);
    sealed[sealed_bytes] = 0xa5;
    aesgcm_seal(key, nonce, text, bytes, sealed);
    cr_assert_arr_eq(sealed, expected, sealed_bytes, "%zu bytes", bytes);
    cr_assert_eq(sealed[sealed_bytes], 0xa5, "%zu bytes: it wrote beyond", bytes);
    cr_assert_eq(aesgcm_open(key, nonce, sealed, bytes), 0, "%zu bytes", bytes);
    cr_assert_arr_eq(sealed, text, bytes, "%zu bytes", bytes);
    aesgcm_seal(key, nonce, sealed, bytes, sealed);
    cr_assert_arr_eq(sealed, expected, sealed_bytes, "%zu bytes in place", bytes);
}

Test(aesgcm, every_length_is_sealed_as_libsodium_does_it) {
    need_cpu();
    for (uint32_t bytes = 0; bytes < 1100; bytes++) {
        fill(bytes);
        compare(bytes);
    }
    for (uint32_t bytes = 1100; bytes < BYTES_MAX; bytes += bytes / 7 + 1) {
        fill(bytes);
        compare(bytes);
    }
    compare(BYTES_MAX);
}

/* McGrew and Viega, "The Galois/Counter Mode of Operation", test cases 13 and 14. */
Test(aesgcm, it_seals_what_the_specification_says) {
    static const uint8_t tag_of_nothing[] = {0x53, 0x0f, 0x8a, 0xfb, 0xc7, 0x45, 0x36, 0xb9,
                                             0xa9, 0x63, 0xb4, 0xf1, 0xc4, 0xcb, 0x73, 0x8b};
    static const uint8_t one_block[] = {0xce, 0xa7, 0x40, 0x3d, 0x4d, 0x60, 0x6b, 0x6e, 0x07, 0x4e, 0xc5,
                                        0xd3, 0xba, 0xf3, 0x9d, 0x18, 0xd0, 0xd1, 0xc8, 0xa7, 0x99, 0x99,
                                        0x6b, 0xf0, 0x26, 0x5b, 0x98, 0xb5, 0xd4, 0x8a, 0xb9, 0x19};
    need_cpu();
    aesgcm_seal(key, nonce, text, 0, sealed);
    cr_assert_arr_eq(sealed, tag_of_nothing, sizeof(tag_of_nothing));
    aesgcm_seal(key, nonce, text, 16, sealed);
    cr_assert_arr_eq(sealed, one_block, sizeof(one_block));
}

Test(aesgcm, a_changed_bit_is_refused_wherever_it_is_and_leaves_nothing_to_read) {
    static const size_t lengths[] = {0, 1, 16, 31, 33, 241, 255, 256, 300, 512, 700};
    static const uint8_t zeros[700];
    need_cpu();
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        size_t bytes = lengths[i];
        fill((uint32_t)i);
        seal_expected(bytes);
        for (size_t at = 0; at < bytes + AESGCM_TAG_BYTES; at++) {
            memcpy(sealed, expected, bytes + AESGCM_TAG_BYTES);
            sealed[at] ^= (uint8_t)(1 << at % 8);
            cr_assert_eq(aesgcm_open(key, nonce, sealed, bytes), -EBADMSG, "%zu of %zu", at, bytes);
            cr_assert_arr_eq(sealed, zeros, bytes);
        }
    }
}

/* The counter of blocks takes its 32 bits alone: a nonce that ends in ones loses nothing to it. */
Test(aesgcm, any_address_and_any_nonce_will_do) {
    static uint8_t shifted[ROOM + 64];
    need_cpu();
    fill(77);
    memset(nonce, 0xff, sizeof(nonce));
    for (size_t at = 0; at < 64; at++) {
        size_t bytes = 500 + at;
        seal_expected(bytes);
        memcpy(shifted + at, text, bytes);
        aesgcm_seal(key, nonce, shifted + at, bytes, shifted + at);
        cr_assert_arr_eq(shifted + at, expected, bytes + AESGCM_TAG_BYTES);
        cr_assert_eq(aesgcm_open(key, nonce, shifted + at, bytes), 0);
        cr_assert_arr_eq(shifted + at, text, bytes);
    }
}
