#include "bench/side.h"

#include <stdio.h>

#include "bench/progress.h"
#include "bench/trial.h"

int side_measure(const struct server_kind *kind, const struct options *options, const struct pins *pins,
                 struct side *ret_side) {
    static struct trial trial; /* three histograms and more: too large for a stack */
    int status = trial_run(&trial, kind, options, pins);
    if (status)
        return status;
    double messages = trial.messages_accepted > 0 ? trial.messages_accepted : 1;
    *ret_side = (struct side){
        .messages_per_s = trial_messages_per_s(&trial),
        .cpu_us = trial_cpu_us(&trial),
        .server_cpu = trial_server_cpu(&trial),
        .load_cpu = trial_load_cpu(&trial),
        .to_disk_percent = 100 * trial.messages_spilled / messages,
        .notes = trial.notes / messages,
        .p50_us = (double)histogram_percentile(&trial.tally.to_delivered, 50) / 1e3,
        .p99_us = (double)histogram_percentile(&trial.tally.to_delivered, 99) / 1e3,
    };
    return 0;
}

void side_add(struct figures *figures, const char *part, const char *name, const struct side *side) {
    figures_plot(figures, side->messages_per_s, "messages/s", "%s.%s_messages_per_s", part, name);
    figures_add(figures, side->cpu_us, "us", "%s.%s_cpu_us_per_message", part, name);
    figures_add(figures, side->server_cpu, "% of a core", "%s.%s_server_cpu", part, name);
    figures_add(figures, side->load_cpu, "% of a core", "%s.%s_load_cpu", part, name);
}

int side_compare(const struct server_kind *own_kind, const struct server_kind *kind, const char *part,
                 const struct options *options, const struct pins *pins, struct figures *figures) {
    struct side own, other;
    int status = side_measure(own_kind, options, pins, &own);
    if (!status)
        status = side_measure(kind, options, pins, &other);
    if (status)
        return status;
    double ratio = own.messages_per_s / other.messages_per_s, ratio_cpu = other.cpu_us / own.cpu_us;
    side_add(figures, part, "switch", &own);
    side_add(figures, part, kind->ratio, &other);
    figures_add(figures, ratio, "", "%s.ratio_%s", part, kind->ratio);
    figures_add(figures, ratio_cpu, "", "%s.ratio_%s_cpu", part, kind->ratio);
    progress_clear();
    printf(
        "%s: %.0f / %.0f messages/s = %.3f, CPU %.3f; server and load used %.0f, %.0f / %.0f, %.0f %% of a "
        "core\n",
        part, own.messages_per_s, other.messages_per_s, ratio, ratio_cpu, own.server_cpu, own.load_cpu,
        other.server_cpu, other.load_cpu);
    fflush(stdout);
    return 0;
}
