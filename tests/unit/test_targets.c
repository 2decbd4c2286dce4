/* Messages that name their targets: each device its own part, and no message to others than there are. */
#include "core/record.h"
#include "tests/support/talker.h"

TestSuite(targets, .timeout = 30);

#define ANNA 1
#define BOB 2
#define SAID_BYTES_MAX 2000

static struct talker anna = {.account = ANNA, .conn = 0}, laptop = {.account = ANNA, .device = 2, .conn = 1},
                     bob = {.account = BOB, .conn = 2},
                     bobs_second = {.account = BOB, .device = 2, .conn = 3};

static struct device *device(uint64_t account, uint16_t number) {
    return account_device(account_find(&one.shard->accounts, account), number);
}

/* Two accounts with two devices each that have published keys. */
static void begin(void) {
    one_shard_begin();
    one.config.session_messages_per_s = 0;
    talker_begin_accounts();
    device(ANNA, 1)->signed_id = device(BOB, 1)->signed_id = 1;
    talker_load(ANNA, 2, 1);
    talker_load(BOB, 2, 1);
}

static void end(void) {
    talker_go(&anna);
    talker_go(&laptop);
    talker_go(&bob);
    talker_go(&bobs_second);
    one_shard_end();
}

/* A part that says nothing but its target and its payload. */
static size_t write_part(uint8_t *out, uint64_t account, uint16_t number, const char *text, size_t count) {
    struct frame_message part = {.id = {.from = account, .from_device = number},
                                 .payload = (const uint8_t *)text,
                                 .payload_bytes = (uint32_t)count};
    return frame_write_message(out, &part);
}

/* Parts as "2:1=hello 1:2=copy": account, device and payload of each. Returns how many there are. */
static uint16_t write_parts(uint8_t *out, const char *parts, size_t *ret_bytes) {
    uint16_t count = 0;
    size_t bytes = 0;
    for (const char *at = parts; *at; count++) {
        char *next;
        uint64_t account = strtoull(at, &next, 10);
        uint16_t number = (uint16_t)strtoul(next + 1, &next, 10);
        size_t length = strcspn(next + 1, " ");
        bytes += write_part(out + bytes, account, number, next + 1, length);
        at = next + 1 + length;
        at += *at == ' ';
    }
    *ret_bytes = bytes;
    return count;
}

static size_t write_message(uint8_t *out, uint64_t to, uint64_t number, const char *parts, bool first) {
    uint8_t payload[SAID_BYTES_MAX];
    size_t bytes;
    uint16_t count = write_parts(payload, parts, &bytes);
    struct frame_message message = {.id = {.to = to, .number = number},
                                    .ttl_s = 60,
                                    .content_type = 1,
                                    .target_count = count,
                                    .first = first,
                                    .payload = payload,
                                    .payload_bytes = (uint32_t)bytes};
    return frame_write_message(out, &message);
}

static void say_with(struct talker *talker, uint64_t to, uint64_t number, const char *parts, bool first) {
    uint8_t out[SAID_BYTES_MAX + FRAME_MESSAGE_BYTES];
    talker_put(talker, out, write_message(out, to, number, parts, first));
    talker_talk(talker);
}

static void say(struct talker *talker, uint64_t to, uint64_t number, const char *parts) {
    say_with(talker, to, number, parts, false);
}

static void say_again(struct talker *talker, uint64_t to, uint64_t number, const char *parts) {
    say_with(talker, to, number, parts, true);
}

Test(targets, each_device_gets_its_part_and_no_other) {
    begin();
    talker_come(&anna);
    talker_come(&laptop);
    talker_come(&bob);
    talker_come(&bobs_second);
    say(&anna, BOB, 1, "2:1=one 2:2=second 1:2=copy");
    cr_assert_str_eq(talker_heard(&bob), "p1=one ");
    cr_assert_str_eq(talker_heard(&bobs_second), "p1=second ");
    cr_assert_str_eq(talker_heard(&laptop), "p1=copy ");
    cr_assert_str_eq(talker_heard(&anna), "");
    cr_assert_eq(session_at(one.shard, anna.conn)->unticked, 1);
    talker_acknowledge(&bob);
    talker_acknowledge(&laptop);
    cr_assert_str_eq(talker_heard(&anna), "", "Bob's second device has not acknowledged");
    talker_acknowledge(&bobs_second);
    talker_acknowledge(&laptop);
    cr_assert_str_eq(talker_heard(&anna), "r1-1:2 r1-1:3 ");
    cr_assert_eq(stats_get(one.stats.messages_accepted), 1);
    end();
}

