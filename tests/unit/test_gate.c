/* Gates: receipts wait until the copies for the sender's own devices are safe. */
#include <criterion/criterion.h>
#include <time.h>

#include "tests/support/one_shard.h"

TestSuite(gate, .timeout = 60);

#define ANNA 1
#define BOB 2
#define BOBS_DEVICE 1

static struct account *anna;

/* Anna's receipts stay in the outbox of her one device, which is away from a store that is broken. */
static void make(void) {
    static const uint8_t key[KEY_BYTES];
    one_shard_begin();
    one_shard_start();
    one_shard_account("anna", key);
    one_shard_account("bob", key);
    one.store_broken = true;
    one_shard_settle();
    anna = account_find(&one.shard->accounts, ANNA);
}

static void fini(void) {
    one.store_broken = false;
    one_shard_end();
}

static struct message_id message(uint64_t number) {
    return (struct message_id){.from = ANNA, .from_device = 1, .to = BOB, .epoch = 5, .number = number};
}

static uint32_t add(uint64_t number) {
    struct message_id id = message(number);
    uint32_t attempt;
    cr_assert_eq(gate_add(&anna->gates, &id, &attempt), 0);
    return attempt;
}

static void open_gate_of(uint64_t number, uint32_t attempt, bool refused) {
    struct message_id id = message(number);
    gate_open(one.shard, &id, attempt, refused);
}

static void open_gate(uint64_t number, bool refused) {
    open_gate_of(number, 0, refused);
}

static void receipt(uint64_t first, uint64_t last, uint8_t flags) {
    struct note note = {.kind = NOTE_RECEIPT,
                        .flags = flags,
                        .device = flags & RECEIPT_DELIVERED ? BOBS_DEVICE : 0,
                        .range = {.id = message(first), .last = last}};
    receipt_arrived(one.shard, &note);
}

/* The receipts that reached Anna's outbox, "first-last:flags" each. */
static const char *told(void) {
    static char text[512];
    size_t used = 0;
    text[0] = '\0';
    for (const struct outbox_item *item = anna->devices[0]->outbox.head; item; item = item->next) {
        const struct receipt *receipt = item->receipt;
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%llu-%llu:%u", used ? " " : "",
                                 (unsigned long long)receipt->id.number, (unsigned long long)receipt->last,
                                 receipt->flags);
    }
    return text;
}

Test(gate, receipt_waits_until_every_copy_is_safe, .init = make, .fini = fini) {
    add(1);
    add(1);
    receipt(1, 1, RECEIPT_SENT);
    open_gate(1, false);
    cr_assert_str_eq(told(), "");
    open_gate(1, false);
    cr_assert_str_eq(told(), "1-1:1");
    cr_assert_eq(anna->gates.by_id.count, 0);
}

Test(gate, range_is_held_where_a_gate_stands_and_goes_on_elsewhere, .init = make, .fini = fini) {
    add(7);
    add(3);
    receipt(1, 9, RECEIPT_SENT | RECEIPT_DELIVERED);
    cr_assert_str_eq(told(), "1-2:3 4-6:3 8-9:3");
    open_gate(7, false);
    open_gate(3, false);
    cr_assert_str_eq(told(), "1-2:3 4-6:3 8-9:3 7-7:3 3-3:3");
}

/* The same where the range is shorter than the list of gates: then its numbers are looked up. */
Test(gate, short_range_finds_the_same_gates_as_a_long_one, .init = make, .fini = fini) {
    for (uint64_t number = 20; number > 2; number -= 2)
        add(number);
    receipt(7, 11, RECEIPT_SENT);
    cr_assert_str_eq(told(), "7-7:1 9-9:1 11-11:1");
    receipt(4, UINT64_MAX, RECEIPT_READ);
    open_gate(8, false);
    cr_assert_not_null(strstr(told(), " 21-18446744073709551615:4 8-8:1 8-8:4"), "%s", told());
}

Test(gate, refused_copy_takes_the_tick_until_the_message_comes_again, .init = make, .fini = fini) {
    add(1);
    receipt(1, 1, RECEIPT_SENT | RECEIPT_DELIVERED);
    open_gate(1, true);
    receipt(1, 1, RECEIPT_SENT);
    cr_assert_str_eq(told(), "1-1:2");
    add(1);
    open_gate(1, false);
    receipt(1, 1, RECEIPT_SENT);
    cr_assert_str_eq(told(), "1-1:2 1-1:1");
    cr_assert_eq(anna->gates.closed_count, 0);
}

Test(gate, old_copy_that_is_refused_says_nothing_of_the_new_attempt, .init = make, .fini = fini) {
    uint32_t first = add(1), second = add(1);
    open_gate_of(1, first, true);
    receipt(1, 1, RECEIPT_SENT);
    open_gate_of(1, second, false);
    cr_assert_str_eq(told(), "1-1:1");
}

Test(gate, what_is_said_twice_is_held_twice_in_order, .init = make, .fini = fini) {
    add(1);
    receipt(1, 1, RECEIPT_DELIVERED);
    receipt(1, 1, RECEIPT_READ);
    receipt(1, 1, RECEIPT_DELIVERED);
    open_gate(1, false);
    cr_assert_str_eq(told(), "1-1:2 1-1:4 1-1:2", "each word settles one copy");
}

Test(gate, refused_gates_are_bounded_and_the_oldest_goes_first, .init = make, .fini = fini) {
    add(5000);
    for (uint64_t number = 1; number <= 1500; number++) {
        add(number);
        open_gate(number, true);
    }
    cr_assert_eq(anna->gates.closed_count, 1024);
    cr_assert_eq(anna->gates.newest->id.number, 5000, "one that is not refused is not given up");
    cr_assert_eq(anna->gates.oldest->id.number, 1500 - 1024 + 1);
}

static double seconds_of(uint64_t count) {
    struct timespec from, to;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
    for (uint64_t number = 1; number <= count; number++)
        add(number);
    for (uint64_t number = 1; number <= count; number++)
        receipt(number, number, RECEIPT_SENT);
    for (uint64_t number = count; number > 0; number--)
        open_gate(number, true);
    gates_fini(&anna->gates);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
    return (double)(to.tv_sec - from.tv_sec) + 1e-9 * (double)(to.tv_nsec - from.tv_nsec);
}

/* Looking at each for each, sixteen times as many would take 256 times as long. */
Test(gate, a_message_costs_the_same_however_many_gates_there_are, .init = make, .fini = fini) {
    seconds_of(4000);
    double few = seconds_of(4000);
    double many = seconds_of(64000);
    cr_assert_lt(many, 80 * few, "%f s for 4000, %f s for 64000", few, many);
}

/* Whoever has the message may say so as often as he likes. */
Test(gate, marks_that_wait_at_a_gate_are_bounded) {
    make();
    uint32_t attempt = add(1);
    struct note note = {.kind = NOTE_RECEIPT,
                        .flags = RECEIPT_READ,
                        .device = BOBS_DEVICE,
                        .status = RECEIPT_MARKED,
                        .range = {.id = message(1), .last = 1}};
    for (int i = 0; i < 1000; i++)
        receipt_arrived(one.shard, &note);
    cr_assert_eq(stats_get(one.stats.receipts_dropped), 1000 - 128);
    receipt(1, 1, RECEIPT_SENT | RECEIPT_DELIVERED);
    cr_assert_eq(stats_get(one.stats.receipts_dropped), 1000 - 128, "messages' own find room");
    open_gate_of(1, attempt, false);
    fini();
}
