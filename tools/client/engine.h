/* tools/client/engine.h: the rules of a device's session, docs/PROTOCOL.md section 3, without a socket: what
 * came in goes into the state, what the state has to say goes out.
 *
 * One turn: bytes of the socket through engine_input, as many as are there; then engine_turn, which commits
 * what they changed (one fsync for all of it), only then acknowledges it, and gathers what is to be sent;
 * then engine_output to the socket. Time and randomness are handed in, the disk is behind disk.h: a simulator
 * can drive all of it.
 *
 * Threads: one.
 * Memory: the peer's buffers, which grow to a few hundred KiB, and a flow for each account that anything is
 * out to. */
#ifndef TERN_TOOLS_CLIENT_ENGINE_H
#define TERN_TOOLS_CLIENT_ENGINE_H

#include "core/hello.h"
#include "tools/client/state.h"

#define ENGINE_TURN_BYTES_MAX (1u << 20) /* of input, before a turn ends */

struct engine;

int engine_create(struct state *state, struct engine **ret_engine);
void engine_destroy(struct engine *engine);

/* Called in the transaction of a turn in which messages arrived, before it is committed: what it puts into
 * the state is kept together with them, and they are acknowledged only after it. A negative errno ends the
 * turn, nothing is kept. */
typedef int engine_before_commit(void *context, struct state *state);
void engine_set_before_commit(struct engine *engine, engine_before_commit *call, void *context);

/* A connection is there: a session begins. ephemeral: 32 fresh random bytes, not used in plaintext mode.
 * now_ms: monotonic, as in all calls; utc_ms: what time it is then, since 1970. -ENOENT: the device was never
 * linked. */
int engine_connected(struct engine *engine, enum hello_pattern pattern, const uint8_t *ephemeral,
                     uint64_t now_ms, uint64_t utc_ms);
/* The connection is over; what was not committed is forgotten. */
void engine_disconnected(struct engine *engine);

/* Bytes of the socket. Negative: the session is over, see peer_input; or the disk failed
 * (engine_disk_error). */
int engine_input(struct engine *engine, const uint8_t *bytes, size_t count, uint64_t now_ms);
/* -ETIMEDOUT: the switch is silent; or the disk failed (engine_disk_error). */
int engine_turn(struct engine *engine, uint64_t now_ms);
/* When engine_turn wants to be called at the latest, monotonic; UINT64_MAX: when there is something to do. */
uint64_t engine_due_ms(const struct engine *engine);
size_t engine_output(struct engine *engine, const uint8_t **ret_bytes);
void engine_sent(struct engine *engine, size_t count);

bool engine_is_open(const struct engine *engine); /* the switch has welcomed this device */
/* 0, or the error of the state that ended the session: going on would lose or double messages. */
int engine_disk_error(const struct engine *engine);
/* Why the session ended or the hello was refused: enum close_reason, 0 unknown; a sentence, NULL where
 * nothing is known; and how long to stay away, where the switch said so. Until engine_connected. */
unsigned engine_close_reason(const struct engine *engine);
const char *engine_refusal(const struct engine *engine);
uint32_t engine_come_back_ms(const struct engine *engine);

#endif
