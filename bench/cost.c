#include "bench/cost.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/callgrind.h"
#include "bench/pairs.h"
#include "bench/process.h"
#include "bench/trial.h"

#define CALLGRIND_PAIRS 50u
#define CALLGRIND_MESSAGES 200u /* of each device; the difference to twice as many is counted */
#define CALLGRIND_WINDOW 8u

static struct trial trial; /* three histograms and more: too large for a stack */

/* LD_PRELOAD=...: beside ternbench, where make puts it. */
static bool find_shim(char out[PROCESS_PATH_BYTES * 2]) {
    static const char preload[] = "LD_PRELOAD=";
    char own[PROCESS_PATH_BYTES];
    ssize_t bytes = readlink("/proc/self/exe", own, sizeof(own) - 1);
    own[bytes > 0 ? bytes : 0] = 0;
    char *slash = strrchr(own, '/');
    if (!slash)
        return false;
    *slash = 0;
    snprintf(out, (size_t)PROCESS_PATH_BYTES * 2, "%s%s/callgrind_shim.so", preload, own);
    return access(out + sizeof(preload) - 1, R_OK) == 0;
}

/* Under callgrind a switch is fifty times slower, its clock is not: nothing is copied out of a receive
 * buffer, or put on the disk, because of that. */
static void set_patience(struct options *options) {
    options_set_switch(options, "--hold-ms", "60000");
    options_set_switch(options, "--spill-ms", "60000");
}

/* All instructions of a switch that carries so many messages; negative: it could not be counted. */
static double count_instructions(const struct server_kind *kind, const struct options *asked,
                                 const struct pins *pins, uint32_t messages) {
    struct process process;
    struct options options = *asked;
    char log[PROCESS_PATH_BYTES * 3], path[PROCESS_PATH_BYTES * 2], shim[PROCESS_PATH_BYTES * 2];
    double count = -1;
    if (!find_shim(shim) || process_init(&process) < 0)
        return -1;
    snprintf(path, sizeof(path), "%s/valgrind", process.folder);
    snprintf(log, sizeof(log), "--log-file=%s", path);
    const char *const under[] = {
        "env", shim, "valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", log, NULL};
    set_patience(&options);
    options.pairs = CALLGRIND_PAIRS;
    options.window = CALLGRIND_WINDOW;
    options.messages = messages;
    options.switch_under = under;
    if (trial_run(&trial, kind, &options, pins) == EXIT_COMPLETE)
        count = callgrind_total(path);
    process_close(&process);
    return count;
}

static int add_instructions(const char *name, const struct server_kind *kind, const struct options *options,
                            const struct pins *pins, struct figures *figures) {
    double once = count_instructions(kind, options, pins, CALLGRIND_MESSAGES);
    double twice = once < 0 ? -1 : count_instructions(kind, options, pins, 2 * CALLGRIND_MESSAGES);
    if (twice < 0)
        return EXIT_MISSING;
    figures_plot(figures, (twice - once) / (CALLGRIND_MESSAGES * CALLGRIND_PAIRS * 2.0), "instructions",
                 "%s_instructions_per_message", name);
    return EXIT_COMPLETE;
}

static int add_counts(const struct server_kind *kind, const struct options *asked, uint32_t window,
                      const struct pins *pins, struct figures *figures) {
    struct options options = *asked;
    options.window = window;
    int status = trial_run(&trial, kind, &options, pins);
    if (status)
        return status;
    if (!trial.has_stats || trial.messages_accepted <= 0)
        return EXIT_MISSING;
    double messages = trial.messages_accepted;
    figures_add(figures, trial.enters / messages, "", "w%u.enters_per_message", window);
    figures_add(figures, trial.payload_copies / messages, "", "w%u.payload_copies_per_message", window);
    figures_add(figures, trial.records_sealed / messages, "", "w%u.records_sealed_per_message", window);
    figures_add(figures, 100 * trial.messages_spilled / messages, "%", "w%u.messages_to_disk", window);
    return EXIT_COMPLETE;
}

int cost_run(int count, char **arguments) {
    static struct figures figures;
    struct options options = pairs_defaults();
    struct report report;
    struct pins pins;
    options.seconds = 1;
    options_parse(
        &options, OPTIONS_FRAME | OPTIONS_LOAD | OPTIONS_WINDOWS | OPTIONS_SWITCH,
        "What a message with both its receipts costs the switch, in counts: instructions in user space (if "
        "valgrind is there), system calls, copies of payloads, records. They do not depend on what else "
        "the machine does, but for how much gathers meanwhile.",
        count, arguments);
    int status = pairs_pins(&options, &pins);
    if (status)
        return status;
    report_open(&report, "cost", count, arguments);
    pairs_settings(&report, &options, &pins);
    snprintf(report.title, sizeof(report.title), "cost of a message: %u pairs, %u bytes", options.pairs,
             options.size_bytes);
    bool counts = process_is_installed("valgrind");
    if (!counts)
        report_note(&report, "valgrind is not installed: no instructions counted");
    trial_catch_signals();
    for (uint32_t i = 0; i < options.repeat && !status; i++) {
        figures.count = 0;
        if (counts)
            status = add_instructions("plaintext", &server_tern_plaintext, &options, &pins, &figures);
        if (counts && !status)
            status = add_instructions("encrypted", &server_tern, &options, &pins, &figures);
        for (uint32_t j = 0; j < options.windows.count && !status; j++)
            status = add_counts(&server_tern, &options, options.windows.items[j], &pins, &figures);
        if (!status)
            report_add(&report, &figures, true);
    }
    report.is_complete &= status == EXIT_COMPLETE;
    int error = report_close(&report, options.json, options.plot);
    return status ? status : error ? EXIT_MISSING : EXIT_COMPLETE;
}
