/* Received bytes: units taken whole, joined where they straddle buffers, kept where a limit says not now. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "core/hello.h"
#include "core/record.h"
#include "core/session.h"
#include "core/switch.h"

#define PARTIAL_BYTES_MIN 512

void input_forget(struct session *session) {
    struct shard *shard = session->shard;
    while (session_waits(session)) {
        struct chunk *chunk = session->burst->waiting;
        session->burst->waiting = chunk->next;
        buf_drop(shard, chunk->buf);
        free(chunk);
    }
    if (session->burst)
        session->burst->waiting_tail = NULL;
    if (session->partial)
        buf_drop(shard, session->partial);
    session->partial = NULL;
    session->partial_bytes = 0;
}

/* --- what waits ----------------------------------------------------------------------------------------- */

static void stop_reading(struct session *session) {
    if (session->unread)
        return;
    session->unread = true;
    stats_add(session->shard->stats->input_paused, 1);
    port_input_pause(session->shard, session->conn);
}

/* Who waits for a turn alone has mostly sent all that it will: reading is stopped when more comes. */
static void wait_with_input(struct session *session) {
    if (session->state == SESSION_CLOSING)
        return;
    pause_begin(session);
    if (session->paused == PAUSE_ROOM || session->paused == PAUSE_TOKENS)
        stop_reading(session);
}

/* The frames of a chunk are worked off before its raw bytes, which follow them. */
static int copy_chunk(struct shard *shard, struct chunk *chunk) {
    uint8_t *from = chunk->pos < chunk->frames_end ? chunk->pos : chunk->raw;
    struct buf *heap = buf_create(shard->index, (uint32_t)(chunk->end - from));
    if (!heap)
        return -ENOMEM;
    memcpy(heap->data, from, (size_t)(chunk->end - from));
    size_t frames_bytes = (size_t)(chunk->frames_end - chunk->pos);
    size_t skipped = (size_t)(chunk->raw - from);
    chunk->pos = heap->data;
    chunk->frames_end = heap->data + frames_bytes;
    chunk->raw = heap->data + skipped;
    chunk->end = heap->data + heap->capacity;
    buf_drop(shard, chunk->buf);
    chunk->buf = heap;
    return 0;
}

/* Lent receive buffers are few, and what waits may wait for long: it moves to the heap. Bounded: a session
 * that waits is not read. */
static void give_back_lent(struct session *session, struct chunk *chunk) {
    if (chunk->buf->kind == BUF_RING)
        (void)copy_chunk(session->shard, chunk);
}

static int append_waiting(struct session *session, const struct chunk *chunk) {
    struct chunk *kept = malloc(sizeof(*kept));
    if (!kept) {
        buf_drop(session->shard, chunk->buf);
        session_close(session, CLOSE_OVERLOAD);
        return -EPROTO;
    }
    *kept = *chunk;
    give_back_lent(session, kept);
    kept->next = NULL;
    struct burst *burst = session->burst;
    *(burst->waiting_tail ? &burst->waiting_tail->next : &burst->waiting) = kept;
    burst->waiting_tail = kept;
    return 0;
}

/* --- units ---------------------------------------------------------------------------------------------- */

static size_t record_limit_bytes(const struct session *session) {
    if (session->state < SESSION_LINKING)
        return SESSION_FIRST_RECORD_BYTES_MAX;
    size_t message_bytes = (size_t)session->shard->config.payload_bytes_max + FRAME_MESSAGE_BYTES;
    return (message_bytes > SESSION_RECORD_BYTES_MIN ? message_bytes : SESSION_RECORD_BYTES_MIN) +
           NOISE_TAG_BYTES;
}

/* Bytes of the unit that begins here, as far as its first `have` bytes tell; ret_reason where it can't go
 * on. */
static size_t unit_bytes(const struct session *session, const uint8_t *bytes, size_t have,
                         enum close_reason *ret_reason) {
    if (session->state == SESSION_HELLO) {
        if (memcmp(bytes, "TERN", have < 4 ? have : 4) != 0)
            *ret_reason = CLOSE_NOT_TERN;
        return HELLO_BYTES;
    }
    if (have < RECORD_LENGTH_BYTES)
        return RECORD_LENGTH_BYTES;
    size_t body_bytes = bytes_get16(bytes);
    if (session->state == SESSION_HANDSHAKE) {
        if (body_bytes != noise_handshake_message_bytes(&session->opening->handshake))
            *ret_reason = CLOSE_HANDSHAKE;
    } else if (body_bytes > record_limit_bytes(session)) {
        *ret_reason = CLOSE_RECORD_TOO_LARGE;
    }
    return RECORD_LENGTH_BYTES + body_bytes;
}

static bool is_calm(const struct session *session) {
    uint64_t waited_ms = session->burst->waited_ms;
    return session->exempt || !waited_ms || session->shard->now_ms - waited_ms >= WORK_CALM_MS;
}

