#include "tools/ternctl/show_stats.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "tools/ternctl/answer.h"
#include "tools/ternctl/table.h"

/* --- Prometheus ----------------------------------------------------------------------------------------- */

/* In help texts of the format a backslash and a newline are escaped, nothing else. */
static void print_help(FILE *out, const char *text) {
    for (; *text; text++) {
        if (*text == '\\')
            fputs("\\\\", out);
        else if (*text == '\n')
            fputs("\\n", out);
        else
            fputc(*text, out);
    }
}

static bool is_metric_name(const char *name) {
    for (const char *at = name; *at; at++) {
        if (!isalnum((unsigned char)*at) && *at != '_')
            return false;
    }
    return name[0] != '\0';
}

/* Counters end in _total, as the format's conventions ask. */
static int print_prometheus(FILE *out, const cJSON *stats) {
    const cJSON *item;
    cJSON_ArrayForEach(item, stats) {
        const char *name = answer_text(item, "name");
        if (!is_metric_name(name))
            return -EPROTO;
        bool counter = strcmp(answer_text(item, "kind"), "counter") == 0;
        const char *suffix = counter ? "_total" : "";
        fprintf(out, "# HELP tern_%s%s ", name, suffix);
        print_help(out, answer_text(item, "help"));
        fprintf(out, "\n# TYPE tern_%s%s %s\n", name, suffix, counter ? "counter" : "gauge");
        fprintf(out, "tern_%s%s %" PRId64 "\n", name, suffix, answer_signed(item, "value"));
    }
    return 0;
}

/* --- for people ----------------------------------------------------------------------------------------- */

static int print_table(const struct show *show, const cJSON *stats) {
    struct table table;
    unsigned zeros = 0;
    const cJSON *item;
    table_init(&table, "COUNTER|VALUE>|WHAT");
    cJSON_ArrayForEach(item, stats) {
        int64_t value = answer_signed(item, "value");
        if (value == 0 && !show->all) {
            zeros++;
            continue;
        }
        table_cell(&table, "%s", answer_text(item, "name"));
        table_cell(&table, "%" PRId64, value);
        table_cell(&table, "%s", answer_text(item, "help"));
    }
    int error = table_print(&table, show->out);
    table_fini(&table);
    if (!error && zeros && show->terminal)
        fprintf(show->out, "\n%u more are zero; --all shows them\n", zeros);
    return error;
}

int show_stats(const struct show *show, const cJSON *request, const cJSON *answer) {
    (void)request;
    const cJSON *stats = answer_list(answer, "stats");
    if (!stats)
        return -EPROTO;
    return show->prometheus ? print_prometheus(show->out, stats) : print_table(show, stats);
}
