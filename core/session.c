#include "core/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "core/must.h"
#include "core/record.h"
#include "core/switch.h"

#define PARTIAL_BYTES_MIN 512

struct session *session_create(struct shard *shard, uint32_t conn, const char *address, bool plaintext) {
    struct session *session = calloc(1, sizeof(*session));
    if (!session)
        return NULL;
    session->shard = shard;
    session->conn = conn;
    session->state = SESSION_HELLO;
    session->plaintext = plaintext;
    session->started_ms = session->heard_ms = shard->now_ms;
    session->connected_utc_ms = shard->utc_ms;
    session->id = (shard->connection_next++ << 8) | shard->index;
    strncpy(session->address, address, sizeof(session->address) - 1);
    return session;
}

static void forget_input(struct session *session) {
    struct shard *shard = session->shard;
    while (session->waiting) {
        struct chunk *chunk = session->waiting;
        session->waiting = chunk->next;
        buf_drop(shard, chunk->buf);
        free(chunk);
    }
    session->waiting_tail = NULL;
    if (session->partial)
        buf_drop(shard, session->partial);
    session->partial = NULL;
    session->partial_bytes = 0;
}

static void unpause(struct session *session) {
    if (!session->paused)
        return;
    session->paused = false;
    *(session->paused_prev ? &session->paused_prev->paused_next : &session->shard->paused_head) =
        session->paused_next;
    if (session->paused_next)
        session->paused_next->paused_prev = session->paused_prev;
}

static void pause_input(struct session *session) {
    struct shard *shard = session->shard;
    if (session->paused)
        return;
    session->paused = true;
    session->paused_prev = NULL;
    session->paused_next = shard->paused_head;
    if (shard->paused_head)
        shard->paused_head->paused_prev = session;
    shard->paused_head = session;
    stats_add(shard->stats->input_paused, 1);
    port_input_pause(shard, session->conn);
}

static void end_handshake(struct session *session) {
    if (!session->handshake)
        return;
    noise_handshake_fini(session->handshake);
    free(session->handshake);
    session->handshake = NULL;
}

void session_destroy(struct session *session) {
    unpause(session);
    forget_input(session);
    end_handshake(session);
    noise_cipher_fini(&session->send);
    noise_cipher_fini(&session->receive);
    free(session->control);
    free(session->confirms);
    free(session);
}

/* --- closing ------------------------------------------------------------------------------------------------------------ */

static bool records_flow(const struct session *session) {
    return session->keyed;
}

/* The device is free for its next session; `replaced`: that session takes over at once. */
static void release_device(struct session *session, bool replaced) {
    struct device *device = session->device;
    if (!device || device->session != session)
        return;
    device->session = NULL;
    session->device = NULL;
    outbox_detach(session->shard, device, replaced);
}

static void shut(struct session *session) {
    if (session->shut)
        return;
    session->shut = true;
    port_output_ready(session->shard, session->conn);
    port_close(session->shard, session->conn);
}

void session_close(struct session *session, enum close_reason reason) {
    if (session->state == SESSION_CLOSING)
        return;
    session->close_reason = (uint8_t)reason;
    stats_add(session->shard->stats->closed[reason], 1);
    if (records_flow(session) && reason != CLOSE_PEER && reason != CLOSE_PEER_RESET) {
        struct frame_close body = {.reason = (uint16_t)reason};
        uint8_t out[FRAME_SMALL_BYTES_MAX];
        session_put(session, out, frame_write_close(out, FRAME_CLOSE, &body));
    }
    session->state = SESSION_CLOSING;
    unpause(session);
    forget_input(session);
    release_device(session, reason == CLOSE_REPLACED);
    shut(session);
}

void session_send_away(struct session *session, uint32_t after_ms) {
    if (session->state == SESSION_OPEN) {
        struct frame_close body = {.after_ms = after_ms, .reason = CLOSE_DRAINING};
        uint8_t out[FRAME_SMALL_BYTES_MAX];
        session_put(session, out, frame_write_close(out, FRAME_RECONNECT, &body));
    }
    session_close(session, CLOSE_DRAINING);
}

