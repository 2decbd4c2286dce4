/* The table that finds things by a hash, however many there are. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "core/account.h"
#include "core/hash.h"

TestSuite(hash, .timeout = 30);

#define COUNT 20000u
#define IN_A_SLOT_MAX 16u /* of so many by chance: 1 on the average */

static struct hash_table table;
static struct hash_link links[COUNT];

static uint64_t hash_of(uint32_t i) {
    return account_hash(i);
}

static void add(uint32_t first, uint32_t count) {
    for (uint32_t i = first; i < first + count; i++)
        cr_assert_eq(hash_add(&table, &links[i], hash_of(i)), 0);
}

static uint32_t longest_slot(void) {
    uint32_t longest = 0;
    for (uint32_t i = 0; i < table.slot_count; i++) {
        uint32_t count = 0;
        for (const struct hash_link *link = table.slots[i]; link; link = link->next)
            count++;
        longest = count > longest ? count : longest;
    }
    return longest;
}

Test(hash, everything_is_found_and_nothing_else) {
    cr_assert_null(hash_find(&table, 1));
    add(0, COUNT);
    cr_assert_eq(table.count, COUNT);
    for (uint32_t i = 0; i < COUNT; i += 2)
        hash_remove(&table, &links[i]);
    for (uint32_t i = 0; i < COUNT; i++) {
        cr_assert_eq(hash_find(&table, hash_of(i)), i % 2 ? &links[i] : NULL);
        cr_assert(i % 2 == 0 || !hash_next(&links[i]));
    }
    cr_assert_null(hash_find(&table, hash_of(COUNT)));
    hash_fini(&table);
}

Test(hash, finding_looks_at_as_many_however_many_there_are) {
    for (uint32_t i = 0; i < COUNT; i++) {
        uint32_t slots = table.slot_count;
        add(i, 1);
        cr_assert_leq(table.slot_count, slots ? slots + 1 : HASH_SLOTS_MIN, "it grows a slot at a time");
        if (i % 1000 == 0 || i + 1 == COUNT)
            cr_assert_leq(longest_slot(), IN_A_SLOT_MAX, "%u of %u in one", longest_slot(), i + 1);
    }
    hash_fini(&table);
}

/* With others of other hashes between them, in the same slots. */
Test(hash, what_has_the_same_hash_is_found_in_the_order_of_its_adding) {
    for (uint32_t i = 0; i < 1000; i++)
        cr_assert_eq(hash_add(&table, &links[i], i % 3 ? i : 7 * 1024), 0);
    hash_remove(&table, &links[0]);
    hash_remove(&table, &links[6]);
    hash_remove(&table, &links[999]);
    const struct hash_link *link = hash_find(&table, 7 * 1024);
    for (uint32_t i = 3; i < 999; i += 3) {
        if (i == 6)
            continue;
        cr_assert_eq(link, &links[i]);
        link = hash_next(link);
    }
    cr_assert_null(link);
    hash_add(&table, &links[0], 7 * 1024);
    cr_assert_eq(hash_find(&table, 7 * 1024), &links[3], "what comes again comes last");
    hash_fini(&table);
}

Test(hash, what_a_burst_needed_is_given_back) {
    for (int round = 0; round < 2; round++) {
        add(0, COUNT);
        cr_assert_eq(table.slot_count, COUNT);
        for (uint32_t i = COUNT; i > 0; i--)
            hash_remove(&table, &links[i - 1]);
        cr_assert_eq(table.slot_count, HASH_SLOTS_MIN);
        cr_assert_null(hash_find(&table, hash_of(0)));
    }
    hash_fini(&table);
    cr_assert_null(table.slots);
}
