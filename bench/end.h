/* bench/end.h: one end of a pair: a device with its connection, which sends to the other end as much as the
 * window allows, checks everything that arrives, acknowledges it once a burst, and keeps count of its ticks.
 *
 * Both ends of a pair live in one thread, so that either can look at what the other has sent.
 *
 * Threads: its worker's.  Memory: the worker's array; the peer and the rings of ticks are its own. */
#ifndef TERN_BENCH_END_H
#define TERN_BENCH_END_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "bench/tally.h"
#include "bench/ticks.h"
#include "core/frame.h"
#include "core/noise.h"

struct peer;

/* What everything in a run shares. The times are written before the first message is sent, the rest before
 * the threads start. */
struct load {
    uint32_t pairs;
    uint32_t window; /* messages of an end without a sent tick */
    uint32_t size_bytes;
    bool plaintext;
    uint64_t seed;
    uint8_t server_key[NOISE_KEY_BYTES];
    struct sockaddr_storage address;
    socklen_t address_bytes;
    uint64_t measure_from_ns, measure_to_ns; /* CLOCK_MONOTONIC; at the second one sending stops */
};

enum end_state { END_IDLE, END_LINKING, END_OPEN, END_FAILED };

struct end {
    struct peer *peer;
    struct end *other;
    const struct load *load;
    struct tally *tally;
    int epoll_fd;
    int fd;
    enum end_state state;
    bool sending;
    bool blocked; /* the socket takes no more; EPOLLOUT is asked for */
    uint32_t pair;
    uint32_t direction;
    uint16_t device;
    uint64_t account, epoch;
    uint8_t code[FRAME_CODE_BYTES];
    uint64_t now_ns; /* of the burst at hand */
    /* as sender */
    struct ticks ticks;
    uint32_t unticked;
    uint64_t resend_from; /* the lowest number that was refused for the moment; 0: none */
    uint64_t resend_at_ns;
    bool has_resent;
    /* as receiver */
    struct ticks confirms;
    uint64_t items, items_acked;
};

void end_init(struct end *end, const struct load *load, struct tally *tally, uint32_t pair,
              uint32_t direction);
void end_fini(struct end *end);
/* Starts to connect and to link. 0; negative errno, with the tally's problem set. */
int end_open(struct end *end, int epoll_fd);
/* The socket has something, takes something, or is broken. Bytes are read into space. 0; negative: the end
 * failed. */
int end_event(struct end *end, uint32_t events, uint8_t *space, size_t space_bytes);
/* Sends what the window allows: to begin with, and when the time to send again after a refusal has come. */
int end_send(struct end *end);

uint64_t end_clock_ns(void);

#endif
