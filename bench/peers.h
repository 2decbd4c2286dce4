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

#endif
