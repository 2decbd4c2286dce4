#include "tools/ternctl/usage.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/must.h"

#define X(name, noun, verb, arguments, help) {ADMIN_##name, noun, verb, arguments, help},
static const struct usage commands[USAGE_COUNT] = {
    ADMIN_COMMANDS(X){USAGE_TOP, "top", "", "", "watch the rates, until Ctrl-C or as often as --count says"},
    {USAGE_SALVAGE, "store", "salvage", "FOLDER NEW-FOLDER",
     "copy what is whole of a damaged store, which no switch uses, to a new one"}};
#undef X

__attribute__((format(printf, 3, 4))) static int fail(char *ret_error, size_t error_bytes, const char *format,
                                                      ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(ret_error, error_bytes, format, arguments);
    va_end(arguments);
    return -EINVAL;
}

const struct usage *usage_at(unsigned id) {
    must(id < USAGE_COUNT);
    return &commands[id];
}

void usage_name(const struct usage *command, char *ret_name, size_t name_bytes) {
    snprintf(ret_name, name_bytes, "%s%s%s", command->noun, command->verb[0] ? " " : "", command->verb);
}

/* --- the nearest command -------------------------------------------------------------------------------- */

#define TYPED_BYTES USAGE_NAME_BYTES

static unsigned least(unsigned a, unsigned b) {
    return a < b ? a : b;
}

/* How many letters have to be put in, left out, changed or swapped with their neighbour to get from one to
 * the other. */
