#include "bench/floor.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/progress.h"
#include "bench/wire_floor.h"
#include "io/bufring.h"
#include "io/ring.h"

#define ENTRIES 4096
#define COMPLETIONS 32768
#define BUFFERS 2048
#define BUFFER_BYTES 16384
#define GROUP 0
#define BACKLOG 4096
#define NOBODY UINT32_MAX

struct relayed {
    uint32_t other; /* slot; NOBODY before it said who it is */
    bool is_open, is_sending, is_marked;
    struct buf *alone; /* what is to be sent, or is being sent, straight from where it came */
    uint8_t *bytes[2]; /* gathered; being sent */
    uint32_t counts[2], capacities[2];
    uint32_t sent; /* of what is being sent */
};

struct relay {
    struct ring *ring;
    struct bufring *bufs;
    int listener;
    uint32_t slots, marked_count;
    struct relayed *all;
    uint32_t *marked;
    uint32_t *by_index; /* slot of the connection with that index */
};

static struct ring_file file_of(uint32_t slot) {
    return (struct ring_file){.fd = (int)slot, .direct = false};
}

static void give_back(struct relay *relay, struct buf *buf) {
    buf->refs = 0;
    bufring_give_back(relay->bufs, buf);
}

static void gather(struct relayed *to, const uint8_t *bytes, uint32_t count) {
    if (to->counts[0] + count > to->capacities[0]) {
        to->capacities[0] = (to->counts[0] + count) * 2;
        to->bytes[0] = realloc(to->bytes[0], to->capacities[0]);
        if (!to->bytes[0])
            _exit(1);
    }
    memcpy(to->bytes[0] + to->counts[0], bytes, count);
    to->counts[0] += count;
}

static void mark(struct relay *relay, uint32_t slot) {
    if (relay->all[slot].is_marked)
        return;
    relay->all[slot].is_marked = true;
    relay->marked[relay->marked_count++] = slot;
}

/* Alone it stays where it is; what comes while more waits is gathered behind it. */
static void pass(struct relay *relay, uint32_t slot, struct buf *buf, uint32_t count) {
    struct relayed *to = &relay->all[slot];
    mark(relay, slot);
    if (!to->is_sending && !to->alone && to->counts[0] == 0) {
        to->alone = buf;
        to->counts[1] = count;
        return;
    }
    if (!to->is_sending && to->alone) {
        gather(to, to->alone->data, to->counts[1]);
        give_back(relay, to->alone);
        to->alone = NULL;
    }
    gather(to, buf->data, count);
    give_back(relay, buf);
}

/* The first bytes of a connection: its index; its pair's other one differs in the last bit. Both are told
 * when both are there. */
static void introduce(struct relay *relay, uint32_t slot, const uint8_t *bytes, uint32_t count) {
    uint32_t index = 0;
    if (count != sizeof(index))
        _exit(1);
    memcpy(&index, bytes, sizeof(index));
    if (index >= relay->slots)
        _exit(1);
    relay->by_index[index] = slot;
    uint32_t other = relay->by_index[index ^ 1];
    if (other == NOBODY)
        return;
    relay->all[slot].other = other;
    relay->all[other].other = slot;
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t told = i ? other : slot;
        gather(&relay->all[told], bytes, count);
        mark(relay, told);
    }
}

static void take_received(struct relay *relay, const struct ring_completion *completion) {
    struct relayed *from = &relay->all[completion->slot];
    if (completion->has_buffer && completion->result > 0) {
        struct buf *buf = bufring_lend(relay->bufs, completion->buffer);
        if (from->other == NOBODY) {
            introduce(relay, completion->slot, buf->data, (uint32_t)completion->result);
            give_back(relay, buf);
        } else {
            pass(relay, from->other, buf, (uint32_t)completion->result);
        }
    } else if (completion->result != -ENOBUFS) {
        from->is_open = false;
    }
    if (!completion->more && from->is_open)
        ring_recv(relay->ring, file_of(completion->slot), GROUP, ring_handle(RING_RECV, completion->slot, 0));
}

static void send_rest(struct relay *relay, uint32_t slot) {
    struct relayed *to = &relay->all[slot];
    const uint8_t *bytes = to->alone ? to->alone->data : to->bytes[1];
    to->is_sending = true;
    ring_send(relay->ring, file_of(slot), bytes + to->sent, to->counts[1] - to->sent,
              ring_handle(RING_SEND, slot, 0));
}

