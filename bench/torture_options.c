#include "bench/torture_options.h"

#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench/torture_device.h"
#include "core/crash.h"
#include "tools/client/content.h"
#include "tools/client/e2e/channel.h"

#define NEWCOMER_PLACES 8 /* devices and accounts that join while it runs */

enum option_key {
    KEY_KILLS = 256,
    KEY_SECONDS,
    KEY_ACCOUNTS,
    KEY_DEVICES,
    KEY_SIZE,
    KEY_POINT,
    KEY_SHARDS,
    KEY_SEED,
    KEY_JSON
};

static const struct argp_option table[] = {
    {"kills", KEY_KILLS, "N", 0, "how often the switch is killed (default 200)", 1},
    {"seconds", KEY_SECONDS, "N", 0, "stop killing after so long, whatever the count (default: no limit)", 1},
    {"accounts", KEY_ACCOUNTS, "N", 0, "accounts, each of which sends to all (default 3)", 1},
    {"devices", KEY_DEVICES, "N", 0,
     "devices of each account, each a process; the first lets the others in (default 3)", 1},
    {"size", KEY_SIZE, "BYTES", 0, "largest payload of a message, before it is encrypted (default 1500)", 1},
    {"shards", KEY_SHARDS, "N", 0,
     "most shards of the switch, whose number changes with each start (default 3)", 1},
    {"point", KEY_POINT, "NAME", 0,
     "kill only at this crash point (default: each in turn, and at random moments)", 1},
    {"seed", KEY_SEED, "N", 0, "repeat the choices of a run, though not its timing (default: a new one)", 1},
    {"json", KEY_JSON, "FILE", 0, "write figures, settings and machine to FILE", 1},
    {0},
};

static uint64_t number(struct argp_state *state, const char *name, const char *text, uint64_t min,
                       uint64_t max) {
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno || end == text || *end || *text == '-' || value < min || value > max)
        argp_error(state, "--%s is a number from %llu to %llu, not '%s'", name, (unsigned long long)min,
                   (unsigned long long)max, text);
    return value;
}

/* The payload of a message is shared by those it is encrypted for. */
static uint32_t size_max(uint32_t devices) {
    size_t part_bytes = FRAME_PAYLOAD_BYTES_MAX / (2 * devices - 1) - FRAME_MESSAGE_BYTES;
    return (uint32_t)channel_text_bytes_max(part_bytes) - INNER_TYPE_BYTES - TORTURE_HEADER_BYTES;
}

static const char *known_point(struct argp_state *state, const char *text) {
#define X(name, passes, moment) #name,
    static const char *const names[] = {CRASH_POINTS(X)};
#undef X
    for (size_t i = 0; i < CRASH_POINT_COUNT; i++) {
        if (strcmp(names[i], text) == 0)
            return text;
    }
    argp_error(state, "'%s' is no crash point", text);
    return NULL;
}

static error_t parse(int key, char *value, struct argp_state *state) {
    struct torture_options *options = state->input;
    switch (key) {
    case KEY_KILLS:
        options->kills = (uint32_t)number(state, "kills", value, 1, 1000000);
        return 0;
    case KEY_SECONDS:
        options->seconds = (uint32_t)number(state, "seconds", value, 1, 1000000);
        return 0;
    case KEY_ACCOUNTS:
        options->accounts =
            (uint32_t)number(state, "accounts", value, 1, TORTURE_ACCOUNTS_MAX - NEWCOMER_PLACES);
        return 0;
    case KEY_DEVICES:
        options->devices = (uint32_t)number(state, "devices", value, 1, 16);
        return 0;
    case KEY_SIZE:
        options->payload_bytes_max = (uint32_t)number(state, "size", value, 1, 60000);
        return 0;
    case KEY_SHARDS:
        options->shards = (uint32_t)number(state, "shards", value, 1, 64);
        return 0;
    case KEY_POINT:
        options->point = known_point(state, value);
        if (!crash_points_there())
            argp_error(state, "this build has no crash points: make FLAVOUR=torture");
        return 0;
    case KEY_SEED:
        options->seed = number(state, "seed", value, 1, UINT64_MAX);
        return 0;
    case KEY_JSON:
        options->json = value;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "'%s' is one word too many", value);
        return 0;
    case ARGP_KEY_END:
        if (options->accounts * options->devices > TORTURE_DEVICES_MAX - NEWCOMER_PLACES)
            argp_error(state, "more than %d devices are too many", TORTURE_DEVICES_MAX - NEWCOMER_PLACES);
        if (options->accounts * options->devices < 2)
            argp_error(state, "one device alone has nobody to write to");
        if (options->payload_bytes_max > size_max(options->devices))
            argp_error(state, "with %u devices of each account --size is at most %u", options->devices,
                       size_max(options->devices));
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

void torture_options_parse(struct torture_options *ret_options, int count, char **arguments) {
    static const struct argp argp = {
        .options = table,
        .parser = parse,
        .doc =
            "Devices, several of each account, send encrypted messages to each other while the switch is "
            "killed again and again, with kill -9 at random moments and, in a build that has them (make "
            "FLAVOUR=torture), at named points of its code; "
            "devices are killed, stopped and sent away, too. In the end what was sent is compared with what "
            "each application was given, and the switch's store searched for it."
            "\vExit status: 0 nothing was lost, doubled or reordered, every tick is there and true, nothing "
            "is left in the store; 1 something is wrong; 2 the command line is wrong; 3 the switch can not "
            "be started.",
    };
    *ret_options = (struct torture_options){
        .kills = 200, .accounts = 3, .devices = 3, .payload_bytes_max = 1500, .shards = 3};
    argp_parse(&argp, count, arguments, 0, NULL, ret_options);
}
