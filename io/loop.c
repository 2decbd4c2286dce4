#include "io/loop.h"

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "io/loop_inside.h"

#define COMPLETIONS_PER_TURN 4096
#define KEPT_WAIT_US 500 /* notes wait for room in a lane: look again soon */
#define STARVING_BUFS 8  /* buffers that must be free before the starving are served */
#define MICROSECONDS_PER_MS 1000
#define SEND_FREE_MAX 512  /* send buffers kept */
#define SEND_TRIM_MS 1000  /* as long as nobody needs them */
#define STORM_SENDS 32     /* freed at once, where many were needed a moment ago */
#define TRIM_AFTER_MS 7000 /* by then sessions have freed what they keep until they are quiet */

struct loop *loop_of(struct shard *shard) {
    return shard_io(shard);
}

/* --- lists ---------------------------------------------------------------------------------------------- */

void loop_ready(struct loop *loop, struct conn *conn) {
    if (conn->ready || conn->closing || conn->phase == CONN_FREE)
        return;
    conn->ready = true;
    conn->ready_next = CONN_NONE;
    if (loop->ready_first == CONN_NONE)
        loop->ready_first = conn->slot;
    else
        loop->conns.table[loop->ready_last].ready_next = conn->slot;
    loop->ready_last = conn->slot;
}

struct send_buffer *loop_take_send_buffer(struct loop *loop, uint32_t bytes) {
    if (bytes == SEND_BYTES && loop->send_free) {
        struct send_buffer *buffer = loop->send_free;
        loop->send_free = buffer->next;
        loop->send_free_count--;
        if (loop->send_free_low > loop->send_free_count)
            loop->send_free_low = loop->send_free_count;
        buffer->bytes = buffer->done = 0;
        return buffer;
    }
    struct send_buffer *buffer = malloc(sizeof(*buffer) + bytes);
    if (buffer)
        *buffer = (struct send_buffer){.capacity = bytes};
    return buffer;
}

/* Those of the usual size are kept, up to what a busy shard has in flight: a crowd of stalled readers does
 * not leave its memory behind. */
void loop_give_send_buffer(struct loop *loop, struct send_buffer *buffer) {
    if (buffer->capacity != SEND_BYTES || loop->send_free_count == SEND_FREE_MAX) {
        free(buffer);
        return;
    }
    buffer->next = loop->send_free;
    loop->send_free = buffer;
    loop->send_free_count++;
}

/* What not even the busiest moment of the last second needed is freed. Where that is most of it a storm is
 * over, of logins perhaps: what it took besides lies free between what stays, and goes back to the system
 * soon after. */
static void trim_memory(struct loop *loop) {
    if (loop->now_ms - loop->send_trimmed_ms < SEND_TRIM_MS)
        return;
    uint32_t unneeded = loop->send_free_low;
    for (uint32_t i = 0; i < unneeded; i++) {
        struct send_buffer *buffer = loop->send_free;
        loop->send_free = buffer->next;
        loop->send_free_count--;
        free(buffer);
    }
    if (unneeded >= STORM_SENDS && unneeded > loop->send_free_count)
        loop->trim_at_ms = loop->now_ms + TRIM_AFTER_MS;
    if (loop->trim_at_ms && loop->now_ms >= loop->trim_at_ms) {
        malloc_trim(0);
        loop->trim_at_ms = 0;
    }
    loop->send_free_low = loop->send_free_count;
    loop->send_trimmed_ms = loop->now_ms;
}

/* Each connection once per round: what becomes ready meanwhile has its turn in the next. */
static void flush_ready(struct loop *loop) {
    uint32_t slot = loop->ready_first;
    loop->ready_first = CONN_NONE;
    while (slot != CONN_NONE) {
        struct conn *conn = &loop->conns.table[slot];
        slot = conn->ready_next;
        conn->ready = false;
        conn_flush(loop, conn);
    }
}

