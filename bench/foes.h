/* bench/foes.h: a crowd of bad peers, one attack at a time, from many loopback addresses; in a thread of the
 * lowest priority with a share of a core, so that what an attack costs others is what it costs the switch.
 *
 * Threads: foes_start and foes_stop: the main thread. The counters are read after foes_stop.
 * Memory: the caller's; foes_stop frees the crowd's. */
#ifndef TERN_BENCH_FOES_H
#define TERN_BENCH_FOES_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "bench/admin.h"

struct peer;
struct foes;

struct foe {
    struct peer *peer;
    int fd; /* -1: away */
    uint32_t index;
    uint32_t turns;
    uint64_t again_ms; /* does nothing before */
    uint64_t account, number;
    uint64_t items, items_acked;
    uint16_t device; /* 0: not linked yet */
    uint8_t secret[NOISE_KEY_BYTES], code[FRAME_CODE_BYTES];
};

struct attack {
    const char *name;
    const char *help;
    uint32_t count; /* of foes */
    bool logs_in;   /* else it sends bytes as they are */
    /* A foe that is connected, and welcome where it logs in, has its turn: puts frames, or moves bytes itself
     * where it does not log in. True: it did something. */
    bool (*act)(struct foes *foes, struct foe *foe);
    /* Does this foe read what comes, and acknowledge it? NULL: all do. */
    bool (*reads)(const struct foe *foe);
};

#define ATTACKS 9
extern const struct attack attacks[ATTACKS];

struct foes {
    const struct attack *attack;
    struct foe *foe;
    uint32_t count;
    struct admin_switch found;
    uint32_t cpu_percent; /* of a core, at most; 100: as much as there is */
    uint64_t rested_ns;   /* CPU time of its thread when it rested last */
    pid_t switch_pid;
    pthread_t thread;
    _Atomic bool stopping;
    _Atomic uint32_t ready; /* are welcome, or connected where the attack does not log in */
    uint64_t now_ms;
    uint64_t random;
    /* What it did. */
    uint64_t connects, frames, bytes, ended;
    uint64_t memory_bytes; /* the most of the switch's anonymous memory that was seen */
};

struct foes_strength {
    uint32_t count;       /* of foes */
    uint32_t cpu_percent; /* of a core, at most; 100: as much as there is */
};

/* admin: of the switch that is attacked. 0 or negative errno, having said why. */
int foes_start(struct foes *foes, const struct attack *attack, const struct foes_strength *strength,
               struct admin *admin);
/* Waits until nearly all that will come are there, at most some seconds, and a second longer. */
void foes_await(struct foes *foes);
void foes_stop(struct foes *foes);

/* For attacks: a random number below the limit; 0 where that is 0. */
uint64_t foes_below(struct foes *foes, uint64_t limit);
/* The connection's end, and another attempt after a while, on average pause_ms. */
void foe_leave(struct foes *foes, struct foe *foe, uint64_t pause_ms);
/* Anonymous memory of a process; 0: it can't be seen. */
uint64_t foes_memory_bytes(pid_t pid);

#endif
