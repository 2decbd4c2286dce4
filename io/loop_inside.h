/* io/loop_inside.h: the inside of a loop: what the files of io share.
 *
 * Threads: a loop's fields belong to its thread but those marked.  Memory: loop_create's. */
#ifndef TERN_IO_LOOP_INSIDE_H
#define TERN_IO_LOOP_INSIDE_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/port.h"
#include "core/shard.h"
#include "core/stats.h"
#include "core/timer.h"
#include "io/bufring.h"
#include "io/conn.h"
#include "io/loop.h"
#include "io/ring.h"

#define LISTENERS_MAX (2 * CONFIG_LIST_MAX)
#define SEND_BYTES 32768       /* what is gathered into one send */
#define SEND_BYTES_LARGE 66048 /* where one record is larger than that */

struct listener {
    int fd;
    bool plaintext;
    bool armed;
};

struct loop {
    struct loop_group *group;                 /* [init] */
    const struct config *config;              /* [init] */
    struct shard *shard;                      /* [init] */
    struct stats *stats;                      /* [init]; written by this thread alone */
    struct lanes *lanes;                      /* [init] */
    uint32_t index;                           /* [init] */
    pthread_t thread;                         /* [main] */
    bool started;                             /* [main] */
    int wake_fd;                              /* [init] eventfd: other threads write, the ring reads */
    char features[RING_FEATURES_BYTES];       /* [init] what the ring uses, for status */
    struct listener listeners[LISTENERS_MAX]; /* [init] fd; the rest the loop's */
    uint32_t listener_count;

    struct ring *ring;
    struct bufring *bufring;
    struct conns conns;
    struct timer_wheel timers;
    uint32_t ready_first, ready_last;
    uint32_t starving_first, starving_last; /* connections that found no receive buffer */
    struct send_buffer *send_free;
    uint32_t send_free_count;
    uint32_t send_free_low; /* the fewest there were since send_trimmed_ms: so many nobody needed */
    uint64_t send_trimmed_ms;
    uint64_t trim_at_ms; /* the heap; 0: not */
    uint64_t wake_count; /* the eventfd is read into it */
    uint64_t now_ms;
    uint64_t accept_again_ms; /* 0: all listeners are armed */
    uint64_t accept_logged_ms;
    int spare_fd; /* closed for a moment where the descriptor table is full, to refuse who waits; -1: none */
};

struct loop_group {
    struct loop *loops; /* [shards] */
    struct shard **shards;
    uint32_t count;
    struct addresses *addresses;
    struct network proxies[CONFIG_LIST_MAX];
    uint32_t proxy_count;
    char (*names)[CONFIG_TEXT_BYTES]; /* of the listeners, with their real ports */
    uint32_t name_count;
    void (*ring)(void *context, uint32_t party);
    void *ring_context;
    pthread_barrier_t ready; /* all rings are there, or one is not */
    pthread_barrier_t over;  /* no loop runs any more */
    _Atomic int error;       /* of the first ring that could not be made */
    char error_text[256];
    pthread_mutex_t error_mutex;
};

struct loop *loop_of(struct shard *shard);
/* Puts a connection into the list of those with output. */
void loop_ready(struct loop *loop, struct conn *conn);
struct send_buffer *loop_take_send_buffer(struct loop *loop, uint32_t bytes);
void loop_give_send_buffer(struct loop *loop, struct send_buffer *buffer);
void *loop_run(void *loop);

/* io/listen.c: listeners
 * --------------------------------------------------------------------------------------------- */

/* Opens the listeners of all loops, one socket a shard on the same port: the kernel spreads connections over
 * them. */
int loop_open_listeners(struct loop_group *group, const struct config *config, char *ret_error,
                        size_t error_bytes);
/* What of the settings concerns listeners, and what is accepted from now on; any thread. */
void loop_listeners_reload(struct loop_group *group, const struct config *config);
/* Arms those that are not. */
void loop_listen(struct loop *loop);
void loop_accepted(struct loop *loop, const struct ring_completion *completion);

#endif
