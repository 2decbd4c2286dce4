/* How long a session waits for its rate (core/pace.c). */
#include <criterion/criterion.h>

#include "tests/support/world_life.h"

/* Else a crowd that came together would be read in one turn, in each quarter of a second. */
Test(pace, sessions_that_wait_for_tokens_come_back_at_different_times) {
    enum { WAITING = 8 };
    world_begin(1, 0);
    struct shard *shard = world.shards[0];
    shard->config.session_frames_per_s = 40;
    world.now_ms += 1000;
    shard_turn_begin(shard, world.now_ms, WORLD_UTC_MS + world.now_ms);
    uint64_t full_ms = shard->now_ms + 1000 / RATE_PART;
    for (uint32_t i = 0, j; i < WAITING; i++) {
        static struct burst bursts[WAITING];
        struct session waits = {.shard = shard, .conn = 100 + i, .burst = &bursts[i]}, *session = &waits;
        cr_assert(pace_frames(session));
        pace_take_frames(session, 10);
        cr_assert(!pace_frames(session));
        cr_expect_leq(bursts[i].tokens_ms, full_ms);
        cr_expect_geq(bursts[i].tokens_ms, full_ms - 1000 / RATE_PART / 4, "nearly full");
        for (j = 0; j < i; j++)
            cr_expect_neq(bursts[i].tokens_ms, bursts[j].tokens_ms, "%u and %u", i, j);
    }
    world_end();
}
