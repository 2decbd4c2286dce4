/* tests/sim/client_disk.h: the devices' disks, behind tools/client/disk.h. A commit that has returned is
 * durable; one in which the device crashes is whole or gone.
 *
 * Threads: one.  Memory: records live until the end of the seed. */
#ifndef TERN_TESTS_SIM_CLIENT_DISK_H
#define TERN_TESTS_SIM_CLIENT_DISK_H

#include <stdbool.h>
#include <stdint.h>

void client_disk_reset(void);
/* The device dies in its next commit. */
void client_disk_doom(uint32_t device);
/* It did: whatever it does now has no effect, until this is asked. */
bool client_disk_has_died(uint32_t device);

#endif
