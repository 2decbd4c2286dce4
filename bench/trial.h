/* bench/trial.h: one trial: a server is started, its ends log in, the load runs, everything is checked, the
 * server is ended. A run of a command is one trial or several of them, in turn.
 *
 * Threads: the main thread; the load runs in the workers'.  Memory: the caller's; nothing stays. */
#ifndef TERN_BENCH_TRIAL_H
#define TERN_BENCH_TRIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/figures.h"
#include "bench/machine.h"
#include "bench/options.h"
#include "bench/pins.h"
#include "bench/server.h"
#include "bench/tally.h"

#define TRIAL_CPU_UNKNOWN UINT64_MAX

/* Counters of a switch, as they rose in the measured time. */
#define TRIAL_STATS(X)                                                                                       \
    X(messages_accepted)                                                                                     \
    X(messages_memory_only)                                                                                  \
    X(messages_spilled)                                                                                      \
    X(payload_copies)                                                                                        \
    X(enters)                                                                                                \
    X(records_opened) X(records_sealed) X(store_commits) X(turns) X(receipts_routed) X(notes) X(doorbells)

struct trial {
    const struct server_kind *kind;
    struct load load;
    struct tally tally; /* of all threads */
    bool stopped;       /* before the end, by the user */
    double measured_seconds;
    double link_seconds;                  /* from the first connection to the last welcome */
    uint64_t bench_cpu_ns, server_cpu_ns; /* between two readings, or TRIAL_CPU_UNKNOWN */
    double usage_seconds;                 /* between them */
    uint64_t usage_messages;
    /* Of the empty switch; with all devices known and none connected; with all of them idle for a while
     * (options: idle_s). */
    struct machine_memory memory_empty, memory_before, memory_idle;
    bool has_records_apart;  /* memory_before has the devices' records */
    double idle_cpu;         /* of the server meanwhile, in percent of a core */
    double client_end_bytes; /* of the kernel's, ternbench's; NAN where they can not be measured */
    /* Of all devices at once, after they were away (options: is_storm). */
    double storm_seconds;
    uint64_t storm_cpu_ns;
    /* While half of the devices are away (options: is_offline), and when they come back. */
    double enqueue_seconds, drain_seconds;
    uint64_t enqueued, enqueue_cpu_ns, written_bytes;
    bool has_stats;
#define X(name) double name;
    TRIAL_STATS(X)
#undef X
};

/* Returns an exit status (bench/exit.h): EXIT_COMPLETE where everything arrived once, with its receipts; else
 * it has said what is missing or why there was no run. */
int trial_run(struct trial *trial, const struct server_kind *kind, const struct options *options,
              const struct pins *pins);
bool trial_is_complete(const struct trial *trial);
double trial_messages_per_s(const struct trial *trial);
/* Of the server, for each message; NAN where it is not known. */
double trial_cpu_us(const struct trial *trial);
/* Per cent of a core; NAN as above. */
double trial_server_cpu(const struct trial *trial);
double trial_load_cpu(const struct trial *trial);
/* Did somebody ask ternbench to stop (SIGINT, SIGTERM)? */
bool trial_is_interrupted(void);
void trial_catch_signals(void);

#endif
