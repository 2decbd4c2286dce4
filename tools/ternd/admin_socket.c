#include "tools/ternd/admin_socket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/port.h"
#include "tools/ternd/command.h"
#include "tools/ternd/lines.h"

#define ADMIN_BACKLOG 64
#define RECEIVE_BYTES 65536

struct admin_conn {
    int fd;
    struct lines lines;
    char *output; /* [output_bytes], from output_sent on not sent */
    size_t output_bytes, output_sent;
    struct command *command; /* at work */
    bool ending;             /* when its output is out */
    bool peer_ended;         /* no more requests come */
};

struct admin_socket {
    struct daemon *daemon;
    int fd;
    struct admin_conn *conns[ADMIN_CONNECTIONS_MAX];
    uint32_t count;
    struct sockaddr_un address;
};

/* --- the socket ----------------------------------------------------------------------------------------- */

/* 0 where the path is free now; -EADDRINUSE: somebody answers there, or it is no socket. */
static int free_path(const struct sockaddr_un *address) {
    struct stat status;
    if (lstat(address->sun_path, &status))
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(status.st_mode))
        return -EADDRINUSE;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int error = connect(fd, (const struct sockaddr *)address, sizeof(*address)) ? -errno : -EADDRINUSE;
    close(fd);
    if (error != -ECONNREFUSED)
        return error;
    return unlink(address->sun_path) ? -errno : 0;
}

static int listen_at(struct admin_socket *admin) {
    const struct sockaddr *address = (const struct sockaddr *)&admin->address;
    int error = free_path(&admin->address);
    if (error)
        return error;
    admin->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (admin->fd < 0)
        return -errno;
    mode_t before = umask(0177); /* 0600 from its first moment on */
    error = bind(admin->fd, address, sizeof(admin->address)) ? -errno : 0;
    umask(before);
    if (error == 0 && listen(admin->fd, ADMIN_BACKLOG))
        error = -errno;
    return error;
}

int admin_socket_open(struct daemon *daemon, const char *path, struct admin_socket **ret_admin,
                      char *ret_error, size_t error_bytes) {
    struct admin_socket *admin = calloc(1, sizeof(*admin));
    if (!admin)
        return -ENOMEM;
    admin->daemon = daemon;
    admin->fd = -1;
    admin->address.sun_family = AF_UNIX;
    size_t bytes = strlen(path);
    int error = bytes < sizeof(admin->address.sun_path) ? 0 : -ENAMETOOLONG;
    if (error == 0) {
        memcpy(admin->address.sun_path, path, bytes);
        error = listen_at(admin);
    }
    if (error == 0) {
        *ret_admin = admin;
        return 0;
    }
    if (error == -EADDRINUSE)
        snprintf(ret_error, error_bytes, "admin socket %s: another process answers there, or it is no socket",
                 path);
    else if (error == -ENAMETOOLONG)
        snprintf(ret_error, error_bytes, "admin socket %s: the path is longer than %zu bytes; set `admin`",
                 path, sizeof(admin->address.sun_path) - 1);
    else
        snprintf(ret_error, error_bytes, "admin socket %s: %s", path, strerror(-error));
    if (admin->fd >= 0)
        close(admin->fd);
    free(admin);
    return error;
}

static void conn_free(struct admin_socket *admin, uint32_t index) {
    struct admin_conn *conn = admin->conns[index];
    if (conn->command)
        conn->command->conn = NULL; /* it goes on without */
    close(conn->fd);
    lines_fini(&conn->lines);
    free(conn->output);
    free(conn);
    admin->conns[index] = admin->conns[--admin->count];
}

void admin_socket_close(struct admin_socket *admin) {
    while (admin->count)
        conn_free(admin, 0);
    unlink(admin->address.sun_path);
    close(admin->fd);
    free(admin);
}

static bool peer_may(int fd) {
    struct ucred peer;
    socklen_t bytes = sizeof(peer);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes))
        return false;
    if (peer.uid == 0 || peer.uid == geteuid())
        return true;
    port_log("admin_refused uid=%u pid=%d", peer.uid, (int)peer.pid);
    return false;
}

