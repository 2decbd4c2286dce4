#include <criterion/criterion.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "io/bufring.h"
#include "io/ring.h"

TestSuite(ring, .timeout = 60);

/* Each test runs with everything the kernel has, without each of it, and without any of it. */
static const char *const paths[] = {"", "recv_multishot", "min_wait", "defer_taskrun",
                                    "recv_multishot,min_wait,defer_taskrun"};
#define PATHS (sizeof(paths) / sizeof(paths[0]))
#define WAIT_US 2000000

static struct ring *make(const char *without, uint32_t entries, uint32_t completions) {
    struct ring_setup setup = {
        .entries = entries, .completions = completions, .files = 64, .without = without};
    struct ring *ring;
    char error[256] = "";
    cr_assert_eq(ring_create(&setup, &ring, error, sizeof(error)), 0, "%s", error);
    return ring;
}

static uint64_t enter(struct ring *ring, uint64_t wait_us) {
    uint64_t enters = 0;
    cr_assert_eq(ring_enter(ring, wait_us, &enters), 0);
    return enters;
}

/* The next completion, waited for. */
static struct ring_completion next(struct ring *ring) {
    struct ring_completion completion;
    for (int i = 0; i < 10 && !ring_next(ring, &completion); i++)
        enter(ring, WAIT_US / 10);
    cr_assert(completion.op, "no completion");
    return completion;
}

static uint64_t now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void make_sockets(int sockets[2]) {
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
}

/* --- set-up --------------------------------------------------------------------------------------------- */

