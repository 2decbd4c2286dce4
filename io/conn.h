/* io/conn.h: connections of a loop: a table of slots, each a small state machine around one socket.
 *
 *   FREE -> PROXY -> OPEN -> CLOSING -> FREE        PROXY only where a PROXY header is expected
 *                     \-> MOVING -> FREE            to its home shard
 *
 * A socket is a plain descriptor until its session is settled (so that it can move by lane), a direct one
 * afterwards. One receive and one send are in flight at most. A slot is free again only when nothing is in
 * flight; its generation then changes, so that a late completion finds nobody.
 *
 * Threads: the shard's.  Memory: the table at conns_create; a send buffer while a send is in flight. */
#ifndef TERN_IO_CONN_H
#define TERN_IO_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "core/msg.h"
#include "core/reason.h"
#include "core/timer.h"
#include "io/address.h"
#include "io/ring.h"

struct loop;
struct session_move;
struct shard;

enum conn_phase { CONN_FREE = 0, CONN_PROXY, CONN_OPEN, CONN_MOVING, CONN_CLOSING };

/* Bytes that came while the connection was about to move. */
struct kept {
    struct kept *next;
    struct buf *buf; /* heap, the target's */
};

/* What belongs to a connection besides its session, on its way to another shard. */
struct baggage {
    struct session_move *move;
    uint32_t target; /* shard */
    struct address address;
    struct kept *kept, *kept_tail;
    bool counted, pending;
    bool plaintext;
};

struct header; /* of the PROXY protocol, as far as it came */

struct send_buffer {
    struct send_buffer *next;
    uint32_t capacity;
    uint32_t bytes, done; /* gathered; of them sent */
    uint8_t data[];
};

/* Many of them are idle: what is needed for a while only is not in here. */
struct conn {
    struct timer timer;      /* first: a timer that is due leads to its connection */
    struct send_buffer *out; /* being filled, or its send in flight */
    struct header *header;   /* PROXY */
    struct baggage *baggage; /* MOVING */
    uint32_t generation;
    uint32_t slot;
    int fd; /* plain descriptor; -1: direct, in this slot */
    uint32_t ready_next, starving_next, starving_prev;
    struct address address;
    uint8_t phase;
    uint8_t sips; /* receives of one buffer each before it is read as others are */
    bool plaintext : 1;
    bool counted : 1; /* in the table of addresses */
    bool pending : 1; /* there as one that has not logged in */
    bool receiving : 1, receive_cancelled : 1, paused : 1, starving : 1, ended : 1;
    bool parked : 1; /* its receive is, or is to become, a poll */
    bool sending : 1;
    bool closing : 1; /* the close is in flight */
    bool ready : 1;   /* in the loop's list of those with output */
    bool late : 1;    /* the grace time is over */
};

struct conns {
    struct conn *table;
    uint32_t limit;
    uint32_t free_first;
    uint32_t high; /* slots used so far */
};

#define CONN_NONE UINT32_MAX

int conns_create(struct conns *conns, uint32_t limit);
void conns_close(struct conns *conns, struct shard *shard);
void conns_destroy(struct conns *conns);
/* The connection a completion belongs to; NULL: it is gone. */
struct conn *conn_of(struct conns *conns, const struct ring_completion *completion);

void conn_received(struct loop *loop, struct conn *conn, const struct ring_completion *completion);
void conn_sent(struct loop *loop, struct conn *conn, int32_t result);
void conn_closed(struct loop *loop, struct conn *conn);
void conn_late(struct loop *loop, struct conn *conn);

/* Arms the receive where nothing stands against it. */
void conn_receive(struct loop *loop, struct conn *conn);
void conn_pause(struct loop *loop, struct conn *conn);
void conn_resume(struct loop *loop, struct conn *conn);
/* Waits for input without a receive, which takes the kernel more memory, until something comes. */
void conn_park(struct loop *loop, struct conn *conn);
/* A buffer may be there again for one that found none. */
void conn_feed(struct loop *loop, struct conn *conn);
/* Begins to close; output goes on for a grace time. */
void conn_close(struct loop *loop, struct conn *conn);
/* Sends what the session has to say, if no send is in flight; goes on with closing or moving where nothing is
 * left. */
void conn_flush(struct loop *loop, struct conn *conn);

/* io/accept.c: how connections come
 * ------------------------------------------------------------------------------------ */

/* An accepted socket: becomes a connection, or is refused. */
void conn_accept(struct loop *loop, int fd, bool plaintext);
/* Closes a socket that becomes no connection: counts why, and tells the peer where it is a limit. */
void conn_refuse_socket(struct loop *loop, int fd, enum close_reason reason);
/* What comes before the hello, behind a proxy. Consumes the buffer. */
void conn_take_header(struct loop *loop, struct conn *conn, struct buf *buf, uint32_t bytes);
/* Closes a connection that has no session yet. */
void conn_refuse(struct loop *loop, struct conn *conn, enum close_reason reason);

/* io/move.c: how they settle, or go to their home shard
 * ---------------------------------------------------------------- */

void conn_settle(struct loop *loop, struct conn *conn);
void conn_move(struct loop *loop, struct conn *conn, uint32_t target, struct session_move *move);
/* Came after the session was handed over: goes along. */
void conn_keep_input(struct conn *conn, const struct buf *buf, uint32_t bytes);
/* Nothing is in flight any more: hands it over. */
void conn_finish_move(struct loop *loop, struct conn *conn);
/* One that came from another shard. */
void conn_arrive(struct loop *loop, struct session_move *move);
/* The loop ends before it could go. */
void conn_drop_move(struct shard *shard, struct conn *conn);

/* Given to those two only
 * ---------------------------------------------------------------------------------------------- */

struct conn *conn_take_slot(struct conns *conns); /* NULL: all are taken */
void conn_free_slot(struct loop *loop, struct conn *conn);
void conn_cancel_receive(struct loop *loop, struct conn *conn);

#endif
