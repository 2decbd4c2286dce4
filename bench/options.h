/* bench/options.h: the options of ternbench's commands: one table, of which each command takes a part.
 *
 * Threads: the main thread.  Memory: texts are the command line's. */
#ifndef TERN_BENCH_OPTIONS_H
#define TERN_BENCH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#define OPTIONS_SWITCH_MAX 33 /* words for the own switch, and the NULL at their end */
#define OPTIONS_LIST_MAX 8

/* Groups of options. */
enum options_group {
    OPTIONS_FRAME = 1,    /* --json, --plot, --repeat: every command */
    OPTIONS_LOAD = 2,     /* --pairs, --size, --seconds, --threads, the cores */
    OPTIONS_WINDOW = 4,   /* --window, --rate */
    OPTIONS_SWITCH = 8,   /* --switch-shards, --switch-option, --plaintext */
    OPTIONS_ADMIN = 16,   /* --admin */
    OPTIONS_WINDOWS = 32, /* --windows: several, one after the other */
    OPTIONS_COUNT = 64,   /* --connections, --messages: how many of what the command is about */
    OPTIONS_ONLY = 128,   /* --only: some of the servers */
    OPTIONS_SWEEP = 256,  /* --pairs, --window and --size take several numbers */
    OPTIONS_FOES = 512    /* --foes-cpu */
};

struct options_list {
    uint32_t items[OPTIONS_LIST_MAX], count;
};

struct options {
    const char *admin; /* socket of a running switch; NULL: a switch of one's own */
    const char *json;  /* file; NULL: none */
    const char *plot;
    const char *only;                               /* names, separated by commas */
    const char *switch_shards;                      /* of the own switch; NULL: 1 */
    const char *switch_options[OPTIONS_SWITCH_MAX]; /* NAME=VALUE became --NAME and VALUE */
    uint32_t switch_option_count;
    const char *server_cores, *load_cores;
    bool plaintext; /* to the switch's unencrypted listener */
    bool has_pairs;
    uint32_t pairs, window, size_bytes, seconds, threads, repeat, connections, messages;
    uint32_t foes_percent; /* of a core, at most, for the attackers; 100: no limit */
    struct options_list windows;
    struct options_list sweep_pairs, sweep_windows, sweep_sizes; /* none: the one number above */
    uint32_t groups;                                             /* as given to options_parse */
    double rate;
    uint32_t idle_s; /* not of the command line: connections stay idle for so long before the load */
    const char *const *switch_under; /* not of the command line: the command the own switch is run under */
    bool is_offline;  /* not of the command line: the second of each pair is away while the first sends */
    bool is_crossing; /* not of the command line: pairs have their ends on different shards, of two */
    bool is_storm;    /* not of the command line: all devices leave and come back before the load */
};

/* groups: of enum options_group. doc: the command in a sentence. defaults: what stays where the command line
 * says nothing. Ends the program with status 2 where the command line is wrong, with 0 after --help. */
void options_parse(struct options *options, uint32_t groups, const char *doc, int count, char **arguments);
/* --NAME VALUE for the own switch; nothing where there are OPTIONS_SWITCH_MAX words already. The strings are
 * the caller's and stay. */
void options_set_switch(struct options *options, const char *name, const char *value);

#endif
