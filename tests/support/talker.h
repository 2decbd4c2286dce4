/* tests/support/talker.h: devices that talk to one_shard.h's switch in plaintext, and write down what they
 * hear. They acknowledge when the test says so.
 *
 * Threads: one.  Memory: a peer per talker, from talker_come to talker_go. */
#ifndef TERN_TESTS_SUPPORT_TALKER_H
#define TERN_TESTS_SUPPORT_TALKER_H

#include <criterion/criterion.h>

#include "core/frame_keys.h"
#include "tests/support/one_shard.h"
#include "tools/client/peer.h"

#define TALKER_EPOCH 5
#define TALKER_ADMIN 2 /* party */

struct talker {
    uint64_t account;
    uint16_t device;
    uint32_t conn;
    struct peer *peer;
    uint64_t items;
    uint64_t confirmed; /* numbers */
    char heard[512]; /* "m2" message 2, "p2=text" a part of it, "t1+2-3" targets of account 1, 2 missing and 3
                      * gone, "r1-2:1" receipt, "x3:12" refused, "b9" blocked's status, "k0:4" keys'
                      * status and the first one-time pre-key, "l0:3" a list's status and version, "c0",
                      * "d0" */
    struct frame_keys_stock stock; /* the last */
    uint32_t stocks;               /* how many came unasked */
};

__attribute__((format(printf, 2, 3))) static void talker_note(struct talker *talker, const char *format,
                                                              ...) {
    va_list arguments;
    size_t used = strlen(talker->heard);
    va_start(arguments, format);
    vsnprintf(talker->heard + used, sizeof(talker->heard) - used, format, arguments);
    va_end(arguments);
}

static void talker_hear_keys(struct talker *talker, const struct frame *frame) {
    struct frame_keys keys;
    struct frame_code code;
    struct frame_device device;
    uint16_t number;
    if (frame->type == FRAME_KEYS_STOCK && frame_read_keys_stock(frame, &talker->stock) == 0)
        talker->stocks += talker->stock.request == 0;
    else if (frame->type == FRAME_KEYS && frame_read_keys(frame, &keys) == 0)
        talker_note(talker, "k%u:%u ", keys.status,
                    keys.count ? frame_one_time_id(frame_keys_row(&keys, 0, &number) + FRAME_KEYS_BYTES) : 0);
    else if (frame->type == FRAME_CODE && frame_read_code(frame, &code) == 0)
        talker_note(talker, "c%u ", code.status);
    else if (frame->type == FRAME_DEVICE_REMOVED && frame_read_device(frame, &device) == 0)
        talker_note(talker, "d%u ", device.status);
}

static void talker_hear_message(struct talker *talker, const struct frame_message *message) {
    if (message->target_count == 0)
        talker_note(talker, "m%llu ", (unsigned long long)message->id.number);
    else
        talker_note(talker, "p%llu=%.*s ", (unsigned long long)message->id.number,
                    (int)message->payload_bytes, (const char *)message->payload);
}

static void talker_hear_targets(struct talker *talker, const struct frame_targets *targets) {
    talker_note(talker, "t%llu", (unsigned long long)targets->account);
    for (uint32_t i = 0; i < (uint32_t)targets->missing + targets->gone; i++)
        talker_note(talker, "%c%u", i < targets->missing ? '+' : '-', targets->devices[i]);
    talker_note(talker, " ");
}

static int talker_on_frame(void *context, struct peer *peer, const struct frame *frame) {
    struct talker *talker = context;
    struct frame_message message;
    struct frame_range range;
    struct frame_refused refused;
    struct frame_targets targets;
    struct frame_block block;
    struct frame_list list;
    (void)peer;
    talker->items += frame->type == FRAME_MESSAGE || frame->type == FRAME_RECEIPT;
    if (frame->type == FRAME_MESSAGE && frame_read_message(frame, &message) == 0)
        talker_hear_message(talker, &message);
    else if (frame->type == FRAME_RECEIPT && frame_read_range(frame, &range) == 0)
        talker_note(talker, "r%llu-%llu:%u ", (unsigned long long)range.id.number,
                    (unsigned long long)range.last, frame->flags);
    else if (frame->type == FRAME_CONFIRM && frame_read_range(frame, &range) == 0)
        talker->confirmed += range.last - range.id.number + 1;
    else if (frame->type == FRAME_REFUSED && frame_read_refused(frame, &refused) == 0)
        talker_note(talker, "x%llu:%u ", (unsigned long long)refused.number, refused.reason);
    else if (frame->type == FRAME_TARGETS && frame_read_targets(frame, &targets) == 0)
        talker_hear_targets(talker, &targets);
    else if (frame->type == FRAME_BLOCKED && frame_read_block(frame, &block) == 0)
        talker_note(talker, "b%u ", block.status);
    else if (frame->type == FRAME_LIST_STORED && frame_read_list(frame, &list) == 0)
        talker_note(talker, "l%u:%llu ", list.status, (unsigned long long)list.version);
    else
        talker_hear_keys(talker, frame);
    return 0;
}

