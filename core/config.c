#include "core/config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/network.h"

#define HOST_BYTES_MAX 253 /* what DNS allows */
#define PORT_DIGITS_MAX 5
#define ADMIN_NAME "/admin.sock"  /* in the data folder, where none is set */
#define SOCKET_PATH_BYTES_MAX 107 /* sun_path, but for its end */

enum setting_kind { SETTING_NUMBER, SETTING_TEXT, SETTING_LIST };
enum setting_when { SETTING_R, SETTING_I }; /* reloadable; at start only */

struct setting {
    const char *name;
    const char *fallback;
    const char *help;
    uint64_t min, max;
    size_t offset, count_offset;
    enum setting_kind kind;
    enum setting_when when;
};

#define SETTING_N(field, value, low, high, moment, text)                                                     \
    {.name = #field,                                                                                         \
     .fallback = #value,                                                                                     \
     .help = text,                                                                                           \
     .min = low,                                                                                             \
     .max = high,                                                                                            \
     .offset = offsetof(struct config, field),                                                               \
     .kind = SETTING_NUMBER,                                                                                 \
     .when = SETTING_##moment},
#define SETTING_T(field, value, moment, text)                                                                \
    {.name = #field,                                                                                         \
     .fallback = value,                                                                                      \
     .help = text,                                                                                           \
     .offset = offsetof(struct config, field),                                                               \
     .kind = SETTING_TEXT,                                                                                   \
     .when = SETTING_##moment},
#define SETTING_L(field, value, moment, text)                                                                \
    {.name = #field,                                                                                         \
     .fallback = value,                                                                                      \
     .help = text,                                                                                           \
     .offset = offsetof(struct config, field),                                                               \
     .count_offset = offsetof(struct config, field##_count),                                                 \
     .kind = SETTING_LIST,                                                                                   \
     .when = SETTING_##moment},

static const struct setting settings[] = {SETTINGS(SETTING_N, SETTING_T, SETTING_L)};
#define SETTING_COUNT (sizeof(settings) / sizeof(settings[0]))

__attribute__((format(printf, 3, 4))) static int fail(char *ret_error, size_t error_bytes, const char *format,
                                                      ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(ret_error, error_bytes, format, arguments);
    va_end(arguments);
    return -EINVAL;
}

/* --- values --------------------------------------------------------------------------------------------- */

static uint64_t *number_of(struct config *config, const struct setting *setting) {
    return (uint64_t *)(void *)((char *)config + setting->offset);
}

static char *text_of(struct config *config, const struct setting *setting, uint32_t index) {
    return (char *)config + setting->offset + (size_t)index * CONFIG_TEXT_BYTES;
}

static uint32_t *count_of(struct config *config, const struct setting *setting) {
    return (uint32_t *)(void *)((char *)config + setting->count_offset);
}

static size_t setting_bytes(const struct setting *setting) {
    if (setting->kind == SETTING_NUMBER)
        return sizeof(uint64_t);
    return setting->kind == SETTING_TEXT ? CONFIG_TEXT_BYTES : (size_t)CONFIG_LIST_MAX * CONFIG_TEXT_BYTES;
}

/* Lists start with their default in place 0 and a count of 0: config_list_count says 1 where that default is
 * not empty. */
static void set_default(struct config *config, const struct setting *setting) {
    if (setting->kind == SETTING_NUMBER) {
        *number_of(config, setting) = strtoull(setting->fallback, NULL, 10);
        return;
    }
    memset(text_of(config, setting, 0), 0, setting_bytes(setting));
    snprintf(text_of(config, setting, 0), CONFIG_TEXT_BYTES, "%s", setting->fallback);
    if (setting->kind == SETTING_LIST)
        *count_of(config, setting) = 0;
}

void config_defaults(struct config *config) {
    memset(config, 0, sizeof(*config));
    for (size_t i = 0; i < SETTING_COUNT; i++)
        set_default(config, &settings[i]);
}

uint32_t config_list_count(const char (*list)[CONFIG_TEXT_BYTES], uint32_t count) {
    if (count == 0)
        count = 1; /* the default */
    return count == 1 && list[0][0] == '\0' ? 0 : count;
}

static int parse_number(const struct setting *setting, const char *value, uint64_t *ret_number,
                        char *ret_error, size_t error_bytes) {
    static const char suffixes[] = "kMG";
    char *end;
    errno = 0;
    unsigned long long number = strtoull(value, &end, 10);
    if (end == value || value[0] == '-' || value[0] == '+' || errno)
        return fail(ret_error, error_bytes, "%s: \"%s\" is not a number", setting->name, value);
    if (*end != '\0') {
        const char *suffix = strchr(suffixes, *end);
        if (!suffix || end[1] != '\0')
            return fail(ret_error, error_bytes, "%s: \"%s\" is not a number (k, M and G may follow it)",
                        setting->name, value);
        for (const char *step = suffixes; step <= suffix; step++) {
            if (__builtin_mul_overflow(number, 1024ull, &number))
                number = UINT64_MAX;
        }
    }
    if (number < setting->min || number > setting->max) {
        fail(ret_error, error_bytes, "%s: %s is not in %llu .. %llu", setting->name, value,
             (unsigned long long)setting->min, (unsigned long long)setting->max);
        return -ERANGE;
    }
    *ret_number = number;
    return 0;
}

static const struct setting *find(const char *name) {
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        if (strcmp(settings[i].name, name) == 0)
            return &settings[i];
    }
    return NULL;
}

int config_set(struct config *config, const char *name, const char *value, char *ret_error,
               size_t error_bytes) {
    const struct setting *setting = find(name);
    if (!setting) {
        fail(ret_error, error_bytes, "%s: no such setting; ternd --help lists them", name);
        return -ENOENT;
    }
    if (setting->kind == SETTING_NUMBER)
        return parse_number(setting, value, number_of(config, setting), ret_error, error_bytes);
    if (strlen(value) >= CONFIG_TEXT_BYTES)
        return fail(ret_error, error_bytes, "%s: longer than %d bytes", name, CONFIG_TEXT_BYTES - 1);
    uint32_t index = 0;
    if (setting->kind == SETTING_LIST) {
        uint32_t *count = count_of(config, setting);
        if (*count == CONFIG_LIST_MAX)
            return fail(ret_error, error_bytes, "%s: given more than %d times", name, CONFIG_LIST_MAX);
        index = (*count)++;
    }
    /* Nothing of a longer text may stay behind it: a reload compares all bytes. */
    memset(text_of(config, setting, index), 0, CONFIG_TEXT_BYTES);
    snprintf(text_of(config, setting, index), CONFIG_TEXT_BYTES, "%s", value);
    return 0;
}

int config_unset(struct config *config, const char *name) {
    const struct setting *setting = find(name);
    if (!setting)
        return -ENOENT;
    set_default(config, setting);
    return 0;
}

/* --- checks --------------------------------------------------------------------------------------------- */

static bool is_power_of_two(uint64_t number) {
    return number && (number & (number - 1)) == 0;
}

/* What a link URI can name, and devices can read there. */
static bool is_host_port(const char *text) {
    static const char digits[] = "0123456789",
                      letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    const char *colon = strrchr(text, ':');
    size_t bytes = colon ? (size_t)(colon - text) : 0;
    if (bytes == 0 || bytes > HOST_BYTES_MAX || strspn(colon + 1, digits) != strlen(colon + 1) ||
        colon[1] == '0' || strlen(colon + 1) > PORT_DIGITS_MAX ||
        strtoul(colon + 1, NULL, 10) - 1 >= UINT16_MAX)
        return false;
    if (text[0] == '[') {
        char host[CONFIG_TEXT_BYTES];
        uint16_t port;
        return network_host_port(text, host, sizeof(host), &port) == 0;
    }
    for (size_t i = 0; i < bytes; i++) {
        if (!strchr(digits, text[i]) && !strchr(letters, text[i]) && !strchr(".-_", text[i]))
            return false;
    }
    return true;
}

/* All of `listen`, then all of `plaintext_listen`. */
static const char *listen_at(const struct config *config, uint32_t listen_count, uint32_t index) {
    return index < listen_count ? config->listen[index] : config->plaintext_listen[index - listen_count];
}

static int check_paths(const struct config *config, char *ret_error, size_t error_bytes) {
    if (!config->data[0])
        return fail(ret_error, error_bytes, "data: empty; it is the folder of the store");
    size_t bytes = config->admin[0] ? strlen(config->admin) : strlen(config->data) + strlen(ADMIN_NAME);
    if (bytes > SOCKET_PATH_BYTES_MAX)
        return fail(ret_error, error_bytes,
                    "admin: the path of a socket is at most %d bytes long, \"%s%s\" has %zu",
                    SOCKET_PATH_BYTES_MAX, config->admin[0] ? config->admin : config->data,
                    config->admin[0] ? "" : ADMIN_NAME, bytes);
    return 0;
}

static int check_addresses(const struct config *config, char *ret_error, size_t error_bytes) {
    char host[CONFIG_TEXT_BYTES];
    uint16_t port;
    uint32_t count = config_list_count(config->listen, config->listen_count);
    for (uint32_t i = 0; i < count; i++) {
        if (network_host_port(config->listen[i], host, sizeof(host), &port) < 0)
            return fail(ret_error, error_bytes,
                        "listen: \"%s\" is not ADDRESS:PORT, as 127.0.0.1:7440 or [::]:7440",
                        config->listen[i]);
    }
    uint32_t plain = config_list_count(config->plaintext_listen, config->plaintext_listen_count);
    for (uint32_t i = 0; i < plain; i++) {
        const char *text = config->plaintext_listen[i];
        if (network_host_port(text, host, sizeof(host), &port) < 0 ||
            (strncmp(host, "127.", 4) != 0 && strcmp(host, "::1") != 0))
            return fail(ret_error, error_bytes, "plaintext_listen: \"%s\" is not a loopback ADDRESS:PORT",
                        text);
    }
    for (uint32_t i = 0; i < count + plain; i++) {
        for (uint32_t j = 0; j < i; j++) {
            const char *text = listen_at(config, count, i);
            if (strcmp(text, listen_at(config, count, j)) == 0 &&
                network_host_port(text, host, sizeof(host), &port) == 0 && port != 0)
                return fail(ret_error, error_bytes, "listen: \"%s\" is given twice", text);
        }
    }
    if (count + plain == 0)
        return fail(ret_error, error_bytes, "listen: no address to listen on");
    if (config->advertise[0] && !is_host_port(config->advertise))
        return fail(ret_error, error_bytes, "advertise: \"%s\" is not HOST:PORT, as switch.example.org:7440",
                    config->advertise);
    return 0;
}

static int check_networks(const char *name, const char (*list)[CONFIG_TEXT_BYTES], uint32_t given,
                          char *ret_error, size_t error_bytes) {
    struct network network;
    uint32_t count = config_list_count(list, given);
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(list[i], "none") != 0 && network_parse(list[i], &network) < 0)
            return fail(ret_error, error_bytes, "%s: \"%s\" is not a network, as 10.0.0.0/8 or fd00::/8",
                        name, list[i]);
    }
    return 0;
}

static int check_features(const struct config *config, char *ret_error, size_t error_bytes) {
    static const char *const known[] = {"recv_multishot", "min_wait", "defer_taskrun"};
    char text[CONFIG_TEXT_BYTES];
    snprintf(text, sizeof(text), "%s", config->ring_without);
    for (char *save = NULL, *name = strtok_r(text, ", ", &save); name; name = strtok_r(NULL, ", ", &save)) {
        size_t i = 0;
        while (i < sizeof(known) / sizeof(known[0]) && strcmp(known[i], name) != 0)
            i++;
        if (i == sizeof(known) / sizeof(known[0]))
            return fail(ret_error, error_bytes,
                        "ring_without: \"%s\" is none of recv_multishot, min_wait, defer_taskrun", name);
    }
    return 0;
}

int config_check(const struct config *config, char *ret_error, size_t error_bytes) {
    uint16_t cores[CONFIG_CORES_MAX];
    if (!is_power_of_two(config->buffers))
        return fail(ret_error, error_bytes, "buffers: %llu is not a power of two",
                    (unsigned long long)config->buffers);
    if (!is_power_of_two(config->lane_slots))
        return fail(ret_error, error_bytes, "lane_slots: %llu is not a power of two",
                    (unsigned long long)config->lane_slots);
    if (config->idle_s <= config->ping_s)
        return fail(ret_error, error_bytes,
                    "idle_s: has to be more than ping_s, or every idle connection is closed");
    if (config->ring_completions < config->ring_entries)
        return fail(ret_error, error_bytes, "ring_completions: has to be at least ring_entries");
    if (config_cores(config->cores, cores, CONFIG_CORES_MAX) < 0)
        return fail(ret_error, error_bytes, "cores: \"%s\" is not a list of cores, as 0,2-3", config->cores);
    int error = check_paths(config, ret_error, error_bytes);
    if (!error)
        error = check_addresses(config, ret_error, error_bytes);
    if (!error)
        error = check_networks("address_exempt", config->address_exempt, config->address_exempt_count,
                               ret_error, error_bytes);
    if (!error)
        error = check_networks("proxy_from", config->proxy_from, config->proxy_from_count, ret_error,
                               error_bytes);
    return error ? error : check_features(config, ret_error, error_bytes);
}

bool config_has(const char *list, const char *name) {
    size_t bytes = strlen(name);
    for (const char *at = strstr(list, name); at; at = strstr(at + 1, name)) {
        bool begins = at == list || at[-1] == ',' || at[-1] == ' ';
        if (begins && (at[bytes] == '\0' || at[bytes] == ',' || at[bytes] == ' '))
            return true;
    }
    return false;
}

int config_cores(const char *text, uint16_t *ret_cores, uint32_t capacity) {
    uint32_t count = 0;
    while (*text) {
        char *end;
        unsigned long first = strtoul(text, &end, 10);
        unsigned long last = first;
        if (end == text)
            return -EINVAL;
        if (*end == '-') {
            text = end + 1;
            last = strtoul(text, &end, 10);
            if (end == text)
                return -EINVAL;
        }
        if (last < first || last >= UINT16_MAX || last - first >= capacity - count)
            return -EINVAL;
        for (unsigned long core = first; core <= last; core++)
            ret_cores[count++] = (uint16_t)core;
        if (*end == ',' && end[1] != '\0')
            end++;
        else if (*end != '\0')
            return -EINVAL;
        text = end;
    }
    return (int)count;
}

/* --- reload --------------------------------------------------------------------------------------------- */

static bool differs(const struct config *config, const struct config *from, const struct setting *setting) {
    return memcmp((const char *)config + setting->offset, (const char *)from + setting->offset,
                  setting_bytes(setting)) != 0;
}

unsigned config_reload(struct config *config, const struct config *from) {
    unsigned others = 0;
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *setting = &settings[i];
        if (!differs(config, from, setting))
            continue;
        if (setting->when == SETTING_I) {
            others++;
            continue;
        }
        memcpy((char *)config + setting->offset, (const char *)from + setting->offset,
               setting_bytes(setting));
        if (setting->kind == SETTING_LIST)
            memcpy((char *)config + setting->count_offset, (const char *)from + setting->count_offset,
                   sizeof(uint32_t));
    }
    return others;
}

