/* tests/sim/client.h: a device: the real client library on a simulated disk and a simulated connection, and
 * the person who uses it. What people do and see goes to the oracle.
 *
 * Threads: one.  Memory: the library's. */
#ifndef TERN_TESTS_SIM_CLIENT_H
#define TERN_TESTS_SIM_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

void client_reset(void);
/* A new device of an account; it waits for its code. */
void client_make(uint32_t device, uint64_t account);
void client_give_code(uint32_t device, const uint8_t code[16]);

bool client_exists(uint32_t device);
bool client_linked(uint32_t device);
bool client_reachable(uint32_t device); /* and messages to its account reach it */
bool client_online(uint32_t device);    /* the switch has welcomed it on the present connection */
bool client_revoked(uint32_t device);   /* the switch said so */
uint64_t client_account(uint32_t device);
uint16_t client_number(uint32_t device);
uint32_t client_link(uint32_t device); /* of network.h, or NETWORK_NONE */
/* The device with this number of an account; SIM_DEVICES_MAX: none. */
uint32_t client_find(uint64_t account, uint16_t number);
/* The oracle's message that this device sent to an account under this number; SIM_MESSAGES_MAX: none. */
uint32_t client_message(uint32_t device, uint64_t to, uint64_t number);

void client_connect(uint32_t device);
void client_hang_up(uint32_t device, unsigned how); /* enum network_end */
/* All that was in its memory is gone: now, or within its next commit. */
void client_crash(uint32_t device, bool at_commit);
/* Takes what came, commits, sends. */
void client_step(uint32_t device);

/* What people do; false: not now. */
bool client_send(uint32_t device, uint64_t to, uint32_t ttl_s, uint32_t payload_bytes);
bool client_read(uint32_t device); /* one of the last messages it was shown */
bool client_block(uint32_t device, uint64_t account, bool on);
/* Nothing waits to be sent, acknowledged, confirmed, answered or committed. */
bool client_idle(uint32_t device);
/* Prints how it stands. */
void client_dump(uint32_t device);

#endif
