#include "bench/fleet.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "bench/jetstream.h"
#include "bench/own_best.h"
#include "bench/pairs.h"
#include "bench/trial.h"

/* A ring's table takes as many sockets as the limit of descriptors, 20,000 in many places: server and load
 * spread over as many rings as it takes, with room for shards whose accounts are more than the average. */
#define CONNECTIONS_PER_RING 17500u
#define DH_OF_HANDSHAKE 5 /* of the switch, in Noise IK: one for its ephemeral key, four of the pattern */
#define FRAME_OVERHEAD_BYTES 56u
#define BASE_PAIRS 500u
#define MANY_RINGS 8
#define JETSTREAM_PART 10 /* of the messages */

typedef void fill_figures(struct figures *figures, const struct trial *trial, const struct options *options,
                          struct report *report, const struct pins *pins);

/* Every command of this file: trials with these options, figures of each. */
static int repeat(const char *name, const struct options *options, fill_figures *fill, int count,
                  char **arguments) {
    static struct trial trial; /* three histograms and more: too large for a stack */
    static struct figures figures;
    const struct server_kind *kind = options->plaintext ? &server_tern_plaintext : &server_tern;
    struct report report;
    struct pins pins;
    if (pins_choose(&pins, 1, options->server_cores, options->load_cores) < 0)
        return EXIT_USAGE;
    report_open(&report, name, count, arguments);
    pairs_settings(&report, options, &pins);
    cJSON_AddNumberToObject(report.settings, "window", options->window);
    cJSON_AddNumberToObject(report.settings, "rate_per_s", options->rate);
    cJSON_AddStringToObject(report.settings, "server", kind->settings);
    snprintf(report.title, sizeof(report.title), "%s: %u devices; switch on core %s, load on %s", name,
             options->pairs * 2, pins.is_pinned ? pins.server_text : "any",
             pins.is_pinned ? pins.load_text : "any");
    trial_catch_signals();
    int status = EXIT_COMPLETE;
    for (uint32_t i = 0; i < options->repeat && !status; i++) {
        status = trial_run(&trial, kind, options, &pins);
        figures.count = 0;
        if (status)
            continue;
        fill(&figures, &trial, options, &report, &pins);
        report_add(&report, &figures, true);
    }
    report.is_complete &= status == EXIT_COMPLETE;
    int error = report_close(&report, options->json, options->plot);
    return status ? status : error ? EXIT_MISSING : EXIT_COMPLETE;
}

/* --- idle ----------------------------------------------------------------------------------------------- */

/* The same rate among few devices: what a message costs more where there are many. */
static void add_base(struct figures *figures, double cpu_us, const struct options *asked) {
    static struct trial base;
    struct options options = *asked;
    struct pins pins;
    options.pairs = BASE_PAIRS;
    options.threads = 1;
    options.idle_s = 0;
    if (pins_choose(&pins, 1, options.server_cores, options.load_cores) < 0 ||
        trial_run(&base, options.plaintext ? &server_tern_plaintext : &server_tern, &options, &pins) !=
            EXIT_COMPLETE)
        return;
    figures_add(figures, trial_cpu_us(&base), "us", "server_cpu_us_per_message_of_%u", BASE_PAIRS * 2);
    figures_add(figures, cpu_us / trial_cpu_us(&base), "", "ratio_few_devices");
}

static void fill_idle(struct figures *figures, const struct trial *trial, const struct options *options,
                      struct report *report, const struct pins *pins) {
    (void)pins;
    double connections = options->pairs * 2.0;
    double user = (double)trial->memory_idle.user_bytes - (double)trial->memory_before.user_bytes;
    double kernel = (double)trial->memory_idle.kernel_bytes - (double)trial->memory_before.kernel_bytes;
    double records = (double)trial->memory_before.user_bytes - (double)trial->memory_empty.user_bytes;
    double client_end = trial->client_end_bytes;
    figures_add(figures, connections, "", "connections");
    figures_plot(figures, user / connections, "bytes", "switch_user_bytes_per_connection");
    figures_plot(figures, kernel / connections - client_end, "bytes", "switch_kernel_bytes_per_connection");
    figures_plot(figures, (user + kernel) / connections - client_end, "bytes", "switch_bytes_per_connection");
    if (trial->has_records_apart)
        figures_add(figures, records / connections, "bytes", "switch_user_bytes_per_device_known");
    figures_add(figures, kernel / connections, "bytes", "both_ends_kernel_bytes_per_connection");
    figures_add(figures, client_end, "bytes", "client_end_kernel_bytes");
    figures_add(figures, trial->link_seconds, "s", "login_s");
    figures_add(figures, connections / trial->link_seconds, "1/s", "logins_per_s");
    figures_add(figures, trial->idle_cpu, "%", "server_cpu_while_idle");
    figures_add(figures, trial_messages_per_s(trial), "1/s", "messages_per_s");
    figures_add(figures, trial_cpu_us(trial), "us", "server_cpu_us_per_message");
    figures_add(figures, (double)histogram_percentile(&trial->tally.to_delivered, 50) / 1e3, "us",
                "latency_us.delivered.p50");
    figures_add(figures, (double)histogram_percentile(&trial->tally.to_delivered, 99) / 1e3, "us",
                "latency_us.delivered.p99");
    add_base(figures, trial_cpu_us(trial), options);
    if (report->run_count == 0)
        report_note(
            report,
            "kernel: objects in slabs of the whole machine; other work on it shows. user: anonymous memory "
            "of ternd; the records of accounts and devices, which are there without connections, too, are "
            "%s.",
            trial->has_records_apart ? "counted apart" : "in it");
}

