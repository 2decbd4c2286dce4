#include "tools/client/dial.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void dial_init(struct dial *dial) {
    *dial = (struct dial){.socket = -1};
}

static void close_socket(struct dial *dial) {
    if (dial->socket >= 0)
        close(dial->socket);
    dial->socket = -1;
    dial->is_open = false;
}

static void forget_list(struct dial *dial) {
    if (dial->list)
        freeaddrinfo(dial->list);
    dial->list = dial->at = NULL;
}

void dial_close(struct dial *dial) {
    close_socket(dial);
    forget_list(dial);
}

static void note_problem(struct dial *dial, int error) {
    char host[INET6_ADDRSTRLEN] = "", port[8] = "";
    if (dial->at)
        getnameinfo(dial->at->ai_addr, dial->at->ai_addrlen, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV);
    bool is_ipv6 = strchr(host, ':') != NULL;
    snprintf(dial->problem, sizeof(dial->problem), "%s%s%s:%s: %s", is_ipv6 ? "[" : "", host,
             is_ipv6 ? "]" : "", port, strerror(-error));
}

static int opened(struct dial *dial) {
    int on = 1; /* frames are gathered into records already: nothing is gained by waiting for more */
    setsockopt(dial->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    forget_list(dial);
    dial->is_open = true;
    return 0;
}

/* Tries addresses from dial->at on, until one is under way or open. */
static int try_addresses(struct dial *dial, uint64_t now_ms) {
    int error = -EHOSTUNREACH;
    for (; dial->at; dial->at = dial->at->ai_next) {
        const struct addrinfo *at = dial->at;
        dial->socket = socket(at->ai_family, at->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, at->ai_protocol);
        if (dial->socket >= 0 && connect(dial->socket, at->ai_addr, at->ai_addrlen) == 0)
            return opened(dial);
        error = -errno;
        if (dial->socket >= 0 && error == -EINPROGRESS) {
            dial->give_up_ms = now_ms + DIAL_ADDRESS_MS;
            return error;
        }
        note_problem(dial, error);
        close_socket(dial);
    }
    forget_list(dial);
    return error;
}

int dial_start(struct dial *dial, const char *host, uint16_t port, uint64_t now_ms) {
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    char service[8];
    snprintf(service, sizeof(service), "%u", port);
    int code = getaddrinfo(host, service, &hints, &dial->list);
    if (code) {
        dial->list = NULL;
        snprintf(dial->problem, sizeof(dial->problem), "%.80s: %s", host, gai_strerror(code));
        return -EHOSTUNREACH;
    }
    dial->at = dial->list;
    int error = try_addresses(dial, now_ms);
    return error == -EINPROGRESS ? 0 : error;
}

int dial_proceed(struct dial *dial, bool is_ready, uint64_t now_ms) {
    int error = -ETIMEDOUT;
    socklen_t bytes = sizeof(error);
    if (!is_ready && now_ms < dial->give_up_ms)
        return -EINPROGRESS;
    if (is_ready) {
        if (getsockopt(dial->socket, SOL_SOCKET, SO_ERROR, &error, &bytes) < 0)
            error = errno;
        if (error == 0)
            return opened(dial);
        error = -error;
    }
    note_problem(dial, error);
    close_socket(dial);
    dial->at = dial->at->ai_next;
    return try_addresses(dial, now_ms);
}

uint64_t dial_due_ms(const struct dial *dial) {
    return dial->socket >= 0 && !dial->is_open ? dial->give_up_ms : UINT64_MAX;
}

const char *dial_problem(const struct dial *dial) {
    return dial->problem;
}
