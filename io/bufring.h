/* io/bufring.h: the receive buffers of a shard: a ring of them that the kernel picks from. A buffer is lent
 * with its reference count at 1 and comes back when that is 0.
 *
 * Threads: the shard's.  Memory: all at bufring_create: `count` buffers of `bytes` each. */
#ifndef TERN_IO_BUFRING_H
#define TERN_IO_BUFRING_H

#include <stddef.h>
#include <stdint.h>

#include "core/msg.h"
#include "io/ring.h"

struct bufring;

/* count: a power of two. 0 or negative errno. */
int bufring_create(struct ring *ring, uint16_t group, uint32_t count, uint32_t bytes, uint16_t owner,
                   struct bufring **ret_bufring);
void bufring_destroy(struct bufring *bufring);
/* The buffer a completion names, with one reference. */
struct buf *bufring_lend(struct bufring *bufring, uint16_t index);
/* Back to the kernel; visible to it with the next bufring_publish. */
void bufring_give_back(struct bufring *bufring, struct buf *buf);
void bufring_publish(struct bufring *bufring);
uint32_t bufring_free_count(const struct bufring *bufring);
uint32_t bufring_count(const struct bufring *bufring);

#endif
