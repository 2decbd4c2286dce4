#include "tools/ternctl/caller.h"

#include <errno.h>
#include <poll.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "tools/admin/commands.h"

#define READ_BYTES (64u << 10)

__attribute__((format(printf, 3, 4))) static int fail(struct caller *caller, int error, const char *format,
                                                      ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(caller->error, sizeof(caller->error), format, arguments);
    va_end(arguments);
    /* It may quote what came in, which must not steer the terminal. */
    for (char *at = caller->error; *at; at++) {
        if (*at < ' ' || *at > '~')
            *at = '?';
    }
    return error;
}

const char *caller_default_path(const char **ret_searched) {
    static const char here[] = "var/tern/admin.sock", installed[] = "/run/tern/admin.sock";
    const char *named = getenv("TERN_ADMIN");
    if (named && named[0]) {
        *ret_searched = " (TERN_ADMIN says so)";
        return named;
    }
    if (access(here, F_OK) == 0) {
        *ret_searched = " (found here; --admin names another)";
        return here;
    }
    *ret_searched = " (nor at var/tern/admin.sock; --admin or TERN_ADMIN name another)";
    return installed;
}

/* --- opening -------------------------------------------------------------------------------------------- */

static int fail_connect(struct caller *caller, int error, const char *path) {
    struct stat status;
    struct passwd *owner;
    switch (error) {
    case ENOENT:
    case ENOTDIR:
        return fail(caller, -error, "no switch runs: there is no admin socket at %s", path);
    case ECONNREFUSED:
        if (stat(path, &status) == 0 && !S_ISSOCK(status.st_mode))
            return fail(caller, -error, "%s is no admin socket", path);
        return fail(caller, -error, "no switch runs: nobody listens at %s any more", path);
    case EAGAIN:
        return fail(caller, -error, "the switch at %s is there but takes no connection", path);
    case ENOTSOCK:
    case EPROTOTYPE:
        return fail(caller, -error, "%s is no admin socket", path);
    case EACCES:
    case EPERM:
        owner = stat(path, &status) == 0 ? getpwuid(status.st_uid) : NULL;
        if (owner)
            return fail(caller, -error, "permission denied: the admin socket %s is for user %s and root",
                        path, owner->pw_name);
        return fail(caller, -error,
                    "permission denied: the admin socket %s is for the switch's user and root", path);
    default:
        return fail(caller, -error, "no connection to the admin socket %s: %s", path, strerror(error));
    }
}

int caller_open(struct caller *caller, const char *path, uint32_t timeout_ms) {
    *caller = (struct caller){.fd = -1};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!*path)
        return fail(caller, -EINVAL, "the admin socket's path is empty");
    if (strlen(path) >= sizeof(address.sun_path))
        return fail(caller, -ENAMETOOLONG, "the admin socket's path is longer than %zu bytes: %s",
                    sizeof(address.sun_path) - 1, path);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    snprintf(caller->path, sizeof(caller->path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail(caller, -errno, "no socket: %s", strerror(errno));
    /* A full queue of those who wait to be accepted makes connect wait: for this long. */
    struct timeval timeout = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        int error = errno;
        close(fd);
        return fail_connect(caller, error, path);
    }
    caller->fd = fd;
    return 0;
}

void caller_close(struct caller *caller) {
    if (caller->fd >= 0)
        close(caller->fd);
    free(caller->bytes);
    caller->fd = -1;
    caller->bytes = NULL;
    caller->used = caller->taken = caller->capacity = 0;
}

/* --- one request, one answer ---------------------------------------------------------------------------- */

uint64_t caller_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Waits until the socket is ready or the deadline (0: none) is over. */
static int wait_for(struct caller *caller, short events, uint64_t deadline_ms) {
    for (;;) {
        uint64_t wait_ms = CALLER_SLICE_MS;
        if (caller->interrupted && *caller->interrupted)
            return fail(caller, -EINTR, "interrupted");
        if (deadline_ms) {
            uint64_t now = caller_now_ms();
            if (now >= deadline_ms)
                return fail(caller, -ETIMEDOUT, "the switch at %s does not answer in time", caller->path);
            wait_ms = deadline_ms - now < wait_ms ? deadline_ms - now : wait_ms;
        }
        struct pollfd wait = {.fd = caller->fd, .events = events};
        int count = poll(&wait, 1, (int)wait_ms);
        if (count > 0)
            return 0;
        if (count < 0 && errno != EINTR)
            return fail(caller, -errno, "waiting for %s: %s", caller->path, strerror(errno));
    }
}

static int fail_ended(struct caller *caller, int error) {
    if (error == EPIPE || error == ECONNRESET)
        return fail(caller, -ECONNRESET, "the switch at %s closed the connection without an answer",
                    caller->path);
    return fail(caller, -error, "the admin socket %s broke: %s", caller->path, strerror(error));
}

static int send_all(struct caller *caller, const char *text, size_t left, uint64_t deadline_ms) {
    while (left) {
        ssize_t count = send(caller->fd, text, left, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0 && errno == EAGAIN) {
            int error = wait_for(caller, POLLOUT, deadline_ms);
            if (error)
                return error;
            continue;
        }
        if (count < 0)
            return fail_ended(caller, errno);
        text += count;
        left -= (size_t)count;
    }
    return 0;
}

static int grow(struct caller *caller) {
    if (caller->capacity - caller->used >= READ_BYTES)
        return 0;
    if (caller->used > ADMIN_LINE_BYTES_MAX)
        return fail(caller, -EPROTO, "what answers at %s is no tern switch: its line has no end",
                    caller->path);
    size_t capacity = caller->capacity ? caller->capacity * 2 : 2 * READ_BYTES;
    char *bytes = realloc(caller->bytes, capacity);
    if (!bytes)
        return fail(caller, -ENOMEM, "no memory");
    caller->bytes = bytes;
    caller->capacity = capacity;
    return 0;
}

