/* bench/side.h: one side of a comparison: a server under a load, and what a comparison takes of it. Two sides
 * are only ever compared when they were measured in turn, within one run.
 *
 * Threads: the main thread.  Memory: the caller's. */
#ifndef TERN_BENCH_SIDE_H
#define TERN_BENCH_SIDE_H

#include "bench/figures.h"
#include "bench/options.h"
#include "bench/pins.h"
#include "bench/server.h"

struct side {
    double messages_per_s;
    double cpu_us;               /* of the server, for each message */
    double server_cpu, load_cpu; /* per cent of a core */
    double p50_us, p99_us;       /* until the delivered tick */
    double to_disk_percent;
    double notes; /* of a switch: that crossed lanes, for each message */
};

/* A trial of this server. As trial_run; *ret_side only where it was complete. */
int side_measure(const struct server_kind *kind, const struct options *options, const struct pins *pins,
                 struct side *ret_side);
/* part: what the figures are filed under. name: of this side. */
void side_add(struct figures *figures, const char *part, const char *name, const struct side *side);
/* The first, then the other, with everything else the same: their figures, ratio_NAME of their messages a
 * second and ratio_NAME_cpu of their processor time, both above 1 where the first is the better one; and a
 * line of it on standard output. NAME is the other's kind's. */
int side_compare(const struct server_kind *own_kind, const struct server_kind *kind, const char *part,
                 const struct options *options, const struct pins *pins, struct figures *figures);

#endif
