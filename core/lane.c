#include "core/lane.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/must.h"
#include "core/mutant.h"

#define KEPT_MIN 64     /* notes an outlet has room for when it first has to keep some */
#define TAKE_RUN_MAX 64 /* notes taken from one producer before the next has its turn */

/* --- one lane ------------------------------------------------------------------------------------------- */

/* Slots come from calloc: pages that were never used cost no memory. */
int lane_init(struct lane *lane, uint32_t capacity) {
    must(capacity && (capacity & (capacity - 1)) == 0);
    struct note *slots = calloc(capacity, sizeof(*slots));
    if (!slots)
        return -ENOMEM;
    lane->slots = slots;
    lane->mask = capacity - 1;
    lane->tail_local = lane->head_seen = 0;
    atomic_init(&lane->tail, 0);
    atomic_init(&lane->head, 0);
    return 0;
}

void lane_fini(struct lane *lane) {
    free(lane->slots);
    lane->slots = NULL;
}

uint32_t lane_room(struct lane *lane) {
    uint32_t used = lane->tail_local - lane->head_seen;
    if (used > lane->mask) {
        /* Pairs with the release in lane_pop: the slots before head are read. */
        lane->head_seen = atomic_load_explicit(&lane->head, memory_order_acquire);
        used = lane->tail_local - lane->head_seen;
    }
    return lane->mask + 1 - used;
}

bool lane_push(struct lane *lane, const struct note *note) {
    if (lane_room(lane) == 0)
        return false;
    lane->slots[lane->tail_local++ & lane->mask] = *note;
    return true;
}

bool lane_publish(struct lane *lane) {
    if (atomic_load_explicit(&lane->tail, memory_order_relaxed) == lane->tail_local)
        return false;
    /* Sequentially consistent: ordered before the look at the consumer's sleeping flag in lanes_publish. */
    atomic_store(&lane->tail, lane->tail_local);
    return true;
}

bool lane_pop(struct lane *lane, struct note *ret_note) {
    uint32_t head = atomic_load_explicit(&lane->head, memory_order_relaxed);
    /* Pairs with the store in lane_publish: the slots before tail are written. */
    if (head == atomic_load_explicit(&lane->tail, memory_order_acquire))
        return false;
    *ret_note = lane->slots[head & lane->mask];
    /* Pairs with the load in lane_room. */
    atomic_store_explicit(&lane->head, head + 1, memory_order_release);
    return true;
}

bool lane_empty(struct lane *lane) {
    /* Sequentially consistent: ordered after the store of the sleeping flag in lanes_may_sleep. */
    return atomic_load(&lane->tail) == atomic_load_explicit(&lane->head, memory_order_relaxed);
}

/* --- the matrix ----------------------------------------------------------------------------------------- */

/* A lane and what did not fit: a ring that grows. [producer] */
struct outlet {
    struct lane lane;
    struct note *kept;
    uint32_t kept_capacity, kept_first, kept_count;
    bool dirty; /* in the producer's list for the next publish */
};

struct party {
    _Alignas(64) _Atomic bool sleeping; /* [atomic: consumer sets, producers clear] */
    uint32_t take_from;                 /* [consumer] the producer whose turn it is */
    uint32_t take_run;                  /* [consumer] */
    uint16_t *dirty;                    /* [producer] targets with something to publish */
    uint32_t dirty_count;
    uint32_t kept_count; /* [producer] over all its outlets */
};

struct lanes {
    uint32_t count;
    struct party *parties;
    struct outlet *outlets; /* [from * count + to] */
};

static struct outlet *outlet_of(struct lanes *lanes, uint32_t from, uint32_t to) {
    must(from < lanes->count && to < lanes->count);
    return &lanes->outlets[(size_t)from * lanes->count + to];
}

static void *cache_aligned(size_t count, size_t bytes) {
    void *memory = aligned_alloc(64, (count * bytes + 63) / 64 * 64);
    if (memory)
        memset(memory, 0, count * bytes);
    return memory;
}

int lanes_create(uint32_t parties, uint32_t capacity, struct lanes **ret_lanes) {
    struct lanes *lanes = calloc(1, sizeof(*lanes));
    if (!lanes)
        return -ENOMEM;
    size_t outlets = (size_t)parties * parties;
    lanes->count = parties;
    lanes->parties = cache_aligned(parties, sizeof(*lanes->parties));
    lanes->outlets = cache_aligned(outlets, sizeof(*lanes->outlets));
    if (!lanes->parties || !lanes->outlets)
        goto err;
    for (size_t i = 0; i < outlets; i++) {
        if (lane_init(&lanes->outlets[i].lane, capacity) < 0)
            goto err;
    }
    for (uint32_t i = 0; i < parties; i++) {
        lanes->parties[i].dirty = calloc(parties, sizeof(uint16_t));
        if (!lanes->parties[i].dirty)
            goto err;
    }
    *ret_lanes = lanes;
    return 0;
err:
    lanes_destroy(lanes);
    return -ENOMEM;
}

