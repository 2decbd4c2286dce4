/* Receipts that wait in the memory of a shard for devices of its accounts. */
#include <criterion/criterion.h>

#include "tests/support/one_shard.h"
#include "tools/client/peer.h"

TestSuite(shard_receipt, .timeout = 30);

static int on_frame(void *context, struct peer *peer, const struct frame *frame) {
    (void)context, (void)peer, (void)frame;
    return 0;
}

static void talk(struct peer *peer, uint32_t index) {
    struct one_conn *conn = &one.conns[index];
    for (int round = 0; round < 4; round++) {
        const uint8_t *bytes;
        size_t count = peer_output(peer, &bytes);
        one_shard_input(index, bytes, count);
        peer_sent(peer, count);
        one_shard_settle();
        cr_assert_eq(peer_input(peer, conn->out, conn->out_bytes, on_frame, NULL), 0);
        conn->out_bytes = 0;
    }
}

static struct peer *come(uint32_t index, uint64_t account) {
    struct peer *peer;
    struct peer_setup setup = {.pattern = HELLO_PLAINTEXT,
                               .link = {.account = account, .epoch = 5, .device = 1}};
    cr_assert_eq(peer_create(&setup, &peer), 0);
    one_shard_accept(index, true);
    talk(peer, index);
    cr_assert(peer_is_open(peer));
    return peer;
}

/* Receipts that a broken store did not take stay in memory, one of them for all devices of the account. */
Test(shard_receipt, a_receipt_that_several_devices_wait_for_is_given_back_once) {
    static const uint8_t key[KEY_BYTES];
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    one_shard_begin();
    one_shard_start();
    one_shard_account("anna", key);
    one_shard_account("bob", key);
    struct device_record second = {.account = 1, .device = 2};
    cr_assert_eq(shard_load_device(one.shard, &second), 0);
    struct peer *bob = come(0, 2);
    struct frame_range range = {.id = {.from = 1, .from_device = 1, .to = 2, .epoch = 5, .number = 1},
                                .last = 1};
    one.store_broken = true;
    cr_assert_eq(peer_put(bob, out, frame_write_range(out, FRAME_MARK, RECEIPT_READ, &range)), 0);
    talk(bob, 0);
    cr_assert_geq(stats_get(one.stats.put_failures), 2, "both devices are away, and neither has it on disk");
    one_shard_end();
    peer_destroy(bob);
}