/* Buffers came back: as many connections as there are buffers try again. More would only fail again. */
static void feed_starving(struct loop *loop) {
    uint32_t left = bufring_free_count(loop->bufring);
    uint32_t enough = bufring_count(loop->bufring) < 2 * STARVING_BUFS ? 1 : STARVING_BUFS;
    if (left < enough)
        return;
    while (left > 0 && loop->starving_first != CONN_NONE) {
        struct conn *conn = &loop->conns.table[loop->starving_first];
        conn_feed(loop, conn);
        if (conn->receiving)
            left--;
    }
}

/* --- completions ---------------------------------------------------------------------------------------- */

static void read_wake(struct loop *loop) {
    ring_read(loop->ring, loop->wake_fd, &loop->wake_count, sizeof(loop->wake_count),
              ring_handle(RING_WAKE, 0, 0));
}

static void complete(struct loop *loop, const struct ring_completion *completion) {
    struct conn *conn;
    switch (completion->op) {
    case RING_ACCEPT:
        loop_accepted(loop, completion);
        return;
    case RING_WAKE:
        read_wake(loop);
        return;
    case RING_DOORBELL: /* ours failed to ring, or another's rang: look at the lanes, which the turn does
                           anyway */
        if (completion->result < 0 && completion->slot < loop->group->count)
            loop_group_ring(loop->group, completion->slot);
        return;
    case RING_CANCEL:
        return;
    default:
        conn = conn_of(&loop->conns, completion);
        break;
    }
    if (!conn) {
        if (completion->has_buffer) {
            struct buf *buf = bufring_lend(loop->bufring, completion->buffer);
            buf->refs = 0;
            bufring_give_back(loop->bufring, buf);
        }
        return;
    }
    if (completion->op == RING_RECV)
        conn_received(loop, conn, completion);
    else if (completion->op == RING_SEND)
        conn_sent(loop, conn, completion->result);
    else if (completion->op == RING_CLOSE)
        conn_closed(loop, conn);
}

/* --- the turn ------------------------------------------------------------------------------------------- */