static void expect_entry(uint64_t account, uint16_t number, const char *text) {
    const struct one_entry *entry = &one.entries[one_find(account, number, 0)];
    cr_assert(entry->account == account && entry->device == number, "%s", text);
    struct frame frame = {.type = entry->frame[2],
                          .flags = entry->frame[3],
                          .bytes = entry->frame,
                          .frame_bytes = entry->frame_bytes};
    struct frame_message body;
    cr_assert_eq(frame_whole_bytes(entry->frame), entry->frame_bytes);
    cr_assert_eq(frame_read_message(&frame, &body), 0);
    cr_assert(body.id.from == ANNA && body.id.from_device == 1 && body.id.epoch == TALKER_EPOCH);
    cr_assert(body.id.to == BOB && body.id.number == 7 && body.ttl_s == 60 && body.content_type == 1);
    cr_assert(body.accepted_ms == one.utc_ms && body.target_count == 1);
    cr_assert_eq(entry->expires_ms, one.utc_ms + 60000);
    cr_assert(body.payload_bytes == strlen(text) && memcmp(body.payload, text, strlen(text)) == 0);
}

Test(targets, queue_has_the_part_alone_as_a_whole_message) {
    begin();
    talker_come(&anna);
    say(&anna, BOB, 7, "2:1=one 2:2=second 1:2=copy");
    cr_assert_str_eq(talker_heard(&anna), "r7-7:1 ");
    expect_entry(BOB, 1, "one");
    expect_entry(BOB, 2, "second");
    expect_entry(ANNA, 2, "copy");
    talker_come(&bobs_second);
    talker_come(&laptop);
    cr_assert_str_eq(talker_heard(&bobs_second), "p7=second ");
    cr_assert_str_eq(talker_heard(&laptop), "p7=copy r7-7:1 ");
    end();
}

/* What holds a receive buffer for long is copied out of it, and goes to the queue from there. */
Test(targets, part_is_the_same_after_its_buffer_was_given_back) {
    begin();
    talker_come(&anna);
    talker_come(&laptop);
    talker_come(&bob);
    talker_come(&bobs_second);
    say(&anna, BOB, 7, "2:1=one 2:2=second 1:2=copy");
    talker_pass_time(one.config.hold_ms + 1);
    cr_assert_geq(stats_get(one.stats.payload_copies), 2 + 3, "the message's and its copies' bytes");
    cr_assert_eq(one.entry_count, 0);
    talker_pass_time(one.config.spill_ms + 1);
    expect_entry(BOB, 1, "one");
    expect_entry(BOB, 2, "second");
    expect_entry(ANNA, 2, "copy");
    end();
}

Test(targets, what_the_senders_own_devices_lack_is_told_before_any_copy_is_out) {
    begin();
    talker_come(&anna);
    talker_come(&laptop);
    talker_come(&bob);
    talker_load(ANNA, 3, 1);
    say(&anna, BOB, 1, "2:1=one 2:2=second 1:2=copy");
    say(&anna, BOB, 2, "2:1=one 2:2=second 1:2=copy 1:3=copy");
    cr_assert_str_eq(talker_heard(&anna), "t1+3 x1:9 x2:8 ", "2 waits for 1");
    say_again(&anna, BOB, 1, "2:1=one 2:2=second 1:2=copy 1:9=nobody");
    say(&anna, BOB, 2, "2:1=two 2:2=second 1:2=copy 1:3=copy");
    cr_assert_str_eq(talker_heard(&anna), "t1+3-9 x1:9 x2:8 ");
    cr_assert_str_eq(talker_heard(&bob), "");
    cr_assert_str_eq(talker_heard(&laptop), "");
    cr_assert_eq(stats_get(one.stats.refused[REFUSAL_TARGETS]), 2);
    cr_assert_eq(session_at(one.shard, anna.conn)->unticked, 0);
    say_again(&anna, BOB, 1, "2:1=one 2:2=second 1:2=copy 1:3=copy");
    say(&anna, BOB, 2, "2:1=two 2:2=second 1:2=copy2 1:3=copy2");
    cr_assert_str_eq(talker_heard(&bob), "p1=one p2=two ");
    cr_assert_str_eq(talker_heard(&laptop), "p1=copy p2=copy2 ");
    end();
}

