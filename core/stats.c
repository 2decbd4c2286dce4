#include "core/stats.h"

#include <stddef.h>
#include <stdio.h>

#include "core/must.h"

struct named_row {
    const char *name;
    const char *kind;
    const char *help;
    size_t offset;
};

#define X(name, kind, help) {#name, #kind, help, offsetof(struct stats, name)},
static const struct named_row named_rows[] = {STATS(X)};
#undef X

/* Reason 0 of both tables means "none" and is no row. */
struct stats_row stats_row(uint32_t index) {
    must(index < STATS_ROWS);
    struct stats_row row = {.kind = "counter"};
    if (index < STATS_NAMED) {
        snprintf(row.name, sizeof(row.name), "%s", named_rows[index].name);
        row.kind = named_rows[index].kind;
        row.help = named_rows[index].help;
        return row;
    }
    uint32_t reason = index - STATS_NAMED + 1;
    if (reason < CLOSE_REASON_COUNT) {
        snprintf(row.name, sizeof(row.name), "closed_%s", close_reason_name(reason));
        row.help = close_reason_help(reason);
        return row;
    }
    uint32_t refusal = reason - CLOSE_REASON_COUNT + 1;
    snprintf(row.name, sizeof(row.name), "refused_%s", refusal_name(refusal));
    row.help = refusal_help(refusal);
    return row;
}

uint64_t stats_read(const struct stats *stats, uint32_t index) {
    must(index < STATS_ROWS);
    if (index < STATS_NAMED)
        return stats_get(*(const _Atomic uint64_t *)((const char *)stats + named_rows[index].offset));
    uint32_t reason = index - STATS_NAMED + 1;
    if (reason < CLOSE_REASON_COUNT)
        return stats_get(stats->closed[reason]);
    return stats_get(stats->refused[reason - CLOSE_REASON_COUNT + 1]);
}
