/* Reasons: numbers that never change their meaning, and a name and a sentence for each. */
#include <criterion/criterion.h>
#include <string.h>

#include "core/reason.h"

Test(reason, every_number_has_a_name_of_its_own_and_a_sentence) {
    for (unsigned i = 0; i < CLOSE_REASON_COUNT; i++) {
        cr_assert_str_neq(close_reason_name(i), "unknown", "%u", i);
        cr_assert_gt(strlen(close_reason_help(i)), 5);
        for (unsigned j = 0; j < i; j++)
            cr_assert_str_neq(close_reason_name(i), close_reason_name(j));
    }
    for (unsigned i = 0; i < REFUSAL_COUNT; i++) {
        cr_assert_str_neq(refusal_name(i), "unknown", "%u", i);
        cr_assert_gt(strlen(refusal_help(i)), 5);
        for (unsigned j = 0; j < i; j++)
            cr_assert_str_neq(refusal_name(i), refusal_name(j));
    }
}

Test(reason, number_out_of_range_is_unknown) {
    cr_assert_str_eq(close_reason_name(CLOSE_REASON_COUNT), "unknown");
    cr_assert_str_eq(close_reason_name(~0u), "unknown");
    cr_assert_str_eq(refusal_name(REFUSAL_COUNT), "unknown");
    cr_assert_str_eq(refusal_help(~0u), close_reason_help(~0u));
}

/* Clients were written with these numbers. */
Test(reason, numbers_on_the_wire_stay) {
    cr_assert_str_eq(close_reason_name(1), "peer_closed");
    cr_assert_str_eq(close_reason_name(10), "bad_frame");
    cr_assert_str_eq(close_reason_name(15), "replaced");
    cr_assert_str_eq(close_reason_name(19), "overload");
    cr_assert_str_eq(close_reason_name(25), "ack_beyond");
    cr_assert_str_eq(refusal_name(3), "blocked");
    cr_assert_str_eq(refusal_name(8), "out_of_order");
    cr_assert_str_eq(refusal_name(12), "queue_full");
}
