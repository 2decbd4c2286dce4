/* tests/sim/link.h: the inside of the network, for network.c and port.c alone.
 *
 * Threads: one.  Memory: the pipes', freed when a connection is over. */
#ifndef TERN_TESTS_SIM_LINK_H
#define TERN_TESTS_SIM_LINK_H

#include "core/port.h"
#include "tests/sim/network.h"

struct pipe {
    uint8_t *bytes;
    size_t start, count, capacity;
    uint64_t ready_ms; /* not before, the first of them come out */
};

enum link_state {
    LINK_FREE,
    LINK_WAITING, /* to be accepted */
    LINK_OPEN,
    LINK_MOVING,  /* between two shards */
    LINK_CLOSING, /* the shard is just told */
    LINK_GONE,    /* the switch's end is; the device's may still take what came */
};

struct link {
    enum link_state state;
    uint32_t device, shard, conn;
    struct pipe up, down;
    bool device_here;
    enum network_end end; /* how the device let go */
    bool end_told;
    bool vanished; /* nothing gets through any more, and nobody is told */
    uint64_t stalled_until_ms;
    bool output_ready, paused, closing;
    bool received_already; /* before the pause: one more chunk comes in */
    uint64_t closing_ms;
};

extern struct link links[NETWORK_LINKS_MAX];

/* The open link of a shard's connection; NULL: none. */
struct link *network_at(uint32_t shard, uint32_t conn);
/* A free connection number of a shard; NETWORK_NONE: none. */
uint32_t network_slot(uint32_t shard);
/* The switch's end closes. */
void network_drop(struct link *link);
void network_give_back(uint32_t shard, struct buf *buf);

#endif
