#include "tools/ternctl/show_connection.h"

#include <errno.h>
#include <inttypes.h>

#include "tools/ternctl/answer.h"
#include "tools/ternctl/table.h"
#include "tools/ternctl/units.h"

/* A connection that has not logged in belongs to nobody yet. */
int show_connection_list(const struct show *show, const cJSON *request, const cJSON *answer) {
    (void)request;
    const cJSON *connections = answer_list(answer, "connections"), *item;
    if (!connections)
        return -EPROTO;
    struct table table;
    char device[UNITS_TEXT_BYTES], connected[UNITS_TEXT_BYTES];
    table_init(&table, "ID>|SHARD>|NAME|DEVICE>|STATE|ADDRESS|CONNECTED");
    cJSON_ArrayForEach(item, connections) {
        uint64_t number = answer_number(item, "device");
        snprintf(device, sizeof(device), "%" PRIu64, number);
        table_cell(&table, "%" PRIu64, answer_number(item, "id"));
        table_cell(&table, "%" PRIu64, answer_number(item, "shard"));
        table_cell(&table, "%s", answer_text(item, "name"));
        table_cell(&table, "%s", number ? device : "");
        table_cell(&table, "%s", answer_text(item, "state"));
        table_cell(&table, "%s", answer_text(item, "address"));
        table_cell(&table, "%s", units_ago(answer_number(item, "connected_ms"), show->now_ms, connected));
    }
    int error = table_print(&table, show->out);
    table_fini(&table);
    return error;
}

int show_connection_kick(const struct show *show, const cJSON *request, const cJSON *answer) {
    uint64_t connections = answer_number(answer, "connections");
    fprintf(show->out, "closed %" PRIu64 " %s of ", connections,
            connections == 1 ? "connection" : "connections");
    if (answer_has(request, "device"))
        fprintf(show->out, "device %" PRIu64 " of ", answer_number(request, "device"));
    fprintf(show->out, "%s\n", answer_text(request, "name"));
    return 0;
}
