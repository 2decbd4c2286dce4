/* Records as they are gathered: messages are sealed from where they were received wherever that harms nobody,
 * and whatever way a record goes, its other end opens the same bytes. */
#include <criterion/criterion.h>
#include <string.h>

#include "core/gather.h"
#include "core/record.h"

TestSuite(gather, .timeout = 30);

enum { SHARD = 1, MESSAGES = 4, MESSAGE_BYTES = 100, HEADROOM = 64, TAIL = 32, AROUND = 0xaa };

/* A buffer with so many messages one behind the other, all held by nobody else. */
static uint8_t bytes[HEADROOM + MESSAGES * MESSAGE_BYTES + TAIL];
static struct buf buf, elsewhere;
static struct message messages[MESSAGES];
static struct noise_cipher_state sender, receiver;
static uint8_t space[2048], expected[2048];
static size_t expected_bytes;
static struct gather gather;

static void begin(enum noise_cipher cipher, uint32_t refs) {
    static const uint8_t key[NOISE_KEY_BYTES] = {1, 2, 3};
    cr_assert_eq(noise_init(), 0);
    noise_cipher_init(&sender, cipher, key);
    noise_cipher_init(&receiver, cipher, key);
    memset(bytes, AROUND, sizeof(bytes));
    buf = (struct buf){.data = bytes + HEADROOM,
                       .capacity = MESSAGES * MESSAGE_BYTES + TAIL,
                       .refs = refs,
                       .owner = SHARD,
                       .headroom_bytes = HEADROOM};
    for (int i = 0; i < MESSAGES; i++) {
        messages[i] = (struct message){
            .buf = &buf, .frame = buf.data + i * MESSAGE_BYTES, .frame_bytes = MESSAGE_BYTES};
        memset(messages[i].frame, i + 1, MESSAGE_BYTES);
    }
    gather_begin(&gather, space, sizeof(space), record_overhead_bytes(&sender));
    expected_bytes = 0;
}

static void add_frame(uint8_t byte, size_t count) {
    uint8_t frame[256];
    memset(frame, byte, count);
    gather_write(&gather, frame, count);
    memset(expected + expected_bytes, byte, count);
    expected_bytes += count;
}

static void add_message(const struct message *message) {
    gather_message(&gather, message, message->frame, message->frame_bytes);
    memcpy(expected + expected_bytes, message->frame, message->frame_bytes);
    expected_bytes += message->frame_bytes;
}

/* How many were copied. Wherever the record was made, the messages are as before. */
static uint32_t seal(void) {
    size_t opened = 0;
    size_t record_bytes = gather_seal(&gather, &sender, SHARD);
    cr_assert_eq(record_bytes, expected_bytes + record_overhead_bytes(&receiver));
    cr_assert_eq(record_open(&receiver, space + RECORD_LENGTH_BYTES, record_sealed_bytes(space), &opened), 0);
    cr_assert_eq(opened, expected_bytes);
    cr_assert_arr_eq(space + RECORD_LENGTH_BYTES, expected, opened);
    for (int i = 0; i < MESSAGES; i++)
        cr_assert(messages[i].frame[0] == i + 1 && messages[i].frame[MESSAGE_BYTES - 1] == i + 1);
    return gather.copied;
}

/* Nothing but the messages is as it was. */
static bool around_is_untouched(void) {
    for (int i = 0; i < HEADROOM; i++) {
        if (bytes[i] != AROUND)
            return false;
    }
    for (int i = 0; i < TAIL; i++) {
        if (bytes[sizeof(bytes) - TAIL + i] != AROUND)
            return false;
    }
    return true;
}

Test(gather, messages_that_lie_behind_one_another_are_not_copied) {
    static const enum noise_cipher ciphers[] = {NOISE_CHACHAPOLY, NOISE_AESGCM};
    for (size_t c = 0; c < 2; c++) {
        if (ciphers[c] == NOISE_AESGCM && !noise_has_aes())
            continue;
        begin(ciphers[c], MESSAGES);
        add_frame(0x11, HEADROOM);
        for (int i = 0; i < MESSAGES; i++)
            add_message(&messages[i]);
        add_frame(0x22, TAIL);
        cr_expect_eq(seal(), 0);
        cr_expect_eq(bytes[0], 0x11, "what is sent before them is written before them");
    }
}

Test(gather, alone_a_message_is_not_copied_whoever_else_has_a_part_of_the_buffer) {
    begin(NOISE_CHACHAPOLY, 7);
    buf.owner = SHARD + 1;
    add_message(&messages[2]);
    cr_expect_eq(seal(), 0);
    cr_expect(around_is_untouched());
}

