/* The worked session of docs/PROTOCOL.md, section 8: what the page shows in hex is, byte for byte, what the
 * switch's core and the client's peer say to each other. */
#include <criterion/criterion.h>

#include "tests/support/one_shard.h"
#include "tests/support/page.h"
#include "tools/client/peer.h"

TestSuite(protocol, .timeout = 30);

#define ANNA 0u /* connections */
#define BOB 1u
#define EPOCH UINT64_C(0x1122334455667788)
#define BOBS_EPOCH UINT64_C(0x99aabbccddeeff01)
#define GATHERED_BYTES_MAX 4096u

struct side {
    struct peer *peer;
    uint32_t conn;
    uint64_t items;
    uint8_t frames[GATHERED_BYTES_MAX]; /* what the switch sent since it was last looked at */
    size_t frames_bytes;
};

static struct side anna = {.conn = ANNA}, bob = {.conn = BOB};

/* --- the two sides -------------------------------------------------------------------------------------- */

static void fill(uint8_t *out, size_t count, uint8_t first) {
    for (size_t i = 0; i < count; i++)
        out[i] = (uint8_t)(first + i);
}

static int on_frame(void *context, struct peer *peer, const struct frame *frame) {
    struct side *side = context;
    (void)peer;
    side->items += frame->type == FRAME_MESSAGE || frame->type == FRAME_RECEIPT;
    cr_assert_leq(side->frames_bytes + frame->frame_bytes, sizeof(side->frames));
    memcpy(side->frames + side->frames_bytes, frame->bytes, frame->frame_bytes);
    side->frames_bytes += frame->frame_bytes;
    return 0;
}

static size_t say(struct side *side) {
    const uint8_t *bytes;
    size_t count = peer_output(side->peer, &bytes);
    one_shard_input(side->conn, bytes, count);
    peer_sent(side->peer, count);
    one_shard_settle();
    return count;
}

static void hear(struct side *side) {
    struct one_conn *conn = &one.conns[side->conn];
    cr_assert_eq(peer_input(side->peer, conn->out, conn->out_bytes, on_frame, side), 0);
    conn->out_bytes = 0;
}

/* What the client says next is this on the page, and the switch gets it from there. */
static void client_says(const char *name) {
    const uint8_t *bytes;
    size_t count = peer_output(anna.peer, &bytes);
    page_expect(name, bytes, count);
    struct page_block block = page_block(name);
    peer_sent(anna.peer, count);
    one_shard_input(ANNA, block.bytes, block.count);
    one_shard_settle();
}

/* What the switch said is this on the page, and the client gets it from there. */
static void switch_says(const char *name) {
    struct one_conn *conn = &one.conns[ANNA];
    page_expect(name, conn->out, conn->out_bytes);
    struct page_block block = page_block(name);
    conn->out_bytes = 0;
    cr_assert_eq(peer_input(anna.peer, block.bytes, block.count, on_frame, &anna), 0, "%s", name);
}

static void client_record(const char *name, const uint8_t *frames, size_t count) {
    char record[128];
    page_expect(name, frames, count);
    cr_assert_eq(peer_put(anna.peer, frames, count), 0);
    snprintf(record, sizeof(record), "%s, record", name);
    client_says(record);
}

static void switch_record(const char *name) {
    char record[128];
    snprintf(record, sizeof(record), "%s, record", name);
    switch_says(record);
    page_expect(name, anna.frames, anna.frames_bytes);
    anna.frames_bytes = 0;
}

static void client_acks(const char *name) {
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    client_record(name, out, frame_write_ack(out, anna.items));
}

/* Bob is on the same switch, in plaintext; the page does not show what he says. */
static void bob_talks(void) {
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    for (int round = 0; round < 4; round++) {
        uint64_t items = bob.items;
        hear(&bob);
        if (bob.items != items)
            cr_assert_eq(peer_put(bob.peer, out, frame_write_ack(out, bob.items)), 0);
        say(&bob);
    }
}

static void bob_comes(void) {
    struct peer_setup setup = {.pattern = HELLO_PLAINTEXT,
                               .link = {.account = 2, .epoch = BOBS_EPOCH, .device = 1}};
    cr_assert_eq(peer_create(&setup, &bob.peer), 0);
    one_shard_accept(BOB, true);
    say(&bob);
    bob_talks();
    cr_assert(peer_is_open(bob.peer));
}

