#include "bench/ratio.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/floor.h"
#include "bench/machine.h"
#include "bench/pairs.h"
#include "bench/peers.h"
#include "bench/side.h"
#include "bench/trial.h"

#define HALF_WINDOW 64 /* wide enough not to be in the way of the rate */
#define HALF_TURNS 7   /* of each side: a pause of the machine is the p99 of the trial that it falls into */
#define PROBE_PART 4   /* of a closed loop's limit: a rate that this load reaches */
#define SHARDS_CROSSED "2"

/* One run of a command: adds its figures to the report. */
typedef int run_once(const struct options *options, const struct pins *pins, struct report *report);

static int run_all(run_once *run, const char *what, const struct options *options, const struct pins *pins,
                   struct report *report) {
    int status = EXIT_COMPLETE;
    snprintf(report->title, sizeof(report->title),
             "%s: both ways, %u bytes, %u s each, %u runs; server on core %s, load on %s", what,
             options->size_bytes, options->seconds, options->repeat,
             pins->is_pinned ? pins->server_text : "any", pins->is_pinned ? pins->load_text : "any");
    trial_catch_signals();
    for (uint32_t i = 0; i < options->repeat && !status; i++)
        status = run(options, pins, report);
    report->is_complete &= status == EXIT_COMPLETE;
    int error = report_close(report, options->json, options->plot);
    return status ? status : error ? EXIT_MISSING : EXIT_COMPLETE;
}

/* --- ratio ---------------------------------------------------------------------------------------------- */

/* What the slower of the encrypted switch and the floor did at its limit under the narrowest window; 0: one
 * of them is not known. */
static double closed_loop_limit(const struct options *options, const struct figures *figures) {
    char name[FIGURE_NAME_BYTES];
    uint32_t narrowest = options->windows.items[0];
    for (uint32_t i = 1; i < options->windows.count; i++)
        narrowest = options->windows.items[i] < narrowest ? options->windows.items[i] : narrowest;
    snprintf(name, sizeof(name), "encrypted_w%u.switch_messages_per_s", narrowest);
    const struct figure *limit = figures_find(figures, name);
    snprintf(name, sizeof(name), "encrypted_w%u.floor_messages_per_s", narrowest);
    const struct figure *floor_limit = figures_find(figures, name);
    if (!limit || !floor_limit)
        return 0;
    return limit->value < floor_limit->value ? limit->value : floor_limit->value;
}

/* Messages at their own times come one by one: they are gathered neither with those of a wide window nor, as
 * a pair's that take turns are, with the other's receipts. So the limits of a closed loop are not theirs.
 * Theirs is where they would take a whole core of the slower server, at the processor time of a message that
 * a part of the closed loop's limit shows. */
static int find_saturation(const struct options *asked, const struct pins *pins, double *ret_messages_per_s) {
    struct options options = *asked;
    struct side own = {0}, floor = {0};
    options.rate = *ret_messages_per_s / PROBE_PART;
    int status = side_measure(&server_tern, &options, pins, &own);
    if (!status)
        status = side_measure(&server_floor, &options, pins, &floor);
    if (!status)
        *ret_messages_per_s = 1e6 / (own.cpu_us > floor.cpu_us ? own.cpu_us : floor.cpu_us);
    return status;
}

struct half {
    struct side last;
    double p50_us[HALF_TURNS], p99_us[HALF_TURNS], to_disk_percent[HALF_TURNS];
};

static int half_measure(const struct server_kind *kind, const struct options *options,
                        const struct pins *pins, uint32_t turn, struct half *half) {
    int status = side_measure(kind, options, pins, &half->last);
    half->p50_us[turn] = half->last.p50_us;
    half->p99_us[turn] = half->last.p99_us;
    half->to_disk_percent[turn] = half->last.to_disk_percent;
    return status;
}

