/* Listeners: opening them, accepting, and what happens where the descriptor table is full. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/port.h"
#include "io/loop_inside.h"

#define LISTEN_BACKLOG 4096
#define PORT_WAIT_MS 5000
#define PORT_RETRY_MS 20
#define ACCEPT_AGAIN_MS 100  /* after an accept failed */
#define REFUSED_AT_A_TIME 64 /* connections refused then, for want of descriptors */
#define ACCEPT_LOG_EVERY_MS 60000

/* --- opening -------------------------------------------------------------------------------------------- */

/* A bound socket; shared: other sockets of ours may have the same port. Its descriptor or negative errno. */
static int open_socket(const char *text, uint16_t port, bool shared) {
    char host[CONFIG_TEXT_BYTES];
    char service[8];
    uint16_t asked;
    if (network_host_port(text, host, sizeof(host), &asked) < 0)
        return -EINVAL;
    snprintf(service, sizeof(service), "%u", (unsigned)(port ? port : asked));
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *found;
    if (getaddrinfo(host, service, &hints, &found) != 0)
        return -EINVAL;
    int one = 1;
    int error = 0;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        error = -errno;
        freeaddrinfo(found);
        return error;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (shared)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
    if (found->ai_family == AF_INET6) /* else [::] would collide with 0.0.0.0 on the same port */
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
    if (bind(fd, found->ai_addr, found->ai_addrlen) < 0)
        error = -errno;
    freeaddrinfo(found);
    if (!error)
        return fd;
    close(fd);
    return error;
}

static int open_listener(const char *text, uint16_t port, uint16_t *ret_port) {
    struct sockaddr_storage bound;
    socklen_t bound_bytes = sizeof(bound);
    int one = 1;
    int fd = open_socket(text, port, true);
    if (fd < 0)
        return fd;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* inherited by what is accepted */
    if (listen(fd, LISTEN_BACKLOG) < 0 || getsockname(fd, (struct sockaddr *)&bound, &bound_bytes) < 0) {
        int error = -errno;
        close(fd);
        return error;
    }
    struct address address;
    address_from_socket(&bound, &address);
    *ret_port = address.port;
    return fd;
}

/* A port in use by another process of this user would be shared by SO_REUSEPORT; nobody wants that. The
 * listeners of a switch that was killed stay for a moment, until the kernel has taken its rings down: that is
 * waited for. */
static int check_port_free(const char *text) {
    char host[CONFIG_TEXT_BYTES];
    uint16_t port;
    if (network_host_port(text, host, sizeof(host), &port) < 0)
        return -EINVAL;
    if (port == 0)
        return 0;
    int fd = open_socket(text, 0, false);
    if (fd == -EADDRINUSE)
        port_log("listen_waits address=%s wait_ms=%d", text, PORT_WAIT_MS);
    for (int waited_ms = 0; fd == -EADDRINUSE && waited_ms < PORT_WAIT_MS; waited_ms += PORT_RETRY_MS) {
        nanosleep(&(struct timespec){.tv_nsec = PORT_RETRY_MS * 1000000L}, NULL);
        fd = open_socket(text, 0, false);
    }
    if (fd < 0)
        return fd;
    close(fd);
    return 0;
}

/* What is accepted inherits: when the kernel gives a peer up that acknowledges nothing, a quarter of an hour
 * else, long after the connection is closed here; and how much of a socket that is not read it keeps, which
 * it would let grow to tcp_rmem's most else (it reckons with twice what it is told). */
static void set_inherited(int fd, const struct config *config) {
    unsigned int give_up_ms = (unsigned int)(config->idle_s * 1000);
    int bytes = (int)config->socket_bytes;
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &give_up_ms, sizeof(give_up_ms));
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
}

void loop_listeners_reload(struct loop_group *group, const struct config *config) {
    for (uint32_t i = 0; i < group->count; i++) {
        for (uint32_t j = 0; j < group->loops[i].listener_count; j++)
            set_inherited(group->loops[i].listeners[j].fd, config);
    }
}

