#include "tools/ternctl/show_queue.h"

#include <errno.h>
#include <inttypes.h>

#include "tools/ternctl/answer.h"
#include "tools/ternctl/table.h"

int show_queue_show(const struct show *show, const cJSON *request, const cJSON *answer) {
    (void)request;
    const cJSON *devices = answer_list(answer, "devices"), *item;
    if (!devices)
        return -EPROTO;
    struct table table;
    table_init(&table, "DEVICE>|OUTBOX>|QUEUE>");
    cJSON_ArrayForEach(item, devices) {
        table_cell(&table, "%" PRIu64, answer_number(item, "device"));
        table_cell(&table, "%" PRIu64, answer_number(item, "outbox"));
        table_cell(&table, "%" PRIu64, answer_number(item, "queue"));
    }
    int error = table_print(&table, show->out);
    table_fini(&table);
    return error;
}

int show_queue_purge(const struct show *show, const cJSON *request, const cJSON *answer) {
    uint64_t entries = answer_number(answer, "entries");
    fprintf(show->out, "deleted %" PRIu64 " %s of ", entries, entries == 1 ? "entry" : "entries");
    if (answer_has(request, "device"))
        fprintf(show->out, "device %" PRIu64 " of ", answer_number(request, "device"));
    fprintf(show->out, "%s\n", answer_text(request, "name"));
    return 0;
}
