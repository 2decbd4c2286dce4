#include "bench/pairs.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/floor.h"
#include "bench/trial.h"

static const double percents[] = {50, 90, 99, 99.9};

struct options pairs_defaults(void) {
    return (struct options){.pairs = 500,
                            .window = 8,
                            .windows = {{1, 8, 64}, 3},
                            .size_bytes = 200,
                            .seconds = 5,
                            .threads = 1,
                            .repeat = 1};
}

int pairs_pins(const struct options *options, struct pins *ret_pins) {
    uint32_t shards = options->switch_shards ? (uint32_t)strtoul(options->switch_shards, NULL, 10) : 1;
    if (pins_choose(ret_pins, shards, options->server_cores, options->load_cores) < 0)
        return EXIT_USAGE;
    if (options->admin && !options->load_cores) /* where the switch runs is not ours to say */
        ret_pins->is_pinned = false;
    return EXIT_COMPLETE;
}

void pairs_settings(struct report *report, const struct options *options, const struct pins *pins) {
    cJSON *settings = report->settings;
    cJSON_AddNumberToObject(settings, "pairs", options->pairs);
    cJSON_AddNumberToObject(settings, "size_bytes", options->size_bytes);
    cJSON_AddNumberToObject(settings, "seconds", options->seconds);
    cJSON_AddNumberToObject(settings, "threads", options->threads);
    cJSON_AddStringToObject(settings, "server_cores", pins->is_pinned ? pins->server_text : "not pinned");
    cJSON_AddStringToObject(settings, "load_cores", pins->is_pinned ? pins->load_text : "not pinned");
    cJSON_AddStringToObject(settings, "switch_shards", options->switch_shards ? options->switch_shards : "1");
    cJSON *list = cJSON_AddArrayToObject(settings, "switch_options");
    for (uint32_t i = 0; i < options->switch_option_count; i++)
        cJSON_AddItemToArray(list, cJSON_CreateString(options->switch_options[i]));
}

/* --- figures of one trial ------------------------------------------------------------------------------- */

static void add_latency(struct figures *figures, const char *name, const struct histogram *histogram) {
    for (size_t i = 0; i < sizeof(percents) / sizeof(percents[0]); i++)
        figures_plot(figures, (double)histogram_percentile(histogram, percents[i]) / 1e3, "us",
                     "latency_us.%s.p%g", name, percents[i]);
    figures_add(figures, (double)histogram->max / 1e3, "us", "latency_us.%s.max", name);
}

static void add_stats(struct figures *figures, const struct trial *trial) {
    if (!trial->has_stats || trial->messages_accepted <= 0)
        return;
    double messages = trial->messages_accepted;
    figures_add(figures, trial->enters / messages, "", "switch_enters_per_message");
    figures_add(figures, trial->payload_copies / messages, "", "switch_payload_copies_per_message");
    figures_add(figures, 100 * trial->messages_spilled / messages, "%", "switch_messages_to_disk");
    figures_add(figures, trial->records_sealed / messages, "", "switch_records_sealed_per_message");
}

static void fill(struct figures *figures, const struct trial *trial) {
    const struct tally *tally = &trial->tally;
    figures_add(figures, trial_messages_per_s(trial), "1/s", "messages_per_s");
    figures_add(figures, (double)tally->sent, "", "messages");
    add_latency(figures, "receive", &tally->to_receive);
    add_latency(figures, "sent", &tally->to_sent);
    add_latency(figures, "delivered", &tally->to_delivered);
    figures_add(figures, trial_server_cpu(trial), "% of a core", "server_cpu");
    figures_add(figures, trial_cpu_us(trial), "us", "server_cpu_us_per_message");
    figures_add(figures, trial_load_cpu(trial), "% of a core", "load_cpu");
    if (trial->usage_messages)
        figures_add(figures, (double)trial->bench_cpu_ns / 1e3 / (double)trial->usage_messages, "us",
                    "load_cpu_us_per_message");
    add_stats(figures, trial);
    figures_add(figures, trial->link_seconds, "s", "login_s");
    if (tally->refused)
        figures_add(figures, (double)tally->refused, "", "refused_for_the_moment");
}

/* --- several loads, one after the other ----------------------------------------------------------------- */

#define SWEEP_MAX 36 /* loads of a run */
#define SWEEP_FIGURES 7
_Static_assert(SWEEP_MAX *SWEEP_FIGURES <= FIGURES_MAX, "figures of a run");

/* What is the same for all of them is in the settings, what is not in the name. */
static void fill_swept(struct figures *figures, const struct trial *trial) {
    char part[FIGURE_NAME_BYTES / 2];
    const struct histogram *latency = &trial->tally.to_delivered;
    snprintf(part, sizeof(part), "pairs%u_w%u_%ub", trial->load.pairs, trial->load.window,
             trial->load.size_bytes);
    figures_plot(figures, trial_messages_per_s(trial), "messages/s", "%s.messages_per_s", part);
    figures_add(figures, (double)histogram_percentile(latency, 50) / 1e3, "us", "%s.delivered_p50_us", part);
    figures_add(figures, (double)histogram_percentile(latency, 99) / 1e3, "us", "%s.delivered_p99_us", part);
    figures_add(figures, (double)histogram_percentile(latency, 99.9) / 1e3, "us", "%s.delivered_p99.9_us",
                part);
    figures_add(figures, trial_server_cpu(trial), "% of a core", "%s.server_cpu", part);
    figures_add(figures, trial_load_cpu(trial), "% of a core", "%s.load_cpu", part);
    figures_add(figures, trial_cpu_us(trial), "us", "%s.server_cpu_us_per_message", part);
}

