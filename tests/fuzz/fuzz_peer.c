/* Fuzzes the client's side of a connection with what a hostile switch sends. The first byte says how it
 * begins: raw bytes; records of a plaintext session; sealed records of a switch that knows its own key, after
 * a handshake in order. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "core/must.h"
#include "core/record.h"
#include "tools/client/peer.h"

enum { BEGIN_RAW = 0, BEGIN_RAW_XX, BEGIN_PLAINTEXT, BEGIN_KEYED, BEGIN_OPEN, BEGIN_WAYS };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t device_secret[NOISE_KEY_BYTES] = {1}, server_secret[NOISE_KEY_BYTES] = {2};
static const uint8_t ephemerals[2][NOISE_KEY_BYTES] = {{3}, {4}};

struct seen {
    uint64_t frames, sum;
    bool welcome;
};

/* Reads what it is handed to the last byte, as a client would, and answers some of it. */
static int on_frame(void *context, struct peer *peer, const struct frame *frame) {
    struct seen *seen = context;
    struct frame_welcome welcome;
    struct frame_message message;
    struct frame_range range;
    struct frame_lookup lookup;
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    must(frame->frame_bytes >= FRAME_HEADER_BYTES && frame->frame_bytes <= FRAME_BYTES_MAX);
    must(frame->type == FRAME_CLOSE || seen->welcome == (frame->type != FRAME_WELCOME));
    for (uint32_t i = 0; i < frame->frame_bytes; i++)
        seen->sum += frame->bytes[i];
    seen->frames++;
    if (frame->type == FRAME_WELCOME) {
        must(frame_read_welcome(frame, &welcome) == 0 && welcome.name_bytes <= FRAME_NAME_BYTES_MAX);
        seen->welcome = true;
    }
    if (frame->type == FRAME_MESSAGE && frame_read_message(frame, &message) == 0 && message.payload_bytes)
        seen->sum += message.payload[message.payload_bytes - 1];
    if ((frame->type == FRAME_RECEIPT || frame->type == FRAME_CONFIRM) &&
        frame_read_range(frame, &range) == 0)
        must(range.id.number && range.last >= range.id.number);
    if (frame->type == FRAME_ACCOUNT && frame_read_lookup(frame, &lookup) == 0)
        must(lookup.name_bytes <= FRAME_NAME_BYTES_MAX);
    return peer_put(peer, out, frame_write_ack(out, seen->frames));
}

static struct peer *create(enum hello_pattern pattern) {
    uint8_t server[NOISE_KEY_BYTES];
    struct peer *peer;
    noise_public_key(server_secret, server);
    struct peer_setup setup = {
        .pattern = pattern,
        .device_secret = device_secret,
        .server_public = server,
        .ephemeral_secret = ephemerals[0],
        .link = {.account = 1, .epoch = 5, .device = 1},
    };
    must(peer_create(&setup, &peer) == 0);
    return peer;
}

static size_t output(struct peer *peer, uint8_t *out, size_t room) {
    const uint8_t *bytes;
    size_t count, kept = 0;
    while ((count = peer_output(peer, &bytes)) != 0) {
        size_t copied = count < room - kept ? count : room - kept;
        memcpy(out + kept, bytes, copied);
        kept += copied;
        peer_sent(peer, count);
    }
    return kept;
}

/* In memory of exactly so many bytes. */
static int give(struct peer *peer, struct seen *seen, const uint8_t *bytes, size_t count) {
    uint8_t *copy = malloc(count ? count : 1);
    must(copy != NULL);
    memcpy(copy, bytes, count);
    int error = peer_input(peer, copy, count, on_frame, seen);
    free(copy);
    must(error == 0 || error == -EPROTO || error == -EBADMSG || error == -ECONNREFUSED || error == -ENOMEM);
    return error;
}

static void give_raw(struct peer *peer, struct seen *seen, const uint8_t *data, size_t size) {
    int error = 0;
    while (size) {
        size_t slice = 1 + (size_t)data[0] * 8;
        slice = slice < size ? slice : size;
        int now = give(peer, seen, data, slice);
        must(!error || now == error); /* an error stays */
        error = now;
        data += slice;
        size -= slice;
    }
}

