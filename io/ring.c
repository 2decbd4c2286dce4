#include "io/ring.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/config.h"
#include "core/must.h"
#include "io/ring_liburing.h"

#define MIN_WAIT_US 20   /* how long a busy ring lets completions gather */
#define MIN_WAIT_BATCH 8 /* a ring is busy when the last turn had that many */
#define MIN_WAIT_BATCH_MAX 64
#define MICROSECONDS_PER_SECOND 1000000

struct ring {
    struct io_uring uring;
    uint32_t files;
    uint32_t batch; /* completions since the last enter */
    bool recv_multishot;
    bool min_wait;
    bool defer_taskrun;
    bool registered;
    char features[RING_FEATURES_BYTES];
};

struct io_uring *ring_uring(struct ring *ring) {
    return &ring->uring;
}

/* --- set-up --------------------------------------------------------------------------------------------- */

/* Multishot receives have no bit of their own to ask for; they came with the same kernel (6.0) as this
 * operation. */
static bool has_recv_multishot(struct ring *ring) {
    struct io_uring_probe *probe = io_uring_get_probe_ring(&ring->uring);
    bool has = probe && io_uring_opcode_supported(probe, IORING_OP_SEND_ZC);
    if (probe)
        io_uring_free_probe(probe);
    return has;
}

static int init_uring(struct ring *ring, const struct ring_setup *setup) {
    unsigned flags =
        IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER;
    struct io_uring_params params = {.cq_entries = setup->completions};
    ring->defer_taskrun = !config_has(setup->without, "defer_taskrun");
    params.flags = flags;
    if (ring->defer_taskrun)
        params.flags |= IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
    else
        params.flags |= IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
    int error = io_uring_queue_init_params(setup->entries, &ring->uring, &params);
    if (error == -EINVAL && ring->defer_taskrun) { /* older than 6.1 */
        ring->defer_taskrun = false;
        params = (struct io_uring_params){.cq_entries = setup->completions};
        params.flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
        error = io_uring_queue_init_params(setup->entries, &ring->uring, &params);
    }
    if (error)
        return error;
    ring->recv_multishot = !config_has(setup->without, "recv_multishot") && has_recv_multishot(ring);
    ring->min_wait = (params.features & RING_FEAT_MIN_TIMEOUT) && !config_has(setup->without, "min_wait");
    return 0;
}

static int explain(int error, char *ret_error, size_t error_bytes) {
    const char *why = strerror(-error);
    if (error == -ENOSYS || error == -EPERM)
        why = "io_uring is missing or forbidden here (sysctl kernel.io_uring_disabled, or a seccomp filter)";
    else if (error == -ENOMEM)
        why = "no memory for the rings (raise LimitMEMLOCK, or lower ring_entries and ring_completions)";
    else if (error == -EMFILE)
        why = "the descriptor limit is too low (raise LimitNOFILE)";
    snprintf(ret_error, error_bytes, "io_uring: %s", why);
    return error;
}

int ring_create(const struct ring_setup *setup, struct ring **ret_ring, char *ret_error, size_t error_bytes) {
    struct ring *ring = calloc(1, sizeof(*ring));
    if (!ring)
        return explain(-ENOMEM, ret_error, error_bytes);
    int error = init_uring(ring, setup);
    if (error) {
        free(ring);
        return explain(error, ret_error, error_bytes);
    }
    ring->registered = io_uring_register_ring_fd(&ring->uring) == 1;
    error = io_uring_register_files_sparse(&ring->uring, setup->files);
    if (error) {
        ring_destroy(ring);
        return explain(error, ret_error, error_bytes);
    }
    ring->files = setup->files;
    /* Submission entries keep their place: the indirection is set up once. Newer libraries may have none. */
    for (unsigned i = 0; ring->uring.sq.array && i < ring->uring.sq.ring_entries; i++)
        ring->uring.sq.array[i] = i;
    snprintf(ring->features, sizeof(ring->features), "recv_multishot=%d min_wait=%d defer_taskrun=%d",
             ring->recv_multishot, ring->min_wait, ring->defer_taskrun);
    *ret_ring = ring;
    return 0;
}

