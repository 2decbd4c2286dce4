#include "bench/hostile.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "bench/foes.h"
#include "bench/own_switch.h"
#include "bench/pairs.h"
#include "bench/progress.h"
#include "bench/trial.h"
#include "core/config.h"
#include "core/msg.h"

#define PAIRS 50
#define RATE 2000 /* messages a second of all pairs */
#define SECONDS 5
#define FOES_PERCENT 10
#define OWN_OPTIONS 6 /* words before those of the command line */

/* docs/OPERATIONS.md, "Memory under attack", has these in a formula. */
#define MESSAGE_BYTES (4096u + 1024u) /* and what belongs to it, for each that messages_max counts */
#define RECEIPT_BYTES 256u
#define CONNECTION_BYTES (512u << 10)
#define PENDING_BYTES 4096u
#define ADDRESS_BYTES 256u
#define BASE_BYTES (64u << 20)

struct hostile {
    struct options options;
    struct pins pins;
    struct config config; /* of the switch */
    const char *words[OWN_OPTIONS + OPTIONS_SWITCH_MAX + 1];
    struct trial before, during, aside;
    struct foes foes;
    uint64_t calm_bytes;
    bool failed;
};

/* The pairs come from 127.0.0.1, the foes from other addresses, which the limits of addresses count. */
static const char *const own_options[OWN_OPTIONS] = {
    "--address-exempt", "127.0.0.1/32", "--messages-max", "32768", "--map-bytes", "4G"};

static int read_settings(struct hostile *hostile) {
    char error[256], name[64];
    uint32_t used = 0;
    memcpy(hostile->words, own_options, sizeof(own_options));
    used = OWN_OPTIONS;
    for (uint32_t i = 0; i < hostile->options.switch_option_count; i++)
        hostile->words[used++] = hostile->options.switch_options[i];
    hostile->words[used] = NULL;
    config_defaults(&hostile->config);
    for (uint32_t i = 0; i + 1 < used; i += 2) {
        snprintf(name, sizeof(name), "%s", hostile->words[i] + 2);
        for (char *at = name; *at; at++)
            *at = *at == '-' ? '_' : *at;
        if (config_set(&hostile->config, name, hostile->words[i + 1], error, sizeof(error)) < 0) {
            fprintf(stderr, "ternbench: %s\n", error);
            return EXIT_USAGE;
        }
    }
    return EXIT_COMPLETE;
}

/* What the limits allow, whatever the foes do. */
static uint64_t bound_bytes(const struct hostile *hostile) {
    const struct config *config = &hostile->config;
    uint64_t shards = hostile->options.switch_shards ? strtoul(hostile->options.switch_shards, NULL, 10) : 1;
    uint64_t open = 2 * hostile->options.pairs + (hostile->foes.attack->logs_in ? hostile->foes.count : 0);
    uint64_t connections = hostile->foes.count + 2 * hostile->options.pairs;
    return BASE_BYTES +
           shards * (config->buffers * config->buffer_bytes + config->messages_max * MESSAGE_BYTES +
                     config->receipts_max * RECEIPT_BYTES) +
           connections * ADDRESS_BYTES + open * CONNECTION_BYTES + (connections - open) * PENDING_BYTES;
}

static uint64_t percentile_us(const struct trial *trial, double percent) {
    return histogram_percentile(&trial->tally.to_delivered, percent) / 1000;
}

static bool measure(struct hostile *hostile, struct trial *trial, const char *admin) {
    struct options options = hostile->options;
    options.admin = admin;
    options.switch_option_count = 0;
    options.switch_shards = NULL;
    return trial_run(trial, &server_tern, &options, &hostile->pins) == EXIT_COMPLETE;
}

static void keep(struct hostile *hostile, struct figures *figures, const char *name) {
    const struct foes *foes = &hostile->foes;
    double before = (double)percentile_us(&hostile->before, 99),
           during = (double)percentile_us(&hostile->during, 99),
           aside = (double)percentile_us(&hostile->aside, 99);
    double mib = 1 << 20;
    figures_add(figures, before, "us", "%s.p99_before", name);
    figures_add(figures, during, "us", "%s.p99_during", name);
    figures_add(figures, before > 0 ? during / before : 0, "", "%s.p99_ratio", name);
    figures_add(figures, aside, "us", "%s.p99_aside", name);
    figures_add(figures, aside > 0 ? during / aside : 0, "", "%s.p99_ratio_aside", name);
    figures_add(figures, trial_messages_per_s(&hostile->during), "1/s", "%s.messages_per_s", name);
    figures_add(figures, (double)hostile->calm_bytes / mib, "MiB", "%s.memory_before", name);
    figures_add(figures, (double)foes->memory_bytes / mib, "MiB", "%s.memory_during", name);
    figures_add(figures, (double)bound_bytes(hostile) / mib, "MiB", "%s.memory_bound", name);
    figures_add(figures, foes->count, "", "%s.foes", name);
    figures_add(figures, (double)foes->connects, "", "%s.connects", name);
    figures_add(figures, (double)foes->frames, "", "%s.frames", name);
    figures_add(figures, (double)foes->bytes / mib, "MiB", "%s.sent", name);
}

static void complain(struct hostile *hostile, const char *name, const char *what) {
    fprintf(stderr, "ternbench: %s: %s\n", name, what);
    hostile->failed = true;
}

