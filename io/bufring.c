#include "io/bufring.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "core/must.h"
#include "io/ring_liburing.h"

/* For the small frames that go out with a message, see core/gather.h: a few receipts and confirmations. It
 * also keeps buffers of a power of two from meeting in the same few places of a cache. */
#define HEADROOM_BYTES 256

struct bufring {
    struct io_uring *uring;
    struct io_uring_buf_ring *entries;
    size_t entries_bytes;
    uint8_t *memory;
    size_t memory_bytes;
    struct buf *bufs;
    uint32_t count, bytes; /* of each, without the headroom */
    uint32_t free_count;
    uint32_t returned; /* given back, not published */
    uint16_t group;
};

static void *map(size_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

int bufring_create(struct ring *ring, uint16_t group, uint32_t count, uint32_t bytes, uint16_t owner,
                   struct bufring **ret_bufring) {
    struct bufring *bufring = calloc(1, sizeof(*bufring));
    if (!bufring)
        return -ENOMEM;
    bufring->uring = ring_uring(ring);
    bufring->group = group;
    bufring->count = count;
    bufring->bytes = bytes;
    bufring->entries_bytes = count * sizeof(struct io_uring_buf);
    bufring->memory_bytes = (size_t)count * (HEADROOM_BYTES + bytes);
    bufring->entries = map(bufring->entries_bytes);
    bufring->memory = map(bufring->memory_bytes);
    bufring->bufs = calloc(count, sizeof(*bufring->bufs));
    int error = -ENOMEM;
    if (!bufring->entries || !bufring->memory || !bufring->bufs)
        goto err;
    struct io_uring_buf_reg registration = {
        .ring_addr = (uint64_t)(uintptr_t)bufring->entries,
        .ring_entries = count,
        .bgid = group,
    };
    error = io_uring_register_buf_ring(bufring->uring, &registration, 0);
    if (error)
        goto err;
    io_uring_buf_ring_init(bufring->entries);
    for (uint32_t i = 0; i < count; i++) {
        bufring->bufs[i] =
            (struct buf){.data = bufring->memory + (size_t)i * (HEADROOM_BYTES + bytes) + HEADROOM_BYTES,
                         .capacity = bytes,
                         .owner = owner,
                         .kind = BUF_RING,
                         .id = (uint16_t)i,
                         .headroom_bytes = HEADROOM_BYTES};
        bufring_give_back(bufring, &bufring->bufs[i]);
    }
    bufring_publish(bufring);
    *ret_bufring = bufring;
    return 0;
err:
    bufring_destroy(bufring);
    return error;
}

/* After the ring is gone, or before it knows the buffers. */
void bufring_destroy(struct bufring *bufring) {
    if (bufring->entries)
        munmap(bufring->entries, bufring->entries_bytes);
    if (bufring->memory)
        munmap(bufring->memory, bufring->memory_bytes);
    free(bufring->bufs);
    free(bufring);
}

struct buf *bufring_lend(struct bufring *bufring, uint16_t index) {
    must(index < bufring->count && bufring->bufs[index].refs == 0);
    bufring->bufs[index].refs = 1;
    bufring->free_count--;
    return &bufring->bufs[index];
}

void bufring_give_back(struct bufring *bufring, struct buf *buf) {
    must(buf->refs == 0);
    io_uring_buf_ring_add(bufring->entries, buf->data, bufring->bytes, (unsigned short)buf->id,
                          io_uring_buf_ring_mask(bufring->count), (int)bufring->returned);
    bufring->returned++;
    bufring->free_count++;
}

void bufring_publish(struct bufring *bufring) {
    if (bufring->returned)
        io_uring_buf_ring_advance(bufring->entries, (int)bufring->returned);
    bufring->returned = 0;
}

uint32_t bufring_free_count(const struct bufring *bufring) {
    return bufring->free_count;
}

uint32_t bufring_count(const struct bufring *bufring) {
    return bufring->count;
}
