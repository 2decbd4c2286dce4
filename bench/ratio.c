#include "bench/ratio.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/floor.h"
#include "bench/pairs.h"
#include "bench/peers.h"
#include "bench/trial.h"

#define PEERS_MAX 8
#define HALF_WINDOW 64 /* wide enough not to be in the way of the rate */

/* Of one server under one window: what a comparison takes of it. */
struct side {
    double messages_per_s, cpu_us, server_cpu, load_cpu, p99_us, to_disk_percent;
};

static int measure(const struct server_kind *kind, const struct options *options, const struct pins *pins,
                   struct side *ret_side) {
    static struct trial trial; /* three histograms and more: too large for a stack */
    int status = trial_run(&trial, kind, options, pins);
    if (status)
        return status;
    *ret_side = (struct side){
        .messages_per_s = trial_messages_per_s(&trial),
        .cpu_us = trial_cpu_us(&trial),
        .server_cpu = trial_server_cpu(&trial),
        .load_cpu = trial_load_cpu(&trial),
        .to_disk_percent =
            trial.messages_accepted > 0 ? 100 * trial.messages_spilled / trial.messages_accepted : 0,
        .p99_us = (double)histogram_percentile(&trial.tally.to_delivered, 99) / 1e3,
    };
    return 0;
}

static void add_side(struct figures *figures, const char *part, const char *name, const struct side *side) {
    figures_plot(figures, side->messages_per_s, "messages/s", "%s.%s_messages_per_s", part, name);
    figures_add(figures, side->cpu_us, "us", "%s.%s_cpu_us_per_message", part, name);
    figures_add(figures, side->server_cpu, "% of a core", "%s.%s_server_cpu", part, name);
    figures_add(figures, side->load_cpu, "% of a core", "%s.%s_load_cpu", part, name);
}

/* A, then B: both in the same minute, with everything else the same. part: what the figures are filed
 * under. */
static int compare(const struct server_kind *own_kind, const struct server_kind *kind, const char *part,
                   const struct options *options, const struct pins *pins, struct figures *figures) {
    struct side own, other;
    int status = measure(own_kind, options, pins, &own);
    if (!status)
        status = measure(kind, options, pins, &other);
    if (status)
        return status;
    add_side(figures, part, "switch", &own);
    add_side(figures, part, kind->ratio, &other);
    figures_add(figures, own.messages_per_s / other.messages_per_s, "", "%s.ratio_%s", part, kind->ratio);
    figures_add(figures, other.cpu_us / own.cpu_us, "", "%s.ratio_%s_cpu", part, kind->ratio);
    return 0;
}

/* Both at half of what the switch did at its limit, each message at its time. */
static int compare_half(const struct options *asked, const struct pins *pins, struct figures *figures) {
    const struct figure *limit = figures_find(figures, "encrypted_w8.switch_messages_per_s");
    struct options options = *asked;
    struct side own, floor;
    if (!limit)
        return 0;
    options.window = HALF_WINDOW;
    options.rate = limit->value / 2;
    int status = measure(&server_tern, &options, pins, &own);
    if (!status)
        status = measure(&server_floor, &options, pins, &floor);
    if (status)
        return status;
    figures_add(figures, options.rate, "messages/s", "half.offered_per_s");
    figures_add(figures, own.p99_us, "us", "half.switch_p99_us");
    figures_add(figures, floor.p99_us, "us", "half.floor_p99_us");
    figures_add(figures, own.p99_us / floor.p99_us, "", "half.ratio_floor_p99");
    figures_add(figures, own.to_disk_percent, "%", "half.switch_messages_to_disk");
    return 0;
}

int ratio_run(int count, char **arguments) {
    static struct figures figures;
    struct options options = pairs_defaults();
    options.repeat = 5;
    options.seconds = 2;
    options_parse(
        &options, OPTIONS_FRAME | OPTIONS_LOAD | OPTIONS_WINDOWS | OPTIONS_SWITCH,
        "The switch and the floor in turn, under the same load, in plaintext and encrypted, for each "
        "window; ratios are those of pairs of neighbouring trials. ratio_floor compares messages a "
        "second, ratio_floor_cpu the processor time that the server takes for a message, which holds "
        "where the load, not the server, is at its limit.",
        count, arguments);
    struct report report;
    struct pins pins;
    int status = pairs_pins(&options, &pins);
    if (status)
        return status;
    report_open(&report, "ratio", count, arguments);
    pairs_settings(&report, &options, &pins);
    cJSON_AddStringToObject(report.settings, "switch", server_tern.settings);
    cJSON_AddStringToObject(report.settings, "floor", server_floor.settings);
    snprintf(
        report.title, sizeof(report.title),
        "switch / floor: %u pairs, both ways, %u bytes, %u s each, %u runs; server on core %s, load on %s",
        options.pairs, options.size_bytes, options.seconds, options.repeat,
        pins.is_pinned ? pins.server_text : "any", pins.is_pinned ? pins.load_text : "any");
    trial_catch_signals();
    for (uint32_t i = 0; i < options.repeat && !status; i++) {
        figures.count = 0;
        for (uint32_t j = 0; j < options.window_count * 2 && !status; j++) {
            options.window = options.windows[j / 2];
            const struct server_kind *kind = j % 2 ? &server_tern : &server_tern_plaintext;
            char part[32];
            snprintf(part, sizeof(part), "%s_w%u", kind->plaintext ? "plaintext" : "encrypted",
                     options.window);
            if (!options.plaintext || kind->plaintext)
                status = compare(kind, &server_floor, part, &options, &pins, &figures);
        }
        if (!status)
            status = compare_half(&options, &pins, &figures);
        if (!status)
            report_add(&report, &figures, true);
    }
    report.is_complete = status == EXIT_COMPLETE;
    int error = report_close(&report, options.json, options.plot);
    return status ? status : error ? EXIT_MISSING : EXIT_COMPLETE;
}

