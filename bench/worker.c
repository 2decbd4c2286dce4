#include "bench/worker.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/must.h"
#include "io/bufring.h"
#include "io/ring.h"

#define LINK_BATCH 32u /* opened in one turn */
#define ENTRIES 4096
#define COMPLETIONS 32768
#define BUFFERS 2048
#define BUFFER_BYTES 16384
#define GROUP 0
#define STRIDE_PART 0.618               /* of a row of pairs, from one that sends to the next */
#define TURN_US 5000                    /* the longest a phase or a time to send again goes unnoticed */
#define SETTLE_NS UINT64_C(10000000000) /* for what is on the way when sending stops */

int worker_init(struct worker *worker, struct worker_shared *shared, uint32_t first_pair, uint32_t pair_count,
                int core) {
    *worker = (struct worker){
        .shared = shared, .end_count = 2 * pair_count, .core = core, .due_round = 1, .stride = 1};
    tally_init(&worker->tally);
    worker->ends = calloc(worker->end_count, sizeof(*worker->ends));
    worker->marked = calloc(worker->end_count, sizeof(*worker->marked));
    if (!worker->ends || !worker->marked) {
        worker->end_count = 0;
        worker_fini(worker);
        return -ENOMEM;
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
    free(worker->marked);
    worker->ends = NULL;
    worker->marked = NULL;
    worker->end_count = 0;
}

static uint32_t gcd(uint32_t a, uint32_t b) {
    while (b) {
        uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* The first end of the pair that is at this place of the worker's row. */
static struct end *first_at(const struct worker *worker, uint32_t place) {
    uint32_t pairs = worker->end_count / 2;
    must(pairs > 0);
    return &worker->ends[2 * (uint32_t)((uint64_t)place * worker->stride % pairs)];
}

void worker_take_turns(struct worker *worker, uint32_t index, uint32_t workers) {
    uint32_t pairs = worker->end_count / 2;
    worker->stride = (uint32_t)((double)pairs * STRIDE_PART) | 1;
    while (gcd(worker->stride, pairs) != 1)
        worker->stride += 2;
    for (uint32_t i = 0; i < pairs; i++) {
        struct end *first = first_at(worker, i);
        first[0].place = first[1].place = i * workers + index;
    }
}

/* --- bytes ---------------------------------------------------------------------------------------------- */

static void mark(struct worker *worker, struct end *end) {
    if (end->is_marked)
        return;
    end->is_marked = true;
    worker->marked[worker->marked_count++] = end;
}

static struct ring_file file_of(const struct worker *worker, const struct end *end) {
    return (struct ring_file){.fd = (int)(end - worker->ends), .direct = true};
}

static void receive(struct worker *worker, const struct end *end) {
    struct ring_file file = file_of(worker, end);
    ring_recv(worker->ring, file, GROUP, ring_handle(RING_RECV, (uint32_t)file.fd, 0));
}

/* The socket lives in the ring's table alone, which closes it with the ring. */
static int open_end(struct worker *worker, struct end *end) {
    int fd = end_connect(end);
    if (fd < 0)
        return fd;
    int error = ring_install(worker->ring, (uint32_t)(end - worker->ends), fd);
    close(fd);
    if (error) {
        end_fail(end, "no place for a socket: %s", strerror(-error));
        return error;
    }
    receive(worker, end);
    mark(worker, end);
    return 0;
}

static void take_received(struct worker *worker, struct end *end, const struct ring_completion *completion) {
    struct buf *buf = completion->has_buffer ? bufring_lend(worker->bufs, completion->buffer) : NULL;
    bool was_linking = end->state == END_LINKING;
    /* Without a free buffer nothing is lost: all of them are back at the end of this turn. */
    if (completion->result != -ENOBUFS && end_input(end, buf ? buf->data : NULL, completion->result) == 0) {
        mark(worker, end);
        if (was_linking && end->state == END_OPEN) {
            worker->linking--;
            atomic_fetch_add_explicit(&worker->linked, 1,
                                      memory_order_relaxed); /* a figure to show and to wait for */
        }
    }
    if (buf) {
        buf->refs = 0;
        bufring_give_back(worker->bufs, buf);
    }
    if (!completion->more && end->state != END_FAILED)
        receive(worker, end);
}

static void take_sent(struct worker *worker, struct end *end, int32_t result) {
    end->is_on_its_way = false;
    if (result < 0) {
        end_input(end, NULL, result);
        return;
    }
    end_sent(end, (size_t)result);
    mark(worker, end);
}

static void take_completions(struct worker *worker) {
    struct ring_completion completion;
    while (!worker->tally.failed && ring_next(worker->ring, &completion)) {
        struct end *end = &worker->ends[completion.slot];
        if (completion.op == RING_RECV)
            take_received(worker, end, &completion);
        else if (completion.op == RING_SEND)
            take_sent(worker, end, completion.result);
    }
}

/* One send for each end, of all that it gathered in this turn. */
static void send_marked(struct worker *worker) {
    for (uint32_t i = 0; i < worker->marked_count; i++) {
        struct end *end = worker->marked[i];
        const uint8_t *bytes;
        size_t count = 0;
        end->is_marked = false;
        if (end->is_on_its_way || worker->tally.failed || end_output(end, &bytes, &count) < 0 || count == 0)
            continue;
        struct ring_file file = file_of(worker, end);
        end->is_on_its_way = true;
        ring_send(worker->ring, file, bytes, count, ring_handle(RING_SEND, (uint32_t)file.fd, 0));
    }
    worker->marked_count = 0;
}

void worker_again(struct worker *worker) {
    for (uint32_t i = 0; i < worker->end_count; i++)
        end_leave(&worker->ends[i]);
    worker->ring = NULL;
    worker->bufs = NULL;
    worker->opened = worker->linking = worker->marked_count = 0;
    worker->sending = false;
    atomic_store(&worker->linked, 0);
    atomic_store(&worker->over, false);
}

/* --- the phases ----------------------------------------------------------------------------------------- */

static void link_more(struct worker *worker) {
    for (uint32_t i = 0; i < LINK_BATCH; i++) {
        if (worker->linking == worker->shared->linking_max || worker->opened == worker->end_count)
            return;
        struct end *end = &worker->ends[worker->opened++];
        if (end->is_away)
            continue;
        if (open_end(worker, end) < 0)
            return;
        worker->linking++;
    }
}

static void set_sending(struct worker *worker, bool sending) {
    worker->sending = sending;
    for (uint32_t i = 0; i < worker->end_count; i++) {
        worker->ends[i].sending = sending;
        mark(worker, &worker->ends[i]);
    }
}

/* With a rate: marks the ends that have a message due. Returns when the next one is. */
static uint64_t mark_due(struct worker *worker, uint64_t now_ns) {
    for (;;) {
        struct end *end = &first_at(worker, worker->due_end / 2)[worker->due_end % 2];
        uint64_t at_ns = end_intended_ns(end, worker->due_round);
        if (at_ns > now_ns)
            return at_ns;
        end->due = worker->due_round;
        mark(worker, end);
        if (++worker->due_end < worker->end_count)
            continue;
        worker->due_end = 0;
        worker->due_round++;
    }
}

/* Refusals are rare: only where there were any does it pay to look for those whose time has come. */
static void send_again(struct worker *worker, uint64_t now_ns) {
    for (uint32_t i = 0; i < worker->end_count; i++) {
        struct end *end = &worker->ends[i];
        if (end->resend_from && now_ns >= end->resend_at_ns)
            mark(worker, end);
    }
}

/* With a rate, what was due before the end is still to be sent after it. */
static bool has_sent_all(const struct worker *worker) {
    if (worker->shared->load->rate <= 0)
        return true;
    for (uint32_t i = 0; i < worker->end_count; i++) {
        const struct end *end = &worker->ends[i];
        if (end->ticks.next <= end->due &&
            end_intended_ns(end, end->ticks.next) < worker->shared->load->measure_to_ns)
            return false;
    }
    return true;
}

/* Returns how long to wait for completions; 0: there is nothing left to do. */
static uint64_t turn(struct worker *worker, int phase) {
    const struct load *load = worker->shared->load;
    if (worker->tally.failed || phase == PHASE_STOP)
        return 0;
    if (phase == PHASE_LINK) {
        link_more(worker);
        return worker->linking < worker->shared->linking_max && worker->opened < worker->end_count ? 1
                                                                                                   : TURN_US;
    }
    uint64_t now_ns = end_clock_ns(), wait_us = TURN_US;
    bool is_time = now_ns < load->measure_to_ns;
    bool sending = is_time || !has_sent_all(worker);
    if (sending != worker->sending)
        set_sending(worker, sending);
    if (load->rate > 0 && is_time) {
        uint64_t next_ns = mark_due(worker, now_ns);
        if ((next_ns - now_ns) / 1000 < wait_us)
            wait_us = (next_ns - now_ns) / 1000 + 1;
    }
    if (worker->tally.refused)
        send_again(worker, now_ns);
    if (load->messages && atomic_load(&worker->shared->phase) == PHASE_RUN &&
        worker->tally.sent == worker->expected && worker->tally.ticked_sent == worker->expected)
        return worker->shared->until_sent || tally_is_settled(&worker->tally) ? 0 : wait_us;
    if (sending && is_time)
        return wait_us;
    bool over = now_ns >= load->measure_to_ns + SETTLE_NS || (!sending && tally_is_settled(&worker->tally));
    return over ? 0 : wait_us;
}

static int set_up(struct worker *worker) {
    struct ring_setup setup = {
        .entries = ENTRIES, .completions = COMPLETIONS, .files = worker->end_count, .without = ""};
    char text[128] = "";
    int error = ring_create(&setup, &worker->ring, text, sizeof(text));
    if (error) {
        worker->ring = NULL;
        tally_fail(&worker->tally, "%s", text);
        return error;
    }
    error = bufring_create(worker->ring, GROUP, BUFFERS, BUFFER_BYTES, 0, &worker->bufs);
    if (error) {
        worker->bufs = NULL;
        tally_fail(&worker->tally, "no receive buffers: %s", strerror(-error));
    }
    return error;
}

static void loop(struct worker *worker) {
    for (;;) {
        int phase = atomic_load_explicit(&worker->shared->phase,
                                         memory_order_acquire); /* pairs with trial.c's release */
        uint64_t wait_us = turn(worker, phase);
        if (wait_us == 0)
            return;
        send_marked(worker);
        bufring_publish(worker->bufs);
        int error = ring_enter(worker->ring, wait_us, &worker->enters);
        if (error)
            tally_fail(&worker->tally, "io_uring_enter: %s", strerror(-error));
        take_completions(worker);
        atomic_store_explicit(&worker->completed, worker->tally.completed,
                              memory_order_relaxed); /* to show */
    }
}

static void *run(void *argument) {
    struct worker *worker = argument;
    if (set_up(worker) == 0)
        loop(worker);
    if (worker->ring)
        ring_destroy(worker->ring);
    if (worker->bufs)
        bufring_destroy(worker->bufs);
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
