/* tools/ternd/daemon.h: the switch as a process: the store, the shards and the admin thread put together,
 * from the settings to the end of a drain.
 *
 * Threads: the main thread, which is the admin thread too: party shards + stores.  Memory: the caller's
 * struct. */
#ifndef TERN_TOOLS_TERND_DAEMON_H
#define TERN_TOOLS_TERND_DAEMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/config.h"
#include "core/lane.h"
#include "core/msg.h"
#include "core/stats.h"
#include "io/loop.h"
#include "storage/store.h"
#include "tools/ternd/admin_socket.h"
#include "tools/ternd/checker.h"
#include "tools/ternd/options.h"

#define DAEMON_PATH_BYTES (CONFIG_TEXT_BYTES + 16)

struct asked;

struct daemon {
    const struct options *options; /* a reload reads them again */
    struct config *config;         /* as started; shards and store threads read it */
    struct config *current;        /* with what reloads took over */
    char admin_path[DAEMON_PATH_BYTES];
    uint32_t shards, stores, party;
    struct stats *stats; /* [shards + stores] */
    struct lanes *lanes;
    struct store *store;
    struct loop_group *group;
    struct admin_socket *admin;
    uint8_t public_key[KEY_BYTES];
    uint64_t started_ms; /* monotonic */
    int wake_fd;         /* other threads ring it */
    int signal_fd;
    bool shards_run, stores_run;

    struct command *commands; /* at work */
    struct asked *asked;      /* requests that are out */
    struct checker checker;

    bool reloading;
    bool draining;
    bool drained; /* the shards have stopped */
};

/* Opens the store, listens, starts the threads. 0 or negative errno with a sentence. */
int daemon_open(struct daemon *daemon, const struct options *options, const struct config *config,
                char *ret_error, size_t error_bytes);
/* Serves until it is drained. The exit status: 0 drained in order. */
int daemon_run(struct daemon *daemon);
void daemon_close(struct daemon *daemon);

/* Hands a request to a party. */
void daemon_post(struct daemon *daemon, uint32_t party, struct request *request);
/* Begins the drain; nothing where it is going on already. */
void daemon_drain(struct daemon *daemon);
/* ADDR:PORT for link URIs. */
void daemon_address(const struct daemon *daemon, char *ret_text, size_t text_bytes);
/* ADDR:PORT of the first unencrypted listener; NULL: there is none. */
const char *daemon_plaintext_address(const struct daemon *daemon);
uint64_t daemon_now_ms(void); /* monotonic */

#endif
