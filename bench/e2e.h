/* bench/e2e.h: `ternbench e2e`: what end-to-end encryption costs two clients, without switch and disk:
 * messages and beginnings of channels a second, on one core.
 *
 * Threads: the main thread.  Memory: none stays. */
#ifndef TERN_BENCH_E2E_H
#define TERN_BENCH_E2E_H

/* arguments[0] is the name for messages. Returns the exit status. */
int e2e_run(int count, char **arguments);

#endif
