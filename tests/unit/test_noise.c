#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "core/noise.h"
#include "core/record.h"

struct ends {
    struct noise_handshake initiator, responder;
    uint8_t message[256];
    size_t message_bytes;
};

static const uint8_t secrets[4][NOISE_KEY_BYTES] = {{1, 1}, {2, 2}, {3, 3}, {4, 4}};

static void begin(struct ends *ends, enum noise_pattern pattern, const char *prologue,
                  const uint8_t *server_secret) {
    uint8_t server_public[NOISE_KEY_BYTES];
    cr_assert_eq(noise_init(), 0);
    noise_public_key(server_secret, server_public);
    struct noise_setup setup = {.pattern = pattern,
                                .cipher = NOISE_CHACHAPOLY,
                                .initiator = true,
                                .prologue = (const uint8_t *)prologue,
                                .prologue_bytes = strlen(prologue),
                                .static_secret = secrets[0],
                                .ephemeral_secret = secrets[1],
                                .remote_static = pattern == NOISE_IK ? server_public : NULL};
    cr_assert_eq(noise_handshake_init(&ends->initiator, &setup), 0);
    setup.initiator = false;
    setup.prologue = (const uint8_t *)"prologue";
    setup.prologue_bytes = strlen("prologue");
    setup.static_secret = secrets[2];
    setup.ephemeral_secret = secrets[3];
    setup.remote_static = NULL;
    cr_assert_eq(noise_handshake_init(&ends->responder, &setup), 0);
}

static int pass(struct ends *ends, struct noise_handshake *from, struct noise_handshake *to) {
    uint8_t payload[256];
    size_t payload_bytes;
    cr_assert_eq(noise_handshake_write(from, NULL, 0, ends->message, &ends->message_bytes), 0);
    return noise_handshake_read(to, ends->message, ends->message_bytes, payload, &payload_bytes);
}

static void finish(struct noise_cipher_state *send, struct noise_cipher_state *receive) {
    struct ends ends;
    struct noise_cipher_state unused;
    begin(&ends, NOISE_IK, "prologue", secrets[2]);
    cr_assert_eq(pass(&ends, &ends.initiator, &ends.responder), 0);
    cr_assert_eq(pass(&ends, &ends.responder, &ends.initiator), 0);
    cr_assert(noise_handshake_complete(&ends.initiator) && noise_handshake_complete(&ends.responder));
    noise_handshake_split(&ends.initiator, send, &unused);
    noise_handshake_split(&ends.responder, &unused, receive);
}

Test(noise, handshake_tells_each_end_the_key_of_the_other) {
    for (int pattern = NOISE_IK; pattern <= NOISE_XX; pattern++) {
        struct ends ends;
        uint8_t key[NOISE_KEY_BYTES];
        begin(&ends, (enum noise_pattern)pattern, "prologue", secrets[2]);
        while (!noise_handshake_complete(&ends.responder)) {
            bool writes = noise_handshake_writes(&ends.initiator);
            struct noise_handshake *from = writes ? &ends.initiator : &ends.responder;
            cr_assert_eq(pass(&ends, from, writes ? &ends.responder : &ends.initiator), 0);
        }
        noise_public_key(secrets[0], key);
        cr_assert_arr_eq(ends.responder.remote_static, key, NOISE_KEY_BYTES);
        noise_public_key(secrets[2], key);
        cr_assert_arr_eq(ends.initiator.remote_static, key, NOISE_KEY_BYTES);
    }
}

Test(noise, tampered_first_message_is_refused_whichever_byte_it_is) {
    struct ends ends;
    uint8_t payload[256];
    size_t payload_bytes;
    begin(&ends, NOISE_IK, "prologue", secrets[2]);
    cr_assert_eq(noise_handshake_write(&ends.initiator, NULL, 0, ends.message, &ends.message_bytes), 0);
    for (size_t i = 0; i < ends.message_bytes; i++) {
        struct noise_handshake responder = ends.responder;
        ends.message[i] ^= 4;
        cr_assert_eq(
            noise_handshake_read(&responder, ends.message, ends.message_bytes, payload, &payload_bytes),
            -EBADMSG, "byte %zu", i);
        ends.message[i] ^= 4;
    }
}