/* Lanes cost by the pair of shards; so many threads on few cores let each other wait; and while all log in,
 * those that have are not to be pinged twice. */
static void set_many_rings(struct options *options) {
    options_set_switch(options, "--lane-slots", "128");
    options_set_switch(options, "--handshake-ms", "60000");
    options_set_switch(options, "--ping-s", "600");
    options_set_switch(options, "--idle-s", "1500");
}

int idle_run(int count, char **arguments) {
    struct options options = pairs_defaults();
    options.connections = 50000;
    options.rate = 2000;
    options_parse(
        &options, OPTIONS_FRAME | OPTIONS_COUNT | OPTIONS_SWITCH | OPTIONS_WINDOW,
        "Links many devices, starts the switch again, lets all of them log in, authenticated and "
        "encrypted, and holds the connections: what they take in user space and in the kernel, and what "
        "the devices' records take; then messages between them, --rate a second. The short form has "
        "50,000.",
        count, arguments);
    uint32_t rings = (options.connections + CONNECTIONS_PER_RING - 1) / CONNECTIONS_PER_RING;
    char shards[16];
    snprintf(shards, sizeof(shards), "%u", rings);
    options.pairs = (options.connections + 1) / 2;
    options.threads = rings < 64 ? rings : 64;
    options.idle_s = 12; /* what is silent for 5 s is kept in less, and 2 s later the heap is trimmed */
    if (!options.switch_shards)
        options.switch_shards = shards;
    /* Buffers cost by the shard, not by the connection: with few of them the figure is that of
     * connections. */
    options_set_switch(&options, "--connections-max", "19900");
    options_set_switch(&options, "--buffers", "256");
    options_set_switch(&options, "--buffer-bytes", "2048");
    if (rings > MANY_RINGS)
        set_many_rings(&options);
    return repeat("idle", &options, fill_idle, count, arguments);
}

/* --- reconnect ------------------------------------------------------------------------------------------ */

static void fill_reconnect(struct figures *figures, const struct trial *trial, const struct options *options,
                           struct report *report, const struct pins *pins) {
    double devices = options->pairs * 2.0, x25519_us = own_best_x25519_us();
    double cpu_us = (double)trial->storm_cpu_ns / 1e3 / devices;
    (void)report, (void)pins;
    figures_add(figures, devices, "", "devices");
    figures_plot(figures, devices / trial->storm_seconds, "handshakes/s", "handshakes_per_s");
    figures_add(figures, trial->storm_seconds, "s", "seconds_until_all_are_served");
    figures_add(figures, cpu_us, "us", "server_cpu_us_per_handshake");
    figures_add(figures, DH_OF_HANDSHAKE * x25519_us, "us", "five_x25519_us");
    figures_add(figures, cpu_us / (DH_OF_HANDSHAKE * x25519_us), "", "ratio_x25519");
    figures_add(figures, devices / trial->link_seconds, "1/s", "first_links_per_s");
}

int reconnect_run(int count, char **arguments) {
    struct options options = pairs_defaults();
    options.connections = 10000;
    options.seconds = 1;
    options.is_storm = true;
    options_parse(
        &options, OPTIONS_FRAME | OPTIONS_COUNT | OPTIONS_SWITCH,
        "All connections end, and all devices come back at once: handshakes a second, and the time until "
        "every one is served again; then a load that checks that they are.",
        count, arguments);
    options.pairs = (options.connections + 1) / 2;
    options.threads = (options.connections + CONNECTIONS_PER_RING - 1) / CONNECTIONS_PER_RING;
    char shards[16];
    snprintf(shards, sizeof(shards), "%u", options.threads);
    if (!options.switch_shards)
        options.switch_shards = shards;
    options_set_switch(&options, "--connections-max", "19900");
    return repeat("reconnect", &options, fill_reconnect, count, arguments);
}

/* --- offline -------------------------------------------------------------------------------------------- */

