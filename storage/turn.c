/* A turn of a store thread: what waits in the lanes, in one commit; the answers; a slice of the sweep. */
#include <errno.h>

#include "core/crash.h"
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

static void readers_turn(struct environment *environment, uint64_t now_ms) {
    if (now_ms < environment->readers_next_ms)
        return;
    environment->readers_next_ms = now_ms + READERS_CHECK_MS;
    int cleared = map_readers_check(environment->map);
    if (cleared > 0)
        port_log("store_readers_cleared environment=%u count=%d", environment->index, cleared);
}

uint32_t turn_run(struct environment *environment, bool stopping) {
    const struct store_setup *setup = &environment->store->setup;
    settings_follow(environment);
    uint32_t taken = batch_take(environment);
    if (taken > 0)
        batch_run(environment);
    backup_poll(environment, stopping && taken == 0);
    uint64_t now_ms = store_now_ms();
    deletes_turn(environment, now_ms);
    if (!stopping) {
        expiry_turn(environment, now_ms, store_utc_ms());
        readers_turn(environment, now_ms);
    }
    if (map_failed(environment->map))
        environment_close_writes(environment, -EIO, "read");
    if (taken > 0)
        crash_point(before_release);
    lanes_publish(setup->lanes, environment->party, setup->ring, setup->ring_context);
    if (taken > 0)
        crash_point(after_release);
    return taken;
}

uint64_t turn_next_ms(const struct environment *environment, uint64_t now_ms) {
    /* Nobody rings when a full lane has room again. */
    if (lanes_kept(environment->store->setup.lanes, environment->party) > 0)
        return now_ms + KEPT_MS;
    uint64_t next_ms = environment->expiry.next_ms;
    if (environment->readers_next_ms < next_ms)
        next_ms = environment->readers_next_ms;
    if (environment->deletes.count > 0 && !environment->closed && environment->deletes.next_ms < next_ms)
        next_ms = environment->deletes.next_ms;
    return next_ms;
}
