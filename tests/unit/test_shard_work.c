/* A flood makes no turn long: what a session sends beyond its part waits for what others leave over. */
#include <criterion/criterion.h>

#include "core/bytes.h"
#include "core/record.h"
#include "tests/support/one_shard.h"
#include "tools/client/peer.h"

TestSuite(shard_work, .timeout = 30);

#define PINGS 20000u
#define RECORD_PINGS 1000u
#define UNKNOWN_TYPE 200
#define TURN_PINGS_MAX 3072u /* what the parts of two sessions and what is left over are good for */
#define TURNS_MAX 600u       /* some 120 pings are what a turn has left over */

static struct peer *peers[ONE_CONNS_MAX];
static uint64_t pongs[ONE_CONNS_MAX];

static int on_frame(void *context, struct peer *peer, const struct frame *frame) {
    (void)peer;
    *(uint64_t *)context += frame->type == FRAME_PONG;
    return 0;
}

static void hear(uint32_t index) {
    struct one_conn *conn = &one.conns[index];
    cr_assert_eq(peer_input(peers[index], conn->out, conn->out_bytes, on_frame, &pongs[index]), 0);
    conn->out_bytes = 0;
}

static void come(uint32_t index, uint64_t account) {
    struct peer_setup setup = {.pattern = HELLO_PLAINTEXT,
                               .link = {.account = account, .epoch = 5, .device = 1}};
    const uint8_t *bytes;
    size_t count;
    cr_assert_eq(peer_create(&setup, &peers[index]), 0);
    one_shard_accept(index, true);
    while ((count = peer_output(peers[index], &bytes)) != 0) {
        one_shard_input(index, bytes, count);
        peer_sent(peers[index], count);
        one_shard_settle();
        hear(index);
    }
    cr_assert(peer_is_open(peers[index]));
}

/* A record of pings, or of nothing. */
static size_t write_pings(uint8_t *out, uint32_t count) {
    size_t used = RECORD_LENGTH_BYTES;
    for (uint32_t i = 0; i < count; i++)
        used += frame_write_ping(out + used, FRAME_PING, i);
    bytes_put16(out, (uint16_t)(used - RECORD_LENGTH_BYTES));
    return used;
}

static void begin(void) {
    static const uint8_t key[KEY_BYTES];
    one_shard_begin();
    one_shard_start();
    one_shard_account("anna", key);
    one_shard_account("bob", key);
    one_shard_account("carol", key);
    come(0, 1);
    come(1, 2);
    come(2, 3);
}

static void end(void) {
    one_shard_end();
    for (int i = 0; i < 3; i++)
        peer_destroy(peers[i]);
}

Test(shard_work, a_flood_is_worked_off_in_parts_and_does_not_hold_up_who_says_little) {
    static uint8_t flood[PINGS * 16 + PINGS / RECORD_PINGS * RECORD_LENGTH_BYTES];
    uint8_t ping[64];
    size_t used = 0;
    begin();
    for (uint32_t i = 0; i < PINGS / RECORD_PINGS; i++)
        used += write_pings(flood + used, RECORD_PINGS);
    one_shard_input(0, flood, used);
    one_shard_input(1, flood, used);
    hear(0);
    hear(1);
    uint32_t turns = 0;
    while (pongs[0] < PINGS || pongs[1] < PINGS) {
        cr_assert_lt(turns++, TURNS_MAX, "%lu and %lu", pongs[0], pongs[1]);
        uint64_t before = pongs[0] + pongs[1], own = pongs[2];
        one_shard_input(2, ping, write_pings(ping, 1));
        for (uint32_t i = 0; i < 3; i++)
            hear(i);
        cr_expect_eq(pongs[2], own + 1);
        cr_expect_leq(pongs[0] + pongs[1] - before, TURN_PINGS_MAX);
        bool over = pongs[0] == PINGS && pongs[1] == PINGS;
        cr_expect(over || shard_next_ms(one.shard) <= one.now_ms || !one.shard->work_waits);
        uint64_t fast = pongs[0] > pongs[1] ? pongs[0] : pongs[1], slow = pongs[0] + pongs[1] - fast;
        cr_expect(over || fast - slow <= 2 * TURN_PINGS_MAX, "%lu and %lu", fast, slow);
    }
    cr_expect_geq(turns, 10);
    end();
}

/* Frames that mean nothing cost something, too. */
Test(shard_work, frames_of_unknown_type_are_work) {
    static uint8_t idle[20000][RECORD_LENGTH_BYTES + FRAME_HEADER_BYTES];
    for (size_t i = 0; i < sizeof(idle) / sizeof(idle[0]); i++) {
        bytes_put16(idle[i], FRAME_HEADER_BYTES);
        idle[i][RECORD_LENGTH_BYTES + 2] = UNKNOWN_TYPE;
    }
    begin();
    one_shard_input(0, idle[0], sizeof(idle));
    cr_expect(one.shard->work_waits);
    cr_expect_leq(shard_next_ms(one.shard), one.now_ms);
    uint32_t turns = 0;
    for (; one.shard->work_waits; turns++)
        one_shard_input(0, NULL, 0);
    cr_expect_geq(turns, 5);
    cr_expect(one.conns[0].used);
    end();
}
