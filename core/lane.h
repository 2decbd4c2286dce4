/* core/lane.h: lanes, the only way from one thread to another: single-producer single-consumer rings of
 * notes.
 *
 * A party is a thread with lanes: shards first, then store threads, then the admin thread. `struct lanes` is
 * the whole matrix. A party posts to its outlet for a target; an outlet whose lane is full keeps the rest in
 * its own memory, in order: what flows back (receipts, refusals, buffers) can always be posted, so lanes
 * can't deadlock; what comes from sockets asks outlet_room() first and, where there is none, stops reading.
 * What an outlet keeps is bounded by the messages and requests that are out, which their own limits bound.
 *
 * A lane is published once per turn. Sleeping: the consumer sets its flag and then looks once more at every
 * lane; the producer publishes and then looks at the flag: all four accesses are sequentially consistent, so
 * one of them sees the other (no standalone fence: the thread sanitizer follows).
 *
 * Threads: lane_push, outlet_*: the producer. lane_pop: the consumer.  Memory: all at lanes_create. */
#ifndef TERN_CORE_LANE_H
#define TERN_CORE_LANE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/msg.h"

struct lane {
    struct note *slots;                 /* [init] */
    uint32_t mask;                      /* [init] */
    _Alignas(64) _Atomic uint32_t tail; /* [atomic: producer -> consumer] published */
    uint32_t tail_local;                /* [producer] written, not all published */
    uint32_t head_seen;                 /* [producer] */
    _Alignas(64) _Atomic uint32_t head; /* [atomic: consumer -> producer] */
};

int lane_init(struct lane *lane, uint32_t capacity /* a power of two */);
void lane_fini(struct lane *lane);
bool lane_push(struct lane *lane, const struct note *note); /* false: full; not visible before lane_publish */
bool lane_publish(struct lane *lane);                       /* true: something new became visible */
bool lane_pop(struct lane *lane, struct note *ret_note);
uint32_t lane_room(struct lane *lane); /* slots free, as the producer knows */
bool lane_empty(struct lane *lane);    /* for the consumer before it sleeps */

struct lanes;

int lanes_create(uint32_t parties, uint32_t capacity, struct lanes **ret_lanes);
void lanes_destroy(struct lanes *lanes);
uint32_t lanes_parties(const struct lanes *lanes);

/* Posts to a party; always succeeds, in order. The note is copied. [thread of `from`] */
void lanes_post(struct lanes *lanes, uint32_t from, uint32_t to, const struct note *note);
/* How many more notes fit before the outlet has to keep some in memory; 0 while it keeps any. [thread of
 * `from`] */
uint32_t lanes_room(struct lanes *lanes, uint32_t from, uint32_t to);
/* Publishes everything posted since the last call and says which sleeping parties need a doorbell: calls
 * ring(context, party) for each whose sleeping flag this call cleared. [thread of `from`] */
void lanes_publish(struct lanes *lanes, uint32_t from, void (*ring)(void *context, uint32_t party),
                   void *context);
/* Takes the next note for `to`, from any producer, fairly. False: nothing there. [thread of `to`] */
bool lanes_take(struct lanes *lanes, uint32_t to, struct note *ret_note, uint32_t *ret_from);
/* Before sleeping: sets the flag, looks again. True: nothing there, sleep (the flag stays set until a
 * doorbell or lanes_awake). False: there is work, the flag is clear again. [thread of `to`] */
bool lanes_may_sleep(struct lanes *lanes, uint32_t to);
void lanes_awake(struct lanes *lanes, uint32_t to);
/* Notes that an outlet of `from` keeps because its lane was full; 0 in good times. [thread of `from`] */
uint32_t lanes_kept(struct lanes *lanes, uint32_t from);

#endif
