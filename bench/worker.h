/* bench/worker.h: a thread of ternbench with its share of the pairs: it links them all at once, then sends
 * and receives until the time is over and everything is settled.
 *
 * Threads: the main thread inits, starts, joins and finis; it reads the [atomic] fields while the worker
 * runs. Memory: the caller's array of workers; the ends are the worker's. */
#ifndef TERN_BENCH_WORKER_H
#define TERN_BENCH_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "bench/end.h"
#include "bench/tally.h"

enum worker_phase { PHASE_LINK, PHASE_RUN, PHASE_STOP };

/* [atomic: main -> workers; a worker that fails sets PHASE_STOP] The release store of PHASE_RUN publishes
 * load's times. */
struct worker_shared {
    const struct load *load;
    _Atomic int phase;
};

struct worker {
    struct worker_shared *shared;
    struct end *ends; /* two of each pair, one after the other */
    uint32_t end_count;
    int core; /* to be pinned to; -1: none */
    int epoll_fd;
    pthread_t thread;
    struct tally tally;         /* the main thread's after worker_join */
    _Atomic uint32_t linked;    /* [atomic: worker -> main] ends that are welcome */
    _Atomic uint64_t completed; /* [atomic: worker -> main] messages with both ticks */
    _Atomic bool over;          /* [atomic: worker -> main] settled, failed or out of time */
    bool sending;
    uint32_t opened;
    uint32_t linking;
    uint8_t *space;
};

/* Pairs first_pair .. first_pair + pair_count - 1. 0 or negative errno. */
int worker_init(struct worker *worker, struct worker_shared *shared, uint32_t first_pair, uint32_t pair_count,
                int core);
int worker_start(struct worker *worker);
void worker_join(struct worker *worker);
void worker_fini(struct worker *worker);

#endif