Test(gather, nothing_is_written_into_a_buffer_of_which_others_hold_something) {
    begin(NOISE_CHACHAPOLY, 3);
    add_frame(0x11, 8);
    add_message(&messages[1]);
    add_message(&messages[2]);
    cr_expect_eq(seal(), 2);
    cr_expect(around_is_untouched());
    begin(NOISE_CHACHAPOLY, 2);
    buf.owner = SHARD + 1; /* who alone knows how many do */
    add_message(&messages[0]);
    add_message(&messages[1]);
    add_frame(0x22, 8);
    cr_expect_eq(seal(), 2);
    cr_expect(around_is_untouched());
}

/* They lie around it, and are held by the same reference of the buffer. */
Test(gather, nothing_is_written_around_a_part_while_other_devices_need_theirs) {
    for (uint16_t holders = 1; holders <= 2; holders++) {
        begin(NOISE_CHACHAPOLY, 1);
        messages[0].in_parts = true;
        messages[0].holders = holders;
        add_frame(0x11, 8);
        gather_message(&gather, &messages[0], messages[1].frame, MESSAGE_BYTES);
        memset(expected + expected_bytes, 2, MESSAGE_BYTES);
        expected_bytes += MESSAGE_BYTES;
        add_frame(0x22, 8);
        size_t opened;
        (void)gather_seal(&gather, &sender, SHARD);
        cr_assert_eq(record_open(&receiver, space + RECORD_LENGTH_BYTES, record_sealed_bytes(space), &opened),
                     0);
        cr_assert(opened == expected_bytes && memcmp(space + RECORD_LENGTH_BYTES, expected, opened) == 0);
        cr_expect_eq(gather.copied, holders - 1);
        cr_expect_eq(messages[0].frame[MESSAGE_BYTES - 1], holders == 1 ? 0x11 : 1);
        cr_expect_eq(messages[2].frame[0], holders == 1 ? 0x22 : 3);
    }
}

Test(gather, nothing_is_written_beyond_the_buffer) {
    begin(NOISE_CHACHAPOLY, 1);
    add_frame(0x11, HEADROOM + 1);
    add_message(&messages[0]);
    cr_expect_eq(seal(), 1);
    begin(NOISE_CHACHAPOLY, 1);
    add_message(&messages[MESSAGES - 1]);
    add_frame(0x22, TAIL + 1);
    cr_expect_eq(seal(), 1);
    cr_expect(around_is_untouched());
}

Test(gather, messages_that_something_parts_are_copied) {
    begin(NOISE_CHACHAPOLY, 2);
    add_message(&messages[0]);
    add_message(&messages[2]); /* not the next one */
    cr_expect_eq(seal(), 2);
    begin(NOISE_CHACHAPOLY, 2);
    add_message(&messages[0]);
    add_frame(0x11, 8);
    add_message(&messages[1]);
    cr_expect_eq(seal(), 2);
    begin(NOISE_CHACHAPOLY, 1);
    messages[1].buf = &elsewhere; /* though by chance it lies right behind it */
    add_message(&messages[0]);
    add_message(&messages[1]);
    cr_expect_eq(seal(), 2);
    cr_expect(around_is_untouched());
}

Test(gather, plaintext_is_copied) {
    begin(NOISE_PLAIN, 2);
    add_frame(0x11, 8);
    add_message(&messages[0]);
    add_message(&messages[1]);
    cr_expect_eq(seal(), 2);
    cr_expect(around_is_untouched());
}

Test(gather, what_is_cut_off_is_not_sealed) {
    begin(NOISE_CHACHAPOLY, 1);
    add_frame(0x11, 8);
    gather_message(&gather, &messages[0], messages[0].frame, MESSAGE_BYTES);
    gather_cut(&gather, 8);
    cr_expect_eq(seal(), 0);
    cr_expect(around_is_untouched());
}

Test(gather, a_record_holds_no_more_than_fits) {
    begin(NOISE_CHACHAPOLY, 1);
    cr_expect_eq(gather_room(&gather), sizeof(space) - record_overhead_bytes(&sender));
    gather_begin(&gather, space, 100000, record_overhead_bytes(&sender));
    cr_expect_eq(gather_room(&gather), FRAME_BYTES_MAX);
    gather_begin(&gather, space, 5, record_overhead_bytes(&sender));
    cr_expect_eq(gather_room(&gather), 0);
}
