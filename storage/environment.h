/* storage/environment.h: the inside of a store: its environments, each with its thread, and what the files of
 * storage share. The rest of the switch sees storage/store.h only.
 *
 * Threads: a store thread alone touches its environment, but for what is marked.  Memory: store_open's. */
#ifndef TERN_STORAGE_ENVIRONMENT_H
#define TERN_STORAGE_ENVIRONMENT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/msg.h"
#include "core/port.h"
#include "storage/counts.h"
#include "storage/map.h"
#include "storage/run.h"
#include "storage/store.h"
#include "storage/value.h"

/* 1: queue entries without `before`; 2: each in a record of its own; 3: no keys of devices, no device lists.
 * All are opened, and raised to this. */
#define STORE_FORMAT 4
#define ENVIRONMENTS_MAX 64
#define BATCH_NOTES_MAX 4096
#define BATCH_BYTES_MAX (16u << 20)
#define EXPIRY_REPORTS_MAX 1024
#define DELETES_KEPT_MAX 65536

/* Of a batch's note while it is worked on. */
struct batch_item {
    struct note note;
    uint32_t from;
    int status;
};

struct batch {
    struct batch_item *items; /* [BATCH_NOTES_MAX] */
    uint32_t count;
    uint64_t bytes;
    uint32_t writes, reads;
};

/* "When a put fails", core/port.h: of each producer. */
struct producer {
    uint32_t failed_generation;
    bool failed;
};

struct delete_range { /* queue entries first..last */
    uint64_t account, first, last;
    uint16_t device;
};

/* In the order they came. */
struct deletes {
    struct delete_range *ranges;
    uint32_t count, capacity;
    uint64_t next_ms; /* monotonic: not tried before */
};

struct settings { /* of struct config, those the store follows */
    uint64_t queue_messages_max;
    uint64_t blocks_max;
    uint64_t code_ttl_ms;
    uint64_t one_time_keys_max;
    uint64_t expiry_sweep_ms;
    uint64_t clock_jump_ms;
};

struct expiry {
    struct value_key at; /* the sweep goes on here; used == 0: it begins */
    uint64_t next_ms;    /* monotonic: the next slice */
    uint64_t paused_until_ms;
    int64_t offset_ms; /* wall clock minus monotonic clock at the last look */
    bool looked;
    struct request *reports[EXPIRY_REPORTS_MAX]; /* REQUEST_EXPIRED that are not back */
    uint32_t reports_out;
};

enum helper_state { HELPER_IDLE, HELPER_RUNNING, HELPER_DONE };

/* A thread for one long request at a time, so that the store thread goes on committing. */
struct helper {
    pthread_t thread;
    _Atomic int state; /* [atomic: helper -> store thread] */
    struct request *request;
    uint32_t from;
    struct environment *environment;
};

/* A shard's view of an environment. [that shard] */
struct reader {
    struct map_txn *txn;
    struct map_cursor *cursor;
    struct run_cursor at; /* over the cursor above */
    bool open;            /* a snapshot is held, until port_store_read_end */
    bool positioned;      /* `at` is at an entry */
};

struct environment {
    struct store *store; /* [init] */
    uint32_t index;      /* [init] */
    uint32_t party;      /* [init] */
    int wake_fd;         /* [init] the worker's */
    struct map *map;     /* [init] */
    pthread_t thread;
    bool running; /* the thread is; main thread */

    struct settings settings;
    uint32_t settings_seen;
    struct batch batch;
    struct producer *producers; /* [parties] */
    struct counts counts;
    struct deletes deletes;
    struct expiry expiry;
    struct helper helper;
    struct map_txn *snapshot; /* for reads between batches; rests between uses */
    struct map_cursor *cursor;
    uint64_t readers_next_ms; /* monotonic: the next look for stale readers */

    uint64_t page_bytes, bytes_max;
    uint64_t bytes_used; /* at the last measurement, and an estimate of what was put since */
    bool refused;        /* for want of room, since the last measurement */
    bool closed;