static int open_on_all(struct loop_group *group, const char *text, bool plaintext) {
    uint16_t port = 0;
    int error = check_port_free(text);
    if (error)
        return error;
    for (uint32_t i = 0; i < group->count; i++) {
        struct loop *loop = &group->loops[i];
        int fd = open_listener(text, port, &port);
        if (fd < 0)
            return fd;
        loop->listeners[loop->listener_count++] = (struct listener){.fd = fd, .plaintext = plaintext};
    }
    const char *colon = strrchr(text, ':');
    snprintf(group->names[group->name_count++], CONFIG_TEXT_BYTES, "%.*s:%u", (int)(colon - text), text,
             port);
    return 0;
}

int loop_open_listeners(struct loop_group *group, const struct config *config, char *ret_error,
                        size_t error_bytes) {
    uint32_t count = config_list_count(config->listen, config->listen_count);
    uint32_t plain = config_list_count(config->plaintext_listen, config->plaintext_listen_count);
    group->names = calloc(count + plain, sizeof(*group->names));
    if (!group->names)
        return -ENOMEM;
    for (uint32_t i = 0; i < count + plain; i++) {
        const char *text = i < count ? config->listen[i] : config->plaintext_listen[i - count];
        int error = open_on_all(group, text, i >= count);
        if (error) {
            snprintf(ret_error, error_bytes, "listen %s: %s", text, strerror(-error));
            return error;
        }
    }
    loop_listeners_reload(group, config);
    return 0;
}

/* --- accepting ------------------------------------------------------------------------------------------ */

void loop_listen(struct loop *loop) {
    loop->accept_again_ms = 0;
    for (uint32_t i = 0; i < loop->listener_count; i++) {
        struct listener *listener = &loop->listeners[i];
        if (!listener->armed)
            ring_accept(loop->ring, listener->fd, ring_handle(RING_ACCEPT, i, 0));
        listener->armed = true;
    }
}

/* The descriptor table is full. Who waits in the backlog is not left waiting: the spare descriptor makes room
 * for one of them at a time, to be refused. Only this thread accepts from this socket, so what poll sees is
 * there. */
static void refuse_waiting(struct loop *loop, const struct listener *listener) {
    struct pollfd waiting = {.fd = listener->fd, .events = POLLIN};
    for (uint32_t i = 0; i < REFUSED_AT_A_TIME && loop->spare_fd >= 0 && poll(&waiting, 1, 0) == 1; i++) {
        close(loop->spare_fd);
        int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            conn_refuse_socket(loop, fd, CLOSE_OVERLOAD);
        loop->spare_fd = eventfd(0, EFD_CLOEXEC);
    }
    if (loop->spare_fd < 0)
        loop->spare_fd = eventfd(0, EFD_CLOEXEC);
}

static void accept_failed(struct loop *loop, const struct listener *listener, int error) {
    if (loop->now_ms - loop->accept_logged_ms >= ACCEPT_LOG_EVERY_MS) {
        loop->accept_logged_ms = loop->now_ms;
        port_log("accept_failed shard=%u error=%s", loop->index, strerror(error));
    }
    if (error == EMFILE || error == ENFILE)
        refuse_waiting(loop, listener);
}

void loop_accepted(struct loop *loop, const struct ring_completion *completion) {
    struct listener *listener = &loop->listeners[completion->slot];
    int error = completion->result < 0 ? -completion->result : 0;
    if (!completion->more)
        listener->armed = false;
    if (!error)
        conn_accept(loop, completion->result, listener->plaintext);
    if (listener->armed)
        return;
    /* A connection that broke while it waited, or a full completion queue, is no reason to wait. */
    bool at_once = !error || error == ECONNABORTED || error == EINTR || error == EAGAIN;
    if (!at_once)
        accept_failed(loop, listener, error);
    loop->accept_again_ms = loop->now_ms + (at_once ? 0 : ACCEPT_AGAIN_MS);
}
