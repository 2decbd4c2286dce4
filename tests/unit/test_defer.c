/* Receipts that wait a turn for a message to ride with. */
#include <criterion/criterion.h>

#include "core/record.h"
#include "tests/support/one_shard.h"
#include "tools/client/peer.h"

TestSuite(defer, .timeout = 30);

#define ANNA 0 /* connections; their accounts are one more */
#define BOB 1

static struct peer *peers[2];
static uint64_t items[2];
static uint64_t numbers[2];

static int on_frame(void *context, struct peer *peer, const struct frame *frame) {
    (void)peer;
    *(uint64_t *)context += frame->type == FRAME_MESSAGE || frame->type == FRAME_RECEIPT;
    return 0;
}

/* A turn in which what the peer has to say comes in. */
static void say(uint32_t index) {
    const uint8_t *bytes;
    size_t count = peer_output(peers[index], &bytes);
    one_shard_input(index, bytes, count);
    peer_sent(peers[index], count);
}

static void turn(void) {
    one_shard_input(ANNA, NULL, 0);
}

static void hear(uint32_t index) {
    cr_assert_eq(
        peer_input(peers[index], one.conns[index].out, one.conns[index].out_bytes, on_frame, &items[index]),
        0);
    one.conns[index].out_bytes = 0;
}

static void settle(void) {
    one_shard_settle();
    hear(ANNA);
    hear(BOB);
}

static void put_message(uint32_t index) {
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    struct frame_message message = {.id = {.to = 2 - index, .number = ++numbers[index]},
                                    .payload = (const uint8_t *)"hello",
                                    .payload_bytes = 5};
    cr_assert_eq(peer_put(peers[index], out, frame_write_message(out, &message)), 0);
}

static void put_ack(uint32_t index) {
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    cr_assert_eq(peer_put(peers[index], out, frame_write_ack(out, items[index])), 0);
}

static void begin(void) {
    static const uint8_t key[KEY_BYTES];
    one_shard_begin();
    one_shard_start();
    one_shard_account("anna", key);
    one_shard_account("bob", key);
    for (uint32_t i = ANNA; i <= BOB; i++) {
        struct peer_setup setup = {.pattern = HELLO_PLAINTEXT,
                                   .link = {.account = i + 1, .epoch = 5, .device = 1}};
        cr_assert_eq(peer_create(&setup, &peers[i]), 0);
        one_shard_accept(i, true);
        while (!peer_is_open(peers[i])) {
            say(i);
            one_shard_settle();
            hear(i);
        }
    }
}

static void end(void) {
    one_shard_end();
    peer_destroy(peers[ANNA]);
    peer_destroy(peers[BOB]);
}

/* Each has the other's message and has said nothing yet. */
static void exchange(void) {
    put_message(ANNA);
    put_message(BOB);
    say(ANNA);
    say(BOB);
    hear(ANNA);
    hear(BOB);
    put_ack(ANNA);
    put_ack(BOB);
}

Test(defer, of_two_receipts_one_waits_for_its_turns_and_no_longer) {
    begin();
    exchange();
    say(ANNA);
    for (int i = 0; i < DEFER_TURNS; i++) {
        cr_expect(!one.conns[BOB].ready, "bob's receipt waits");
        cr_expect(shard_defers(one.shard), "and the shard does not sleep long meanwhile");
        turn();
    }
    cr_expect_eq(one.conns[BOB].out_bytes, 0);
    cr_expect(one.conns[BOB].ready, "its time is over");
    cr_expect(!shard_defers(one.shard));
    say(BOB);
    cr_expect_gt(one.conns[BOB].out_bytes, 0);
    cr_expect(one.conns[ANNA].ready, "hers does not wait, too");
    settle();
    end();
}

static uint32_t records_of(const struct one_conn *conn) {
    uint32_t count = 0;
    for (size_t at = 0; at < conn->out_bytes; count++)
        at += RECORD_LENGTH_BYTES + record_sealed_bytes(conn->out + at);
    return count;
}

Test(defer, message_of_the_next_turn_takes_the_receipt_along) {
    begin();
    exchange();
    say(ANNA);
    cr_expect_eq(one.conns[BOB].out_bytes, 0);
    put_message(ANNA);
    say(ANNA);
    cr_expect_eq(records_of(&one.conns[BOB]), 1);
    uint64_t before = items[BOB];
    hear(BOB);
    cr_expect_eq(items[BOB] - before, 2, "the receipt and the message in one record");
    settle();
    end();
}

Test(defer, who_only_sends_never_waits) {
    begin();
    for (int i = 0; i < 8; i++) {
        put_message(ANNA);
        say(ANNA);
        hear(BOB);
        put_ack(BOB);
        say(BOB);
        cr_expect(one.conns[ANNA].ready);
        settle();
    }
    end();
}

/* The connection is gone, or is another device's, when its turn comes. */
Test(defer, connection_that_goes_meanwhile_is_left_alone) {
    begin();
    exchange();
    say(ANNA);
    cr_expect(!one.conns[BOB].ready);
    one_shard_cut(BOB, 0);
    for (int i = 0; i < DEFER_TURNS; i++)
        turn();
    cr_expect(!shard_defers(one.shard));
    cr_expect_eq(stats_get(one.stats.receipts_spilled), 1, "it waits in the queue now");
    hear(ANNA);
    end();
}
