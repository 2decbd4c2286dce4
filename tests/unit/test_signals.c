/* What signals do to the process, each in a child of its own. */
#include <criterion/criterion.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tools/ternd/signals.h"

TestSuite(signals, .timeout = 30);

/* The exit status of a child that does this; where nothing ends it, 7. */
static int in_child(void (*act)(void)) {
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        close(STDERR_FILENO); /* what it logs is no news */
        act();
        nanosleep(&(struct timespec){.tv_sec = 5}, NULL);
        _exit(7);
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status), "it died of signal %d", WTERMSIG(status));
    return WEXITSTATUS(status);
}

static void take_two(void) {
    int fd = signals_open();
    raise(SIGPIPE); /* ignored */
    raise(SIGHUP);
    if (fd < 0 || signals_take(fd) != SIGHUP || signals_take(fd) != 0)
        _exit(1);
    raise(SIGTERM);
    _exit(signals_take(fd) == SIGTERM && signals_take(fd) == 0 ? 3 : 2);
}

Test(signals, signals_wait_until_they_are_taken) {
    cr_assert_eq(in_child(take_two), 3);
}

static void end_after(void) {
    signals_open();
    signals_end_after(1);
}

Test(signals, the_time_for_a_drain_ends) {
    cr_assert_eq(in_child(end_after), 1);
}

static void signal_twice(long apart_ms) {
    signals_open();
    raise(SIGTERM);
    signals_end_at_next(); /* the one that waited is the same wish as the one before */
    nanosleep(&(struct timespec){.tv_sec = apart_ms / 1000, .tv_nsec = apart_ms % 1000 * 1000000}, NULL);
    raise(SIGINT);
    _exit(3);
}

static void signal_at_once(void) {
    signal_twice(1);
}

static void signal_later(void) {
    signal_twice(1100);
}

Test(signals, two_within_a_second_are_one) {
    cr_assert_eq(in_child(signal_at_once), 3);
}

Test(signals, second_one_ends_the_process) {
    cr_assert_eq(in_child(signal_later), 1);
}
