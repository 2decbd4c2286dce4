#include "tools/ternd/salvage_tool.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "storage/salvage.h"
#include "tools/admin/commands.h"

#define SENTENCE_BYTES 512

struct code {
    const char *name;
    int status;
};
#define X(name, status, help) {#name, status},
static const struct code codes[ADMIN_CODE_COUNT] = {ADMIN_CODES(X)};
#undef X

static unsigned long long total(const uint64_t sources[SALVAGE_SOURCES]) {
    return sources[SALVAGE_NEWEST] + sources[SALVAGE_BEFORE] + sources[SALVAGE_SCAN];
}

/* The store's own record is made anew. */
static void print_table(const struct salvage_report *report) {
    printf("%-16s %12s %12s %12s %12s %9s\n", "", "recovered", "newest", "before", "scan", "damaged");
    for (int kind = VALUE_META + 1; kind < SALVAGE_KINDS; kind++) {
        const uint64_t *sources = report->recovered[kind];
        printf("%-16s %12llu %12llu %12llu %12llu %9llu\n", describe_kind((enum value_kind)kind),
               total(sources), (unsigned long long)sources[SALVAGE_NEWEST],
               (unsigned long long)sources[SALVAGE_BEFORE], (unsigned long long)sources[SALVAGE_SCAN],
               (unsigned long long)report->damaged[kind]);
    }
    printf("newest: from the newest commit; before: from the one before; scan: from pages without a way to "
           "them, perhaps old\n");
}

static void print_line(uint64_t count, const char *format) {
    if (count > 0)
        printf(format, (unsigned long long)count);
}

static void print_rest(const struct salvage_report *report) {
    print_line(report->lost_environments, "%llu environments can't be read at all\n");
    print_line(report->damaged_pages, "%llu pages are damaged\n");
    print_line(report->missing, "%llu records of the newest commit are lost\n");
    print_line(report->names_mended, "%llu names were lost and are made anew of their accounts\n");
    print_line(report->accounts_mended, "%llu accounts were lost and are made anew of their names, "
                                        "suspended: `ternctl account resume` those that shall not be\n");
    print_line(report->devices_left_out, "%llu devices are left out: their account and its name are lost\n");
    if (report->key_missing)
        printf("server.key can't be read: put a copy of it into the new folder\n");
}

static void print_json(const struct salvage_report *report, enum admin_code code, const char *sentence) {
    cJSON *answer = cJSON_CreateObject();
    cJSON_AddBoolToObject(answer, "ok", code == ADMIN_CODE_ok);
    if (code != ADMIN_CODE_ok) {
        cJSON_AddStringToObject(answer, "code", codes[code].name);
        cJSON_AddStringToObject(answer, "error", sentence);
    }
    cJSON *kinds = cJSON_AddArrayToObject(answer, "kinds");
    for (int kind = VALUE_META + 1; kind < SALVAGE_KINDS; kind++) {
        const uint64_t *sources = report->recovered[kind];
        cJSON *object = cJSON_CreateObject();
        cJSON_AddStringToObject(object, "kind", describe_kind((enum value_kind)kind));
        cJSON_AddNumberToObject(object, "recovered", (double)total(sources));
        cJSON_AddNumberToObject(object, "newest", (double)sources[SALVAGE_NEWEST]);
        cJSON_AddNumberToObject(object, "before", (double)sources[SALVAGE_BEFORE]);
        cJSON_AddNumberToObject(object, "scan", (double)sources[SALVAGE_SCAN]);
        cJSON_AddNumberToObject(object, "damaged", (double)report->damaged[kind]);
        cJSON_AddItemToArray(kinds, object);
    }
    cJSON_AddNumberToObject(answer, "lost_environments", report->lost_environments);
    cJSON_AddNumberToObject(answer, "damaged_pages", (double)report->damaged_pages);
    cJSON_AddNumberToObject(answer, "missing", (double)report->missing);
    cJSON_AddNumberToObject(answer, "names_mended", (double)report->names_mended);
    cJSON_AddNumberToObject(answer, "accounts_mended", (double)report->accounts_mended);
    cJSON_AddNumberToObject(answer, "devices_left_out", (double)report->devices_left_out);
    cJSON_AddBoolToObject(answer, "key_missing", report->key_missing);
    char *text = cJSON_PrintUnformatted(answer);
    puts(text ? text : "{}");
    cJSON_free(text);
    cJSON_Delete(answer);
}

static enum admin_code code_of(int error, const struct salvage_report *report) {
    switch (error) {
    case 0:
        break;
    case -ENOENT:
        return ADMIN_CODE_not_found;
    case -EEXIST:
        return ADMIN_CODE_exists;
    case -EBUSY:
        return ADMIN_CODE_busy;
    default:
        return ADMIN_CODE_failed;
    }
    uint64_t lost = report->missing + report->lost_environments + report->devices_left_out +
                    report->accounts_mended + report->key_missing;
    for (int kind = 0; kind < SALVAGE_KINDS; kind++)
        lost += report->damaged[kind];
    return lost ? ADMIN_CODE_damaged : ADMIN_CODE_ok;
}

int salvage_tool_run(const char *folder, const char *new_folder, bool json) {
    struct salvage_report report = {.damaged_pages = 0};
    char sentence[SENTENCE_BYTES] = "some records are lost";
    int error = salvage_store(folder, new_folder, &report, sentence, sizeof(sentence));
    enum admin_code code = code_of(error, &report);
    if (json) {
        print_json(&report, code, sentence);
    } else if (error == 0) {
        print_table(&report);
        print_rest(&report);
    }
    if (code != ADMIN_CODE_ok)
        fprintf(stderr, "ternd: %s\n", sentence);
    return fflush(stdout) ? codes[ADMIN_CODE_failed].status : codes[code].status;
}
