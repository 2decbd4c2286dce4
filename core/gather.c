#include "core/gather.h"

#include <string.h>

#include "core/frame.h"
#include "core/mutant.h"
#include "core/record.h"

void gather_begin(struct gather *gather, uint8_t *space, size_t space_bytes, size_t overhead_bytes) {
    size_t room = space_bytes > overhead_bytes ? space_bytes - overhead_bytes : 0;
    *gather = (struct gather){
        .frames = space + RECORD_LENGTH_BYTES,
        .room = room < FRAME_BYTES_MAX ? room : FRAME_BYTES_MAX,
    };
}

static void copy_run(struct gather *gather) {
    if (gather->run_count == 0)
        return;
    memcpy(gather->frames + gather->run_at, gather->run, gather->run_bytes);
    gather->copied += gather->run_count;
    gather->run_count = 0;
}

void gather_begin_run(struct gather *gather, const struct message *message, uint8_t *frame) {
    copy_run(gather);
    gather->buf = message->buf;
    gather->run = frame;
    gather->run_at = gather->used;
    gather->run_bytes = 0;
    gather->has_fellows = false;
}

void gather_cut(struct gather *gather, size_t used) {
    gather->used = used;
    gather->run_count = 0;
    gather->copied = 0;
}

/* References are counted by the buffer's own shard alone. Where they are those of the run, whatever else is
 * in the buffer was worked off, but for what the run's messages have for others. */
static bool surround_run(const struct gather *gather, uint32_t shard) {
    const struct buf *buf = gather->buf;
    const uint8_t *run_end = gather->run + gather->run_bytes;
    size_t run_to = gather->run_at + gather->run_bytes;
    size_t before = gather->run_at, behind = gather->used - run_to;
    if (before + behind == 0)
        return true;
    bool is_ours = (buf->owner == shard && buf->refs == gather->run_count && !gather->has_fellows) ||
                   MUTANT(neighbours_written);
    if (!is_ours || before > (size_t)(gather->run - buf->data) + buf->headroom_bytes ||
        behind > (size_t)(buf->data + buf->capacity - run_end))
        return false;
    memcpy(gather->run - before, gather->frames, before);
    memcpy(gather->run + gather->run_bytes, gather->frames + run_to, behind);
    return true;
}

size_t gather_seal(struct gather *gather, struct noise_cipher_state *state, uint32_t shard) {
    uint8_t *space = gather->frames - RECORD_LENGTH_BYTES;
    const uint8_t *frames = gather->frames;
    if (gather->run_count && !gather->copied && state->cipher != NOISE_PLAIN && surround_run(gather, shard))
        frames = gather->run - gather->run_at;
    else
        copy_run(gather);
    return record_seal_from(state, space, frames, gather->used);
}