/* What it has to say goes in, what it is told comes out, until both are silent. */
static void talker_talk(struct talker *talker) {
    struct one_conn *conn = &one.conns[talker->conn];
    for (int round = 0; round < 4; round++) {
        const uint8_t *bytes;
        size_t count = peer_output(talker->peer, &bytes);
        one_shard_input(talker->conn, bytes, count);
        peer_sent(talker->peer, count);
        one_shard_settle();
        cr_assert_eq(peer_input(talker->peer, conn->out, conn->out_bytes, talker_on_frame, talker), 0);
        conn->out_bytes = 0;
    }
}

/* Whatever becomes of it. */
static inline void talker_connect(struct talker *talker) {
    struct peer_setup setup = {.pattern = HELLO_PLAINTEXT,
                               .link = {.account = talker->account,
                                        .epoch = TALKER_EPOCH,
                                        .device = talker->device ? talker->device : 1}};
    cr_assert_eq(peer_create(&setup, &talker->peer), 0);
    talker->items = 0;
    one_shard_accept(talker->conn, true);
    talker_talk(talker);
}

static inline void talker_come(struct talker *talker) {
    talker_connect(talker);
    cr_assert(peer_is_open(talker->peer));
}

static inline void talker_go(struct talker *talker) {
    if (!talker->peer)
        return;
    one_shard_cut(talker->conn, 0);
    peer_destroy(talker->peer);
    talker->peer = NULL;
}

/* Says a frame without listening to what comes of it. */
static inline void talker_put(struct talker *talker, const uint8_t *frame, size_t bytes) {
    cr_assert_eq(peer_put(talker->peer, frame, bytes), 0);
}

static inline void talker_put_message(struct talker *talker, uint64_t to, uint64_t number) {
    uint8_t out[FRAME_MESSAGE_BYTES + 5];
    struct frame_message message = {
        .id = {.to = to, .number = number}, .payload = (const uint8_t *)"hello", .payload_bytes = 5};
    talker_put(talker, out, frame_write_message(out, &message));
}

static inline void talker_put_ack(struct talker *talker, uint64_t items) {
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    talker_put(talker, out, frame_write_ack(out, items));
}

/* As if by its own account, of messages of another account's first device. */
static inline void talker_put_mark(struct talker *talker, uint64_t from, uint64_t epoch, uint64_t first,
                                   uint64_t last, uint8_t flags) {
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    struct frame_range range = {
        .id = {.from = from, .from_device = 1, .to = talker->account, .epoch = epoch, .number = first},
        .last = last};
    talker_put(talker, out, frame_write_range(out, FRAME_MARK, flags, &range));
}

static inline void talker_say(struct talker *talker, uint64_t to, uint64_t number) {
    talker_put_message(talker, to, number);
    talker_talk(talker);
}

static inline void talker_acknowledge(struct talker *talker) {
    talker_talk(talker);
    talker_put_ack(talker, talker->items);
    talker_talk(talker);
}

/* What it heard since it was asked last. */
static inline const char *talker_heard(struct talker *talker) {
    static char text[sizeof(talker->heard)];
    if (talker->peer)
        talker_talk(talker);
    memcpy(text, talker->heard, sizeof(text));
    talker->heard[0] = '\0';
    return text;
}

static inline void talker_pass_time(uint64_t ms) {
    one.now_ms += ms;
    one_shard_settle();
}

/* --- their devices -------------------------------------------------------------------------------------- */

/* The first two accounts, with a device each. */
static inline void talker_begin_accounts(void) {
    static const uint8_t key[KEY_BYTES];
    one_shard_start();
    one_shard_account("anna", key);
    one_shard_account("bob", key);
}

/* A further device, as the store has it; signed_id: of its pre-key, 0: it has published no keys. */
static inline void talker_load(uint64_t account, uint16_t number, uint32_t signed_id) {
    struct device_record record = {.account = account, .device = number, .signed_id = signed_id};
    cr_assert_eq(shard_load_device(one.shard, &record), 0);
}

/* The administrator cuts a device off. */
static inline void talker_revoke(uint64_t account, uint16_t number) {
    struct request request = {
        .kind = REQUEST_APPLY_REVOKE, .from = TALKER_ADMIN, .account = account, .device_number = number};
    struct note note = {.kind = NOTE_REQUEST, .request = &request};
    uint32_t from;
    lanes_post(one.lanes, TALKER_ADMIN, 0, &note);
    lanes_publish(one.lanes, TALKER_ADMIN, one_ring, NULL);
    one_shard_settle();
    cr_assert(lanes_take(one.lanes, TALKER_ADMIN, &note, &from));
    cr_assert_eq(request.status, 0);
}

#endif
