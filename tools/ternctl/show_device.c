#include "tools/ternctl/show_device.h"

#include <errno.h>
#include <inttypes.h>

#include "tools/ternctl/answer.h"
#include "tools/ternctl/table.h"
#include "tools/ternctl/units.h"

#define KEY_DIGITS 16 /* enough to tell keys apart by eye; --json has the whole */

int show_device_list(const struct show *show, const cJSON *request, const cJSON *answer) {
    (void)request;
    const cJSON *devices = answer_list(answer, "devices"), *item;
    if (!devices)
        return -EPROTO;
    struct table table;
    char connected[UNITS_TEXT_BYTES], seen[UNITS_TEXT_BYTES], created[UNITS_TEXT_BYTES];
    table_init(&table, "DEVICE>|STATE|ADDRESS|CONNECTED|SEEN|CREATED|OUTBOX>|QUEUE>|SHARD>|KEY");
    cJSON_ArrayForEach(item, devices) {
        bool is_connected = answer_flag(item, "connected");
        table_cell(&table, "%" PRIu64, answer_number(item, "device"));
        table_cell(&table, "%s", answer_text(item, "state"));
        table_cell(&table, "%s", is_connected ? answer_text(item, "address") : "");
        table_cell(&table, "%s",
                   is_connected ? units_ago(answer_number(item, "connected_ms"), show->now_ms, connected)
                                : "no");
        table_cell(&table, "%s", units_ago(answer_number(item, "last_seen_ms"), show->now_ms, seen));
        table_cell(&table, "%s", units_time(answer_number(item, "created_ms"), created));
        table_cell(&table, "%" PRIu64, answer_number(item, "outbox"));
        table_cell(&table, "%" PRIu64, answer_number(item, "queue"));
        table_cell(&table, "%" PRIu64, answer_number(item, "shard"));
        table_cell(&table, "%.*s", KEY_DIGITS, answer_text(item, "key"));
    }
    int error = table_print(&table, show->out);
    table_fini(&table);
    return error;
}

int show_device_revoke(const struct show *show, const cJSON *request, const cJSON *answer) {
    (void)answer;
    fprintf(show->out, "device %" PRIu64 " of %s is revoked, and what waited for it is deleted\n",
            answer_number(request, "device"), answer_text(request, "name"));
    return 0;
}
