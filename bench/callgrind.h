/* bench/callgrind.h: what callgrind counted: instructions in user space, which do not depend on what else the
 * machine does.
 *
 * Threads: any.  Memory: none. */
#ifndef TERN_BENCH_CALLGRIND_H
#define TERN_BENCH_CALLGRIND_H

/* The instructions of a whole run, from what valgrind said at its end into this file. Negative: it did not
 * say so. */
double callgrind_total(const char *log_path);

#endif
