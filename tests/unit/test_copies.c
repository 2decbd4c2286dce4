/* The ticks of what the account's other devices sent, as the switch tells them to this one. */
#include <criterion/criterion.h>

#include "tests/support/client_rig.h"
#include "tools/client/copies.h"
#include "tools/tern/conversation.h"

TestSuite(copies, .timeout = 60);

#define PHONE (RIG_DEVICE + 1) /* the other device of the account */

static struct client_rig rig;
static const struct message_id sent_by_phone = {
    .from = RIG_ACCOUNT, .to = RIG_OTHER, .epoch = 7, .number = 5, .from_device = PHONE};

static void begin(void) {
    client_rig_begin(&rig);
    cr_assert_eq(state_begin(rig.state), 0);
    state_learn_name(rig.state, RIG_OTHER, "other", 5);
    cr_assert_eq(state_commit(rig.state), 0);
    client_rig_connect(&rig);
}

static void end(void) {
    client_rig_end(&rig);
}

static void say_receipt(struct message_id id, uint64_t last, uint8_t flags) {
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    struct frame_range range = {.id = id, .last = last};
    cr_assert_eq(client_rig_say(&rig, out, frame_write_range(out, FRAME_RECEIPT, flags, &range)), 0);
    cr_assert_eq(client_rig_turn(&rig), 0);
}

static void say_copy(const char *text) {
    uint8_t out[FRAME_MESSAGE_BYTES + 64];
    struct frame_message message = {
        .id = sent_by_phone, .payload = (const uint8_t *)text, .payload_bytes = (uint32_t)strlen(text)};
    cr_assert_eq(client_rig_say(&rig, out, frame_write_message(out, &message)), 0);
    cr_assert_eq(client_rig_turn(&rig), 0);
}

static uint8_t ticks(uint64_t number) {
    struct message_id id = sent_by_phone;
    uint8_t flags = 0;
    id.number = number;
    cr_assert_eq(state_look(rig.state), 0);
    cr_assert_eq(copies_ticks(rig.state, &id, &flags), 0);
    state_end(rig.state);
    return flags;
}

Test(copies, ticks_of_another_own_device_are_kept_before_they_are_acknowledged, .init = begin, .fini = end) {
    say_receipt(sent_by_phone, 6, RECEIPT_SENT);
    client_rig_expect_ack(&rig, 1);
    client_rig_restart(&rig);
    cr_assert_eq(ticks(4), 0);
    cr_assert_eq(ticks(5), RECEIPT_SENT);
    cr_assert_eq(ticks(6), RECEIPT_SENT);
    cr_assert_eq(ticks(7), 0);
}

Test(copies, ticks_come_in_any_order_and_show_as_the_senders_own, .init = begin, .fini = end) {
    say_receipt(sent_by_phone, 5, RECEIPT_READ);
    cr_assert_eq(ticks(5), 0, "not before it is sent");
    say_receipt(sent_by_phone, 5, RECEIPT_SENT);
    cr_assert_eq(ticks(5), RECEIPT_SENT | RECEIPT_DELIVERED | RECEIPT_READ);
    say_receipt(sent_by_phone, 5, RECEIPT_FAILED);
    cr_assert_eq(ticks(5), RECEIPT_SENT | RECEIPT_DELIVERED | RECEIPT_READ, "one target's word");
    struct message_id refused = sent_by_phone;
    refused.number = 9;
    say_receipt(refused, 9, RECEIPT_FAILED);
    cr_assert_eq(ticks(9), RECEIPT_FAILED);
}

Test(copies, ticks_are_of_one_device_epoch_and_account, .init = begin, .fini = end) {
    struct message_id other = sent_by_phone;
    other.epoch++;
    say_receipt(other, 5, RECEIPT_SENT);
    other = sent_by_phone;
    other.to++;
    say_receipt(other, 5, RECEIPT_SENT);
    other = sent_by_phone;
    other.from_device++;
    say_receipt(other, 5, RECEIPT_SENT);
    other = sent_by_phone;
    other.from++;
    say_receipt(other, 5, RECEIPT_SENT);
    cr_assert_eq(ticks(5), 0);
    cr_assert_eq(client_rig_ticks(&rig, 5), 0, "nor of this one's own");
}

static struct entry *look(struct conversation *conversation, bool *ret_changed) {
    cr_assert_eq(state_look(rig.state), 0);
    cr_assert_eq(conversation_look(conversation, rig.state, ret_changed), 0);
    state_end(rig.state);
    cr_assert_eq(conversation->count, 1);
    return &conversation->entries[0];
}

Test(copies, a_chat_shows_the_ticks_of_a_copy_as_they_come, .init = begin, .fini = end) {
    static struct conversation conversation;
    bool changed = false;
    conversation_init(&conversation, RIG_ACCOUNT, RIG_OTHER);
    say_copy("from the phone");
    struct entry *entry = look(&conversation, &changed);
    cr_assert(entry->is_copy && changed && entry->flags == 0);
    static const uint8_t flags[] = {RECEIPT_SENT, RECEIPT_DELIVERED, RECEIPT_READ};
    uint8_t shown = 0;
    for (size_t i = 0; i < sizeof(flags); i++) {
        entry->is_changed = false;
        say_receipt(sent_by_phone, 5, flags[i]);
        look(&conversation, &changed);
        shown |= flags[i];
        cr_assert(changed && entry->is_changed);
        cr_assert_eq(entry->flags, shown);
    }
    cr_assert_eq(conversation_waiting(&conversation), 0, "its sender waits for it, not this device");
    conversation_fini(&conversation);
}
