/* core/parts.h: the parts of a message that names its targets: for each device its own payload, since each
 * has to be encrypted for itself.
 *
 * The payload of such a message is its parts, one behind the other, each of them a whole message frame. What
 * the sender writes into a part is its target and its payload; the rest is filled in, in place, where the
 * target is at home, and the part goes to its device as it lies there. The parts for the addressed account
 * come first, then those for the sender's own other devices: so what two shards fill in, hold and copy out
 * are two runs of bytes that do not touch. In each run device numbers rise.
 *
 * Named have to be exactly the devices that are not cut off and have published keys; without keys nobody can
 * encrypt for a device.
 *
 * Threads: the shard that holds the message.  Memory: views into its frame. */
#ifndef TERN_CORE_PARTS_H
#define TERN_CORE_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/frame.h"
#include "core/msg.h"

#define PARTS_MAX (DEVICES_MAX + DEVICES_MAX - 1)

struct account;
struct session;
struct shard;

/* Of a frame from a device, with body->id filled in and a target count. Returns the offset in the frame from
 * which on the parts are for the sender's other devices, the frame's end where there are none; or -EPROTO:
 * they are not as many as it says, malformed, not in order, for another account or for the sending device. */
int parts_check(const struct frame *frame, const struct frame_message *body);
/* At the sender's home, of a frame that was checked: are all others of the sender's devices named, and no
 * more? False: it is refused, which its sender is told. */
bool parts_own_match(struct session *session, const struct frame *frame, const struct message_id *id,
                     uint32_t own_at);
/* At the home of the addressed account: has this devices to be named? */
bool parts_has_targets(const struct account *account, const struct message *message);
/* And there: to the devices that are named, or refused as above. */
void parts_arrived(struct shard *shard, struct account *account, struct message *message);
/* Fills the message's parts in from the accepted frame, and gives each to its device, which is there. */
void parts_spread(struct shard *shard, struct account *account, struct message *message,
                  const uint8_t *accepted_frame);

#endif
