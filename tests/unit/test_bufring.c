#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/bufring.h"

TestSuite(bufring, .timeout = 30);

static const char *const paths[] = {"", "recv_multishot", "defer_taskrun",
                                    "recv_multishot,min_wait,defer_taskrun"};
#define PATHS (sizeof(paths) / sizeof(paths[0]))
#define BUFFERS 8
#define BUFFER_BYTES 1024
#define HANDLE ring_handle(RING_RECV, 1, 1)

struct rig {
    struct ring *ring;
    struct bufring *bufring;
    int here, there; /* a connected pair: the ring reads what is written there */
    bool armed;
};

static void rig_make(struct rig *rig, const char *without) {
    struct ring_setup setup = {.entries = 8, .completions = 64, .files = 8, .without = without};
    char error[256];
    int sockets[2];
    cr_assert_eq(ring_create(&setup, &rig->ring, error, sizeof(error)), 0);
    cr_assert_eq(bufring_create(rig->ring, 0, BUFFERS, BUFFER_BYTES, 3, &rig->bufring), 0);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
    rig->here = sockets[0];
    rig->there = sockets[1];
    rig->armed = false;
}

static void rig_end(struct rig *rig) {
    ring_destroy(rig->ring);
    bufring_destroy(rig->bufring);
    close(rig->here);
    close(rig->there);
}

/* The next completion of a receive, armed where it is not. */
static struct ring_completion receive(struct rig *rig) {
    struct ring_completion completion = {0};
    uint64_t enters = 0;
    if (!rig->armed)
        ring_recv(rig->ring, (struct ring_file){rig->here, false}, 0, HANDLE);
    for (int i = 0; i < 10 && !ring_next(rig->ring, &completion); i++)
        cr_assert_eq(ring_enter(rig->ring, 200000, &enters), 0);
    cr_assert_eq(completion.op, RING_RECV);
    rig->armed = completion.more;
    return completion;
}

static void put(const struct rig *rig, uint8_t value, size_t count) {
    uint8_t bytes[BUFFERS * BUFFER_BYTES];
    memset(bytes, value, sizeof(bytes));
    cr_assert_eq(write(rig->there, bytes, count), (ssize_t)count);
}

static void give_back(struct rig *rig, struct buf *buf) {
    buf->refs = 0;
    bufring_give_back(rig->bufring, buf);
}

Test(bufring, lent_buffers_keep_their_bytes_until_they_come_back) {
    for (size_t i = 0; i < PATHS; i++) {
        struct rig rig;
        struct buf *bufs[BUFFERS];
        rig_make(&rig, paths[i]);
        for (uint32_t j = 0; j < BUFFERS; j++) {
            put(&rig, (uint8_t)j, 100);
            struct ring_completion completion = receive(&rig);
            cr_assert_eq(completion.result, 100);
            cr_assert(completion.has_buffer);
            bufs[j] = bufring_lend(rig.bufring, completion.buffer);
            cr_expect_eq(bufs[j]->refs, 1);
            cr_expect_eq(bufs[j]->owner, 3);
            cr_expect_eq(bufs[j]->kind, BUF_RING);
            cr_expect_eq(bufring_free_count(rig.bufring), BUFFERS - 1 - j);
        }
        for (uint32_t j = 0; j < BUFFERS; j++) {
            cr_expect_gt(bufs[j]->headroom_bytes, 0);
            memset(bufs[j]->data - bufs[j]->headroom_bytes, 0xee, bufs[j]->headroom_bytes);
            memset(bufs[j]->data + 100, 0xee, bufs[j]->capacity - 100);
        }
        for (uint32_t j = 0; j < BUFFERS; j++) {
            cr_expect_eq(bufs[j]->data[0], j);
            cr_expect_eq(bufs[j]->data[99], j);
            give_back(&rig, bufs[j]);
        }
        cr_expect_eq(bufring_free_count(rig.bufring), BUFFERS);
        rig_end(&rig);
    }
}

Test(bufring, where_none_is_left_a_receive_says_so_and_loses_nothing) {
    for (size_t i = 0; i < PATHS; i++) {
        struct rig rig;
        struct buf *bufs[BUFFERS];
        rig_make(&rig, paths[i]);
        for (uint32_t j = 0; j < BUFFERS; j++) {
            put(&rig, (uint8_t)j, BUFFER_BYTES);
            bufs[j] = bufring_lend(rig.bufring, receive(&rig).buffer);
        }
        put(&rig, 77, 10);
        struct ring_completion completion = receive(&rig);
        cr_expect_eq(completion.result, -ENOBUFS);
        cr_expect(!completion.more && !completion.has_buffer);
        give_back(&rig, bufs[2]);
        cr_expect_eq(receive(&rig).result, -ENOBUFS, "not published");
        bufring_publish(rig.bufring);
        completion = receive(&rig);
        cr_expect_eq(completion.result, 10);
        cr_expect_eq(completion.buffer, bufs[2]->id);
        cr_expect_eq(bufring_lend(rig.bufring, completion.buffer)->data[9], 77);
        rig_end(&rig);
    }
}

Test(bufring, a_stream_through_few_buffers_keeps_its_order) {
    enum { CHUNKS = 2000 };
    for (size_t i = 0; i < PATHS; i++) {
        struct rig rig;
        uint64_t written = 0, seen = 0;
        rig_make(&rig, paths[i]);
        while (seen < CHUNKS * 100u) {
            for (; written < CHUNKS * 100u && written - seen < BUFFERS * BUFFER_BYTES; written += 100)
                put(&rig, (uint8_t)(written / 100), 100);
            struct ring_completion completion = receive(&rig);
            if (completion.result == -ENOBUFS) {
                bufring_publish(rig.bufring);
                continue;
            }
            cr_assert_gt(completion.result, 0);
            struct buf *buf = bufring_lend(rig.bufring, completion.buffer);
            for (int32_t j = 0; j < completion.result; j++, seen++)
                cr_assert_eq(buf->data[j], (uint8_t)(seen / 100));
            give_back(&rig, buf);
        }
        cr_expect_eq(seen, written);
        rig_end(&rig);
    }
}
