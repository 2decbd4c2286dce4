/* io/ring.h: one io_uring: set-up with probing, the operations a shard uses, the enter that submits and
 * waits.
 *
 * user_data is a handle (operation, slot, generation), never a pointer: a completion may come after the
 * connection it belongs to is gone. With io/bufring.c, the only file that speaks to liburing.
 *
 * Threads: the thread that called ring_init.  Memory: the kernel's rings; an SQE's memory is its caller's
 * until the last completion. */
#ifndef TERN_IO_RING_H
#define TERN_IO_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ring;

#define RING_FEATURES_BYTES 128

enum ring_op { RING_ACCEPT = 1, RING_RECV, RING_SEND, RING_CANCEL, RING_CLOSE, RING_DOORBELL, RING_WAKE };

#define RING_SLOT_BITS 24
#define RING_GENERATION_BITS 32

static inline uint64_t ring_handle(enum ring_op op, uint32_t slot, uint32_t generation) {
    return (uint64_t)op << (RING_SLOT_BITS + RING_GENERATION_BITS) | (uint64_t)slot << RING_GENERATION_BITS |
           generation;
}

struct ring_completion {
    enum ring_op op;
    uint32_t slot;
    uint32_t generation;
    int32_t result;
    bool more;       /* a multishot goes on */
    bool has_buffer; /* buffer says which */
    uint16_t buffer;
};

/* Where an operation acts: a plain descriptor, or a slot of the ring's table of direct ones. */
struct ring_file {
    int fd;
    bool direct;
};

struct ring_setup {
    uint32_t entries, completions;
    uint32_t files;      /* slots for direct descriptors */
    const char *without; /* features not to use, as the setting ring_without */
};

/* 0 or negative errno; ret_error: a sentence for people. */
int ring_create(const struct ring_setup *setup, struct ring **ret_ring, char *ret_error, size_t error_bytes);
void ring_destroy(struct ring *ring);
int ring_fd(const struct ring *ring);
uint32_t ring_files(const struct ring *ring);
bool ring_recvs_multishot(const struct ring *ring);
/* "recv_multishot=1 min_wait=0 ..." */
const char *ring_features(const struct ring *ring);

/* Each queues one operation; a full submission queue is submitted first. */
void ring_accept(struct ring *ring, int listener, uint64_t handle);
void ring_recv(struct ring *ring, struct ring_file file, uint16_t buffer_group, uint64_t handle);
/* Completes with a positive result once there is something to receive, an end or an error; takes no
 * buffer. */
void ring_poll(struct ring *ring, struct ring_file file, uint64_t handle);
/* As ring_recv, one buffer and no more. */
void ring_recv_once(struct ring *ring, struct ring_file file, uint16_t buffer_group, uint64_t handle);
void ring_send(struct ring *ring, struct ring_file file, const uint8_t *bytes, size_t count, uint64_t handle);
void ring_cancel(struct ring *ring, uint64_t target, uint64_t handle);
void ring_close(struct ring *ring, struct ring_file file, uint64_t handle);
void ring_read(struct ring *ring, int fd, void *bytes, size_t count, uint64_t handle);
/* A completion RING_DOORBELL in another ring; here there is one on failure only. */
void ring_doorbell(struct ring *ring, int other_ring_fd, uint64_t handle);
/* Puts a descriptor into a direct slot; the descriptor stays open. 0 or negative errno. */
int ring_install(struct ring *ring, uint32_t slot, int fd);

/* Submits what is queued; waits for completions where wait_us > 0 (UINT64_MAX: without end). Returns 0, or
 * negative errno that is not a matter of waiting. *enters is raised by the system calls made. */
int ring_enter(struct ring *ring, uint64_t wait_us, uint64_t *enters);
/* The next completion; false: none. */
bool ring_next(struct ring *ring, struct ring_completion *ret_completion);

#endif