/* Foes and pairs share the cores of one machine: pairs of another switch, which nobody attacks, show how much
 * of the difference is that alone. */
static void attack_switch(struct hostile *hostile, const struct attack *attack, const char *admin_path,
                          const char *aside_path) {
    struct admin admin = {.fd = -1};
    struct foes_strength strength = {attack->count, hostile->options.foes_percent};
    if (hostile->options.connections && hostile->options.connections < attack->count)
        strength.count = hostile->options.connections;
    if (!measure(hostile, &hostile->before, admin_path))
        complain(hostile, attack->name, "the pairs were not complete before");
    if (admin_open(&admin, admin_path) < 0) {
        complain(hostile, attack->name, admin.error);
        return;
    }
    hostile->calm_bytes = foes_memory_bytes(admin.switch_pid);
    if (foes_start(&hostile->foes, attack, &strength, &admin) == 0) {
        foes_await(&hostile->foes);
        progress_clear();
        if (!measure(hostile, &hostile->during, admin_path))
            complain(hostile, attack->name, "the pairs were not complete during");
        if (!measure(hostile, &hostile->aside, aside_path))
            complain(hostile, attack->name, "the pairs of the other switch were not complete");
        foes_stop(&hostile->foes);
        if (hostile->foes.memory_bytes > bound_bytes(hostile))
            complain(hostile, attack->name, "the switch took more memory than its limits add up to");
        if (hostile->foes.memory_bytes == 0 || hostile->foes.connects == 0)
            complain(hostile, attack->name, "nothing happened");
    } else {
        hostile->failed = true;
    }
    admin_close(&admin);
}

static bool is_wanted(const char *list, const char *name) {
    return !list || config_has(list, name);
}

/* Each attack has a switch of its own, and one beside it. */
static int run_attack(struct hostile *hostile, const struct attack *attack) {
    struct own_switch own, aside;
    struct own_switch_setup setup = {
        .shards = hostile->options.switch_shards ? hostile->options.switch_shards : "1",
        .options = hostile->words,
    };
    if (own_switch_open(&own, &setup, stderr) < 0)
        return EXIT_UNREACHABLE;
    int status = own_switch_open(&aside, &setup, stderr) < 0 ? EXIT_UNREACHABLE : EXIT_COMPLETE;
    if (!status) {
        attack_switch(hostile, attack, own.admin, aside.admin);
        own_switch_close(&aside, stderr);
    }
    if (own_switch_close(&own, stderr) < 0)
        complain(hostile, attack->name, "the switch did not end in order");
    return status;
}

static int run_attacks(struct hostile *hostile, struct figures *figures) {
    int status = EXIT_COMPLETE;
    for (uint32_t i = 0; i < ATTACKS && !status && !trial_is_interrupted(); i++) {
        if (!is_wanted(hostile->options.only, attacks[i].name))
            continue;
        status = run_attack(hostile, &attacks[i]);
        if (!status)
            keep(hostile, figures, attacks[i].name);
    }
    return status;
}

int hostile_run(int count, char **arguments) {
    static struct hostile hostile; /* with the histograms, too large for a stack */
    static struct figures figures;
    struct report report;
    struct rlimit limit;
    hostile.options = pairs_defaults();
    hostile.options.pairs = PAIRS;
    hostile.options.rate = RATE;
    hostile.options.seconds = SECONDS;
    hostile.options.foes_percent = FOES_PERCENT;
    options_parse(
        &hostile.options,
        OPTIONS_FRAME | OPTIONS_LOAD | OPTIONS_WINDOW | OPTIONS_SWITCH | OPTIONS_COUNT | OPTIONS_ONLY |
            OPTIONS_FOES,
        "Pairs of devices as `ternbench pairs` has them, before and during one attack after the other "
        "(--only names some, --connections is the most foes of one), each on a switch of its own. "
        "Latency, from a message's time to its delivered tick, is shown, and beside it that of pairs of "
        "another switch, which nobody attacks, on the same machine at that time; what fails the run is a "
        "message that is not delivered once and in order, or memory beyond what the switch's limits "
        "add up to.",
        count, arguments);
    int status = pairs_pins(&hostile.options, &hostile.pins);
    if (!status)
        status = read_settings(&hostile);
    if (status)
        return status;
    hostile.pins.is_pinned = false; /* foes run on the cores that the others leave */
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    report_open(&report, "hostile", count, arguments);
    pairs_settings(&report, &hostile.options, &hostile.pins);
    cJSON_AddNumberToObject(report.settings, "foes_cpu_percent", hostile.options.foes_percent);
    snprintf(report.title, sizeof(report.title), "hostile: %u pairs, %.0f messages/s, %u s before and during",
             hostile.options.pairs, hostile.options.rate, hostile.options.seconds);
    trial_catch_signals();
    for (uint32_t i = 0; i < hostile.options.repeat && !status && !trial_is_interrupted(); i++) {
        figures.count = 0;
        status = run_attacks(&hostile, &figures);
        report_add(&report, &figures, !status && !hostile.failed);
    }
    report.is_complete &= !status && !hostile.failed;
    int error = report_close(&report, hostile.options.json, hostile.options.plot);
    if (!status && (hostile.failed || trial_is_interrupted() || error < 0))
        status = EXIT_MISSING;
    return status;
}
