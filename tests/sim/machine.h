/* tests/sim/machine.h: the rest of the machine under the store: its folder and key file, its clocks and
 * threads, at link time in the place of storage/folder.c, server_key.c, clock.c and worker.c.
 *
 * Threads: one.  Memory: none. */
#ifndef TERN_TESTS_SIM_MACHINE_H
#define TERN_TESTS_SIM_MACHINE_H

/* A machine without a store. */
void machine_reset(void);

#endif
