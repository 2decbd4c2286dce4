/* tests/sim/network.h: connections between devices and the switch: two pipes each, with delays, cuts at any
 * byte, ends that stand still or vanish. The switch's end is io's side of core/port.h.
 *
 * Threads: one.  Memory: the pipes', freed when a connection is over. */
#ifndef TERN_TESTS_SIM_NETWORK_H
#define TERN_TESTS_SIM_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NETWORK_LINKS_MAX 64
#define NETWORK_NONE UINT32_MAX

enum network_end {
    NETWORK_OPEN,
    NETWORK_CLOSED, /* in good order: what is in the pipe still arrives */
    NETWORK_RESET,  /* some of what is in the pipe is lost */
};

void network_reset(void);

/* --- the devices' side ---------------------------------------------------------------------------------- */

/* A connection to some shard; NETWORK_NONE: nobody listens, or there are too many. */
uint32_t network_connect(uint32_t device);
/* Room for bytes on the way up. */
size_t network_room(uint32_t link);
void network_write(uint32_t link, const uint8_t *bytes, size_t count);
/* Bytes that have come down by now, at most `most`; network_take takes them off. */
size_t network_peek(uint32_t link, size_t most, const uint8_t **ret_bytes);
void network_take(uint32_t link, size_t count);
/* The switch is gone from the other end, and everything it sent was taken. */
bool network_over(uint32_t link);
/* The device lets go. NETWORK_OPEN: without a word, the switch is not told. */
void network_hang_up(uint32_t link, enum network_end how);

/* --- the switch's side ---------------------------------------------------------------------------------- */

/* Connections that wait, bytes that came, ends: something to do for this shard. */
bool network_wants(uint32_t shard);
/* Within a turn of the shard: accepts, receives; then sends and closes. */
void network_input(uint32_t shard);
void network_output(uint32_t shard);
/* The switch is gone, with all its ends. */
void network_switch_gone(void);
/* Receive buffers that a shard has lent out. */
uint32_t network_lent(uint32_t shard);

/* --- the nemesis ---------------------------------------------------------------------------------------- */

/* Nothing gets through any more, and neither end is told. */
void network_vanish(uint32_t link);
void network_stall(uint32_t link, uint64_t until_ms);
void network_calm(void); /* nothing stands still any more */

#endif
