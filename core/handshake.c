/* Hello and handshake: what comes before records. */
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "core/hello.h"
#include "core/must.h"
#include "core/session.h"
#include "core/switch.h"

void handshake_end(struct session *session) {
    if (!session->opening)
        return;
    explicit_bzero(session->opening, sizeof(*session->opening));
    free(session->opening);
    session->opening = NULL;
}

static void put_raw(struct session *session, const uint8_t *bytes, size_t count) {
    struct opening *opening = session->opening;
    must(opening->raw_out_bytes + count <= sizeof(opening->raw_out));
    memcpy(opening->raw_out + opening->raw_out_bytes, bytes, count);
    opening->raw_out_bytes += (uint32_t)count;
    port_output_ready(session->shard, session->conn);
}

static const enum close_reason hello_reasons[] = {
    [HELLO_BAD_VERSION] = CLOSE_VERSION,    [HELLO_BAD_CIPHER] = CLOSE_CIPHER,
    [HELLO_BAD_PATTERN] = CLOSE_CIPHER,     [HELLO_PLAINTEXT_REFUSED] = CLOSE_CIPHER,
    [HELLO_OVERLOAD] = CLOSE_OVERLOAD,      [HELLO_ADDRESS_LIMIT] = CLOSE_ADDRESS_LIMIT,
    [HELLO_BAD_RESERVED] = CLOSE_BAD_FRAME,
};

/* The two hellos are the prologue. */
static enum close_reason start_handshake(struct session *session, const struct hello_server *answer,
                                         const uint8_t prologue[2 * HELLO_BYTES]) {
    if (answer->pattern == HELLO_PLAINTEXT) {
        noise_cipher_init(&session->send, NOISE_PLAIN, NULL);
        noise_cipher_init(&session->receive, NOISE_PLAIN, NULL);
        session->keyed = true;
        session->state = SESSION_LOGIN;
        return CLOSE_NONE;
    }
    uint8_t ephemeral[NOISE_KEY_BYTES];
    port_entropy(ephemeral, sizeof(ephemeral));
    struct noise_setup setup = {
        .pattern = (enum noise_pattern)answer->pattern,
        .cipher = (enum noise_cipher)answer->cipher,
        .prologue = prologue,
        .prologue_bytes = 2 * HELLO_BYTES,
        .static_secret = session->shard->secret,
        .static_public = session->shard->public_key,
        .ephemeral_secret = ephemeral,
    };
    int error = noise_handshake_init(&session->opening->handshake, &setup);
    explicit_bzero(ephemeral, sizeof(ephemeral));
    session->state = SESSION_HANDSHAKE;
    return error ? CLOSE_CIPHER : CLOSE_NONE;
}

enum close_reason handshake_take_hello(struct session *session, const uint8_t *bytes) {
    struct hello_client hello;
    bool reserved_clear = false;
    if (hello_read_client(bytes, &hello, &reserved_clear) < 0)
        return CLOSE_NOT_TERN;
    struct hello_server answer = hello_choose(&hello, reserved_clear, session->plaintext, noise_has_aes());
    uint8_t prologue[2 * HELLO_BYTES];
    memcpy(prologue, bytes, HELLO_BYTES);
    hello_write_server(prologue + HELLO_BYTES, &answer);
    put_raw(session, prologue + HELLO_BYTES, HELLO_BYTES);
    if (answer.status != HELLO_OK)
        return hello_reasons[answer.status];
    return start_handshake(session, &answer, prologue);
}

enum close_reason handshake_take_message(struct session *session, const uint8_t *message,
                                         size_t message_bytes) {
    struct noise_handshake *handshake = &session->opening->handshake;
    uint8_t payload[NOISE_KEY_BYTES * 4];
    size_t payload_bytes = 0;
    if (noise_handshake_read(handshake, message, message_bytes, payload, &payload_bytes) < 0 || payload_bytes)
        return CLOSE_HANDSHAKE;
    if (noise_handshake_writes(handshake)) {
        uint8_t out[2 + NOISE_KEY_BYTES * 4];
        size_t out_bytes = 0;
        if (noise_handshake_write(handshake, NULL, 0, out + 2, &out_bytes) < 0)
            return CLOSE_HANDSHAKE;
        bytes_put16(out, (uint16_t)out_bytes);
        put_raw(session, out, out_bytes + 2);
    }
    if (!noise_handshake_complete(handshake))
        return CLOSE_NONE;
    memcpy(session->opening->peer_key, handshake->remote_static, KEY_BYTES);
    noise_handshake_split(handshake, &session->send, &session->receive);
    noise_handshake_fini(handshake);
    session->keyed = true;
    session->state = SESSION_LOGIN;
    stats_add(session->shard->stats->handshakes, 1);
    return CLOSE_NONE;
}
