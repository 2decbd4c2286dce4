#include "tools/ternd/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "core/port.h"

#define MICROSECONDS_PER_SECOND 1000000
#define NANOSECONDS_PER_MICROSECOND 1000

static void send_text(const char *text) {
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!path || (path[0] != '/' && path[0] != '@'))
        return;
    size_t path_bytes = strlen(path);
    if (path_bytes >= sizeof(address.sun_path)) {
        port_log("notify_failed error=\"NOTIFY_SOCKET is too long\"");
        return;
    }
    memcpy(address.sun_path, path, path_bytes);
    if (path[0] == '@')
        address.sun_path[0] = '\0'; /* the abstract name space */
    socklen_t address_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_bytes);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ssize_t sent =
        fd < 0 ? -1
               : sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&address, address_bytes);
    if (sent < 0)
        port_log("notify_failed error=\"%s\"", strerror(errno));
    if (fd >= 0)
        close(fd);
}

void notify_ready(void) {
    send_text("READY=1");
}

void notify_reloading(void) {
    char text[64];
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    long long us =
        (long long)now.tv_sec * MICROSECONDS_PER_SECOND + now.tv_nsec / NANOSECONDS_PER_MICROSECOND;
    snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%lld", us);
    send_text(text);
}

void notify_stopping(void) {
    send_text("STOPPING=1");
}