    pthread_mutex_t status_lock;
    struct store_status status; /* [status_lock] */
};

struct store {
    struct store_setup setup; /* [init] */
    char folder[CONFIG_TEXT_BYTES];
    int lock_fd;
    uint8_t secret[KEY_BYTES], public[KEY_BYTES]; /* [init] */
    uint32_t count;                               /* [init] environments */
    struct environment *environments;             /* [count] */
    struct reader *readers;                       /* [shards * count], each touched by its shard alone */
    _Atomic bool stopping;
    pthread_mutex_t settings_lock;
    struct settings settings; /* [settings_lock] */
    _Atomic uint32_t settings_version;
};

static inline struct reader *store_reader(const struct store *store, uint32_t shard, uint32_t environment) {
    return &store->readers[shard * store->count + environment];
}

uint32_t store_environment_of(const struct store *store, uint64_t account);

/* storage/clock.c: monotonic (now) and wall clock (utc) ---------------------------------------------- */

uint64_t store_now_us(void);
uint64_t store_now_ms(void);
uint64_t store_utc_ms(void);

/* storage/environment.c ---------------------------------------------------------------------------- */

int environment_open(struct environment *environment, const char *folder, char *ret_error,
                     size_t error_bytes);
void environment_close(struct environment *environment);
/* The newest snapshot in environment->cursor, until environment_rest. */
int environment_look(struct environment *environment);
void environment_rest(struct environment *environment);
/* Something the disk should have done failed: no more writes until it was checked. */
void environment_close_writes(struct environment *environment, int error, const char *what);
/* After a commit (or at the start): how full the map is. */
void environment_measure(struct environment *environment);
/* True where a value of so many bytes fits what messages, or receipts, may use; it is then counted. */
bool environment_room(struct environment *environment, size_t bytes, bool receipt);

/* storage/batch.c ---------------------------------------------------------------------------------- */

/* Takes what waits in the lanes, at most a batch; returns how many notes that were. */
uint32_t batch_take(struct environment *environment);
/* One transaction, one commit, then the answers. */
void batch_run(struct environment *environment);
/* Posts a request back to who sent it. */
void batch_answer(struct environment *environment, struct request *request, uint32_t to, int status);

/* storage/queue.c ---------------------------------------------------------------------------------- */

/* The put's status; map_error(txn) tells whether the transaction is lost too. With 0 it is in the draft, or
 * in the map already; whatever else happens to queues, and the commit, come after queue_put_draft. */
int queue_put(struct environment *environment, struct map_txn *txn, struct run_draft *draft,
              const struct note *note);
int queue_put_draft(struct map_txn *txn, struct run_draft *draft);
int queue_delete(struct environment *environment, struct map_txn *txn, uint64_t account, uint16_t device,
                 uint64_t first, uint64_t last);
/* True for the value of an entry of a queue that counts towards queue_messages_max: receipts don't. */
bool queue_counts(struct map_view value);
/* REQUEST_FETCH and REQUEST_PURGE, within environment_look. */
int queue_list(struct environment *environment, struct request *request);
/* What a shard is told of an entry. */
void queue_describe(const struct value_place *place, const struct value_queue *queue, uint64_t utc_ms,
                    struct queue_entry *ret_entry);

/* storage/deletes.c -------------------------------------------------------------------------------- */

/* NOTE_DELETE could not be committed: it is tried again. */
void deletes_keep(struct environment *environment, const struct note *note);
void deletes_turn(struct environment *environment, uint64_t now_ms);
void deletes_fini(struct environment *environment);

/* storage/directory.c, storage/link.c -------------------------------------------------------------- */

