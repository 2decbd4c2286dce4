/* What waits in outboxes to be settled: which copy a word settles, and that it is found among many. */
#include <criterion/criterion.h>

#include "tests/support/one_shard.h"

TestSuite(unsettled, .timeout = 30);

#define ANNA 1
#define BOB 2
#define CARL 3
#define SENDERS 1000u
#define COPIES 9u

static struct device *bob, *carl;

static struct device *device_of(uint64_t account) {
    return account_find(&one.shard->accounts, account)->devices[0];
}

static void make(void) {
    static const uint8_t key[KEY_BYTES];
    one_shard_begin();
    one_shard_start();
    one_shard_account("anna", key);
    one_shard_account("bob", key);
    one_shard_account("carl", key);
    bob = device_of(BOB);
    carl = device_of(CARL);
}

static void fini(void) {
    one_shard_settle();
    one_shard_end();
}

static struct message_id id_of(uint64_t number) {
    return (struct message_id){.from = ANNA, .from_device = 1, .to = BOB, .epoch = 5, .number = number};
}

static struct outbox_item *add_id(struct device *device, const struct message_id *id, uint64_t seq,
                                  uint8_t flags) {
    struct outbox_item *item = outbox_item_take(one.shard);
    item->device = device;
    item->seq = seq;
    item->id = *id;
    item->type = FRAME_MESSAGE;
    item->flags = ITEM_ACKED | flags;
    device->outbox.failed_count += (flags & ITEM_FAILED) != 0;
    device->outbox.putting += (flags & ITEM_PUTTING) != 0;
    one.shard->puts_out += (flags & ITEM_PUTTING) != 0;
    outbox_unsettle(one.shard, item);
    return item;
}

static struct outbox_item *add(uint64_t number, uint64_t seq, uint8_t flags) {
    struct message_id id = id_of(number);
    return add_id(bob, &id, seq, flags);
}

static void settle(uint64_t first, uint64_t last) {
    struct message_id id = id_of(first);
    outbox_settled(one.shard, bob, &id, last);
}

static void put_is_done(struct outbox_item *item, int status) {
    struct note note = {.kind = NOTE_PUT_DONE,
                        .device = item->device->number,
                        .status = status,
                        .put = {.account = item->device->account->number, .seq = item->seq, .item = item}};
    outbox_put_done(one.shard, &note);
}

/* Their places in the queue, in the order of the list. */
static const char *left(const struct device *device) {
    static char text[512];
    size_t used = 0;
    uint32_t count = 0;
    text[0] = '\0';
    for (const struct outbox_item *item = device->outbox.unsettled; item; item = item->next, count++) {
        cr_assert_eq(outbox_unsettled_at(one.shard, device, item->seq), item);
        if (used < sizeof(text) - 32)
            used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%llu", used ? " " : "",
                                     (unsigned long long)item->seq);
    }
    cr_assert_eq(device->outbox.unsettled_count, count);
    return text;
}

Test(unsettled, each_word_settles_the_copy_that_was_acknowledged_first, .init = make, .fini = fini) {
    add(7, 12, 0);
    add(7, 11, 0);
    add(7, 13, 0);
    settle(7, 7);
    cr_assert_str_eq(left(bob), "11 13");
    settle(7, 7);
    cr_assert_str_eq(left(bob), "13");
    settle(7, 7);
    settle(7, 7);
    cr_assert_str_eq(left(bob), "");
    cr_assert_eq(stats_get(one.stats.deletes), 3);
}

Test(unsettled, word_settles_nothing_of_another_message_or_device, .init = make, .fini = fini) {
    struct message_id id = id_of(1), others[5] = {id, id, id, id, id};
    others[0].from = CARL;
    others[1].from_device = 2;
    others[2].to = ANNA;
    others[3].epoch = 6;
    others[4].number = 2;
    for (uint64_t i = 0; i < 5; i++)
        add_id(bob, &others[i], i + 1, 0);
    add_id(carl, &id, 1, 0);
    settle(1, 1);
    cr_assert_str_eq(left(bob), "1 2 3 4 5");
    cr_assert_str_eq(left(carl), "1");
    outbox_settled(one.shard, bob, &others[3], 1);
    cr_assert_str_eq(left(bob), "1 2 3 5");
    cr_assert_null(outbox_unsettled_at(one.shard, carl, 2));
}

Test(unsettled, short_range_settles_one_copy_of_each_and_deletes_neighbours_at_once, .init = make,
     .fini = fini) {
    for (uint64_t seq = 1; seq <= 128; seq++)
        add(1 + (seq - 1) % 64, seq, 0);
    settle(1, 64);
    cr_assert_eq(stats_get(one.stats.deletes), 1);
    cr_assert_eq(bob->outbox.unsettled->seq, 65);
    cr_assert_eq(bob->outbox.unsettled_count, 64);
    settle(3, 4);
    settle(6, 6);
    cr_assert_eq(stats_get(one.stats.deletes), 3);
    settle(1, 64);
    cr_assert_str_eq(left(bob), "");
    cr_assert_eq(stats_get(one.stats.deletes), 6, "65 to 66, 69, and 71 to the end");
}

/* Whether its numbers are fewer than what there is, or more. */
Test(unsettled, long_range_settles_every_copy_of_each, .init = make, .fini = fini) {
    const uint64_t last[] = {66, 1000, UINT64_MAX};
    for (size_t i = 0; i < sizeof(last) / sizeof(last[0]); i++) {
        struct message_id other = id_of(20);
        other.epoch = 6;
        add_id(bob, &other, 500, 0);
        add(1, 501, 0);
        for (uint64_t seq = 1; seq <= 128; seq++)
            add(2 + (seq - 1) % 64, seq, 0);
        settle(2, last[i]);
        cr_assert_str_eq(left(bob), "500 501");
        settle(1, 1);
        outbox_settled(one.shard, bob, &other, 20);
    }
}

