/* bench/payload.h: what ternbench's messages carry, so that the receiver can tell that a message is whole,
 * meant for it and of this run: when it was sent, which number it has, whose it is, and a fill that follows
 * from these.
 *
 *     0 u64 time of sending, ns, CLOCK_MONOTONIC    8 u64 number    16 u32 pair    20 u32 direction
 *     24 u64 check of the four above and the run's seed    32 fill
 *
 * Threads: pure functions.  Memory: the caller's. */
#ifndef TERN_BENCH_PAYLOAD_H
#define TERN_BENCH_PAYLOAD_H

#include <stddef.h>
#include <stdint.h>

#define PAYLOAD_BYTES_MIN 32

struct payload {
    uint64_t sent_ns;
    uint64_t number;
    uint32_t pair;
    uint32_t direction; /* 0: from the pair's first device to its second, 1: back */
};

/* Fills `bytes` bytes (at least PAYLOAD_BYTES_MIN) at out. */
void payload_write(uint8_t *out, size_t bytes, uint64_t seed, const struct payload *payload);
/* 0; -EBADMSG: these are not `bytes` bytes that payload_write made with this seed. */
int payload_read(const uint8_t *at, size_t bytes, uint64_t seed, struct payload *ret_payload);

#endif
