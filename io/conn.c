#include "io/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/must.h"
#include "io/loop_inside.h"

#define CLOSE_GRACE_MS 1000 /* for the last output of a connection that is being closed */
#define SEND_ROOM_MIN 1024  /* less room than that in a send buffer is not worth a record */
#define BUFFER_GROUP 0
/* Who sent more than could be worked off sends more than that again: what came in the same turn has to be
 * kept, so it is no more than a buffer until it went well so many times. */
#define SIPS_AFTER_PAUSE 16

/* --- slots ---------------------------------------------------------------------------------------------- */

int conns_create(struct conns *conns, uint32_t limit) {
    *conns = (struct conns){.limit = limit, .free_first = CONN_NONE};
    conns->table = calloc(limit, sizeof(*conns->table));
    return conns->table ? 0 : -ENOMEM;
}

void conns_destroy(struct conns *conns) {
    free(conns->table);
}

struct conn *conn_take_slot(struct conns *conns) {
    struct conn *conn;
    uint32_t generation = 1;
    uint32_t slot = conns->free_first;
    if (slot != CONN_NONE) {
        conn = &conns->table[slot];
        conns->free_first = conn->ready_next;
        generation = conn->generation + 1;
    } else if (conns->high < conns->limit) {
        slot = conns->high++;
        conn = &conns->table[slot];
    } else {
        return NULL;
    }
    *conn = (struct conn){.generation = generation, .slot = slot, .fd = -1};
    return conn;
}

void conn_free_slot(struct loop *loop, struct conn *conn) {
    must(!conn->receiving && !conn->sending && !conn->ready && !conn->starving);
    timer_stop(&loop->timers, &conn->timer);
    free(conn->header);
    conn->header = NULL;
    conn->phase = CONN_FREE;
    conn->ready_next = loop->conns.free_first;
    loop->conns.free_first = conn->slot;
}

struct conn *conn_of(struct conns *conns, const struct ring_completion *completion) {
    if (completion->slot >= conns->high)
        return NULL;
    struct conn *conn = &conns->table[completion->slot];
    return conn->phase != CONN_FREE && conn->generation == completion->generation ? conn : NULL;
}

static struct ring_file file_of(const struct conn *conn) {
    return conn->fd >= 0 ? (struct ring_file){conn->fd, false} : (struct ring_file){(int)conn->slot, true};
}

static uint64_t handle_of(const struct conn *conn, enum ring_op op) {
    return ring_handle(op, conn->slot, conn->generation);
}

/* --- receive -------------------------------------------------------------------------------------------- */

void conn_receive(struct loop *loop, struct conn *conn) {
    bool wanted = conn->phase == CONN_PROXY || conn->phase == CONN_OPEN;
    if (!wanted || conn->receiving || conn->paused || conn->starving || conn->ended)
        return;
    conn->receiving = true;
    if (conn->parked) {
        ring_poll(loop->ring, file_of(conn), handle_of(conn, RING_RECV));
        return;
    }
    if (conn->sips == 0) {
        ring_recv(loop->ring, file_of(conn), BUFFER_GROUP, handle_of(conn, RING_RECV));
        return;
    }
    conn->sips--;
    ring_recv_once(loop->ring, file_of(conn), BUFFER_GROUP, handle_of(conn, RING_RECV));
}

void conn_cancel_receive(struct loop *loop, struct conn *conn) {
    if (!conn->receiving || conn->receive_cancelled)
        return;
    conn->receive_cancelled = true;
    ring_cancel(loop->ring, handle_of(conn, RING_RECV), handle_of(conn, RING_CANCEL));
}

void conn_pause(struct loop *loop, struct conn *conn) {
    conn->paused = true;
    conn->sips = SIPS_AFTER_PAUSE;
    conn_cancel_receive(loop, conn);
}

void conn_resume(struct loop *loop, struct conn *conn) {
    conn->paused = false;
    conn_receive(loop, conn);
}

/* Where the receive ends with bytes instead, it is not parked: see conn_received. */
void conn_park(struct loop *loop, struct conn *conn) {
    if (conn->phase != CONN_OPEN || conn->parked)
        return;
    conn->parked = true;
    stats_add(loop->stats->input_parked, 1);
    conn_cancel_receive(loop, conn);
}

