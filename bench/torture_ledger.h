/* bench/torture_ledger.h: what the application of one device did and saw, in a file that grows in step with
 * the device's state: an entry for each message it handed over to be sent and for each message it was given.
 * Messages are known by the number that the client library gave them: what it sends of itself takes numbers,
 * too, and is in no ledger.
 *
 * The length up to which the file counts is kept in the state, in the same transaction: what a process wrote
 * and did not commit is overwritten by the next one, as an application with a database of its own would have
 * it.
 *
 * Threads: one.  Memory: the caller's. */
#ifndef TERN_BENCH_TORTURE_LEDGER_H
#define TERN_BENCH_TORTURE_LEDGER_H

#include <stdint.h>

#include "tools/client/state.h"

enum ledger_kind {
    LEDGER_SENT = 'S',
    LEDGER_RECEIVED = 'R',
    LEDGER_WAITING = 'W',   /* it came, and opens once its sender's device list is here */
    LEDGER_ALARM = 'A',     /* a sentence for people about the account or device it is from */
    LEDGER_DELIVERED = 'D', /* a tick was seen */
};

struct ledger_entry {
    uint64_t from, epoch, to, number; /* of what was sent: from and epoch 0, they are one's own */
    uint64_t digest;                  /* of the payload; of what was received and was not sealed: 0 */
    uint64_t time_ns;                 /* CLOCK_MONOTONIC; before it is committed */
    uint16_t device;
    uint8_t kind;
    uint8_t zero[5];
};

struct ledger {
    int fd;
    uint64_t length;
};

/* Never 0. */
uint64_t ledger_digest(const uint8_t *payload, size_t bytes);
/* In the folder of this state, `name`. */
int ledger_open(struct ledger *ledger, const char *folder, const char *name);
void ledger_close(struct ledger *ledger);
/* In a transaction. The file counts up to here; what is behind it is written over. */
int ledger_seek(struct ledger *ledger, struct state *state);
int ledger_write(struct ledger *ledger, const struct ledger_entry *entries, size_t count);
int ledger_keep(const struct ledger *ledger, struct state *state);
/* Entries from the start to `length`; the caller frees them. */
int ledger_read(const struct ledger *ledger, struct ledger_entry **ret_entries, size_t *ret_count);

#endif
