/* core/switch.h: the inside of a shard: what the files of core share. io sees core/shard.h only.
 *
 * Threads: one shard, one thread.  Memory: see each module. */
#ifndef TERN_CORE_SWITCH_H
#define TERN_CORE_SWITCH_H

#include <stdbool.h>
#include <stdint.h>

#include "core/account.h"
#include "core/config.h"
#include "core/defer.h"
#include "core/hash.h"
#include "core/keys.h"
#include "core/lane.h"
#include "core/msg.h"
#include "core/outbox.h"
#include "core/port.h"
#include "core/receipt.h"
#include "core/session.h"
#include "core/shard.h"
#include "core/stats.h"

#define STORES_MAX 64
#ifndef REFUSED_MAX
#define REFUSED_MAX 4096 /* keys whose refused number is awaited, per shard; an old one makes room */
#endif
#define NOTES_PER_TURN 8192 /* taken from lanes before sockets have their turn */
#define RECONNECT_MS 1000   /* what devices are told to wait when the switch drains */
#define STORE_RETRY_MS 250  /* after a put failed, how long nothing new is tried */
#define STORE_CALM_MS 10000 /* without a failure, after which the store is said to take messages again */

struct session_list {
    struct session *head, *tail;
    uint32_t count;
};

struct refused_entry {
    struct message_id id; /* number: the one that has to come back first; number == 0: free */
    uint64_t since_ms;
};

struct shard {
    uint32_t index;                  /* [init] */
    uint32_t shards;                 /* [init] */
    uint32_t stores;                 /* [init] */
    struct lanes *lanes;             /* [init] */
    struct stats *stats;             /* [init]; counters written by this shard alone */
    struct config config;            /* [shard] own copy, reloadable part changes */
    uint8_t secret[NOISE_KEY_BYTES]; /* [init] the server's, and its public key */
    uint8_t public_key[NOISE_KEY_BYTES];

    uint64_t now_ms; /* [shard] monotonic, of this turn */
    uint64_t utc_ms; /* [shard] */
    uint64_t checked_ms;

    struct session *sessions; /* [shard] by conn, connections_max of them; state 0: none */
    uint32_t
        *check_s; /* when to look at each for timeouts, monotonic: many are idle, and far apart in memory */
    uint32_t session_limit;
    uint32_t session_high; /* one more than the highest conn in use so far */
    uint32_t session_count;
    uint32_t pending_count; /* of them, those that have not logged in */
    uint64_t connection_next;
    struct session_list waiting_room, waiting_handshakes;
    struct timer_wheel waiting_tokens;
    struct session *handshake_next; /* the first of them, while it is its turn */
    uint64_t handshake_turn;        /* the last that had one */
    uint64_t turn;                  /* counts them */
    uint32_t work_left;             /* of WORK_LEFT_MAX, in this turn */
    uint32_t work_others;           /* of WORK_OTHERS_MAX */
    bool work_waits;                /* for nothing but a turn */
    bool tries_wait;                /* some that wait for room were not tried in this turn */
    uint32_t check_cursor;          /* sessions are looked at for timeouts in slices */

    struct account_table accounts;
    struct account *removed_head, *removed_tail; /* forgotten when nothing of them is on its way any more */

    struct message *message_free;
    struct receipt *receipt_free;
    uint32_t receipts_out; /* that some device of their account neither has nor will find in its queue */
    uint32_t messages_out; /* owned by this shard, not home yet */
    struct outbox_item *item_free;
    struct outbox_item *age_head, *age_tail; /* items without seq, oldest first */
    struct outbox_item *hold_cursor;         /* first of them whose buffer was not looked at for hold_ms */
    struct hash_table unsettled_by_id, unsettled_by_seq;
    uint64_t hash_key;        /* [init] random: nobody outside chooses what collides */
    struct note receipt_open; /* NOTE_RECEIPT that may still grow; kind 0: none */
    struct defer defer;

    uint32_t put_generation[STORES_MAX];
    uint64_t put_retry_ms[STORES_MAX]; /* no new puts before: the store refused lately */
    uint8_t put_refusal[STORES_MAX];   /* why: enum refusal */
    uint8_t put_logged[STORES_MAX];    /* what the log says last of it; 0: that it takes messages */
    uint64_t queue_full_retry_ms;      /* the latest full_retry_ms of an outbox */
    uint32_t puts_out;
    uint64_t notes_handled;

