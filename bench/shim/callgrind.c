/* Preloaded into a ternd that runs under valgrind, which lets one thread run at a time and, in the version of
 * Debian 12, does not know that io_uring_enter may wait: a shard that sleeps in it would stop all other
 * threads. So an enter never waits here; the thread sleeps outside, where valgrind knows. */
#include <dlfcn.h>
#include <signal.h>
#include <stddef.h>
#include <time.h>

#define NAP_NS 50000L

int io_uring_enter2(unsigned fd, unsigned to_submit, unsigned min_complete, unsigned flags,
                    sigset_t *argument, size_t bytes);

int io_uring_enter2(unsigned fd, unsigned to_submit, unsigned min_complete, unsigned flags,
                    sigset_t *argument, size_t bytes) {
    static int (*real)(unsigned, unsigned, unsigned, unsigned, sigset_t *, size_t);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "io_uring_enter2");
    int result = real(fd, to_submit, 0, flags, argument, bytes);
    if (min_complete)
        nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
    return result;
}
