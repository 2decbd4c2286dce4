/* bench/admin.h: the admin socket, as far as ternbench needs it: accounts in bulk, and away with them
 * afterwards.
 *
 * Threads: one at a time.  Memory: the caller's. */
#ifndef TERN_BENCH_ADMIN_H
#define TERN_BENCH_ADMIN_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "core/frame.h"
#include "core/noise.h"

#define ADMIN_ACCOUNTS_MAX 1000u /* of one request */
#define ADMIN_ERROR_BYTES 256

struct admin {
    int fd;
    pid_t switch_pid;              /* as the kernel says */
    char error[ADMIN_ERROR_BYTES]; /* a sentence about the last failure */
};

struct admin_account {
    uint64_t account;
    uint8_t code[FRAME_CODE_BYTES];
};

struct admin_switch {
    uint8_t key[NOISE_KEY_BYTES];
    struct sockaddr_storage address, plaintext;
    socklen_t address_bytes, plaintext_bytes; /* plaintext: 0 where it takes no unencrypted connections */
};

/* 0 or negative errno, with error set, as for all of these. */
int admin_open(struct admin *admin, const char *path);
void admin_close(struct admin *admin);
/* Creates `count` (up to ADMIN_ACCOUNTS_MAX) accounts whose names begin with prefix. */
int admin_accounts_add(struct admin *admin, const char *prefix, uint32_t count,
                       struct admin_account *ret_accounts, struct admin_switch *ret_switch);
/* What waits for the devices of this account, in memory and on disk. */
int admin_queue_entries(struct admin *admin, const char *name, uint64_t *ret_entries);
/* Every record of the store is read. -EPROTO: one is damaged. */
int admin_store_check(struct admin *admin, uint64_t *ret_records);
int admin_accounts_remove(struct admin *admin, const char *prefix);

/* The values of `count` counters of the switch, by name. */
int admin_stats(struct admin *admin, const char *const names[], uint32_t count, double *ret_values);

/* ADDR:PORT or [ADDR]:PORT; an unspecified address becomes loopback, since it is to be connected to. 0 or
 * -EINVAL. */
int admin_parse_address(const char *text, struct sockaddr_storage *ret_address, socklen_t *ret_bytes);

#endif
