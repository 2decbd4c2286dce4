#include "tools/ternctl/show_status.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "tools/ternctl/answer.h"
#include "tools/ternctl/table.h"
#include "tools/ternctl/units.h"

/* A list of texts in one cell, or a text as it is. */
static const char *join(const cJSON *object, const char *name, char *text, size_t text_bytes) {
    const cJSON *item;
    snprintf(text, text_bytes, "%s", answer_text(object, name));
    cJSON_ArrayForEach(item, answer_list(object, name)) {
        size_t used = strlen(text);
        if (cJSON_IsString(item))
            snprintf(text + used, text_bytes - used, "%s%s", used ? " " : "", item->valuestring);
    }
    return text;
}

/* --- the switch and its parts --------------------------------------------------------------------------- */

void show_status_line(FILE *out, const cJSON *answer) {
    char up[UNITS_TEXT_BYTES];
    uint64_t connections = answer_number(answer, "connections");
    fprintf(out, "tern %s, pid %" PRIu64 ", up %s, %" PRIu64 " connection%s%s",
            answer_text(answer, "version"), answer_number(answer, "pid"),
            units_span(answer_number(answer, "uptime_ms"), up), connections, connections == 1 ? "" : "s",
            answer_flag(answer, "draining") ? ", DRAINING" : "");
    const cJSON *store;
    cJSON_ArrayForEach(store, answer_list(answer, "stores")) {
        if (answer_flag(store, "full"))
            fprintf(out, ", STORE %" PRIu64 " FULL", answer_number(store, "environment"));
        if (answer_flag(store, "closed"))
            fprintf(out, ", STORE %" PRIu64 " CLOSED", answer_number(store, "environment"));
    }
    fputc('\n', out);
}

static int print_shards(FILE *out, const cJSON *answer) {
    struct table table;
    char features[256];
    const cJSON *item;
    table_init(&table, "SHARD>|CONNECTIONS>|MESSAGES IN MEMORY>|KERNEL FEATURES IN USE");
    cJSON_ArrayForEach(item, answer_list(answer, "shards")) {
        table_cell(&table, "%" PRIu64, answer_number(item, "shard"));
        table_cell(&table, "%" PRIu64, answer_number(item, "connections"));
        table_cell(&table, "%" PRId64, answer_signed(item, "messages_in_memory"));
        table_cell(&table, "%s", join(item, "features", features, sizeof(features)));
    }
    int error = table_print(&table, out);
    table_fini(&table);
    return error;
}

static int print_stores(FILE *out, const cJSON *answer) {
    struct table table;
    char used[UNITS_TEXT_BYTES], map[UNITS_TEXT_BYTES];
    const cJSON *item;
    table_init(&table, "STORE>|RECORDS>|USED>|OF MAP>|PERCENT>|STATE");
    cJSON_ArrayForEach(item, answer_list(answer, "stores")) {
        uint64_t used_bytes = answer_number(item, "used_bytes"), map_bytes = answer_number(item, "map_bytes");
        const char *fault = answer_text(item, "error");
        table_cell(&table, "%" PRIu64, answer_number(item, "environment"));
        table_cell(&table, "%" PRIu64, answer_number(item, "records"));
        table_cell(&table, "%s", units_bytes(used_bytes, used));
        table_cell(&table, "%s", units_bytes(map_bytes, map));
        table_cell(&table, "%.0f", map_bytes ? 100 * (double)used_bytes / (double)map_bytes : 0);
        if (answer_flag(item, "closed"))
            table_cell(&table, "closed%s%s", fault[0] ? ": " : "", fault);
        else
            table_cell(&table, "%s", answer_flag(item, "full") ? "full: new messages are refused" : "well");
    }
    int error = table_print(&table, out);
    table_fini(&table);
    return error;
}

/* --- rates ---------------------------------------------------------------------------------------------- */

struct shown_rate {
    const char *title;
    const char *counter;
};

static const struct shown_rate shown_rates[] = {
    {"messages accepted", "messages_accepted"},
    {"messages delivered", "messages_delivered"},
    {"  without the disk", "messages_memory_only"},
    {"  spilled to disk", "messages_spilled"},
    {"  drained from disk", "messages_drained"},
    {"messages refused", "messages_refused"},
    {"receipts sent", "receipts_sent"},
    {"store commits", "store_commits"},
    {"connections accepted", "connections_accepted"},
    {"logins", "logins"},
    {"bytes in", "bytes_in"},
    {"bytes out", "bytes_out"},
};

int show_status_rates(FILE *out, const struct snapshot *before, const struct snapshot *after) {
    struct table table;
    char rate[UNITS_TEXT_BYTES];
    table_init(&table, "RATE|PER SECOND>|SINCE START>");
    for (size_t i = 0; i < sizeof(shown_rates) / sizeof(shown_rates[0]); i++) {
        const char *counter = shown_rates[i].counter;
        table_cell(&table, "%s", shown_rates[i].title);
        table_cell(&table, "%s", units_rate(rates_per_second(before, after, counter), rate));
        table_cell(&table, "%" PRIu64, rates_value(after, counter));
    }
    int error = table_print(&table, out);
    table_fini(&table);
    return error;
}

int show_status(const struct show *show, const cJSON *answer, const struct snapshot *before,
                const struct snapshot *after) {
    char listens[1024];
    if (!answer_list(answer, "shards") || !answer_list(answer, "stores"))
        return -EPROTO;
    show_status_line(show->out, answer);
    fprintf(show->out, "listens on  %s\nkey         %s\n\n", join(answer, "listen", listens, sizeof(listens)),
            answer_text(answer, "key"));
    int error = print_shards(show->out, answer);
    fputc('\n', show->out);
    if (!error)
        error = print_stores(show->out, answer);
    fputc('\n', show->out);
    return error ? error : show_status_rates(show->out, before, after);
}
