/* Counters: one table for those who count, those who read, and what people are shown. */
#include <criterion/criterion.h>
#include <string.h>

#include "core/stats.h"

static uint32_t row_of(const char *name) {
    for (uint32_t i = 0; i < STATS_ROWS; i++) {
        struct stats_row row = stats_row(i);
        if (strcmp(row.name, name) == 0)
            return i;
    }
    cr_assert_fail("no row %s", name);
    return 0;
}

Test(stats, every_row_has_a_name_of_its_own_a_kind_and_a_sentence) {
    for (uint32_t i = 0; i < STATS_ROWS; i++) {
        struct stats_row row = stats_row(i);
        cr_assert_gt(strlen(row.help), 5, "%s", row.name);
        cr_assert(strcmp(row.kind, "counter") == 0 || strcmp(row.kind, "gauge") == 0);
        cr_assert_eq(strspn(row.name, "abcdefghijklmnopqrstuvwxyz0123456789_"), strlen(row.name), "%s",
                     row.name);
        for (uint32_t j = 0; j < i; j++)
            cr_assert_str_neq(stats_row(j).name, row.name);
    }
}

Test(stats, what_is_added_is_read_in_its_row_and_in_no_other) {
    static struct stats stats;
    stats_add(stats.messages_accepted, 3);
    stats_add(stats.closed[CLOSE_IDLE], 4);
    stats_add(stats.refused[REFUSAL_QUEUE_FULL], 5);
    cr_assert_eq(stats_read(&stats, row_of("messages_accepted")), 3);
    cr_assert_eq(stats_read(&stats, row_of("closed_idle")), 4);
    cr_assert_eq(stats_read(&stats, row_of("refused_queue_full")), 5);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < STATS_ROWS; i++)
        sum += stats_read(&stats, i);
    cr_assert_eq(sum, 12);
}

/* Something is given back on another thread than took it. */
Test(stats, gauge_of_two_threads_adds_up_though_one_of_them_is_negative) {
    static struct stats one, other;
    uint32_t row = row_of("messages_in_memory");
    stats_add(one.messages_in_memory, 5);
    stats_add(other.messages_in_memory, -3);
    cr_assert_eq(stats_read(&one, row) + stats_read(&other, row), 2);
    cr_assert_str_eq(stats_row(row).kind, "gauge");
}
