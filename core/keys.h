/* core/keys.h: the key directory as sessions see it: what they ask, how often they may, and what they are
 * told.
 *
 * The directory itself is the store's (storage/keys.c); here is what of it a device's home knows: how many
 * one-time pre-keys are left, so that the device is told when they run out, and the version of its account's
 * list. A device is told by KEYS_STOCK after WELCOME and whenever something of it changes that it did not
 * bring about itself: not each change, but how it is when there is room to say so.
 *
 * Who asks for an account's keys takes one-time pre-keys away. So how often an account may ask, for any and
 * for each other account, is counted over a window, in a table of fixed size: where a set of it is full, the
 * entry that asked least makes room, so that who asks much is not forgotten for asking more.
 *
 * Threads: the shard's.  Memory: the table is the shard's. */
#ifndef TERN_CORE_KEYS_H
#define TERN_CORE_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/frame.h"

#define KEYS_ASKED_MAX 4096 /* pairs of accounts, per shard */

struct device;
struct request;
struct session;
struct shard;

struct keys_asked {
    uint64_t from, to; /* accounts; to 0: all; from 0: free */
    uint64_t since_ms; /* monotonic: its window began */
    uint32_t count;
};

/* One frame of an open session. As intake_frame. */
int keys_take(struct session *session, const struct frame *frame);
/* What the directory answered to it. False: the request went on, and comes back later. */
bool keys_answered(struct shard *shard, struct request *request);
/* REQUEST_APPLY_STOCK, at the devices' home. */
int keys_apply_stock(struct shard *shard, const struct request *request);
/* The unasked KEYS_STOCK of a session. Returns its bytes, at most FRAME_SMALL_BYTES_MAX. */
size_t keys_write_stock(struct session *session, uint8_t *out);

#endif
