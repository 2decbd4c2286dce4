/* tests/sim/plan.h: what a seed is: the size of the world, the limits of the switch, and how often what goes
 * wrong.
 *
 * Threads: one.  Memory: none. */
#ifndef TERN_TESTS_SIM_PLAN_H
#define TERN_TESTS_SIM_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "core/config.h"

/* Chances are per mille and step, where nothing else is said; 0: not in this seed. */
struct plan {
    struct config config;
    uint32_t accounts, stores;
    uint32_t devices[4]; /* of each account at the beginning */
    uint32_t shards;     /* at the beginning */
    uint32_t steps;      /* of the busy part */
    uint32_t step_ms;    /* the longest */
    uint32_t lane_slots; /* as config.lane_slots, but allowed to be tiny */
    bool calm;           /* all are online and nothing goes wrong: P2 must hold */
    bool encrypted;      /* the connections are */
    bool sealed;         /* the messages are: devices encrypt for each other */

    uint32_t talk;          /* a device sends something */
    uint32_t burst;         /* at most so many messages at a time */
    uint32_t payload_bytes; /* the largest */
    uint32_t short_lived;   /* of a message: it names a short time to live */
    uint32_t reads;         /* a device reads what it was shown */

    uint32_t turn_shard, turn_store; /* a thread that has work gets to run */
    uint32_t delay_ms;               /* longest way through the network */
    uint32_t pipe_bytes;             /* what the network holds per direction */
    uint32_t commit_client_ms;       /* longest time a client takes to commit */

    uint32_t come;               /* a device that is away comes back */
    uint32_t cut, stall, vanish; /* a connection is cut; stands still; loses its device without a word */
    uint32_t leave;              /* a device goes away for good manners' sake */
    uint32_t crash_client;       /* and half of these lose their last state write */
    uint32_t crash_switch, drain;
    uint32_t disk_fail, disk_full, disk_slow, disk_memory;
    uint32_t clock_jump;
    uint32_t link, revoke, purge, block, kick, suspend;
};

void plan_draw(struct plan *plan);

#endif
