#include "tools/ternd/lines.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINES_BYTES_MIN 512
#define COMMAND_SHOWN_BYTES 40 /* of a command nobody knows, in the sentence about it */

void lines_init(struct lines *lines) {
    *lines = (struct lines){0};
}

void lines_fini(struct lines *lines) {
    free(lines->bytes);
    *lines = (struct lines){0};
}

/* What was given out goes; a buffer that grew for a long line does not stay. */
static void tidy(struct lines *lines) {
    if (lines->taken == lines->used) {
        lines_fini(lines);
        return;
    }
    memmove(lines->bytes, lines->bytes + lines->taken, lines->used - lines->taken);
    lines->used -= lines->taken;
    lines->scanned -= lines->taken;
    lines->taken = 0;
}

int lines_add(struct lines *lines, const char *bytes, size_t count) {
    if (lines->taken)
        tidy(lines);
    if (count > ADMIN_LINE_BYTES_MAX - lines->used)
        return -EMSGSIZE;
    size_t needed = lines->used + count;
    if (needed > lines->capacity) {
        size_t capacity = lines->capacity ? lines->capacity : LINES_BYTES_MIN;
        while (capacity < needed)
            capacity *= 2;
        char *larger = realloc(lines->bytes, capacity);
        if (!larger)
            return -ENOMEM;
        lines->bytes = larger;
        lines->capacity = capacity;
    }
    if (count)
        memcpy(lines->bytes + lines->used, bytes, count);
    lines->used = needed;
    return 0;
}

char *lines_next(struct lines *lines, size_t *ret_bytes) {
    if (lines->scanned == lines->used)
        return NULL;
    char *end = memchr(lines->bytes + lines->scanned, '\n', lines->used - lines->scanned);
    if (!end) {
        lines->scanned = lines->used;
        return NULL;
    }
    char *line = lines->bytes + lines->taken;
    *end = '\0';
    *ret_bytes = (size_t)(end - line);
    lines->taken = lines->scanned = (size_t)(end - lines->bytes) + 1;
    return line;
}

static int fail(char *ret_error, size_t error_bytes, const char *sentence) {
    snprintf(ret_error, error_bytes, "%s", sentence);
    return -EINVAL;
}

static bool find_command(const char *name, enum admin_command *ret_command) {
#define X(symbol, noun, verb, arguments, help) verb[0] ? noun " " verb : noun,
    static const char *const names[] = {ADMIN_COMMANDS(X)};
#undef X
    for (size_t i = 0; i < ADMIN_COMMAND_COUNT; i++) {
        if (strcmp(names[i], name) == 0) {
            *ret_command = (enum admin_command)i;
            return true;
        }
    }
    return false;
}

int lines_read_request(const char *line, size_t bytes, enum admin_command *ret_command, cJSON **ret_request,
                       char *ret_error, size_t error_bytes) {
    if (strnlen(line, bytes) != bytes)
        return fail(ret_error, error_bytes, "the request has a zero byte in it");
    const char *end = NULL;
    cJSON *request = cJSON_ParseWithOpts(line, &end, true);
    int error = 0;
    if (!request)
        return fail(ret_error, error_bytes, "the request is not JSON");
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(request, "command"));
    if (!cJSON_IsObject(request)) {
        error = fail(ret_error, error_bytes, "the request is not a JSON object");
    } else if (!name) {
        error = fail(ret_error, error_bytes, "the request names no \"command\"");
    } else if (!find_command(name, ret_command)) {
        snprintf(ret_error, error_bytes, "there is no command \"%.*s\"", COMMAND_SHOWN_BYTES, name);
        error = -EINVAL;
    }
    if (error) {
        cJSON_Delete(request);
        return error;
    }
    *ret_request = request;
    return 0;
}