/* --- peers ---------------------------------------------------------------------------------------------- */

/* Is the name one of those asked for? */
static bool is_wanted(const struct options *options, const struct server_kind *kind) {
    if (!options->only)
        return true;
    size_t bytes = strlen(kind->ratio);
    for (const char *at = options->only; *at;) {
        size_t word = strcspn(at, ",");
        if (word == bytes && strncmp(at, kind->ratio, bytes) == 0)
            return true;
        at += word + (at[word] == ',');
    }
    return false;
}

/* Which of them take part; the others are named in the report. */
static uint32_t choose(const struct options *options, struct report *report,
                       const struct server_kind *chosen[PEERS_MAX]) {
    uint32_t count = 0;
    const struct server_kind *kind;
    for (uint32_t i = 0; (kind = peers_kind(i)); i++) {
        if (!is_wanted(options, kind))
            continue;
        if (!process_is_installed(kind->program)) {
            report_note(report, "%s is not installed: skipped", kind->name);
            continue;
        }
        cJSON_AddStringToObject(report->settings, kind->ratio, kind->settings);
        chosen[count++] = kind;
    }
    return count;
}

static int run_peers(const struct options *asked, const struct pins *pins,
                     const struct server_kind *const chosen[], uint32_t count, struct report *report) {
    static struct figures figures;
    struct options options = *asked;
    figures.count = 0;
    int worst = EXIT_COMPLETE;
    for (uint32_t i = 0; i < count && !trial_is_interrupted(); i++) {
        int status = EXIT_COMPLETE;
        options.pairs = asked->has_pairs || !chosen[i]->pairs ? asked->pairs : chosen[i]->pairs;
        for (uint32_t j = 0; j < asked->window_count && !status; j++) {
            char part[32];
            options.window = asked->windows[j];
            snprintf(part, sizeof(part), "%s_w%u", chosen[i]->ratio, options.window);
            status = compare(&server_tern, chosen[i], part, &options, pins, &figures);
        }
        if (status) /* one that fails does not take the others' figures with it */
            report_note(report, "%s did not complete window %u: no figure", chosen[i]->name, options.window);
        worst = status > worst ? status : worst;
    }
    if (figures.count)
        report_add(report, &figures, worst == EXIT_COMPLETE);
    return worst;
}

int peers_run(int count, char **arguments) {
    struct options options = pairs_defaults();
    options.seconds = 2;
    options_parse(
        &options, OPTIONS_FRAME | OPTIONS_LOAD | OPTIONS_WINDOWS | OPTIONS_SWITCH | OPTIONS_ONLY,
        "The encrypted switch and other servers, as far as they are installed (Debian's packages "
        "nats-server, mosquitto, ejabberd, prosody), in turn, under the same load: messages between pairs, "
        "each answered with a receipt through the server. Slow servers get fewer pairs where --pairs says "
        "nothing. Names for --only: nats, mosquitto_qos0, mosquitto_qos1, ejabberd, prosody.",
        count, arguments);
    struct report report;
    struct pins pins;
    const struct server_kind *chosen[PEERS_MAX];
    int status = pairs_pins(&options, &pins);
    if (status)
        return status;
    report_open(&report, "peers", count, arguments);
    pairs_settings(&report, &options, &pins);
    cJSON_AddStringToObject(report.settings, "switch", server_tern.settings);
    snprintf(report.title, sizeof(report.title),
             "encrypted switch / peers: %u bytes, %u s each, %u runs; server on core %s, load on %s",
             options.size_bytes, options.seconds, options.repeat, pins.is_pinned ? pins.server_text : "any",
             pins.is_pinned ? pins.load_text : "any");
    trial_catch_signals();
    uint32_t chosen_count = choose(&options, &report, chosen);
    for (uint32_t i = 0; i < options.repeat && !status && chosen_count; i++)
        status = run_peers(&options, &pins, chosen, chosen_count, &report);
    report.is_complete = status == EXIT_COMPLETE;
    int error = report_close(&report, options.json, options.plot);
    return status ? status : error ? EXIT_MISSING : EXIT_COMPLETE;
}