/* u16 bytes of a record, then so many: as frames. The highest bit of the length spoils the seal. */
static void give_records(struct peer *peer, struct seen *seen, struct noise_cipher_state *state,
                         const uint8_t *data, size_t size) {
    static uint8_t space[RECORD_LENGTH_BYTES + RECORD_SEALED_BYTES_MAX];
    static uint8_t out[1024];
    while (size > 2) {
        uint16_t head = bytes_get16(data);
        size_t bytes = head & 0x7fff;
        data += 2;
        size -= 2;
        bytes = bytes < size ? bytes : size;
        memcpy(space + RECORD_LENGTH_BYTES, data, bytes);
        size_t record = record_seal(state, space, bytes);
        if (head & 0x8000 && state->cipher != NOISE_PLAIN)
            space[record - 1] ^= 1;
        uint64_t before = seen->frames;
        int error = give(peer, seen, space, record);
        must(!(head & 0x8000) || state->cipher == NOISE_PLAIN || (error || before == seen->frames));
        output(peer, out, sizeof(out));
        data += bytes;
        size -= bytes;
    }
}

static void shake_hands(struct peer *peer, struct seen *seen, struct noise_cipher_state *ret_send) {
    uint8_t prologue[2 * HELLO_BYTES], message[512], payload[128], out[2 + 48];
    struct hello_server hello = {.version = HELLO_VERSION, .pattern = HELLO_IK, .cipher = NOISE_CHACHAPOLY};
    must(output(peer, prologue, HELLO_BYTES) == HELLO_BYTES);
    hello_write_server(prologue + HELLO_BYTES, &hello);
    must(give(peer, seen, prologue + HELLO_BYTES, HELLO_BYTES) == 0);
    size_t bytes = output(peer, message, sizeof(message));
    must(bytes == 2 + 96);
    struct noise_setup setup = {.pattern = NOISE_IK,
                                .cipher = NOISE_CHACHAPOLY,
                                .prologue = prologue,
                                .prologue_bytes = sizeof(prologue),
                                .static_secret = server_secret,
                                .ephemeral_secret = ephemerals[1]};
    struct noise_handshake handshake;
    struct noise_cipher_state receive;
    must(noise_handshake_init(&handshake, &setup) == 0);
    must(noise_handshake_read(&handshake, message + 2, 96, payload, &bytes) == 0);
    must(noise_handshake_write(&handshake, NULL, 0, out + 2, &bytes) == 0);
    bytes_put16(out, (uint16_t)bytes);
    must(give(peer, seen, out, sizeof(out)) == 0);
    noise_handshake_split(&handshake, ret_send, &receive);
}

static void welcome(struct peer *peer, struct seen *seen, struct noise_cipher_state *state) {
    uint8_t record[RECORD_LENGTH_BYTES + FRAME_SMALL_BYTES_MAX];
    struct frame_welcome body = {.account = 1, .device = 1, .name = "", .payload_bytes_max = 1000};
    size_t bytes = record_seal(state, record, frame_write_welcome(record + RECORD_LENGTH_BYTES, &body));
    must(give(peer, seen, record, bytes) == 0 && peer_is_open(peer));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1)
        return 0;
    static const enum hello_pattern patterns[BEGIN_WAYS] = {HELLO_IK, HELLO_XX, HELLO_PLAINTEXT, HELLO_IK,
                                                            HELLO_IK};
    uint8_t way = data[0] % BEGIN_WAYS;
    uint8_t out[256];
    struct seen seen = {0};
    struct noise_cipher_state send = {.cipher = NOISE_PLAIN};
    struct peer *peer = create(patterns[way]);
    if (way == BEGIN_PLAINTEXT) {
        struct hello_server hello = {.version = HELLO_VERSION};
        hello_write_server(out, &hello);
        must(give(peer, &seen, out, HELLO_BYTES) == 0);
    }
    if (way == BEGIN_KEYED || way == BEGIN_OPEN)
        shake_hands(peer, &seen, &send);
    if (way == BEGIN_OPEN)
        welcome(peer, &seen, &send);
    if (way == BEGIN_RAW || way == BEGIN_RAW_XX)
        give_raw(peer, &seen, data + 1, size - 1);
    else
        give_records(peer, &seen, &send, data + 1, size - 1);
    output(peer, out, sizeof(out));
    peer_destroy(peer);
    return 0;
}
