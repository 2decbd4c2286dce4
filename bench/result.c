#include "bench/result.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <string.h>
#include <time.h>

#include "bench/machine.h"
#include "core/version.h"

static const double percents[] = {50, 90, 99, 99.9};
#define PERCENTS (sizeof(percents) / sizeof(percents[0]))

bool result_is_complete(const struct result *result) {
    return !result->stopped && !result->tally->failed && result->tally->measured > 0 &&
           tally_is_settled(result->tally);
}

static double per_second(const struct result *result) {
    return result->measured_seconds > 0 ? (double)result->tally->measured / result->measured_seconds : 0;
}

/* Groups of three digits, so that a figure can be read aloud: 1,234,567. */
#define GROUPED_BYTES 32
static const char *grouped(uint64_t number, char out[GROUPED_BYTES]) {
    char digits[GROUPED_BYTES];
    int count = snprintf(digits, sizeof(digits), "%" PRIu64, number), used = 0;
    for (int i = 0; i < count; i++) {
        if (i && (count - i) % 3 == 0)
            out[used++] = ',';
        out[used++] = digits[i];
    }
    out[used] = 0;
    return out;
}

static void print_latency(FILE *out, const char *name, const struct histogram *histogram) {
    fprintf(out, "  %-18s", name);
    for (size_t i = 0; i < PERCENTS; i++)
        fprintf(out, " %9.3f", (double)histogram_percentile(histogram, percents[i]) / 1e6);
    fprintf(out, " %9.3f\n", (double)histogram->max / 1e6);
}

static void print_cpu(const struct result *result, FILE *out, const char *name, uint64_t cpu_ns) {
    if (cpu_ns == RESULT_CPU_UNKNOWN || result->tally->measured == 0)
        return;
    fprintf(out, "  %-18s %9.0f %% of a core, %.2f us a message\n", name,
            (double)cpu_ns / result->seconds / 1e7, (double)cpu_ns / 1e3 / (double)result->tally->measured);
}

void result_print_table(const struct result *result, FILE *out) {
    const struct load *load = result->load;
    const struct tally *tally = result->tally;
    char number[GROUPED_BYTES];
    fprintf(out, "%u pairs of devices, both ways, window %u, %u bytes, %s, %g s, %u thread%s\n", load->pairs,
            load->window, load->size_bytes, load->plaintext ? "in plaintext" : "encrypted (Noise IK)",
            result->seconds, result->threads, result->threads == 1 ? "" : "s");
    fprintf(out, "  %-18s %9s\n", "messages/s", grouped((uint64_t)per_second(result), number));
    fprintf(out, "  %-18s %9s sent, ", "messages", grouped(tally->sent, number));
    fprintf(out, "%s received once and in order, ", grouped(tally->received, number));
    fprintf(out, "%s ticked twice\n", grouped(tally->completed, number));
    fprintf(out, "  %-18s", "latency in ms");
    for (size_t i = 0; i < PERCENTS; i++)
        fprintf(out, "   %*sp%g", percents[i] == 99.9 ? 1 : 3, "", percents[i]);
    fprintf(out, "       max\n");
    print_latency(out, "send to receive", &tally->to_receive);
    print_latency(out, "send to sent", &tally->to_sent);
    print_latency(out, "send to delivered", &tally->to_delivered);
    print_cpu(result, out, "switch", result->switch_cpu_ns);
    print_cpu(result, out, "ternbench", result->bench_cpu_ns);
    if (tally->refused)
        fprintf(out, "  %-18s %9s for the moment, and sent again\n", "refused",
                grouped(tally->refused, number));
}

static void print_shortage(FILE *out, const char *what, uint64_t have, uint64_t want) {
    char first[GROUPED_BYTES], second[GROUPED_BYTES], third[GROUPED_BYTES];
    if (have != want)
        fprintf(out, "ternbench: %s: %s of %s, %s missing\n", what, grouped(have, first),
                grouped(want, second), grouped(want - have, third));
}

void result_print_missing(const struct result *result, FILE *out) {
    const struct tally *tally = result->tally;
    if (tally->failed)
        fprintf(out, "ternbench: %s\n", tally->problem);
    if (result->stopped)
        fprintf(out, "ternbench: stopped before the end\n");
    print_shortage(out, "received", tally->received, tally->sent);
    print_shortage(out, "sent ticks", tally->ticked_sent, tally->sent);
    print_shortage(out, "delivered ticks", tally->ticked_delivered, tally->sent);
    print_shortage(out, "confirmed", tally->confirmed, tally->received);
    if (!tally->failed && !result->stopped && tally->measured == 0)
        fprintf(out, "ternbench: no message was completed in the measured time\n");
}