static void take_input(struct loop *loop, struct conn *conn, struct buf *buf, uint32_t bytes) {
    stats_add(loop->stats->bytes_in, bytes);
    if (conn->phase == CONN_OPEN) {
        shard_input(loop->shard, conn->slot, buf, 0, bytes);
        return;
    }
    if (conn->phase == CONN_PROXY) {
        conn_take_header(loop, conn, buf, bytes);
        return;
    }
    if (conn->phase == CONN_MOVING)
        conn_keep_input(conn, buf, bytes);
    buf->refs = 0;
    bufring_give_back(loop->bufring, buf);
}

static void input_ended(struct loop *loop, struct conn *conn, int error) {
    conn->ended = true;
    if (conn->phase == CONN_OPEN)
        shard_ended(loop->shard, conn->slot, error);
    else if (conn->phase == CONN_PROXY)
        conn_refuse(loop, conn, error ? CLOSE_PEER_RESET : CLOSE_TRUNCATED);
}

/* At the end of the list: who waited longest is served first, and who floods waits with the others. */
static void starve(struct loop *loop, struct conn *conn) {
    stats_add(loop->stats->bufs_exhausted, 1);
    if (conn->phase != CONN_PROXY && conn->phase != CONN_OPEN)
        return; /* it reads no more */
    conn->starving = true;
    conn->starving_next = CONN_NONE;
    conn->starving_prev = loop->starving_last;
    *(conn->starving_prev == CONN_NONE ? &loop->starving_first
                                       : &loop->conns.table[conn->starving_prev].starving_next) = conn->slot;
    loop->starving_last = conn->slot;
}

void conn_feed(struct loop *loop, struct conn *conn) {
    struct conn *table = loop->conns.table;
    if (!conn->starving)
        return;
    conn->starving = false;
    *(conn->starving_prev == CONN_NONE ? &loop->starving_first : &table[conn->starving_prev].starving_next) =
        conn->starving_next;
    *(conn->starving_next == CONN_NONE ? &loop->starving_last : &table[conn->starving_next].starving_prev) =
        conn->starving_prev;
    conn_receive(loop, conn);
}

void conn_received(struct loop *loop, struct conn *conn, const struct ring_completion *completion) {
    int32_t result = completion->result;
    if (result != -ECANCELED)
        conn->parked = false; /* a poll that saw something, or bytes */
    if (!completion->more) {
        conn->receiving = false;
        conn->receive_cancelled = false;
    }
    if (completion->has_buffer) {
        struct buf *buf = bufring_lend(loop->bufring, completion->buffer);
        if (result > 0) {
            take_input(loop, conn, buf, (uint32_t)result);
        } else {
            buf->refs = 0;
            bufring_give_back(loop->bufring, buf);
        }
    }
    if (result == -ENOBUFS)
        starve(loop, conn);
    else if (result == 0)
        input_ended(loop, conn, 0);
    else if (result < 0 && result != -ECANCELED && result != -EINTR && result != -EAGAIN)
        input_ended(loop, conn, -result);
    if (conn->phase == CONN_CLOSING || conn->phase == CONN_MOVING)
        conn_flush(loop, conn);
    else
        conn_receive(loop, conn);
}

/* --- send and close ------------------------------------------------------------------------------------- */

static void release_out(struct loop *loop, struct conn *conn) {
    loop_give_send_buffer(loop, conn->out);
    conn->out = NULL;
}

/* Records, one after the other, as long as there is room. */
static void gather(struct loop *loop, struct conn *conn) {
    uint32_t capacity = SEND_BYTES;
    conn->out = loop_take_send_buffer(loop, capacity);
    uint32_t used = 0;
    while (conn->out && capacity - used >= SEND_ROOM_MIN) {
        size_t needed = 0;
        size_t bytes =
            shard_output(loop->shard, conn->slot, conn->out->data + used, capacity - used, &needed);
        if (bytes == 0 && used == 0 && needed > capacity && needed <= SEND_BYTES_LARGE) {
            loop_give_send_buffer(loop, conn->out);
            capacity = SEND_BYTES_LARGE;
            conn->out = loop_take_send_buffer(loop, capacity);
            continue;
        }
        if (bytes == 0)
            break;
        used += (uint32_t)bytes;
    }
    if (conn->out)
        conn->out->bytes = used;
}

static void start_close(struct loop *loop, struct conn *conn) {
    conn->closing = true;
    timer_stop(&loop->timers, &conn->timer);
    ring_close(loop->ring, file_of(conn), handle_of(conn, RING_CLOSE));
}

