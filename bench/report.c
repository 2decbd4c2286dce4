#include "bench/report.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/machine.h"
#include "bench/plot.h"
#include "bench/progress.h"
#include "core/version.h"

#define VALUE_BYTES 40

void report_open(struct report *report, const char *name, int count, char **arguments) {
    *report = (struct report){.name = name, .is_complete = true};
    size_t used = 0;
    for (int i = 0; i < count && used < sizeof(report->command); i++) {
        int more = snprintf(report->command + used, sizeof(report->command) - used, "%s%s", i ? " " : "",
                            arguments[i]);
        used += more > 0 ? (size_t)more : 0;
    }
    report->settings = cJSON_CreateObject();
    report->versions = cJSON_CreateObject();
    report->notes = cJSON_CreateArray();
    cJSON_AddStringToObject(report->versions, "tern", TERN_VERSION);
    cJSON_AddStringToObject(report->versions, "compiler", __VERSION__);
    cJSON_AddStringToObject(report->versions, "libsodium", sodium_version_string());
}

void report_add(struct report *report, const struct figures *figures, bool complete) {
    report->is_complete &= complete;
    struct figures *kept = report->run_count < REPORT_RUNS_MAX ? malloc(sizeof(*kept)) : NULL;
    if (!kept) {
        report->is_complete = false;
        return;
    }
    *kept = *figures;
    report->runs[report->run_count++] = kept;
}

