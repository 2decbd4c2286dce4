/* Whatever the way between two devices loses, repeats, reorders or changes, and however often they begin anew
 * or restart: what is opened is what was sealed, once each, and what was sealed last always opens. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/noise.h"
#include "tests/support/e2e_rig.h"

#define SEEDS 100u
#define STEPS 300u
#define WAY_MAX 64u /* messages under way in a direction: fewer than are kept in RATCHET_KEPT_MAX */

struct way {
    struct e2e_message list[WAY_MAX];
    bool opened[WAY_MAX];
    uint32_t count;
};

struct schedule {
    uint64_t random;
    uint32_t seed;
    struct e2e_device ends[2];
    struct way ways[2]; /* from each end */
    uint32_t begun, opened, repeated, changed, lost, restarts;
};

static bool chance(struct schedule *schedule, uint32_t in) {
    return e2e_below(&schedule->random, in) == 0;
}

static void take_off(struct way *way, uint32_t index) {
    way->count--;
    way->list[index] = way->list[way->count];
    way->opened[index] = way->opened[way->count];
}

static void begin(struct schedule *schedule, int from) {
    bool has_one_time = schedule->ends[1 - from].handed_out < E2E_ONE_TIME_PREKEYS;
    cr_assert_eq(e2e_device_begin(&schedule->ends[from], &schedule->ends[1 - from], has_one_time), 0);
    schedule->begun++;
}

static void seal(struct schedule *schedule, int from) {
    struct way *way = &schedule->ways[from];
    if (way->count == WAY_MAX) {
        take_off(way, e2e_below(&schedule->random, WAY_MAX));
        schedule->lost++;
    }
    if (!channels_active(&schedule->ends[from].channels))
        begin(schedule, from);
    way->opened[way->count] = false;
    cr_assert_eq(e2e_device_seal(&schedule->ends[from], &schedule->ends[1 - from],
                                 e2e_below(&schedule->random, 600), &way->list[way->count++]),
                 0);
}

/* A changed byte: nothing opens, and the message itself still does. */
static void change(struct schedule *schedule, int from, const struct e2e_message *message) {
    static struct e2e_message changed;
    changed = *message;
    uint32_t at = e2e_below(&schedule->random, (uint32_t)changed.sealed_bytes);
    changed.sealed[at] ^= (uint8_t)(1 + e2e_below(&schedule->random, 255));
    int error = e2e_device_open(&schedule->ends[1 - from], &schedule->ends[from], &changed);
    cr_assert_neq(error, 0, "seed %u: byte %u changed and opened", schedule->seed, at);
    schedule->changed++;
}

static void deliver(struct schedule *schedule, int from) {
    struct way *way = &schedule->ways[from];
    uint32_t index = e2e_below(&schedule->random, way->count);
    struct e2e_message *message = &way->list[index];
    if (chance(schedule, 12)) {
        take_off(way, index);
        schedule->lost++;
        return;
    }
    if (!way->opened[index] && chance(schedule, 4))
        change(schedule, from, message);
    int error = e2e_device_open(&schedule->ends[1 - from], &schedule->ends[from], message);
    if (way->opened[index])
        cr_assert_neq(error, 0, "seed %u: message %lu opened twice", schedule->seed, message->label.number);
    else
        cr_assert_eq(error, 0, "seed %u: message %lu: %s", schedule->seed, message->label.number,
                     strerror(-error));
    schedule->repeated += way->opened[index];
    schedule->opened += !way->opened[index];
    way->opened[index] = true;
    if (chance(schedule, 2))
        take_off(way, index);
}

/* In order, after all that: an answer in each direction. */
static void settle(struct schedule *schedule) {
    for (int i = 0; i < 4; i++) {
        struct way *way = &schedule->ways[i % 2];
        way->count = 0;
        seal(schedule, i % 2);
        cr_assert_eq(e2e_device_open(&schedule->ends[1 - i % 2], &schedule->ends[i % 2], &way->list[0]), 0,
                     "seed %u: the last word", schedule->seed);
    }
}

static void run(struct schedule *schedule, uint32_t seed) {
    schedule->random = seed;
    schedule->seed = seed;
    for (int i = 0; i < 2; i++) {
        e2e_device_init(&schedule->ends[i], &schedule->random, 7, (uint16_t)(i + 1));
        schedule->ways[i].count = 0;
    }
    uint32_t begun_before = schedule->begun;
    for (uint32_t step = 0; step < STEPS; step++) {
        int from = (int)e2e_below(&schedule->random, 2);
        bool may_begin = schedule->begun - begun_before < CHANNELS_MAX - 1; /* one more: both at once */
        if (may_begin && chance(schedule, 60))
            begin(schedule, from);
        else if (chance(schedule, 15))
            e2e_device_restart(&schedule->ends[from]);
        else if (schedule->ways[from].count == 0 || chance(schedule, 2))
            seal(schedule, from);
        else
            deliver(schedule, from);
    }
    settle(schedule);
    for (int i = 0; i < 2; i++)
        e2e_device_fini(&schedule->ends[i]);
}

Test(e2e_schedule, what_opens_is_what_was_sealed_once_each) {
    struct schedule *schedule = calloc(1, sizeof(*schedule));
    cr_assert(schedule && noise_init() == 0);
    for (uint32_t seed = 1; seed <= SEEDS; seed++)
        run(schedule, seed);
    cr_assert_gt(schedule->opened, SEEDS * 50);
    cr_assert_gt(schedule->lost, SEEDS * 5);
    cr_assert_gt(schedule->repeated, SEEDS * 5);
    cr_assert_gt(schedule->changed, SEEDS * 5);
    cr_assert_gt(schedule->begun, SEEDS * 3 / 2);
    free(schedule);
}