    struct refused_entry *refused; /* [REFUSED_MAX] */
    uint32_t refused_count;
    struct keys_asked *keys_asked; /* [KEYS_ASKED_MAX] */

    bool draining;
    bool stopping;
    bool started; /* the first turn was */
    struct request *drain_request;
    void *io, *store; /* [init] of the other layers */
};

/* The session of a connection; NULL: there is none. */
static inline struct session *session_at(const struct shard *shard, uint32_t conn) {
    struct session *session = &shard->sessions[conn];
    return session->state ? session : NULL;
}

/* core/refused.c
 * --------------------------------------------------------------------------------------------------- */

/* Numbers of a key above the one that was refused with a retry time are refused too, until that one comes
 * back: else the order would break. */
void refused_note(struct shard *shard, const struct message_id *id);
/* True: it has to wait. The awaited number itself ends the waiting, and so does a first one (MESSAGE_FIRST):
 * a copy of the awaited message may have got its tick. */
bool refused_holds(struct shard *shard, const struct message_id *id, bool first);

/* Store environment of an account's queues. */
static inline uint32_t switch_environment(const struct shard *shard, uint64_t account) {
    return port_store_party(shard, account) - shard->shards;
}

/* The party that is the home of an account. */
static inline uint32_t switch_home(const struct shard *shard, uint64_t account) {
    return shard->shards == 1 ? 0 : account_home(account, shard->shards);
}

/* Posts a note; one for this shard itself is handled at once. */
void switch_post(struct shard *shard, uint32_t party, struct note *note);
void switch_handle(struct shard *shard, const struct note *note);

/* core/route.c
 * ---------------------------------------------------------------------------------------------------- */

/* Accepts a message frame of an open session, in place. As intake_frame. */
int route_accept(struct session *session, const struct frame *frame, struct buf *buf);
/* The recipient's home: to every device, or refused. */
void route_arrived(struct shard *shard, struct message *message);
/* One target is discharged: acknowledged by the device, committed in its queue, or gone (revoked,
 * refused). */
enum discharge { DISCHARGE_ACKED, DISCHARGE_STORED, DISCHARGE_GONE };
void message_discharge(struct shard *shard, struct message *message, const struct device *device,
                       enum discharge how);
/* An outbox item no longer needs the bytes. */
void message_let_go(struct shard *shard, struct message *message);
/* Some target can't take it: the sender is told once, the message gets no sent tick. Where it may come again,
 * not sooner than in wait_ms. */
void message_refuse(struct shard *shard, struct message *message, enum refusal refusal, uint32_t wait_ms);
void message_home(struct shard *shard, struct message *message);
/* It does not name the devices that there are, but may come again at once: how they differ is told. */
void route_refuse_targets(struct shard *shard, const struct message_id *id,
                          const struct frame_targets *targets);
void route_refused(struct shard *shard, const struct note *note);
/* Its tick could not be kept: the sending session has to send again. */
void route_ask_again(struct shard *shard, const struct message_id *id);
/* To the session that sent the message. Without one of that epoch there is nobody to tell: it sends
 * everything again anyway. */
void route_tell_refused(struct shard *shard, const struct message_id *id, enum refusal refusal,
                        uint32_t retry_ms);

/* core/buf.c
 * ------------------------------------------------------------------------------------------------------ */

/* A heap block with one reference, to be freed by shard `owner`; NULL: no memory. */
struct buf *buf_create(uint32_t owner, uint32_t capacity);
/* One reference less; one that is another shard's is sent home. */
void buf_drop(struct shard *shard, struct buf *buf);

/* core/calls.c: requests of the administrator
 * ----------------------------------------------------------------------- */

void calls_handle(struct shard *shard, struct request *request);
void calls_done(struct shard *shard, struct request *request);
/* Answers REQUEST_DRAIN when nothing is open or on its way. */
void calls_check_drain(struct shard *shard);
void request_return(struct shard *shard, struct request *request);
/* The session that asked the directory; NULL: it is gone. */
struct session *request_session(struct shard *shard, const struct request *request);
void request_free(struct request *request);
/* What a device is told of the directory's status. */
uint16_t request_refusal(int status);
/* The directory has a device as revoked: its session ends, its outbox goes. 0 or -ENOENT. */
int calls_revoke(struct shard *shard, uint64_t account, uint16_t device);
/* Looks at some accounts that are removed and frees those that are over. */
void calls_forget_removed(struct shard *shard);

#endif
