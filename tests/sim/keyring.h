/* tests/sim/keyring.h: devices that encrypt: their keys, and the lists that the first device of an account
 * signs, as people do it with `tern device add` and `remove`. In seeds whose devices do not, nothing of it.
 *
 * Threads: one.  Memory: none. */
#ifndef TERN_TESTS_SIM_KEYRING_H
#define TERN_TESTS_SIM_KEYRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct client;

void keyring_reset(void);
/* Keys for a device that gets its code; in the transaction that keeps its identity. */
void keyring_make(struct client *client);
/* The device with the account key, without which nobody would be let in any more. */
bool keyring_is_first(uint32_t device);
/* What the person at a first device does: lets those in who were linked, takes off the list who was cut
 * off. */
void keyring_step(struct client *client);
/* Others can encrypt for this device: it knows that the switch has its keys. */
bool keyring_is_done(struct client *client);
/* Every device that is linked is on its account's list, and has published. */
bool keyring_is_settled(void);
/* Messages that wait in the state for a list are there, too: tells the oracle. In a transaction. */
void keyring_show_waiting(struct client *client);
/* P7: these bytes of the switch or on a wire are nobody's text. */
void keyring_check(const char *where, const uint8_t *bytes, size_t count);

#endif
