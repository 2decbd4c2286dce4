/* How connections come: accepted or refused, and the PROXY header where one is expected. */
#include "io/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/hello.h"
#include "io/loop_inside.h"
#include "io/proxy.h"

/* --- accept --------------------------------------------------------------------------------------------- */

/* A limit is told without waiting for the peer's hello, which costs a connection more. If it does not fit the
 * socket's buffer, an empty one, the peer is gone anyway. */
static void tell(int fd, enum close_reason reason) {
    static const uint8_t statuses[CLOSE_REASON_COUNT] = {
        [CLOSE_OVERLOAD] = HELLO_OVERLOAD,
        [CLOSE_DRAINING] = HELLO_OVERLOAD,
        [CLOSE_ADDRESS_LIMIT] = HELLO_ADDRESS_LIMIT,
        [CLOSE_CONNECTION_LIMIT] = HELLO_CONNECTION_LIMIT,
        [CLOSE_PENDING_LIMIT] = HELLO_PENDING_LIMIT,
        [CLOSE_ADDRESS_RATE] = HELLO_ADDRESS_RATE,
        [CLOSE_ADDRESS_PENDING] = HELLO_ADDRESS_PENDING,
    };
    uint8_t out[HELLO_BYTES];
    struct hello_server answer = {.status = statuses[reason]};
    if (answer.status == HELLO_OK)
        return;
    hello_write_server(out, &answer);
    (void)send(fd, out, sizeof(out), MSG_DONTWAIT | MSG_NOSIGNAL);
}

void conn_refuse_socket(struct loop *loop, int fd, enum close_reason reason) {
    stats_add(loop->stats->closed[reason], 1);
    tell(fd, reason);
    close(fd);
}

void conn_refuse(struct loop *loop, struct conn *conn, enum close_reason reason) {
    stats_add(loop->stats->closed[reason], 1);
    tell(conn->fd, reason);
    conn_close(loop, conn);
}

static enum close_reason enter(struct loop *loop, struct conn *conn) {
    bool counted = false;
    int error = addresses_enter(loop->group->addresses, &conn->address, loop->now_ms, &counted);
    conn->counted = conn->pending = counted;
    if (error)
        return error == -EAGAIN  ? CLOSE_ADDRESS_RATE
               : error == -EBUSY ? CLOSE_ADDRESS_PENDING
                                 : CLOSE_ADDRESS_LIMIT;
    error = shard_accepted(loop->shard, conn->slot, conn->plaintext, !conn->counted);
    if (!error)
        return CLOSE_NONE;
    return error == -EAGAIN ? CLOSE_DRAINING : error == -EBUSY ? CLOSE_PENDING_LIMIT : CLOSE_OVERLOAD;
}

/* The session begins. False: the connection is being closed. */
static bool begin(struct loop *loop, struct conn *conn) {
    conn->phase = CONN_OPEN;
    enum close_reason reason = enter(loop, conn);
    if (!reason)
        return true;
    conn_refuse(loop, conn, reason);
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
        conn_refuse_socket(loop, fd, CLOSE_PEER_RESET);
        return;
    }
    struct address address;
    address_from_socket(&from, &address);
    bool proxied = loop->config->proxy_protocol && !plaintext;
    if (proxied && !is_proxy(loop->group, &address)) {
        conn_refuse_socket(loop, fd, CLOSE_BAD_PROXY);
        return;
    }
    struct conn *conn = conn_take_slot(&loop->conns);
    if (!conn) {
        conn_refuse_socket(loop, fd, CLOSE_CONNECTION_LIMIT);
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

/* --- the PROXY header ----------------------------------------------------------------------------------- */

struct header {
    uint32_t count;
    uint8_t bytes[PROXY_BYTES_MAX];
};

static void drop(struct loop *loop, struct buf *buf) {
    buf->refs = 0;
    bufring_give_back(loop->bufring, buf);
}

void conn_take_header(struct loop *loop, struct conn *conn, struct buf *buf, uint32_t bytes) {
    if (!conn->header)
        conn->header = calloc(1, sizeof(*conn->header));
    struct header *header = conn->header;
    uint32_t before = header ? header->count : 0;
    uint32_t take = bytes < PROXY_BYTES_MAX - before ? bytes : PROXY_BYTES_MAX - before;
    int header_bytes = -ENOMEM;
    if (header) {
        memcpy(header->bytes + before, buf->data, take);
        header->count += take;
        header_bytes = proxy_read(header->bytes, header->count, &conn->address);
    }
    if (header_bytes < 0)
        conn_refuse(loop, conn, header_bytes == -ENOMEM ? CLOSE_OVERLOAD : CLOSE_BAD_PROXY);
    if (header_bytes <= 0) {
        drop(loop, buf);
        return;
    }
    free(conn->header);
    conn->header = NULL;
    timer_stop(&loop->timers, &conn->timer);
    uint32_t used = (uint32_t)header_bytes - before;
    if (begin(loop, conn) && used < bytes)
        shard_input(loop->shard, conn->slot, buf, used, bytes - used);
    else
        drop(loop, buf);
}
