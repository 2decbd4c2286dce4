/* tests/sim/sim.h: the simulated world: one thread, one seed, one virtual clock. Around the real core, the
 * deciding parts of storage and the client it puts a network, disks, people and a nemesis; all that happens
 * is drawn from the seed, so a seed is a story that can be told again.
 *
 * Threads: one.  Memory: a crash of the switch frees nothing, as its process would be gone: seeds run in
 * child processes that end after some of them. */
#ifndef TERN_TESTS_SIM_SIM_H
#define TERN_TESTS_SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/sim/plan.h"

#define SIM_SHARDS_MAX 4
#define SIM_STORES_MAX 2
#define SIM_ACCOUNTS_MAX 4
#define SIM_DEVICES_MAX 14    /* that are ever linked */
#define SIM_MESSAGES_MAX 1024 /* of a seed */
#define SIM_UTC_BEGIN_MS UINT64_C(1700000000000)
#define SIM_ERROR_BYTES 400

/* What a run counts: of one seed, or of many. */
struct sim_counts {
    uint64_t seeds, simulated_ms, steps;
    uint64_t messages, shown, ticks;
    uint64_t connections, cuts, switch_crashes, client_crashes, drains, disk_faults, spilled;
};

struct sim {
    uint64_t seed;
    uint64_t state;         /* of the random numbers */
    uint64_t now_ms;        /* monotonic */
    int64_t utc_shift_ms;   /* of the wall clock: its jumps */
    uint64_t jumped_ms;     /* all of them together, forth and back */
    bool quiet;             /* the nemesis has stopped */
    uint8_t server_key[32]; /* the switch's public key, as link URIs give it */
    bool tracing;
    uint64_t hash; /* of everything traced */
    struct plan plan;
    struct sim_counts counts;
    char error[SIM_ERROR_BYTES]; /* the first thing that went wrong */
};

extern struct sim sim;

/* A number that depends on the seed and on how many were drawn before. */
uint64_t sim_random(void);
uint64_t sim_below(uint64_t limit); /* 0 .. limit-1; 0 where the limit is 0 */
bool sim_chance(unsigned per_mille);
uint64_t sim_utc_ms(void);

/* The first failure ends the seed. */
__attribute__((format(printf, 1, 2))) void sim_fail(const char *format, ...);
bool sim_failed(void);

/* One line of the story: format takes up to four `%llu`. Always part of the seed's hash, printed with
 * --trace. */
void sim_trace(const char *format, uint64_t a, uint64_t b, uint64_t c, uint64_t d);
#define TRACE4(format, a, b, c, d)                                                                           \
    sim_trace(format, (uint64_t)(a), (uint64_t)(b), (uint64_t)(c), (uint64_t)(d))
#define TRACE3(format, a, b, c) TRACE4(format, a, b, c, 0)
#define TRACE2(format, a, b) TRACE4(format, a, b, 0, 0)
#define TRACE1(format, a) TRACE4(format, a, 0, 0, 0)
#define TRACE(format) TRACE4(format, 0, 0, 0, 0)

/* Runs one seed from its beginning to its end; true where nothing went wrong. sim.error says what did. */
bool sim_run(uint64_t seed, bool tracing);

#endif
