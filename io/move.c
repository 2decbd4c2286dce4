/* How connections settle on their shard, or go to another, their home. */
#include "io/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/crash.h"
#include "core/must.h"
#include "io/loop_inside.h"

/* --- settling, and moving home -------------------------------------------------------------------------- */

/* A direct descriptor takes no place in the process's table, and is found faster. */
void conn_settle(struct loop *loop, struct conn *conn) {
    if (conn->pending)
        addresses_settle(loop->group->addresses, &conn->address);
    conn->pending = false;
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
    conn->baggage = calloc(1, sizeof(*conn->baggage));
    if (!conn->baggage) {
        shard_move_failed(loop->shard, move);
        conn->phase = CONN_OPEN;
        conn_close(loop, conn);
        return;
    }
    *conn->baggage = (struct baggage){.move = move, .target = target};
    conn_feed(loop, conn); /* it waits for no buffer here any more */
    conn_cancel_receive(loop, conn);
    loop_ready(loop, conn);
}

/* Where there is no memory the stream has a hole: nothing after it may be read. */
void conn_keep_input(struct conn *conn, const struct buf *buf, uint32_t bytes) {
    if (conn->ended)
        return;
    struct kept *kept = calloc(1, sizeof(*kept));
    struct buf *copy = malloc(sizeof(*copy) + bytes);
    if (!kept || !copy) {
        free(kept);
        free(copy);
        conn->ended = true;
        shutdown(conn->fd, SHUT_RDWR);
        return;
    }
    *copy = (struct buf){.data = (uint8_t *)(copy + 1),
                         .capacity = bytes,
                         .refs = 1,
                         .owner = (uint16_t)conn->baggage->target,
                         .kind = BUF_HEAP};
    memcpy(copy->data, buf->data, bytes);
    kept->buf = copy;
    if (conn->baggage->kept_tail)
        conn->baggage->kept_tail->next = kept;
    else
        conn->baggage->kept = kept;
    conn->baggage->kept_tail = kept;
}

void conn_finish_move(struct loop *loop, struct conn *conn) {
    struct baggage *baggage = conn->baggage;
    struct session_move *move = baggage->move;
    baggage->address = conn->address;
    baggage->counted = conn->counted;
    baggage->pending = conn->pending;
    baggage->plaintext = conn->plaintext;
    crash_point(before_move);
    move->fd = conn->fd;
    move->io = baggage;
    struct note note = {.kind = NOTE_MOVE, .move = move};
    lanes_post(loop->lanes, loop->index, baggage->target, &note);
    conn->fd = -1;
    conn_free_slot(loop, conn);
}

void conn_arrive(struct loop *loop, struct session_move *move) {
    struct baggage *baggage = move->io;
    struct kept *kept = baggage->kept;
    int fd = move->fd;
    struct conn *conn = conn_take_slot(&loop->conns);
    if (conn) {
        conn->fd = fd;
        conn->phase = CONN_OPEN;
        conn->address = baggage->address;
        conn->counted = baggage->counted;
        conn->pending = baggage->pending;
        conn->plaintext = baggage->plaintext;
        shard_moved_in(loop->shard, conn->slot, move);
        crash_point(after_move);
    } else {
        if (baggage->counted)
            addresses_leave(loop->group->addresses, &baggage->address, baggage->pending);
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

void conn_drop_move(struct shard *shard, struct conn *conn) {
    while (conn->baggage->kept) {
        struct kept *kept = conn->baggage->kept;
        conn->baggage->kept = kept->next;
        free(kept->buf);
        free(kept);
    }
    shard_move_failed(shard, conn->baggage->move);
    free(conn->baggage);
}
