/* tests/sim/tap.h: reads along what comes down to a device in a plaintext session, to know which ticks it was
 * told of what its sibling devices sent: the client library does not keep these, yet P3 promises them.
 *
 * Threads: one.  Memory: a record per device. */
#ifndef TERN_TESTS_SIM_TAP_H
#define TERN_TESTS_SIM_TAP_H

#include <stddef.h>
#include <stdint.h>

void tap_reset(void);
/* A new connection of the device. */
void tap_begin(uint32_t device);
void tap_read(uint32_t device, const uint8_t *bytes, size_t count);

#endif
