/* io/loop.h: a shard's thread: one io_uring, one struct shard of core, one loop. This header is all that
 * ternd sees.
 *
 * Threads: create, start and join: the main thread. ring: any thread but the shards.  Memory:
 * loop_create's. */
#ifndef TERN_IO_LOOP_H
#define TERN_IO_LOOP_H

#include <stddef.h>
#include <stdint.h>

#include "core/config.h"
#include "core/lane.h"
#include "core/shard.h"

struct loop;
struct loop_group; /* all loops of a switch: listeners, addresses counted together */

struct loop_setup {
    const struct config *config; /* stays; connection limits, buffers, ring, listeners */
    struct lanes *lanes;
    uint32_t shards, stores;
    struct stats *stats;          /* [shards] */
    const uint8_t *server_secret; /* 32 bytes */
    void *store;                  /* for port_store_*: goes into shard_setup.store */
    /* Wakes a party that is no shard (a store thread, the admin thread). Called on the shards' threads. */
    void (*ring)(void *context, uint32_t party);
    void *ring_context;
};

/* Binds the listeners, makes the loops and their shards. ret_error: a sentence for people on failure. */
int loop_group_create(const struct loop_setup *setup, struct loop_group **ret_group, char *ret_error,
                      size_t error_bytes);
/* The shards, for store_load; valid until loop_group_destroy. */
struct shard *const *loop_group_shards(const struct loop_group *group);
/* The address that listener `index` really has (a port 0 is chosen by the kernel), as ADDR:PORT; NULL beyond
 * the last. Encrypted listeners first, then plaintext ones. */
const char *loop_group_address(const struct loop_group *group, uint32_t index);
/* Starts the threads, pinned where `cores` says so. -ENOSYS and a sentence where io_uring is missing or
 * forbidden. */
int loop_group_start(struct loop_group *group, char *ret_error, size_t error_bytes);
/* Wakes a shard from a thread that is none. */
void loop_group_ring(struct loop_group *group, uint32_t shard);
/* Waits until every loop has ended; loops end when their shard is drained (REQUEST_DRAIN) and all is
 * closed. */
void loop_group_join(struct loop_group *group);
/* What the ring of a shard uses, `recv_multishot=1 min_wait=1 ...`, for status. Static text of the loop. */
const char *loop_group_features(const struct loop_group *group, uint32_t shard);
/* Takes over the address limits; what else may change goes to the shards by request. Threads: any. */
void loop_group_reload(struct loop_group *group, const struct config *config);
void loop_group_destroy(struct loop_group *group);

#endif
