#include "bench/foes.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/progress.h"
#include "core/bytes.h"
#include "tools/client/peer.h"

#define ADDRESS_FOES 20          /* so many come from one address */
#define FIRST_ADDRESS 0x7f010001 /* 127.1.0.1 and up */
#define AGAIN_MS 500             /* after a connection was refused or ended */
#define CONNECTS_PER_ROUND 64
#define GATHERED_BYTES_MAX 65536 /* a foe says no more before the socket took that */
#define SENDS_PER_TURN 4
#define STALLED_BYTES 4096 /* receive buffer of who does not read */
#define SAMPLE_MS 50
#define REST_NS 1000000
#define SLICE_NS 100000 /* of CPU time, then others have their turn */
#define AWAIT_MS 20000
#define SETTLE_S 1 /* then what fills sockets and buckets at first is in them */

static uint64_t clock_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t foes_memory_bytes(pid_t pid) {
    char path[64], line[256];
    unsigned long long kib = 0;
    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file)) {
        if (strncmp(line, "RssAnon:", 8) == 0)
            kib = strtoull(line + 8, NULL, 10);
    }
    if (file)
        fclose(file);
    return kib * 1024;
}

static bool reads(const struct foes *foes, const struct foe *foe) {
    return !foes->attack->reads || foes->attack->reads(foe);
}

/* splitmix64: a crowd does not act in step, whatever it does. */
uint64_t foes_below(struct foes *foes, uint64_t limit) {
    uint64_t x = foes->random += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return limit ? (x ^ (x >> 31)) % limit : 0;
}

/* --- one foe -------------------------------------------------------------------------------------------- */

void foe_leave(struct foes *foes, struct foe *foe, uint64_t pause_ms) {
    if (foe->fd < 0)
        return;
    bool was_ready = !foes->attack->logs_in || peer_is_open(foe->peer);
    if (was_ready)
        atomic_fetch_sub_explicit(&foes->ready, 1, memory_order_relaxed);
    close(foe->fd);
    foe->fd = -1;
    if (foe->peer)
        peer_destroy(foe->peer);
    foe->peer = NULL;
    foe->again_ms = foes->now_ms + pause_ms / 2 + foes_below(foes, pause_ms);
}

static int create_peer(const struct foes *foes, struct foe *foe) {
    uint8_t ephemeral[NOISE_KEY_BYTES];
    struct peer_setup setup = {
        .pattern = HELLO_IK,
        .device_secret = foe->secret,
        .server_public = foes->found.key,
        .ephemeral_secret = ephemeral,
        .link = {.account = foe->account, .epoch = 1 + foe->index, .device = foe->device},
        .is_link = foe->device == 0,
    };
    if (setup.is_link)
        memcpy(setup.link.code, foe->code, sizeof(setup.link.code));
    if (getrandom(ephemeral, sizeof(ephemeral), 0) < 0)
        return -errno;
    foe->items = foe->items_acked = 0;
    return peer_create(&setup, &foe->peer);
}

/* Loopback connects at once, or not at all. */
static void come(struct foes *foes, struct foe *foe) {
    struct sockaddr_in from = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(FIRST_ADDRESS + foe->index / ADDRESS_FOES)};
    int one = 1, stalled_bytes = STALLED_BYTES;
    foe->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    foe->again_ms = foes->now_ms + AGAIN_MS / 2 + foes_below(foes, AGAIN_MS);
    if (foe->fd < 0)
        return;
    setsockopt(foe->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
    if (!reads(foes, foe))
        setsockopt(foe->fd, SOL_SOCKET, SO_RCVBUF, &stalled_bytes, sizeof(stalled_bytes));
    if (bind(foe->fd, (struct sockaddr *)&from, sizeof(from)) < 0 ||
        connect(foe->fd, (struct sockaddr *)&foes->found.address, foes->found.address_bytes) < 0 ||
        (foes->attack->logs_in && create_peer(foes, foe) < 0)) {
        close(foe->fd);
        foe->fd = -1;
        return;
    }
    foe->again_ms = 0;
    foe->turns = 0;
    foes->connects++;
    if (!foes->attack->logs_in)
        atomic_fetch_add_explicit(&foes->ready, 1, memory_order_relaxed);
}

