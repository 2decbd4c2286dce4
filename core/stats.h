/* core/stats.h: the counters, each declared once with its help; ternctl and the metrics page show this table.
 *
 * Threads: a struct stats belongs to one thread, which alone adds; others read it without stopping it. Sums
 * over threads are each true to the moment it was read, not to one common moment. */
#ifndef TERN_CORE_STATS_H
#define TERN_CORE_STATS_H

#include <stdatomic.h>
#include <stdint.h>

#include "core/reason.h"

/* name, kind (counter: only rises; gauge: goes both ways), help */
#define STATS(X)                                                                                             \
    X(connections, gauge, "connections open")                                                                \
    X(connections_pending, gauge, "connections open that have not logged in yet")                            \
    X(connections_accepted, counter, "connections accepted")                                                 \
    X(connections_moved, counter, "connections moved to their account's home shard")                         \
    X(handshakes, counter, "handshakes completed")                                                           \
    X(logins, counter, "sessions logged in")                                                                 \
    X(links, counter, "devices linked")                                                                      \
    X(sessions_replaced, counter, "sessions replaced by a newer one of the same device")                     \
    X(messages_accepted, counter, "messages accepted from devices")                                          \
    X(messages_refused, counter, "messages refused, with a reason to the sender")                            \
    X(messages_delivered, counter, "messages acknowledged by a target device")                               \
    X(messages_memory_only, counter, "messages discharged at every target without touching the disk")        \
    X(messages_spilled, counter, "messages handed to the store, per target device")                          \
    X(messages_drained, counter, "queue entries sent to their device")                                       \
    X(entries_damaged, counter, "queue entries that were found damaged and left out")                        \
    X(messages_expired, counter, "messages expired or purged undelivered")                                   \
    X(messages_in_memory, gauge, "messages held in memory")                                                  \
    X(payload_copies, counter, "payloads copied in user space beyond seal and open")                         \
    X(receipts_routed, counter, "receipts that arrived at the sender's home shard, as ranges")               \
    X(receipts_sent, counter, "receipt frames put into sessions")                                            \
    X(receipts_spilled, counter, "receipts handed to the store")                                             \
    X(receipts_dropped, counter, "receipts dropped at a limit: they are repeated until they are settled")    \
    X(one_time_keys_given, counter, "one-time pre-keys handed out")                                          \
    X(one_time_keys_lacking, counter, "keys of a device handed out without one, since none was left")        \
    X(settled, counter, "acknowledgements confirmed to their device, as ranges")                             \
    X(deletes, counter, "queue entries deleted after settlement")                                            \
    X(put_failures, counter, "queue entries the store could not take")                                       \
    X(input_paused, counter, "times a socket was not read because of a limit")                               \
    X(input_slowed, counter, "times a session had to wait with its input because it sent too much a second") \
    X(slowed_session_messages, counter, "of them, because of session_messages_per_s")                        \
    X(slowed_session_bytes, counter, "because of session_bytes_per_s")                                       \
    X(slowed_session_frames, counter, "because of session_frames_per_s")                                     \
    X(slowed_session_marks, counter, "because of 256 MARK a second")                                         \
    X(slowed_account_messages, counter, "because of account_messages_per_s")                                 \
    X(slowed_account_bytes, counter, "because of account_bytes_per_s")                                       \
    X(input_parked, counter,                                                                                 \
      "times the receive of a silent connection was given back until something comes")                       \
    X(records_opened, counter, "records opened")                                                             \
    X(records_sealed, counter, "records sealed")                                                             \
    X(bytes_in, counter, "bytes received")                                                                   \
    X(bytes_out, counter, "bytes sent")                                                                      \
    X(frames_unknown, counter, "frames of unknown type, skipped")                                            \
    X(pings, counter, "pings sent")                                                                          \
    X(turns, counter, "turns of the shard loop")                                                             \
    X(enters, counter, "io_uring_enter calls")                                                               \
    X(doorbells, counter, "doorbells rung for sleeping threads")                                             \
    X(bufs_exhausted, counter, "times no receive buffer was free")                                           \
    X(bufs_lent, gauge, "receive buffers lent")                                                              \
    X(notes, counter, "notes taken from lanes")                                                              \
    X(notes_kept, counter, "notes kept because a lane was full")                                             \
    X(store_commits, counter, "transactions the store made durable")                                         \
    X(store_puts, counter, "queue entries committed")                                                        \
    X(store_put_failures, counter, "queue entries the store refused or could not commit")                    \
    X(store_deletes, counter, "delete notes the store worked off")                                           \
    X(store_expired, counter, "queue entries and codes found expired")                                       \
    X(store_records, gauge, "records in the store")                                                          \
    X(store_used_bytes, gauge, "bytes of the store's map in use")

struct stats {
#define X(name, kind, help) _Atomic uint64_t name;
    STATS(X)
#undef X
    _Atomic uint64_t closed[CLOSE_REASON_COUNT];
    _Atomic uint64_t refused[REFUSAL_COUNT];
};

/* Adds to a counter of one's own thread: a relaxed load and store, no locked instruction. */
#define stats_add(counter, amount)                                                                           \
    atomic_store_explicit(&(counter),                                                                        \
                          atomic_load_explicit(&(counter), memory_order_relaxed) + (uint64_t)(amount),       \
                          memory_order_relaxed)
#define stats_get(counter) atomic_load_explicit(&(counter), memory_order_relaxed)

#define X(name, kind, help) +1
enum { STATS_NAMED = 0 STATS(X), STATS_ROWS = STATS_NAMED + CLOSE_REASON_COUNT - 1 + REFUSAL_COUNT - 1 };
#undef X
#define STATS_NAME_BYTES 64

/* A counter as people see it: the table above, then closed_<reason> and refused_<reason> for each reason. */
struct stats_row {
    char name[STATS_NAME_BYTES];
    const char *kind; /* "counter" or "gauge" */
    const char *help;
};

/* Row `index` of 0 .. STATS_ROWS-1. */
struct stats_row stats_row(uint32_t index);
/* Its value in one thread's counters; add them up for the switch. A gauge may be negative in one thread: add
 * as unsigned numbers, which wrap. */
uint64_t stats_read(const struct stats *stats, uint32_t index);

#endif
