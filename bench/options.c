#include "bench/options.h"

#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench/payload.h"
#include "bench/pins.h"
#include "bench/report.h"
#include "core/frame.h"

enum option_key {
    KEY_ADMIN = 256,
    KEY_PAIRS,
    KEY_WINDOW,
    KEY_WINDOWS,
    KEY_SIZE,
    KEY_SECONDS,
    KEY_RATE,
    KEY_PLAINTEXT,
    KEY_JSON,
    KEY_PLOT,
    KEY_REPEAT,
    KEY_THREADS,
    KEY_CORES,
    KEY_SWITCH_SHARDS,
    KEY_SWITCH_CORES,
    KEY_SWITCH_OPTION,
    KEY_CONNECTIONS,
    KEY_MESSAGES,
    KEY_ONLY,
    KEY_FOES_CPU,
};

struct row {
    uint32_t group;
    struct argp_option option;
};

static const struct row rows[] = {
    {OPTIONS_COUNT, {"connections", KEY_CONNECTIONS, "N", 0, "connections", 1}},
    {OPTIONS_COUNT | OPTIONS_WINDOW,
     {"messages", KEY_MESSAGES, "N", 0, "messages of each device (default: as many as there is time for)",
      1}},
    {OPTIONS_LOAD, {"pairs", KEY_PAIRS, "N", 0, "pairs of devices (default 500)", 1}},
    {OPTIONS_WINDOW,
     {"window", KEY_WINDOW, "N", 0, "messages of a device without a sent tick (default 8)", 1}},
    {OPTIONS_WINDOWS,
     {"windows", KEY_WINDOWS, "LIST", 0, "windows, one after the other (default 1,8,64)", 1}},
    {OPTIONS_LOAD, {"size", KEY_SIZE, "BYTES", 0, "payload of a message, at least 32 (default 200)", 1}},
    {OPTIONS_LOAD | OPTIONS_COUNT,
     {"seconds", KEY_SECONDS, "N", 0, "measured time, after half a second to warm up (default 5)", 1}},
    {OPTIONS_WINDOW,
     {"rate", KEY_RATE, "N", 0,
      "messages a second of all devices together, each at its time; latency counts from that time "
      "(default: as many as the window allows)",
      1}},
    {OPTIONS_LOAD, {"threads", KEY_THREADS, "N", 0, "threads of ternbench (default 1)", 1}},
    {OPTIONS_FRAME,
     {"cores", KEY_CORES, "LIST", 0,
      "cores its threads are pinned to in turn, as 0,2-3 (default: all but the server's)", 2}},
    {OPTIONS_FRAME,
     {"switch-cores", KEY_SWITCH_CORES, "LIST", 0,
      "cores of the server that is started (default: the first ones, one for each shard)", 2}},
    {OPTIONS_SWITCH,
     {"plaintext", KEY_PLAINTEXT, NULL, 0, "connect unencrypted, to the switch's plaintext listener", 2}},
    {OPTIONS_ADMIN,
     {"admin", KEY_ADMIN, "SOCKET", 0, "admin socket of a running switch (default: start one for the run)",
      2}},
    {OPTIONS_SWITCH,
     {"switch-shards", KEY_SWITCH_SHARDS, "N", 0, "shards of the switch that is started (default 1)", 2}},
    {OPTIONS_SWITCH,
     {"switch-option", KEY_SWITCH_OPTION, "NAME=VALUE", 0,
      "a setting of the switch that is started; repeatable", 2}},
    {OPTIONS_FOES,
     {"foes-cpu", KEY_FOES_CPU, "PERCENT", 0,
      "of a core, at most, that the attackers use; 100: as much as they get (default 10)", 1}},
    {OPTIONS_ONLY, {"only", KEY_ONLY, "LIST", 0, "names of servers, separated by commas (default: all)", 2}},
    {OPTIONS_FRAME,
     {"repeat", KEY_REPEAT, "N", 0, "runs; the table shows the median, the least and the most", 3}},
    {OPTIONS_FRAME, {"json", KEY_JSON, "FILE", 0, "write figures, settings and machine to FILE", 3}},
    {OPTIONS_FRAME, {"plot", KEY_PLOT, "FILE", 0, "draw the figures to FILE, an SVG, with gnuplot", 3}},
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static uint32_t number(struct argp_state *state, const char *name, const char *text, uint32_t min,
                       uint32_t max) {
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno || end == text || *end || *text == '-' || value < min || value > max)
        argp_error(state, "--%s is a number from %u to %u, not '%s'", name, min, max, text);
    return (uint32_t)value;
}

static const char *cores(struct argp_state *state, const char *name, const char *text) {
    cpu_set_t parsed;
    if (pins_parse(text, &parsed) < 0)
        argp_error(state, "--%s is a list of cores as 0,2-3, not '%s'", name, text);
    return text;
}

static struct options_list parse_list(struct argp_state *state, const char *name, char *text, uint32_t min,
                                      uint32_t max) {
    struct options_list list = {0};
    for (char *word; (word = strsep(&text, ","));) {
        if (list.count == OPTIONS_LIST_MAX)
            argp_error(state, "--%s takes at most %d numbers", name, OPTIONS_LIST_MAX);
        list.items[list.count++] = number(state, name, word, min, max);
    }
    return list;
}

