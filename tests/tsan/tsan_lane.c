/* Lanes under the thread sanitizer: parties that post to all others, sleep when there is nothing and are
 * woken by doorbells. Exits 0 where every note came once, in the order in which its producer posted it. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/lane.h"
#include "core/must.h"

#define PARTIES 4
#define SLOTS 64
#define NOTES 100000 /* from each party to each other */
#define BURST_MAX 100

struct bell {
    pthread_mutex_t lock;
    pthread_cond_t rung;
    bool is_rung;
};

static struct lanes *lanes;
static struct bell bells[PARTIES];
static _Atomic uint64_t sleeps, rings;

static void ring(void *context, uint32_t party) {
    (void)context;
    struct bell *bell = &bells[party];
    pthread_mutex_lock(&bell->lock);
    bell->is_rung = true;
    pthread_cond_signal(&bell->rung);
    pthread_mutex_unlock(&bell->lock);
    atomic_fetch_add(&rings, 1);
}

static void sleep_until_rung(uint32_t party) {
    struct bell *bell = &bells[party];
    pthread_mutex_lock(&bell->lock);
    while (!bell->is_rung)
        pthread_cond_wait(&bell->rung, &bell->lock);
    bell->is_rung = false;
    pthread_mutex_unlock(&bell->lock);
    lanes_awake(lanes, party);
    atomic_fetch_add(&sleeps, 1);
}

static bool post_some(uint32_t self, uint64_t sent[PARTIES], unsigned *random) {
    bool more = false;
    for (uint32_t to = 0; to < PARTIES; to++) {
        if (to == self)
            continue;
        /* Now and then without asking for room, as what flows back is posted. */
        bool ask = rand_r(random) % 4 != 0;
        for (int burst = rand_r(random) % BURST_MAX; burst > 0 && sent[to] < NOTES; burst--) {
            if (ask && lanes_room(lanes, self, to) == 0)
                break;
            struct note note = {.kind = NOTE_DELETE, .erase = {.account = self, .first = ++sent[to]}};
            lanes_post(lanes, self, to, &note);
        }
        more |= sent[to] < NOTES;
    }
    return more;
}

static void *party_main(void *context) {
    uint32_t self = *(const uint32_t *)context, from;
    unsigned random = self + 1;
    uint64_t sent[PARTIES] = {0}, got[PARTIES] = {0}, left = (uint64_t)NOTES * (PARTIES - 1);
    struct note note;
    for (bool more = true; more || left > 0 || lanes_kept(lanes, self) > 0;) {
        if (more && rand_r(&random) % 8)
            more = post_some(self, sent, &random);
        lanes_publish(lanes, self, ring, NULL);
        if (more && self == 0) /* the others run dry, and sleep */
            usleep(100);
        bool any = false;
        for (int i = 0; i < BURST_MAX && lanes_take(lanes, self, &note, &from); i++) {
            any = true;
            must(note.erase.account == from && note.erase.first == ++got[from]);
            left--;
        }
        if (!any && !more && left > 0 && lanes_kept(lanes, self) == 0 && lanes_may_sleep(lanes, self))
            sleep_until_rung(self);
    }
    return NULL;
}

int main(void) {
    pthread_t threads[PARTIES];
    uint32_t index[PARTIES];
    must(lanes_create(PARTIES, SLOTS, &lanes) == 0);
    for (uint32_t i = 0; i < PARTIES; i++) {
        pthread_mutex_init(&bells[i].lock, NULL);
        pthread_cond_init(&bells[i].rung, NULL);
    }
    for (uint32_t i = 0; i < PARTIES; i++) {
        index[i] = i;
        must(pthread_create(&threads[i], NULL, party_main, &index[i]) == 0);
    }
    for (uint32_t i = 0; i < PARTIES; i++)
        pthread_join(threads[i], NULL);
    printf("%d notes, %lu sleeps, %lu doorbells\n", NOTES * PARTIES * (PARTIES - 1),
           (unsigned long)atomic_load(&sleeps), (unsigned long)atomic_load(&rings));
    lanes_destroy(lanes);
    return 0;
}
