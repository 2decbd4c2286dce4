/* Accounts, their devices and blocks in a shard's memory. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/account.h"

TestSuite(account, .timeout = 30);

static struct account_table table;

static struct account *add(uint64_t number) {
    struct account_record record = {.account = number};
    struct account *account = NULL;
    snprintf(record.name, sizeof(record.name), "account%lu", number);
    cr_assert_eq(account_insert(&table, &record, &account), 0);
    return account;
}

static int add_device(struct account *account, uint16_t number, uint8_t flags) {
    struct device_record record = {.account = account->number, .device = number, .flags = flags};
    struct device *device;
    return account_device_add(account, &record, &device);
}

static void fini(void) {
    account_table_fini(&table);
}

Test(account, names_are_what_the_protocol_allows) {
    char longest[NAME_BYTES_MAX + 2];
    memset(longest, 'a', sizeof(longest));
    longest[NAME_BYTES_MAX + 1] = '\0';
    cr_assert(account_name_allowed("a"));
    cr_assert(account_name_allowed("0.b_c-9"));
    cr_assert(!account_name_allowed(""));
    cr_assert(!account_name_allowed(".a"));
    cr_assert(!account_name_allowed("-a"));
    cr_assert(!account_name_allowed("Anna"));
    cr_assert(!account_name_allowed("an na"));
    cr_assert(!account_name_allowed("\xc3\xa4"));
    cr_assert(!account_name_allowed(longest));
    longest[NAME_BYTES_MAX] = '\0';
    cr_assert(account_name_allowed(longest));
}

Test(account, home_is_one_of_the_shards_and_they_get_even_shares) {
    uint32_t count[7] = {0};
    for (uint64_t account = 1; account <= 7000; account++) {
        uint32_t home = account_home(account, 7);
        cr_assert_lt(home, 7);
        cr_assert_eq(home, account_home(account, 7));
        count[home]++;
    }
    for (uint32_t i = 0; i < 7; i++)
        cr_assert(count[i] > 850 && count[i] < 1150, "%u of 7000", count[i]);
}

Test(account, all_are_found_while_others_come_and_go, .fini = fini) {
    for (uint64_t number = 1; number <= 5000; number++)
        add(number);
    for (uint64_t number = 1; number <= 5000; number += 3)
        account_remove(&table, account_find(&table, number));
    for (uint64_t number = 1; number <= 5000; number++) {
        struct account *account = account_find(&table, number);
        if (number % 3 == 1)
            cr_assert_null(account, "%lu", number);
        else
            cr_assert(account && account->number == number, "%lu", number);
    }
    cr_assert_null(account_find(&table, 5001));
}

Test(account, one_that_was_found_last_is_gone_when_it_is_removed, .fini = fini) {
    add(1);
    add(2);
    cr_assert_eq(account_find(&table, 1)->number, 1);
    account_remove(&table, account_find(&table, 1));
    cr_assert_null(account_find(&table, 1));
    cr_assert_eq(account_find(&table, 2)->number, 2);
    cr_assert_null(account_find(&table, 1), "nobody else is found in its place");
    cr_assert_eq(add(1), account_find(&table, 1));
}

Test(account, empty_table_has_nobody) {
    cr_assert_null(account_find(&table, 1));
}

Test(account, device_is_found_by_its_number_and_added_once, .fini = fini) {
    struct account *account = add(1);
    cr_assert_eq(add_device(account, 7, 0), 0);
    cr_assert_eq(add_device(account, 9, 0), 0);
    cr_assert_eq(add_device(account, 7, 0), -EEXIST);
    cr_assert_eq(account_device(account, 9)->number, 9);
    cr_assert_null(account_device(account, 8));
    cr_assert_eq(account->device_count, 2);
    cr_assert_eq(account->slots_used, 2);
}

Test(account, devices_and_names_take_as_much_as_there_is_of_them, .fini = fini) {
    struct account *account = add(1);
    cr_assert_leq(sizeof(*account), 176, "most accounts have a device, and each takes as much");
    cr_assert_eq(add_device(account, 1, 0), 0);
    cr_assert_eq(account->devices, account->first);
    for (uint16_t number = 2; number <= 5; number++)
        cr_assert_eq(add_device(account, number, 0), 0);
    cr_assert_eq(account->slots, 8);
    for (uint16_t number = 1; number <= 5; number++)
        cr_assert_eq(account_device(account, number)->slot, number - 1);
}

Test(account, revoked_device_gives_up_its_slot_when_that_is_needed, .fini = fini) {
    struct account *account = add(1);
    cr_assert_eq(add_device(account, 1, DEVICE_REVOKED), 0);
    for (uint16_t number = 2; number <= DEVICES_MAX; number++)
        cr_assert_eq(add_device(account, number, 0), 0);
    cr_assert_eq(account->device_count, DEVICES_MAX - 1);
    cr_assert_not_null(account_device(account, 1), "it is told that it is revoked as long as there is room");
    cr_assert_eq(add_device(account, 100, 0), 0);
    cr_assert_null(account_device(account, 1));
    cr_assert_eq(add_device(account, 101, 0), -ENOSPC);
}

Test(account, revoked_device_keeps_its_slot_while_something_of_it_is_on_its_way, .fini = fini) {
    struct account *account = add(1);
    for (uint16_t number = 1; number <= DEVICES_MAX; number++)
        cr_assert_eq(add_device(account, number, number == 1 ? DEVICE_REVOKED : 0), 0);
    account_device(account, 1)->outbox.putting = 1;
    cr_assert_eq(add_device(account, 100, 0), -ENOSPC);
    account_device(account, 1)->outbox.putting = 0;
    cr_assert_eq(add_device(account, 100, 0), 0);
}

Test(account, block_holds_until_it_is_taken_back, .fini = fini) {
    struct account *account = add(1);
    static const uint64_t others[] = {9, 3, 7, 1, 5};
    for (size_t i = 0; i < 5; i++) {
        cr_assert_eq(account_block(account, others[i], true), 0);
        cr_assert_eq(account_block(account, others[i], true), 0, "twice is once");
    }
    cr_assert_eq(account->block_count, 5);
    cr_assert_eq(account_block(account, 3, false), 0);
    cr_assert_eq(account_block(account, 4, false), 0);
    for (uint64_t other = 0; other <= 10; other++)
        cr_assert_eq(account_blocks(account, other), other % 2 == 1 && other != 3, "%lu", other);
}

Test(account, is_over_when_nothing_of_it_is_on_its_way, .fini = fini) {
    struct account *account = add(1);
    struct message_id id = {.from = 1, .number = 1};
    uint32_t attempt;
    cr_assert_eq(add_device(account, 1, 0), 0);
    cr_assert(!account_is_over(account), "a device is there");
    account->devices[0]->flags = DEVICE_REVOKED;
    cr_assert(account_is_over(account));
    cr_assert_eq(gate_add(&account->gates, &id, &attempt), 0);
    cr_assert(!account_is_over(account), "a message waits for its copies");
}
