#include "tools/ternd/daemon.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "core/network.h"
#include "core/port.h"
#include "tools/ternd/command.h"
#include "tools/ternd/reload.h"
#include "tools/ternd/signals.h"

#define OWN_POLLED 3 /* descriptors beside the admin socket's */
#define KEPT_MS 1    /* notes wait for room in a lane: nobody rings when there is some */
#define PREDECESSOR_MS 2000
#define PREDECESSOR_LOOK_MS 50
#define LAST_ANSWERS_MS 500 /* for peers to take what the daemon says at its end */
#define MS_PER_S 1000
#define NANOSECONDS_PER_MS 1000000

uint64_t daemon_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * MS_PER_S + (uint64_t)now.tv_nsec / NANOSECONDS_PER_MS;
}

/* --- opening -------------------------------------------------------------------------------------------- */

/* Wakes any party. Threads: all. */
static void ring(void *context, uint32_t party) {
    struct daemon *daemon = context;
    uint64_t one = 1;
    if (party < daemon->shards) {
        loop_group_ring(daemon->group, party);
    } else if (party < daemon->party) {
        store_ring(daemon->store, party);
    } else {
        ssize_t wrote = write(daemon->wake_fd, &one, sizeof(one));
        (void)wrote; /* a full counter wakes, too */
    }
}

/* A shard on every core but one, which the store and the kernel share. */
static uint32_t default_shards(void) {
    cpu_set_t cores;
    CPU_ZERO(&cores);
    int count = sched_getaffinity(0, sizeof(cores), &cores) ? 1 : CPU_COUNT(&cores);
    return count > 1 ? (uint32_t)count - 1 : 1;
}

static int count_parties(struct daemon *daemon, char *ret_error, size_t error_bytes) {
    const struct config *config = daemon->config;
    int stores = store_environments(config->data, config);
    if (stores <= 0) {
        snprintf(ret_error, error_bytes, "%s: %s", config->data, strerror(-stores));
        return stores;
    }
    daemon->shards = config->shards ? (uint32_t)config->shards : default_shards();
    daemon->stores = (uint32_t)stores;
    daemon->party = daemon->shards + daemon->stores;
    daemon->stats = calloc(daemon->party, sizeof(*daemon->stats));
    if (!daemon->stats)
        return -ENOMEM;
    return lanes_create(daemon->party + 1, (uint32_t)config->lane_slots, &daemon->lanes);
}

static int open_store(struct daemon *daemon, char *ret_error, size_t error_bytes) {
    struct store_setup setup = {.folder = daemon->config->data,
                                .config = daemon->config,
                                .lanes = daemon->lanes,
                                .shards = daemon->shards,
                                .stats = daemon->stats + daemon->shards,
                                .ring = ring,
                                .ring_context = daemon};
    uint64_t until_ms = daemon_now_ms() + PREDECESSOR_MS;
    int error = store_open(&setup, &daemon->store, ret_error, error_bytes);
    /* A switch that was killed a moment ago may still hold the folder: the kernel takes its rings down after
     * it. */
    while (error == -EBUSY && daemon_now_ms() < until_ms) {
        nanosleep(&(struct timespec){.tv_nsec = PREDECESSOR_LOOK_MS * NANOSECONDS_PER_MS}, NULL);
        error = store_open(&setup, &daemon->store, ret_error, error_bytes);
    }
    return error;
}

static int open_group(struct daemon *daemon, char *ret_error, size_t error_bytes) {
    uint8_t secret[KEY_BYTES];
    store_server_key(daemon->store, secret, daemon->public_key);
    struct loop_setup setup = {.config = daemon->config,
                               .lanes = daemon->lanes,
                               .shards = daemon->shards,
                               .stores = daemon->stores,
                               .stats = daemon->stats,
                               .server_secret = secret,
                               .store = daemon->store,
                               .ring = ring,
                               .ring_context = daemon};
    int error = loop_group_create(&setup, &daemon->group, ret_error, error_bytes);
    sodium_memzero(secret, sizeof(secret));
    return error;
}

