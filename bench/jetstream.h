/* bench/jetstream.h: nats-server with JetStream and file storage, from Debian's package, for `ternbench
 * offline`: what it takes to keep messages for who is away.
 *
 * Threads: the main thread.  Memory: none stays. */
#ifndef TERN_BENCH_JETSTREAM_H
#define TERN_BENCH_JETSTREAM_H

#include "bench/server.h"

extern const struct server_kind server_jetstream;

#endif