static void accept_one(struct admin_socket *admin) {
    int fd = accept4(admin->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    struct admin_conn *conn = peer_may(fd) ? calloc(1, sizeof(*conn)) : NULL;
    if (!conn) {
        close(fd);
        return;
    }
    conn->fd = fd;
    lines_init(&conn->lines);
    admin->conns[admin->count++] = conn;
}

/* --- a connection --------------------------------------------------------------------------------------- */

void admin_socket_begin(struct admin_conn *conn, struct command *command) {
    conn->command = command;
}

void admin_socket_end(struct admin_conn *conn) {
    conn->command = NULL;
}

static void send_output(struct admin_conn *conn) {
    while (conn->output_sent < conn->output_bytes) {
        ssize_t sent = send(conn->fd, conn->output + conn->output_sent,
                            conn->output_bytes - conn->output_sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno == EAGAIN)
            return;
        if (sent < 0) {
            conn->ending = conn->peer_ended = true;
            break;
        }
        conn->output_sent += (size_t)sent;
    }
    free(conn->output);
    conn->output = NULL;
    conn->output_bytes = conn->output_sent = 0;
}

void admin_socket_answer(struct admin_conn *conn, const char *text) {
    size_t bytes = text ? strlen(text) : 0;
    char *line = text ? malloc(bytes + 2) : NULL;
    if (!line) {
        conn->ending = true;
        return;
    }
    snprintf(line, bytes + 2, "%s\n", text);
    free(conn->output); /* there is none: one command at a time, and none while output waits */
    conn->output = line;
    conn->output_bytes = bytes + 1;
    conn->output_sent = 0;
    send_output(conn);
}

/* Lines that are there, as far as each is answered at once. */
static void run_lines(struct admin_socket *admin, struct admin_conn *conn) {
    size_t bytes;
    char *line;
    while (!conn->command && !conn->output && !conn->ending && (line = lines_next(&conn->lines, &bytes)))
        command_start(admin->daemon, conn, line, bytes);
    if (conn->peer_ended && !conn->command && !conn->output)
        conn->ending = true;
}

static void receive(struct admin_conn *conn) {
    char bytes[RECEIVE_BYTES];
    ssize_t count = recv(conn->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (count < 0)
        conn->ending = true;
    if (count <= 0) {
        conn->peer_ended = true;
        return;
    }
    int error = lines_add(&conn->lines, bytes, (size_t)count);
    if (error == -EMSGSIZE)
        admin_socket_answer(conn, "{\"ok\":false,\"code\":\"usage\",\"error\":\"the line is too long\"}");
    if (error)
        conn->ending = true; /* where the next line begins is lost */
}

/* --- all of them ---------------------------------------------------------------------------------------- */

void admin_socket_run(struct admin_socket *admin) {
    for (uint32_t i = admin->count; i-- > 0;) {
        struct admin_conn *conn = admin->conns[i];
        run_lines(admin, conn);
        if (conn->ending && (!conn->output || conn->peer_ended))
            conn_free(admin, i);
    }
}

size_t admin_socket_poll_set(const struct admin_socket *admin, struct pollfd *ret_set) {
    for (uint32_t i = 0; i < admin->count; i++) {
        const struct admin_conn *conn = admin->conns[i];
        short events = conn->output ? POLLOUT : 0;
        if (!conn->peer_ended && !conn->command && !conn->output)
            events = POLLIN;
        ret_set[i] = (struct pollfd){.fd = conn->fd, .events = events};
    }
    /* At the limit, who comes next waits in the backlog. */
    ret_set[admin->count] =
        (struct pollfd){.fd = admin->count < ADMIN_CONNECTIONS_MAX ? admin->fd : -1, .events = POLLIN};
    return admin->count + 1;
}

void admin_socket_serve(struct admin_socket *admin, const struct pollfd *set, size_t count) {
    for (size_t i = 0; i + 1 < count; i++) {
        struct admin_conn *conn = admin->conns[i];
        if (set[i].revents & (POLLERR | POLLHUP | POLLNVAL) && !(set[i].revents & POLLIN))
            conn->ending = conn->peer_ended = true;
        if (set[i].revents & POLLOUT)
            send_output(conn);
        if (set[i].revents & POLLIN)
            receive(conn);
    }
    if (count && set[count - 1].revents & POLLIN)
        accept_one(admin);
}

bool admin_socket_has_output(const struct admin_socket *admin) {
    for (uint32_t i = 0; i < admin->count; i++) {
        if (admin->conns[i]->output)
            return true;
    }
    return false;
}
