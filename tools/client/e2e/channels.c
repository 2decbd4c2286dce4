#include "tools/client/e2e/channels.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"

void channels_init(struct channels *channels) {
    memset(channels, 0, sizeof(*channels));
}

static void drop_last(struct channels *channels) {
    struct channel *channel = channels->list[--channels->count];
    channel_fini(channel);
    free(channel);
}

void channels_fini(struct channels *channels) {
    while (channels->count)
        drop_last(channels);
}

struct channel *channels_active(const struct channels *channels) {
    return channels->count ? channels->list[0] : NULL;
}

/* The one at `index` becomes the first, those before it move down. */
static void activate(struct channels *channels, uint32_t index) {
    struct channel *channel = channels->list[index];
    memmove(&channels->list[1], &channels->list[0], index * sizeof(channels->list[0]));
    channels->list[0] = channel;
}

int channels_add(struct channels *channels, const struct channel *channel) {
    struct channel *copy = malloc(sizeof(*copy));
    if (!copy)
        return -ENOMEM;
    *copy = *channel;
    if (channels->count == CHANNELS_MAX)
        drop_last(channels);
    channels->list[channels->count] = copy;
    activate(channels, channels->count++);
    return 0;
}

/* An initial message names its channel. An ordinary one does not, and is tried in each: what a channel that
 * it is not of says is of no interest where another says more than that it does not authenticate. */
int channels_open(struct channels *channels, const struct channel_message *message,
                  const struct channel_label *label, const uint8_t fresh[PRIMITIVE_KEY_BYTES], uint8_t *text,
                  size_t *ret_text_bytes) {
    bool is_initial = message->kind == CHANNEL_INITIAL;
    int said = is_initial ? -ENOENT : -EBADMSG;
    for (uint32_t i = 0; i < channels->count; i++) {
        struct channel *channel = channels->list[i];
        if (is_initial && !channel_began_with(channel, &message->header))
            continue;
        int error = channel_open(channel, message, label, fresh, text, ret_text_bytes);
        if (error == 0 || error == -ENOMSG) {
            activate(channels, i);
            return error;
        }
        if (is_initial || error != -EBADMSG)
            said = error;
    }
    return said;
}

/* --- the stored state ----------------------------------------------------------------------------------- */

#define STORED_VERSION 1

size_t channels_state_bytes(const struct channels *channels) {
    size_t bytes = 4;
    for (uint32_t i = 0; i < channels->count; i++)
        bytes += 4 + channel_state_bytes(channels->list[i]);
    return bytes;
}

size_t channels_write(const struct channels *channels, uint8_t *ret_bytes) {
    uint8_t *at = ret_bytes;
    bytes_put16(at, STORED_VERSION);
    bytes_put16(at + 2, (uint16_t)channels->count);
    at += 4;
    for (uint32_t i = 0; i < channels->count; i++) {
        size_t bytes = channel_write(channels->list[i], at + 4);
        bytes_put32(at, (uint32_t)bytes);
        at += 4 + bytes;
    }
    return (size_t)(at - ret_bytes);
}

static int read_one(struct channels *channels, const uint8_t *bytes, size_t count) {
    struct channel *channel = malloc(sizeof(*channel));
    if (!channel)
        return -ENOMEM;
    int error = channel_read(channel, bytes, count);
    if (error) {
        free(channel);
        return error;
    }
    channels->list[channels->count++] = channel;
    return 0;
}

int channels_read(struct channels *ret_channels, const uint8_t *bytes, size_t count) {
    struct channels channels;
    if (count >= 2 && bytes_get16(bytes) > STORED_VERSION)
        return -EPROTO;
    if (count < 4 || bytes_get16(bytes) != STORED_VERSION || bytes_get16(bytes + 2) > CHANNELS_MAX)
        return -EUCLEAN;
    uint32_t wanted = bytes_get16(bytes + 2);
    channels_init(&channels);
    bytes += 4;
    count -= 4;
    int error = 0;
    for (uint32_t i = 0; i < wanted && !error; i++) {
        size_t one = count >= 4 ? bytes_get32(bytes) : 0;
        if (count < 4 || count - 4 < one) {
            error = -EUCLEAN;
            break;
        }
        error = read_one(&channels, bytes + 4, one);
        bytes += 4 + one;
        count -= 4 + one;
    }
    if (!error && count != 0)
        error = -EUCLEAN;
    if (error)
        channels_fini(&channels);
    else
        *ret_channels = channels;
    return error;
}
