/* tests/support/live.h: a whole switch in the test's process: real rings and sockets, the real store in
 * a folder of its own. The test's thread is its admin, and plays the clients.
 *
 * Threads: the test's; the switch has its own.  Memory: the caller's; the folder is removed by live_stop. */
#ifndef TERN_TESTS_SUPPORT_LIVE_H
#define TERN_TESTS_SUPPORT_LIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/config.h"
#include "core/msg.h"
#include "core/stats.h"
#include "io/loop.h"
#include "storage/store.h"
#include "tools/client/peer.h"

#define LIVE_SHARDS 2
#define LIVE_ADMIN (LIVE_SHARDS + 1)

struct live {
    char folder[64];
    struct config config;
    struct lanes *lanes;
    struct stats stats[LIVE_SHARDS + 1];
    struct store *store;
    struct loop_group *group;
    char error[256];
    int descriptors; /* open before the switch was */
};

/* Defaults, but small, with one plaintext listener at a port the kernel chooses. */
void live_init(struct live *live);
void live_set(struct live *live, const char *name, const char *value);
void live_start(struct live *live);
/* Drains, stops, and checks that no connection and no descriptor is left. */
void live_stop(struct live *live);
/* Round of REQUEST_DRAIN until nothing moves any more. */
void live_drain(struct live *live);
uint64_t live_sum(const struct live *live, const _Atomic uint64_t *counter_of_shard_0);
#define live_count(live, counter) live_sum((live), &(live)->stats[0].counter)
/* Waits until the counter is (at least: rises to) so much; fails the test after some seconds. */
void live_await(const struct live *live, const char *what, const _Atomic uint64_t *counter, uint64_t value);
#define live_awaits(live, counter, value) live_await((live), #counter, &(live)->stats[0].counter, (value))
int live_request(struct live *live, uint32_t party, struct request *request);

/* A connected socket to listener `index`; receive_bytes: SO_RCVBUF, 0 for the default. */
int live_connect(const struct live *live, uint32_t index, int receive_bytes);
/* connect() of a socket that is there already. */
int live_connect_socket(const struct live *live, uint32_t index, int fd);

/* A device with its account, linked when it first connects. */
struct client {
    struct live *live;
    struct peer *peer;
    int fd; /* -1: away */
    uint64_t account, epoch;
    uint16_t device;
    uint8_t code[FRAME_CODE_BYTES];
    uint32_t chunk;           /* bytes a send takes at most; 0: no limit */
    bool deaf;                /* does not read */
    bool mute;                /* does not acknowledge */
    uint32_t payload_bytes;   /* of the messages it sends and expects; 0: they vary */
    uint64_t to;              /* the account it sends to */
    uint64_t next;            /* number to send next */
    uint64_t sent, delivered; /* every number up to it has that tick */
    uint64_t from;            /* whose messages it expects */
    uint64_t received;        /* highest number; each comes once and in order */
    uint64_t items;
    bool ended;
};

void client_make(struct client *client, struct live *live);
/* Connects and waits for WELCOME. */
void client_open(struct client *client, int receive_bytes);
/* What message `number` of account `from` carries. */
void client_payload(uint64_t from, uint64_t number, uint8_t *payload, uint32_t bytes);
/* Queues `count` messages. */
void client_send(struct client *client, uint64_t count);
/* Moves bytes of all these clients for a while: until done(context), or fails the test after wait_ms. */
void clients_run(struct client *clients, uint32_t count, bool (*done)(void *context), void *context,
                 int wait_ms);
void clients_pump(struct client *clients, uint32_t count, int wait_ms);
void client_close(struct client *client);

#endif
