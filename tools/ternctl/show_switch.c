#include "tools/ternctl/show_switch.h"

#include <inttypes.h>

#include "tools/ternctl/answer.h"

int show_switch_drain(const struct show *show, const cJSON *request, const cJSON *answer) {
    (void)request;
    (void)answer;
    fprintf(show->out, "the switch is drained and ends\n");
    return 0;
}

int show_switch_reload(const struct show *show, const cJSON *request, const cJSON *answer) {
    (void)request;
    uint64_t changed = answer_number(answer, "changed");
    const char *restart = answer_text(answer, "restart_settings");
    fprintf(show->out, "%" PRIu64 " %s changed%s%s\n", changed, changed == 1 ? "setting is" : "settings are",
            changed ? ": " : "", answer_text(answer, "changed_settings"));
    if (restart[0])
        fprintf(show->out, "the next start takes over: %s\n", restart);
    return 0;
}

int show_switch_check(const struct show *show, const cJSON *request, const cJSON *answer) {
    (void)request;
    fprintf(show->out, "%" PRIu64 " records read: all are well\n", answer_number(answer, "records"));
    return 0;
}

void show_switch_findings(FILE *out, const cJSON *answer) {
    const cJSON *finding;
    cJSON_ArrayForEach(finding, answer_list(answer, "findings")) {
        fprintf(out, "environment %" PRIu64 ": %s %s\n", answer_number(finding, "environment"),
                answer_text(finding, "where"), answer_text(finding, "what"));
    }
}

int show_switch_backup(const struct show *show, const cJSON *request, const cJSON *answer) {
    (void)answer;
    fprintf(show->out, "the store is copied to %s\n", answer_text(request, "folder"));
    return 0;
}
