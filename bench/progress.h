/* bench/progress.h: one line on the terminal that says how far things are; nothing where standard error is
 * none.
 *
 * Threads: the main thread.  Memory: none. */
#ifndef TERN_BENCH_PROGRESS_H
#define TERN_BENCH_PROGRESS_H

#include <stdbool.h>

/* Shows the line at most every 250 ms, `now` at once. */
__attribute__((format(printf, 2, 3))) void progress_show(bool now, const char *format, ...);
/* Takes the line away, before something else is printed. */
void progress_clear(void);

#endif
