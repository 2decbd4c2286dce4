/* A store thread: takes what waits, commits it, answers; between batches it sweeps, and sleeps where nothing
 * waits. */
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "storage/environment.h"

#define READERS_CHECK_MS 60000
#define KEPT_MS 1

static void settings_follow(struct environment *environment) {
    struct store *store = environment->store;
    uint32_t version = atomic_load(&store->settings_version);
    if (version == environment->settings_seen)
        return;
    pthread_mutex_lock(&store->settings_lock);
    environment->settings = store->settings;
    pthread_mutex_unlock(&store->settings_lock);
    environment->settings_seen = version;
}

static void publish(struct environment *environment) {
    const struct store_setup *setup = &environment->store->setup;
    lanes_publish(setup->lanes, environment->party, setup->ring, setup->ring_context);
}

static void readers_turn(struct environment *environment, uint64_t now_ms) {
    if (now_ms < environment->readers_next_ms)
        return;
    environment->readers_next_ms = now_ms + READERS_CHECK_MS;
    int cleared = map_readers_check(environment->map);
    if (cleared > 0)
        port_log("store_readers_cleared environment=%u count=%d", environment->index, cleared);
}

static void sleep_until(struct environment *environment, uint64_t now_ms) {
    struct lanes *lanes = environment->store->setup.lanes;
    uint64_t next_ms = environment->expiry.next_ms < environment->readers_next_ms
                           ? environment->expiry.next_ms
                           : environment->readers_next_ms;
    /* Nobody rings when a full lane has room again. */
    if (lanes_kept(lanes, environment->party) > 0)
        next_ms = now_ms + KEPT_MS;
    if (next_ms <= now_ms || !lanes_may_sleep(lanes, environment->party))
        return;
    struct pollfd doorbell = {.fd = environment->wake_fd, .events = POLLIN};
    poll(&doorbell, 1, (int)(next_ms - now_ms < READERS_CHECK_MS ? next_ms - now_ms : READERS_CHECK_MS));
    uint64_t rings;
    if (doorbell.revents & POLLIN) {
        ssize_t got = read(environment->wake_fd, &rings, sizeof(rings));
        (void)got; /* non-blocking; a ring that another read took woke us all the same */
    }
    lanes_awake(lanes, environment->party);
}

void *worker_main(void *context) {
    struct environment *environment = context;
    char name[16];
    snprintf(name, sizeof(name), "store-%u", environment->index % 1000);
    pthread_setname_np(pthread_self(), name);
    for (;;) {
        settings_follow(environment);
        /* Looked at before the lanes: what was posted before the stop is then still taken. */
        bool stopping = atomic_load(&environment->store->stopping);
        uint32_t taken = batch_take(environment);
        if (taken > 0)
            batch_run(environment);
        check_poll(environment, stopping && taken == 0);
        uint64_t now_ms = store_now_ms();
        if (!stopping) {
            expiry_turn(environment, now_ms, store_utc_ms());
            readers_turn(environment, now_ms);
        }
        publish(environment);
        if (taken > 0)
            continue;
        if (stopping)
            return NULL;
        sleep_until(environment, now_ms);
    }
}
