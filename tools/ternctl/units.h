/* tools/ternctl/units.h: times, spans, sizes and rates as people read them.
 *
 * Threads: pure, but for the time zone, which localtime_r reads.  Memory: the caller's. */
#ifndef TERN_TOOLS_TERNCTL_UNITS_H
#define TERN_TOOLS_TERNCTL_UNITS_H

#include <stddef.h>
#include <stdint.h>

#define UNITS_TEXT_BYTES 64

/* All write into UNITS_TEXT_BYTES and return it. */
/* "2026-05-01 13:05:09", local time; "-" for 0. */
char *units_time(uint64_t utc_ms, char *text);
/* "3 min ago", "just now", "in 2 h"; "-" for 0. */
char *units_ago(uint64_t utc_ms, uint64_t now_ms, char *text);
/* "12 s", "3 min", "2 h 5 min", "4 d 3 h" */
char *units_span(uint64_t ms, char *text);
/* "812 B", "4.0 KiB", "16 GiB" */
char *units_bytes(uint64_t bytes, char *text);
/* "0", "0.25", "7.3", "812", "12.5 k", "3.1 M" */
char *units_rate(double per_second, char *text);

#endif