void lanes_destroy(struct lanes *lanes) {
    size_t outlets = lanes->outlets ? (size_t)lanes->count * lanes->count : 0;
    for (size_t i = 0; i < outlets; i++) {
        lane_fini(&lanes->outlets[i].lane);
        free(lanes->outlets[i].kept);
    }
    for (uint32_t i = 0; lanes->parties && i < lanes->count; i++)
        free(lanes->parties[i].dirty);
    free(lanes->outlets);
    free(lanes->parties);
    free(lanes);
}

uint32_t lanes_parties(const struct lanes *lanes) {
    return lanes->count;
}

/* --- producer ------------------------------------------------------------------------------------------- */

static void keep(struct outlet *outlet, const struct note *note) {
    if (outlet->kept_count == outlet->kept_capacity) {
        uint32_t capacity = outlet->kept_capacity ? outlet->kept_capacity * 2 : KEPT_MIN;
        struct note *kept = malloc(capacity * sizeof(*kept));
        if (!kept)
            abort(); /* a receipt can't be dropped, and there is nobody to refuse it to */
        for (uint32_t i = 0; i < outlet->kept_count; i++)
            kept[i] = outlet->kept[(outlet->kept_first + i) & (outlet->kept_capacity - 1)];
        free(outlet->kept);
        outlet->kept = kept;
        outlet->kept_capacity = capacity;
        outlet->kept_first = 0;
    }
    outlet->kept[(outlet->kept_first + outlet->kept_count++) & (outlet->kept_capacity - 1)] = *note;
}

void lanes_post(struct lanes *lanes, uint32_t from, uint32_t to, const struct note *note) {
    struct outlet *outlet = outlet_of(lanes, from, to);
    struct party *party = &lanes->parties[from];
    if (!outlet->dirty) {
        outlet->dirty = true;
        party->dirty[party->dirty_count++] = (uint16_t)to;
    }
    if ((outlet->kept_count == 0 || MUTANT(lane_overtaken)) && lane_push(&outlet->lane, note))
        return;
    keep(outlet, note);
    party->kept_count++;
}

uint32_t lanes_room(struct lanes *lanes, uint32_t from, uint32_t to) {
    struct outlet *outlet = outlet_of(lanes, from, to);
    return outlet->kept_count ? 0 : lane_room(&outlet->lane);
}

static void push_kept(struct party *party, struct outlet *outlet) {
    while (outlet->kept_count && lane_push(&outlet->lane, &outlet->kept[outlet->kept_first])) {
        outlet->kept_first = (outlet->kept_first + 1) & (outlet->kept_capacity - 1);
        outlet->kept_count--;
        party->kept_count--;
    }
}

void lanes_publish(struct lanes *lanes, uint32_t from, void (*ring)(void *context, uint32_t party),
                   void *context) {
    struct party *party = &lanes->parties[from];
    uint32_t still_dirty = 0;
    for (uint32_t i = 0; i < party->dirty_count; i++) {
        uint16_t to = party->dirty[i];
        struct outlet *outlet = outlet_of(lanes, from, to);
        push_kept(party, outlet);
        bool published = lane_publish(&outlet->lane);
        outlet->dirty = outlet->kept_count > 0;
        if (outlet->dirty)
            party->dirty[still_dirty++] = to;
        /* The consumer sets its flag and then looks at the lane; here it is the other way round. All four
         * accesses are sequentially consistent, so one of the two sees the other's. */
        _Atomic bool *sleeping = &lanes->parties[to].sleeping;
        if (published && atomic_load(sleeping) && atomic_exchange(sleeping, false))
            ring(context, to);
    }
    party->dirty_count = still_dirty;
}

uint32_t lanes_kept(struct lanes *lanes, uint32_t from) {
    return lanes->parties[from].kept_count;
}

/* --- consumer ------------------------------------------------------------------------------------------- */

bool lanes_take(struct lanes *lanes, uint32_t to, struct note *ret_note, uint32_t *ret_from) {
    struct party *party = &lanes->parties[to];
    for (uint32_t looked = 0; looked <= lanes->count; looked++) {
        uint32_t from = party->take_from;
        if (party->take_run < TAKE_RUN_MAX && lane_pop(&outlet_of(lanes, from, to)->lane, ret_note)) {
            party->take_run++;
            *ret_from = from;
            return true;
        }
        party->take_run = 0;
        party->take_from = from + 1 < lanes->count ? from + 1 : 0;
    }
    return false;
}

bool lanes_may_sleep(struct lanes *lanes, uint32_t to) {
    atomic_store(&lanes->parties[to].sleeping, true);
    if (MUTANT(doorbell_missed))
        return true;
    for (uint32_t from = 0; from < lanes->count; from++) {
        if (!lane_empty(&outlet_of(lanes, from, to)->lane)) {
            lanes_awake(lanes, to);
            return false;
        }
    }
    return true;
}

void lanes_awake(struct lanes *lanes, uint32_t to) {
    atomic_store_explicit(&lanes->parties[to].sleeping, false, memory_order_relaxed);
}
