#include "tools/ternctl/rates.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tools/ternctl/answer.h"

static uint64_t now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

int rates_take(struct caller *caller, uint32_t timeout_ms, struct snapshot *ret_snapshot) {
    cJSON *request = cJSON_CreateObject(), *answer = NULL;
    cJSON_AddStringToObject(request, "command", "stats");
    int error = caller_ask(caller, request, timeout_ms, &answer);
    cJSON_Delete(request);
    if (error)
        return error;
    if (!answer_flag(answer, "ok") || !answer_list(answer, "stats")) {
        snprintf(caller->error, sizeof(caller->error), "the switch gives no counters: %s",
                 answer_has(answer, "error") ? answer_text(answer, "error") : "the answer has none");
        cJSON_Delete(answer);
        return -EPROTO;
    }
    *ret_snapshot = (struct snapshot){.answer = answer, .at_us = now_us()};
    return 0;
}

void rates_fini(struct snapshot *snapshot) {
    cJSON_Delete(snapshot->answer);
    snapshot->answer = NULL;
}

uint64_t rates_value(const struct snapshot *snapshot, const char *name) {
    const cJSON *item;
    cJSON_ArrayForEach(item, answer_list(snapshot->answer, "stats")) {
        if (strcmp(answer_text(item, "name"), name) == 0)
            return answer_number(item, "value");
    }
    return 0;
}

double rates_per_second(const struct snapshot *before, const struct snapshot *after, const char *name) {
    uint64_t from = rates_value(before, name), to = rates_value(after, name);
    if (after->at_us <= before->at_us)
        return 0;
    return (double)(to < from ? to : to - from) * 1e6 / (double)(after->at_us - before->at_us);
}

double rates_per_second_all(const struct snapshot *before, const struct snapshot *after, const char *prefix) {
    double sum = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, answer_list(after->answer, "stats")) {
        const char *name = answer_text(item, "name");
        if (strncmp(name, prefix, strlen(prefix)) == 0)
            sum += rates_per_second(before, after, name);
    }
    return sum;
}