static void send_out(struct loop *loop, struct conn *conn) {
    const struct send_buffer *out = conn->out;
    conn->sending = true;
    ring_send(loop->ring, file_of(conn), out->data + out->done, out->bytes - out->done,
              handle_of(conn, RING_SEND));
}

/* No memory for what it has to say: nobody would come back for it. */
static void give_up(struct loop *loop, struct conn *conn) {
    conn->late = true;
    shard_refuse(loop->shard, conn->slot, CLOSE_OVERLOAD);
}

void conn_flush(struct loop *loop, struct conn *conn) {
    if (conn->sending || conn->closing || conn->phase == CONN_FREE)
        return;
    bool speaks = conn->phase == CONN_OPEN || (conn->phase == CONN_CLOSING && !conn->late);
    if (speaks) {
        gather(loop, conn);
        if (conn->out && conn->out->bytes) {
            send_out(loop, conn);
            return;
        }
        if (conn->out)
            release_out(loop, conn);
        else
            give_up(loop, conn);
    }
    if (conn->receiving || conn->ready)
        return;
    if (conn->phase == CONN_CLOSING)
        start_close(loop, conn);
    else if (conn->phase == CONN_MOVING)
        conn_finish_move(loop, conn);
}

void conn_sent(struct loop *loop, struct conn *conn, int32_t result) {
    conn->sending = false;
    if (result > 0) {
        stats_add(loop->stats->bytes_out, result);
        conn->out->done += (uint32_t)result;
    }
    bool rest = conn->out->done < conn->out->bytes;
    /* A send that was cancelled halfway says how far it came: late is late. */
    bool broken = (result <= 0 && result != -EINTR && result != -EAGAIN) || (rest && conn->late);
    if (!broken && rest) {
        send_out(loop, conn);
        return;
    }
    release_out(loop, conn);
    if (broken) {
        conn->late = true; /* nothing more can be said */
        if (conn->phase == CONN_OPEN && !conn->ended) {
            conn->ended = true;
            shard_ended(loop->shard, conn->slot, result >= 0 ? EPIPE : -result);
        }
    }
    loop_ready(loop, conn);
}

void conn_close(struct loop *loop, struct conn *conn) {
    if (conn->phase == CONN_CLOSING)
        return;
    conn->phase = CONN_CLOSING;
    conn_feed(loop, conn); /* it waits for no buffer any more */
    conn_cancel_receive(loop, conn);
    timer_start(&loop->timers, &conn->timer, loop->now_ms + CLOSE_GRACE_MS);
    loop_ready(loop, conn);
}

/* The grace time is over, or the time for the PROXY header. What is in flight is cancelled, again and again
 * until it is gone: a cancel may come at a moment when the kernel does not find the request. */
void conn_late(struct loop *loop, struct conn *conn) {
    if (conn->phase == CONN_PROXY) {
        conn_refuse(loop, conn, CLOSE_HANDSHAKE_TIMEOUT);
        return;
    }
    conn->late = true;
    conn->receive_cancelled = false;
    conn_cancel_receive(loop, conn);
    if (conn->sending)
        ring_cancel(loop->ring, handle_of(conn, RING_SEND), handle_of(conn, RING_CANCEL));
    timer_start(&loop->timers, &conn->timer, loop->now_ms + CLOSE_GRACE_MS);
    loop_ready(loop, conn);
}

static void leave_address(struct loop *loop, struct conn *conn) {
    if (conn->counted)
        addresses_leave(loop->group->addresses, &conn->address, conn->pending);
    conn->counted = conn->pending = false;
}

void conn_closed(struct loop *loop, struct conn *conn) {
    uint32_t slot = conn->slot;
    leave_address(loop, conn);
    conn->fd = -1;
    conn_free_slot(loop, conn);
    shard_closed(loop->shard, slot);
}

/* At the loop's end: what never was a session, or is none any more. The ring is gone, nothing is in
 * flight. */
void conns_close(struct conns *conns, struct shard *shard) {
    for (uint32_t i = 0; i < conns->high; i++) {
        struct conn *conn = &conns->table[i];
        if (conn->phase == CONN_FREE)
            continue;
        if (conn->fd >= 0)
            close(conn->fd);
        free(conn->header);
        free(conn->out);
        if (conn->phase == CONN_MOVING)
            conn_drop_move(shard, conn);
        conn->phase = CONN_FREE;
    }
}
