/* bench/floor.h: the floor: the least any TCP relay must do. It takes the same connections and bytes as a
 * switch and gathers in the same way, over the same io: a multishot receive each, what came in a turn sent
 * with one send for each connection. It parses nothing, encrypts nothing, routes nothing and keeps nothing:
 * what comes from one end of a pair goes to the other, from the buffer it came in where it came alone.
 *
 * Threads: a process of its own.  Memory: its own. */
#ifndef TERN_BENCH_FLOOR_H
#define TERN_BENCH_FLOOR_H

#include "bench/server.h"

extern const struct server_kind server_floor;

#endif