Test(noise, message_that_is_cut_short_is_refused) {
    struct ends ends;
    uint8_t payload[256];
    size_t payload_bytes;
    begin(&ends, NOISE_IK, "prologue", secrets[2]);
    cr_assert_eq(noise_handshake_write(&ends.initiator, NULL, 0, ends.message, &ends.message_bytes), 0);
    for (size_t cut = 0; cut < ends.message_bytes; cut++)
        cr_assert_eq(noise_handshake_read(&ends.responder, ends.message, cut, payload, &payload_bytes),
                     -EBADMSG);
}

Test(noise, other_prologue_or_other_server_key_is_refused) {
    struct ends ends;
    begin(&ends, NOISE_IK, "downgraded", secrets[2]);
    cr_assert_eq(pass(&ends, &ends.initiator, &ends.responder), -EBADMSG);
    begin(&ends, NOISE_IK, "prologue", secrets[3]);
    cr_assert_eq(pass(&ends, &ends.initiator, &ends.responder), -EBADMSG);
}

Test(noise, all_zero_shared_secret_is_refused) {
    struct ends ends;
    uint8_t payload[256];
    size_t payload_bytes;
    begin(&ends, NOISE_IK, "prologue", secrets[2]);
    cr_assert_eq(noise_handshake_write(&ends.initiator, NULL, 0, ends.message, &ends.message_bytes), 0);
    memset(ends.message, 0, NOISE_KEY_BYTES); /* the ephemeral key: a point of small order */
    cr_assert_eq(
        noise_handshake_read(&ends.responder, ends.message, ends.message_bytes, payload, &payload_bytes),
        -EBADMSG);
}

Test(noise, tampered_replayed_or_reordered_record_does_not_open) {
    struct noise_cipher_state send, receive;
    uint8_t first[64] = "first", second[64] = "second", copy[64];
    size_t bytes;
    finish(&send, &receive);
    size_t first_bytes = noise_seal(&send, first, 6);
    size_t second_bytes = noise_seal(&send, second, 7);
    memcpy(copy, second, sizeof(copy));
    cr_assert_eq(noise_open(&receive, copy, second_bytes, &bytes), -EBADMSG, "too early");
    memcpy(copy, first, sizeof(copy));
    copy[3] ^= 1;
    cr_assert_eq(noise_open(&receive, copy, first_bytes, &bytes), -EBADMSG, "tampered");
    memcpy(copy, first, sizeof(copy));
    cr_assert_eq(noise_open(&receive, copy, first_bytes, &bytes), 0);
    memcpy(copy, first, sizeof(copy));
    cr_assert_eq(noise_open(&receive, copy, first_bytes, &bytes), -EBADMSG, "replayed");
    cr_assert_eq(noise_open(&receive, second, second_bytes, &bytes), 0);
    cr_assert_eq(bytes, 7);
    cr_assert_str_eq((char *)second, "second");
}

Test(noise, last_nonce_is_never_opened) {
    struct noise_cipher_state send, receive;
    uint8_t text[64] = "text";
    size_t bytes;
    finish(&send, &receive);
    receive.nonce = UINT64_MAX;
    noise_cipher_encrypt(&send, UINT64_MAX, NULL, 0, text, 5);
    cr_assert_eq(noise_open(&receive, text, 5 + NOISE_TAG_BYTES, &bytes), -EBADMSG);
}

Test(noise, both_ends_of_a_direction_rekey_after_the_same_record) {
    struct noise_cipher_state send, receive;
    uint8_t key[NOISE_KEY_BYTES];
    finish(&send, &receive);
    memcpy(key, send.key, sizeof(key));
    send.nonce = receive.nonce = RECORD_REKEY_EVERY - 2;
    for (int i = 0; i < 4; i++) {
        uint8_t space[64] = {0};
        size_t bytes;
        memcpy(space + RECORD_LENGTH_BYTES, "text", 5);
        size_t record_bytes = record_seal(&send, space, 5);
        cr_assert_eq(
            record_open(&receive, space + RECORD_LENGTH_BYTES, record_bytes - RECORD_LENGTH_BYTES, &bytes),
            0);
        cr_assert_str_eq((char *)space + RECORD_LENGTH_BYTES, "text");
        cr_assert_eq(memcmp(key, send.key, sizeof(key)) != 0, i >= 1, "record %d", i);
    }
}
