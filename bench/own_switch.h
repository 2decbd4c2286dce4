/* bench/own_switch.h: a throwaway switch for one run: a ternd from the same folder as ternbench, with an
 * empty store in a folder of its own, which is gone afterwards.
 *
 * It may be killed and started again: store and address stay.
 *
 * Threads: one at a time; opened by the main thread, with whose end the switch ends.  Memory: the
 * caller's.
 */
#ifndef TERN_BENCH_OWN_SWITCH_H
#define TERN_BENCH_OWN_SWITCH_H

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#define OWN_SWITCH_PATH_BYTES 512
#define OWN_SWITCH_ADDRESS_BYTES 80

struct own_switch {
    pid_t pid;  /* 0: not running */
    int status; /* of the last that ended, as of waitpid */
    char folder[OWN_SWITCH_PATH_BYTES];
    char admin[OWN_SWITCH_PATH_BYTES + 32]; /* path of its admin socket */
    char address[OWN_SWITCH_ADDRESS_BYTES]; /* ADDR:PORT of its listener, once it was ready */
};

struct own_switch_setup {
    bool plaintext;             /* it takes unencrypted connections, too */
    const char *shards;         /* or NULL: the switch's default */
    const char *cores;          /* or NULL */
    const cpu_set_t *only;      /* cores that its process is kept to, or NULL */
    const char *const *options; /* further ones of ternd; NULL at the end, or NULL */
    const char *const *under;   /* a command it is run under, as valgrind; NULL at the end, or NULL */
    const char *crash;          /* value of TERN_CRASH (core/crash.h), or NULL */
};

/* Returns when it is ready. 0; negative errno, what it said having been written to `errors`. */
int own_switch_open(struct own_switch *own, const struct own_switch_setup *setup, FILE *errors);
/* Starts it again after it ended. As own_switch_open; -ECHILD: it ended before it was ready (status says
 * how). errors: NULL, or where to say so. */
int own_switch_start(struct own_switch *own, const struct own_switch_setup *setup, FILE *errors);
/* kill -9, and waits for its end. */
void own_switch_kill(struct own_switch *own);
/* SIGTERM, and waits for its end. 0; -EIO as below. */
int own_switch_stop(struct own_switch *own, FILE *errors);
/* True when it is not running (any more). */
bool own_switch_has_ended(struct own_switch *own);
/* Ends it and removes its folder. 0; -EIO: it did not end by itself with status 0. */
int own_switch_close(struct own_switch *own, FILE *errors);

#endif