unsigned config_differences(const struct config *config, const struct config *from, bool reloadable,
                            char *ret_names, size_t names_bytes) {
    unsigned count = 0;
    size_t used = 0;
    if (names_bytes)
        ret_names[0] = '\0';
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *setting = &settings[i];
        if ((setting->when == SETTING_R) != reloadable || !differs(config, from, setting))
            continue;
        int bytes = snprintf(ret_names + used, names_bytes - used, "%s%s", count ? " " : "", setting->name);
        if (used + (size_t)bytes < names_bytes)
            used += (size_t)bytes;
        else if (used < names_bytes)
            ret_names[used] = '\0';
        count++;
    }
    return count;
}

/* --- the table as text ---------------------------------------------------------------------------------- */

struct writer {
    char *text;
    size_t bytes, used;
};

__attribute__((format(printf, 2, 3))) static void put(struct writer *writer, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    size_t room = writer->used < writer->bytes ? writer->bytes - writer->used : 0;
    int count = vsnprintf(room ? writer->text + writer->used : NULL, room, format, arguments);
    va_end(arguments);
    writer->used += count > 0 ? (size_t)count : 0;
}

static void range_text(const struct setting *setting, char *out, size_t out_bytes) {
    out[0] = '\0';
    if (setting->kind == SETTING_NUMBER)
        snprintf(out, out_bytes, "%llu .. %llu", (unsigned long long)setting->min,
                 (unsigned long long)setting->max);
    else if (setting->kind == SETTING_LIST)
        snprintf(out, out_bytes, "repeatable");
}