/* A copy may be out already, and comes again under its number; nothing else is doubled, and the order
 * stays. */
Test(targets, what_the_recipients_devices_lack_is_told_and_the_repetition_keeps_the_order) {
    begin();
    talker_come(&anna);
    talker_come(&laptop);
    talker_come(&bob);
    talker_come(&bobs_second);
    say(&anna, BOB, 1, "2:1=one 1:2=copy");
    say(&anna, BOB, 2, "2:1=two 2:2=two 1:2=copy2");
    cr_assert_str_eq(talker_heard(&anna), "t2+2 x1:9 x2:8 ");
    talker_acknowledge(&laptop);
    cr_assert_str_eq(talker_heard(&laptop), "p1=copy ");
    say_again(&anna, BOB, 1, "2:1=one 2:2=second 1:2=again");
    say(&anna, BOB, 2, "2:1=two 2:2=two 1:2=again2");
    cr_assert_str_eq(talker_heard(&bob), "p1=one p2=two ");
    cr_assert_str_eq(talker_heard(&bobs_second), "p1=second p2=two ");
    cr_assert_str_eq(talker_heard(&laptop), "p1=again p2=again2 ");
    talker_acknowledge(&bob);
    talker_acknowledge(&bobs_second);
    talker_acknowledge(&laptop);
    talker_acknowledge(&laptop);
    cr_assert_str_eq(talker_heard(&anna), "r1-1:2 r2-2:2 r1-1:3 r2-2:3 ");
    end();
}

Test(targets, more_differences_than_are_told_at_once_are_told_over_several_tries) {
    begin();
    talker_come(&anna);
    for (uint16_t number = 3; number <= 8; number++)
        talker_load(BOB, number, 1);
    say(&anna, BOB, 1, "2:1=a 2:20=x 2:21=x 2:22=x 1:2=c");
    cr_assert_str_eq(talker_heard(&anna), "t2+2+3+4+5 x1:9 ");
    say_again(&anna, BOB, 1, "2:1=a 2:2=b 2:3=b 2:4=b 2:5=b 2:20=x 2:21=x 2:22=x 1:2=c");
    cr_assert_str_eq(talker_heard(&anna), "t2+6+7+8-20 x1:9 ");
    say_again(&anna, BOB, 1, "2:1=a 2:2=b 2:3=b 2:4=b 2:5=b 2:6=b 2:7=b 2:8=b 2:21=x 2:22=x 1:2=c");
    cr_assert_str_eq(talker_heard(&anna), "t2-21-22 x1:9 ");
    say_again(&anna, BOB, 1, "2:1=a 2:2=b 2:3=b 2:4=b 2:5=b 2:6=b 2:7=b 2:8=b 1:2=c");
    cr_assert_str_eq(talker_heard(&anna), "r1-1:1 ");
    cr_assert_eq(one.entry_count, 8 + 5, "a part for each, the copies and the receipt");
    end();
}

/* Who is a target is settled when the message is taken. */
Test(targets, device_that_goes_or_comes_later_is_the_next_messages_affair) {
    begin();
    talker_come(&anna);
    talker_come(&bob);
    talker_come(&bobs_second);
    say(&anna, BOB, 1, "2:1=one 2:2=second 1:2=copy");
    cr_assert_str_eq(talker_heard(&bobs_second), "p1=second ");
    talker_load(BOB, 3, 1);
    talker_revoke(BOB, 2);
    peer_destroy(bobs_second.peer);
    bobs_second.peer = NULL;
    talker_acknowledge(&bob);
    cr_assert_str_eq(talker_heard(&anna), "r1-1:3 ");
    say(&anna, BOB, 2, "2:1=two 2:2=two 1:2=copy");
    cr_assert_str_eq(talker_heard(&anna), "t2+3-2 x2:9 ");
    say_again(&anna, BOB, 2, "2:1=two 2:3=two 1:2=copy");
    talker_acknowledge(&bob);
    cr_assert_str_eq(talker_heard(&anna), "r2-2:3 ");
    cr_assert_eq(one.entries[one_find(BOB, 3, 0)].device, 3);
    end();
}

