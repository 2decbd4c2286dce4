#include "bench/sockets.h"

#include <math.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/machine.h"
#include "io/bufring.h"
#include "io/ring.h"

#define ENDS 4000
#define BACKLOG 128
#define BUFFERS 64
#define BUFFER_BYTES 1024

static double slab_bytes(void) {
    struct machine_memory memory;
    machine_memory(getpid(), &memory);
    return (double)memory.kernel_bytes;
}

static int open_listener(struct sockaddr_in *ret_address) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (bind(fd, (struct sockaddr *)&address, bytes) < 0 || listen(fd, BACKLOG) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &bytes) < 0) {
        close(fd);
        return -1;
    }
    *ret_address = address;
    return fd;
}

/* fds: the end that connects and the accepted one, alternating. Returns, as those that follow, how many there
 * are. */
static int open_all(int fds[2 * ENDS]) {
    for (int i = 0; i < 2 * ENDS; i++)
        fds[i] = -1;
    for (int count = 0; count < ENDS; count++) {
        fds[2 * count] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fds[2 * count] < 0)
            return count;
    }
    return ENDS;
}

/* Only the end that connects has a port of its own, for which the kernel keeps a record: it is bound first,
 * so that this can be told apart. */
static int bind_all(int fds[2 * ENDS]) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int count = 0; count < ENDS; count++) {
        if (bind(fds[2 * count], (struct sockaddr *)&address, sizeof(address)) < 0)
            return count;
    }
    return ENDS;
}

static int connect_all(int fds[2 * ENDS]) {
    struct sockaddr_in address;
    int listener = open_listener(&address), count = 0;
    while (listener >= 0 && count < ENDS) {
        if (connect(fds[2 * count], (struct sockaddr *)&address, sizeof(address)) == 0)
            fds[2 * count + 1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fds[2 * count + 1] < 0)
            break;
        count++;
    }
    if (listener >= 0)
        close(listener);
    return count;
}

static double armed_bytes(const int *fds, int count) {
    struct ring *ring = NULL;
    struct bufring *bufs = NULL;
    char text[128];
    uint64_t enters = 0;
    double bytes = NAN;
    struct ring_setup setup = {.entries = 1024, .completions = 4096, .files = (uint32_t)count, .without = ""};
    if (ring_create(&setup, &ring, text, sizeof(text)) < 0)
        return NAN;
    if (bufring_create(ring, 0, BUFFERS, BUFFER_BYTES, 0, &bufs) == 0) {
        double before = slab_bytes();
        for (int i = 0; i < count && ring_install(ring, (uint32_t)i, fds[2 * i]) == 0; i++)
            ring_recv(ring, (struct ring_file){.fd = i, .direct = true}, 0,
                      ring_handle(RING_RECV, (uint32_t)i, 0));
        if (ring_enter(ring, 0, &enters) == 0)
            bytes = (slab_bytes() - before) / count;
    }
    ring_destroy(ring);
    if (bufs)
        bufring_destroy(bufs);
    return bytes;
}

double sockets_end_bytes(void) {
    int *fds = calloc((size_t)2 * ENDS, sizeof(*fds));
    if (!fds)
        return NAN;
    double empty = slab_bytes(), bytes = NAN;
    bool complete = open_all(fds) == ENDS;
    double opened = slab_bytes();
    complete = complete && bind_all(fds) == ENDS;
    double port = (slab_bytes() - opened) / ENDS;
    if (complete && connect_all(fds) == ENDS)
        bytes = ((slab_bytes() - empty) / ENDS - port) / 2 + port + armed_bytes(fds, ENDS);
    for (int i = 0; i < 2 * ENDS; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    free(fds);
    return bytes;
}