static unsigned edits(const char *from, const char *to) {
    unsigned row[3][TYPED_BYTES + 1];
    size_t to_bytes = strlen(to);
    for (unsigned column = 0; column <= to_bytes; column++)
        row[1][column] = column;
    for (unsigned i = 1; from[i - 1]; i++) {
        unsigned *now = row[(i + 1) % 3], *before = row[i % 3], *before_that = row[(i + 2) % 3];
        now[0] = i;
        for (unsigned j = 1; j <= to_bytes; j++) {
            bool same = from[i - 1] == to[j - 1];
            now[j] = least(before[j - 1] + !same, least(before[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1])
                now[j] = least(now[j], before_that[j - 2] + 1);
        }
    }
    return row[(strlen(from) + 1) % 3][to_bytes];
}

/* A quarter of the letters may be wrong, or one: beyond that a suggestion would be a guess. */
static unsigned edits_max(const char *name) {
    return strlen(name) < 4 ? 1 : (unsigned)(strlen(name) + 2) / 4 + 1;
}

/* Where the noun is right, only its verbs are compared. */
static const struct usage *nearest(unsigned word_count, char *const *words, bool noun_known) {
    const char *second = word_count > 1 ? words[1] : "";
    if (strlen(words[0]) + strlen(second) + 2 > TYPED_BYTES)
        return NULL;
    char pair[TYPED_BYTES], reversed[TYPED_BYTES], name[TYPED_BYTES];
    snprintf(pair, sizeof(pair), "%s%s%s", words[0], second[0] ? " " : "", second);
    snprintf(reversed, sizeof(reversed), "%s %s", second, words[0]);
    const struct usage *found = NULL;
    unsigned found_edits = UINT_MAX;
    for (unsigned id = 0; id < USAGE_COUNT; id++) {
        const struct usage *command = &commands[id];
        usage_name(command, name, sizeof(name));
        unsigned count = edits(command->verb[0] ? pair : words[0], name), allowed = edits_max(name);
        if (noun_known && strcmp(command->noun, words[0]) == 0)
            allowed = edits_max(command->verb);
        else if (noun_known)
            allowed = 0;
        if (strcmp(reversed, name) == 0)
            count = allowed = 1;
        if (count <= allowed && count < found_edits) {
            found = command;
            found_edits = count;
        }
    }
    return found;
}

/* "account add, account code or account list" would be long: the verbs alone. */
static int fail_verb(const char *noun, const char *typed, char *ret_error, size_t error_bytes) {
    char verbs[256] = "";
    for (unsigned id = 0; id < USAGE_COUNT; id++) {
        if (strcmp(commands[id].noun, noun) != 0)
            continue;
        size_t used = strlen(verbs);
        snprintf(verbs + used, sizeof(verbs) - used, "%s%s", used ? ", " : "", commands[id].verb);
    }
    if (!typed)
        return fail(ret_error, error_bytes, "%s needs one of: %s", noun, verbs);
    return fail(ret_error, error_bytes, "there is no '%s %s'; %s has: %s", noun, typed, noun, verbs);
}

int usage_find(unsigned word_count, char *const *words, const struct usage **ret_command, unsigned *ret_words,
               char *ret_error, size_t error_bytes) {
    if (word_count == 0)
        return fail(ret_error, error_bytes, "no command given");
    const char *noun = NULL;
    for (unsigned id = 0; id < USAGE_COUNT; id++) {
        const struct usage *command = &commands[id];
        if (strcmp(command->noun, words[0]) != 0)
            continue;
        noun = command->noun;
        if (!command->verb[0] || (word_count > 1 && strcmp(command->verb, words[1]) == 0)) {
            *ret_command = command;
            *ret_words = command->verb[0] ? 2 : 1;
            return 0;
        }
    }
    if (noun && word_count == 1)
        return fail_verb(noun, NULL, ret_error, error_bytes);
    const struct usage *near = nearest(word_count, words, noun != NULL);
    if (near) {
        char name[USAGE_NAME_BYTES];
        usage_name(near, name, sizeof(name));
        bool two = word_count > 1 && near->verb[0];
        return fail(ret_error, error_bytes, "there is no '%s%s%s'; did you mean '%s'?", words[0],
                    two ? " " : "", two ? words[1] : "", name);
    }
    if (noun)
        return fail_verb(noun, words[1], ret_error, error_bytes);
    return fail(ret_error, error_bytes, "there is no command '%s'", words[0]);
}

/* --- requests ------------------------------------------------------------------------------------------- */

static int add_device(cJSON *request, const char *text, char *ret_error, size_t error_bytes) {
    char *end;
    errno = 0;
    unsigned long device = strtoul(text, &end, 10);
    if (errno || end == text || *end || !isdigit((unsigned char)text[0]) || device < 1 || device > UINT16_MAX)
        return fail(ret_error, error_bytes, "'%s' is no device: a number from 1 to %d is", text, UINT16_MAX);
    return cJSON_AddNumberToObject(request, "device", (double)device) ? 0 : -ENOMEM;
}

/* The switch runs in another folder than we do, so it gets the whole path. */
static int add_folder(cJSON *request, const char *field, const char *text, char *ret_error,
                      size_t error_bytes) {
    char here[PATH_MAX], whole[2 * PATH_MAX];
    if (text[0] == '\0')
        return fail(ret_error, error_bytes, "the folder's name is empty");
    if (text[0] != '/' && !getcwd(here, sizeof(here))) {
        int error = -errno;
        fail(ret_error, error_bytes, "the folder we are in has no path: %s", strerror(-error));
        return error;
    }
    int bytes = text[0] == '/' ? snprintf(whole, sizeof(whole), "%s", text)
                               : snprintf(whole, sizeof(whole), "%s/%s", here, text);
    if (bytes >= PATH_MAX)
        return fail(ret_error, error_bytes, "the folder's path is too long");
    return cJSON_AddStringToObject(request, field, whole) ? 0 : -ENOMEM;
}

static int add_argument(cJSON *request, const char *kind, const char *text, char *ret_error,
                        size_t error_bytes) {
    if (strcmp(kind, "NAME") == 0)
        return cJSON_AddStringToObject(request, "name", text) ? 0 : -ENOMEM;
    if (strcmp(kind, "DEVICE") == 0)
        return add_device(request, text, ret_error, error_bytes);
    if (strcmp(kind, "NEW-FOLDER") == 0)
        return add_folder(request, "new_folder", text, ret_error, error_bytes);
    must(strcmp(kind, "FOLDER") == 0); /* the table has no other */
    return add_folder(request, "folder", text, ret_error, error_bytes);
}

/* The next word of a usage line: its kind, and whether it may be left out. Returns what follows, NULL at the
 * end. */
static const char *next_argument(const char *usage, char *ret_kind, size_t kind_bytes, bool *ret_optional) {
    while (*usage == ' ')
        usage++;
    if (!*usage)
        return NULL;
    *ret_optional = *usage == '[';
    usage += *ret_optional;
    size_t bytes = strcspn(usage, " ]");
    snprintf(ret_kind, kind_bytes, "%.*s", (int)bytes, usage);
    usage += bytes;
    return *usage == ']' ? usage + 1 : usage;
}

static int add_arguments(const struct usage *command, const char *name, unsigned count,
                         char *const *arguments, cJSON *request, char *ret_error, size_t error_bytes) {
    const char *usage = command->arguments;
    char kind[16];
    bool optional;
    unsigned used = 0;
    while ((usage = next_argument(usage, kind, sizeof(kind), &optional))) {
        if (used == count && optional)
            continue;
        if (used == count)
            return fail(ret_error, error_bytes, "%s: %s is missing", name, kind);
        int error = add_argument(request, kind, arguments[used++], ret_error, error_bytes);
        if (error)
            return error;
    }
    if (used < count)
        return fail(ret_error, error_bytes, "%s: '%s' is one word too many", name, arguments[used]);
    return 0;
}

int usage_request(const struct usage *command, unsigned argument_count, char *const *arguments,
                  cJSON **ret_request, char *ret_error, size_t error_bytes) {
    char name[USAGE_NAME_BYTES];
    usage_name(command, name, sizeof(name));
    snprintf(ret_error, error_bytes, "no memory");
    cJSON *request = cJSON_CreateObject();
    int error = cJSON_AddStringToObject(request, "command", name) ? 0 : -ENOMEM;
    if (!error)
        error = add_arguments(command, name, argument_count, arguments, request, ret_error, error_bytes);
    if (error) {
        cJSON_Delete(request);
        return error;
    }
    *ret_request = request;
    return 0;
}
