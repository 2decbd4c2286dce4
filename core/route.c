#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/must.h"
#include "core/mutant.h"
#include "core/parts.h"
#include "core/switch.h"

#define MESSAGE_WEIGHT_BYTES 4096
#define RETRY_MS 1000       /* what a sender is told to wait where the reason may pass */
#define RETRY_ORDER_MS 250  /* an earlier message is awaited */
#define RETRY_TARGETS_MS 50 /* it is to be encrypted for others: what for, is told */

/* What a message counts against messages_max: large ones for more than one. */
static uint32_t message_weight(uint32_t frame_bytes) {
    return 1 + frame_bytes / MESSAGE_WEIGHT_BYTES;
}

/* --- a message's life on a shard ------------------------------------------------------------------------ */

/* Of bytes in buf: those of a frame, or its parts for an account. */
static struct message *message_create(struct session *session, struct buf *buf, uint8_t *bytes,
                                      uint32_t count, const struct message_id *id) {
    struct shard *shard = session->shard;
    struct message *message = shard->message_free;
    if (message)
        shard->message_free = message->next;
    else
        message = malloc(sizeof(*message));
    if (!message)
        return NULL;
    *message = (struct message){
        .buf = buf,
        .frame = bytes,
        .frame_bytes = count,
        .owner = (uint16_t)shard->index,
        .conn = session->conn,
        .session = session->id,
        .id = *id,
    };
    buf->refs++;
    session->unticked_bytes += count;
    shard->messages_out += message_weight(count);
    stats_add(shard->stats->messages_in_memory, 1);
    return message;
}

void message_home(struct shard *shard, struct message *message) {
    must(message->owner == shard->index);
    struct session *session = session_at(shard, message->conn);
    if (session && session->id == message->session)
        session->unticked_bytes -= message->frame_bytes;
    buf_drop(shard, message->buf);
    message->next = shard->message_free;
    shard->message_free = message;
    shard->messages_out -= message_weight(message->frame_bytes);
    stats_add(shard->stats->messages_in_memory, -1);
}

/* Of those that a message waits for one less. */
static inline bool is_last(uint16_t *count) {
    must(*count > 0);
    return --*count == 0;
}

static void message_end(struct shard *shard, struct message *message) {
    must(message->pending == 0);
    if (message->owner == shard->index) {
        message_home(shard, message);
        return;
    }
    struct note note = {.kind = NOTE_MESSAGE_HOME, .message = message};
    switch_post(shard, message->owner, &note);
}

/* Every target is discharged: the ticks go out. Delivered never comes before sent, so both start here. Of a
 * refused message, who has it gets its acknowledgement settled, for its sender may not send it again: another
 * copy of it may have its tick. account: the one it is addressed to, where the caller has it at hand. */
static void message_finish(struct shard *shard, struct message *message, const struct account *account) {
    if (message->own_copy) {
        gate_open(shard, &message->id, message->attempt, message->refused);
        return;
    }
    if (!message->refused && !message->acked && !message->stored) { /* every target was revoked */
        receipt_emit(shard, &message->id, message->id.number, RECEIPT_SENT | RECEIPT_FAILED, 0);
        return;
    }
    if (!message->refused && !message->stored)
        stats_add(shard->stats->messages_memory_only, 1);
    if (!account)
        account = account_find(&shard->accounts, message->id.to);
    uint8_t sent = message->refused ? 0 : RECEIPT_SENT;
    for (uint32_t left = message->acked; left; left &= left - 1) {
        int slot = __builtin_ctz(left);
        if (!account || slot >= account->slots_used || !account->devices[slot])
            continue;
        receipt_emit(shard, &message->id, message->id.number, sent | RECEIPT_DELIVERED,
                     account->devices[slot]->number);
        sent = 0;
    }
    if (sent)
        receipt_emit(shard, &message->id, message->id.number, sent, 0);
}

void message_discharge(struct shard *shard, struct message *message, const struct device *device,
                       enum discharge how) {
    if (MUTANT(tick_before_commit) && message->pending == 0)
        return;
    if (how == DISCHARGE_ACKED)
        message->acked |= UINT32_C(1) << device->slot;
    else if (how == DISCHARGE_STORED)
        message->stored = true;
    if (is_last(&message->pending))
        message_finish(shard, message, how == DISCHARGE_ACKED ? device->account : NULL);
}

void message_let_go(struct shard *shard, struct message *message) {
    if (is_last(&message->holders))
        message_end(shard, message);
}

/* --- refusals ------------------------------------------------------------------------------------------- */

