/* What people are told of messages that do not open or come late, and how often. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/sealed_rig.h"

TestSuite(opening_told, .timeout = 120);

#define ALICE 1
#define BOB 2
#define CAROL 3

static struct sealed_rig rig;
static struct sealed_device *alice, *bob, *carol;

/* Bob knows both of the others. */
static void begin(void) {
    sealed_rig_begin(&rig);
    alice = sealed_join(&rig, ALICE);
    bob = sealed_join(&rig, BOB);
    carol = sealed_join(&rig, CAROL);
    sealed_settle(&rig);
    sealed_say(&rig, alice, BOB, "hello");
    sealed_say(&rig, carol, BOB, "hello");
    sealed_settle(&rig);
}

static void end(void) {
    sealed_rig_end(&rig);
}

static void send_text(struct sealed_device *device, const char *text) {
    sealed_say(&rig, device, BOB, text);
    sealed_send(&rig, device);
}

static uint32_t times_shown(const char *part) {
    uint32_t times = 0;
    for (const char *at = sealed_shown(bob, 0); (at = strstr(at, part)); at++)
        times++;
    return times;
}

static enum inbox_take take_next(void) {
    enum inbox_take take = INBOX_DUPLICATE;
    cr_assert_eq(opening_take(bob->state, &bob->own, &bob->queue[0], rig.now_s, &take), 0);
    free((void *)bob->queue[0].payload);
    memmove(&bob->queue[0], &bob->queue[1], --bob->queued * sizeof(bob->queue[0]));
    return take;
}

Test(opening_told, what_does_not_open_in_a_turn_is_one_line_of_each_device_and_reason, .init = begin,
     .fini = end) {
    for (int i = 0; i < 3; i++) {
        send_text(alice, "x");
        send_text(carol, "y");
    }
    for (uint32_t i = 0; i < 6; i++)
        ((uint8_t *)bob->queue[i].payload)[bob->queue[i].payload_bytes - 1] ^= 1;
    bob->queue[5].payload_bytes = 9;
    cr_assert_eq(state_begin(bob->state), 0);
    while (bob->queued)
        cr_assert_eq(take_next(), INBOX_PASSED);
    cr_assert_eq(opening_tell(bob->state), 0);
    cr_assert_eq(state_commit(bob->state), 0);
    cr_assert_eq(sealed_count(bob, TROUBLE_FORGED), 5);
    cr_assert_eq(sealed_count(bob, TROUBLE_MALFORMED), 1);
    cr_assert_eq(times_shown("!"), 3);
    cr_assert_eq(times_shown("not here any more (and 2 more)|"), 1);
    cr_assert_eq(times_shown("not here any more (and 1 more)|"), 1);
    cr_assert_eq(times_shown("it is not a sealed message|"), 1);
}

Test(opening_told, what_comes_behind_a_later_one_is_named_and_not_delivered, .init = begin, .fini = end) {
    send_text(alice, "one");
    send_text(alice, "two");
    struct frame_message late = bob->queue[0];
    bob->queue[0] = bob->queue[1];
    bob->queue[1] = late;
    sealed_take(&rig, bob);
    cr_assert_eq(bob->passed, 1);
    cr_assert_eq(sealed_count(bob, TROUBLE_REORDERED), 1);
    cr_assert_eq(times_shown("|two|!a message is left out: it came behind later ones"), 1);
    cr_assert_eq(times_shown("one|"), 0);
}
