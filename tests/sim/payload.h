/* tests/sim/payload.h: payloads that say which message they are, and show damage.
 *
 * Threads: pure.  Memory: the caller's. */
#ifndef TERN_TESTS_SIM_PAYLOAD_H
#define TERN_TESTS_SIM_PAYLOAD_H

#include <stdint.h>

#define PAYLOAD_BYTES_MIN 8
/* In every payload that is long enough to have it and the eight bytes before: what is searched for where no
 * text may be. */
#define PAYLOAD_WORD "in clear"
#define PAYLOAD_WORD_BYTES 8

void payload_write(uint8_t *payload, uint32_t message, uint32_t bytes);
/* UINT32_MAX: it is damaged. */
uint32_t payload_read(const uint8_t *payload, uint32_t bytes);

#endif
