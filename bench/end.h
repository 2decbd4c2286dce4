/* bench/end.h: one end of a pair: a device with its connection, which sends to the other end as much as the
 * window and the rate allow, checks everything that arrives, acknowledges it once a burst, and keeps count of
 * its ticks. What it says it says through its wire; its bytes are moved by its worker.
 *
 * Both ends of a pair live in one thread, so that either can look at what the other has sent.
 *
 * Threads: its worker's.  Memory: the worker's array; the wire's state and the rings of ticks are its own. */
#ifndef TERN_BENCH_END_H
#define TERN_BENCH_END_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "bench/payload.h"
#include "bench/tally.h"
#include "bench/ticks.h"
#include "bench/wire.h"
#include "core/frame.h"
#include "core/noise.h"

/* What everything in a run shares. The times are written before the first message is sent, the rest before
 * the threads start. */
struct load {
    const struct wire *wire;
    uint32_t pairs;
    uint32_t window; /* messages of an end without a sent tick */
    uint32_t size_bytes;
    double rate; /* messages a second that all ends together are to send; 0: as many as the window allows */
    uint64_t messages; /* that an end sends; 0: as many as there is time for */
    bool plaintext;
    bool resets; /* connections end by a reset, so that the kernel keeps nothing of them */
    uint64_t seed;
    uint8_t server_key[NOISE_KEY_BYTES];
    struct sockaddr_storage address;
    socklen_t address_bytes;
    uint64_t start_ns;                       /* CLOCK_MONOTONIC; sending begins */
    uint64_t measure_from_ns, measure_to_ns; /* at the second one sending stops */
};

#define END_NAME_BYTES 80

enum end_state { END_IDLE, END_LINKING, END_OPEN, END_FAILED };

struct end {
    void *speaks; /* the wire's state */
    struct end *other;
    const struct load *load;
    struct tally *tally;
    enum end_state state;
    bool sending;
    bool is_on_its_way; /* [worker] bytes of it are in the kernel's hands */
    bool is_marked;     /* [worker] it is to be asked for output at the end of this turn */
    uint32_t pair;
    uint32_t place; /* with a rate: of the pair, in the row in which all pairs send */
    uint32_t direction;
    uint16_t device;
    uint64_t account, epoch;
    uint8_t code[FRAME_CODE_BYTES];
    char name[END_NAME_BYTES]; /* as a server of names knows it */
    bool is_known;             /* linked before: it logs in with the same key */
    bool is_away;              /* it does not connect now */
    bool is_mute;              /* it only receives */
    uint8_t secret[NOISE_KEY_BYTES];
    uint64_t now_ns; /* of the burst at hand */
    /* as sender */
    struct ticks ticks;
    uint32_t unticked;
    uint64_t due;         /* with a rate: messages whose time has come */
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
/* Forgets the connection, which is closed, so that it can connect again; what is ticked and what is not
 * stays. */
void end_leave(struct end *end);
/* Makes the wire ready and connects, which may take a moment. A blocking socket, now the caller's; negative
 * errno, with the tally's problem set. */
int end_connect(struct end *end);
/* Bytes came; 0 bytes: the server closed; negative: errno of the connection. 0; negative: the end failed. */
int end_input(struct end *end, const uint8_t *bytes, ssize_t count);
/* Gathers what the window allows and what is to be acknowledged, and says what goes out next. */
int end_output(struct end *end, const uint8_t **ret_bytes, size_t *ret_count);
void end_sent(struct end *end, size_t count);
/* With a rate: when message `number` (from 1) is meant to be sent. */
uint64_t end_intended_ns(const struct end *end, uint64_t number);

uint64_t end_clock_ns(void);

/* --- for wires ------------------------------------------------------------------------------------------ */

void end_is_open(struct end *end);
/* Keeps the first problem of the worker. Returns -EPROTO. */
__attribute__((format(printf, 2, 3))) int end_fail(struct end *end, const char *format, ...);
/* The payload is already known to be whole; number: as the wire says. */
int end_took_message(struct end *end, const struct payload *payload, uint64_t number);
int end_took_ticks(struct end *end, uint64_t first, uint64_t last, uint8_t flags);
int end_took_confirms(struct end *end, uint64_t first, uint64_t last);

#endif
