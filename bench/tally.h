/* bench/tally.h: what one thread of ternbench has counted, and the first thing that it found wrong.
 *
 * Threads: its thread's, until that has ended.  Memory: the caller's. */
#ifndef TERN_BENCH_TALLY_H
#define TERN_BENCH_TALLY_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/histogram.h"

/* name, help */
#define TALLY_COUNTS(X)                                                                                      \
    X(sent, "messages sent")                                                                                 \
    X(received, "messages that arrived, whole, once and in order")                                           \
    X(ticked_sent, "messages with a sent tick")                                                              \
    X(ticked_delivered, "messages with a delivered tick")                                                    \
    X(completed, "messages with both ticks")                                                                 \
    X(confirmed, "received messages whose acknowledgement the switch confirmed")                             \
    X(receipts, "receipt frames")                                                                            \
    X(confirms, "confirm frames")                                                                            \
    X(acks, "acknowledgement frames sent")                                                                   \
    X(refused, "messages refused for the moment")                                                            \
    X(resent, "messages sent again after a refusal")                                                         \
    X(duplicates, "messages that arrived again after they were sent again")                                  \
    X(reads, "reads from sockets")                                                                           \
    X(writes, "writes to sockets")                                                                           \
    X(bytes_read, "bytes read from sockets")                                                                 \
    X(bytes_written, "bytes written to sockets")                                                             \
    X(measured, "messages completed in the measured time")

#define TALLY_PROBLEM_BYTES 256

struct tally {
#define X(name, help) uint64_t name;
    TALLY_COUNTS(X)
#undef X
    struct histogram to_receive;   /* ns from sending to the other device */
    struct histogram to_sent;      /* ns from sending to the sent tick */
    struct histogram to_delivered; /* ns from sending to the delivered tick */
    bool failed;
    bool unreachable; /* what failed was the connection to the switch, before the first answer */
    char problem[TALLY_PROBLEM_BYTES];
};

void tally_init(struct tally *tally);
void tally_merge(struct tally *tally, const struct tally *other);
/* Keeps the first problem's sentence. */
__attribute__((format(printf, 2, 3))) void tally_fail(struct tally *tally, const char *format, ...);
/* True when all that was sent has arrived and everything about it has been told. */
bool tally_is_settled(const struct tally *tally);

#endif