Test(targets, device_without_keys_is_not_named) {
    begin();
    device(BOB, 2)->signed_id = 0;
    device(ANNA, 2)->signed_id = 0;
    talker_come(&anna);
    talker_come(&bob);
    say(&anna, BOB, 1, "2:1=one 2:2=second");
    cr_assert_str_eq(talker_heard(&anna), "t2-2 x1:9 ");
    say_again(&anna, BOB, 1, "2:1=one 1:2=copy");
    cr_assert_str_eq(talker_heard(&anna), "t1-2 x1:9 ");
    say_again(&anna, BOB, 1, "2:1=one");
    cr_assert_str_eq(talker_heard(&bob), "p1=one ");
    device(BOB, 1)->signed_id = 0;
    say(&anna, BOB, 2, "2:1=two");
    cr_assert_str_eq(talker_heard(&anna), "x2:2 ", "no device");
    say_again(&anna, BOB, 3, "");
    talker_come(&bobs_second);
    cr_assert_str_eq(talker_heard(&bobs_second), "m3 ", "what names nobody is for all");
    end();
}

Test(targets, to_the_own_account_are_the_other_devices) {
    begin();
    talker_come(&anna);
    talker_come(&laptop);
    say(&anna, ANNA, 1, "1:2=note");
    cr_assert_str_eq(talker_heard(&laptop), "p1=note ");
    talker_acknowledge(&laptop);
    cr_assert_str_eq(talker_heard(&laptop), "r1-1:3 ");
    talker_acknowledge(&laptop);
    cr_assert_str_eq(talker_heard(&anna), "r1-1:3 ");
    talker_load(ANNA, 3, 1);
    say(&anna, ANNA, 2, "1:2=note");
    cr_assert_str_eq(talker_heard(&anna), "t1+3 x2:9 ");
    say_again(&anna, ANNA, 2, "1:2=note 1:3=note");
    cr_assert_str_eq(talker_heard(&laptop), "p2=note ");
    device(ANNA, 2)->signed_id = device(ANNA, 3)->signed_id = 0;
    say(&anna, ANNA, 3, "1:2=note");
    cr_assert_str_eq(talker_heard(&anna), "x3:2 ", "no other device has keys");
    end();
}

/* Only a device that holds no part is left, and a message that was said to be safe is lost with the
 * others. */
Test(targets, message_of_revoked_devices_fails_though_one_without_keys_is_left) {
    begin();
    talker_load(BOB, 3, 0);
    talker_come(&anna);
    talker_come(&bob);
    say(&anna, BOB, 1, "2:1=one 2:2=second 1:2=copy");
    cr_assert_str_eq(talker_heard(&bob), "p1=one ");
    talker_revoke(BOB, 2);
    talker_revoke(BOB, 1);
    peer_destroy(bob.peer);
    bob.peer = NULL;
    cr_assert_str_eq(talker_heard(&anna), "r1-1:8 r1-1:1 ");
    end();
}

Test(targets, all_parts_together_are_no_larger_than_a_payload) {
    static char text[400];
    uint8_t out[SAID_BYTES_MAX];
    begin();
    one.shard->config.payload_bytes_max = 500;
    memset(text, 'x', sizeof(text));
    talker_come(&anna);
    for (uint32_t over = 0; over < 2; over++) {
        uint8_t parts[SAID_BYTES_MAX];
        size_t bytes = write_part(parts, BOB, 1, text, 200 + over);
        bytes += write_part(parts + bytes, BOB, 2, text, 32);
        bytes += write_part(parts + bytes, ANNA, 2, text, 100);
        cr_assert_eq(bytes, 500 + over);
        struct frame_message message = {.id = {.to = BOB, .number = 2 - over},
                                        .target_count = 3,
                                        .payload = parts,
                                        .payload_bytes = (uint32_t)bytes};
        talker_put(&anna, out, frame_write_message(out, &message));
        talker_talk(&anna);
        cr_assert_str_eq(talker_heard(&anna), over ? "x1:5 " : "r2-2:1 ");
    }
    end();
}

