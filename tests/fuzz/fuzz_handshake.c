/* Fuzzes the encrypted handshake: a client that knows how, with fixed keys, whose messages the input bends.
 * First byte: pattern, cipher, and how the bytes are sliced; second: payload bytes of the last handshake
 * message; then pairs of (where, what to flip) for everything the client says up to its first record.
 *
 * What is not bent must end in a welcome; what is bent must not, and no session may outlive it. */
#include "core/bytes.h"
#include "core/hello.h"
#include "core/must.h"
#include "core/record.h"
#include "tests/support/one_shard.h"

#define CONN 0u
#define SAID_BYTES_MAX 1024u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t device_secret[NOISE_KEY_BYTES] = {8}, ephemeral[NOISE_KEY_BYTES] = {16};

struct client {
    const uint8_t *flips; /* pairs */
    size_t flip_count;
    size_t slice;
    size_t said; /* bytes so far */
    bool bent;
    struct noise_handshake noise;
    uint8_t prologue[2 * HELLO_BYTES];
};

/* Flips what the input says of these bytes, notes where that changed something, and sends them in slices. */
static void say(struct client *client, const uint8_t *straight, size_t count) {
    uint8_t bytes[SAID_BYTES_MAX];
    must(count <= sizeof(bytes));
    memcpy(bytes, straight, count);
    for (size_t i = 0; i < client->flip_count; i++) {
        size_t at = client->flips[2 * i];
        if (at >= client->said && at - client->said < count)
            bytes[at - client->said] ^= client->flips[2 * i + 1];
    }
    client->said += count;
    client->bent = client->bent || memcmp(straight, bytes, count) != 0;
    for (size_t at = 0; at < count && one.conns[CONN].used; at += client->slice)
        one_shard_input(CONN, bytes + at, count - at < client->slice ? count - at : client->slice);
    one_shard_settle();
}

/* What the switch said since, exactly so many bytes. */
static bool hear(uint8_t *bytes, size_t count) {
    struct one_conn *conn = &one.conns[CONN];
    bool whole = conn->out_bytes == count;
    if (whole)
        memcpy(bytes, conn->out, count);
    conn->out_bytes = 0;
    return whole;
}

static bool say_hello(struct client *client, uint8_t pattern, uint8_t ciphers) {
    struct hello_client hello = {.version_min = 1, .version_max = 1, .pattern = pattern, .ciphers = ciphers};
    uint8_t server[NOISE_KEY_BYTES];
    struct hello_server answer;
    hello_write_client(client->prologue, &hello);
    say(client, client->prologue, HELLO_BYTES);
    if (!hear(client->prologue + HELLO_BYTES, HELLO_BYTES) ||
        hello_read_server(client->prologue + HELLO_BYTES, &answer) < 0 || answer.status != HELLO_OK ||
        answer.pattern == HELLO_PLAINTEXT)
        return false;
    noise_public_key(one.secret, server);
    struct noise_setup setup = {
        .pattern = (enum noise_pattern)answer.pattern,
        .cipher = (enum noise_cipher)answer.cipher,
        .initiator = true,
        .prologue = client->prologue,
        .prologue_bytes = sizeof(client->prologue),
        .static_secret = device_secret,
        .ephemeral_secret = ephemeral,
        .remote_static = answer.pattern == HELLO_IK ? server : NULL,
    };
    return noise_handshake_init(&client->noise, &setup) == 0;
}

/* A payload may go with every message that the client writes, but none is taken. */
static bool shake_hands(struct client *client, const uint8_t *payload, size_t payload_bytes) {
    while (!noise_handshake_complete(&client->noise)) {
        uint8_t message[SAID_BYTES_MAX], heard[SAID_BYTES_MAX];
        size_t count;
        if (noise_handshake_writes(&client->noise)) {
            must(noise_handshake_write(&client->noise, payload, payload_bytes, message + 2, &count) == 0);
            bytes_put16(message, (uint16_t)count);
            client->bent = client->bent || payload_bytes;
            say(client, message, count + 2);
            continue;
        }
        count = noise_handshake_message_bytes(&client->noise);
        if (!hear(message, count + 2) ||
            noise_handshake_read(&client->noise, message + 2, count, heard, &count) < 0)
            return false;
    }
    return true;
}

static bool is_welcome(struct noise_cipher_state *receive) {
    struct one_conn *conn = &one.conns[CONN];
    struct frame frame;
    struct frame_welcome welcome;
    size_t bytes;
    if (conn->out_bytes < RECORD_LENGTH_BYTES)
        return false;
    size_t record = bytes_get16(conn->out);
    uint8_t *at = conn->out + RECORD_LENGTH_BYTES;
    return RECORD_LENGTH_BYTES + record <= conn->out_bytes && record_open(receive, at, record, &bytes) == 0 &&
           frame_next(&at, &bytes, &frame) == 0 && frame.type == FRAME_WELCOME &&
           frame_read_welcome(&frame, &welcome) == 0;
}

static bool log_in(struct client *client) {
    struct noise_cipher_state send, receive;
    struct frame_link link = {.account = 1, .epoch = 5, .device = 1};
    uint8_t record[RECORD_LENGTH_BYTES + FRAME_SMALL_BYTES_MAX];
    noise_handshake_split(&client->noise, &send, &receive);
    size_t bytes =
        record_seal(&send, record, frame_write_link(record + RECORD_LENGTH_BYTES, FRAME_LOGIN, &link));
    say(client, record, bytes);
    return is_welcome(&receive);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uint8_t device_public[NOISE_KEY_BYTES];
    if (size < 2 || size - 2 < data[1])
        return 0;
    must(noise_init() == 0);
    noise_public_key(device_secret, device_public);
    struct client client = {
        .flips = data + 2 + data[1], .flip_count = (size - 2 - data[1]) / 2, .slice = data[0] / 8 * 8 + 1};
    uint8_t pattern = data[0] & 1 ? HELLO_XX : HELLO_IK;
    uint8_t ciphers = data[0] & 2 ? HELLO_OFFERS_AESGCM : HELLO_OFFERS_CHACHAPOLY;
    one_shard_begin();
    one.secret[0] = 24;
    one.entropy[0] = 32;
    one_shard_start();
    one_shard_account("anna", device_public);
    one_shard_accept(CONN, false);
    bool answered = say_hello(&client, pattern, ciphers);
    bool welcome = answered && shake_hands(&client, data + 2, data[1]) && log_in(&client);
    bool no_cipher = (data[0] & 2) && !noise_has_aes();
    must(welcome == (!client.bent && !no_cipher));
    /* What is left half-way is over when its time is. */
    one.now_ms += one.config.handshake_ms + 1;
    for (int slice = 0; slice < 2; slice++) {
        one.now_ms += 1000;
        one_shard_settle();
    }
    must(one.conns[CONN].used == welcome);
    one_shard_end();
    return 0;
}