static uint32_t refusal_retry_ms(enum refusal refusal) {
    switch (refusal) {
    case REFUSAL_STORE_FULL:
    case REFUSAL_STORE_FAILED:
    case REFUSAL_QUEUE_FULL:
    case REFUSAL_QUEUE_BYTES:
    case REFUSAL_LIMIT:
    case REFUSAL_UNTICKED:
    case REFUSAL_DRAINING:
        return RETRY_MS;
    case REFUSAL_OUT_OF_ORDER:
        return RETRY_ORDER_MS;
    case REFUSAL_TARGETS:
        return RETRY_TARGETS_MS;
    default:
        return 0;
    }
}

/* Must higher numbers wait until this one, or a first one, comes again? Also after a refusal that is final
 * but may end: the word of it may be lost with the session, and the message would come again behind later
 * ones, where its receivers take it for a duplicate. The rest will be refused again. */
static bool refusal_holds_back(enum refusal refusal) {
    switch (refusal) {
    case REFUSAL_OUT_OF_ORDER:
    case REFUSAL_TOO_LARGE:
    case REFUSAL_NO_ACCOUNT:
        return false;
    default:
        return true;
    }
}

static void post_refusal(struct shard *shard, struct note *note) {
    if (refusal_holds_back((enum refusal)note->status))
        refused_note(shard, &note->range.id);
    switch_post(shard, switch_home(shard, note->range.id.from), note);
}

static void refuse(struct shard *shard, const struct message_id *id, enum refusal refusal, uint32_t wait_ms) {
    uint32_t retry_ms = refusal_retry_ms(refusal);
    struct note note = {
        .kind = NOTE_REFUSED,
        .status = (int32_t)refusal,
        .range = {.id = *id,
                  .last = id->number,
                  .retry_ms = retry_ms && wait_ms > retry_ms ? wait_ms : retry_ms},
    };
    post_refusal(shard, &note);
}

void route_refuse_targets(struct shard *shard, const struct message_id *id,
                          const struct frame_targets *targets) {
    struct note note = {
        .kind = NOTE_REFUSED,
        .status = REFUSAL_TARGETS,
        .range = {.id = *id,
                  .retry_ms = refusal_retry_ms(REFUSAL_TARGETS),
                  .missing = (uint8_t)targets->missing,
                  .gone = (uint8_t)targets->gone,
                  .own = targets->account == id->from},
    };
    memcpy(note.range.devices, targets->devices, sizeof(note.range.devices));
    post_refusal(shard, &note);
}

void message_refuse(struct shard *shard, struct message *message, enum refusal refusal, uint32_t wait_ms) {
    if (message->refused)
        return;
    message->refused = true;
    refuse(shard, &message->id, refusal, wait_ms);
}

static struct session *sending_session(struct shard *shard, const struct message_id *id) {
    const struct account *account = account_find(&shard->accounts, id->from);
    const struct device *device = account ? account_device(account, id->from_device) : NULL;
    struct session *session = device ? device->session : NULL;
    return session && session->epoch == id->epoch ? session : NULL;
}

void route_tell_refused(struct shard *shard, const struct message_id *id, enum refusal refusal,
                        uint32_t retry_ms) {
    struct session *session = sending_session(shard, id);
    if (!session)
        return;
    struct frame_refused refused = {
        .to = id->to, .number = id->number, .retry_ms = retry_ms, .reason = (uint16_t)refusal};
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    session_put(session, out, frame_write_refused(out, &refused));
}

void route_ask_again(struct shard *shard, const struct message_id *id) {
    route_tell_refused(shard, id, REFUSAL_LIMIT, RETRY_MS);
}

static bool has_own_copies(const struct account *account, const struct message_id *id) {
    return account->device_count > 1 && id->to != account->number;
}

/* Of what is refused before it is accepted, there are no copies. */
static bool copies_are_out(const struct account *account, const struct note *note) {
    return has_own_copies(account, &note->range.id) && note->status != REFUSAL_TOO_LARGE;
}

/* How they differ; the refusal follows. */
static void tell_targets(struct shard *shard, const struct note *note) {
    struct session *session = sending_session(shard, &note->range.id);
    if (!session)
        return;
    struct frame_targets targets = {.account = note->range.own ? note->range.id.from : note->range.id.to,
                                    .missing = note->range.missing,
                                    .gone = note->range.gone};
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    memcpy(targets.devices, note->range.devices, sizeof(targets.devices));
    session_put(session, out, frame_write_targets(out, &targets));
}

