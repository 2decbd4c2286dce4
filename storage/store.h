/* storage/store.h: the store: threads, each with one environment, that keep on disk what must wait.
 *
 * A store thread is a party: it takes notes from the shards and the admin thread, puts everything that waits
 * into one transaction, commits, fsyncs, and only then answers. The directory (accounts, names, devices,
 * codes, blocks) is in environment 0; queues are in the environment of their account, (account_hash >> 32) %
 * environments.
 *
 * REQUEST_BACKUP covers all environments, whichever store thread gets it; it runs beside it, one at a time
 * (-EBUSY). A backup has no link codes.
 *
 * Threads: open, load, start, stop: one thread, no other yet. ring, status: any.  Memory: store_open's, freed
 * by store_close. */
#ifndef TERN_STORAGE_STORE_H
#define TERN_STORAGE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/config.h"
#include "core/lane.h"
#include "core/msg.h"
#include "core/shard.h"

struct stats;
struct store;

struct store_setup {
    const char *folder;          /* made with mode 0700 if missing */
    const struct config *config; /* stays */
    struct lanes *lanes;
    uint32_t shards;     /* parties: shards, then store threads */
    struct stats *stats; /* [environments] */
    /* Wakes a party that sleeps (a shard or the admin thread). Called on the store threads. */
    void (*ring)(void *context, uint32_t party);
    void *ring_context;
};

struct store_status {
    uint64_t map_bytes, used_bytes; /* size limit and pages in use */
    uint64_t records;
    uint64_t commits, puts, deletes, expired;
    bool closed; /* to writes, after a failed fsync or a damaged page */
    bool full;   /* the reserve is reached: new messages are refused */
    char error[128];
};

/* How many environments a folder has, or the setting's where it is new: needed to count parties before
 * store_open. Negative errno where the folder can't be read. */
int store_environments(const char *folder, const struct config *config);
/* Opens or creates the environments and the key; an exclusive lock on the folder makes a second switch fail.
 * ret_error: a sentence for people, on failure (-EBUSY: in use; -EPROTO: written by a newer version; ...). */
int store_open(const struct store_setup *setup, struct store **ret_store, char *ret_error,
               size_t error_bytes);
/* The switch's static key pair, 32 bytes each; made at the first start, in FOLDER/server.key, mode 0600. */
void store_server_key(const struct store *store, uint8_t *ret_secret, uint8_t *ret_public);
/* Reads accounts, devices, blocks and queue ranges and hands each to its home among the shards. 0 or negative
 * errno. */
int store_load(struct store *store, struct shard *const *shards, uint32_t shard_count);
int store_start(struct store *store);
/* Wakes the store thread of this party (a doorbell of a shard or of the admin thread). */
void store_ring(struct store *store, uint32_t party);
/* Ends the threads after what is in their lanes is done. */
void store_stop(struct store *store);
void store_close(struct store *store);
void store_read_status(const struct store *store, uint32_t environment, struct store_status *ret_status);
/* A reload: settings marked R in core/config.h. Threads: any; taken over at the next batch. */
void store_reload(struct store *store, const struct config *config);

#endif
