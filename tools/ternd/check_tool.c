#include "tools/ternd/check_tool.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/check.h"
#include "tools/admin/commands.h"
#include "tools/ternd/child.h"

#define FINDINGS_SHOWN_MAX 1000 /* beyond that they are counted: the answer has to fit a line */
#define SENTENCE_BYTES 512

struct code {
    const char *name;
    int status;
};
#define X(name, status, help) {#name, status},
static const struct code codes[ADMIN_CODE_COUNT] = {ADMIN_CODES(X)};
#undef X

/* --- the child ------------------------------------------------------------------------------------------ */

static void print_line(cJSON *object) {
    char *text = cJSON_PrintUnformatted(object);
    puts(text ? text : "{}");
    fflush(stdout); /* what is found before a crash is said */
    cJSON_free(text);
    cJSON_Delete(object);
}

static void print_finding(void *context, const struct check_finding *finding) {
    (void)context;
    cJSON *object = cJSON_CreateObject();
    cJSON_AddNumberToObject(object, "environment", finding->environment);
    cJSON_AddStringToObject(object, "where", finding->where);
    cJSON_AddStringToObject(object, "what", finding->what);
    print_line(object);
}

int check_tool_work(const char *folder) {
    struct check_result result = {0};
    char sentence[SENTENCE_BYTES];
    int error = check_store(folder, print_finding, NULL, &result, sentence, sizeof(sentence));
    cJSON *object = cJSON_CreateObject();
    cJSON_AddBoolToObject(object, "done", true);
    cJSON_AddNumberToObject(object, "records", (double)result.records);
    if (error)
        cJSON_AddStringToObject(object, "error", sentence);
    cJSON_AddBoolToObject(object, "none", error == -ENOENT);
    print_line(object);
    return 0;
}

/* --- who watches it ------------------------------------------------------------------------------------- */

struct watch {
    bool json;
    cJSON *findings;
    uint64_t count; /* of findings */
    cJSON *done;    /* the child's last line */
};

static void take_finding(struct watch *watch, cJSON *finding) {
    if (!watch->json)
        printf("environment %d: %s %s\n", cJSON_GetObjectItem(finding, "environment")->valueint,
               cJSON_GetObjectItem(finding, "where")->valuestring,
               cJSON_GetObjectItem(finding, "what")->valuestring);
    if (watch->count++ < FINDINGS_SHOWN_MAX)
        cJSON_AddItemToArray(watch->findings, finding);
    else
        cJSON_Delete(finding);
}

static void take_line(struct watch *watch, const char *line) {
    cJSON *object = cJSON_Parse(line);
    if (cJSON_HasObjectItem(object, "done"))
        watch->done = object;
    else if (cJSON_HasObjectItem(object, "what"))
        take_finding(watch, object);
    else
        cJSON_Delete(object); /* cut short by a crash */
}

static void take_crash(struct watch *watch, int status) {
    char what[SENTENCE_BYTES];
    child_describe_end(status, what, sizeof(what));
    cJSON *finding = cJSON_CreateObject();
    cJSON_AddNumberToObject(finding, "environment", 0);
    cJSON_AddStringToObject(finding, "where", "the check itself");
    cJSON_AddStringToObject(finding, "what", what);
    take_finding(watch, finding);
}

static int watch_child(struct watch *watch, const char *folder) {
    struct child child;
    char *line = NULL;
    size_t line_bytes = 0;
    int error = child_start(&child, CHECK_TOOL_WORKER_OPTION, folder, NULL);
    if (error)
        return error;
    FILE *out = fdopen(child.out_fd, "r");
    while (out && getline(&line, &line_bytes, out) > 0)
        take_line(watch, line);
    free(line);
    if (out) {
        fclose(out);
        child.out_fd = -1;
    }
    int status = child_wait(&child);
    if (!watch->done)
        take_crash(watch, status);
    return 0;
}

static enum admin_code conclude(const struct watch *watch, int error, char *ret_sentence, size_t bytes) {
    const cJSON *said = cJSON_GetObjectItem(watch->done, "error");
    double records = cJSON_GetNumberValue(cJSON_GetObjectItem(watch->done, "records"));
    if (error || said) {
        snprintf(ret_sentence, bytes, "%s", error ? strerror(-error) : said->valuestring);
        return cJSON_IsTrue(cJSON_GetObjectItem(watch->done, "none")) ? ADMIN_CODE_not_found
                                                                      : ADMIN_CODE_failed;
    }
    if (watch->count == 0) {
        snprintf(ret_sentence, bytes, "%.0f records read: all are well", records);
        return ADMIN_CODE_ok;
    }
    const cJSON *first = cJSON_GetArrayItem(watch->findings, 0);
    snprintf(ret_sentence, bytes, "%llu %s wrong in %.0f records; the first: %s %s",
             (unsigned long long)watch->count, watch->count == 1 ? "thing is" : "things are",
             watch->done ? records : 0, cJSON_GetObjectItem(first, "where")->valuestring,
             cJSON_GetObjectItem(first, "what")->valuestring);
    return ADMIN_CODE_damaged;
}

static void print_answer(struct watch *watch, enum admin_code code, const char *sentence) {
    cJSON *answer = cJSON_CreateObject();
    cJSON_AddBoolToObject(answer, "ok", code == ADMIN_CODE_ok);
    if (code != ADMIN_CODE_ok) {
        cJSON_AddStringToObject(answer, "code", codes[code].name);
        cJSON_AddStringToObject(answer, "error", sentence);
    }
    double records = cJSON_GetNumberValue(cJSON_GetObjectItem(watch->done, "records"));
    cJSON_AddNumberToObject(answer, "records", watch->done ? records : 0);
    cJSON_AddNumberToObject(answer, "count", (double)watch->count);
    cJSON_AddItemToObject(answer, "findings", watch->findings);
    watch->findings = NULL;
    print_line(answer);
}

int check_tool_run(const char *folder, bool json) {
    struct watch watch = {.json = json, .findings = cJSON_CreateArray()};
    char sentence[SENTENCE_BYTES];
    int error = watch_child(&watch, folder);
    enum admin_code code = conclude(&watch, error, sentence, sizeof(sentence));
    if (json)
        print_answer(&watch, code, sentence);
    else if (code == ADMIN_CODE_ok)
        puts(sentence);
    else
        fprintf(stderr, "ternd: %s\n", sentence);
    cJSON_Delete(watch.findings);
    cJSON_Delete(watch.done);
    return codes[code].status;
}
