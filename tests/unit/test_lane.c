#include <criterion/criterion.h>

#include "core/lane.h"

#define PARTIES 3
#define SLOTS 16

static struct note numbered(uint64_t number) {
    return (struct note){.kind = NOTE_DELETE, .erase = {.first = number}};
}

static uint32_t rung[PARTIES];

static void ring(void *context, uint32_t party) {
    (void)context;
    rung[party]++;
}

static void publish(struct lanes *lanes, uint32_t from) {
    lanes_publish(lanes, from, ring, NULL);
}

static uint64_t take(struct lanes *lanes, uint32_t to) {
    struct note note;
    uint32_t from;
    return lanes_take(lanes, to, &note, &from) ? note.erase.first : 0;
}

Test(lane, full_lane_refuses_and_keeps_order) {
    struct lane lane;
    struct note note;
    cr_assert_eq(lane_init(&lane, SLOTS), 0);
    for (uint64_t i = 1; i <= SLOTS; i++) {
        note = numbered(i);
        cr_assert(lane_push(&lane, &note));
    }
    cr_assert_eq(lane_room(&lane), 0);
    cr_assert(!lane_push(&lane, &note));
    cr_assert(lane_publish(&lane));
    for (uint64_t i = 1; i <= SLOTS; i++) {
        cr_assert(lane_pop(&lane, &note));
        cr_assert_eq(note.erase.first, i);
    }
    cr_assert(!lane_pop(&lane, &note));
    cr_assert_eq(lane_room(&lane), SLOTS);
    lane_fini(&lane);
}

Test(lane, nothing_is_seen_before_it_is_published) {
    struct lane lane;
    struct note note = numbered(1);
    cr_assert_eq(lane_init(&lane, SLOTS), 0);
    lane_push(&lane, &note);
    cr_assert(!lane_pop(&lane, &note));
    cr_assert(lane_empty(&lane));
    cr_assert(lane_publish(&lane));
    cr_assert(!lane_publish(&lane), "nothing new the second time");
    cr_assert(lane_pop(&lane, &note));
    lane_fini(&lane);
}

Test(lane, order_holds_while_the_positions_wrap_around) {
    struct lane lane;
    struct note note;
    cr_assert_eq(lane_init(&lane, SLOTS), 0);
    atomic_store(&lane.head, UINT32_MAX - 5);
    atomic_store(&lane.tail, UINT32_MAX - 5);
    lane.tail_local = lane.head_seen = UINT32_MAX - 5;
    uint64_t pushed = 0, popped = 0;
    while (popped < 100) {
        note = numbered(pushed + 1);
        while (pushed < 100 && lane_push(&lane, &note))
            note = numbered(++pushed + 1);
        lane_publish(&lane);
        for (int i = 0; i < 7 && lane_pop(&lane, &note); i++)
            cr_assert_eq(note.erase.first, ++popped);
    }
    lane_fini(&lane);
}

Test(lanes, outlet_keeps_what_a_full_lane_has_no_room_for_in_order) {
    enum { NOTES = 1000 };
    struct lanes *lanes;
    cr_assert_eq(lanes_create(PARTIES, SLOTS, &lanes), 0);
    for (uint64_t i = 1; i <= NOTES; i++) {
        struct note note = numbered(i);
        lanes_post(lanes, 0, 1, &note);
    }
    cr_assert_eq(lanes_kept(lanes, 0), NOTES - SLOTS);
    cr_assert_eq(lanes_room(lanes, 0, 1), 0);
    uint64_t next = 1;
    while (next <= NOTES) {
        publish(lanes, 0);
        for (uint64_t number; (number = take(lanes, 1));)
            cr_assert_eq(number, next++);
        struct note late = numbered(NOTES + 1); /* must not overtake what is kept */
        if (next == 2 * SLOTS + 1)
            lanes_post(lanes, 0, 1, &late);
    }
    publish(lanes, 0);
    cr_assert_eq(lanes_kept(lanes, 0), 0);
    cr_assert_gt(lanes_room(lanes, 0, 1), 0);
    lanes_destroy(lanes);
}

Test(lanes, busy_producer_does_not_keep_others_waiting) {
    struct lanes *lanes;
    struct note note = numbered(1);
    uint32_t from, taken = 0;
    cr_assert_eq(lanes_create(PARTIES, 1024, &lanes), 0);
    for (int i = 0; i < 1024; i++)
        lanes_post(lanes, 0, 2, &note);
    lanes_post(lanes, 1, 2, &note);
    publish(lanes, 0);
    publish(lanes, 1);
    do {
        cr_assert(lanes_take(lanes, 2, &note, &from));
        taken++;
    } while (from != 1);
    cr_assert_leq(taken, 65);
    lanes_destroy(lanes);
}

Test(lanes, doorbell_is_rung_once_and_for_a_sleeper_only) {
    struct lanes *lanes;
    struct note note = numbered(1);
    cr_assert_eq(lanes_create(PARTIES, SLOTS, &lanes), 0);
    lanes_post(lanes, 0, 1, &note);
    publish(lanes, 0);
    cr_assert_eq(rung[1], 0, "it is awake");
    cr_assert_eq(take(lanes, 1), 1);
    cr_assert(lanes_may_sleep(lanes, 1));
    publish(lanes, 0);
    cr_assert_eq(rung[1], 0, "nothing new");
    lanes_post(lanes, 0, 1, &note);
    publish(lanes, 0);
    lanes_post(lanes, 2, 1, &note);
    publish(lanes, 2);
    cr_assert_eq(rung[1], 1);
    lanes_destroy(lanes);
}

Test(lanes, who_has_work_may_not_sleep) {
    struct lanes *lanes;
    struct note note = numbered(1);
    cr_assert_eq(lanes_create(PARTIES, SLOTS, &lanes), 0);
    lanes_post(lanes, 0, 1, &note);
    publish(lanes, 0);
    cr_assert(!lanes_may_sleep(lanes, 1));
    lanes_post(lanes, 0, 1, &note);
    publish(lanes, 0);
    cr_assert_eq(rung[1], 0, "its flag is clear again");
    cr_assert_eq(take(lanes, 1), 1);
    cr_assert_eq(take(lanes, 1), 1);
    cr_assert(lanes_may_sleep(lanes, 1));
    lanes_awake(lanes, 1);
    lanes_post(lanes, 0, 1, &note);
    publish(lanes, 0);
    cr_assert_eq(rung[1], 0);
    lanes_destroy(lanes);
}
