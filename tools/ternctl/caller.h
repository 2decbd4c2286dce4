/* tools/ternctl/caller.h: the connection to the switch's admin socket: a request goes out, its one line of
 * answer comes in, within a time.
 *
 * Threads: one at a time.  Memory: a buffer that grows to the longest answer, until caller_close. */
#ifndef TERN_TOOLS_TERNCTL_CALLER_H
#define TERN_TOOLS_TERNCTL_CALLER_H

#include <cjson/cJSON.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#define CALLER_ERROR_BYTES 512
#define CALLER_PATH_BYTES 108 /* sun_path */
#define CALLER_SLICE_MS 100   /* after which a wait looks whether it was interrupted */

struct caller {
    int fd;
    char path[CALLER_PATH_BYTES];
    char *bytes; /* received, of it `used`; at the front the answers already taken, `taken` bytes */
    size_t used, taken, capacity;
    const volatile sig_atomic_t
        *interrupted;               /* NULL, or what a signal handler sets: waiting then ends with -EINTR */
    char error[CALLER_ERROR_BYTES]; /* a sentence about the last failure */
};

/* The socket to try where none was named: $TERN_ADMIN, else var/tern/admin.sock where that is, else
 * /run/tern/admin.sock. ret_searched is a sentence's end that says so. */
const char *caller_default_path(const char **ret_searched);

/* Connects, within timeout_ms (0: without limit). 0 or negative errno, with error set, as for all of
 * these. */
int caller_open(struct caller *caller, const char *path, uint32_t timeout_ms);
/* Sends a request and waits for its answer, at most timeout_ms (0: without limit). The answer is an object
 * with a boolean "ok", the caller's to delete. -ETIMEDOUT; -EPROTO: it is none of a tern switch; -ECONNRESET:
 * closed. */
int caller_ask(struct caller *caller, const cJSON *request, uint32_t timeout_ms, cJSON **ret_answer);
/* The same for a list: asks for page after page and puts their rows into one answer. */
int caller_ask_all(struct caller *caller, cJSON *request, uint32_t timeout_ms, cJSON **ret_answer);
void caller_close(struct caller *caller);

uint64_t caller_now_ms(void); /* monotonic */

#endif
