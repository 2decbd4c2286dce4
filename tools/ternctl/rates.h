/* tools/ternctl/rates.h: what happened per second between two answers of stats.
 *
 * Threads: the main thread.  Memory: a snapshot owns its answer until rates_fini. */
#ifndef TERN_TOOLS_TERNCTL_RATES_H
#define TERN_TOOLS_TERNCTL_RATES_H

#include <cjson/cJSON.h>
#include <stdint.h>

#include "tools/ternctl/caller.h"

struct snapshot {
    cJSON *answer;  /* of stats, ok */
    uint64_t at_us; /* monotonic */
};

/* Asks for the counters. 0 or negative errno with caller->error set. */
int rates_take(struct caller *caller, uint32_t timeout_ms, struct snapshot *ret_snapshot);
void rates_fini(struct snapshot *snapshot);

/* A counter's value, 0 where the switch has no such counter. */
uint64_t rates_value(const struct snapshot *snapshot, const char *name);
/* How fast a counter rose. Where it fell, the switch was started anew in between: then it began at 0. */
double rates_per_second(const struct snapshot *before, const struct snapshot *after, const char *name);
/* The sum over all counters whose name begins so. */
double rates_per_second_all(const struct snapshot *before, const struct snapshot *after, const char *prefix);

#endif