bool directory_writes(const struct request *request);
/* A request that changes the directory, within the batch's transaction: its status. */
int directory_change(struct environment *environment, struct map_txn *txn, struct request *request);
int directory_lookup(struct map_txn *txn, struct request *request);
/* REQUEST_LIST_ACCOUNTS, within environment_look. */
int directory_list(struct environment *environment, struct request *request);
int directory_account(struct map_txn *txn, uint64_t account, struct account_record *ret_record);
int directory_device(struct map_txn *txn, uint64_t account, uint16_t device,
                     struct device_record *ret_record);
/* As directory_device; -ENODEV: it is revoked. */
int directory_live_device(struct map_txn *txn, uint64_t account, uint16_t device,
                          struct device_record *ret_record);
/* Makes a one-time code and stores its hash. maker: the device that asks for it; 0: the admin. */
int link_code_add(struct environment *environment, struct map_txn *txn, uint64_t account, uint16_t maker,
                  uint8_t *ret_code);
int link_device(struct map_txn *txn, struct request *request);
/* Deletes every record whose key starts so. */
int directory_delete_front(struct map_txn *txn, const struct value_key *front);
/* Calls `visit` with each record of a kind, until it returns an error. It may change the map: the walk looks
 * for its place again. */
int directory_each(struct map_txn *txn, enum value_kind kind,
                   int (*visit)(struct map_txn *txn, const struct value_key *key, struct map_view value,
                                void *context),
                   void *context);
/* To visit: deletes a record whose account is not there. */
int directory_drop_ownerless(struct map_txn *txn, const struct value_key *key, struct map_view value,
                             void *context);

/* storage/keys.c ----------------------------------------------------------------------------------- */

/* REQUEST_KEYS_PUT, KEYS_GET, LIST_PUT, as directory_change; what a GET hands out is gone with the commit. */
int keys_change(struct environment *environment, struct map_txn *txn, struct request *request);
/* REQUEST_LIST_GET */
int keys_list(struct map_txn *txn, struct request *request);
/* Of a device that is revoked: its keys are handed out no more. Changes the record, which the caller puts. */
int keys_remove(struct map_txn *txn, struct device_record *record);
/* A copy of the store does not know which one-time pre-keys were handed out since: they all go. */
int keys_void_one_time(struct map_txn *txn);
/* What accounts and devices say of their list and keys becomes what is there; keys of devices, and lists of
 * accounts, that are not there go. For a store that was salvaged. */
int keys_mend(struct map_txn *txn);

/* storage/expiry.c --------------------------------------------------------------------------------- */

/* Looks at the clocks and does a slice of the sweep where one is due. */
void expiry_turn(struct environment *environment, uint64_t now_ms, uint64_t utc_ms);
bool expiry_paused(const struct environment *environment, uint64_t now_ms);
void expiry_returned(struct environment *environment, struct request *request);
void expiry_fini(struct environment *environment);

/* storage/backup.c --------------------------------------------------------------------------------- */

/* Starts REQUEST_BACKUP, which covers the whole store, in the helper thread. */
void backup_start(struct environment *environment, struct request *request, uint32_t from);
/* Posts the answer where the helper is done; with `wait`, waits for it. */
void backup_poll(struct environment *environment, bool wait);

/* storage/turn.c ----------------------------------------------------------------------------------- */

/* Works off what waits; `stopping`: nothing else. Returns how many notes that were. */
uint32_t turn_run(struct environment *environment, bool stopping);
/* When the next turn is due at the latest, if nothing comes. */
uint64_t turn_next_ms(const struct environment *environment, uint64_t now_ms);

/* storage/worker.c: the threads; also store_start, store_ring and store_stop ---------------------------- */

int worker_open(struct environment *environment);
void worker_close(struct environment *environment);

/* storage/drain.c ---------------------------------------------------------------------------------- */

int drain_read(struct store *store, uint32_t shard, uint64_t account, uint16_t device, uint64_t seq,
               struct store_view *ret_view);
int drain_check(struct store *store, uint64_t account);
void drain_read_end(struct store *store, uint32_t shard);

#endif
