/* tests/sim/store_disk.h: the store's disk: one ordered map per environment, behind storage/map.h. A commit
 * that has returned is durable; one in flight when the switch crashes is whole or gone; after a failed one
 * nobody knows until the map is opened again. Also the folder, the key file, the clocks and the threads of
 * the store.
 *
 * Threads: one.  Memory: records live until they are replaced; a crash leaves what the switch had open. */
#ifndef TERN_TESTS_SIM_STORE_DISK_H
#define TERN_TESTS_SIM_STORE_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An empty disk. */
void store_disk_reset(void);
/* The switch is gone: what it had not committed is gone with it. */
void store_disk_switch_gone(void);
/* From now on, as often as the plan says, or not at all any more. */
void store_disk_calm(void);
/* Queue entries on disk, in all environments; a text about the first of them for people. */
uint64_t store_disk_queue_entries(char *text, size_t text_bytes);
/* Most messages that one queue has: receipts have no limit but the map. */
uint64_t store_disk_queue_longest(void);
/* Fails the seed where devices encrypt for each other and a committed record has a text in it all the
 * same. */
void store_disk_search(void);
/* The environment failed, until the switch is started anew. */
bool store_disk_failed(uint32_t environment);

#endif
