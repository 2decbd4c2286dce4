/* tests/sim/oracle.h: the judge. It sees what people see: what they sent, what was shown to them, the ticks
 * they were shown; and it knows what the administrator did. From that alone it says whether the promises were
 * kept.
 *
 * Threads: one.  Memory: none. */
#ifndef TERN_TESTS_SIM_ORACLE_H
#define TERN_TESTS_SIM_ORACLE_H

#include <stdbool.h>
#include <stdint.h>

void oracle_reset(void);

/* --- what happens --------------------------------------------------------------------------------------- */

/* A message is about to be sent: its number in the oracle's book; SIM_MESSAGES_MAX: the book is full. */
uint32_t oracle_sent(uint32_t device, uint64_t to, uint32_t ttl_s);
/* It was not kept: the device died before. */
void oracle_unsent(uint32_t message);
/* It was, under this number. */
void oracle_placed(uint32_t message, uint64_t number);
void oracle_place(uint32_t message, uint64_t *ret_to, uint64_t *ret_number);
/* A device has a message, but can't show it yet. */
void oracle_has(uint32_t device, uint32_t message);
void oracle_shown(uint32_t device, uint32_t message);
void oracle_read(uint32_t device, uint32_t message);
/* The sending device shows these ticks, all there are by now. */
void oracle_ticks(uint32_t device, uint32_t message, uint8_t flags);
/* The switch told any device of the sender these. */
void oracle_told(uint32_t device, uint32_t message, uint8_t flags);
/* Who sent it; false: there is no such message, or it was not kept. */
bool oracle_sender(uint32_t message, uint32_t *ret_device);
/* At the end another device of the sender's account shows these. */
void oracle_copied(uint32_t device, uint32_t message, uint8_t flags);
/* May a message of this device, which was lost to a purge or to its time, come to it behind later ones, when
 * it is sent again? */
bool oracle_may_come_late(uint32_t device, uint32_t from);
/* This device does not open what that one sent: it never knew it, and may not know it any more, since it was
 * cut off. True: so it may be, and is no loss. */
bool oracle_may_not_know(uint32_t device, uint32_t from);
/* The switch refused it for good. */
void oracle_refused(uint32_t device, uint32_t message, unsigned reason);

void oracle_linked(uint32_t device, uint64_t account);
/* From now on a message to its account, or from it, has to reach it. */
void oracle_reachable(uint32_t device);
void oracle_revoking(uint32_t device);
void oracle_revoked(uint32_t device);
bool oracle_may_be_revoked(uint32_t device);
void oracle_purging(uint64_t account, uint32_t device); /* SIM_DEVICES_MAX: all of the account */
void oracle_purged(uint64_t account, uint32_t device);
void oracle_blocking(uint64_t account);
void oracle_suspending(uint64_t account);

/* --- what it says --------------------------------------------------------------------------------------- */

/* Every message has found its end, as far as people can see. */
bool oracle_content(void);
/* The world is quiet: says by sim_fail what should have happened and has not. */
void oracle_judge(void);

#endif
