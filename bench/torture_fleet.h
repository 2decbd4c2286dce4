/* bench/torture_fleet.h: the devices under torture as processes: started, killed with kill -9, stopped and
 * gone on with, sent away, started again.
 *
 * Threads: the main thread, whose children they are.  Memory: one block shared with all of them. */
#ifndef TERN_BENCH_TORTURE_FLEET_H
#define TERN_BENCH_TORTURE_FLEET_H

#include <stdbool.h>

#include "bench/torture_check.h"
#include "bench/torture_device.h"
#include "core/crash.h"

struct torture_fleet {
    struct torture_shared *shared;
    struct torture_device devices[TORTURE_DEVICES_MAX];
    uint32_t count;
    uint32_t killed, stopped, left;
    uint32_t crashed[CRASH_CLIENT_COUNT]; /* ended at this point of the client */
    uint64_t random;
    uint64_t strike_ms; /* when the next of them is struck */
    struct torture_check *check;
    char folder[PATH_MAX - 64]; /* of the homes */
};

/* 0 or -ENOMEM; folder exists. */
int torture_fleet_init(struct torture_fleet *fleet, const char *folder, uint64_t seed,
                       struct torture_check *check);
void torture_fleet_fini(struct torture_fleet *fleet);
/* A number below `below`. */
uint32_t torture_fleet_chance(struct torture_fleet *fleet, uint32_t below);
/* The home of the device with this index, whether it is there or not. */
void torture_fleet_home(const struct torture_fleet *fleet, uint32_t index, char ret_home[PATH_MAX]);
/* A further device, of the account with this index in shared->accounts, which is new or has devices; it
 * starts. */
int torture_fleet_add(struct torture_fleet *fleet, uint32_t account, const struct uri *uri);
/* Each of them can be encrypted for. */
bool torture_fleet_is_reachable(const struct torture_fleet *fleet);
/* What came and did not open yet, of all. */
uint64_t torture_fleet_waiting(const struct torture_fleet *fleet);
/* Does to one of them now and then what happens to devices, and starts again what is due. */
void torture_fleet_strike(struct torture_fleet *fleet);
/* All of them run, until they are quiet. How many are not after so long. */
uint32_t torture_fleet_settle(struct torture_fleet *fleet, uint32_t seconds, const volatile int *interrupted);
/* All of them leave. */
void torture_fleet_end(struct torture_fleet *fleet);

#endif
