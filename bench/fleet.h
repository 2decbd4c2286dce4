/* bench/fleet.h: `ternbench idle`, `offline`, `reconnect` and `receipts`: many devices, and what they cost a
 * switch other than by talking.
 *
 * Threads: the main thread; the load runs in the workers'.  Memory: none stays. */
#ifndef TERN_BENCH_FLEET_H
#define TERN_BENCH_FLEET_H

/* arguments[0] is the name for messages. Each returns the exit status. */
int idle_run(int count, char **arguments);
int offline_run(int count, char **arguments);
int reconnect_run(int count, char **arguments);
int receipts_run(int count, char **arguments);

#endif
