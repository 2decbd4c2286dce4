#include "core/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "core/crash.h"
#include "core/gather.h"
#include "core/must.h"
#include "core/record.h"
#include "core/switch.h"

#define CONTROL_BYTES_MIN 256
#define CONFIRMS_MIN 4
#define QUIET_MS 5000 /* a session that said nothing for so long has no burst going on */

struct session *session_create(struct shard *shard, uint32_t conn, bool plaintext, bool exempt) {
    struct session *session = &shard->sessions[conn];
    must(conn < shard->session_limit && !session->state);
    session->shard = shard;
    session->opening = calloc(1, sizeof(*session->opening));
    if (!session->opening || session_begin_burst(session) < 0) {
        free(session->opening);
        *session = (struct session){0};
        return NULL;
    }
    session->conn = conn;
    session->state = SESSION_HELLO;
    session->plaintext = plaintext;
    session->exempt = exempt;
    session->started_ms = session->heard_ms = shard->now_ms;
    session->id = (shard->connection_next++ << 8) | shard->index;
    return session;
}

int session_begin_burst(struct session *session) {
    struct burst *burst = calloc(1, sizeof(*burst));
    if (!burst)
        return -ENOMEM;
    burst->session = session;
    burst->marks_left = SESSION_MARKS_MAX;
    burst->marks_ms = session->shard->now_ms;
    burst->work_turn = session->shard->turn - 1; /* its part of this one is still to come */
    session->burst = burst;
    return 0;
}

void session_count_pending(struct session *session, bool pending) {
    if (session->pending == pending)
        return;
    session->pending = pending;
    session->shard->pending_count += pending ? 1 : UINT32_MAX;
    stats_add(session->shard->stats->connections_pending, pending ? 1 : -1);
}

void session_destroy(struct session *session) {
    session_count_pending(session, false);
    pause_end(session);
    input_forget(session);
    handshake_end(session);
    noise_cipher_fini(&session->send);
    noise_cipher_fini(&session->receive);
    free(session->control);
    free(session->confirms);
    free(session->burst);
    *session = (struct session){0};
}

struct session *session_move_out(struct session *session) {
    struct session *moved = malloc(sizeof(*moved));
    if (!moved)
        return NULL;
    *moved = *session;
    explicit_bzero(session, sizeof(*session));
    return moved;
}

struct session *session_move_in(struct shard *shard, uint32_t conn, struct session *moved) {
    struct session *session = &shard->sessions[conn];
    must(conn < shard->session_limit && !session->state);
    *session = *moved;
    explicit_bzero(moved, sizeof(*moved));
    free(moved);
    session->shard = shard;
    session->conn = conn;
    session->burst->session = session;
    /* This shard's turn may have begun before that of the other one: nothing has happened after it. */
    if (session->started_ms > shard->now_ms)
        session->started_ms = shard->now_ms;
    if (session->heard_ms > shard->now_ms)
        session->heard_ms = shard->now_ms;
    return session;
}

/* --- closing -------------------------------------------------------------------------------------------- */

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
    session_count_pending(session, false);
    pause_end(session);
    input_forget(session);
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

/* --- output --------------------------------------------------------------------------------------------- */

