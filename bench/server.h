/* bench/server.h: whatever a load is put on: a tern switch, the floor, or a server that tern is compared
 * with. Each kind says how it is started, what its ends speak, and with which settings it is fast.
 *
 * Threads: the main thread.  Memory: the caller's; server_close ends the process and removes its folder. */
#ifndef TERN_BENCH_SERVER_H
#define TERN_BENCH_SERVER_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "bench/admin.h"
#include "bench/own_switch.h"
#include "bench/process.h"
#include "bench/worker.h"

#define SERVER_PREFIX_BYTES 32
#define SERVER_OPTIONS_MAX 32

struct server_kind;

struct server_setup {
    const cpu_set_t *cores;     /* its process is pinned to; NULL: none */
    const char *admin;          /* of a switch that runs already; NULL: one's own */
    const char *shards;         /* of one's own switch; NULL: one */
    const char *const *options; /* further ones of ternd, NULL at the end; or NULL */
    const char *const *under;   /* as of struct own_switch_setup */
    bool is_crossing;           /* the ends of each pair are at home on different shards, of two */
};

struct server {
    const struct server_kind *kind;
    struct server_setup setup;
    struct process process; /* of all but the switch */
    struct own_switch own;
    struct admin admin;
    char prefix[SERVER_PREFIX_BYTES]; /* of its accounts */
    uint32_t accounts;                /* added */
    bool is_found;                    /* admin is open */
};

struct server_kind {
    const char *name;
    const char *ratio;    /* the name of a switch's ratio to it: "ratio_nats" */
    const char *program;  /* to be looked for; NULL: it is always there */
    const char *package;  /* Debian's, whose version is recorded; NULL: the program's name */
    const char *settings; /* what it is set to, for the record */
    uint32_t
        pairs; /* a server so slow that with more of them what is in flight outlasts the run; 0: it is not */
    const struct wire *wire;
    bool plaintext; /* of a switch: without encryption */
    /* Starts it and waits until it is ready; sets load's address. 0; negative errno, having said why. */
    int (*open)(struct server *server, struct load *load);
    /* Gives the ends what they need to log in. 0; negative errno, having said why. */
    int (*prepare)(struct server *server, struct load *load, struct worker *workers, uint32_t count);
};

extern const struct server_kind server_tern, server_tern_plaintext;

int server_open(struct server *server, const struct server_kind *kind, const struct server_setup *setup,
                struct load *load);
/* Ends one's own switch in order and starts it again with the same store and address. 0; negative errno,
 * having said why; -ENOTSUP: it is not one's own. */
int server_restart(struct server *server);
/* 0; -EIO: it did not end in order. */
int server_close(struct server *server);
pid_t server_pid(const struct server *server);
bool server_is_switch(const struct server *server);

#endif