/* --- hello and handshake ---------------------------------------------------------------------------------------------- */

static void put_raw(struct session *session, const uint8_t *bytes, size_t count) {
    must(session->raw_out_bytes + count <= sizeof(session->raw_out));
    memcpy(session->raw_out + session->raw_out_bytes, bytes, count);
    session->raw_out_bytes += (uint32_t)count;
    port_output_ready(session->shard, session->conn);
}

static const enum close_reason hello_reasons[] = {
    [HELLO_BAD_VERSION] = CLOSE_VERSION,        [HELLO_BAD_CIPHER] = CLOSE_CIPHER,
    [HELLO_BAD_PATTERN] = CLOSE_CIPHER,         [HELLO_PLAINTEXT_REFUSED] = CLOSE_CIPHER,
    [HELLO_OVERLOAD] = CLOSE_OVERLOAD,          [HELLO_ADDRESS_LIMIT] = CLOSE_ADDRESS_LIMIT,
    [HELLO_BAD_RESERVED] = CLOSE_BAD_FRAME,
};

static enum close_reason start_handshake(struct session *session, const struct hello_server *answer) {
    if (answer->pattern == HELLO_PLAINTEXT) {
        noise_cipher_init(&session->send, NOISE_PLAIN, NULL);
        noise_cipher_init(&session->receive, NOISE_PLAIN, NULL);
        session->keyed = true;
        session->state = SESSION_LOGIN;
        return CLOSE_NONE;
    }
    session->handshake = calloc(1, sizeof(*session->handshake));
    if (!session->handshake)
        return CLOSE_OVERLOAD;
    uint8_t ephemeral[NOISE_KEY_BYTES];
    port_entropy(ephemeral, sizeof(ephemeral));
    struct noise_setup setup = {
        .pattern = (enum noise_pattern)answer->pattern,
        .cipher = (enum noise_cipher)answer->cipher,
        .prologue = session->prologue,
        .prologue_bytes = sizeof(session->prologue),
        .static_secret = session->shard->secret,
        .ephemeral_secret = ephemeral,
    };
    int error = noise_handshake_init(session->handshake, &setup);
    explicit_bzero(ephemeral, sizeof(ephemeral));
    session->state = SESSION_HANDSHAKE;
    return error ? CLOSE_CIPHER : CLOSE_NONE;
}

static enum close_reason take_hello(struct session *session, const uint8_t *bytes) {
    bool reserved_clear = false;
    if (hello_read_client(bytes, &session->hello, &reserved_clear) < 0)
        return CLOSE_NOT_TERN;
    struct hello_server answer =
        hello_choose(&session->hello, reserved_clear, session->plaintext, noise_has_aes());
    memcpy(session->prologue, bytes, HELLO_BYTES);
    hello_write_server(session->prologue + HELLO_BYTES, &answer);
    put_raw(session, session->prologue + HELLO_BYTES, HELLO_BYTES);
    if (answer.status != HELLO_OK)
        return hello_reasons[answer.status];
    return start_handshake(session, &answer);
}

static enum close_reason take_handshake(struct session *session, const uint8_t *message, size_t message_bytes) {
    struct noise_handshake *handshake = session->handshake;
    uint8_t payload[NOISE_KEY_BYTES * 4];
    size_t payload_bytes = 0;
    if (noise_handshake_read(handshake, message, message_bytes, payload, &payload_bytes) < 0 || payload_bytes)
        return CLOSE_HANDSHAKE;
    if (noise_handshake_writes(handshake)) {
        uint8_t out[2 + NOISE_KEY_BYTES * 4];
        size_t out_bytes = 0;
        if (noise_handshake_write(handshake, NULL, 0, out + 2, &out_bytes) < 0)
            return CLOSE_HANDSHAKE;
        bytes_put16(out, (uint16_t)out_bytes);
        put_raw(session, out, out_bytes + 2);
    }
    if (!noise_handshake_complete(handshake))
        return CLOSE_NONE;
    memcpy(session->peer_key, handshake->remote_static, KEY_BYTES);
    noise_handshake_split(handshake, &session->send, &session->receive);
    end_handshake(session);
    session->keyed = true;
    session->state = SESSION_LOGIN;
    stats_add(session->shard->stats->handshakes, 1);
    return CLOSE_NONE;
}