/* The same, with a part of the messages: it is slower. */
static void add_jetstream(struct figures *figures, double rate, const struct options *asked,
                          const struct pins *pins, struct report *report) {
    static struct trial trial;
    struct options options = *asked;
    const struct server_kind *kind = &server_jetstream;
    if (report->run_count == 0)
        cJSON_AddStringToObject(report->settings, kind->name,
                                process_is_installed(kind->program) ? kind->settings : "not installed");
    if (!process_is_installed(kind->program)) {
        fprintf(stderr, "ternbench: %s is not installed: skipped\n", kind->program);
        return;
    }
    options.messages = options.messages / JETSTREAM_PART + 1;
    if (trial_run(&trial, kind, &options, pins) != EXIT_COMPLETE) {
        report->is_complete = false;
        return;
    }
    double messages = (double)options.pairs * options.messages;
    double its_rate = messages / trial.enqueue_seconds;
    figures_plot(figures, its_rate, "1/s", "jetstream_enqueues_per_s");
    figures_plot(figures, messages / trial.drain_seconds, "1/s", "jetstream_drained_per_s");
    figures_add(figures, rate / its_rate, "", "ratio_jetstream");
}

static void fill_offline(struct figures *figures, const struct trial *trial, const struct options *options,
                         struct report *report, const struct pins *pins) {
    double messages = (double)options->pairs * options->messages;
    double batch = trial->store_commits > 0 ? messages / trial->store_commits : 1;
    double rate = messages / trial->enqueue_seconds;
    double best = own_best_lmdb_appends_per_s(options->size_bytes + FRAME_OVERHEAD_BYTES, (uint32_t)batch,
                                              pins->is_pinned ? &pins->server : NULL);
    figures_add(figures, messages, "", "messages");
    figures_plot(figures, rate, "1/s", "durable_enqueues_per_s");
    figures_plot(figures, messages / trial->drain_seconds, "1/s", "drained_per_s");
    figures_plot(figures, best, "1/s", "lmdb_appends_per_s");
    figures_add(figures, rate / best, "", "ratio_lmdb");
    figures_add(figures, batch, "", "messages_per_fsync");
    figures_add(figures, trial->store_commits / messages, "", "fsyncs_per_message");
    if (trial->written_bytes)
        figures_add(figures, (double)trial->written_bytes / messages / options->size_bytes, "",
                    "bytes_written_per_byte_queued");
    if (trial->server_cpu_ns != TRIAL_CPU_UNKNOWN)
        figures_add(figures, (double)trial->enqueue_cpu_ns / 1e3 / messages, "us",
                    "server_cpu_us_per_enqueue");
    figures_add(figures, trial->enqueue_seconds, "s", "enqueue_s");
    figures_add(figures, trial->drain_seconds, "s", "drain_s");
    add_jetstream(figures, rate, options, pins, report);
}

int offline_run(int count, char **arguments) {
    struct options options = pairs_defaults();
    options.messages = 2000;
    options.window = 256;
    options.is_offline = true;
    options_parse(
        &options, OPTIONS_FRAME | OPTIONS_LOAD | OPTIONS_COUNT | OPTIONS_WINDOW | OPTIONS_SWITCH,
        "Messages to devices that are away, each ticked as sent when it is safe (--messages of each "
        "of --pairs senders); then the devices come back and get them. Beside it, LMDB's own best rate of "
        "appends, with the same size, batch and fsync, on the switch's core, and nats-server with JetStream "
        "and file storage.",
        count, arguments);
    options.rate = 0;
    return repeat("offline", &options, fill_offline, count, arguments);
}

/* --- receipts ------------------------------------------------------------------------------------------- */

static void fill_receipts(struct figures *figures, const struct trial *trial, const struct options *options,
                          struct report *report, const struct pins *pins) {
    (void)options, (void)report, (void)pins;
    double seconds = trial->measured_seconds, messages = (double)trial->tally.measured;
    figures_plot(figures, 2 * messages / seconds, "1/s", "receipts_per_s");
    figures_add(figures, (double)trial->tally.receipts / (double)trial->tally.completed, "",
                "receipt_frames_per_message");
    figures_add(figures, trial->receipts_routed / trial->messages_accepted, "", "receipt_notes_per_message");
    figures_add(figures, trial->notes / trial->messages_accepted, "", "lane_notes_per_message");
    figures_add(figures, trial->doorbells / trial->messages_accepted, "", "doorbells_per_message");
    figures_add(figures, trial_cpu_us(trial), "us", "server_cpu_us_per_message");
}

int receipts_run(int count, char **arguments) {
    struct options options = pairs_defaults();
    options.size_bytes = 32;
    options.window = 64;
    options.switch_shards = "2";
    options.plaintext = true;
    options_parse(
        &options, OPTIONS_FRAME | OPTIONS_LOAD | OPTIONS_WINDOW | OPTIONS_SWITCH,
        "Receipts of the smallest messages, unencrypted, through lanes between two shards on one core: how "
        "many a second, and how far they are merged on their way.",
        count, arguments);
    return repeat("receipts", &options, fill_receipts, count, arguments);
}
