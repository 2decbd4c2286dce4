#include "bench/torture_report.h"

#include <cjson/cJSON.h>
#include <inttypes.h>

#include "bench/report.h"
#include "core/version.h"

#define X(name, passes, moment) {#name, moment},
static const struct { const char *name, *moment; } points[] = {CRASH_POINTS(X) CRASH_CLIENT_POINTS(X)};
#undef X

uint32_t torture_result_kills(const struct torture_result *result) {
    uint32_t kills = result->killed;
    for (size_t i = 0; i < CRASH_POINT_COUNT; i++)
        kills += result->killed_at[i];
    return kills;
}

bool torture_result_is_good(const struct torture_result *result) {
    const struct torture_check *check = &result->check;
    return check->wrong_count == 0 && result->entries_left == 0 && check->sent > 0 && !result->interrupted;
}

void torture_report_print(const struct torture_result *result, FILE *out) {
    const struct torture_options *options = result->options;
    fprintf(out,
            "%u kills of the switch in %.0f s, up to %u shard%s; %u accounts, %u devices; seed %" PRIu64
            "\n\n",
            torture_result_kills(result), result->seconds, options->shards, options->shards == 1 ? "" : "s",
            result->account_count, result->device_count, result->seed);
    fprintf(out, "  %-16s %5s %12s  %s\n", "killed", "kills", "not reached", "moment");
    for (size_t i = 0; crash_points_there() && i < CRASH_POINT_COUNT; i++)
        fprintf(out, "  %-16s %5u %12u  %s\n", points[i].name, result->killed_at[i], result->not_reached[i],
                points[i].moment);
    fprintf(out, "  %-16s %5u %12s  %s\n\n", "at random", result->killed, "",
            crash_points_there() ? "any, those not reached included" : "any; this build has no crash points");
    for (size_t i = 0; crash_points_there() && i < CRASH_CLIENT_COUNT; i++)
        fprintf(out, "  %-20s %5u devices  %s\n", points[CRASH_CLIENT_FIRST + i].name,
                result->devices_crashed[i], points[CRASH_CLIENT_FIRST + i].moment);
    fprintf(out, "  devices killed at random %u, stopped for a while %u, sent away %u\n\n",
            result->devices_killed, result->devices_stopped, result->devices_left);
    if (result->interrupted)
        return; /* nothing was compared */
#define X(name, help) fprintf(out, "  %-12s %9" PRIu64 "  %s\n", #name, result->check.name, help);
    TORTURE_COUNTS(X)
#undef X
    fprintf(out, "  %-12s %9" PRIu64 "  %s\n", "left", result->entries_left,
            "entries in queues when everything was acknowledged");
    fprintf(out, "  %-12s %9" PRIu64 "  %s\n", "records", result->records,
            "of the store, each verified at the end");
}

void torture_report_print_wrong(const struct torture_result *result, FILE *out) {
    const struct torture_check *check = &result->check;
    uint32_t shown = check->wrong_count < TORTURE_WRONG_MAX ? check->wrong_count : TORTURE_WRONG_MAX;
    for (uint32_t i = 0; i < shown; i++)
        fprintf(out, "ternbench: %s\n", check->wrong[i]);
    if (check->wrong_count > shown)
        fprintf(out, "ternbench: and %u more of that kind\n", check->wrong_count - shown);
    if (result->interrupted)
        fprintf(out, "ternbench: it was interrupted, nothing was compared\n");
    if (!check->sent && !check->wrong_count && !result->interrupted)
        fprintf(out, "ternbench: nothing was sent\n");
    fprintf(out, "ternbench: its choices come again with --seed %" PRIu64 "\n", result->seed);
}

static cJSON *as_json(const struct torture_result *result) {
    const struct torture_options *options = result->options;
    char seed[24];
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "name", "torture");
    cJSON_AddStringToObject(root, "command", "torture");
    cJSON_AddStringToObject(root, "version", TERN_VERSION);
    report_add_origin(root);
    cJSON *settings = cJSON_AddObjectToObject(root, "settings");
    snprintf(seed, sizeof(seed), "%" PRIu64, result->seed);
    cJSON_AddStringToObject(settings, "seed", seed); /* larger than JSON's numbers are exact */
    cJSON_AddNumberToObject(settings, "kills", options->kills);
    cJSON_AddNumberToObject(settings, "accounts", result->account_count);
    cJSON_AddNumberToObject(settings, "devices", result->device_count);
    cJSON_AddNumberToObject(settings, "payload_bytes_max", options->payload_bytes_max);
    cJSON_AddNumberToObject(settings, "shards_max", options->shards);
    cJSON_AddBoolToObject(settings, "crash_points", crash_points_there());
    cJSON *results = cJSON_AddObjectToObject(root, "results");
    cJSON_AddBoolToObject(results, "good", torture_result_is_good(result));
    cJSON_AddNumberToObject(results, "seconds", result->seconds);
    cJSON_AddNumberToObject(results, "kills", torture_result_kills(result));
    cJSON *kills = cJSON_AddObjectToObject(results, "kills_at");
    for (size_t i = 0; crash_points_there() && i < CRASH_POINT_COUNT; i++)
        cJSON_AddNumberToObject(kills, points[i].name, result->killed_at[i]);
    cJSON_AddNumberToObject(kills, "random", result->killed);
    cJSON *crashes = cJSON_AddObjectToObject(results, "devices_crashed_at");
    for (size_t i = 0; crash_points_there() && i < CRASH_CLIENT_COUNT; i++)
        cJSON_AddNumberToObject(crashes, points[CRASH_CLIENT_FIRST + i].name, result->devices_crashed[i]);
    cJSON_AddNumberToObject(results, "devices_killed", result->devices_killed);
    cJSON_AddNumberToObject(results, "devices_stopped", result->devices_stopped);
    cJSON_AddNumberToObject(results, "devices_left", result->devices_left);
#define X(name, help) cJSON_AddNumberToObject(results, #name, (double)result->check.name);
    TORTURE_COUNTS(X)
#undef X
    cJSON_AddNumberToObject(results, "entries_left", (double)result->entries_left);
    cJSON_AddNumberToObject(results, "records", (double)result->records);
    cJSON *wrong = cJSON_AddArrayToObject(results, "wrong");
    for (uint32_t i = 0; i < result->check.wrong_count && i < TORTURE_WRONG_MAX; i++)
        cJSON_AddItemToArray(wrong, cJSON_CreateString(result->check.wrong[i]));
    return root;
}

int torture_report_write_json(const struct torture_result *result, const char *path) {
    cJSON *root = as_json(result);
    int error = report_write_json(root, path);
    cJSON_Delete(root);
    return error;
}