static uint32_t work_part(const struct session *session) {
    const struct shard *shard = session->shard;
    if (session->exempt)
        return WORK_EXEMPT_MAX;
    return is_calm(session) || shard->work_others > WORK_SESSION_MAX ? WORK_SESSION_MAX : shard->work_others;
}

static bool may_work(struct session *session) {
    struct burst *burst = session->burst;
    if (burst->work_turn != session->shard->turn) {
        burst->work_turn = session->shard->turn;
        burst->work_left = work_part(session);
    }
    if (burst->work_left > 0)
        return true;
    session->waits_for = PAUSE_WORK;
    return false;
}

static void work(struct session *session, size_t bytes) {
    struct shard *shard = session->shard;
    uint32_t done = WORK_FRAME + (uint32_t)bytes;
    struct burst *burst = session->burst;
    burst->work_left -= done < burst->work_left ? done : burst->work_left;
    if (!is_calm(session))
        shard->work_others -= done < shard->work_others ? done : shard->work_others;
}

/* Frames one after the other until the limit of something says not now. */
static int take_frames(struct session *session, struct chunk *chunk) {
    while (chunk->pos < chunk->frames_end) {
        struct frame frame;
        uint8_t *pos = chunk->pos;
        size_t left = (size_t)(chunk->frames_end - chunk->pos);
        if (!may_work(session))
            return -EAGAIN;
        int error = frame_next(&pos, &left, &frame);
        if (!error)
            error = session->state == SESSION_LOGIN ? login_first_frame(session, &frame, left)
                                                    : intake_frame(session, &frame, chunk->buf);
        if (error == -EAGAIN)
            return -EAGAIN;
        if (error < 0) {
            session_close(session, CLOSE_BAD_FRAME);
            return -EPROTO;
        }
        work(session, (size_t)(pos - chunk->pos));
        chunk->pos = pos;
        if (session->state == SESSION_CLOSING || session->moving)
            return -EPROTO;
    }
    return 0;
}

/* A whole unit at `unit`. What a record holds is left in chunk->pos .. frames_end. */
static enum close_reason take_unit(struct session *session, struct chunk *chunk, uint8_t *unit,
                                   size_t bytes) {
    if (session->state == SESSION_HELLO)
        return handshake_take_hello(session, unit);
    uint8_t *body = unit + RECORD_LENGTH_BYTES;
    size_t body_bytes = bytes - RECORD_LENGTH_BYTES;
    if (session->state == SESSION_HANDSHAKE)
        return handshake_take_message(session, body, body_bytes);
    size_t frames_bytes = 0;
    if (record_open(&session->receive, body, body_bytes, &frames_bytes) < 0)
        return CLOSE_RECORD_FORGED;
    stats_add(session->shard->stats->records_opened, 1);
    if (frames_bytes == 0)
        return CLOSE_BAD_FRAME;
    chunk->pos = body;
    chunk->frames_end = body + frames_bytes;
    return CLOSE_NONE;
}

/* Joins what straddles buffers. 1: the unit is whole; 0: more has to come; negative: no memory or a bad
 * unit. */
static int join(struct session *session, struct chunk *chunk, size_t *ret_bytes,
                enum close_reason *ret_reason) {
    for (;;) {
        size_t have = session->partial_bytes;
        uint8_t *start = have ? session->partial->data : chunk->raw;
        size_t bytes =
            unit_bytes(session, start, have ? have : (size_t)(chunk->end - chunk->raw), ret_reason);
        if (*ret_reason)
            return -EPROTO;
        if (have && have >= bytes) {
            *ret_bytes = bytes;
            return 1;
        }
        if (!session->partial || session->partial->capacity < bytes) {
            size_t capacity = bytes > PARTIAL_BYTES_MIN ? bytes : PARTIAL_BYTES_MIN;
            struct buf *larger = buf_create(session->shard->index, (uint32_t)capacity);
            if (!larger) {
                *ret_reason = CLOSE_OVERLOAD;
                return -ENOMEM;
            }
            if (session->partial) {
                memcpy(larger->data, session->partial->data, have);
                buf_drop(session->shard, session->partial);
            }
            session->partial = larger;
        }
        size_t take = (size_t)(chunk->end - chunk->raw);
        if (take == 0)
            return 0;
        if (take > bytes - have)
            take = bytes - have;
        memcpy(session->partial->data + have, chunk->raw, take);
        session->partial_bytes += (uint32_t)take;
        chunk->raw += take;
    }
}

/* A joined unit has its own buffer: its frames are worked off before the chunk goes on. Where they have to
 * wait, they wait in a chunk of their own, before this one. */
static int take_joined(struct session *session, size_t bytes, enum close_reason *ret_reason,
                       struct chunk *ret_joined) {
    struct chunk joined = {.buf = session->partial};
    session->partial = NULL;
    session->partial_bytes = 0;
    enum close_reason reason = take_unit(session, &joined, joined.buf->data, bytes);
    int error = 0;
    if (reason)
        *ret_reason = reason;
    else
        error = take_frames(session, &joined);
    if (error == -EAGAIN) {
        *ret_joined = joined;
        return -EAGAIN;
    }
    buf_drop(session->shard, joined.buf);
    return reason ? -EPROTO : error;
}

