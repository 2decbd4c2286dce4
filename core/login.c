/* The first record of a session: which device it is, where its home is, and the welcome there. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/must.h"
#include "core/session.h"
#include "core/switch.h"

#define LOGINS_WINDOW_MS 10000 /* account_logins_max is counted over this long */

int login_first_frame(struct session *session, const struct frame *frame, size_t bytes_after) {
    struct shard *shard = session->shard;
    if ((frame->type != FRAME_LINK && frame->type != FRAME_LOGIN) || bytes_after)
        return -EPROTO;
    if (frame_read_link(frame, &session->opening->link) < 0 || session->opening->link.epoch == 0)
        return -EPROTO;
    session->opening->is_link = frame->type == FRAME_LINK;
    session->account = session->opening->link.account;
    session->epoch = session->opening->link.epoch;
    if (session->plaintext) { /* no key says who it is: see docs/PROTOCOL.md, plaintext mode */
        memcpy(session->opening->peer_key, session->opening->link.code, FRAME_CODE_BYTES);
        memcpy(session->opening->peer_key + FRAME_CODE_BYTES, session->opening->link.code, FRAME_CODE_BYTES);
    }
    if (switch_home(shard, session->account) != shard->index)
        session->moving = true;
    else
        login_at_home(session);
    return 0;
}

/* --- moving home ---------------------------------------------------------------------------------------- */

/* What is left, raw bytes behind the first record, goes along in memory that is the target's: receive buffers
 * stay with their ring. */
static int take_along(struct session *session, uint32_t target) {
    size_t bytes = 0;
    for (const struct chunk *rest = session->burst->waiting; rest; rest = rest->next)
        bytes += (size_t)(rest->end - rest->raw);
    if (bytes == 0) {
        input_forget(session);
        return 0;
    }
    struct chunk *chunk = calloc(1, sizeof(*chunk));
    struct buf *buf = buf_create(target, (uint32_t)bytes);
    if (!chunk || !buf) {
        free(chunk);
        free(buf);
        return -ENOMEM;
    }
    *chunk = (struct chunk){.buf = buf, .raw = buf->data, .end = buf->data + bytes};
    bytes = 0;
    for (const struct chunk *rest = session->burst->waiting; rest; rest = rest->next) {
        memcpy(buf->data + bytes, rest->raw, (size_t)(rest->end - rest->raw));
        bytes += (size_t)(rest->end - rest->raw);
    }
    input_forget(session);
    session->burst->waiting = session->burst->waiting_tail = chunk;
    return 0;
}

void login_move(struct session *session) {
    struct shard *shard = session->shard;
    uint32_t target = switch_home(shard, session->account);
    must(!session->partial && !session->paused);
    uint32_t conn = session->conn;
    session_count_pending(session, false);
    struct session_move *move = calloc(1, sizeof(*move));
    struct session *moved = move && take_along(session, target) == 0 ? session_move_out(session) : NULL;
    if (!moved) {
        free(move);
        session->moving = false;
        session_close(session, CLOSE_MOVE_FAILED);
        return;
    }
    moved->unread = false;
    *move = (struct session_move){.session = moved, .from = (uint16_t)shard->index, .to = (uint16_t)target};
    shard->session_count--;
    stats_add(shard->stats->connections, -1);
    port_move(shard, conn, target, move);
}

/* --- at home -------------------------------------------------------------------------------------------- */

static bool may_log_in(struct shard *shard, struct account *account) {
    if (shard->now_ms - account->logins_ms >= LOGINS_WINDOW_MS) {
        account->logins_ms = shard->now_ms;
        account->logins = 0;
    }
    return account->logins++ < shard->config.account_logins_max;
}