/* Both at half of the slower one's saturation, in turn: the medians of several trials of each. */
static int compare_half(const struct options *asked, const struct pins *pins, struct figures *figures) {
    struct options options = *asked;
    struct half own, floor;
    int status = EXIT_COMPLETE;
    double saturation = closed_loop_limit(asked, figures);
    options.window = HALF_WINDOW;
    if (saturation == 0)
        return EXIT_COMPLETE;
    status = find_saturation(&options, pins, &saturation);
    options.rate = saturation / 2;
    for (uint32_t i = 0; i < HALF_TURNS && !status; i++) {
        status = half_measure(&server_tern, &options, pins, i, &own);
        if (!status)
            status = half_measure(&server_floor, &options, pins, i, &floor);
    }
    if (status)
        return status;
    double own_p99_us = figures_median(own.p99_us, HALF_TURNS);
    double floor_p99_us = figures_median(floor.p99_us, HALF_TURNS);
    figures_add(figures, saturation, "messages/s", "half.saturation_per_s");
    figures_add(figures, options.rate, "messages/s", "half.offered_per_s");
    side_add(figures, "half", "switch", &own.last);
    side_add(figures, "half", "floor", &floor.last);
    figures_add(figures, figures_median(own.p50_us, HALF_TURNS), "us", "half.switch_p50_us");
    figures_add(figures, figures_median(floor.p50_us, HALF_TURNS), "us", "half.floor_p50_us");
    figures_add(figures, own_p99_us, "us", "half.switch_p99_us");
    figures_add(figures, floor_p99_us, "us", "half.floor_p99_us");
    figures_add(figures, own_p99_us / floor_p99_us, "", "half.ratio_floor_p99");
    figures_add(figures, figures_median(own.to_disk_percent, HALF_TURNS), "%",
                "half.switch_messages_to_disk");
    return EXIT_COMPLETE;
}

static int run_ratio(const struct options *asked, const struct pins *pins, struct report *report) {
    static struct figures figures;
    struct options options = *asked;
    int status = EXIT_COMPLETE;
    figures.count = 0;
    for (uint32_t i = 0; i < options.windows.count * 2 && !status; i++) {
        options.window = options.windows.items[i / 2];
        const struct server_kind *kind = i % 2 ? &server_tern : &server_tern_plaintext;
        char part[32];
        snprintf(part, sizeof(part), "%s_w%u", kind->plaintext ? "plaintext" : "encrypted", options.window);
        if (!options.plaintext || kind->plaintext)
            status = side_compare(kind, &server_floor, part, &options, pins, &figures);
    }
    if (!status)
        status = compare_half(asked, pins, &figures);
    if (!status)
        report_add(report, &figures, true);
    return status;
}

int ratio_run(int count, char **arguments) {
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
    return run_all(run_ratio, "switch / floor", &options, &pins, &report);
}

/* --- crossing ------------------------------------------------------------------------------------------- */

/* One shard, then two with every message and every receipt going from one to the other. */
static int compare_crossing(const struct options *asked, const struct pins *pins, struct figures *figures) {
    struct options options = *asked;
    struct side one, two;
    char part[32];
    snprintf(part, sizeof(part), "w%u", options.window);
    options.switch_shards = "1";
    int status = side_measure(&server_tern, &options, pins, &one);
    options.switch_shards = SHARDS_CROSSED;
    options.is_crossing = true;
    if (!status)
        status = side_measure(&server_tern, &options, pins, &two);
    if (status)
        return status;
    side_add(figures, part, "one_shard", &one);
    side_add(figures, part, "two_shards", &two);
    figures_add(figures, two.notes, "", "%s.two_shards_notes_per_message", part);
    figures_add(figures, two.cpu_us / one.cpu_us, "", "%s.ratio_crossing", part);
    return 0;
}

static int run_crossing(const struct options *asked, const struct pins *pins, struct report *report) {
    static struct figures figures;
    struct options options = *asked;
    int status = EXIT_COMPLETE;
    figures.count = 0;
    for (uint32_t i = 0; i < options.windows.count && !status; i++) {
        options.window = options.windows.items[i];
        status = compare_crossing(&options, pins, &figures);
    }
    if (!status)
        report_add(report, &figures, true);
    return status;
}