Test(ring, every_feature_can_be_switched_off) {
    struct ring *whole = make("", 8, 64);
    for (size_t i = 1; i < PATHS; i++) {
        struct ring *ring = make(paths[i], 8, 64);
        char text[RING_FEATURES_BYTES];
        snprintf(text, sizeof(text), "%s", paths[i]);
        for (char *save, *name = strtok_r(text, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
            char off[64];
            snprintf(off, sizeof(off), "%s=0", name);
            cr_expect_not_null(strstr(ring_features(ring), off), "%s", ring_features(ring));
        }
        ring_destroy(ring);
    }
    if (strstr(ring_features(whole), "=0"))
        cr_skip_test("this kernel lacks something: %s", ring_features(whole));
    ring_destroy(whole);
}

static void forbid(uint32_t error) {
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof(filter) / sizeof(filter[0]), .filter = filter};
    cr_assert_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    cr_assert_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

static void expect_forbidden(int expected) {
    struct ring_setup setup = {.entries = 8, .completions = 64, .files = 8, .without = ""};
    struct ring *ring = NULL;
    char error[256] = "";
    cr_expect_eq(ring_create(&setup, &ring, error, sizeof(error)), expected);
    cr_expect_null(ring);
    cr_expect_not_null(strstr(error, "kernel.io_uring_disabled"), "%s", error);
    cr_expect_not_null(strstr(error, "seccomp"), "%s", error);
}

/* The sysctl gives EPERM, too. */
Test(ring, one_that_is_forbidden_says_where_to_look) {
    forbid(EPERM);
    expect_forbidden(-EPERM);
}

Test(ring, one_that_is_missing_says_where_to_look) {
    forbid(ENOSYS);
    expect_forbidden(-ENOSYS);
}

Test(ring, handles_keep_operation_slot_and_generation) {
    struct ring *ring = make("", 8, 64);
    const uint32_t slots[] = {0, 1, (1u << RING_SLOT_BITS) - 1}, generations[] = {0, 1, UINT32_MAX};
    for (size_t i = 0; i < 9; i++) {
        ring_close(ring, (struct ring_file){9999, false},
                   ring_handle(RING_CLOSE, slots[i / 3], generations[i % 3]));
        struct ring_completion completion = next(ring);
        cr_expect_eq(completion.op, RING_CLOSE);
        cr_expect_eq(completion.slot, slots[i / 3]);
        cr_expect_eq(completion.generation, generations[i % 3]);
        cr_expect_eq(completion.result, -EBADF);
    }
    ring_destroy(ring);
}

/* --- queues --------------------------------------------------------------------------------------------- */

Test(ring, a_full_submission_queue_and_a_full_completion_queue_lose_nothing) {
    enum { OPERATIONS = 1000 };
    for (size_t i = 0; i < PATHS; i++) {
        struct ring *ring = make(paths[i], 8, 16);
        struct ring_completion completion;
        uint32_t seen = 0;
        for (uint32_t slot = 0; slot < OPERATIONS; slot++)
            ring_close(ring, (struct ring_file){9999, false}, ring_handle(RING_CLOSE, slot, 0));
        for (int idle = 0; idle < 3; idle++) {
            enter(ring, 10000);
            for (; ring_next(ring, &completion); idle = 0)
                cr_assert_eq(completion.slot, seen++);
        }
        cr_expect_eq(seen, OPERATIONS, "%s", paths[i]);
        ring_destroy(ring);
    }
}

Test(ring, a_wait_ends_in_time_and_nothing_to_do_costs_no_call) {
    for (size_t i = 0; i < PATHS; i++) {
        struct ring *ring = make(paths[i], 8, 64);
        uint64_t start_us = now_us();
        cr_expect_eq(enter(ring, 30000), 1);
        uint64_t waited_us = now_us() - start_us;
        cr_expect_geq(waited_us, 29000);
        cr_expect_lt(waited_us, 1000000);
        cr_expect_eq(enter(ring, 0), 0);
        ring_destroy(ring);
    }
}

/* A busy ring lets completions gather for microseconds, and then goes on with what is there. */
Test(ring, gathering_does_not_hold_up_what_is_there) {
    for (size_t i = 0; i < PATHS; i++) {
        struct ring *ring = make(paths[i], 64, 256);
        struct ring_completion completion;
        int sockets[2];
        uint64_t byte = 0;
        make_sockets(sockets);
        for (uint32_t slot = 0; slot < 40; slot++)
            ring_close(ring, (struct ring_file){9999, false}, ring_handle(RING_CLOSE, slot, 0));
        enter(ring, 0);
        while (ring_next(ring, &completion)) {
        }
        cr_assert_eq(write(sockets[1], "x", 1), 1);
        ring_read(ring, sockets[0], &byte, 1, ring_handle(RING_WAKE, 0, 0));
        uint64_t start_us = now_us();
        cr_expect_eq(next(ring).op, RING_WAKE);
        cr_expect_lt(now_us() - start_us, 100000);
        ring_destroy(ring);
        close(sockets[0]);
        close(sockets[1]);
    }
}

/* --- doorbells ------------------------------------------------------------------------------------------ */

struct sleeper {
    const char *without;
    pthread_barrier_t ready;
    struct ring *ring;
    uint32_t rung;
};

static void *sleep_in_ring(void *argument) {
    struct sleeper *sleeper = argument;
    struct ring_completion completion;
    sleeper->ring = make(sleeper->without, 8, 64);
    pthread_barrier_wait(&sleeper->ready);
    while (sleeper->rung < 20) {
        enter(sleeper->ring, UINT64_MAX);
        while (ring_next(sleeper->ring, &completion))
            sleeper->rung += completion.op == RING_DOORBELL;
    }
    pthread_barrier_wait(&sleeper->ready);
    ring_destroy(sleeper->ring);
    return NULL;
}

Test(ring, a_doorbell_wakes_who_sleeps_without_end) {
    for (size_t i = 0; i < PATHS; i++) {
        struct sleeper sleeper = {.without = paths[i]};
        struct ring *ring = make(paths[i], 8, 64);
        struct ring_completion completion;
        pthread_t thread;
        pthread_barrier_init(&sleeper.ready, NULL, 2);
        cr_assert_eq(pthread_create(&thread, NULL, sleep_in_ring, &sleeper), 0);
        pthread_barrier_wait(&sleeper.ready);
        for (uint32_t j = 0; j < 20; j++) {
            ring_doorbell(ring, ring_fd(sleeper.ring), ring_handle(RING_DOORBELL, 1, 0));
            enter(ring, 0);
            if (j % 4 == 0)
                usleep(2000);
        }
        pthread_barrier_wait(&sleeper.ready);
        pthread_join(thread, NULL);
        cr_expect(!ring_next(ring, &completion), "one that rang says nothing here");
        ring_doorbell(ring, 9999, ring_handle(RING_DOORBELL, 1, 0));
        completion = next(ring);
        cr_expect_lt(completion.result, 0);
        cr_expect_eq(completion.slot, 1);
        ring_destroy(ring);
        pthread_barrier_destroy(&sleeper.ready);
    }
}

/* --- sockets -------------------------------------------------------------------------------------------- */

Test(ring, an_accept_goes_on_by_itself) {
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t in_bytes = sizeof(in);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bind(listener, (struct sockaddr *)&in, sizeof(in)), 0);
    cr_assert_eq(listen(listener, 16), 0);
    cr_assert_eq(getsockname(listener, (struct sockaddr *)&in, &in_bytes), 0);
    struct ring *ring = make("", 8, 64);
    ring_accept(ring, listener, ring_handle(RING_ACCEPT, 3, 0));
    for (int i = 0; i < 10; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        cr_assert_eq(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
        struct ring_completion completion = next(ring);
        cr_expect_eq(completion.op, RING_ACCEPT);
        cr_expect(completion.more);
        cr_assert_geq(completion.result, 0);
        close(completion.result);
        close(fd);
    }
    ring_destroy(ring);
    close(listener);
}

Test(ring, a_direct_descriptor_lives_without_the_plain_one_and_ends_when_it_is_closed) {
    for (size_t i = 0; i < PATHS; i++) {
        struct ring *ring = make(paths[i], 8, 64);
        for (uint32_t round = 0; round < 3; round++) { /* the slot is used again */
            const struct ring_file file = {5, true};
            int sockets[2];
            char bytes[8];
            make_sockets(sockets);
            cr_assert_eq(ring_install(ring, 5, sockets[0]), 0);
            close(sockets[0]);
            ring_send(ring, file, (const uint8_t *)"hello", 5, ring_handle(RING_SEND, 5, round));
            cr_expect_eq(next(ring).result, 5);
            cr_expect_eq(read(sockets[1], bytes, sizeof(bytes)), 5);
            ring_close(ring, file, ring_handle(RING_CLOSE, 5, round));
            cr_expect_eq(next(ring).result, 0);
            cr_expect_eq(read(sockets[1], bytes, sizeof(bytes)), 0);
            close(sockets[1]);
        }
        ring_destroy(ring);
    }
}

/* What a close after a stalled reader has to know. */
Test(ring, a_cancelled_send_says_how_far_it_came) {
    enum { BYTES = 8 << 20 };
    uint8_t *bytes = calloc(1, BYTES);
    for (size_t i = 0; i < PATHS; i++) {
        struct ring *ring = make(paths[i], 8, 64);
        int32_t sent = 0;
        int sockets[2];
        bool over = false;
        make_sockets(sockets);
        ring_send(ring, (struct ring_file){sockets[0], false}, bytes, BYTES, ring_handle(RING_SEND, 1, 1));
        enter(ring, 1000);
        ring_cancel(ring, ring_handle(RING_SEND, 1, 1), ring_handle(RING_CANCEL, 1, 1));
        while (!over) {
            struct ring_completion completion = next(ring);
            over = completion.op == RING_SEND;
            sent = completion.result;
        }
        cr_expect_gt(sent, 0);
        cr_expect_lt(sent, BYTES);
        ring_destroy(ring);
        close(sockets[0]);
        close(sockets[1]);
    }
    free(bytes);
}