/* --- JSON ----------------------------------------------------------------------------------------------- */

static void add_latency(cJSON *results, const char *name, const struct histogram *histogram) {
    cJSON *latency = cJSON_AddObjectToObject(results, name);
    char key[32];
    for (size_t i = 0; i < PERCENTS; i++) {
        snprintf(key, sizeof(key), "p%g_ns", percents[i]);
        cJSON_AddNumberToObject(latency, key, (double)histogram_percentile(histogram, percents[i]));
    }
    cJSON_AddNumberToObject(latency, "max_ns", (double)histogram->max);
    cJSON_AddNumberToObject(latency, "mean_ns", histogram_mean(histogram));
    cJSON_AddNumberToObject(latency, "count", (double)histogram->count);
}

static void add_cpu(cJSON *results, const char *name, uint64_t cpu_ns) {
    if (cpu_ns == RESULT_CPU_UNKNOWN)
        cJSON_AddNullToObject(results, name);
    else
        cJSON_AddNumberToObject(results, name, (double)cpu_ns / 1e9);
}

static void add_machine(cJSON *root) {
    struct machine machine;
    machine_describe(&machine);
    cJSON *object = cJSON_AddObjectToObject(root, "machine");
    cJSON_AddStringToObject(object, "cpu", machine.cpu);
    cJSON_AddNumberToObject(object, "cores", (double)machine.cores);
    cJSON_AddNumberToObject(object, "memory_bytes", (double)machine.memory_bytes);
    cJSON_AddStringToObject(object, "kernel", machine.kernel);
    cJSON_AddStringToObject(object, "system", machine.system);
    cJSON *versions = cJSON_AddObjectToObject(root, "versions");
    cJSON_AddStringToObject(versions, "tern", TERN_VERSION);
    cJSON_AddStringToObject(versions, "compiler", __VERSION__);
    cJSON_AddStringToObject(versions, "libsodium", sodium_version_string());
}

static void add_settings(cJSON *root, const struct result *result) {
    const struct load *load = result->load;
    cJSON *settings = cJSON_AddObjectToObject(root, "settings");
    cJSON_AddNumberToObject(settings, "pairs", load->pairs);
    cJSON_AddNumberToObject(settings, "window", load->window);
    cJSON_AddNumberToObject(settings, "size_bytes", load->size_bytes);
    cJSON_AddNumberToObject(settings, "seconds", result->seconds);
    cJSON_AddNumberToObject(settings, "threads", result->threads);
    cJSON_AddBoolToObject(settings, "encrypted", !load->plaintext);
    cJSON_AddBoolToObject(settings, "own_switch", result->own_switch);
    if (result->switch_shards)
        cJSON_AddStringToObject(settings, "switch_shards", result->switch_shards);
}

static cJSON *as_json(const struct result *result) {
    cJSON *root = cJSON_CreateObject();
    char text[64];
    time_t now = time(NULL);
    struct tm utc;
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    cJSON_AddStringToObject(root, "command", "pairs");
    cJSON_AddStringToObject(root, "time", text);
    add_machine(root);
    add_settings(root, result);
    cJSON *results = cJSON_AddObjectToObject(root, "results");
    cJSON_AddBoolToObject(results, "complete", result_is_complete(result));
    cJSON_AddNumberToObject(results, "messages_per_s", per_second(result));
    cJSON_AddNumberToObject(results, "measured_s", result->measured_seconds);
    cJSON_AddNumberToObject(results, "link_s", result->link_seconds);
    add_cpu(results, "switch_cpu_s", result->switch_cpu_ns);
    add_cpu(results, "bench_cpu_s", result->bench_cpu_ns);
    add_latency(results, "send_to_receive", &result->tally->to_receive);
    add_latency(results, "send_to_sent", &result->tally->to_sent);
    add_latency(results, "send_to_delivered", &result->tally->to_delivered);
    cJSON *counts = cJSON_AddObjectToObject(results, "counts");
#define X(name, help) cJSON_AddNumberToObject(counts, #name, (double)result->tally->name);
    TALLY_COUNTS(X)
#undef X
    if (result->tally->failed)
        cJSON_AddStringToObject(results, "problem", result->tally->problem);
    return root;
}

int result_write_json(const struct result *result, const char *path) {
    cJSON *root = as_json(result);
    char *text = cJSON_Print(root);
    cJSON_Delete(root);
    if (!text)
        return -ENOMEM;
    FILE *file = fopen(path, "we");
    int error = file ? 0 : -errno;
    if (file && fprintf(file, "%s\n", text) < 0)
        error = -EIO;
    if (file && fclose(file) != 0 && !error)
        error = -errno;
    cJSON_free(text);
    return error;
}