static void describe(struct writer *writer, enum config_style style, const struct setting *setting) {
    char range[64];
    const char *when = setting->when == SETTING_R ? "reloadable" : "at start only";
    range_text(setting, range, sizeof(range));
    switch (style) {
    case CONFIG_SAMPLE:
        put(writer, "\n# %s\n# %s%s%s\n#%s = %s\n", setting->help, range, range[0] ? "; " : "", when,
            setting->name, setting->fallback);
        break;
    case CONFIG_HELP:
        put(writer, "  %-24s %s (default: %s%s%s)\n", setting->name, setting->help,
            setting->fallback[0] ? setting->fallback : "empty", range[0] ? "; " : "", range);
        break;
    case CONFIG_MAN:
        put(writer, ".TP\n.BR %s \" (default: %s)\"\n%s. %s%s%s.\n", setting->name,
            setting->fallback[0] ? setting->fallback : "empty", setting->help, range, range[0] ? "; " : "",
            when);
        break;
    case CONFIG_MARKDOWN:
        put(writer, "| `%s` | %s%s%s | %s | %s | %s |\n", setting->name, setting->fallback[0] ? "`" : "",
            setting->fallback, setting->fallback[0] ? "`" : "", range, when, setting->help);
        break;
    }
}

size_t config_describe(enum config_style style, char *text, size_t text_bytes) {
    struct writer writer = {.text = text, .bytes = text_bytes};
    if (style == CONFIG_SAMPLE)
        put(&writer,
            "# Settings of ternd, all with their defaults. Numbers may end in k, M or G (powers of 1024).\n");
    if (style == CONFIG_MARKDOWN)
        put(&writer, "| setting | default | range | when | what |\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < SETTING_COUNT; i++)
        describe(&writer, style, &settings[i]);
    return writer.used;
}