/* A handshake message that is whole with what came. */
static bool may_shake_hands(struct session *session, size_t have) {
    if (session->state != SESSION_HANDSHAKE)
        return true;
    size_t bytes = RECORD_LENGTH_BYTES + noise_handshake_message_bytes(&session->opening->handshake);
    return session->partial_bytes + have < bytes || pause_may_shake_hands(session);
}

/* Works off a chunk. 0: all of it; -EAGAIN: the rest has to wait, and in ret_joined perhaps something before
 * it; -EPROTO: the session closes or moves. */
static int eat(struct session *session, struct chunk *chunk, struct chunk *ret_joined) {
    enum close_reason reason = CLOSE_NONE;
    int error = take_frames(session, chunk);
    while (!error && chunk->raw < chunk->end) {
        size_t have = (size_t)(chunk->end - chunk->raw);
        size_t bytes = session->partial_bytes ? SIZE_MAX : unit_bytes(session, chunk->raw, have, &reason);
        if (reason)
            break;
        if (!may_work(session) || !pace_bytes(session) || !may_shake_hands(session, have)) {
            error = -EAGAIN;
            break;
        }
        if (bytes <= have) {
            pace_take_bytes(session, bytes);
            work(session, bytes);
            uint8_t *unit = chunk->raw;
            chunk->raw += bytes;
            reason = take_unit(session, chunk, unit, bytes);
            if (reason)
                break;
            error = take_frames(session, chunk);
            continue;
        }
        int whole = join(session, chunk, &bytes, &reason);
        if (whole < 0)
            break;
        pace_take_bytes(session, have - (size_t)(chunk->end - chunk->raw));
        if (whole)
            error = take_joined(session, bytes, &reason, ret_joined);
        if (reason)
            break;
    }
    if (reason) {
        session_close(session, reason);
        return -EPROTO;
    }
    return error;
}

void session_input(struct session *session, struct buf *buf, uint32_t offset, uint32_t bytes) {
    struct shard *shard = session->shard;
    struct chunk chunk = {.buf = buf, .raw = buf->data + offset, .end = buf->data + offset + bytes};
    session->heard_ms = shard->now_ms;
    session->pinged = false;
    if (session->quiet) {
        session->quiet = false;
        shard->check_s[session->conn] = 0;
    }
    if (session->state == SESSION_CLOSING) {
        buf_drop(shard, buf);
        return;
    }
    if (!session->burst && session_begin_burst(session) < 0) {
        session_close(session, CLOSE_OVERLOAD);
        buf_drop(shard, buf);
        return;
    }
    if (session->burst->waiting) {
        if (append_waiting(session, &chunk) == 0)
            stop_reading(session);
        return;
    }
    struct chunk joined = {0};
    session->waits_for = PAUSE_ROOM;
    int error = eat(session, &chunk, &joined);
    if (error == -EPROTO && session->moving && append_waiting(session, &chunk) == 0)
        login_move(session);
    else if (error != -EAGAIN)
        buf_drop(shard, buf);
    else if (joined.buf && append_waiting(session, &joined) < 0)
        buf_drop(shard, buf);
    else if (append_waiting(session, &chunk) == 0)
        wait_with_input(session);
}

static int wait_before(struct session *session, const struct chunk *chunk) {
    struct chunk *kept = malloc(sizeof(*kept));
    if (!kept) {
        buf_drop(session->shard, chunk->buf);
        session_close(session, CLOSE_OVERLOAD);
        return -ENOMEM;
    }
    *kept = *chunk;
    struct burst *burst = session->burst;
    kept->next = burst->waiting;
    burst->waiting = kept;
    give_back_lent(session, kept);
    if (!burst->waiting_tail)
        burst->waiting_tail = kept;
    return 0;
}

int session_resume(struct session *session) {
    int error = 0;
    session->waits_for = PAUSE_ROOM;
    while (!error && session_waits(session)) {
        struct burst *burst = session->burst;
        struct chunk *head = burst->waiting;
        struct chunk chunk = *head;
        struct chunk joined = {0};
        burst->waiting = head->next;
        if (!burst->waiting)
            burst->waiting_tail = NULL;
        free(head);
        error = eat(session, &chunk, &joined);
        if (error != -EAGAIN && !session->moving)
            buf_drop(session->shard, chunk.buf);
        else if (wait_before(session, &chunk) < 0 && joined.buf)
            buf_drop(session->shard, joined.buf);
        else if (joined.buf)
            (void)wait_before(session, &joined);
    }
    if (session->state == SESSION_CLOSING)
        return -EPROTO;
    if (session->moving) {
        pause_end(session);
        login_move(session);
        return -EPROTO;
    }
    if (error) {
        wait_with_input(session);
        return -EAGAIN;
    }
    pause_end(session);
    if (session->unread) {
        session->unread = false;
        port_input_resume(session->shard, session->conn);
    }
    return 0;
}
