/* The loops of a switch together: their threads and what they share. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "io/loop_inside.h"

/* --- a life --------------------------------------------------------------------------------------------- */

static void raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int init_loop(struct loop_group *group, const struct loop_setup *setup, uint32_t index) {
    struct loop *loop = &group->loops[index];
    loop->group = group;
    loop->config = setup->config;
    loop->lanes = setup->lanes;
    loop->stats = &setup->stats[index];
    loop->index = index;
    loop->ready_first = loop->starving_first = loop->starving_last = CONN_NONE;
    loop->wake_fd = eventfd(0, EFD_CLOEXEC);
    loop->spare_fd = eventfd(0, EFD_CLOEXEC);
    if (loop->wake_fd < 0 || loop->spare_fd < 0)
        return -errno;
    int error = conns_create(&loop->conns, (uint32_t)setup->config->connections_max);
    if (error)
        return error;
    struct shard_setup shard_setup = {
        .index = index,
        .shards = setup->shards,
        .stores = setup->stores,
        .config = setup->config,
        .lanes = setup->lanes,
        .stats = &setup->stats[index],
        .server_secret = setup->server_secret,
        .io = loop,
        .store = setup->store,
    };
    error = shard_create(&shard_setup, &loop->shard);
    group->shards[index] = loop->shard;
    return error;
}

static void read_proxies(struct loop_group *group, const struct config *config) {
    uint32_t count = config_list_count(config->proxy_from, config->proxy_from_count);
    for (uint32_t i = 0; i < count; i++) {
        if (network_parse(config->proxy_from[i], &group->proxies[group->proxy_count]) == 0)
            group->proxy_count++;
    }
}

int loop_group_create(const struct loop_setup *setup, struct loop_group **ret_group, char *ret_error,
                      size_t error_bytes) {
    struct loop_group *group = calloc(1, sizeof(*group));
    int error = -ENOMEM;
    snprintf(ret_error, error_bytes, "no memory");
    if (!group)
        return error;
    raise_descriptor_limit();
    pthread_mutex_init(&group->error_mutex, NULL);
    pthread_barrier_init(&group->ready, NULL, setup->shards + 1);
    pthread_barrier_init(&group->over, NULL, setup->shards);
    group->count = setup->shards;
    group->ring = setup->ring;
    group->ring_context = setup->ring_context;
    group->loops = calloc(setup->shards, sizeof(*group->loops));
    group->shards = calloc(setup->shards, sizeof(struct shard *));
    if (!group->loops || !group->shards)
        goto err;
    for (uint32_t i = 0; i < setup->shards; i++)
        group->loops[i].wake_fd = group->loops[i].spare_fd = -1;
    error = addresses_create(setup->config, &group->addresses);
    for (uint32_t i = 0; i < setup->shards && !error; i++)
        error = init_loop(group, setup, i);
    if (error) {
        snprintf(ret_error, error_bytes, "shards: %s", strerror(-error));
        goto err;
    }
    read_proxies(group, setup->config);
    error = loop_open_listeners(group, setup->config, ret_error, error_bytes);
    if (error)
        goto err;
    *ret_group = group;
    return 0;
err:
    loop_group_destroy(group);
    return error;
}

struct shard *const *loop_group_shards(const struct loop_group *group) {
    return group->shards;
}

const char *loop_group_address(const struct loop_group *group, uint32_t index) {
    return index < group->name_count ? group->names[index] : NULL;
}

static void pin(struct loop *loop) {
    uint16_t cores[CONFIG_CORES_MAX];
    int count = config_cores(loop->config->cores, cores, CONFIG_CORES_MAX);
    if (count <= 0)
        return;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cores[loop->index % (uint32_t)count], &set);
    int error = pthread_setaffinity_np(loop->thread, sizeof(set), &set);
    if (error)
        port_log("not_pinned shard=%u core=%u error=%s", loop->index, cores[loop->index % (uint32_t)count],
                 strerror(error));
}

int loop_group_start(struct loop_group *group, char *ret_error, size_t error_bytes) {
    for (uint32_t i = 0; i < group->count; i++) {
        struct loop *loop = &group->loops[i];
        char name[16];
        int error = pthread_create(&loop->thread, NULL, loop_run, loop);
        if (error) {
            fprintf(stderr, "thread of shard %u: %s\n", i, strerror(error));
            exit(EXIT_FAILURE); /* those that run wait for it in vain */
        }
        loop->started = true;
        snprintf(name, sizeof(name), "shard-%u", (uint16_t)i);
        pthread_setname_np(loop->thread, name);
        pin(loop);
    }
    pthread_barrier_wait(&group->ready);
    int error = atomic_load(&group->error);
    if (error) {
        snprintf(ret_error, error_bytes, "%s", group->error_text);
        loop_group_join(group);
    }
    return error;
}

void loop_group_ring(struct loop_group *group, uint32_t shard) {
    uint64_t one = 1;
    ssize_t written = write(group->loops[shard].wake_fd, &one, sizeof(one));
    (void)written; /* a full counter wakes, too */
}

void loop_group_join(struct loop_group *group) {
    for (uint32_t i = 0; i < group->count; i++) {
        if (group->loops[i].started)
            pthread_join(group->loops[i].thread, NULL);
        group->loops[i].started = false;
    }
}

const char *loop_group_features(const struct loop_group *group, uint32_t shard) {
    return group->loops[shard].features;
}

void loop_group_reload(struct loop_group *group, const struct config *config) {
    addresses_reload(group->addresses, config);
    loop_listeners_reload(group, config);
}

void loop_group_destroy(struct loop_group *group) {
    for (uint32_t i = 0; group->loops && i < group->count; i++) {
        struct loop *loop = &group->loops[i];
        for (uint32_t j = 0; j < loop->listener_count; j++)
            close(loop->listeners[j].fd);
        conns_close(&loop->conns, loop->shard);
        if (loop->shard)
            shard_destroy(loop->shard);
        if (loop->bufring)
            bufring_destroy(loop->bufring);
        conns_destroy(&loop->conns);
        if (loop->wake_fd >= 0)
            close(loop->wake_fd);
        if (loop->spare_fd >= 0)
            close(loop->spare_fd);
    }
    if (group->addresses)
        addresses_destroy(group->addresses);
    pthread_barrier_destroy(&group->ready);
    pthread_barrier_destroy(&group->over);
    pthread_mutex_destroy(&group->error_mutex);
    free(group->names);
    free(group->shards);
    free(group->loops);
    free(group);
}