void session_put(struct session *session, const uint8_t *frame, size_t frame_bytes) {
    if (session->state == SESSION_CLOSING)
        return;
    if (session->control_bytes + frame_bytes > session->control_capacity) {
        uint32_t capacity = session->control_capacity ? session->control_capacity : CONTROL_BYTES_MIN;
        while (capacity < session->control_bytes + frame_bytes)
            capacity *= 2;
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

static bool grow_confirms(struct session *session) {
    uint16_t capacity = session->confirm_capacity ? session->confirm_capacity * 2 : CONFIRMS_MIN;
    if (capacity > SESSION_CONFIRMS_MAX)
        return false;
    struct frame_range *confirms = realloc(session->confirms, capacity * sizeof(*confirms));
    if (!confirms)
        return false;
    session->confirms = confirms;
    session->confirm_capacity = capacity;
    return true;
}

void session_confirm(struct session *session, const struct message_id *id, uint64_t last, uint8_t flags) {
    crash_point(before_confirm);
    struct frame_range *open = session->confirm_count ? session->confirms + session->confirm_count - 1 : NULL;
    if (open && open->time_ms == flags && open->last + 1 == id->number &&
        message_id_same_key(&open->id, id)) {
        open->last = last;
        return;
    }
    bool full = !session->confirms || session->confirm_count == session->confirm_capacity;
    if (full && !grow_confirms(session))
        return; /* not confirmed: the device repeats it */
    session->confirms[session->confirm_count++] =
        (struct frame_range){.id = *id, .last = last, .time_ms = flags};
    port_output_ready(session->shard, session->conn);
}

/* At once: where many log in at a time, it would leave a hole beside each session. */
static void free_control(struct session *session) {
    free(session->control);
    session->control = NULL;
    session->control_capacity = 0;
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
    if (session->control_bytes == 0)
        free_control(session);
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
        crash_point(after_confirm);
    }
    session->confirm_count -= (uint16_t)taken;
    memmove(session->confirms, session->confirms + taken,
            session->confirm_count * sizeof(*session->confirms));
    return used;
}

static size_t take_raw(struct session *session, uint8_t *space, size_t space_bytes) {
    struct opening *opening = session->opening;
    size_t count = opening->raw_out_bytes < space_bytes ? opening->raw_out_bytes : space_bytes;
    memcpy(space, opening->raw_out, count);
    opening->raw_out_bytes -= (uint32_t)count;
    memmove(opening->raw_out, opening->raw_out + count, opening->raw_out_bytes);
    return count;
}

size_t session_output(struct session *session, uint8_t *space, size_t space_bytes, size_t *ret_needed) {
    *ret_needed = 0;
    if (session->opening && session->opening->raw_out_bytes)
        return take_raw(session, space, space_bytes);
    if (session->opening && session->state == SESSION_OPEN)
        handshake_end(session);
    if (!records_flow(session))
        return 0;
    size_t overhead_bytes = record_overhead_bytes(&session->send);
    struct gather gather;
    gather_begin(&gather, space, space_bytes, overhead_bytes);
    if (session->control_bytes) {
        gather.used += take_control(session, gather_end(&gather), gather_room(&gather));
        if (!gather.used)
            *ret_needed = FRAME_HEADER_BYTES + (size_t)bytes_get16(session->control) + overhead_bytes;
    }
    if (session->state == SESSION_OPEN && !session->control_bytes) {
        if (session->stock_due && gather_room(&gather) >= FRAME_SMALL_BYTES_MAX)
            gather.used += keys_write_stock(session, gather_end(&gather));
        if (session->confirm_count)
            gather.used += take_confirms(session, gather_end(&gather), gather_room(&gather));
        size_t needed = outbox_fill(session->shard, session->device, &gather);
        if (!gather.used && needed)
            *ret_needed = needed + overhead_bytes;
        else if (!gather.used && session->stock_due)
            *ret_needed = FRAME_SMALL_BYTES_MAX + overhead_bytes;
    }
    if (!gather.used)
        return 0;
    *ret_needed = 0;
    stats_add(session->shard->stats->records_sealed, 1);
    size_t bytes = gather_seal(&gather, &session->send, session->shard->index);
    stats_add(session->shard->stats->payload_copies, gather.copied);
    return bytes;
}

/* --- time ----------------------------------------------------------------------------------------------- */

static void put_ping(struct session *session) {
    struct shard *shard = session->shard;
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    session->pinged = true;
    session->quiet = false;
    session_put(session, out, frame_write_ping(out, FRAME_PING, shard->utc_ms));
    stats_add(shard->stats->pings, 1);
}

/* It is the switch that does not read, so the silence says nothing about the peer; and the peer, whose own
 * ping lies unread, has to hear something. One that is gone lets the kernel's time run out over what is not
 * acknowledged to it; one that takes nothing leaves it here. */
static bool is_kept_waiting(const struct session *session) {
    return session->unread && session->control_bytes == 0;
}

/* True: nothing is left of what a burst needed. */
static bool free_emptied(struct session *session) {
    if (session->confirms && !session->confirm_count) {
        free(session->confirms);
        session->confirms = NULL;
        session->confirm_capacity = 0;
    }
    if (session->burst && !session->burst->waiting && pace_is_fresh(session)) {
        free(session->burst);
        session->burst = NULL;
    }
    return !session->control && !session->confirms && !session->burst;
}

static void check_silence(struct session *session, uint64_t silent_ms) {
    const struct config *config = &session->shard->config;
    if (silent_ms >= config->ping_s * 1000 && is_kept_waiting(session)) {
        put_ping(session);
        session->heard_ms = session->shard->now_ms;
    } else if (silent_ms >= config->idle_s * 1000) {
        session_close(session, CLOSE_IDLE);
    } else if (silent_ms >= config->ping_s * 1000 && !session->pinged) {
        put_ping(session);
    } else if (silent_ms >= QUIET_MS && !session->quiet && !session->paused && free_emptied(session)) {
        session->quiet = true;
        port_input_quiet(session->shard, session->conn);
    }
}

uint64_t session_check_time(struct session *session) {
    struct shard *shard = session->shard;
    const struct config *config = &shard->config;
    if (session->state == SESSION_OPEN)
        check_silence(session, shard->now_ms - session->heard_ms);
    else if (session->state != SESSION_CLOSING && shard->now_ms - session->started_ms > config->handshake_ms)
        session_close(session, CLOSE_HANDSHAKE_TIMEOUT);
    if (!session->quiet)
        return shard->now_ms + SESSION_CHECK_MS;
    return session->heard_ms + (session->pinged ? config->idle_s : config->ping_s) * 1000;
}
