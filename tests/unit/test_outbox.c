/* Outboxes: what one device's outbox and queue do to others, and to the order of what they hold. */
#include <criterion/criterion.h>

#include "tests/support/one_shard.h"
#include "tools/client/peer.h"

TestSuite(outbox, .timeout = 30);

#define ANNA 1
#define BOB 2
#define CARL 3
#define EPOCH 5

/* A device that keeps what it heard; it acknowledges when it is told to. */
struct talker {
    uint64_t account;
    uint32_t conn;
    struct peer *peer;
    uint64_t next[ONE_ACCOUNTS_MAX + 1];
    uint64_t items;
    char heard[512]; /* "m2" message 2, "r1-2:1" receipt, "x3:12" refused with reason 12 */
};

static struct talker anna = {.account = ANNA, .conn = 0}, bob = {.account = BOB, .conn = 1},
                     carl = {.account = CARL, .conn = 2};

__attribute__((format(printf, 2, 3))) static void note_heard(struct talker *talker, const char *format, ...) {
    va_list arguments;
    size_t used = strlen(talker->heard);
    va_start(arguments, format);
    vsnprintf(talker->heard + used, sizeof(talker->heard) - used, format, arguments);
    va_end(arguments);
}

static int on_frame(void *context, struct peer *peer, const struct frame *frame) {
    struct talker *talker = context;
    struct frame_message message;
    struct frame_range range;
    struct frame_refused refused;
    (void)peer;
    if (frame->type == FRAME_MESSAGE && frame_read_message(frame, &message) == 0) {
        talker->items++;
        note_heard(talker, "m%llu ", (unsigned long long)message.id.number);
    } else if (frame->type == FRAME_RECEIPT && frame_read_range(frame, &range) == 0) {
        talker->items++;
        note_heard(talker, "r%llu-%llu:%u ", (unsigned long long)range.id.number,
                   (unsigned long long)range.last, frame->flags);
    } else if (frame->type == FRAME_REFUSED && frame_read_refused(frame, &refused) == 0) {
        note_heard(talker, "x%llu:%u ", (unsigned long long)refused.number, refused.reason);
    }
    return 0;
}

static void talk(struct talker *talker) {
    struct one_conn *conn = &one.conns[talker->conn];
    for (int round = 0; round < 4; round++) {
        const uint8_t *bytes;
        size_t count = peer_output(talker->peer, &bytes);
        one_shard_input(talker->conn, bytes, count);
        peer_sent(talker->peer, count);
        one_shard_settle();
        cr_assert_eq(peer_input(talker->peer, conn->out, conn->out_bytes, on_frame, talker), 0);
        conn->out_bytes = 0;
    }
}

static void come(struct talker *talker) {
    struct peer_setup setup = {.pattern = HELLO_PLAINTEXT,
                               .link = {.account = talker->account, .epoch = EPOCH, .device = 1}};
    cr_assert_eq(peer_create(&setup, &talker->peer), 0);
    talker->items = 0;
    one_shard_accept(talker->conn, true);
    talk(talker);
    cr_assert(peer_is_open(talker->peer));
}

static void go(struct talker *talker) {
    one_shard_cut(talker->conn, 0);
    peer_destroy(talker->peer);
    talker->peer = NULL;
}

static void say(struct talker *talker, uint64_t to, uint64_t number) {
    uint8_t out[FRAME_MESSAGE_BYTES + 5];
    struct frame_message message = {
        .id = {.to = to, .number = number}, .payload = (const uint8_t *)"hello", .payload_bytes = 5};
    cr_assert_eq(peer_put(talker->peer, out, frame_write_message(out, &message)), 0);
    talk(talker);
}

static void acknowledge(struct talker *talker) {
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    talk(talker);
    cr_assert_eq(peer_put(talker->peer, out, frame_write_ack(out, talker->items)), 0);
    talk(talker);
}

static const char *heard(struct talker *talker) {
    static char text[sizeof(talker->heard)];
    if (talker->peer)
        talk(talker);
    memcpy(text, talker->heard, sizeof(text));
    talker->heard[0] = '\0';
    return text;
}

static void pass(uint64_t ms) {
    one.now_ms += ms;
    one_shard_settle();
}

