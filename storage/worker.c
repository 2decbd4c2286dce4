/* The store's threads: each does one turn after the other, and sleeps where nothing waits. A simulator calls
 * the turns itself. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/must.h"
#include "storage/environment.h"

#define SLEEP_MS_MAX 60000

int worker_open(struct environment *environment) {
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return -errno;
    environment->wake_fd = fd;
    return 0;
}

void worker_close(struct environment *environment) {
    close(environment->wake_fd);
}

static void sleep_until(struct environment *environment, uint64_t next_ms, uint64_t now_ms) {
    struct lanes *lanes = environment->store->setup.lanes;
    if (next_ms <= now_ms || !lanes_may_sleep(lanes, environment->party))
        return;
    struct pollfd doorbell = {.fd = environment->wake_fd, .events = POLLIN};
    poll(&doorbell, 1, (int)(next_ms - now_ms < SLEEP_MS_MAX ? next_ms - now_ms : SLEEP_MS_MAX));
    uint64_t rings;
    if (doorbell.revents & POLLIN) {
        ssize_t got = read(environment->wake_fd, &rings, sizeof(rings));
        (void)got; /* non-blocking; a ring that another read took woke us all the same */
    }
    lanes_awake(lanes, environment->party);
}

static void *worker_main(void *context) {
    struct environment *environment = context;
    char name[16];
    snprintf(name, sizeof(name), "store-%u", environment->index % 1000);
    pthread_setname_np(pthread_self(), name);
    for (;;) {
        /* Looked at before the lanes: what was posted before the stop is then still taken. */
        bool stopping = atomic_load(&environment->store->stopping);
        if (turn_run(environment, stopping) > 0)
            continue;
        if (stopping)
            return NULL;
        uint64_t now_ms = store_now_ms();
        sleep_until(environment, turn_next_ms(environment, now_ms), now_ms);
    }
}

int store_start(struct store *store) {
    sigset_t all, before;
    int error = 0;
    sigfillset(&all);
    sigdelset(&all, SIGBUS); /* a missing page of the map: storage/guard.h */
    /* Signals are for the main thread. */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (uint32_t i = 0; i < store->count && error == 0; i++) {
        struct environment *environment = &store->environments[i];
        error = -pthread_create(&environment->thread, NULL, worker_main, environment);
        environment->running = error == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error)
        store_stop(store);
    return error;
}

void store_ring(struct store *store, uint32_t party) {
    uint64_t one = 1;
    must(party >= store->setup.shards && party < store->setup.shards + store->count);
    ssize_t wrote = write(store->environments[party - store->setup.shards].wake_fd, &one, sizeof(one));
    (void)wrote; /* fails only where the counter is full: then it wakes anyway */
}

void store_stop(struct store *store) {
    atomic_store(&store->stopping, true);
    for (uint32_t i = 0; i < store->count; i++) {
        struct environment *environment = &store->environments[i];
        if (!environment->running)
            continue;
        store_ring(store, environment->party);
        pthread_join(environment->thread, NULL);
        environment->running = false;
    }
    atomic_store(&store->stopping, false);
}
