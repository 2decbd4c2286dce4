#include "tools/ternd/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SELF "/proc/self/exe" /* also where the file was replaced since we started */

/* Ours are blocked and taken by descriptor: the child gets none of that. */
static int spawn(pid_t *ret_pid, int out_fd, char *const *arguments) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    if (posix_spawn_file_actions_init(&actions))
        return -ENOMEM;
    if (posix_spawnattr_init(&attributes)) {
        posix_spawn_file_actions_destroy(&actions);
        return -ENOMEM;
    }
    int error = posix_spawn_file_actions_adddup2(&actions, out_fd, STDOUT_FILENO);
    if (error == 0)
        error = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (error == 0)
        error = posix_spawnattr_setsigmask(&attributes, &none);
    if (error == 0)
        error = posix_spawnattr_setsigdefault(&attributes, &all);
    if (error == 0)
        error = posix_spawn(ret_pid, SELF, &actions, &attributes, arguments, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return -error;
}

int child_start(struct child *child, const char *option, const char *value, const char *further) {
    char *arguments[] = {(char *)"ternd", (char *)option, (char *)value, (char *)further, NULL};
    int ends[2];
    if (pipe2(ends, O_CLOEXEC))
        return -errno;
    pid_t pid;
    int error = spawn(&pid, ends[1], arguments);
    close(ends[1]);
    if (error) {
        close(ends[0]);
        return error;
    }
    *child = (struct child){.pid = pid, .out_fd = ends[0]};
    return 0;
}

int child_wait(struct child *child) {
    int status = 0;
    if (child->out_fd >= 0)
        close(child->out_fd);
    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
}

void child_describe_end(int status, char *ret_text, size_t text_bytes) {
    if (WIFSIGNALED(status))
        snprintf(ret_text, text_bytes, "was ended by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(ret_text, text_bytes, "ended with %d", WEXITSTATUS(status));
}