static void begin(uint64_t queue_messages_max) {
    static const uint8_t key[KEY_BYTES];
    one_shard_begin();
    one.config.queue_messages_max = queue_messages_max;
    one_shard_start();
    one_shard_account("anna", key);
    one_shard_account("bob", key);
    one_shard_account("carl", key);
}

static void end(void) {
    struct talker *all[] = {&anna, &bob, &carl};
    one.config.queue_messages_max = UINT64_MAX;
    for (size_t i = 0; i < 3; i++) {
        if (all[i]->peer)
            go(all[i]);
    }
    one_shard_end();
}

Test(outbox, full_queue_of_one_device_hurts_its_senders_only) {
    begin(2);
    come(&anna);
    say(&anna, BOB, 1);
    say(&anna, BOB, 2);
    cr_assert_str_eq(heard(&anna), "r1-1:1 r2-2:1 ");
    say(&anna, BOB, 3);
    say(&anna, CARL, 1);
    cr_assert_str_eq(heard(&anna), "x3:12 r1-1:1 ", "Bob's queue is full, Carl's is not");
    cr_assert_eq(one.shard->put_retry_ms[0], 0, "the store refuses nobody else");
    end();
}

Test(outbox, full_queue_takes_messages_in_order_when_it_has_room) {
    begin(2);
    come(&anna);
    for (uint64_t number = 1; number <= 4; number++)
        say(&anna, BOB, number);
    cr_assert_str_eq(heard(&anna), "r1-1:1 r2-2:1 x3:12 x4:8 ");
    come(&bob);
    cr_assert_str_eq(heard(&bob), "m1 m2 ");
    acknowledge(&bob);
    acknowledge(&anna); /* the ticks that settle Bob's */
    pass(STORE_RETRY_MS);
    go(&bob);
    say(&anna, BOB, 3);
    say(&anna, BOB, 4);
    cr_assert_str_eq(heard(&anna), "r1-2:2 r3-3:1 r4-4:1 ");
    come(&bob);
    cr_assert_str_eq(heard(&bob), "m3 m4 ");
    end();
}

/* Bob is here, acknowledges nothing, and his queue is full: whoever wrote to him is told, though Bob may have
 * it. */
Test(outbox, device_that_acknowledges_nothing_holds_up_nobody_with_a_full_queue) {
    begin(1);
    come(&anna);
    say(&anna, BOB, 1);
    come(&bob);
    say(&anna, BOB, 2);
    cr_assert_str_eq(heard(&anna), "r1-1:1 ");
    cr_assert_eq(one.shard->sessions[anna.conn]->unticked, 1);
    pass(one.config.spill_ms + 1);
    cr_assert_str_eq(heard(&anna), "x2:12 ");
    cr_assert_eq(one.shard->sessions[anna.conn]->unticked, 0);
    end();
}

Test(outbox, receipts_for_a_device_with_a_full_queue_are_kept) {
    begin(1);
    come(&anna);
    for (uint64_t number = 1; number <= 3; number++)
        say(&anna, CARL, number * 2); /* the gaps keep the receipts apart */
    say(&anna, BOB, 1);
    go(&anna);
    come(&bob);
    say(&bob, ANNA, 1);
    say(&bob, ANNA, 2);
    cr_assert_str_eq(heard(&bob), "m1 r1-1:1 x2:12 ", "receipts fill no queue, messages do");
    acknowledge(&bob);
    anna.heard[0] = '\0';
    come(&anna);
    cr_assert_not_null(strstr(anna.heard, "r1-1:2 "), "%s", anna.heard);
    end();
}

Test(outbox, log_says_once_that_the_store_refuses_and_once_that_it_takes) {
    begin(1000);
    come(&anna);
    one.store_full = true;
    uint32_t lines = one.log_lines;
    for (uint64_t round = 0; round < 100; round++) {
        say(&anna, BOB, 1);
        pass(STORE_RETRY_MS);
    }
    cr_assert_eq(one.log_lines, lines + 1);
    cr_assert_str_eq(one.log, "store_refuses environment=0 reason=store_full");
    one.store_full = false;
    say(&anna, BOB, 1);
    cr_assert_eq(one.log_lines, lines + 1, "it may be full again the next moment");
    pass(STORE_CALM_MS);
    say(&anna, BOB, 2);
    say(&anna, BOB, 3);
    cr_assert_eq(one.log_lines, lines + 2);
    cr_assert_str_eq(one.log, "store_takes environment=0");
    end();
}