static void bob_sends(const char *text) {
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    struct frame_message message = {.id = {.to = 1, .number = 1},
                                    .payload = (const uint8_t *)text,
                                    .payload_bytes = (uint32_t)strlen(text)};
    cr_assert_eq(peer_put(bob.peer, out, frame_write_message(out, &message)), 0);
    say(&bob);
}

/* --- the session ---------------------------------------------------------------------------------------- */

static void open_connection(void) {
    uint8_t device[NOISE_KEY_BYTES], ephemeral[NOISE_KEY_BYTES], public[NOISE_KEY_BYTES];
    cr_assert_eq(noise_init(), 0);
    one_shard_begin();
    fill(device, sizeof(device), 0x00);
    fill(ephemeral, sizeof(ephemeral), 0x20);
    fill(one.secret, sizeof(one.secret), 0x40);
    fill(one.entropy, sizeof(one.entropy), 0x60);
    fill(one.code, sizeof(one.code), 0x80);
    one_shard_start();
    one_shard_account("anna", NULL);
    one_shard_account("bob", one.secret);
    page_expect("client, static secret", device, sizeof(device));
    page_expect("client, ephemeral secret", ephemeral, sizeof(ephemeral));
    page_expect("switch, static secret", one.secret, sizeof(one.secret));
    page_expect("switch, ephemeral secret", one.entropy, sizeof(one.entropy));
    noise_public_key(device, public);
    page_expect("client, static public", public, sizeof(public));
    noise_public_key(one.secret, public);
    page_expect("switch, static public", public, sizeof(public));
    struct peer_setup setup = {.pattern = HELLO_IK,
                               .ciphers = HELLO_OFFERS_CHACHAPOLY,
                               .device_secret = device,
                               .server_public = public,
                               .ephemeral_secret = ephemeral,
                               .link = {.account = 1, .epoch = EPOCH},
                               .is_link = true};
    memcpy(setup.link.code, one.code, sizeof(one.code));
    cr_assert_eq(peer_create(&setup, &anna.peer), 0);
    one_shard_accept(ANNA, false);
}

static void link_device(void) {
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    struct frame_link link = {.account = 1, .epoch = EPOCH};
    memcpy(link.code, one.code, sizeof(link.code));
    client_says("client hello");
    switch_says("switch hello");
    client_says("handshake 1");
    switch_says("handshake 2");
    page_expect("LINK", out, frame_write_link(out, FRAME_LINK, &link));
    client_says("LINK, record");
    switch_record("WELCOME, KEYS_STOCK");
    cr_assert(peer_is_open(anna.peer));
}

static void send_message(void) {
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    struct frame_message message = {
        .id = {.to = 2, .number = 1}, .payload = (const uint8_t *)"hello", .payload_bytes = 5};
    one.utc_ms += 1000;
    client_record("MESSAGE", out, frame_write_message(out, &message));
    switch_record("RECEIPT, sent");
    client_acks("ACK, one item");
    one.utc_ms += 1000;
    bob_comes();
    switch_record("RECEIPT, delivered");
}

static void receive_message(void) {
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    one.utc_ms += 1000;
    bob_sends("hello, anna");
    switch_record("MESSAGE from bob");
    client_acks("ACK, three items");
    bob_talks();
    switch_record("CONFIRM, delivered");
    struct frame_range range = {
        .id = {.from = 2, .from_device = 1, .to = 1, .epoch = BOBS_EPOCH, .number = 1}, .last = 1};
    client_record("MARK, read", out, frame_write_range(out, FRAME_MARK, RECEIPT_READ, &range));
    bob_talks();
    switch_record("CONFIRM, read");
}

static void close_connection(void) {
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    struct frame_close body = {.reason = CLOSE_PEER};
    client_record("PING", out, frame_write_ping(out, FRAME_PING, 7));
    switch_record("PONG");
    client_record("CLOSE", out, frame_write_close(out, FRAME_CLOSE, &body));
    one_shard_cut(ANNA, 0);
    cr_assert_eq(stats_get(one.stats.closed[CLOSE_PEER]), 1);
}

Test(protocol, the_worked_session_is_what_switch_and_client_say) {
    open_connection();
    link_device();
    send_message();
    receive_message();
    close_connection();
    one_shard_end();
    peer_destroy(anna.peer);
    peer_destroy(bob.peer);
}