/* --- input -------------------------------------------------------------------------------------------------------------- */

static size_t record_limit_bytes(const struct session *session) {
    if (session->state < SESSION_LINKING)
        return SESSION_FIRST_RECORD_BYTES_MAX;
    size_t message_bytes = (size_t)session->shard->config.payload_bytes_max + FRAME_MESSAGE_BYTES;
    return (message_bytes > SESSION_RECORD_BYTES_MIN ? message_bytes : SESSION_RECORD_BYTES_MIN) + NOISE_TAG_BYTES;
}

/* Bytes of the unit that begins here, as far as its first `have` bytes tell; ret_reason where it can't go on. */
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
        if (body_bytes != noise_handshake_message_bytes(session->handshake))
            *ret_reason = CLOSE_HANDSHAKE;
    } else if (body_bytes > record_limit_bytes(session)) {
        *ret_reason = CLOSE_RECORD_TOO_LARGE;
    }
    return RECORD_LENGTH_BYTES + body_bytes;
}

/* Frames one after the other until the limit of something says not now. */
static int take_frames(struct session *session, struct chunk *chunk) {
    while (chunk->pos < chunk->frames_end) {
        struct frame frame;
        uint8_t *pos = chunk->pos;
        size_t left = (size_t)(chunk->frames_end - chunk->pos);
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
        chunk->pos = pos;
        if (session->state == SESSION_CLOSING || session->moving)
            return -EPROTO;
    }
    return 0;
}

/* A whole unit at `unit`. What a record holds is left in chunk->pos .. frames_end. */
static enum close_reason take_unit(struct session *session, struct chunk *chunk, uint8_t *unit, size_t bytes) {
    if (session->state == SESSION_HELLO)
        return take_hello(session, unit);
    uint8_t *body = unit + RECORD_LENGTH_BYTES;
    size_t body_bytes = bytes - RECORD_LENGTH_BYTES;
    if (session->state == SESSION_HANDSHAKE)
        return take_handshake(session, body, body_bytes);
    size_t frames_bytes = 0;
    if (record_open(&session->receive, body, body_bytes, &frames_bytes) < 0)
        return CLOSE_RECORD_FORGED;
    stats_add(session->shard->stats->records_opened, 1);
    if (session->state == SESSION_LOGIN && frames_bytes == 0)
        return CLOSE_BAD_FRAME;
    chunk->pos = body;
    chunk->frames_end = body + frames_bytes;
    return CLOSE_NONE;
}