struct context {
    struct foes *foes;
    struct foe *foe;
};

static int on_frame(void *opaque, struct peer *peer, const struct frame *frame) {
    struct context *context = opaque;
    struct frame_welcome welcome;
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    uint64_t nonce;
    if (frame->type == FRAME_WELCOME && frame_read_welcome(frame, &welcome) == 0) {
        context->foe->device = welcome.device;
        atomic_fetch_add_explicit(&context->foes->ready, 1, memory_order_relaxed);
    }
    if (frame->type == FRAME_PING && frame_read_ping(frame, &nonce) == 0)
        peer_put(peer, out, frame_write_ping(out, FRAME_PONG, nonce));
    context->foe->items += frame->type == FRAME_MESSAGE || frame->type == FRAME_RECEIPT;
    return 0;
}

/* False: nothing came. */
static bool read_some(struct foes *foes, struct foe *foe) {
    static uint8_t bytes[1 << 16];
    struct context context = {foes, foe};
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    ssize_t got = recv(foe->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (got <= 0 || peer_input(foe->peer, bytes, (size_t)got, on_frame, &context) < 0) {
        foes->ended++;
        foe_leave(foes, foe, AGAIN_MS);
        return true;
    }
    if (foe->items > foe->items_acked) {
        foe->items_acked = foe->items;
        peer_put(foe->peer, out, frame_write_ack(out, foe->items));
    }
    return true;
}

/* False: the socket takes nothing. */
static bool send_some(struct foes *foes, struct foe *foe) {
    const uint8_t *bytes;
    size_t count, all = 0;
    for (int i = 0; i < SENDS_PER_TURN && (count = peer_output(foe->peer, &bytes)) > 0; i++) {
        ssize_t sent = send(foe->fd, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            foes->ended++;
            foe_leave(foes, foe, AGAIN_MS);
            return true;
        }
        if (sent <= 0)
            break;
        peer_sent(foe->peer, (size_t)sent);
        all += (size_t)sent;
    }
    foes->bytes += all;
    return all > 0;
}

static bool take_turn(struct foes *foes, struct foe *foe) {
    const uint8_t *bytes;
    if (!foes->attack->logs_in)
        return foes->attack->act(foes, foe);
    bool open = peer_is_open(foe->peer), busy = false;
    if (!open || reads(foes, foe))
        busy = read_some(foes, foe);
    if (foe->fd >= 0 && open && peer_put_bytes(foe->peer) == 0 && peer_output(foe->peer, &bytes) == 0)
        busy |= foes->attack->act(foes, foe);
    return foe->fd >= 0 ? send_some(foes, foe) || busy : true;
}

/* --- the crowd ------------------------------------------------------------------------------------------ */

static void sample(struct foes *foes) {
    uint64_t bytes = foes_memory_bytes(foes->switch_pid);
    if (bytes > foes->memory_bytes)
        foes->memory_bytes = bytes;
}

static uint64_t thread_cpu_ns(void) {
    struct timespec used;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
}

/* After a slice of CPU time, sleeps as long as keeps the thread within its share of a core. */
static void pace(struct foes *foes) {
    uint64_t used_ns = thread_cpu_ns() - foes->rested_ns;
    if (foes->cpu_percent >= 100 || used_ns < SLICE_NS)
        return;
    uint64_t rest_ns = used_ns * (100 - foes->cpu_percent) / foes->cpu_percent;
    nanosleep(
        &(struct timespec){.tv_sec = (time_t)(rest_ns / 1000000000), .tv_nsec = (long)(rest_ns % 1000000000)},
        NULL);
    foes->rested_ns = thread_cpu_ns();
}

static void *run(void *context) {
    struct foes *foes = context;
    uint64_t sampled_ms = 0;
    struct sched_param idle = {0};
    sched_setscheduler(0, SCHED_IDLE, &idle); /* 0: this thread */
    while (!atomic_load_explicit(&foes->stopping, memory_order_relaxed)) {
        uint32_t connects = 0;
        bool busy = false;
        for (uint32_t i = 0; i < foes->count; i++) {
            struct foe *foe = &foes->foe[i];
            foes->now_ms = clock_ms();
            if (foes->now_ms < foe->again_ms)
                continue;
            if (foe->fd < 0 && connects++ < CONNECTS_PER_ROUND)
                come(foes, foe);
            if (foe->fd >= 0)
                busy |= take_turn(foes, foe);
            pace(foes);
            if (foes->now_ms - sampled_ms >= SAMPLE_MS) {
                sampled_ms = foes->now_ms;
                sample(foes);
            }
        }
        if (!busy)
            nanosleep(&(struct timespec){.tv_nsec = REST_NS}, NULL);
    }
    return NULL;
}

static int add_accounts(struct foes *foes, struct admin *admin) {
    struct admin_account *accounts = calloc(ADMIN_ACCOUNTS_MAX, sizeof(*accounts));
    char prefix[64];
    int error = accounts ? 0 : -ENOMEM;
    for (uint32_t first = 0; !error && first < foes->count; first += ADMIN_ACCOUNTS_MAX) {
        uint32_t left = foes->count - first;
        uint32_t batch = left < ADMIN_ACCOUNTS_MAX ? left : ADMIN_ACCOUNTS_MAX;
        /* Where nobody logs in, one is added for the switch's address alone. */
        if (!foes->attack->logs_in)
            batch = 1;
        snprintf(prefix, sizeof(prefix), "foe%u-", first);
        error = admin_accounts_add(admin, prefix, batch, accounts, &foes->found);
        for (uint32_t i = 0; !error && i < batch; i++) {
            struct foe *foe = &foes->foe[first + i];
            foe->account = accounts[i].account;
            memcpy(foe->code, accounts[i].code, sizeof(foe->code));
        }
        if (!foes->attack->logs_in)
            break;
    }
    free(accounts);
    return error;
}

int foes_start(struct foes *foes, const struct attack *attack, const struct foes_strength *strength,
               struct admin *admin) {
    uint32_t count = strength->count;
    *foes = (struct foes){.attack = attack,
                          .count = count,
                          .cpu_percent = strength->cpu_percent,
                          .switch_pid = admin->switch_pid};
    foes->foe = calloc(count, sizeof(*foes->foe));
    int error = foes->foe ? add_accounts(foes, admin) : -ENOMEM;
    for (uint32_t i = 0; !error && i < count; i++) {
        struct foe *foe = &foes->foe[i];
        foe->fd = -1;
        foe->index = i;
        foe->number = 1;
        if (getrandom(foe->secret, sizeof(foe->secret), 0) < 0)
            error = -errno;
    }
    if (!error)
        error = -pthread_create(&foes->thread, NULL, run, foes);
    if (!error)
        return 0;
    fprintf(stderr, "ternbench: %s\n", admin->error[0] ? admin->error : strerror(-error));
    free(foes->foe);
    foes->foe = NULL;
    return error;
}

void foes_await(struct foes *foes) {
    uint32_t wanted = foes->count - foes->count / 20;
    for (uint64_t from_ms = clock_ms(); clock_ms() - from_ms < AWAIT_MS;) {
        uint32_t ready = atomic_load_explicit(&foes->ready, memory_order_relaxed);
        if (ready >= wanted)
            break;
        progress_show(false, "%s: %u of %u are there", foes->attack->name, ready, foes->count);
        nanosleep(&(struct timespec){.tv_nsec = 10 * REST_NS}, NULL);
    }
    nanosleep(&(struct timespec){.tv_sec = SETTLE_S}, NULL);
}

void foes_stop(struct foes *foes) {
    atomic_store_explicit(&foes->stopping, true, memory_order_relaxed);
    pthread_join(foes->thread, NULL);
    for (uint32_t i = 0; i < foes->count; i++)
        foe_leave(foes, &foes->foe[i], 0);
    free(foes->foe);
    foes->foe = NULL;
}
