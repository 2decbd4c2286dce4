#include "io/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/must.h"
#include "io/loop_inside.h"
#include "io/proxy.h"

#define CLOSE_GRACE_MS 1000 /* for the last output of a connection that is being closed */
#define SEND_ROOM_MIN 1024  /* less room than that in a send buffer is not worth a record */
#define BUFFER_GROUP 0

/* --- slots ---------------------------------------------------------------------------------------------------------------- */

int conns_create(struct conns *conns, uint32_t limit) {
    *conns = (struct conns){.limit = limit, .free_first = CONN_NONE};
    conns->table = calloc(limit, sizeof(*conns->table));
    return conns->table ? 0 : -ENOMEM;
}

void conns_destroy(struct conns *conns) {
    free(conns->table);
}

static struct conn *take_slot(struct conns *conns) {
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

static void free_slot(struct loop *loop, struct conn *conn) {
    must(!conn->receiving && !conn->sending && !conn->ready);
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

/* --- accept ---------------------------------------------------------------------------------------------------------------- */

static void refuse_socket(struct loop *loop, int fd, enum close_reason reason) {
    stats_add(loop->stats->closed[reason], 1);
    close(fd);
}

static void leave_address(struct loop *loop, struct conn *conn) {
    if (conn->counted)
        addresses_leave(loop->group->addresses, &conn->address);
    conn->counted = false;
}

/* The session begins. False: the connection is being closed. */
static bool begin(struct loop *loop, struct conn *conn) {
    char text[ADDRESS_TEXT_BYTES];
    enum close_reason reason = CLOSE_NONE;
    conn->phase = CONN_OPEN;
    if (addresses_enter(loop->group->addresses, &conn->address, loop->now_ms, &conn->counted) < 0) {
        reason = CLOSE_ADDRESS_LIMIT;
    } else {
        address_text(&conn->address, text, sizeof(text));
        int error = shard_accepted(loop->shard, conn->slot, text, conn->plaintext);
        if (error)
            reason = error == -EAGAIN ? CLOSE_DRAINING : CLOSE_OVERLOAD;
    }
    if (!reason)
        return true;
    stats_add(loop->stats->closed[reason], 1);
    conn_close(loop, conn);
    return false;
}

static bool is_proxy(const struct loop_group *group, const struct address *address) {
    for (uint32_t i = 0; i < group->proxy_count; i++) {
        if (network_has(&group->proxies[i], address->bytes))
            return true;
    }
    return false;
}

void conn_accept(struct loop *loop, int fd, bool plaintext) {
    struct sockaddr_storage from;
    socklen_t from_bytes = sizeof(from);
    if (getpeername(fd, (struct sockaddr *)&from, &from_bytes) < 0) {
        refuse_socket(loop, fd, CLOSE_PEER_RESET);
        return;
    }
    struct address address;
    address_from_socket(&from, &address);
    bool proxied = loop->config->proxy_protocol && !plaintext;
    if (proxied && !is_proxy(loop->group, &address)) {
        refuse_socket(loop, fd, CLOSE_BAD_PROXY);
        return;
    }
    struct conn *conn = take_slot(&loop->conns);
    if (!conn) {
        refuse_socket(loop, fd, CLOSE_OVERLOAD);
        return;
    }
    conn->fd = fd;
    conn->plaintext = plaintext;
    conn->address = address;
    if (proxied) {
        conn->phase = CONN_PROXY;
        timer_start(&loop->timers, &conn->timer, loop->now_ms + loop->config->handshake_ms);
    } else if (!begin(loop, conn)) {
        return;
    }
    conn_receive(loop, conn);
}

/* --- the PROXY header ------------------------------------------------------------------------------------------------------ */

static void refuse_proxy(struct loop *loop, struct conn *conn, enum close_reason reason) {
    stats_add(loop->stats->closed[reason], 1);
    conn_close(loop, conn);
}

/* What comes before the hello. Consumes the buffer. */
static void take_header(struct loop *loop, struct conn *conn, struct buf *buf, uint32_t bytes) {
    if (!conn->header)
        conn->header = malloc(PROXY_BYTES_MAX);
    uint32_t before = conn->header_bytes;
    uint32_t take = bytes < PROXY_BYTES_MAX - before ? bytes : PROXY_BYTES_MAX - before;
    int header_bytes = -ENOMEM;
    if (conn->header) {
        memcpy(conn->header + before, buf->data, take);
        conn->header_bytes += take;
        header_bytes = proxy_read(conn->header, conn->header_bytes, &conn->address);
    }
    bool complete = header_bytes > 0;
    if (header_bytes < 0)
        refuse_proxy(loop, conn, CLOSE_BAD_PROXY);
    if (!complete || !begin(loop, conn)) {
        buf->refs = 0;
        bufring_give_back(loop->bufring, buf);
        return;
    }
    timer_stop(&loop->timers, &conn->timer);
    uint32_t used = (uint32_t)header_bytes - before;
    if (used < bytes) {
        shard_input(loop->shard, conn->slot, buf, used, bytes - used);
    } else {
        buf->refs = 0;
        bufring_give_back(loop->bufring, buf);
    }
}

/* --- receive ---------------------------------------------------------------------------------------------------------------- */

void conn_receive(struct loop *loop, struct conn *conn) {
    bool wanted = conn->phase == CONN_PROXY || conn->phase == CONN_OPEN;
    if (!wanted || conn->receiving || conn->paused || conn->starving || conn->ended)
        return;
    conn->receiving = true;
    ring_recv(loop->ring, file_of(conn), BUFFER_GROUP, handle_of(conn, RING_RECV));
}

static void cancel_receive(struct loop *loop, struct conn *conn) {
    if (!conn->receiving || conn->receive_cancelled)
        return;
    conn->receive_cancelled = true;
    ring_cancel(loop->ring, handle_of(conn, RING_RECV), handle_of(conn, RING_CANCEL));
}

void conn_pause(struct loop *loop, struct conn *conn) {
    conn->paused = true;
    cancel_receive(loop, conn);
}

void conn_resume(struct loop *loop, struct conn *conn) {
    conn->paused = false;
    conn_receive(loop, conn);
}

/* Came after the session was handed over: goes along in memory of the target. */
static void keep_input(struct conn *conn, const struct buf *buf, uint32_t bytes) {
    struct kept *kept = calloc(1, sizeof(*kept));
    struct buf *copy = malloc(sizeof(*copy) + bytes);
    if (!kept || !copy) { /* the stream has a hole: nothing after it may be read */
        free(kept);
        free(copy);
        shutdown(conn->fd, SHUT_RDWR);
        return;
    }
    *copy = (struct buf){
        .data = (uint8_t *)(copy + 1), .capacity = bytes, .refs = 1, .owner = (uint16_t)conn->target, .kind = BUF_HEAP};
    memcpy(copy->data, buf->data, bytes);
    kept->buf = copy;
    if (conn->baggage->kept_tail)
        conn->baggage->kept_tail->next = kept;
    else
        conn->baggage->kept = kept;
    conn->baggage->kept_tail = kept;
}

static void take_input(struct loop *loop, struct conn *conn, struct buf *buf, uint32_t bytes) {
    stats_add(loop->stats->bytes_in, bytes);
    if (conn->phase == CONN_OPEN) {
        shard_input(loop->shard, conn->slot, buf, 0, bytes);
        return;
    }
    if (conn->phase == CONN_PROXY) {
        take_header(loop, conn, buf, bytes);
        return;
    }
    if (conn->phase == CONN_MOVING)
        keep_input(conn, buf, bytes);
    buf->refs = 0;
    bufring_give_back(loop->bufring, buf);
}

static void input_ended(struct loop *loop, struct conn *conn, int error) {
    conn->ended = true;
    if (conn->phase == CONN_OPEN)
        shard_ended(loop->shard, conn->slot, error);
    else if (conn->phase == CONN_PROXY)
        refuse_proxy(loop, conn, error ? CLOSE_PEER_RESET : CLOSE_TRUNCATED);
}

static void starve(struct loop *loop, struct conn *conn) {
    stats_add(loop->stats->bufs_exhausted, 1);
    conn->starving = true;
    conn->starving_next = loop->starving_first;
    loop->starving_first = conn->slot;
}

void conn_received(struct loop *loop, struct conn *conn, const struct ring_completion *completion) {
    int32_t result = completion->result;
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

/* --- moving home ------------------------------------------------------------------------------------------------------------- */

/* A direct descriptor takes no place in the process's table, and is found faster. */
void conn_settle(struct loop *loop, struct conn *conn) {
    if (conn->fd < 0 || conn->slot >= ring_files(loop->ring))
        return;
    if (ring_install(loop->ring, conn->slot, conn->fd) < 0)
        return; /* it stays as it is */
    close(conn->fd);
    conn->fd = -1;
}

void conn_move(struct loop *loop, struct conn *conn, uint32_t target, struct session_move *move) {
    must(conn->phase == CONN_OPEN && conn->fd >= 0);
    conn->phase = CONN_MOVING;
    conn->target = target;
    conn->move = move;
    conn->baggage = calloc(1, sizeof(*conn->baggage));
    if (!conn->baggage) {
        shard_move_failed(loop->shard, move);
        conn->phase = CONN_OPEN;
        conn_close(loop, conn);
        return;
    }
    cancel_receive(loop, conn);
    loop_ready(loop, conn);
}

static void finish_move(struct loop *loop, struct conn *conn) {
    struct session_move *move = conn->move;
    *conn->baggage = (struct baggage){
        .address = conn->address,
        .kept = conn->baggage->kept,
        .kept_tail = conn->baggage->kept_tail,
        .counted = conn->counted,
        .plaintext = conn->plaintext,
    };
    move->fd = conn->fd;
    move->io = conn->baggage;
    struct note note = {.kind = NOTE_MOVE, .move = move};
    lanes_post(loop->lanes, loop->index, conn->target, &note);
    conn->fd = -1;
    free_slot(loop, conn);
}

void conn_arrive(struct loop *loop, struct session_move *move) {
    struct baggage *baggage = move->io;
    struct kept *kept = baggage->kept;
    int fd = move->fd;
    struct conn *conn = take_slot(&loop->conns);
    if (conn) {
        conn->fd = fd;
        conn->phase = CONN_OPEN;
        conn->address = baggage->address;
        conn->counted = baggage->counted;
        conn->plaintext = baggage->plaintext;
        shard_moved_in(loop->shard, conn->slot, move);
    } else {
        if (baggage->counted)
            addresses_leave(loop->group->addresses, &baggage->address);
        shard_move_failed(loop->shard, move);
        close(fd);
    }
    while (kept) {
        struct kept *next = kept->next;
        if (conn && conn->phase == CONN_OPEN)
            shard_input(loop->shard, conn->slot, kept->buf, 0, kept->buf->capacity);
        else
            free(kept->buf);
        free(kept);
        kept = next;
    }
    free(baggage);
    if (conn)
        conn_receive(loop, conn);
}

/* --- send and close ------------------------------------------------------------------------------------------------------- */

static void release_out(struct loop *loop, struct conn *conn) {
    loop_give_send_buffer(loop, conn->out);
    conn->out = NULL;
    conn->out_bytes = conn->out_done = 0;
}

/* Records, one after the other, as long as there is room. */
static uint32_t gather(struct loop *loop, struct conn *conn) {
    uint32_t capacity = SEND_BYTES;
    conn->out = loop_take_send_buffer(loop, capacity);
    uint32_t used = 0;
    while (conn->out && capacity - used >= SEND_ROOM_MIN) {
        size_t needed = 0;
        size_t bytes = shard_output(loop->shard, conn->slot, conn->out->data + used, capacity - used, &needed);
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
    return used;
}

static void start_close(struct loop *loop, struct conn *conn) {
    conn->closing = true;
    timer_stop(&loop->timers, &conn->timer);
    ring_close(loop->ring, file_of(conn), handle_of(conn, RING_CLOSE));
}

static void send_out(struct loop *loop, struct conn *conn) {
    conn->sending = true;
    ring_send(loop->ring, file_of(conn), conn->out->data + conn->out_done, conn->out_bytes - conn->out_done,
              handle_of(conn, RING_SEND));
}

void conn_flush(struct loop *loop, struct conn *conn) {
    if (conn->sending || conn->closing || conn->phase == CONN_FREE)
        return;
    bool speaks = conn->phase == CONN_OPEN || (conn->phase == CONN_CLOSING && !conn->late);
    if (speaks) {
        conn->out_bytes = gather(loop, conn);
        if (conn->out_bytes) {
            send_out(loop, conn);
            return;
        }
        if (conn->out)
            release_out(loop, conn);
    }
    if (conn->receiving || conn->ready)
        return;
    if (conn->phase == CONN_CLOSING)
        start_close(loop, conn);
    else if (conn->phase == CONN_MOVING)
        finish_move(loop, conn);
}

void conn_sent(struct loop *loop, struct conn *conn, int32_t result) {
    conn->sending = false;
    if (result > 0) {
        stats_add(loop->stats->bytes_out, result);
        conn->out_done += (uint32_t)result;
    }
    bool broken = result <= 0 && result != -EINTR && result != -EAGAIN;
    if (!broken && conn->out_done < conn->out_bytes) {
        send_out(loop, conn);
        return;
    }
    release_out(loop, conn);
    if (broken) {
        conn->late = true; /* nothing more can be said */
        if (conn->phase == CONN_OPEN && !conn->ended) {
            conn->ended = true;
            shard_ended(loop->shard, conn->slot, result == 0 ? EPIPE : -result);
        }
    }
    loop_ready(loop, conn);
}

void conn_close(struct loop *loop, struct conn *conn) {
    if (conn->phase == CONN_CLOSING)
        return;
    conn->phase = CONN_CLOSING;
    cancel_receive(loop, conn);
    timer_start(&loop->timers, &conn->timer, loop->now_ms + CLOSE_GRACE_MS);
    loop_ready(loop, conn);
}

/* The grace time is over, or the time for the PROXY header. */
void conn_late(struct loop *loop, struct conn *conn) {
    if (conn->phase == CONN_PROXY) {
        refuse_proxy(loop, conn, CLOSE_HANDSHAKE_TIMEOUT);
        return;
    }
    conn->late = true;
    if (conn->sending && !conn->send_cancelled) {
        conn->send_cancelled = true;
        ring_cancel(loop->ring, handle_of(conn, RING_SEND), handle_of(conn, RING_CANCEL));
    }
    loop_ready(loop, conn);
}

void conn_closed(struct loop *loop, struct conn *conn) {
    uint32_t slot = conn->slot;
    leave_address(loop, conn);
    conn->fd = -1;
    free_slot(loop, conn);
    shard_closed(loop->shard, slot);
}
