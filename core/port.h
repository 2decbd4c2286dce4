/* core/port.h: what core needs from the world: io, storage and, in tests, the simulator supply it at link
 * time.
 *
 * Time is handed in (struct shard.now_ms and utc_ms, set at the start of each turn). The other direction,
 * what io calls in core, is core/shard.h.
 *
 * Threads: a shard's functions are called on that shard's thread.
 *
 * When a put fails: a store thread commits everything that waits in one transaction; where that fails, or the
 * map is full, every put of it comes back with a status. Order would break if a later put of the same lane
 * then succeeded, so a lane that had a failure refuses every put (-ECANCELED) whose generation is not newer
 * than the failed one's; the shard, having seen the failure, goes on with the next generation.
 *
 * A queue that is full refuses a message, and nothing but that queue does: -EDQUOT for it and for every put
 * of the queue with a higher seq, until the seq that was refused is put again. Receipts are always taken. */
#ifndef TERN_CORE_PORT_H
#define TERN_CORE_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/msg.h"

struct shard;
struct session;
struct session_move;

/* --- supplied by io ------------------------------------------------------------------------------------- */

/* The session has something to say: io calls shard_output for it before it sleeps, and again whenever a send
 * ends, until it returns 0. Cheap when repeated. */
void port_output_ready(struct shard *shard, uint32_t conn);
/* Stops and restarts the reading of a socket. Bytes that were already received still come in. */
void port_input_pause(struct shard *shard, uint32_t conn);
void port_input_resume(struct shard *shard, uint32_t conn);
/* Nothing came for a while: what a receive that is ready for much takes may be given back until something
 * does. */
void port_input_quiet(struct shard *shard, uint32_t conn);
/* Sends what shard_output has, at most for a grace time, and closes; shard_closed follows once, not from
 * within. */
void port_close(struct shard *shard, uint32_t conn);
/* Where the connection comes from, numeric, for people. */
void port_address(struct shard *shard, uint32_t conn, char out[ADDRESS_TEXT_BYTES]);
/* The session stays on this shard from now on. */
void port_settle(struct shard *shard, uint32_t conn);
/* Hands the connection to another shard, before it was settled: io waits for what is in flight, then posts
 * NOTE_MOVE with this move, whose session part core filled in, and ends the slot here without a shard_closed.
 * The target's io calls shard_moved_in, or shard_move_failed where it has no slot. */
void port_move(struct shard *shard, uint32_t conn, uint32_t target_shard, struct session_move *move);
/* A NOTE_MOVE came in. */
void port_move_arrived(struct shard *shard, struct session_move *move);
/* refs reached 0 for a ring buffer of this shard. */
void port_buf_give_back(struct shard *shard, struct buf *buf);
/* Free ring buffers are scarce: what holds some for longer should copy out. */
bool port_bufs_scarce(struct shard *shard);
void port_entropy(void *bytes, size_t count);
/* One line to the log, `event key=value ...`; for state changes only. */
__attribute__((format(printf, 1, 2))) void port_log(const char *format, ...);

/* --- supplied by storage: everything else of it goes through lanes -------------------------------------- */

struct store_view {
    uint64_t seq;
    const uint8_t *frame; /* in the map; valid until port_store_read_end */
    uint32_t frame_bytes;
    uint64_t expires_ms;
};

/* Reads the first queue entry with seq >= `seq` of a device straight from the map; REQUEST_FETCH has paged it
 * in. 0; -ENOENT: there is none; -EUCLEAN: its checksum is wrong (ret_view->seq says which); -EIO:
 * environment closed, or a page of it missing: whether there is an entry is not known. */
int port_store_read(struct shard *shard, uint64_t account, uint16_t device, uint64_t seq,
                    struct store_view *ret_view);
/* After the bytes of such a frame were read, and before they are believed: -EIO where the disk did not give a
 * page, and zeros may stand in its place. */
int port_store_read_check(struct shard *shard, uint64_t account);
/* Ends the read transactions of this turn. Cheap when there is none. */
void port_store_read_end(struct shard *shard);
/* Store party that keeps this account's queues; the directory's party. */
uint32_t port_store_party(const struct shard *shard, uint64_t account);
uint32_t port_directory_party(const struct shard *shard);

#endif