/* A list of one is as good as none. */
static struct options_list listed(const struct options_list *list, uint32_t alone) {
    return list->count ? *list : (struct options_list){{alone}, 1};
}

/* One run: the load the options name, or all of them. */
static int run_once(const struct server_kind *kind, const struct options *asked, const struct pins *pins,
                    struct report *report) {
    static struct trial trial; /* three histograms and more: too large for a stack */
    static struct figures figures;
    struct options options = *asked;
    struct options_list pairs = listed(&asked->sweep_pairs, asked->pairs);
    struct options_list windows = listed(&asked->sweep_windows, asked->window);
    struct options_list sizes = listed(&asked->sweep_sizes, asked->size_bytes);
    uint32_t count = pairs.count * windows.count * sizes.count;
    int status = EXIT_COMPLETE;
    figures.count = 0;
    for (uint32_t i = 0; i < count && !status; i++) {
        options.pairs = pairs.items[i / windows.count / sizes.count];
        options.window = windows.items[i / sizes.count % windows.count];
        options.size_bytes = sizes.items[i % sizes.count];
        options.threads = asked->threads < options.pairs ? asked->threads : options.pairs;
        status = trial_run(&trial, kind, &options, pins);
        if (count > 1 && !status)
            fill_swept(&figures, &trial);
    }
    if (count == 1)
        fill(&figures, &trial);
    if (count > 1 ? !status : trial.tally.sent > 0)
        report_add(report, &figures, status == EXIT_COMPLETE);
    return status;
}

static void add_list(cJSON *settings, const char *name, const struct options_list *list) {
    if (list->count < 2)
        return;
    cJSON *items = cJSON_CreateArray();
    for (uint32_t i = 0; i < list->count; i++)
        cJSON_AddItemToArray(items, cJSON_CreateNumber(list->items[i]));
    cJSON_DeleteItemFromObject(settings, name);
    cJSON_AddItemToObject(settings, name, items);
}

/* --- the commands --------------------------------------------------------------------------------------- */

static int repeat(const char *name, const struct server_kind *kind, const struct options *options, int count,
                  char **arguments) {
    struct report report;
    struct pins pins;
    uint32_t loads = (options->sweep_pairs.count ? options->sweep_pairs.count : 1) *
                     (options->sweep_windows.count ? options->sweep_windows.count : 1) *
                     (options->sweep_sizes.count ? options->sweep_sizes.count : 1);
    int status = loads > SWEEP_MAX ? EXIT_USAGE : pairs_pins(options, &pins);
    if (loads > SWEEP_MAX)
        fprintf(stderr, "ternbench: %u loads are more than %d\n", loads, SWEEP_MAX);
    if (status)
        return status;
    report_open(&report, name, count, arguments);
    pairs_settings(&report, options, &pins);
    cJSON_AddNumberToObject(report.settings, "window", options->window);
    add_list(report.settings, "pairs", &options->sweep_pairs);
    add_list(report.settings, "window", &options->sweep_windows);
    add_list(report.settings, "size_bytes", &options->sweep_sizes);
    cJSON_AddNumberToObject(report.settings, "rate_per_s", options->rate);
    cJSON_AddBoolToObject(report.settings, "encrypted", !kind->plaintext && kind->wire->confirms);
    cJSON_AddBoolToObject(report.settings, "own_switch", !options->admin);
    cJSON_AddStringToObject(report.settings, "server", kind->settings);
    char rate[64] = "", load[64] = "";
    if (options->rate > 0)
        snprintf(rate, sizeof(rate), ", %.0f messages/s offered", options->rate);
    if (loads == 1)
        snprintf(load, sizeof(load), "%u pairs, both ways, window %u, %u bytes", options->pairs,
                 options->window, options->size_bytes);
    else
        snprintf(load, sizeof(load), "%u loads of pairs, both ways", loads);
    snprintf(report.title, sizeof(report.title), "%s: %s%s, %u s; server on core %s, load on %s", kind->name,
             load, rate, options->seconds, pins.is_pinned ? pins.server_text : "any",
             pins.is_pinned ? pins.load_text : "any");
    trial_catch_signals();
    for (uint32_t i = 0; i < options->repeat && !status; i++)
        status = run_once(kind, options, &pins, &report);
    report.is_complete &= status == EXIT_COMPLETE;
    int error = report_close(&report, options->json, options->plot);
    return status ? status : error ? EXIT_MISSING : EXIT_COMPLETE;
}

int pairs_run(int count, char **arguments) {
    struct options options = pairs_defaults();
    options_parse(
        &options,
        OPTIONS_FRAME | OPTIONS_LOAD | OPTIONS_WINDOW | OPTIONS_SWITCH | OPTIONS_ADMIN | OPTIONS_SWEEP,
        "Pairs of devices send to each other, both ways, as much as the window and the rate allow, and "
        "check that each message arrives once, whole and in order, and that each receipt comes. --pairs, "
        "--window and --size take several numbers, as 1,8,64: then every combination has its trial.",
        count, arguments);
    return repeat("pairs", options.plaintext ? &server_tern_plaintext : &server_tern, &options, count,
                  arguments);
}

int floor_run(int count, char **arguments) {
    struct options options = pairs_defaults();
    options_parse(
        &options, OPTIONS_FRAME | OPTIONS_LOAD | OPTIONS_WINDOW | OPTIONS_SWEEP,
        "The load of `ternbench pairs` on a bare io_uring relay, which parses, encrypts, routes and keeps "
        "nothing: the least that any TCP relay must do.",
        count, arguments);
    return repeat("floor", &server_floor, &options, count, arguments);
}
