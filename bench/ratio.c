#include "bench/ratio.h"

#include <math.h>
#include <stdio.h>

#include "bench/floor.h"
#include "bench/pairs.h"
#include "bench/trial.h"

/* Of one server under one window: what a comparison takes of it. */
struct side {
    double messages_per_s, cpu_us, server_cpu, load_cpu, p99_us;
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
        .server_cpu = (double)trial.server_cpu_ns / trial.measured_seconds / 1e7,
        .load_cpu = (double)trial.bench_cpu_ns / trial.measured_seconds / 1e7,
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

/* A, then B: both in the same minute, with everything else the same. */
static int compare(const struct server_kind *kind, const struct options *options, const struct pins *pins,
                   struct figures *figures) {
    struct side own, floor;
    char part[32];
    snprintf(part, sizeof(part), "%s_w%u", kind->plaintext ? "plaintext" : "encrypted", options->window);
    int status = measure(kind, options, pins, &own);
    if (!status)
        status = measure(&server_floor, options, pins, &floor);
    if (status)
        return status;
    add_side(figures, part, "switch", &own);
    add_side(figures, part, "floor", &floor);
    figures_add(figures, own.messages_per_s / floor.messages_per_s, "", "%s.ratio_floor", part);
    figures_add(figures, floor.cpu_us / own.cpu_us, "", "%s.ratio_floor_cpu", part);
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
            if (!options.plaintext || kind->plaintext)
                status = compare(kind, &options, &pins, &figures);
        }
        if (!status)
            report_add(&report, &figures, true);
    }
    report.is_complete = status == EXIT_COMPLETE;
    int error = report_close(&report, options.json, options.plot);
    return status ? status : error ? EXIT_MISSING : EXIT_COMPLETE;
}
