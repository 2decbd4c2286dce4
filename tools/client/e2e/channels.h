/* tools/client/e2e/channels.h: the channels with one device, as the Sesame algorithm has them
 * (https://signal.org/docs/specifications/sesame/, revision 2, section 3): one is active and seals; the
 * others wait for messages that still come to them. Two devices that begin with each other at the same time
 * end up in one channel: a message that opens makes its channel the active one.
 *
 * Threads: one.
 * Memory: a list owns its channels, on the heap, CHANNELS_MAX at most: the one unused for longest is wiped
 * for a new one. */
#ifndef TERN_TOOLS_CLIENT_E2E_CHANNELS_H
#define TERN_TOOLS_CLIENT_E2E_CHANNELS_H

#include "tools/client/e2e/channel.h"

#define CHANNELS_MAX 4u
#define CHANNELS_STATE_BYTES_MAX (4 + CHANNELS_MAX * (4 + CHANNEL_STATE_BYTES_MAX))

struct channels {
    uint32_t count;
    struct channel *list[CHANNELS_MAX]; /* the active one first, then by last use */
};

void channels_init(struct channels *channels);
void channels_fini(struct channels *channels);

/* The channel that seals; NULL: there is none, begin one. */
struct channel *channels_active(const struct channels *channels);
/* Takes a channel as the active one, by copy; the caller's stays the caller's. 0 or -ENOMEM. */
int channels_add(struct channels *channels, const struct channel *channel);
/* Opens a message in whichever channel it belongs to. 0: that channel is the active one now; -ENOENT: an
 * initial message of a channel that is not here: accept it and add that; -EALREADY, -ERANGE, -EBADMSG: as
 * channel_open. */
int channels_open(struct channels *channels, const struct channel_message *message,
                  const struct channel_label *label, const uint8_t fresh[PRIMITIVE_KEY_BYTES], uint8_t *text,
                  size_t *ret_text_bytes);

/* For the client's store: one record for each other device. read: 0; -EUCLEAN; -EPROTO; -ENOMEM. */
size_t channels_state_bytes(const struct channels *channels);
size_t channels_write(const struct channels *channels, uint8_t *ret_bytes);
int channels_read(struct channels *ret_channels, const uint8_t *bytes, size_t count);

#endif