/* At the sender's home. */
void route_refused(struct shard *shard, const struct note *note) {
    const struct message_id *id = &note->range.id;
    stats_add(shard->stats->messages_refused, 1);
    stats_add(shard->stats->refused[note->status], 1);
    if (refusal_holds_back((enum refusal)note->status))
        refused_note(shard, id);
    struct session *session = sending_session(shard, id);
    if (session && session->unticked)
        session->unticked--;
    if (note->status == REFUSAL_TARGETS)
        tell_targets(shard, note);
    struct account *account = account_find(&shard->accounts, id->from);
    if (account && note->range.retry_ms == 0 && copies_are_out(account, note))
        receipt_refuse(shard, account, note);
    else
        route_tell_refused(shard, id, (enum refusal)note->status, note->range.retry_ms);
}

/* --- to the devices of an account ----------------------------------------------------------------------- */

/* To all, but for the one with this number (0: none). */
static inline void spread(struct shard *shard, struct account *account, struct message *message,
                          uint16_t except) {
    for (uint32_t i = 0; i < account->slots_used; i++) {
        struct device *device = account->devices[i];
        if (!device || (device->flags & DEVICE_REVOKED) || device->number == except)
            continue;
        message->pending++;
        message->holders++;
        outbox_push_message(shard, device, message, 0);
    }
}

/* --- the sender's home ---------------------------------------------------------------------------------- */

/* Copies for the sender's other devices; receipts wait at the gate until they are safe. False: one was
 * refused at once, so the message has to come again anyway. */
static bool spread_own_copies(struct shard *shard, struct account *account, struct message *copy,
                              const struct frame *frame) {
    copy->pending = 1;
    copy->holders = 1;
    if (copy->in_parts)
        parts_spread(shard, account, copy, frame->bytes);
    else
        spread(shard, account, copy, copy->id.from_device);
    bool taken = !copy->refused;
    message_discharge(shard, copy, NULL, DISCHARGE_GONE);
    message_let_go(shard, copy);
    return taken;
}

/* Each message brings receipts, for every device of its account. Where one of them has as many waiting as it
 * may, no more come. */
static bool has_receipts_enough(const struct shard *shard, const struct account *account) {
    for (uint32_t i = 0; i < account->slots_used; i++) {
        const struct device *device = account->devices[i];
        if (device && !(device->flags & DEVICE_REVOKED) && !outbox_has_room_for_receipts(shard, device))
            return true;
    }
    return false;
}

static enum refusal judge_message(struct shard *shard, const struct account *account,
                                  const struct frame_message *body, bool first) {
    if (body->payload_bytes > shard->config.payload_bytes_max)
        return REFUSAL_TOO_LARGE;
    if (has_receipts_enough(shard, account))
        return REFUSAL_LIMIT;
    if (refused_holds(shard, &body->id, first))
        return REFUSAL_OUT_OF_ORDER;
    return REFUSAL_NONE;
}

/* The store does not take what could make room. */
static bool store_refuses(const struct shard *shard) {
    for (uint32_t i = 0; i < shard->stores; i++) {
        if (shard->now_ms < shard->put_retry_ms[i])
            return true;
    }
    return false;
}

/* As message_weight counts. */
static uint64_t held_by(const struct session *session) {
    return session->unticked + session->unticked_bytes / MESSAGE_WEIGHT_BYTES;
}

/* Nobody holds more of the shard's memory than is left of it: the more hold much, the less each may, and who
 * holds little always finds room.
 *
 * Not now: the socket is not read until there is room. But while the store refuses, room comes from
 * acknowledgements alone, which may lie behind this very message: then it is refused. */
static bool has_to_wait(const struct session *session, uint32_t target, uint32_t frame_bytes,
                        enum refusal *ret_refusal) {
    struct shard *shard = session->shard;
    if (session->control_bytes >= SESSION_CONTROL_BYTES_MAX)
        return true;
    if (target != shard->index && lanes_room(shard->lanes, shard->index, target) == 0)
        return true;
    bool ticks_wait = session->unticked >= shard->config.unticked_max ||
                      session->unticked_bytes >= shard->config.unticked_bytes_max;
    uint64_t out = shard->messages_out;
    uint64_t free = out < shard->config.messages_max ? shard->config.messages_max - out : 0;
    bool is_full = 2 * message_weight(frame_bytes) > free || held_by(session) > free;
    if (!ticks_wait && !is_full)
        return false;
    *ret_refusal = is_full ? REFUSAL_LIMIT : REFUSAL_UNTICKED;
    return !store_refuses(shard) && !(is_full && shard->now_ms < shard->queue_full_retry_ms);
}

