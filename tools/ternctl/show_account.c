#include "tools/ternctl/show_account.h"

#include <errno.h>
#include <inttypes.h>

#include "tools/ternctl/answer.h"
#include "tools/ternctl/show_device.h"
#include "tools/ternctl/show_uri.h"
#include "tools/ternctl/table.h"
#include "tools/ternctl/units.h"

/* --- link URIs ------------------------------------------------------------------------------------------ */

int show_account_add_uris(cJSON *answer, const char *address) {
    const char *listens = answer_text(answer, "address");
    char reached[SHOW_URI_BYTES], text[SHOW_URI_BYTES];
    if (show_uri_address(listens, listens, reached, sizeof(reached)) < 0)
        return -EPROTO;
    if (address && show_uri_address(address, listens, reached, sizeof(reached)) < 0)
        return -EINVAL;
    const cJSON *accounts = answer_list(answer, "accounts");
    if (!accounts || !accounts->child)
        return -EPROTO;
    cJSON *item;
    cJSON_ArrayForEach(item, accounts) {
        struct show_uri uri = {.address = reached,
                               .name = answer_text(item, "name"),
                               .key = answer_text(answer, "key"),
                               .code = answer_text(item, "code"),
                               .account = answer_number(item, "account")};
        if (show_uri_make(&uri, text) < 0)
            return -EPROTO;
        if (!cJSON_AddStringToObject(item, "uri", text))
            return -ENOMEM;
    }
    return 0;
}

int show_account_uris(const struct show *show, const cJSON *request, const cJSON *answer) {
    (void)request;
    const cJSON *item;
    cJSON_ArrayForEach(item, answer_list(answer, "accounts")) {
        fprintf(show->out, "%s\n", answer_text(item, "uri"));
    }
    return 0;
}

/* --- lists ---------------------------------------------------------------------------------------------- */

int show_account_list(const struct show *show, const cJSON *request, const cJSON *answer) {
    (void)request;
    const cJSON *accounts = answer_list(answer, "accounts"), *item;
    if (!accounts)
        return -EPROTO;
    struct table table;
    char created[UNITS_TEXT_BYTES];
    table_init(&table, "ACCOUNT>|NAME|STATE|DEVICES>|CONNECTED>|CREATED");
    cJSON_ArrayForEach(item, accounts) {
        table_cell(&table, "%" PRIu64, answer_number(item, "account"));
        table_cell(&table, "%s", answer_text(item, "name"));
        table_cell(&table, "%s", answer_text(item, "state"));
        table_cell(&table, "%" PRIu64, answer_number(item, "devices"));
        table_cell(&table, "%" PRIu64, answer_number(item, "connected"));
        table_cell(&table, "%s", units_time(answer_number(item, "created_ms"), created));
    }
    int error = table_print(&table, show->out);
    table_fini(&table);
    return error;
}

int show_account_show(const struct show *show, const cJSON *request, const cJSON *answer) {
    const cJSON *devices = answer_list(answer, "devices");
    if (!devices)
        return -EPROTO;
    uint64_t created_ms = answer_number(answer, "created_ms");
    char created[UNITS_TEXT_BYTES], ago[UNITS_TEXT_BYTES];
    fprintf(show->out, "account  %" PRIu64 "\nname     %s\nstate    %s\ncreated  %s (%s)\ndevices  %d\n",
            answer_number(answer, "account"), answer_text(answer, "name"), answer_text(answer, "state"),
            units_time(created_ms, created), units_ago(created_ms, show->now_ms, ago),
            cJSON_GetArraySize(devices));
    if (!devices->child)
        return 0;
    fputc('\n', show->out);
    return show_device_list(show, request, answer);
}

/* --- what was done -------------------------------------------------------------------------------------- */

int show_account_suspend(const struct show *show, const cJSON *request, const cJSON *answer) {
    (void)answer;
    fprintf(show->out, "%s is suspended: its sessions are closed and new ones refused\n",
            answer_text(request, "name"));
    return 0;
}

int show_account_resume(const struct show *show, const cJSON *request, const cJSON *answer) {
    (void)answer;
    fprintf(show->out, "%s is active\n", answer_text(request, "name"));
    return 0;
}

int show_account_remove(const struct show *show, const cJSON *request, const cJSON *answer) {
    (void)answer;
    fprintf(show->out, "%s is removed, with its devices and what waited for them\n",
            answer_text(request, "name"));
    return 0;
}
