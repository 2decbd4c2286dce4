#include "tools/ternd/file.h"

#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LINE_BYTES_MAX 1024

/* One reading: inih takes lines from it and hands settings back. */
struct reading {
    const char *path;
    FILE *file;
    struct config *config;
    int line; /* that inih has taken last */
    int error;
    char *ret_error;
    size_t error_bytes;
};

__attribute__((format(printf, 3, 4))) static void fail(struct reading *reading, int error, const char *format,
                                                       ...) {
    char sentence[512];
    if (reading->error)
        return; /* the first one counts */
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof(sentence), format, arguments);
    va_end(arguments);
    reading->error = error;
    snprintf(reading->ret_error, reading->error_bytes, "%s:%d: %s", reading->path, reading->line, sentence);
}

/* From # or ; on, at the beginning or behind a blank. inih knows # as the first of a line only. */
static void cut_comment(char *line) {
    for (char *at = line; (at = strpbrk(at, "#;")) != NULL; at++) {
        if (at == line || at[-1] == ' ' || at[-1] == '\t') {
            memcpy(at, "\n", 2);
            return;
        }
    }
}

/* Where a line is longer than inih's buffer the rest would count as another line. */
static char *take_line(char *space, int space_bytes, void *context) {
    struct reading *reading = context;
    if (reading->error || !fgets(space, space_bytes, reading->file))
        return NULL;
    reading->line++;
    size_t bytes = strlen(space);
    if (bytes + 1 == (size_t)space_bytes && space[bytes - 1] != '\n') {
        fail(reading, -EMSGSIZE, "a line is at most %d bytes long", LINE_BYTES_MAX);
        return NULL;
    }
    if (space[strspn(space, " \t")] == '[')
        fail(reading, -EINVAL, "there are no sections, only `setting = value`");
    cut_comment(space);
    return space;
}

static int take_setting(void *context, const char *section, const char *name, const char *value) {
    struct reading *reading = context;
    char sentence[384];
    (void)section;
    int error = config_set(reading->config, name, value, sentence, sizeof(sentence));
    if (error)
        fail(reading, error, "%s", sentence);
    return !reading->error;
}

static int read_stream(struct reading *reading) {
    ini_allow_multiline = false; /* an indented line is not more of the one above */
    ini_use_stack = false;
    ini_initial_alloc = LINE_BYTES_MAX + 2;
    int line = ini_parse_stream(take_line, reading, take_setting, reading);
    if (line < 0)
        fail(reading, -ENOMEM, "no memory");
    if (line > 0 && !reading->error) {
        reading->line = line;
        fail(reading, -EINVAL, "not a comment, and not `setting = value`");
    }
    if (!reading->error && ferror(reading->file))
        fail(reading, -EIO, "can't be read");
    return reading->error;
}

int file_read(const char *path, struct config *config, char *ret_error, size_t error_bytes) {
    struct reading reading = {.path = path,
                              .file = fopen(path, "re"),
                              .config = config,
                              .ret_error = ret_error,
                              .error_bytes = error_bytes};
    if (!reading.file) {
        int error = -errno;
        snprintf(ret_error, error_bytes, "%s: %s", path, strerror(-error));
        return error;
    }
    int error = read_stream(&reading);
    fclose(reading.file);
    return error;
}

int file_read_text(const char *path, const char *text, size_t bytes, struct config *config, char *ret_error,
                   size_t error_bytes) {
    struct reading reading = {
        .path = path, .config = config, .ret_error = ret_error, .error_bytes = error_bytes};
    if (bytes == 0)
        return 0; /* fmemopen refuses it */
    reading.file = fmemopen((char *)text, bytes, "r");
    if (!reading.file)
        return -ENOMEM;
    int error = read_stream(&reading);
    fclose(reading.file);
    return error;
}
