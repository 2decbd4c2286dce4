/* core/shard.h: one shard of the switch, as io drives it: bytes in, bytes out, one turn of the loop at a
 * time.
 *
 * A turn: shard_turn_begin (time, lanes, timers), any number of shard_accepted / shard_input / shard_ended,
 * then shard_output for every connection that asked by port_output_ready, then shard_turn_end. A connection
 * is named by its index in the shard's table (`conn`, 0 .. connections_max-1), chosen by io, free again after
 * shard_closed.
 *
 * Threads: everything on the shard's thread, except shard_create and shard_index.
 * Memory: tables at shard_create; a session per connection. */
#ifndef TERN_CORE_SHARD_H
#define TERN_CORE_SHARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/config.h"
#include "core/lane.h"
#include "core/msg.h"
#include "core/reason.h"

struct shard;
struct session;
struct stats;

/* A connection on its way to another shard. Made by core, carried by io, consumed by shard_moved_in. */
struct session_move {
    struct session *session; /* the whole session goes along, in memory of its own */
    uint16_t from, to;
    int32_t fd; /* io's: the socket */
    void *io;   /* io's: what else belongs to the connection */
};

struct shard_setup {
    uint32_t index; /* 0 .. shards-1, also its party number in lanes */
    uint32_t shards;
    uint32_t stores; /* store threads: parties shards .. shards+stores-1; the admin thread comes last */
    const struct config *config;
    struct lanes *lanes;
    struct stats *stats;          /* this shard's counters */
    const uint8_t *server_secret; /* 32 bytes; copied, wiped at shard_destroy */
    uint64_t epoch_ms;            /* UTC at start */
    void *io;                     /* io's and storage's own, for their side of core/port.h */
    void *store;
};

int shard_create(const struct shard_setup *setup, struct shard **ret_shard);
void shard_destroy(struct shard *shard);
uint32_t shard_index(const struct shard *shard);
void *shard_io(const struct shard *shard);
void *shard_store(const struct shard *shard);

/* Loading, before the threads run: only what is at home here is taken. 0 or -ENOMEM. */
int shard_load_account(struct shard *shard, const struct account_record *record);
int shard_load_device(struct shard *shard, const struct device_record *record);
int shard_load_block(struct shard *shard, uint64_t account, uint64_t blocked);
/* bytes: of its messages, or somewhat more; 0: not known. */
int shard_load_queue(struct shard *shard, uint64_t account, uint16_t device, uint64_t first_seq,
                     uint64_t last_seq, uint64_t bytes);

/* Starts a turn: now_ms is monotonic, utc_ms the wall clock. Empties the incoming lanes and runs what is
 * due. */
void shard_turn_begin(struct shard *shard, uint64_t now_ms, uint64_t utc_ms);
/* Ends a turn: read transactions end. io publishes the lanes next. */
void shard_turn_end(struct shard *shard);
/* Monotonic ms at which the shard wants its next turn at the latest; UINT64_MAX: no hurry. */
uint64_t shard_next_ms(const struct shard *shard);
/* True: some output waits for one of the next turns, which should come within a moment (SHARD_DEFER_US) even
 * if nothing else brings it. */
bool shard_defers(const struct shard *shard);
#define SHARD_DEFER_US 50

/* A connection was accepted. 0, or -ENOMEM, -EAGAIN (draining), -EBUSY (pending_max): io closes it.
 * `plaintext`: came over a plaintext listener. `exempt`: from a network in address_exempt. */
int shard_accepted(struct shard *shard, uint32_t conn, bool plaintext, bool exempt);
/* Bytes came: `bytes` at `offset` of buf, with one reference that is the shard's from now on. */
void shard_input(struct shard *shard, uint32_t conn, struct buf *buf, uint32_t offset, uint32_t bytes);
/* Reading ended: error 0 for an orderly end, else the positive errno. io closes next, with shard_closed. */
void shard_ended(struct shard *shard, uint32_t conn, int error);
/* io itself closes this connection and why (address limit, bad PROXY header); shard_closed follows. */
void shard_refuse(struct shard *shard, uint32_t conn, enum close_reason reason);
/* Fills space with what is to be sent next and returns its bytes; 0: nothing now. Where the next item does
 * not fit, returns 0 and sets *ret_needed to the space it takes (at most 65,537 + 2), else *ret_needed is
 * 0.
 */
size_t shard_output(struct shard *shard, uint32_t conn, uint8_t *space, size_t space_bytes,
                    size_t *ret_needed);
/* The connection is gone, whoever closed it: the session ends, its device's outbox is spilled. */
void shard_closed(struct shard *shard, uint32_t conn);
/* A connection came from another shard; the session continues here under `conn`. */
void shard_moved_in(struct shard *shard, uint32_t conn, struct session_move *move);
/* There was no room for it: the session ends without a connection; io closes the socket. */
void shard_move_failed(struct shard *shard, struct session_move *move);
/* True after REQUEST_STOP: the loop ends. */
bool shard_drained(const struct shard *shard);

#endif