/* One number, or several for a command that takes one after the other. Returns the first. */
static uint32_t parse_sweep(struct argp_state *state, const char *name, char *text, uint32_t min,
                            uint32_t max, struct options_list *ret_list) {
    const struct options *options = state->input;
    *ret_list = parse_list(state, name, text, min, max);
    if (ret_list->count > 1 && !(options->groups & OPTIONS_SWEEP))
        argp_error(state, "--%s takes one number here", name);
    return ret_list->items[0];
}

void options_set_switch(struct options *options, const char *name, const char *value) {
    if (options->switch_option_count + 3 > OPTIONS_SWITCH_MAX)
        return;
    options->switch_options[options->switch_option_count++] = name;
    options->switch_options[options->switch_option_count++] = value;
}

/* Kept as two words of ternd's command line: NAME in place, as --NAME in front of it would need room. */
static void parse_switch_option(struct argp_state *state, struct options *options, const char *text) {
    const char *equals = strchr(text, '=');
    char *name = equals && equals != text ? malloc((size_t)(equals - text) + 3) : NULL;
    if (!name || options->switch_option_count + 3 > OPTIONS_SWITCH_MAX)
        argp_error(state, "--switch-option is NAME=VALUE, at most %d of them, not '%s'",
                   (OPTIONS_SWITCH_MAX - 1) / 2, text);
    else {
        memcpy(name, "--", 2);
        memcpy(name + 2, text, (size_t)(equals - text));
        name[equals - text + 2] = 0;
        for (char *at = name; *at; at++)
            *at = *at == '_' ? '-' : *at;
        options->switch_options[options->switch_option_count++] = name; /* until the program ends */
        options->switch_options[options->switch_option_count++] = equals + 1;
    }
}

static void check(struct argp_state *state, struct options *options) {
    if (options->admin && (options->switch_shards || options->server_cores || options->switch_option_count))
        argp_error(state,
                   "--switch-shards, --switch-cores and --switch-option are for a switch of one's own, "
                   "without --admin");
    if (options->threads > options->pairs)
        options->threads = options->pairs;
}

static error_t parse_load(int key, char *value, struct argp_state *state) {
    struct options *options = state->input;
    switch (key) {
    case KEY_PAIRS:
        options->pairs = parse_sweep(state, "pairs", value, 1, 1000000, &options->sweep_pairs);
        options->has_pairs = true;
        return 0;
    case KEY_WINDOW:
        options->window = parse_sweep(state, "window", value, 1, 65535, &options->sweep_windows);
        return 0;
    case KEY_WINDOWS:
        options->windows = parse_list(state, "windows", value, 1, 65535);
        return 0;
    case KEY_SIZE:
        options->size_bytes = parse_sweep(state, "size", value, PAYLOAD_BYTES_MIN, FRAME_PAYLOAD_BYTES_MAX,
                                          &options->sweep_sizes);
        return 0;
    case KEY_SECONDS:
        options->seconds = number(state, "seconds", value, 1, 86400);
        return 0;
    case KEY_RATE:
        options->rate = number(state, "rate", value, 1, 1000000000);
        return 0;
    case KEY_THREADS:
        options->threads = number(state, "threads", value, 1, 64);
        return 0;
    case KEY_CONNECTIONS:
        options->connections = number(state, "connections", value, 1, 100000000);
        return 0;
    case KEY_MESSAGES:
        options->messages = number(state, "messages", value, 1, 100000000);
        return 0;
    case KEY_FOES_CPU:
        options->foes_percent = number(state, "foes-cpu", value, 1, 100);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse(int key, char *value, struct argp_state *state) {
    struct options *options = state->input;
    switch (key) {
    case KEY_CORES:
        options->load_cores = cores(state, "cores", value);
        return 0;
    case KEY_ADMIN:
        options->admin = value;
        return 0;
    case KEY_PLAINTEXT:
        options->plaintext = true;
        return 0;
    case KEY_JSON:
        options->json = value;
        return 0;
    case KEY_PLOT:
        options->plot = value;
        return 0;
    case KEY_ONLY:
        options->only = value;
        return 0;
    case KEY_REPEAT:
        options->repeat = number(state, "repeat", value, 1, REPORT_RUNS_MAX);
        return 0;
    case KEY_SWITCH_SHARDS:
        number(state, "switch-shards", value, 1, 64);
        options->switch_shards = value;
        return 0;
    case KEY_SWITCH_CORES:
        options->server_cores = cores(state, "switch-cores", value);
        return 0;
    case KEY_SWITCH_OPTION:
        parse_switch_option(state, options, value);
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "'%s' is one word too many", value);
        return 0;
    case ARGP_KEY_END:
        check(state, options);
        return 0;
    default:
        return parse_load(key, value, state);
    }
}

void options_parse(struct options *options, uint32_t groups, const char *doc, int count, char **arguments) {
    struct argp_option table[ROWS + 1] = {0};
    options->groups = groups;
    uint32_t used = 0;
    for (size_t i = 0; i < ROWS; i++) {
        if (rows[i].group & groups)
            table[used++] = rows[i].option;
    }
    char text[1024];
    snprintf(text, sizeof(text),
             "%s\vExit status: 0 all is there; 1 something is missing; 2 the command line is wrong; 3 the "
             "server can not be reached.",
             doc);
    struct argp argp = {.options = table, .parser = parse, .doc = text};
    argp_parse(&argp, count, arguments, 0, NULL, options);
}