int crossing_run(int count, char **arguments) {
    struct options options = pairs_defaults();
    options.repeat = 5;
    options.seconds = 2;
    options_parse(
        &options, OPTIONS_FRAME | OPTIONS_LOAD | OPTIONS_WINDOWS | OPTIONS_SWITCH,
        "A switch of one shard and one of two in turn, where the two devices of each pair are at home on "
        "different shards, so that every message and every receipt crosses. ratio_crossing is that of the "
        "processor time the switch takes for a message. Both shards share one core where there are fewer "
        "than three.",
        count, arguments);
    struct report report;
    struct pins pins;
    if (pins_choose(&pins, 2, options.server_cores, options.load_cores) < 0 ||
        (!pins.is_pinned && pins_choose(&pins, 1, options.server_cores, options.load_cores) < 0))
        return EXIT_USAGE;
    report_open(&report, "crossing", count, arguments);
    pairs_settings(&report, &options, &pins);
    cJSON_ReplaceItemInObject(report.settings, "switch_shards", cJSON_CreateString("1, " SHARDS_CROSSED));
    cJSON_AddStringToObject(report.settings, "switch", server_tern.settings);
    return run_all(run_crossing, "two shards / one", &options, &pins, &report);
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

static bool takes_part(const struct options *options, const struct server_kind *kind) {
    return is_wanted(options, kind) && process_is_installed(kind->program);
}

static bool names_any(const struct options *options) {
    const struct server_kind *kind;
    for (uint32_t i = 0; (kind = peers_kind(i)); i++) {
        if (is_wanted(options, kind))
            return true;
    }
    return false;
}

/* With which settings they take part; the others are named. */
static void describe_peers(const struct options *options, struct report *report) {
    const struct server_kind *kind;
    for (uint32_t i = 0; (kind = peers_kind(i)); i++) {
        char version[MACHINE_TEXT_BYTES];
        if (takes_part(options, kind)) {
            machine_package_version(kind->package ? kind->package : kind->program, version);
            cJSON_AddStringToObject(report->versions, kind->ratio, version);
            cJSON_AddStringToObject(report->settings, kind->ratio, kind->settings);
        } else if (is_wanted(options, kind)) {
            report_note(report, "%s is not installed: skipped", kind->name);
        }
    }
}

/* One that fails does not take the others' figures with it. */
static int run_peers(const struct options *asked, const struct pins *pins, struct report *report) {
    static struct figures figures;
    struct options options = *asked;
    const struct server_kind *kind;
    int worst = EXIT_COMPLETE;
    figures.count = 0;
    for (uint32_t i = 0; (kind = peers_kind(i)) && !trial_is_interrupted(); i++) {
        int status = EXIT_COMPLETE;
        options.pairs = asked->has_pairs || !kind->pairs ? asked->pairs : kind->pairs;
        for (uint32_t j = 0; takes_part(asked, kind) && j < asked->windows.count && !status; j++) {
            char part[32];
            options.window = asked->windows.items[j];
            snprintf(part, sizeof(part), "%s_w%u", kind->ratio, options.window);
            status = side_compare(&server_tern, kind, part, &options, pins, &figures);
        }
        if (status)
            report_note(report, "%s did not complete window %u: no figure", kind->name, options.window);
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
    int status = names_any(&options) ? pairs_pins(&options, &pins) : EXIT_USAGE;
    if (!names_any(&options))
        fprintf(stderr, "ternbench: --only names none of the servers: %s\n", options.only);
    if (status)
        return status;
    report_open(&report, "peers", count, arguments);
    pairs_settings(&report, &options, &pins);
    cJSON_AddStringToObject(report.settings, "switch", server_tern.settings);
    describe_peers(&options, &report);
    return run_all(run_peers, "encrypted switch / peers", &options, &pins, &report);
}
