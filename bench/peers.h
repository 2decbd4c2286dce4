/* bench/peers.h: the servers tern is compared with, each from its Debian package and with the settings it is
 * fast with.
 *
 * Threads: the main thread.  Memory: none stays. */
#ifndef TERN_BENCH_PEERS_H
#define TERN_BENCH_PEERS_H

#include <stdint.h>

#include "bench/server.h"

/* The index'th; NULL: there are no more. */
const struct server_kind *peers_kind(uint32_t index);

/* For the open call of a server_kind whose process has its folder and port: runs the program as `arguments`
 * and `environment` say (as process_start), waits until it listens, and tells the load where. 0 or negative
 * errno; then it has said why. */
int peers_start(struct server *server, struct load *load, const char *const arguments[],
                const char *const environment[]);

#endif