void ring_destroy(struct ring *ring) {
    io_uring_queue_exit(&ring->uring);
    free(ring);
}

int ring_fd(const struct ring *ring) {
    return ring->uring.ring_fd;
}

uint32_t ring_files(const struct ring *ring) {
    return ring->files;
}

bool ring_recvs_multishot(const struct ring *ring) {
    return ring->recv_multishot;
}

const char *ring_features(const struct ring *ring) {
    return ring->features;
}

/* --- operations ----------------------------------------------------------------------------------------- */

static struct io_uring_sqe *take_sqe(struct ring *ring, uint64_t handle) {
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);
    while (!sqe) {
        uint64_t enters = 0;
        int error = ring_enter(ring, 0, &enters);
        must(error == 0 || error == -EBUSY || error == -EAGAIN);
        sqe = io_uring_get_sqe(&ring->uring);
    }
    memset(sqe, 0, sizeof(*sqe));
    sqe->user_data = handle;
    return sqe;
}

/* liburing's prep functions clear user_data's neighbours only; the handle is set after them. */
static void finish_sqe(struct io_uring_sqe *sqe, struct ring_file file, uint64_t handle) {
    if (file.direct)
        sqe->flags |= IOSQE_FIXED_FILE;
    sqe->user_data = handle;
}

void ring_accept(struct ring *ring, int listener, uint64_t handle) {
    struct io_uring_sqe *sqe = take_sqe(ring, handle);
    io_uring_prep_multishot_accept(sqe, listener, NULL, NULL, SOCK_CLOEXEC);
    sqe->user_data = handle;
}

