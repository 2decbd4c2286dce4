/* core/gather.h: the frames of one record, on their way out. Small frames are written one behind the other
 * where the record is to be. A message stays where it was received, and so do those that lie right behind it
 * there, as what a device sends in one record does: such a run is sealed from where it is, and no payload is
 * copied. What the record has beside it is written around it, in the receive buffer, where nobody else needs
 * that any more.
 *
 * Where that can't be, a run is copied to its place: when a message lies elsewhere than behind the last one,
 * where others still hold something of the buffer, where it has no room, and where nothing is sealed.
 *
 * Threads: the shard's.  Memory: the caller's, for as long as a record takes; the run is its messages'. */
#ifndef TERN_CORE_GATHER_H
#define TERN_CORE_GATHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/msg.h"
#include "core/noise.h"

struct gather {
    uint8_t *frames; /* where the frames of the record begin */
    size_t room;
    size_t used;
    const struct buf *buf; /* of the run */
    uint8_t *run;
    size_t run_at, run_bytes; /* its place in the record */
    uint32_t run_count;       /* its messages; 0: none */
    bool has_fellows;         /* other devices need parts of a message of it that lie around its own */
    uint32_t copied;          /* messages that were copied to their place */
};

/* space: for the whole record, space_bytes of it, which are more than record_overhead_bytes. */
void gather_begin(struct gather *gather, uint8_t *space, size_t space_bytes, size_t overhead_bytes);
static inline size_t gather_room(const struct gather *gather) {
    return gather->room - gather->used;
}
/* Where the next frame is written, of gather_room bytes; gather->used grows by what it took. */
static inline uint8_t *gather_end(const struct gather *gather) {
    return gather->frames + gather->used;
}
static inline void gather_write(struct gather *gather, const uint8_t *frame, size_t frame_bytes) {
    memcpy(gather_end(gather), frame, frame_bytes);
    gather->used += frame_bytes;
}
/* A run of nothing yet, from this frame on; the one before is copied to its place. For gather_message. */
void gather_begin_run(struct gather *gather, const struct message *message, uint8_t *frame);
/* A message, or its part for one device: this frame of it, so many bytes, which fits. They must stay until
 * the record is sealed. */
static inline void gather_message(struct gather *gather, const struct message *message, uint8_t *frame,
                                  uint32_t bytes) {
    if (!gather->run_count || frame != gather->run + gather->run_bytes || message->buf != gather->buf ||
        gather->used != gather->run_at + gather->run_bytes)
        gather_begin_run(gather, message, frame);
    gather->run_count++;
    gather->has_fellows |= message->in_parts && message->holders > 1;
    gather->run_bytes += bytes;
    gather->used += bytes;
}
/* What was added since there were `used` bytes is not to be sent. Only where no message was before. */
void gather_cut(struct gather *gather, size_t used);
/* Seals the record; returns its bytes, from `space`. Its messages are counted that were copied. shard: the
 * index of the calling one. */
size_t gather_seal(struct gather *gather, struct noise_cipher_state *state, uint32_t shard);

#endif
