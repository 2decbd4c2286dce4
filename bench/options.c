#include "bench/options.h"

#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench/payload.h"
#include "core/frame.h"

enum option_key {
    KEY_ADMIN = 256,
    KEY_PAIRS,
    KEY_WINDOW,
    KEY_SIZE,
    KEY_SECONDS,
    KEY_PLAINTEXT,
    KEY_JSON,
    KEY_THREADS,
    KEY_CORES,
    KEY_SWITCH_SHARDS,
    KEY_SWITCH_CORES,
};

static const struct argp_option table[] = {
    {"pairs", KEY_PAIRS, "N", 0, "pairs of devices (default 500)", 1},
    {"window", KEY_WINDOW, "N", 0, "messages of a device without a sent tick (default 8)", 1},
    {"size", KEY_SIZE, "BYTES", 0, "payload of a message, at least 32 (default 200)", 1},
    {"seconds", KEY_SECONDS, "N", 0, "measured time, after half a second to warm up (default 5)", 1},
    {"threads", KEY_THREADS, "N", 0, "threads of ternbench (default 1)", 1},
    {"cores", KEY_CORES, "LIST", 0, "cores its threads are pinned to in turn, as 0,2-3 (default: not pinned)",
     1},
    {"json", KEY_JSON, "FILE", 0, "write figures, settings and machine to FILE", 1},
    {"admin", KEY_ADMIN, "SOCKET", 0, "admin socket of a running switch (default: start one for the run)", 2},
    {"plaintext", KEY_PLAINTEXT, NULL, 0, "connect unencrypted, to the switch's plaintext listener", 2},
    {"switch-shards", KEY_SWITCH_SHARDS, "N", 0, "shards of the switch that is started for the run", 2},
    {"switch-cores", KEY_SWITCH_CORES, "LIST", 0, "cores of the switch that is started for the run", 2},
    {0},
};

static uint32_t number(struct argp_state *state, const char *name, const char *text, uint32_t min,
                       uint32_t max) {
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno || end == text || *end || *text == '-' || value < min || value > max)
        argp_error(state, "--%s is a number from %u to %u, not '%s'", name, min, max, text);
    return (uint32_t)value;
}

/* 0,2-3 */
static void parse_cores(struct argp_state *state, struct options *options, const char *text) {
    const char *at = text;
    while (*at) {
        char *end;
        unsigned long first = strtoul(at, &end, 10), last = first;
        if (end != at && *end == '-') {
            at = end + 1;
            last = strtoul(at, &end, 10);
        }
        bool whole = end != at && (*end == 0 || (*end == ',' && end[1]));
        if (!whole || last < first || last >= 1024 || options->core_count + last - first >= OPTIONS_CORES_MAX)
            argp_error(state, "--cores is a list as 0,2-3 of at most %d cores, not '%s'", OPTIONS_CORES_MAX,
                       text);
        for (unsigned long core = first; core <= last; core++)
            options->cores[options->core_count++] = (int)core;
        at = *end ? end + 1 : end;
    }
}

static error_t parse(int key, char *value, struct argp_state *state) {
    struct options *options = state->input;
    switch (key) {
    case KEY_PAIRS:
        options->pairs = number(state, "pairs", value, 1, 1000000);
        return 0;
    case KEY_WINDOW:
        options->window = number(state, "window", value, 1, 65535);
        return 0;
    case KEY_SIZE:
        options->size_bytes = number(state, "size", value, PAYLOAD_BYTES_MIN, FRAME_PAYLOAD_BYTES_MAX);
        return 0;
    case KEY_SECONDS:
        options->seconds = number(state, "seconds", value, 1, 86400);
        return 0;
    case KEY_THREADS:
        options->threads = number(state, "threads", value, 1, 64);
        return 0;
    case KEY_CORES:
        parse_cores(state, options, value);
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
    case KEY_SWITCH_SHARDS:
        options->switch_shards = value;
        return 0;
    case KEY_SWITCH_CORES:
        options->switch_cores = value;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "'%s' is one word too many", value);
        return 0;
    case ARGP_KEY_END:
        if (options->admin && (options->switch_shards || options->switch_cores))
            argp_error(state,
                       "--switch-shards and --switch-cores are for a switch of one's own, without --admin");
        if (options->threads > options->pairs)
            options->threads = options->pairs;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

void options_parse(struct options *ret_options, int count, char **arguments) {
    static const struct argp argp = {
        .options = table,
        .parser = parse,
        .doc = "Pairs of devices send to each other, both ways, as much as the window allows, and check "
               "that each message arrives once, whole and in order, and that each receipt comes."
               "\vExit status: 0 all is there; 1 something is missing; 2 the command line is wrong; "
               "3 the switch can not be reached.",
    };
    *ret_options = (struct options){.pairs = 500, .window = 8, .size_bytes = 200, .seconds = 5, .threads = 1};
    argp_parse(&argp, count, arguments, 0, NULL, ret_options);
}