static int open_admin(struct daemon *daemon, char *ret_error, size_t error_bytes) {
    const struct config *config = daemon->config;
    if (config->admin[0])
        snprintf(daemon->admin_path, sizeof(daemon->admin_path), "%s", config->admin);
    else
        snprintf(daemon->admin_path, sizeof(daemon->admin_path), "%s/admin.sock", config->data);
    return admin_socket_open(daemon, daemon->admin_path, &daemon->admin, ret_error, error_bytes);
}

static int start_threads(struct daemon *daemon, char *ret_error, size_t error_bytes) {
    int error = store_load(daemon->store, loop_group_shards(daemon->group), daemon->shards);
    if (error) {
        snprintf(ret_error, error_bytes, "the store can't be loaded: %s", strerror(-error));
        return error;
    }
    error = store_start(daemon->store);
    if (error)
        return error;
    daemon->stores_run = true;
    error = loop_group_start(daemon->group, ret_error, error_bytes);
    daemon->shards_run = error == 0;
    return error;
}

static int open_all(struct daemon *daemon, char *ret_error, size_t error_bytes) {
    int error = signals_open();
    if (error < 0)
        return error;
    daemon->signal_fd = error;
    daemon->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (daemon->wake_fd < 0)
        return -errno;
    if (!daemon->config->core_dumps && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
        return -errno;
    error = count_parties(daemon, ret_error, error_bytes);
    if (error == 0)
        error = open_store(daemon, ret_error, error_bytes);
    if (error == 0)
        error = open_admin(daemon, ret_error, error_bytes);
    if (error == 0)
        error = open_group(daemon, ret_error, error_bytes);
    if (error == 0)
        error = start_threads(daemon, ret_error, error_bytes);
    return error;
}

int daemon_open(struct daemon *daemon, const struct options *options, const struct config *config,
                char *ret_error, size_t error_bytes) {
    *daemon =
        (struct daemon){.options = options, .signal_fd = -1, .wake_fd = -1, .started_ms = daemon_now_ms()};
    ret_error[0] = '\0';
    daemon->config = malloc(sizeof(*config));
    daemon->current = malloc(sizeof(*config));
    int error = daemon->config && daemon->current && sodium_init() >= 0 ? 0 : -ENOMEM;
    if (error == 0) {
        *daemon->config = *daemon->current = *config;
        error = open_all(daemon, ret_error, error_bytes);
    }
    if (error && ret_error[0] == '\0')
        snprintf(ret_error, error_bytes, "%s", strerror(-error));
    if (error)
        daemon_close(daemon);
    return error;
}

void daemon_close(struct daemon *daemon) {
    if (daemon->stores_run)
        store_stop(daemon->store);
    checker_end(&daemon->checker);
    if (daemon->admin)
        admin_socket_close(daemon->admin);
    if (daemon->group)
        loop_group_destroy(daemon->group);
    if (daemon->store)
        store_close(daemon->store);
    if (daemon->lanes)
        lanes_destroy(daemon->lanes);
    if (daemon->wake_fd >= 0)
        close(daemon->wake_fd);
    if (daemon->signal_fd >= 0)
        close(daemon->signal_fd);
    free(daemon->stats);
    free(daemon->config);
    free(daemon->current);
}

/* --- running -------------------------------------------------------------------------------------------- */

void daemon_post(struct daemon *daemon, uint32_t party, struct request *request) {
    struct note note = {.kind = NOTE_REQUEST, .request = request};
    lanes_post(daemon->lanes, daemon->party, party, &note);
}

static void take_notes(struct daemon *daemon) {
    struct note note;
    uint32_t from;
    while (lanes_take(daemon->lanes, daemon->party, &note, &from)) {
        if (note.kind == NOTE_REQUEST_DONE)
            command_returned(note.request);
    }
}

static void take_signals(struct daemon *daemon) {
    int number;
    while ((number = signals_take(daemon->signal_fd))) {
        port_log("signal number=%d", number);
        if (number == SIGHUP) {
            reload_by_signal(daemon);
            continue;
        }
        daemon_drain(daemon);
        signals_end_at_next();
    }
}

static void turn(struct daemon *daemon) {
    struct pollfd set[OWN_POLLED + ADMIN_POLLED_MAX] = {{.fd = daemon->wake_fd, .events = POLLIN},
                                                        {.fd = daemon->signal_fd, .events = POLLIN}};
    take_notes(daemon);
    if (daemon->drained)
        return; /* nobody rings any more */
    admin_socket_run(daemon->admin);
    lanes_publish(daemon->lanes, daemon->party, ring, daemon);
    set[OWN_POLLED - 1] = (struct pollfd){.fd = checker_fd(&daemon->checker), .events = POLLIN};
    size_t count = admin_socket_poll_set(daemon->admin, set + OWN_POLLED);
    int wait_ms = !lanes_may_sleep(daemon->lanes, daemon->party) ? 0
                  : lanes_kept(daemon->lanes, daemon->party) > 0 ? KEPT_MS
                                                                 : -1;
    if (poll(set, count + OWN_POLLED, wait_ms) < 0)
        count = 0; /* a signal */
    lanes_awake(daemon->lanes, daemon->party);
    uint64_t rings;
    ssize_t got = read(daemon->wake_fd, &rings, sizeof(rings));
    (void)got; /* non-blocking: often nobody rang */
    take_signals(daemon);
    checker_serve(&daemon->checker);
    admin_socket_serve(daemon->admin, set + OWN_POLLED, count);
}

static void say_goodbye(struct daemon *daemon) {
    uint64_t until_ms = daemon_now_ms() + LAST_ANSWERS_MS;
    struct pollfd set[ADMIN_POLLED_MAX];
    checker_end(&daemon->checker);
    command_end_all(daemon);
    while (admin_socket_has_output(daemon->admin) && daemon_now_ms() < until_ms) {
        size_t count = admin_socket_poll_set(daemon->admin, set);
        set[count - 1].fd = -1; /* nobody new */
        if (poll(set, count, LAST_ANSWERS_MS) > 0)
            admin_socket_serve(daemon->admin, set, count);
    }
}

int daemon_run(struct daemon *daemon) {
    while (!daemon->drained)
        turn(daemon);
    loop_group_join(daemon->group);
    store_stop(daemon->store);
    daemon->stores_run = daemon->shards_run = false;
    take_notes(daemon);
    say_goodbye(daemon);
    port_log("drained");
    return 0;
}

/* --- the address ---------------------------------------------------------------------------------------- */

static bool is_unspecified(const char *host) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST}, *found;
    if (getaddrinfo(host, NULL, &hints, &found))
        return false;
    bool any = found->ai_family == AF_INET6
                   ? IN6_IS_ADDR_UNSPECIFIED(&((struct sockaddr_in6 *)(void *)found->ai_addr)->sin6_addr)
                   : ((struct sockaddr_in *)(void *)found->ai_addr)->sin_addr.s_addr == htonl(INADDR_ANY);
    freeaddrinfo(found);
    return any;
}

void daemon_address(const struct daemon *daemon, char *ret_text, size_t text_bytes) {
    const char *listener = loop_group_address(daemon->group, 0);
    char host[CONFIG_TEXT_BYTES];
    uint16_t port;
    if (daemon->current->advertise[0])
        snprintf(ret_text, text_bytes, "%s", daemon->current->advertise);
    else if (network_host_port(listener, host, sizeof(host), &port) == 0 && is_unspecified(host))
        snprintf(ret_text, text_bytes, "%s:%u", listener[0] == '[' ? "[::1]" : "127.0.0.1", port);
    else
        snprintf(ret_text, text_bytes, "%s", listener);
}

const char *daemon_plaintext_address(const struct daemon *daemon) {
    return loop_group_address(daemon->group,
                              config_list_count(daemon->config->listen, daemon->config->listen_count));
}
