/* bench/torture_device.h: a device under torture: a process of its own with the client library and a home
 * folder, which encrypts as `tern` does, sends to every account, takes what comes, reads some of it and keeps
 * a ledger. It may be ended at any moment and started again with the same home.
 *
 * Threads: torture_device_run is the child's; the shared memory is [atomic: device -> main] but for phase and
 * accounts, [atomic: main -> devices].  Memory: shared memory from before the fork; the home folder. */
#ifndef TERN_BENCH_TORTURE_DEVICE_H
#define TERN_BENCH_TORTURE_DEVICE_H

#include <limits.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#include "tools/client/uri.h"

#define TORTURE_DEVICES_MAX 64
#define TORTURE_ACCOUNTS_MAX 64
#define TORTURE_PROBLEM_BYTES 256
#define TORTURE_HEADER_BYTES 128 /* of a payload, before as many bytes as are asked for */
#define TORTURE_TEXT "only for the devices it is sent to: " /* a payload begins with it */

enum torture_phase { TORTURE_LINK, TORTURE_RUN, TORTURE_QUIET };

struct torture_status {
    _Atomic bool is_reachable; /* it is linked, on its account's list, and the switch has its keys */
    _Atomic bool is_quiet;     /* nothing is unticked, every mark is confirmed, every tick was seen */
    _Atomic uint64_t sent;     /* handed over to be sent; of the process that runs, with what was before it */
    _Atomic uint64_t received; /* taken since it started */
    _Atomic uint64_t waiting;  /* came and did not open yet; counted before they are acknowledged */
    _Atomic uint64_t unticked, unconfirmed, undelivered, unread;
    char problem[TORTURE_PROBLEM_BYTES]; /* "": none; why it gave up */
    char alarm[TORTURE_PROBLEM_BYTES];   /* the last sentence that it had for people */
};

struct torture_shared {
    _Atomic int phase;
    _Atomic uint32_t account_count; /* that may be written to; the first ones of accounts */
    uint64_t accounts[TORTURE_ACCOUNTS_MAX];
    uint32_t device_counts[TORTURE_ACCOUNTS_MAX]; /* of each */
    uint32_t burst_max, payload_bytes_max;
    struct torture_status status[TORTURE_DEVICES_MAX];
};

struct torture_device {
    uint32_t index;
    uint32_t account; /* index */
    pid_t pid;        /* 0: does not run */
    bool is_stopped;  /* SIGSTOP */
    uint32_t crash;   /* of the client's points, from 0; CRASH_CLIENT_COUNT: none */
    uint64_t due_ms;  /* when it goes on, or is started again */
    struct uri uri;
    char home[PATH_MAX];
};

__attribute__((noreturn)) void torture_device_run(struct torture_shared *shared,
                                                  const struct torture_device *device, uint64_t seed);

#endif