/* What is wrong ends the session and goes to nobody. */
static void expect_bad_frame(uint8_t *frame, size_t bytes, const char *what) {
    uint64_t before = stats_get(one.stats.closed[CLOSE_BAD_FRAME]);
    uint64_t messages = stats_get(one.stats.messages_accepted);
    talker_come(&anna);
    talker_put(&anna, frame, bytes);
    talker_talk(&anna);
    cr_assert_eq(stats_get(one.stats.closed[CLOSE_BAD_FRAME]), before + 1, "%s", what);
    cr_assert_eq(stats_get(one.stats.messages_accepted), messages, "%s", what);
    peer_destroy(anna.peer);
    anna.peer = NULL;
}

Test(targets, parts_that_are_doubled_or_not_in_order_or_another_accounts_end_the_session) {
    static const struct {
        uint64_t to;
        const char *parts;
    } bad[] = {
        {BOB, "2:1=a 2:1=b 2:2=b 1:2=c"},
        {BOB, "2:1=a 2:2=b 1:2=c 1:2=c"},
        {BOB, "2:2=b 2:1=a 1:2=c"},
        {BOB, "1:2=c 2:1=a 2:2=b"},
        {BOB, "2:1=a 1:2=c 2:2=b"},
        {BOB, "2:1=a 2:2=b 1:1=c 1:2=c"},
        {BOB, "2:1=a 2:2=b 3:1=c"},
        {BOB, "0:1=a 2:2=b 1:2=c"},
        {BOB, "2:0=a 2:1=b 2:2=b 1:2=c"},
        {ANNA, "1:1=a 1:2=b"},
        {ANNA, "2:1=a 1:2=b"},
        {ANNA, "1:2=b 1:2=b"},
    };
    uint8_t out[SAID_BYTES_MAX + FRAME_MESSAGE_BYTES];
    begin();
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        expect_bad_frame(out, write_message(out, bad[i].to, 1, bad[i].parts, false), bad[i].parts);
    cr_assert_eq(one.entry_count, 0);
    end();
}

Test(targets, parts_that_say_more_than_a_target_end_the_session) {
    static const uint8_t target[] = {32, 33, 34, 35, 36, 37, 38, 39, 48, 49};
    uint8_t out[SAID_BYTES_MAX + FRAME_MESSAGE_BYTES];
    begin();
    for (size_t at = 2; at < FRAME_MESSAGE_BYTES; at++) {
        char what[32];
        if (memchr(target, (int)at, sizeof(target)))
            continue;
        size_t bytes = write_message(out, BOB, 1, "2:1=a 2:2=b 1:2=c", false);
        out[FRAME_MESSAGE_BYTES + at] ^= 1;
        snprintf(what, sizeof(what), "offset %zu", at);
        expect_bad_frame(out, bytes, what);
    }
    end();
}

Test(targets, parts_that_are_cut_off_or_not_as_many_as_it_says_end_the_session) {
    uint8_t out[SAID_BYTES_MAX + FRAME_MESSAGE_BYTES];
    begin();
    for (uint16_t count = 1; count <= 70; count++) {
        if (count == 3)
            continue;
        size_t bytes = write_message(out, BOB, 1, "2:1=a 2:2=b 1:2=c", false);
        bytes_put16(out + 52, count);
        expect_bad_frame(out, bytes, "another count");
    }
    size_t whole = write_message(out, BOB, 1, "2:1=a 2:2=b 1:2=c", false);
    for (size_t cut = FRAME_MESSAGE_BYTES; cut < whole; cut++) {
        (void)write_message(out, BOB, 1, "2:1=a 2:2=b 1:2=c", false);
        bytes_put16(out, (uint16_t)(cut - FRAME_HEADER_BYTES));
        expect_bad_frame(out, cut, "cut off");
    }
    end();
}
