/* ternbench: load for a switch, and what it makes of it. Each command is a line of the table. */
#include <argp.h>
#include <stdio.h>
#include <string.h>

#include "bench/cost.h"
#include "bench/e2e.h"
#include "bench/fleet.h"
#include "bench/hostile.h"
#include "bench/micro.h"
#include "bench/pairs.h"
#include "bench/ratio.h"
#include "bench/torture.h"
#include "core/noise.h"
#include "core/version.h"

struct command {
    const char *name;
    int (*run)(int count, char **arguments);
    const char *help;
};

static const struct command commands[] = {
    {"pairs", pairs_run, "pairs of devices send to each other; every message and receipt is checked"},
    {"floor", floor_run, "the same on a bare relay: the least any TCP relay must do"},
    {"ratio", ratio_run, "the switch and the floor in turn, and the ratio"},
    {"peers", peers_run, "the switch and other servers in turn, as far as they are installed"},
    {"crossing", crossing_run, "two shards with all traffic crossing, and one shard, in turn"},
    {"receipts", receipts_run, "the receipt pipeline across two shards"},
    {"offline", offline_run, "messages to devices that are away: enqueued, then drained"},
    {"reconnect", reconnect_run, "all devices come back at once"},
    {"idle", idle_run, "many connections that say nothing, and what they take"},
    {"cost", cost_run, "what a message costs the switch, in counts"},
    {"micro", micro_run, "single steps of a message's way, in nanoseconds and instructions"},
    {"e2e", e2e_run, "end-to-end encryption at both clients: messages and beginnings a second, on one core"},
    {"hostile", hostile_run, "pairs beside floods, stalled readers and slow handshakes"},
    {"torture", torture_run, "a switch and its devices are killed again and again; nothing may be lost"},
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_usage(FILE *out) {
    fprintf(out, "Usage: ternbench COMMAND [OPTION...]\n\nCommands:\n");
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].help);
    fprintf(out,
            "\n`ternbench COMMAND --help` lists a command's options; `ternbench --version` its version.\n");
}

int main(int count, char **arguments) {
    argp_err_exit_status = EXIT_USAGE;
    if (count >= 2 && (strcmp(arguments[1], "--help") == 0 || strcmp(arguments[1], "help") == 0)) {
        print_usage(stdout);
        return EXIT_COMPLETE;
    }
    if (count >= 2 && strcmp(arguments[1], "--version") == 0) {
        printf("ternbench %s\n", TERN_VERSION);
        return EXIT_COMPLETE;
    }
    for (size_t i = 0; count >= 2 && i < COMMANDS; i++) {
        if (strcmp(arguments[1], commands[i].name) != 0)
            continue;
        if (noise_init() < 0) {
            fprintf(stderr, "ternbench: libsodium does not start\n");
            return EXIT_MISSING;
        }
        char name[64];
        snprintf(name, sizeof(name), "ternbench %s", commands[i].name);
        arguments[1] = name;
        return commands[i].run(count - 1, arguments + 1);
    }
    print_usage(stderr);
    return EXIT_USAGE;
}