/* own_at: where in the frame the parts of the sender's other devices begin; 0: there are no parts. */
static void accept_message(struct session *session, const struct frame *frame, struct buf *buf,
                           const struct frame_message *body, uint32_t own_at, uint32_t target) {
    struct shard *shard = session->shard;
    struct account *account = session->device->account;
    const struct message_id *id = &body->id;
    uint32_t ttl_s = (uint32_t)shard->config.ttl_s;
    if (body->ttl_s && body->ttl_s < ttl_s)
        ttl_s = body->ttl_s;
    frame_accept_message(frame->bytes, id, ttl_s, shard->utc_ms);
    struct message *message =
        message_create(session, buf, frame->bytes, own_at ? own_at : frame->frame_bytes, id);
    if (!message) {
        refuse(shard, id, REFUSAL_LIMIT, 0);
        return;
    }
    message->first = frame->flags & MESSAGE_FIRST;
    message->in_parts = own_at;
    if (own_at ? own_at == frame->frame_bytes : !has_own_copies(account, id)) {
        gate_forget_refusal(&account->gates, id);
    } else {
        struct message *copy =
            message_create(session, buf, frame->bytes + own_at, frame->frame_bytes - own_at, id);
        if (!copy || gate_add(&account->gates, id, &copy->attempt) < 0) {
            if (copy)
                message_home(shard, copy);
            message_home(shard, message);
            refuse(shard, id, REFUSAL_LIMIT, 0);
            return;
        }
        copy->own_copy = true;
        copy->in_parts = own_at;
        if (!spread_own_copies(shard, account, copy, frame)) {
            message_home(shard, message);
            return;
        }
    }
    stats_add(shard->stats->messages_accepted, 1);
    if (buf->kind == BUF_HEAP) /* where it was joined, or had to wait */
        stats_add(shard->stats->payload_copies, 1);
    if (target == shard->index) {
        route_arrived(shard, message);
        return;
    }
    struct note note = {.kind = NOTE_MESSAGE, .message = message};
    switch_post(shard, target, &note);
}

int route_accept(struct session *session, const struct frame *frame, struct buf *buf) {
    struct shard *shard = session->shard;
    struct frame_message body;
    int own_at = 0;
    if (frame_read_message(frame, &body) < 0 || !frame_message_is_bare(frame) || body.id.number == 0)
        return -EPROTO;
    uint32_t target = switch_home(shard, body.id.to);
    enum refusal refusal = REFUSAL_NONE;
    if (has_to_wait(session, target, frame->frame_bytes, &refusal) || !pace_messages(session))
        return -EAGAIN;
    body.id.from = session->account;
    body.id.epoch = session->epoch;
    body.id.from_device = session->device_number;
    if (body.target_count && (own_at = parts_check(frame, &body)) < 0)
        return own_at;
    pace_take_message(session);
    session->unticked++;
    if (refusal == REFUSAL_NONE)
        refusal = judge_message(shard, session->device->account, &body, frame->flags & MESSAGE_FIRST);
    if (refusal != REFUSAL_NONE)
        refuse(shard, &body.id, refusal, 0);
    else if (!own_at || parts_own_match(session, frame, &body.id, (uint32_t)own_at))
        accept_message(session, frame, buf, &body, (uint32_t)own_at, target);
    return 0;
}

/* --- the recipient's home ------------------------------------------------------------------------------- */

static enum refusal judge_target(struct shard *shard, const struct account *account,
                                 const struct message *message) {
    if (!account || (account->flags & ACCOUNT_REMOVED))
        return REFUSAL_NO_ACCOUNT;
    if (account->flags & ACCOUNT_SUSPENDED)
        return REFUSAL_SUSPENDED;
    if (account->block_count && account_blocks(account, message->id.from))
        return REFUSAL_BLOCKED;
    if (account->device_count == 0 || (message->in_parts && !parts_has_targets(account, message)))
        return REFUSAL_NO_DEVICE;
    if (refused_holds(shard, &message->id, message->first))
        return REFUSAL_OUT_OF_ORDER;
    return REFUSAL_NONE;
}

/* A message to one's own account goes to every device of it, the sending one too, unless it names them. */
void route_arrived(struct shard *shard, struct message *message) {
    struct account *account = account_find(&shard->accounts, message->id.to);
    message->pending = 1;
    message->holders = 1;
    enum refusal refusal = judge_target(shard, account, message);
    if (refusal != REFUSAL_NONE)
        message_refuse(shard, message, refusal, 0);
    else if (message->in_parts)
        parts_arrived(shard, account, message);
    else
        spread(shard, account, message, 0);
    if (is_last(&message->pending))
        message_finish(shard, message, account);
    if (is_last(&message->holders))
        message_end(shard, message);
}
