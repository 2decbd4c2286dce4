/* bench/worker.h: a thread of ternbench: it drives a share of the pairs through one io_uring, checks and
 * counts. Every turn takes all that arrived, then lets each end that has something to say send once.
 *
 * Threads: created and joined by the main thread, which reads the atomics while it runs.  Memory: the
 * caller's array of workers; the ends and the ring are the worker's. */
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
    uint32_t linking_max; /* [init] handshakes a worker has on the way; the switch gives each of them 10 s */
    bool until_sent;      /* [init] with a number of messages: over when all are sent, not when all arrived */
};

struct ring;
struct bufring;

struct worker {
    struct worker_shared *shared;
    struct end *ends; /* two of each pair, one after the other */
    uint32_t end_count;
    int core; /* to be pinned to; -1: none */
    pthread_t thread;
    struct ring *ring;
    struct bufring *bufs;
    struct tally tally;         /* the main thread's after worker_join */
    _Atomic uint32_t linked;    /* [atomic: worker -> main] ends that are welcome */
    _Atomic uint64_t completed; /* [atomic: worker -> main] messages with both ticks */
    _Atomic bool over;          /* [atomic: worker -> main] settled, failed or out of time */
    bool sending;
    uint32_t opened;
    uint32_t linking;
    struct end **marked; /* ends to be asked for output at the end of this turn */
    uint32_t marked_count;
    uint64_t
        due_round;     /* with a rate: ends before due_end have this many messages due, the others one less */
    uint32_t due_end;  /* in the row in which they send */
    uint32_t stride;   /* from a pair in that row to the next, in pairs; has no divisor in common with their
                          number */
    uint64_t enters;   /* system calls of the ring */
    uint64_t expected; /* with a number of messages each: how many its ends send */
};

/* Pairs first_pair .. first_pair + pair_count - 1. 0 or negative errno. */
int worker_init(struct worker *worker, struct worker_shared *shared, uint32_t first_pair, uint32_t pair_count,
                int core);
/* With a rate, `workers` of them send in turn, each by strides through its pairs: messages that follow each
 * other are then of connections that did not. Without it, each sends by itself, from the first pair on. */
void worker_take_turns(struct worker *worker, uint32_t index, uint32_t workers);
int worker_start(struct worker *worker);
void worker_join(struct worker *worker);
/* After worker_join: its ends can connect once more, with worker_start. */
void worker_again(struct worker *worker);
void worker_fini(struct worker *worker);

#endif
