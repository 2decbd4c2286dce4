/* core/record.h: records, the sealed units of the wire: u16 length, then a Noise transport message. Both ends
 * rekey a direction after every RECORD_REKEY_EVERY records of it. With NOISE_PLAIN nothing is sealed, the
 * length remains.
 *
 * Threads: the session's.  Memory: in place, the caller's. */
#ifndef TERN_CORE_RECORD_H
#define TERN_CORE_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "core/noise.h"

#define RECORD_LENGTH_BYTES 2
#define RECORD_SEALED_BYTES_MAX 65535
#define RECORD_REKEY_EVERY (UINT64_C(1) << 20)

/* What sealing adds to the frames: the length and the tag. */
size_t record_overhead_bytes(const struct noise_cipher_state *state);
/* Seals the frames at space + RECORD_LENGTH_BYTES in place; returns the bytes of the record, from space. */
size_t record_seal(struct noise_cipher_state *state, uint8_t *space, size_t frames_bytes);
/* The same of frames that lie elsewhere, and stay as they are. */
size_t record_seal_from(struct noise_cipher_state *state, uint8_t *space, const uint8_t *frames,
                        size_t frames_bytes);
/* Bytes that follow a record's length field. */
size_t record_sealed_bytes(const uint8_t length[RECORD_LENGTH_BYTES]);
/* Opens what follows the length, in place: the frames begin where sealed does. 0; -EBADMSG. */
int record_open(struct noise_cipher_state *state, uint8_t *sealed, size_t sealed_bytes,
                size_t *ret_frames_bytes);

#endif
