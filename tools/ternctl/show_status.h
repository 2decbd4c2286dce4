/* tools/ternctl/show_status.h: whether the switch is well, on one page: shards, store, connections, rates.
 *
 * Threads: the main thread.  Memory: the caller's. */
#ifndef TERN_TOOLS_TERNCTL_SHOW_STATUS_H
#define TERN_TOOLS_TERNCTL_SHOW_STATUS_H

#include "tools/ternctl/rates.h"
#include "tools/ternctl/show.h"

/* The answer of status, and what two snapshots say of the rates. 0, -EPROTO or -ENOMEM. */
int show_status(const struct show *show, const cJSON *answer, const struct snapshot *before,
                const struct snapshot *after);
/* Its first line alone: version, pid, time up, connections, and what is wrong. */
void show_status_line(FILE *out, const cJSON *answer);
/* Its rates: the counters that tell what a switch does, per second and since its start. */
int show_status_rates(FILE *out, const struct snapshot *before, const struct snapshot *after);

#endif
