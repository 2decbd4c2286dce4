/* Fuzzes a session of the switch as a device on the network could: the first byte says how it begins, the
 * rest is what is sent. Raw bytes from the hello on; frames in records of a plaintext session; frames sealed
 * after a handshake that was done in order; the same after a login, so that the frames of an open session are
 * reached; records whose seal is wrong. Another device is there all the time and has to stay: what a bad peer
 * does is its own affair. */
#include "core/bytes.h"
#include "core/must.h"
#include "core/record.h"
#include "tests/support/one_shard.h"
#include "tools/client/peer.h"

#define BAD 0u
#define GOOD 1u
#define SLICE_BYTES_MAX 4096u

enum {
    BEGIN_RAW = 0,
    BEGIN_RAW_PLAINTEXT,
    BEGIN_PLAINTEXT,
    BEGIN_KEYED,
    BEGIN_OPEN,
    BEGIN_HANDSHAKE,
    BEGIN_WAYS
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct pair {
    struct peer *peer;
    uint64_t pongs;
    bool broken;
};

static int on_frame(void *context, struct peer *peer, const struct frame *frame) {
    struct pair *pair = context;
    (void)peer;
    pair->pongs += frame->type == FRAME_PONG;
    return 0;
}

/* Apart in more than the three lowest bits, which Curve25519 clears. */
static const uint8_t secrets[2][NOISE_KEY_BYTES] = {{8}, {16}};
static uint8_t publics[2][NOISE_KEY_BYTES];

static void open_peer(struct pair *pair, uint32_t index, enum hello_pattern pattern) {
    static const uint8_t ephemeral[NOISE_KEY_BYTES] = {24};
    uint8_t server[NOISE_KEY_BYTES];
    noise_public_key(one.secret, server);
    struct peer_setup setup = {
        .pattern = pattern,
        .device_secret = secrets[index],
        .server_public = server,
        .ephemeral_secret = ephemeral,
        .link = {.account = index + 1, .epoch = 5, .device = 1},
    };
    *pair = (struct pair){0};
    must(peer_create(&setup, &pair->peer) == 0);
}

/* What one has to say goes to the other, until both are silent. */
static void talk(struct pair *pair, uint32_t conn) {
    for (bool spoke = true; spoke;) {
        const uint8_t *bytes;
        size_t count;
        spoke = false;
        while ((count = peer_output(pair->peer, &bytes)) != 0) {
            one_shard_input(conn, bytes, count);
            peer_sent(pair->peer, count);
            spoke = true;
        }
        one_shard_settle();
        struct one_conn *out = &one.conns[conn];
        count = out->out_bytes;
        out->out_bytes = 0;
        spoke = spoke || count;
        if (count && peer_input(pair->peer, out->out, count, on_frame, pair) < 0)
            pair->broken = true;
    }
}

/* Bytes as they are, in slices whose size they say themselves. */
static void send_raw(const uint8_t *data, size_t size) {
    while (size && one.conns[BAD].used) {
        size_t slice = 1 + (size_t)data[0] * 16;
        slice = slice < size ? slice : size;
        one_shard_input(BAD, data, slice);
        one.now_ms += slice % 7;
        data += slice;
        size -= slice;
        if (slice % 3 == 0)
            one_shard_settle();
    }
}

/* u16 bytes of a record, then so many: as frames. The highest bit of the length spoils the seal, the next
 * lets time pass. */
static void send_records(struct noise_cipher_state *state, const uint8_t *data, size_t size) {
    static uint8_t space[RECORD_LENGTH_BYTES + RECORD_SEALED_BYTES_MAX];
    while (size > 2 && one.conns[BAD].used) {
        uint16_t head = bytes_get16(data);
        size_t bytes = head & 0x3fff;
        data += 2;
        size -= 2;
        bytes = bytes < size ? bytes : size;
        memcpy(space + RECORD_LENGTH_BYTES, data, bytes);
        size_t record = record_seal(state, space, bytes);
        if (head & 0x8000 && record > RECORD_LENGTH_BYTES)
            space[record - 1] ^= 1;
        one_shard_input(BAD, space, record);
        if (head & 0x4000) {
            one.now_ms += 700;
            one_shard_settle();
        }
        data += bytes;
        size -= bytes;
    }
}

/* A handshake in order, by hand, for the keys. login: with the first record, too. */
static bool shake_hands(struct noise_cipher_state *ret_send, bool login) {
    static const uint8_t ephemeral[NOISE_KEY_BYTES] = {32};
    uint8_t prologue[2 * HELLO_BYTES], server[NOISE_KEY_BYTES], message[2 + 96], payload[64];
    struct hello_client hello = {
        .version_min = 1, .version_max = 1, .pattern = HELLO_IK, .ciphers = HELLO_OFFERS_CHACHAPOLY};
    struct one_conn *conn = &one.conns[BAD];
    hello_write_client(prologue, &hello);
    one_shard_input(BAD, prologue, HELLO_BYTES);
    must(conn->out_bytes == HELLO_BYTES);
    memcpy(prologue + HELLO_BYTES, conn->out, HELLO_BYTES);
    noise_public_key(one.secret, server);
    struct noise_setup setup = {.pattern = NOISE_IK,
                                .cipher = NOISE_CHACHAPOLY,
                                .initiator = true,
                                .prologue = prologue,
                                .prologue_bytes = sizeof(prologue),
                                .static_secret = secrets[BAD],
                                .ephemeral_secret = ephemeral,
                                .remote_static = server};
    struct noise_handshake handshake;
    struct noise_cipher_state receive;
    size_t bytes;
    must(noise_handshake_init(&handshake, &setup) == 0);
    must(noise_handshake_write(&handshake, NULL, 0, message + 2, &bytes) == 0);
    bytes_put16(message, (uint16_t)bytes);
    one_shard_input(BAD, message, bytes + 2);
    must(conn->out_bytes == HELLO_BYTES + 2 + 48);
    must(noise_handshake_read(&handshake, conn->out + HELLO_BYTES + 2, 48, payload, &bytes) == 0);
    noise_handshake_split(&handshake, ret_send, &receive);
    if (!login)
        return true;
    uint8_t record[RECORD_LENGTH_BYTES + FRAME_SMALL_BYTES_MAX];
    struct frame_link link = {.account = BAD + 1, .epoch = 5, .device = 1};
    bytes = record_seal(ret_send, record, frame_write_link(record + RECORD_LENGTH_BYTES, FRAME_LOGIN, &link));
    one_shard_input(BAD, record, bytes);
    one_shard_settle();
    return conn->used;
}

static void send_plaintext(const uint8_t *data, size_t size) {
    struct noise_cipher_state plain = {.cipher = NOISE_PLAIN};
    uint8_t hello[HELLO_BYTES];
    struct hello_client body = {.version_min = 1, .version_max = 1, .pattern = HELLO_PLAINTEXT};
    hello_write_client(hello, &body);
    one_shard_input(BAD, hello, sizeof(hello));
    send_records(&plain, data, size);
}

static void send_bad(uint8_t way, const uint8_t *data, size_t size) {
    struct noise_cipher_state send;
    switch (way) {
    case BEGIN_PLAINTEXT:
        send_plaintext(data, size);
        break;
    case BEGIN_KEYED:
    case BEGIN_OPEN:
        must(shake_hands(&send, way == BEGIN_OPEN));
        send_records(&send, data, size);
        break;
    case BEGIN_HANDSHAKE:
        one_shard_input(BAD, (const uint8_t *)"TERN\1\1\1\3\0\0\0\0\0\0\0\0", HELLO_BYTES);
        send_raw(data, size);
        break;
    default:
        send_raw(data, size);
        break;
    }
}

/* In plaintext a login is taken at its word, and this may have been one as the good device. */
static bool is_taken_over(uint8_t way) {
    bool plaintext = way == BEGIN_PLAINTEXT || way == BEGIN_RAW_PLAINTEXT;
    return plaintext && stats_get(one.stats.closed[CLOSE_REPLACED]) > 0;
}

static void expect_good(struct pair *good, uint8_t way) {
    uint8_t ping[FRAME_SMALL_BYTES_MAX];
    uint64_t before = good->pongs;
    if (is_taken_over(way))
        return;
    must(one.conns[GOOD].used);
    must(peer_put(good->peer, ping, frame_write_ping(ping, FRAME_PING, 1)) == 0);
    talk(good, GOOD);
    must(!good->broken && good->pongs == before + 1);
}

/* Both accounts get a device that is always away: copies, gates and queues. */
static void add_second_devices(void) {
    for (uint64_t account = 1; account <= 2; account++) {
        struct device_record record = {.account = account, .device = 2};
        must(shard_load_device(one.shard, &record) == 0);
    }
}

/* All there are: messages that name them arrive. */
static void publish_keys(void) {
    for (uint64_t number = 1; number <= 2; number++) {
        struct account *account = account_find(&one.shard->accounts, number);
        for (uint32_t i = 0; i < account->slots_used; i++)
            account->devices[i]->signed_id = 1;
    }
}

/* Every close has one reason, and is counted under it. */
static uint64_t count_closed(void) {
    uint64_t sum = 0;
    for (uint32_t reason = 0; reason < CLOSE_REASON_COUNT; reason++)
        sum += stats_get(one.stats.closed[reason]);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2)
        return 0;
    must(noise_init() == 0);
    noise_public_key(secrets[BAD], publics[BAD]);
    noise_public_key(secrets[GOOD], publics[GOOD]);
    uint8_t way = data[0] % BEGIN_WAYS;
    one_shard_begin();
    one.secret[0] = 40;
    one.entropy[0] = 48;
    one.config.unticked_max = 3; /* so that holding back is reached */
    one.config.window_messages = 2;
    one.config.payload_bytes_max = 600;
    one.bufs_scarce = data[1] & 1;
    one.store_full = data[1] & 2;
    one.store_broken = data[1] & 8;
    one_shard_start();
    one_shard_account("bad", publics[BAD]);
    one_shard_account("good", publics[GOOD]);
    if (data[1] & 16)
        add_second_devices();
    if (data[1] & 32)
        publish_keys();
    struct pair good;
    one_shard_accept(GOOD, true); /* in plaintext: that is faster */
    open_peer(&good, GOOD, HELLO_PLAINTEXT);
    talk(&good, GOOD);
    must(peer_is_open(good.peer));
    one_shard_accept(BAD, way == BEGIN_RAW_PLAINTEXT || way == BEGIN_PLAINTEXT);
    send_bad(way, data + 2, size - 2);
    one_shard_settle();
    expect_good(&good, way);
    one_shard_cut(BAD, data[1] & 4 ? ECONNRESET : 0);
    must(!one.conns[BAD].used && count_closed() == (is_taken_over(way) ? 2 : 1));
    expect_good(&good, way);
    one.store_broken = false;
    one_shard_end();
    peer_destroy(good.peer);
    return 0;
}