void report_note(struct report *report, const char *format, ...) {
    char text[REPORT_TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    cJSON_AddItemToArray(report->notes, cJSON_CreateString(text));
}

bool report_sum_up(const struct report *report, const char *name, double *ret_median, double *ret_min,
                   double *ret_max) {
    double values[REPORT_RUNS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < report->run_count; i++) {
        const struct figure *figure = figures_find(report->runs[i], name);
        if (figure && !isnan(figure->value))
            values[count++] = figure->value;
    }
    if (count == 0)
        return false;
    *ret_median = figures_median(values, count); /* sorts them */
    *ret_min = values[0];
    *ret_max = values[count - 1];
    return true;
}

/* --- the table ------------------------------------------------------------------------------------------ */

/* 1,234,567 for what counts in thousands, four digits for the rest. */
static const char *shown(double value, char out[VALUE_BYTES]) {
    if (fabs(value) < 1000) {
        snprintf(out, VALUE_BYTES, "%.4g", value);
        return out;
    }
    char digits[VALUE_BYTES];
    int count = snprintf(digits, sizeof(digits), "%.0f", value), used = 0;
    for (int i = 0; i < count && used < VALUE_BYTES - 2; i++) {
        if (i && (count - i) % 3 == 0 && digits[i - 1] != '-')
            out[used++] = ',';
        out[used++] = digits[i];
    }
    out[used] = 0;
    return out;
}

static void print_table(const struct report *report) {
    const struct figures *first = report->run_count ? report->runs[0] : NULL;
    bool repeated = report->run_count > 1;
    printf("%s\n", report->title);
    if (repeated)
        printf("  %-42s %14s %14s %14s\n", "", "median", "least", "most");
    for (uint32_t i = 0; first && i < first->count; i++) {
        double median, min, max;
        char text[3][VALUE_BYTES];
        const struct figure *figure = &first->items[i];
        if (!report_sum_up(report, figure->name, &median, &min, &max))
            continue;
        printf("  %-42s %14s", figure->name, shown(median, text[0]));
        if (repeated)
            printf(" %14s %14s", shown(min, text[1]), shown(max, text[2]));
        printf(" %s\n", figure->unit);
    }
    const cJSON *note;
    cJSON_ArrayForEach(note, report->notes) {
        printf("  %s\n", cJSON_GetStringValue(note));
    }
    fflush(stdout);
}

/* --- JSON ----------------------------------------------------------------------------------------------- */

/* The object a figure belongs into, by the parts of its name, and the last part. */
static cJSON *place_of(cJSON *root, const char *name, const char **ret_last) {
    const char *dot;
    while ((dot = strchr(name, '.'))) {
        char part[FIGURE_NAME_BYTES];
        snprintf(part, sizeof(part), "%.*s", (int)(dot - name), name);
        cJSON *object = cJSON_GetObjectItem(root, part);
        root = object ? object : cJSON_AddObjectToObject(root, part);
        name = dot + 1;
    }
    *ret_last = name;
    return root;
}

static void add_figure(cJSON *root, const char *name, double value) {
    const char *last;
    cJSON *place = place_of(root, name, &last);
    cJSON_AddNumberToObject(place, last, value);
}

static void add_runs(const struct report *report, cJSON *root) {
    cJSON *runs = cJSON_AddArrayToObject(root, "runs");
    for (uint32_t i = 0; i < report->run_count; i++) {
        cJSON *run = cJSON_CreateObject();
        for (uint32_t j = 0; j < report->runs[i]->count; j++)
            add_figure(run, report->runs[i]->items[j].name, report->runs[i]->items[j].value);
        cJSON_AddItemToArray(runs, run);
    }
    cJSON *median = cJSON_AddObjectToObject(root, "median");
    cJSON *spread = cJSON_AddObjectToObject(root, "spread");
    for (uint32_t j = 0; report->run_count && j < report->runs[0]->count; j++) {
        const char *name = report->runs[0]->items[j].name, *last;
        double middle, min, max;
        if (!report_sum_up(report, name, &middle, &min, &max))
            continue;
        add_figure(median, name, middle);
        cJSON *place = place_of(spread, name, &last);
        cJSON_AddItemToObject(place, last, cJSON_CreateDoubleArray((double[]){min, max}, 2));
    }
}

void report_add_origin(cJSON *root) {
    char text[64];
    time_t now = time(NULL);
    struct tm utc;
    struct machine machine;
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    cJSON_AddStringToObject(root, "time", text);
    machine_describe(&machine);
    cJSON *object = cJSON_AddObjectToObject(root, "machine");
    cJSON_AddStringToObject(object, "cpu", machine.cpu);
    cJSON_AddNumberToObject(object, "cores", (double)machine.cores);
    cJSON_AddNumberToObject(object, "memory_bytes", (double)machine.memory_bytes);
    cJSON_AddStringToObject(object, "kernel", machine.kernel);
    cJSON_AddStringToObject(object, "system", machine.system);
}

static cJSON *as_json(struct report *report) {
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "name", report->name);
    cJSON_AddStringToObject(root, "command", report->command);
    cJSON_AddBoolToObject(root, "complete", report->is_complete);
    report_add_origin(root);
    cJSON_AddItemToObject(root, "versions", report->versions);
    cJSON_AddItemToObject(root, "settings", report->settings);
    cJSON_AddItemToObject(root, "notes", report->notes);
    add_runs(report, root);
    return root;
}

int report_write_json(const cJSON *root, const char *path) {
    char *text = cJSON_Print(root);
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

int report_close(struct report *report, const char *json, const char *plot) {
    progress_clear();
    if (report->run_count || cJSON_GetArraySize(report->notes) > 0)
        print_table(report);
    int error = plot && report->run_count ? plot_write(report, plot) : 0;
    if (error)
        fprintf(stderr, "ternbench: %s: %s\n", plot,
                error == -ENOENT ? "gnuplot is not there" : strerror(-error));
    cJSON *root = as_json(report); /* takes settings, versions and notes */
    int written = json ? report_write_json(root, json) : 0;
    if (written)
        fprintf(stderr, "ternbench: %s: %s\n", json, strerror(-written));
    cJSON_Delete(root);
    for (uint32_t i = 0; i < report->run_count; i++)
        free(report->runs[i]);
    report->run_count = 0;
    return error ? error : written;
}
