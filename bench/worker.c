#include "bench/worker.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define LINKING_MAX 256u /* handshakes a worker has on the way; the switch gives each of them 10 s */
#define EVENTS_MAX 256
#define SPACE_BYTES (256u << 10)
#define TURN_MS 5                       /* the longest a phase or a time to send again goes unnoticed */
#define SETTLE_NS UINT64_C(10000000000) /* for what is on the way when sending stops */

int worker_init(struct worker *worker, struct worker_shared *shared, uint32_t first_pair, uint32_t pair_count,
                int core) {
    *worker = (struct worker){.shared = shared, .end_count = 2 * pair_count, .core = core};
    tally_init(&worker->tally);
    worker->ends = calloc(worker->end_count, sizeof(*worker->ends));
    worker->space = malloc(SPACE_BYTES);
    worker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (!worker->ends || !worker->space || worker->epoll_fd < 0) {
        int error = worker->epoll_fd < 0 ? -errno : -ENOMEM;
        worker->end_count = 0;
        worker_fini(worker);
        return error;
    }
    for (uint32_t i = 0; i < worker->end_count; i++) {
        end_init(&worker->ends[i], shared->load, &worker->tally, first_pair + i / 2, i & 1);
        worker->ends[i].other = &worker->ends[i ^ 1];
    }
    return 0;
}

void worker_fini(struct worker *worker) {
    for (uint32_t i = 0; i < worker->end_count; i++)
        end_fini(&worker->ends[i]);
    free(worker->ends);
    free(worker->space);
    if (worker->epoll_fd >= 0)
        close(worker->epoll_fd);
    worker->epoll_fd = -1;
    worker->ends = NULL;
    worker->end_count = 0;
}

/* --- the phases --- */

static void link_more(struct worker *worker) {
    while (worker->linking < LINKING_MAX && worker->opened < worker->end_count) {
        if (end_open(&worker->ends[worker->opened++], worker->epoll_fd) < 0)
            return;
        worker->linking++;
    }
}

static void start_sending(struct worker *worker) {
    for (uint32_t i = 0; i < worker->end_count; i++) {
        worker->ends[i].sending = true;
        if (end_send(&worker->ends[i]) < 0)
            return;
    }
}

static void stop_sending(struct worker *worker) {
    for (uint32_t i = 0; i < worker->end_count; i++)
        worker->ends[i].sending = false;
}

/* Refusals are rare: only where there were any does it pay to look for those whose time has come. */
static void send_again(struct worker *worker, uint64_t now_ns) {
    for (uint32_t i = 0; i < worker->end_count; i++) {
        struct end *end = &worker->ends[i];
        if (end->resend_from && now_ns >= end->resend_at_ns && end_send(end) < 0)
            return;
    }
}

static void handle(struct worker *worker, const struct epoll_event *event) {
    struct end *end = event->data.ptr;
    bool was_linking = end->state == END_LINKING;
    if (end_event(end, event->events, worker->space, SPACE_BYTES) < 0)
        return;
    if (was_linking && end->state == END_OPEN) {
        worker->linking--;
        atomic_fetch_add_explicit(&worker->linked, 1,
                                  memory_order_relaxed); /* a figure to show and to wait for */
    }
}

/* Returns true when there is nothing left to do. */
static bool turn(struct worker *worker, int phase) {
    const struct load *load = worker->shared->load;
    if (worker->tally.failed || phase == PHASE_STOP)
        return true;
    if (phase == PHASE_LINK) {
        link_more(worker);
        return false;
    }
    uint64_t now_ns = end_clock_ns();
    bool sending = now_ns < load->measure_to_ns;
    if (sending && !worker->sending)
        start_sending(worker);
    if (!sending && worker->sending)
        stop_sending(worker);
    worker->sending = sending;
    if (worker->tally.refused)
        send_again(worker, now_ns);
    if (sending)
        return false;
    return tally_is_settled(&worker->tally) || now_ns >= load->measure_to_ns + SETTLE_NS;
}

static void *run(void *argument) {
    struct worker *worker = argument;
    struct epoll_event events[EVENTS_MAX];
    for (;;) {
        int phase = atomic_load_explicit(&worker->shared->phase,
                                         memory_order_acquire); /* pairs with pairs.c's release */
        if (turn(worker, phase))
            break;
        int count = epoll_wait(worker->epoll_fd, events, EVENTS_MAX, TURN_MS);
        for (int i = 0; i < count && !worker->tally.failed; i++)
            handle(worker, &events[i]);
        atomic_store_explicit(&worker->completed, worker->tally.completed,
                              memory_order_relaxed); /* to show */
    }
    if (worker->tally.failed)
        atomic_store(&worker->shared->phase, PHASE_STOP);
    atomic_store(&worker->over, true);
    return NULL;
}

int worker_start(struct worker *worker) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    if (worker->core >= 0) {
        cpu_set_t cores;
        CPU_ZERO(&cores);
        CPU_SET((unsigned)worker->core, &cores);
        pthread_attr_setaffinity_np(&attributes, sizeof(cores), &cores);
    }
    int error = pthread_create(&worker->thread, &attributes, run, worker);
    pthread_attr_destroy(&attributes);
    return -error;
}

void worker_join(struct worker *worker) {
    pthread_join(worker->thread, NULL);
}
