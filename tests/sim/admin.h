/* tests/sim/admin.h: the administrator of the switch: makes accounts and codes, revokes, purges, drains. One
 * request at a time each, as the admin thread of ternd does it; what a crash cuts off is asked again.
 *
 * Threads: one.  Memory: the requests'; those the switch had at a crash stay behind. */
#ifndef TERN_TESTS_SIM_ADMIN_H
#define TERN_TESTS_SIM_ADMIN_H

#include <stdbool.h>
#include <stdint.h>

void admin_reset(void);
void admin_switch_gone(void);
/* Takes answers, goes on. */
void admin_step(void);
/* Nothing is asked or wanted. */
bool admin_idle(void);

void admin_want_account(uint64_t account);
/* A device of this index gets a code for its account and links with it. */
void admin_want_device(uint32_t device);
void admin_revoke(uint32_t device);
void admin_purge(uint64_t account, uint32_t device /* index, or SIM_DEVICES_MAX: all */);
void admin_kick(uint64_t account);
void admin_suspend(uint64_t account, bool on);
void admin_drain(void);

#endif
