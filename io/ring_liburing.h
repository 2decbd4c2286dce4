/* io/ring_liburing.h: what io/ring.c and io/bufring.c share of liburing, and names for what liburing 2.3 has
 * none for.
 *
 * Threads: the ring's.  Memory: none. */
#ifndef TERN_IO_RING_LIBURING_H
#define TERN_IO_RING_LIBURING_H

#include <liburing.h>

struct ring;

#define RING_FEAT_MIN_TIMEOUT (1u << 15) /* linux/io_uring.h of 6.12: IORING_FEAT_MIN_TIMEOUT */

/* struct io_uring_getevents_arg of 6.12: the pad became min_wait_usec. */
struct ring_getevents_arg {
    uint64_t sigmask;
    uint32_t sigmask_sz;
    uint32_t min_wait_usec;
    uint64_t ts;
};

struct io_uring *ring_uring(struct ring *ring);

#endif