static void welcome(struct session *session, struct device *device) {
    struct shard *shard = session->shard;
    struct session *old = device->session;
    if (!may_log_in(shard, device->account)) {
        session_close(session, CLOSE_LOGIN_RATE);
        return;
    }
    if (old) {
        stats_add(shard->stats->sessions_replaced, 1);
        session_close(old, CLOSE_REPLACED);
    }
    device->session = session;
    device_begins_epoch(device, session->epoch);
    device->last_seen_ms = shard->utc_ms;
    session->device = device;
    session->device_number = device->number;
    session->state = SESSION_OPEN;
    session_count_pending(session, false);
    stats_add(shard->stats->logins, 1);
    struct frame_welcome body = {
        .account = device->account->number,
        .server_ms = shard->utc_ms,
        .payload_bytes_max = (uint32_t)shard->config.payload_bytes_max,
        .unticked_max = (uint32_t)shard->config.unticked_max,
        .ping_s = (uint32_t)shard->config.ping_s,
        .device = device->number,
        .name_bytes = (uint8_t)strlen(device->account->name),
        .name = device->account->name,
    };
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    session_put(session, out, frame_write_welcome(out, &body));
    session->stock_due = true;
    outbox_attach(shard, device);
}

static void ask_link(struct session *session) {
    struct shard *shard = session->shard;
    struct request *request = calloc(1, sizeof(*request));
    if (!request) {
        session_close(session, CLOSE_OVERLOAD);
        return;
    }
    request->kind = REQUEST_LINK;
    request->from = (uint16_t)shard->index;
    request->account = session->account;
    request->last = session->conn;
    request->context_id = session->id;
    memcpy(request->key, session->opening->peer_key, KEY_BYTES);
    memcpy(request->code, session->opening->link.code, FRAME_CODE_BYTES);
    session->state = SESSION_LINKING;
    struct note note = {.kind = NOTE_REQUEST, .request = request};
    switch_post(shard, port_directory_party(shard), &note);
}

void login_at_home(struct session *session) {
    struct shard *shard = session->shard;
    session->moving = false;
    port_settle(shard, session->conn);
    if (shard->draining) {
        session_close(session, CLOSE_DRAINING);
        return;
    }
    if (session->opening->is_link) {
        ask_link(session);
        return;
    }
    struct account *account = account_find(&shard->accounts, session->account);
    struct device *device = account ? account_device(account, session->opening->link.device) : NULL;
    bool same =
        device && (session->plaintext || memcmp(device->key, session->opening->peer_key, KEY_BYTES) == 0);
    if (!same || (account->flags & ACCOUNT_REMOVED))
        session_close(session, CLOSE_UNKNOWN_DEVICE);
    else if (device->flags & DEVICE_REVOKED)
        session_close(session, CLOSE_REVOKED);
    else if (account->flags & ACCOUNT_SUSPENDED)
        session_close(session, CLOSE_SUSPENDED);
    else
        welcome(session, device);
}

static enum close_reason link_reason(int status) {
    switch (status) {
    case -EKEYREJECTED:
        return CLOSE_BAD_CODE;
    case -ENOENT:
        return CLOSE_UNKNOWN_DEVICE;
    case -EPERM:
        return CLOSE_SUSPENDED;
    case -ENOSPC:
        return CLOSE_DEVICE_LIMIT;
    default:
        return CLOSE_STORE_FAILED;
    }
}

/* The device is recorded even where its session is gone by now: it links again with the same code and gets
 * the same. */
void session_linked(struct session *session, struct request *request) {
    struct shard *shard = session->shard;
    if (request->status < 0) {
        session_close(session, link_reason(request->status));
        return;
    }
    struct account *account = account_find(&shard->accounts, request->account);
    struct device *device = account ? account_device(account, request->device_number) : NULL;
    if (!device)
        session_close(session, CLOSE_UNKNOWN_DEVICE);
    else if (device->flags & DEVICE_REVOKED)
        session_close(session, CLOSE_REVOKED);
    else if (account->flags & ACCOUNT_SUSPENDED)
        session_close(session, CLOSE_SUSPENDED);
    else
        welcome(session, device);
    (void)session_resume(session);
}
