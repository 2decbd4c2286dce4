#include "tools/client/holder.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_FILE "holder.lock"
#define SHARED_FILE "home.lock"
#define LOCK_FILE_MODE 0600

static int open_lock(const char *folder, const char *name) {
    char path[PATH_MAX];
    int bytes = snprintf(path, sizeof(path), "%s/%s", folder, name);
    if (bytes < 0 || (size_t)bytes >= sizeof(path))
        return -ENAMETOOLONG;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, LOCK_FILE_MODE);
    return fd < 0 ? -errno : fd;
}

int holder_open(struct holder *holder, const char *folder) {
    int lock = open_lock(folder, LOCK_FILE);
    if (lock < 0)
        return lock;
    *holder = (struct holder){.lock = lock, .watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC)};
    /* Without a descriptor or a watch of the system's left, looking again has to do. */
    if (holder->watch >= 0 && inotify_add_watch(holder->watch, folder, IN_MODIFY | IN_CLOSE_WRITE) < 0) {
        close(holder->watch);
        holder->watch = -1;
    }
    return 0;
}

void holder_close(struct holder *holder) {
    if (holder->watch >= 0)
        close(holder->watch);
    close(holder->lock);
    holder->holds = false;
}

bool holder_try(struct holder *holder) {
    if (!holder->holds)
        holder->holds = flock(holder->lock, LOCK_EX | LOCK_NB) == 0;
    return holder->holds;
}

void holder_drain(struct holder *holder) {
    char events[4096];
    while (holder->watch >= 0 && read(holder->watch, events, sizeof(events)) > 0) {
    }
}

/* Not one whose file was removed meanwhile: others would not see it. */
static int lock_file(const char *folder, const char *name, int how) {
    for (;;) {
        struct stat status;
        int lock = open_lock(folder, name);
        if (lock < 0)
            return lock;
        if (flock(lock, how) < 0 || fstat(lock, &status) < 0) {
            int error = -errno;
            close(lock);
            return error;
        }
        if (status.st_nlink > 0)
            return lock;
        close(lock);
    }
}

int holder_lock(const char *folder, const char *name) {
    return lock_file(folder, name, LOCK_EX | LOCK_NB);
}

int holder_share(const char *folder) {
    return lock_file(folder, SHARED_FILE, LOCK_SH);
}

int holder_alone(const char *folder) {
    return lock_file(folder, SHARED_FILE, LOCK_EX | LOCK_NB);
}

void holder_leave(const char *folder, int alone) {
    char path[PATH_MAX];
    if ((size_t)snprintf(path, sizeof(path), "%s/" SHARED_FILE, folder) < sizeof(path))
        unlink(path);
    close(alone);
}