/* Joins what straddles buffers. 1: the unit is whole; 0: more has to come; negative: no memory or a bad unit. */
static int join(struct session *session, struct chunk *chunk, size_t *ret_bytes, enum close_reason *ret_reason) {
    for (;;) {
        size_t have = session->partial_bytes;
        uint8_t *start = have ? session->partial->data : chunk->raw;
        size_t bytes = unit_bytes(session, start, have ? have : (size_t)(chunk->end - chunk->raw), ret_reason);
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

static int append_waiting(struct session *session, const struct chunk *chunk) {
    struct chunk *kept = malloc(sizeof(*kept));
    if (!kept) {
        buf_drop(session->shard, chunk->buf);
        session_close(session, CLOSE_OVERLOAD);
        return -EPROTO;
    }
    *kept = *chunk;
    kept->next = NULL;
    if (session->waiting_tail)
        session->waiting_tail->next = kept;
    else
        session->waiting = kept;
    session->waiting_tail = kept;
    return 0;
}

/* A joined unit has its own buffer: its frames are worked off before the chunk goes on. Where they have to wait, they
 * wait in a chunk of their own, before this one. */
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

/* Works off a chunk. 0: all of it; -EAGAIN: the rest has to wait, and in ret_joined perhaps something before it;
 * -EPROTO: the session closes or moves. */
static int eat(struct session *session, struct chunk *chunk, struct chunk *ret_joined) {
    enum close_reason reason = CLOSE_NONE;
    int error = take_frames(session, chunk);
    while (!error && chunk->raw < chunk->end) {
        size_t have = (size_t)(chunk->end - chunk->raw);
        size_t bytes = session->partial_bytes ? SIZE_MAX : unit_bytes(session, chunk->raw, have, &reason);
        if (reason)
            break;
        if (bytes <= have) {
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
    if (session->state == SESSION_CLOSING) {
        buf_drop(shard, buf);
        return;
    }
    if (session->waiting) {
        append_waiting(session, &chunk);
        return;
    }
    struct chunk joined = {0};
    int error = eat(session, &chunk, &joined);
    if (error != -EAGAIN) {
        if (error == -EPROTO && session->moving)
            login_move(session, &chunk);
        buf_drop(shard, buf);
        return;
    }
    if (joined.buf && append_waiting(session, &joined) < 0) {
        buf_drop(shard, buf);
        return;
    }
    if (append_waiting(session, &chunk) == 0)
        pause_input(session);
}

static int wait_before(struct session *session, const struct chunk *chunk) {
    struct chunk *kept = malloc(sizeof(*kept));
    if (!kept) {
        buf_drop(session->shard, chunk->buf);
        session_close(session, CLOSE_OVERLOAD);
        return -ENOMEM;
    }
    *kept = *chunk;
    kept->next = session->waiting;
    session->waiting = kept;
    if (!session->waiting_tail)
        session->waiting_tail = kept;
    return 0;
}

void session_resume(struct session *session) {
    int error = 0;
    while (!error && session->waiting) {
        struct chunk *head = session->waiting;
        struct chunk chunk = *head;
        struct chunk joined = {0};
        session->waiting = head->next;
        if (!session->waiting)
            session->waiting_tail = NULL;
        free(head);
        error = eat(session, &chunk, &joined);
        if (error != -EAGAIN)
            buf_drop(session->shard, chunk.buf);
        else if (wait_before(session, &chunk) < 0 && joined.buf)
            buf_drop(session->shard, joined.buf);
        else if (joined.buf)
            (void)wait_before(session, &joined);
    }
    if (!error && session->paused) {
        unpause(session);
        port_input_resume(session->shard, session->conn);
    }
}

/* --- output ------------------------------------------------------------------------------------------------------------- */

void session_put(struct session *session, const uint8_t *frame, size_t frame_bytes) {
    if (session->state == SESSION_CLOSING)
        return;
    if (session->control_bytes + frame_bytes > session->control_capacity) {
        uint32_t capacity = session->control_capacity ? session->control_capacity * 2 : 256;
        uint8_t *control = realloc(session->control, capacity);
        if (!control) {
            session->state = SESSION_CLOSING;
            session->close_reason = CLOSE_OVERLOAD;
            stats_add(session->shard->stats->closed[CLOSE_OVERLOAD], 1);
            release_device(session, false);
            shut(session);
            return;
        }
        session->control = control;
        session->control_capacity = capacity;
    }
    memcpy(session->control + session->control_bytes, frame, frame_bytes);
    session->control_bytes += (uint32_t)frame_bytes;
    port_output_ready(session->shard, session->conn);
}

void session_confirm(struct session *session, const struct message_id *id, uint64_t last, uint8_t flags) {
    struct frame_range *open = session->confirm_count ? &session->confirms[session->confirm_count - 1] : NULL;
    if (open && open->time_ms == flags && open->last + 1 == id->number && message_id_same_key(&open->id, id)) {
        open->last = last;
        return;
    }
    if (!session->confirms)
        session->confirms = malloc(SESSION_CONFIRMS_MAX * sizeof(*session->confirms));
    if (!session->confirms || session->confirm_count == SESSION_CONFIRMS_MAX)
        return; /* not confirmed: the device repeats it */
    session->confirms[session->confirm_count++] = (struct frame_range){.id = *id, .last = last, .time_ms = flags};
    port_output_ready(session->shard, session->conn);
}

/* Whole control frames, as many as fit. */
static size_t take_control(struct session *session, uint8_t *space, size_t space_bytes) {
    size_t used = 0;
    while (used < session->control_bytes) {
        size_t bytes = FRAME_HEADER_BYTES + (size_t)bytes_get16(session->control + used);
        if (used + bytes > space_bytes)
            break;
        used += bytes;
    }
    memcpy(space, session->control, used);
    session->control_bytes -= (uint32_t)used;
    memmove(session->control, session->control + used, session->control_bytes);
    return used;
}

static size_t take_confirms(struct session *session, uint8_t *space, size_t space_bytes) {
    size_t used = 0;
    uint32_t taken = 0;
    while (taken < session->confirm_count && used + FRAME_RECEIPT_BYTES <= space_bytes) {
        struct frame_range range = session->confirms[taken++];
        uint8_t flags = (uint8_t)range.time_ms;
        range.time_ms = 0;
        used += frame_write_range(space + used, FRAME_CONFIRM, flags, &range);
    }
    session->confirm_count -= taken;
    memmove(session->confirms, session->confirms + taken, session->confirm_count * sizeof(*session->confirms));
    return used;
}

static size_t take_raw(struct session *session, uint8_t *space, size_t space_bytes) {
    size_t count = session->raw_out_bytes < space_bytes ? session->raw_out_bytes : space_bytes;
    memcpy(space, session->raw_out, count);
    session->raw_out_bytes -= (uint32_t)count;
    memmove(session->raw_out, session->raw_out + count, session->raw_out_bytes);
    return count;
}

size_t session_output(struct session *session, uint8_t *space, size_t space_bytes, size_t *ret_needed) {
    *ret_needed = 0;
    if (session->raw_out_bytes)
        return take_raw(session, space, space_bytes);
    if (!records_flow(session))
        return 0;
    size_t overhead_bytes = record_overhead_bytes(&session->send);
    size_t room = space_bytes > overhead_bytes ? space_bytes - overhead_bytes : 0;
    if (room > FRAME_BYTES_MAX)
        room = FRAME_BYTES_MAX;
    uint8_t *frames = space + RECORD_LENGTH_BYTES;
    size_t used = 0;
    if (session->control_bytes) {
        used += take_control(session, frames, room);
        if (!used)
            *ret_needed = FRAME_SMALL_BYTES_MAX + overhead_bytes;
    }
    if (session->state == SESSION_OPEN && !session->control_bytes) {
        if (session->confirm_count)
            used += take_confirms(session, frames + used, room - used);
        size_t needed = 0;
        used += outbox_fill(session->shard, session->device, frames + used, room - used, &needed);
        if (!used && needed)
            *ret_needed = needed + overhead_bytes;
    }
    if (!used)
        return 0;
    *ret_needed = 0;
    stats_add(session->shard->stats->records_sealed, 1);
    return record_seal(&session->send, space, used);
}

/* --- time --------------------------------------------------------------------------------------------------------------- */

void session_check_time(struct session *session) {
    struct shard *shard = session->shard;
    uint64_t silent_ms = shard->now_ms - session->heard_ms;
    if (session->state == SESSION_CLOSING)
        return;
    if (session->state != SESSION_OPEN) {
        if (shard->now_ms - session->started_ms > shard->config.handshake_ms)
            session_close(session, CLOSE_HANDSHAKE_TIMEOUT);
        return;
    }
    if (silent_ms >= shard->config.idle_s * 1000) {
        session_close(session, CLOSE_IDLE);
    } else if (silent_ms >= shard->config.ping_s * 1000 && !session->pinged) {
        uint8_t out[FRAME_SMALL_BYTES_MAX];
        session->pinged = true;
        session_put(session, out, frame_write_ping(out, FRAME_PING, shard->utc_ms));
        stats_add(shard->stats->pings, 1);
    }
}