static uint64_t clock_ms(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

static void ring_party(void *context, uint32_t party) {
    struct loop *loop = context;
    stats_add(loop->stats->doorbells, 1);
    if (party < loop->group->count)
        ring_doorbell(loop->ring, ring_fd(loop->group->loops[party].ring),
                      ring_handle(RING_DOORBELL, party, 0));
    else
        loop->group->ring(loop->group->ring_context, party);
}

static void run_timers(struct loop *loop) {
    struct timer *timer;
    while ((timer = timer_due(&loop->timers, loop->now_ms)))
        conn_late(loop, (struct conn *)timer);
    if (loop->accept_again_ms && loop->now_ms >= loop->accept_again_ms)
        loop_listen(loop);
}

static uint64_t earlier(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

/* How long the ring may wait: not at all where something is left to do. */
static uint64_t wait_us(struct loop *loop) {
    if (loop->ready_first != CONN_NONE || !lanes_may_sleep(loop->lanes, loop->index))
        return 0;
    uint64_t next_ms = earlier(shard_next_ms(loop->shard), timer_next_ms(&loop->timers));
    if (loop->accept_again_ms)
        next_ms = earlier(next_ms, loop->accept_again_ms);
    uint64_t wait = next_ms == UINT64_MAX     ? UINT64_MAX
                    : next_ms <= loop->now_ms ? 0
                                              : (next_ms - loop->now_ms) * MICROSECONDS_PER_MS;
    if (shard_defers(loop->shard))
        wait = earlier(wait, SHARD_DEFER_US);
    return lanes_kept(loop->lanes, loop->index) ? earlier(wait, KEPT_WAIT_US) : wait;
}

static void turn(struct loop *loop) {
    struct ring_completion completion;
    loop->now_ms = clock_ms(CLOCK_MONOTONIC);
    shard_turn_begin(loop->shard, loop->now_ms, clock_ms(CLOCK_REALTIME));
    for (uint32_t i = 0; i < COMPLETIONS_PER_TURN && ring_next(loop->ring, &completion); i++)
        complete(loop, &completion);
    run_timers(loop);
    flush_ready(loop);
    trim_memory(loop);
    shard_turn_end(loop->shard);
    bufring_publish(loop->bufring);
    feed_starving(loop);
    atomic_store_explicit(&loop->stats->bufs_lent,
                          bufring_count(loop->bufring) - bufring_free_count(loop->bufring),
                          memory_order_relaxed);
    lanes_publish(loop->lanes, loop->index, ring_party, loop);
    stats_add(loop->stats->turns, 1);
}

static int start(struct loop *loop, char *ret_error, size_t error_bytes) {
    uint32_t limit = loop->conns.limit;
    long descriptors = sysconf(_SC_OPEN_MAX);
    struct ring_setup setup = {
        .entries = (uint32_t)loop->config->ring_entries,
        .completions = (uint32_t)loop->config->ring_completions,
        .files = descriptors > 0 && (uint64_t)descriptors < limit ? (uint32_t)descriptors : limit,
        .without = loop->config->ring_without,
    };
    int error = ring_create(&setup, &loop->ring, ret_error, error_bytes);
    if (error)
        return error;
    snprintf(loop->features, sizeof(loop->features), "%s", ring_features(loop->ring));
    error = bufring_create(loop->ring, 0, (uint32_t)loop->config->buffers,
                           (uint32_t)loop->config->buffer_bytes, (uint16_t)loop->index, &loop->bufring);
    if (error) {
        snprintf(ret_error, error_bytes, "receive buffers: %s (lower buffers, or raise LimitMEMLOCK)",
                 strerror(-error));
        return error;
    }
    return 0;
}

static void report(struct loop *loop, int error, const char *text) {
    struct loop_group *group = loop->group;
    pthread_mutex_lock(&group->error_mutex);
    if (atomic_load(&group->error) == 0) {
        snprintf(group->error_text, sizeof(group->error_text), "%s", text);
        atomic_store(&group->error, error);
    }
    pthread_mutex_unlock(&group->error_mutex);
}

/* Sockets that were accepted and never looked at would stay open. */
static void drop_accepted(struct loop *loop) {
    struct ring_completion completion;
    while (ring_next(loop->ring, &completion)) {
        if (completion.op == RING_ACCEPT && completion.result >= 0)
            close(completion.result);
    }
}

/* Receive buffers stay until the shard is gone, whose sessions may hold some. */
static void finish(struct loop *loop) {
    if (loop->ring) {
        drop_accepted(loop);
        ring_destroy(loop->ring);
    }
    loop->ring = NULL;
    while (loop->send_free) {
        struct send_buffer *buffer = loop->send_free;
        loop->send_free = buffer->next;
        free(buffer);
    }
}

void *loop_run(void *argument) {
    struct loop *loop = argument;
    char text[256] = "";
    int error = start(loop, text, sizeof(text));
    if (error)
        report(loop, error, text);
    pthread_barrier_wait(&loop->group->ready); /* doorbells need every ring */
    if (atomic_load(&loop->group->error) == 0) {
        loop->now_ms = clock_ms(CLOCK_MONOTONIC);
        timer_wheel_init(&loop->timers, loop->now_ms);
        loop_listen(loop);
        read_wake(loop);
        uint64_t wait = 0;
        while (!shard_drained(loop->shard)) {
            uint64_t enters = 0;
            error = ring_enter(loop->ring, wait, &enters);
            if (error) {
                port_log("ring_failed shard=%u error=%s", loop->index, strerror(-error));
                abort(); /* queues are on disk; a shard without its ring can serve nobody */
            }
            lanes_awake(loop->lanes, loop->index);
            stats_add(loop->stats->enters, enters);
            turn(loop);
            wait = wait_us(loop);
        }
        lanes_publish(loop->lanes, loop->index, ring_party, loop);
        uint64_t enters = 0;
        (void)ring_enter(loop->ring, 0, &enters);
    }
    pthread_barrier_wait(&loop->group->over); /* nobody rings a ring that is gone */
    finish(loop);
    return NULL;
}