Test(unsettled, range_up_to_the_last_number_there_is_ends, .init = make, .fini = fini) {
    add(UINT64_MAX, 1, 0);
    add(UINT64_MAX - 1, 2, 0);
    settle(UINT64_MAX - 1, UINT64_MAX);
    cr_assert_str_eq(left(bob), "");
}

Test(unsettled, copy_that_is_being_put_is_deleted_when_it_is_there, .init = make, .fini = fini) {
    struct outbox_item *first = add(1, 1, ITEM_PUTTING), *second = add(1, 2, ITEM_PUTTING);
    add(1, 3, 0);
    settle(1, 1);
    cr_assert(first->flags & ITEM_SETTLED);
    cr_assert_not(second->flags & ITEM_SETTLED);
    cr_assert_str_eq(left(bob), "1 2 3");
    settle(1, 1);
    settle(1, 1);
    cr_assert_str_eq(left(bob), "1 2", "each word has settled one");
    cr_assert_eq(stats_get(one.stats.deletes), 1);
    put_is_done(second, -EIO);
    cr_assert_str_eq(left(bob), "1");
    cr_assert_eq(stats_get(one.stats.deletes), 1, "it never came there");
    put_is_done(first, 0);
    cr_assert_str_eq(left(bob), "");
    cr_assert_eq(stats_get(one.stats.deletes), 2);
}

Test(unsettled, copy_that_was_put_before_its_word_waits_for_it, .init = make, .fini = fini) {
    struct outbox_item *stored = add(1, 1, ITEM_PUTTING), *refused = add(1, 2, ITEM_PUTTING);
    put_is_done(refused, -EIO);
    put_is_done(stored, 0);
    cr_assert_str_eq(left(bob), "1");
    settle(1, 1);
    cr_assert_str_eq(left(bob), "");
}

Test(unsettled, what_failed_counts_until_it_is_settled_and_fails_once, .init = make, .fini = fini) {
    add(1, 1, 0);
    add(1, 2, ITEM_FAILED);
    settle(1, 1);
    cr_assert_eq(bob->outbox.failed_count, 1);
    struct queue_entry entries[2] = {{.seq = 2, .frame_type = FRAME_MESSAGE, .id = id_of(1)},
                                     {.seq = 3, .frame_type = FRAME_MESSAGE, .id = id_of(1)}};
    outbox_failed(one.shard, bob, entries, 2);
    cr_assert_str_eq(left(bob), "2 3");
    outbox_failed(one.shard, bob, entries, 2);
    cr_assert_eq(bob->outbox.failed_count, 2);
    settle(1, 1);
    settle(1, 1);
    cr_assert_eq(bob->outbox.failed_count, 0);
}

/* A receipt waits for its put alone. */
Test(unsettled, receipt_is_found_by_its_place_only, .init = make, .fini = fini) {
    struct outbox_item *item = outbox_item_take(one.shard);
    struct message_id id = id_of(1);
    item->device = bob;
    item->seq = 1;
    item->id = id;
    item->type = FRAME_RECEIPT;
    item->flags = ITEM_ACKED | ITEM_SETTLED | ITEM_PUTTING;
    bob->outbox.putting++;
    one.shard->puts_out++;
    outbox_unsettle(one.shard, item);
    settle(1, 1);
    settle(1, UINT64_MAX);
    cr_assert_str_eq(left(bob), "1");
    put_is_done(item, 0);
    cr_assert_str_eq(left(bob), "");
}

Test(unsettled, device_is_not_over_before_all_is_settled, .init = make, .fini = fini) {
    add(1, 1, 0);
    add(2, 2, ITEM_FAILED);
    bob->flags |= DEVICE_REVOKED;
    outbox_revoke(one.shard, bob);
    one_shard_settle();
    settle(1, 1);
    cr_assert_not(account_is_over(bob->account));
    settle(2, 2);
    cr_assert(account_is_over(bob->account));
}

/* A thousand senders, each with the same message again and again. The list is cut behind its first item: who
 * walks along it comes to nothing. */
Test(unsettled, one_is_found_without_a_look_at_the_others, .init = make, .fini = fini) {
    struct message_id id = id_of(1);
    for (uint64_t seq = 1; seq <= SENDERS * COPIES; seq++) {
        id.from = 100 + (seq - 1) % SENDERS;
        add_id(bob, &id, seq, 0);
    }
    struct outbox_item *first = bob->outbox.unsettled, *second = first->next;
    first->next = NULL;
    for (uint32_t i = 1; i <= COPIES; i++) {
        id.from = 100 + SENDERS - 1;
        cr_assert_not_null(outbox_unsettled_at(one.shard, bob, i * SENDERS));
        outbox_settled(one.shard, bob, &id, id.number);
        cr_assert_eq(bob->outbox.unsettled_count, SENDERS * COPIES - i);
        cr_assert_null(outbox_unsettled_at(one.shard, bob, i * SENDERS), "the oldest goes");
    }
    first->next = second;
}

Test(unsettled, nothing_stays_of_what_many_needed, .init = make, .fini = fini) {
    for (uint64_t seq = 1; seq <= 5000; seq++)
        add(seq % 50, seq, 0);
    cr_assert_eq(one.shard->unsettled_by_id.count, 5000);
    settle(0, 1000);
    cr_assert_eq(one.shard->unsettled_by_id.slot_count, HASH_SLOTS_MIN);
    cr_assert_eq(one.shard->unsettled_by_seq.slot_count, HASH_SLOTS_MIN);
    cr_assert_str_eq(left(bob), "");
}
