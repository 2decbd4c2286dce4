/* bench/ticks.h: the numbers that something is still expected for, in a ring: what a sender waits for
 * receipts of, and what a receiver waits for confirmations of.
 *
 * Numbers are added one after the other from 1; bits of each add up; what has all the wanted bits falls out
 * at the low end, as soon as everything before it has.
 *
 * Threads: one at a time.  Memory: a ring that doubles up to TICKS_MAX. */
#ifndef TERN_BENCH_TICKS_H
#define TERN_BENCH_TICKS_H

#include <stdint.h>

#define TICKS_MAX 65536u /* numbers waited for at a time */

struct tick {
    uint64_t sent_ns;
    uint8_t bits;
};

struct ticks {
    struct tick *ring;
    uint32_t capacity; /* a power of two, or 0 */
    uint64_t low;      /* the lowest number waited for; next when there is none */
    uint64_t next;     /* the number that comes next */
    uint8_t wanted;
};

void ticks_init(struct ticks *ticks, uint8_t wanted);
void ticks_fini(struct ticks *ticks);
/* Adds number `next`. 0; -ENOSPC: TICKS_MAX are waited for; -ENOMEM. */
int ticks_add(struct ticks *ticks, uint64_t sent_ns);
/* NULL: nothing is waited for under this number (any more, or yet). */
struct tick *ticks_find(const struct ticks *ticks, uint64_t number);
/* Lets go of what has all the wanted bits. */
void ticks_advance(struct ticks *ticks);

#endif
