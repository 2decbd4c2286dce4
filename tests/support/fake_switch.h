/* tests/support/fake_switch.h: what listens at an admin socket and says what a test tells it to.
 *
 * Threads: the test's, and the fake's own, which ends with the script or with the test's process.  Memory:
 * static. */
#ifndef TERN_TESTS_SUPPORT_FAKE_SWITCH_H
#define TERN_TESTS_SUPPORT_FAKE_SWITCH_H

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FAKE_CLOSE "close"     /* the connection, instead of an answer */
#define FAKE_SILENCE "silence" /* no answer */
#define FAKE_REQUEST_BYTES 1024
#define FAKE_REQUESTS_MAX 8

struct fake_switch {
    char folder[64], path[96];
    const char *const *answers; /* of the lines that come, in turn; ended by NULL */
    char requests[FAKE_REQUESTS_MAX][FAKE_REQUEST_BYTES];
    int request_count; /* read after the answer came: the socket orders it */
    int fd;
    bool started;
    pthread_t thread;
};

static inline int fake_read_line(int fd, char *line) {
    for (size_t used = 0; used < FAKE_REQUEST_BYTES - 1; used++) {
        if (read(fd, line + used, 1) != 1)
            return -1;
        line[used + 1] = '\0';
        if (line[used] == '\n') {
            line[used] = '\0';
            return 0;
        }
    }
    return -1;
}

/* Answers in pieces of one byte first, so that whoever reads has to put a line together. */
static inline void fake_say(int fd, const char *text) {
    size_t bytes = strlen(text);
    for (size_t at = 0; at < bytes;) {
        ssize_t count = send(fd, text + at, at < 2 ? 1 : bytes - at, MSG_NOSIGNAL);
        if (count <= 0)
            return;
        at += (size_t)count;
    }
}

static inline void *fake_run(void *context) {
    struct fake_switch *fake = context;
    int conn = accept(fake->fd, NULL, NULL);
    for (int i = 0; conn >= 0 && fake->answers[i] && strcmp(fake->answers[i], FAKE_CLOSE) != 0; i++) {
        if (fake_read_line(conn, fake->requests[i]) < 0)
            break;
        fake->request_count = i + 1;
        if (strcmp(fake->answers[i], FAKE_SILENCE) == 0)
            fake_read_line(conn, fake->requests[i]); /* until the other end gives up */
        else
            fake_say(conn, fake->answers[i]);
    }
    close(conn);
    return NULL;
}

static inline void fake_path(struct fake_switch *fake) {
    snprintf(fake->folder, sizeof(fake->folder), "/tmp/tern-fake-XXXXXX");
    cr_assert(mkdtemp(fake->folder));
    snprintf(fake->path, sizeof(fake->path), "%s/admin.sock", fake->folder);
}

/* Listens; takes one connection and answers its lines. */
static inline void fake_start(struct fake_switch *fake, const char *const *answers) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    fake_path(fake);
    fake->answers = answers;
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", fake->path);
    fake->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(fake->fd, (struct sockaddr *)&address, sizeof(address)), 0);
    cr_assert_eq(listen(fake->fd, 4), 0);
    cr_assert_eq(pthread_create(&fake->thread, NULL, fake_run, fake), 0);
    fake->started = true;
}

/* After the other end closed its one connection. */
static inline void fake_stop(struct fake_switch *fake) {
    if (!fake->started)
        return;
    pthread_join(fake->thread, NULL); /* it reads the answers, which are the test's */
    close(fake->fd);
    fake->started = false;
}

static inline void fake_end(struct fake_switch *fake) {
    fake_stop(fake);
    unlink(fake->path);
    rmdir(fake->folder);
}

#endif
