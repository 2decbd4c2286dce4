/* tools/client/state_channels.h: the channels with each other device, in the state, and whether they are
 * being healed: a new one is begun where something did not open.
 *
 * Threads: one.  Memory: as tools/client/e2e/channels.h; what was put together to be stored is wiped. All in
 * a transaction. */
#ifndef TERN_TOOLS_CLIENT_STATE_CHANNELS_H
#define TERN_TOOLS_CLIENT_STATE_CHANNELS_H

#include "tools/client/e2e/channels.h"
#include "tools/client/state.h"

#define CHANNELS_HEAL_S 3600u /* between two tries to heal */

/* The channels with this device, for the caller to end; none where nothing is stored. */
int state_channels_get(struct state *state, struct x3dh_address remote, struct channels *ret_channels);
int state_channels_put(struct state *state, struct x3dh_address remote, const struct channels *channels);
bool state_channels_any(struct state *state, struct x3dh_address remote);
/* The first device at or after this address that there is a channel with. -ENOENT. */
int state_channels_next(struct state *state, struct x3dh_address from, struct x3dh_address *ret_remote);
int state_channels_delete(struct state *state, struct x3dh_address remote);
int state_channels_delete_account(struct state *state, uint64_t account);

/* A new channel is wanted though there is one. False: that was tried less than CHANNELS_HEAL_S ago. */
bool state_channels_heal(struct state *state, struct x3dh_address remote, uint64_t now_s);
/* Wanted, and not begun yet. */
bool state_channels_heals(struct state *state, struct x3dh_address remote);
int state_channels_healing_begun(struct state *state, struct x3dh_address remote);
int state_channels_healed(struct state *state, struct x3dh_address remote); /* a message has opened */

#endif