static void take_sent(struct relay *relay, const struct ring_completion *completion) {
    struct relayed *to = &relay->all[completion->slot];
    to->is_sending = false;
    if (completion->result < 0)
        return;
    to->sent += (uint32_t)completion->result;
    if (to->sent < to->counts[1]) {
        send_rest(relay, completion->slot);
        return;
    }
    if (to->alone)
        give_back(relay, to->alone);
    to->alone = NULL;
    to->sent = to->counts[1] = 0;
    if (to->counts[0])
        mark(relay, completion->slot);
}

static void send_marked(struct relay *relay) {
    for (uint32_t i = 0; i < relay->marked_count; i++) {
        struct relayed *to = &relay->all[relay->marked[i]];
        to->is_marked = false;
        if (to->is_sending)
            continue;
        if (!to->alone && to->counts[0]) {
            uint8_t *bytes = to->bytes[1];
            uint32_t capacity = to->capacities[1];
            to->bytes[1] = to->bytes[0];
            to->capacities[1] = to->capacities[0];
            to->counts[1] = to->counts[0];
            to->bytes[0] = bytes;
            to->capacities[0] = capacity;
            to->counts[0] = 0;
        }
        if (to->counts[1])
            send_rest(relay, relay->marked[i]);
    }
    relay->marked_count = 0;
}

static void take_accepted(struct relay *relay, const struct ring_completion *completion) {
    int fd = completion->result;
    if (fd >= 0 && (uint32_t)fd < relay->slots) {
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        relay->all[fd] = (struct relayed){.other = NOBODY, .is_open = true};
        ring_recv(relay->ring, file_of((uint32_t)fd), GROUP, ring_handle(RING_RECV, (uint32_t)fd, 0));
    }
    if (!completion->more)
        ring_accept(relay->ring, relay->listener, ring_handle(RING_ACCEPT, 0, 0));
}

static int set_up(struct relay *relay) {
    char text[128];
    struct ring_setup setup = {.entries = ENTRIES, .completions = COMPLETIONS, .files = 1, .without = ""};
    int error = ring_create(&setup, &relay->ring, text, sizeof(text));
    if (!error)
        error = bufring_create(relay->ring, GROUP, BUFFERS, BUFFER_BYTES, 0, &relay->bufs);
    relay->all = calloc(relay->slots, sizeof(*relay->all));
    relay->marked = calloc(relay->slots, sizeof(*relay->marked));
    relay->by_index = malloc(relay->slots * sizeof(*relay->by_index));
    if (!relay->all || !relay->marked || !relay->by_index)
        return -ENOMEM;
    memset(relay->by_index, 0xff, relay->slots * sizeof(*relay->by_index));
    return error;
}

static void run(void *context) {
    struct relay *relay = context;
    uint64_t enters = 0;
    if (set_up(relay) < 0)
        _exit(1);
    ring_accept(relay->ring, relay->listener, ring_handle(RING_ACCEPT, 0, 0));
    for (;;) {
        send_marked(relay);
        bufring_publish(relay->bufs);
        if (ring_enter(relay->ring, 1000000, &enters) < 0)
            _exit(1);
        struct ring_completion completion;
        while (ring_next(relay->ring, &completion)) {
            if (completion.op == RING_RECV)
                take_received(relay, &completion);
            else if (completion.op == RING_SEND)
                take_sent(relay, &completion);
            else if (completion.op == RING_ACCEPT)
                take_accepted(relay, &completion);
        }
    }
}

/* The listener is made before the process, so that it is there when the ends come. */
static int open_floor(struct server *server, struct load *load) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, bytes) < 0 || listen(fd, BACKLOG) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &bytes) < 0) {
        int error = -errno;
        fprintf(stderr, "ternbench: the floor can not listen: %s\n", strerror(errno));
        if (fd >= 0)
            close(fd);
        return error;
    }
    struct relay relay = {.listener = fd, .slots = load->pairs * 2 + 64};
    int error = process_fork(&server->process, server->setup.cores, run, &relay);
    close(fd);
    memcpy(&load->address, &address, sizeof(address));
    load->address_bytes = bytes;
    return error;
}

const struct server_kind server_floor = {
    .name = "floor",
    .ratio = "floor",
    .settings =
        "bare io_uring relay: multishot receives, 2048 buffers of 16 KiB, one send per connection and turn",
    .wire = &wire_floor,
    .open = open_floor,
};
