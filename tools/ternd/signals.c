#include "tools/ternd/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define SAME_MS                                                                                              \
    1000 /* signals so soon after the first are the same wish, told to a process and to its group */

static void drain_set(sigset_t *set) {
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
}

int signals_open(void) {
    sigset_t set;
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    drain_set(&set);
    if (sigaction(SIGPIPE, &ignore, NULL) || pthread_sigmask(SIG_BLOCK, &set, NULL))
        return -errno;
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

int signals_take(int fd) {
    struct signalfd_siginfo information;
    return read(fd, &information, sizeof(information)) == (ssize_t)sizeof(information)
               ? (int)information.ssi_signo
               : 0;
}

static uint64_t first_ms; /* when the drain began; not changed once the handler can run */

static uint64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Only what is allowed in a signal handler. */
static void end_at_once(int number) {
    if (number != SIGALRM && now_ms() - first_ms < SAME_MS)
        return;
    static const char late[] = "drain_failed reason=\"drain_s is over\"\n";
    static const char again[] = "drain_failed reason=\"a second signal\"\n";
    const char *text = number == SIGALRM ? late : again;
    ssize_t wrote = write(STDERR_FILENO, text, strlen(text));
    (void)wrote;
    _exit(1);
}

void signals_end_at_next(void) {
    sigset_t set;
    struct sigaction action = {.sa_handler = end_at_once, .sa_flags = SA_RESTART};
    if (first_ms)
        return;
    first_ms = now_ms();
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

void signals_end_after(unsigned seconds) {
    struct sigaction action = {.sa_handler = end_at_once};
    sigaction(SIGALRM, &action, NULL);
    alarm(seconds);
}
