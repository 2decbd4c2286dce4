/* tests/sim/house.h: the process of the switch: its shards and store threads, turned one after the other, its
 * start, crash, drain and restart.
 *
 * Threads: one.  Memory: what was open at a crash stays behind. */
#ifndef TERN_TESTS_SIM_HOUSE_H
#define TERN_TESTS_SIM_HOUSE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/lane.h"
#include "core/shard.h"
#include "core/stats.h"
#include "storage/store.h"

struct house {
    bool up;
    bool dying;    /* the crash has begun: nothing has an effect any more, until it is cleaned up */
    bool draining; /* the administrator said so */
    bool stopping; /* every shard was told to stop: it ends when they have */
    uint32_t shards, stores;
    uint64_t up_again_ms;
    uint64_t doom; /* effects until the crash; 0: none is planned */
    struct config config;
    struct lanes *lanes;
    struct store *store;
    struct shard *shard[4];
};

extern struct house house;

void house_reset(void);
/* Starts it, with so many shards. It may die at once. */
void house_start(uint32_t shards);
/* One step: every thread that has work may have a turn. */
void house_step(void);
/* It will crash after so many effects (a send, a commit), at once where it is 0. */
void house_doom(uint64_t effects);
/* An effect is about to happen; false: the switch is dead, it does not. */
bool house_effect(void);
/* For a party that house_step does not turn. */
void house_publish(uint32_t party);
/* Nothing is in any lane, outlet or batch. */
bool house_idle(void);
const struct stats *house_stats(uint32_t shard);
const struct stats *house_store_stats(uint32_t environment);

#endif