/* One line, ended by a zero instead of its newline; valid until the next one. */
static int receive_line(struct caller *caller, uint64_t deadline_ms, char **ret_line) {
    size_t left = caller->used - caller->taken;
    if (left)
        memmove(caller->bytes, caller->bytes + caller->taken, left);
    caller->used = left;
    caller->taken = 0;
    size_t looked = 0;
    for (;;) {
        size_t fresh = caller->used - looked;
        char *end = fresh ? memchr(caller->bytes + looked, '\n', fresh) : NULL;
        if (end) {
            *end = '\0';
            caller->taken = (size_t)(end - caller->bytes) + 1;
            *ret_line = caller->bytes;
            return 0;
        }
        looked = caller->used;
        int error = grow(caller);
        if (error)
            return error;
        ssize_t count =
            recv(caller->fd, caller->bytes + caller->used, caller->capacity - caller->used, MSG_DONTWAIT);
        if (count > 0)
            caller->used += (size_t)count;
        else if (count == 0)
            return fail_ended(caller, ECONNRESET);
        else if (errno == EAGAIN)
            error = wait_for(caller, POLLIN, deadline_ms);
        else if (errno != EINTR)
            return fail_ended(caller, errno);
        if (error)
            return error;
    }
}

int caller_ask(struct caller *caller, const cJSON *request, uint32_t timeout_ms, cJSON **ret_answer) {
    uint64_t deadline_ms = timeout_ms ? caller_now_ms() + timeout_ms : 0;
    char *text = cJSON_PrintUnformatted(request), *line = NULL;
    if (!text)
        return fail(caller, -ENOMEM, "no memory");
    size_t bytes = strlen(text);
    text[bytes] = '\n'; /* in the place of the zero: the length is known */
    int error = send_all(caller, text, bytes + 1, deadline_ms);
    cJSON_free(text);
    /* Where the switch closed before it read the request, it may have said why. */
    if (!error || error == -ECONNRESET)
        error = receive_line(caller, deadline_ms, &line);
    if (error)
        return error;
    cJSON *answer = cJSON_Parse(line);
    if (!cJSON_IsObject(answer) || !cJSON_IsBool(cJSON_GetObjectItem(answer, "ok"))) {
        cJSON_Delete(answer);
        return fail(caller, -EPROTO, "what answers at %s is no tern switch: \"%.60s\"", caller->path, line);
    }
    *ret_answer = answer;
    return 0;
}

/* --- lists in pages ------------------------------------------------------------------------------------- */

/* The rows of an answer: its list, of whatever name. */
static cJSON *rows_of(cJSON *answer) {
    cJSON *item;
    cJSON_ArrayForEach(item, answer) {
        if (cJSON_IsArray(item))
            return item;
    }
    return NULL;
}

/* Says where the next page begins: after the last row, which is known by its "id", or else by its "account".
 * Both rise through a list, or it would never end. */
static int set_after(struct caller *caller, cJSON *request, const cJSON *rows) {
    const cJSON *last = cJSON_GetArrayItem(rows, cJSON_GetArraySize(rows) - 1);
    const cJSON *id = cJSON_GetObjectItem(last, "id"), *before = cJSON_GetObjectItem(request, "after");
    const cJSON *place = id ? id : cJSON_GetObjectItem(last, "account");
    if (!cJSON_IsNumber(place) || (before && before->valuedouble >= place->valuedouble))
        return fail(caller, -EPROTO, "the switch at %s has more rows but does not say after which",
                    caller->path);
    double after = place->valuedouble;
    cJSON_DeleteItemFromObject(request, "after");
    return cJSON_AddNumberToObject(request, "after", after) ? 0 : fail(caller, -ENOMEM, "no memory");
}

/* Puts the next page behind the rows there are. */
static int ask_next(struct caller *caller, cJSON *request, cJSON *rows, uint32_t timeout_ms, bool *ret_more) {
    cJSON *page = NULL;
    int error = caller_ask(caller, request, timeout_ms, &page);
    if (error)
        return error;
    cJSON *page_rows = rows_of(page);
    *ret_more = cJSON_IsTrue(cJSON_GetObjectItem(page, "more"));
    if (!cJSON_IsTrue(cJSON_GetObjectItem(page, "ok")) || !page_rows)
        error = fail(caller, -EPROTO, "the switch at %s broke its list off", caller->path);
    else if (*ret_more)
        error = set_after(caller, request, page_rows);
    while (!error && page_rows && page_rows->child)
        cJSON_AddItemToArray(rows, cJSON_DetachItemViaPointer(page_rows, page_rows->child));
    cJSON_Delete(page);
    return error;
}

int caller_ask_all(struct caller *caller, cJSON *request, uint32_t timeout_ms, cJSON **ret_answer) {
    cJSON *whole = NULL;
    int error = caller_ask(caller, request, timeout_ms, &whole);
    if (error)
        return error;
    cJSON *rows = rows_of(whole);
    bool more = cJSON_IsTrue(cJSON_GetObjectItem(whole, "more"));
    if (more)
        error = set_after(caller, request, rows);
    while (!error && more)
        error = ask_next(caller, request, rows, timeout_ms, &more);
    if (error) {
        cJSON_Delete(whole);
        return error;
    }
    cJSON_DeleteItemFromObject(whole, "more"); /* all rows are here */
    *ret_answer = whole;
    return 0;
}