static void receive(struct ring *ring, struct ring_file file, uint16_t buffer_group, uint64_t handle,
                    bool multishot) {
    struct io_uring_sqe *sqe = take_sqe(ring, handle);
    if (multishot)
        io_uring_prep_recv_multishot(sqe, file.fd, NULL, 0, 0);
    else
        io_uring_prep_recv(sqe, file.fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = buffer_group;
    finish_sqe(sqe, file, handle);
}

void ring_recv(struct ring *ring, struct ring_file file, uint16_t buffer_group, uint64_t handle) {
    receive(ring, file, buffer_group, handle, ring->recv_multishot);
}

void ring_recv_once(struct ring *ring, struct ring_file file, uint16_t buffer_group, uint64_t handle) {
    receive(ring, file, buffer_group, handle, false);
}

void ring_poll(struct ring *ring, struct ring_file file, uint64_t handle) {
    struct io_uring_sqe *sqe = take_sqe(ring, handle);
    io_uring_prep_poll_add(sqe, file.fd, POLLIN);
    finish_sqe(sqe, file, handle);
}

void ring_send(struct ring *ring, struct ring_file file, const uint8_t *bytes, size_t count,
               uint64_t handle) {
    struct io_uring_sqe *sqe = take_sqe(ring, handle);
    io_uring_prep_send(sqe, file.fd, bytes, count, MSG_NOSIGNAL | MSG_WAITALL);
    finish_sqe(sqe, file, handle);
}

void ring_cancel(struct ring *ring, uint64_t target, uint64_t handle) {
    struct io_uring_sqe *sqe = take_sqe(ring, handle);
    io_uring_prep_cancel64(sqe, target, 0);
    sqe->user_data = handle;
}

void ring_close(struct ring *ring, struct ring_file file, uint64_t handle) {
    struct io_uring_sqe *sqe = take_sqe(ring, handle);
    if (file.direct)
        io_uring_prep_close_direct(sqe, (unsigned)file.fd);
    else
        io_uring_prep_close(sqe, file.fd);
    sqe->user_data = handle;
}

void ring_read(struct ring *ring, int fd, void *bytes, size_t count, uint64_t handle) {
    struct io_uring_sqe *sqe = take_sqe(ring, handle);
    io_uring_prep_read(sqe, fd, bytes, (unsigned)count, 0);
    sqe->user_data = handle;
}

void ring_doorbell(struct ring *ring, int other_ring_fd, uint64_t handle) {
    struct io_uring_sqe *sqe = take_sqe(ring, handle);
    io_uring_prep_msg_ring(sqe, other_ring_fd, 0, ring_handle(RING_DOORBELL, 0, 0), 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = handle;
}

int ring_install(struct ring *ring, uint32_t slot, int fd) {
    int count = io_uring_register_files_update(&ring->uring, slot, &fd, 1);
    return count == 1 ? 0 : count < 0 ? count : -EIO;
}

/* --- enter ---------------------------------------------------------------------------------------------- */

/* Makes queued entries visible to the kernel; returns how many it has not taken yet. */
static unsigned flush(struct ring *ring) {
    struct io_uring_sq *sq = &ring->uring.sq;
    if (sq->sqe_head != sq->sqe_tail) {
        sq->sqe_head = sq->sqe_tail;
        io_uring_smp_store_release(sq->ktail, sq->sqe_tail);
    }
    return sq->sqe_tail - io_uring_smp_load_acquire(sq->khead);
}

static bool kernel_has_work(const struct ring *ring) {
    return IO_URING_READ_ONCE(*ring->uring.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

int ring_enter(struct ring *ring, uint64_t wait_us, uint64_t *enters) {
    unsigned to_submit = flush(ring);
    bool waits = wait_us > 0 && io_uring_cq_ready(&ring->uring) == 0;
    if (!to_submit && !waits && !kernel_has_work(ring))
        return 0;
    struct __kernel_timespec limit = {
        .tv_sec = (long long)(wait_us / MICROSECONDS_PER_SECOND),
        .tv_nsec = (long long)(wait_us % MICROSECONDS_PER_SECOND) * 1000,
    };
    struct ring_getevents_arg argument = {.sigmask_sz = _NSIG / 8};
    unsigned wait_count = waits ? 1 : 0;
    if (waits && wait_us != UINT64_MAX)
        argument.ts = (uint64_t)(uintptr_t)&limit;
    if (waits && ring->min_wait && ring->batch >= MIN_WAIT_BATCH && wait_us != UINT64_MAX) {
        argument.min_wait_usec = MIN_WAIT_US;
        wait_count = ring->batch < MIN_WAIT_BATCH_MAX ? ring->batch : MIN_WAIT_BATCH_MAX;
    }
    ring->batch = 0;
    unsigned flags =
        IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG | (ring->registered ? IORING_ENTER_REGISTERED_RING : 0);
    int result =
        io_uring_enter2((unsigned)(ring->registered ? ring->uring.enter_ring_fd : ring->uring.ring_fd),
                        to_submit, wait_count, flags, (sigset_t *)(void *)&argument, sizeof(argument));
    (*enters)++;
    if (result >= 0 || result == -ETIME || result == -EINTR || result == -EAGAIN || result == -EBUSY)
        return 0;
    return result;
}

bool ring_next(struct ring *ring, struct ring_completion *ret_completion) {
    struct io_uring_cqe *cqe;
    unsigned head;
    bool found = false;
    io_uring_for_each_cqe(&ring->uring, head, cqe) {
        *ret_completion = (struct ring_completion){
            .op = (enum ring_op)(cqe->user_data >> (RING_SLOT_BITS + RING_GENERATION_BITS)),
            .slot = (uint32_t)(cqe->user_data >> RING_GENERATION_BITS) & ((1u << RING_SLOT_BITS) - 1),
            .generation = (uint32_t)cqe->user_data,
            .result = cqe->res,
            .more = cqe->flags & IORING_CQE_F_MORE,
            .has_buffer = cqe->flags & IORING_CQE_F_BUFFER,
            .buffer = (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT),
        };
        found = true;
        break;
    }
    if (!found)
        return false;
    io_uring_cq_advance(&ring->uring, 1);
    ring->batch++;
    return true;
}
