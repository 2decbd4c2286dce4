/* bench/own_switch.h: a throwaway switch for one run: a ternd from the same folder as ternbench, with an
 * empty store in a folder of its own, which is gone afterwards.
 *
 * Threads: one at a time; opened by the main thread, with whose end the switch ends.  Memory: the
 * caller's.
 */
#ifndef TERN_BENCH_OWN_SWITCH_H
#define TERN_BENCH_OWN_SWITCH_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#define OWN_SWITCH_PATH_BYTES 512

struct own_switch {
    pid_t pid; /* 0: not running */
    char folder[OWN_SWITCH_PATH_BYTES];
    char admin[OWN_SWITCH_PATH_BYTES + 32]; /* path of its admin socket */
};

struct own_switch_setup {
    bool plaintext;     /* it takes unencrypted connections, too */
    const char *shards; /* or NULL: the switch's default */
    const char *cores;  /* or NULL */
};

/* Returns when it is ready. 0; negative errno, what it said having been written to `errors`. */
int own_switch_open(struct own_switch *own, const struct own_switch_setup *setup, FILE *errors);
/* Ends it and removes its folder. 0; -EIO: it did not end by itself with status 0. */
int own_switch_close(struct own_switch *own, FILE *errors);

#endif
