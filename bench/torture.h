/* bench/torture.h: `ternbench torture`: a throwaway switch and devices with ledgers; both are killed again
 * and again, then what was sent is compared with what arrived.
 *
 * Threads: the main thread; every device is a process. */
#ifndef TERN_BENCH_TORTURE_H
#define TERN_BENCH_TORTURE_H

/* arguments[0] is the name for messages. Returns the exit status, enum bench_exit. */
int torture_run(int count, char **arguments);

#endif
