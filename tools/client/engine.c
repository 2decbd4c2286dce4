#include "tools/client/engine.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>

#include "core/crash.h"
#include "core/mutant.h"
#include "core/reason.h"
#include "tools/client/answers.h"
#include "tools/client/asking.h"
#include "tools/client/copies.h"
#include "tools/client/flow.h"
#include "tools/client/marks.h"
#include "tools/client/naming.h"
#include "tools/client/opening.h"
#include "tools/client/peer.h"
#include "tools/client/publishing.h"
#include "tools/client/sharing.h"
#include "tools/client/silence.h"

struct engine {
    struct state *state;
    engine_before_commit *before_commit;
    void *before_commit_context;
    int disk_error;

    /* A session's. */
    struct peer *peer;
    struct identity identity;
    struct flows flows;
    struct asking asking;
    struct publishing publishing;
    struct marks marks;
    bool is_writing;    /* a transaction is open */
    bool has_messages;  /* it took messages */
    bool wants_sharing; /* something was read that the own other devices are to hear of */
    uint64_t items, items_acked;
    uint64_t version;      /* of the state when it was looked through last, ... */
    uint64_t committed;    /* ... and after the last commit of this engine */
    uint64_t utc_ahead_ms; /* of the monotonic clock */
    uint64_t now_ms;
    struct silence silence;
    uint32_t come_back_ms;
    unsigned close_reason; /* kept when the peer is gone */
    const char *refusal;
};

/* --- a life --------------------------------------------------------------------------------------------- */

int engine_create(struct state *state, struct engine **ret_engine) {
    struct engine *engine = calloc(1, sizeof(*engine));
    if (!engine)
        return -ENOMEM;
    engine->state = state;
    flows_init(&engine->flows);
    *ret_engine = engine;
    return 0;
}

void engine_destroy(struct engine *engine) {
    engine_disconnected(engine);
    flows_fini(&engine->flows);
    free(engine);
}

void engine_set_before_commit(struct engine *engine, engine_before_commit *call, void *context) {
    engine->before_commit = call;
    engine->before_commit_context = context;
}

static int read_identity(struct engine *engine) {
    int error = state_look(engine->state);
    if (error)
        return error;
    error = state_identity(engine->state, &engine->identity);
    state_end(engine->state);
    return error;
}

int engine_connected(struct engine *engine, enum hello_pattern pattern, const uint8_t *ephemeral,
                     uint64_t now_ms, uint64_t utc_ms) {
    engine_disconnected(engine);
    int error = read_identity(engine);
    if (error)
        return error;
    const struct identity *identity = &engine->identity;
    struct peer_setup setup = {
        .pattern = pattern,
        .device_secret = identity->secret,
        .server_public = identity->server_key,
        .ephemeral_secret = ephemeral,
        .is_link = !identity->is_linked,
        .link = {.account = identity->account, .epoch = identity->epoch},
    };
    if (identity->is_linked)
        setup.link.device = identity->device;
    else
        memcpy(setup.link.code, identity->code, FRAME_CODE_BYTES);
    error = peer_create(&setup, &engine->peer);
    sodium_memzero(&setup, sizeof(setup));
    sodium_memzero(engine->identity.secret, sizeof(engine->identity.secret));
    if (error)
        return error;
    engine->items = engine->items_acked = 0;
    engine->now_ms = now_ms;
    engine->utc_ahead_ms = utc_ms - now_ms;
    silence_begin(&engine->silence, now_ms);
    engine->come_back_ms = 0;
    engine->close_reason = 0;
    engine->refusal = NULL;
    return 0;
}

static void forget_transaction(struct engine *engine) {
    if (engine->is_writing)
        state_end(engine->state);
    engine->is_writing = engine->has_messages = false;
}

void engine_disconnected(struct engine *engine) {
    forget_transaction(engine);
    if (!engine->peer)
        return;
    engine->close_reason = peer_close_reason(engine->peer);
    engine->refusal = peer_refusal(engine->peer);
    peer_destroy(engine->peer);
    engine->peer = NULL;
}

/* --- frames of the switch ------------------------------------------------------------------------------- */

static int disk_failed(struct engine *engine, int error) {
    if (error && !engine->disk_error)
        engine->disk_error = error;
    return error;
}

static uint64_t utc_s(const struct engine *engine) {
    return (engine->now_ms + engine->utc_ahead_ms) / 1000;
}

/* Everything that arrives in a turn goes into one transaction. */
static int open_transaction(struct engine *engine) {
    if (engine->is_writing)
        return 0;
    int error = state_begin(engine->state);
    engine->is_writing = !error;
    return disk_failed(engine, error);
}

static int take_welcome(struct engine *engine, const struct frame *frame) {
    struct frame_welcome welcome;
    if (frame_read_welcome(frame, &welcome) < 0 || welcome.account != engine->identity.account)
        return -EPROTO;
    if (engine->identity.is_linked && welcome.device != engine->identity.device)
        return -EPROTO;
    struct identity identity;
    int error = open_transaction(engine);
    if (!error)
        error = disk_failed(engine, state_identity(engine->state, &identity));
    if (error)
        return error;
    identity.is_linked = true;
    identity.device = welcome.device;
    identity.payload_bytes_max = welcome.payload_bytes_max;
    sodium_memzero(identity.code, sizeof(identity.code));
    naming_take_own(engine->state, &identity, welcome.name, welcome.name_bytes);
    state_set_identity(engine->state, &identity);
    sodium_memzero(identity.secret, sizeof(identity.secret));
    engine->identity = identity;
    error = disk_failed(engine, answers_ask_again(engine->state));
    if (error)
        return error;
    flows_restart(&engine->flows, welcome.unticked_max, welcome.payload_bytes_max);
    marks_restart(&engine->marks);
    asking_restart(&engine->asking);
    publishing_restart(&engine->publishing);
    engine->version = 0; /* looked through from the start */
    silence_welcome(&engine->silence, welcome.ping_s);
    return 0;
}

/* Said before the ACK, which would make it delivered. */
static int pass_over(struct engine *engine, const struct message_id *id) {
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    struct frame_range range = {.id = *id, .last = id->number};
    return peer_put(engine->peer, out, frame_write_range(out, FRAME_MARK, RECEIPT_FAILED, &range));
}

static int take_message(struct engine *engine, const struct frame *frame) {
    struct frame_message message;
    if (frame_read_message(frame, &message) < 0)
        return -EPROTO;
    const struct message_id *id = &message.id;
    uint64_t own = engine->identity.account;
    if (id->number == 0 || (id->to != own && id->from != own))
        return -EPROTO;
    enum inbox_take take = INBOX_DUPLICATE;
    int error = open_transaction(engine);
    if (!error) /* first: what is sealed waits until it is known */
        error = disk_failed(engine, asking_name(engine->state, id->from == own ? id->to : id->from));
    if (!error)
        error = disk_failed(engine,
                            opening_take(engine->state, &engine->identity, &message, utc_s(engine), &take));
    if (error)
        return error;
    engine->items++;
    engine->has_messages |= take == INBOX_FRESH;
    if (message.content_type == CONTENT_PAIRING)
        publishing_look_again(&engine->publishing);
    if (MUTANT(ack_before_commit)) {
        uint8_t out[FRAME_SMALL_BYTES_MAX];
        engine->items_acked = engine->items;
        return peer_put(engine->peer, out, frame_write_ack(out, engine->items));
    }
    return take == INBOX_PASSED && id->to == own ? pass_over(engine, id) : 0;
}

/* Of what another own device sent, for people to see here, too. */
static int take_receipt_of_copy(struct engine *engine, const struct frame_range *range, uint8_t flags) {
    int error = open_transaction(engine);
    return error ? error : disk_failed(engine, copies_tick(engine->state, range, flags));
}

static int take_receipt(struct engine *engine, const struct frame *frame) {
    struct frame_range range;
    if (frame_read_range(frame, &range) < 0)
        return -EPROTO;
    engine->items++;
    const struct message_id *id = &range.id;
    const struct identity *own = &engine->identity;
    if (id->from == own->account && id->from_device != own->device)
        return id->to == own->account ? 0 : take_receipt_of_copy(engine, &range, frame->flags);
    if (id->from != own->account || id->epoch != own->epoch)
        return 0;
    int error = open_transaction(engine);
    uint32_t left = 0;
    if (!error)
        error =
            disk_failed(engine, state_outbox_tick(engine->state, id->to, id->number, range.last, frame->flags,
                                                  flows_below(&engine->flows, id->to), &left));
    if (error)
        return error;
    flows_left(&engine->flows, id->to, left);
    return 0;
}

static int fail_message(struct engine *engine, uint64_t to, uint64_t number, uint16_t reason) {
    int error = open_transaction(engine);
    uint32_t left = 0;
    if (!error)
        error = disk_failed(engine, state_outbox_refused(engine->state, to, number, reason,
                                                         flows_below(&engine->flows, to), &left));
    flows_left(&engine->flows, to, left);
    if (!error && reason == REFUSAL_NO_ACCOUNT)
        error = disk_failed(engine, state_forget_account(engine->state, to));
    return error;
}

/* For whoever waits: why nothing goes. That an earlier one has to come first is no reason of its own; other
 * targets are sealed for without a word. */
static int hold(struct engine *engine, const struct frame_refused *refused) {
    if (refused->reason == REFUSAL_OUT_OF_ORDER || refused->reason == REFUSAL_TARGETS)
        return 0;
    int error = open_transaction(engine);
    return error ? error
                 : disk_failed(engine, state_outbox_hold(engine->state, refused->to, refused->reason));
}

static int take_refused(struct engine *engine, const struct frame *frame) {
    struct frame_refused refused;
    if (frame_read_refused(frame, &refused) < 0)
        return -EPROTO;
    if (refused.retry_ms == 0)
        return fail_message(engine, refused.to, refused.number, refused.reason);
    flows_refused(&engine->flows, refused.to, refused.retry_ms, engine->now_ms);
    return hold(engine, &refused);
}

/* The REFUSED behind it makes the flow send again, sealed for the devices that there are. */
static int take_targets(struct engine *engine, const struct frame *frame) {
    struct frame_targets targets;
    if (frame_read_targets(frame, &targets) < 0)
        return -EPROTO;
    int error = open_transaction(engine);
    return error ? error
                 : disk_failed(engine, answers_targets(engine->state, &engine->identity, targets.account,
                                                       targets.devices, targets.missing,
                                                       targets.devices + targets.missing, targets.gone));
}

static int take_confirm(struct engine *engine, const struct frame *frame) {
    struct frame_range range;
    if (frame_read_range(frame, &range) < 0)
        return -EPROTO;
    if (range.id.to != engine->identity.account)
        return 0;
    int error = open_transaction(engine);
    return error ? error : disk_failed(engine, state_inbox_confirm(engine->state, &range, frame->flags));
}

static int take_ping(struct engine *engine, const struct frame *frame) {
    uint64_t opaque;
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    if (frame_read_ping(frame, &opaque) < 0)
        return -EPROTO;
    if (frame->type == FRAME_PONG)
        return 0;
    return peer_put(engine->peer, out, frame_write_ping(out, FRAME_PONG, opaque));
}

/* What was lacking may be there, and what waited for a list or a name has come. */
static int after_answer(struct engine *engine, const struct frame *frame) {
    struct frame_list stored;
    if (frame->type == FRAME_LIST_STORED && frame_read_list(frame, &stored) == 0)
        publishing_list_stored(&engine->publishing, stored.version);
    if (frame->type == FRAME_LIST)
        publishing_look_again(&engine->publishing);
    flows_try_again(&engine->flows);
    engine->has_messages = true;
    return 0;
}

static int take_answer(struct engine *engine, const struct frame *frame) {
    int error = open_transaction(engine);
    if (error)
        return error;
    error = asking_take(&engine->asking, engine->state, &engine->identity, frame, utc_s(engine));
    if (error)
        return error == -EPROTO ? error : disk_failed(engine, error);
    return frame->type == FRAME_BLOCKED ? 0 : after_answer(engine, frame);
}

static int take_stock(struct engine *engine, const struct frame *frame) {
    int error = open_transaction(engine);
    if (!error)
        error =
            publishing_take_stock(&engine->publishing, engine->state, &engine->asking, frame, utc_s(engine));
    return error == -EPROTO ? error : disk_failed(engine, error);
}

static int take_frame(void *context, struct peer *peer, const struct frame *frame) {
    struct engine *engine = context;
    (void)peer;
    switch (frame->type) {
    case FRAME_WELCOME:
        return take_welcome(engine, frame);
    case FRAME_MESSAGE:
        return take_message(engine, frame);
    case FRAME_RECEIPT:
        return take_receipt(engine, frame);
    case FRAME_TARGETS:
        return take_targets(engine, frame);
    case FRAME_CONFIRM:
        return take_confirm(engine, frame);
    case FRAME_REFUSED:
        return take_refused(engine, frame);
    case FRAME_PING:
    case FRAME_PONG:
        return take_ping(engine, frame);
    case FRAME_ACCOUNT:
    case FRAME_BLOCKED:
    case FRAME_KEYS:
    case FRAME_LIST:
    case FRAME_LIST_STORED:
    case FRAME_CODE:
    case FRAME_DEVICE_REMOVED:
        return take_answer(engine, frame);
    case FRAME_KEYS_STOCK:
        return take_stock(engine, frame);
    case FRAME_RECONNECT: {
        struct frame_close body;
        if (frame_read_close(frame, &body) < 0)
            return -EPROTO;
        engine->come_back_ms = body.after_ms;
        return 0;
    }
    default: /* CLOSE: the peer keeps its reason, the end of the connection follows */
        return 0;
    }
}

int engine_input(struct engine *engine, const uint8_t *bytes, size_t count, uint64_t now_ms) {
    if (engine->disk_error)
        return engine->disk_error;
    engine->now_ms = now_ms;
    silence_heard(&engine->silence, now_ms);
    return peer_input(engine->peer, bytes, count, take_frame, engine);
}

/* --- a turn --------------------------------------------------------------------------------------------- */

/* What this device has to make before it can say it: keys, and messages sealed. */
static bool wants_preparing(const struct engine *engine) {
    return peer_is_open(engine->peer) &&
           (engine->wants_sharing || publishing_wants(&engine->publishing, utc_s(engine)) ||
            flows_want_sealing(&engine->flows, engine->now_ms));
}

/* In a write transaction. */
static int prepare(struct engine *engine) {
    struct state *state = engine->state;
    const struct identity *own = &engine->identity;
    int error = 0;
    if (!peer_is_open(engine->peer))
        return 0;
    if (publishing_wants(&engine->publishing, utc_s(engine)))
        error = publishing_prepare(&engine->publishing, state, own, utc_s(engine));
    if (!error && sharing_any(state))
        error = sharing_put(state, own, utc_s(engine) * 1000);
    if (!error)
        error = flows_seal(&engine->flows, state, own, engine->now_ms, utc_s(engine));
    return error;
}

static int commit_transaction(struct engine *engine) {
    int error = opening_tell(engine->state);
    if (!error)
        error = prepare(engine);
    if (!error && engine->has_messages && engine->before_commit)
        error = engine->before_commit(engine->before_commit_context, engine->state);
    if (error) {
        forget_transaction(engine);
        return error;
    }
    engine->is_writing = engine->has_messages = engine->wants_sharing = false;
    error = state_commit(engine->state);
    engine->committed = state_version(engine->state);
    return error;
}

static int commit(struct engine *engine) {
    int error = wants_preparing(engine) ? open_transaction(engine) : 0;
    if (!error && engine->is_writing)
        error = disk_failed(engine, commit_transaction(engine));
    if (error || engine->items == engine->items_acked)
        return error;
    crash_point(client_before_ack);
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    error = peer_put(engine->peer, out, frame_write_ack(out, engine->items));
    if (!error)
        engine->items_acked = engine->items;
    return error;
}

/* A message that is larger than the switch takes would make it close the connection, again and again. */
static int fail_large(struct engine *engine, const struct outgoing *large) {
    int error = fail_message(engine, large->to, large->number, REFUSAL_TOO_LARGE);
    return error ? error : commit(engine);
}

static int gather_once(struct engine *engine, struct outgoing *ret_large) {
    struct state *state = engine->state;
    uint64_t version = state_version(state);
    int error = state_look(state);
    if (error)
        return disk_failed(engine, error);
    if (version != engine->version) {
        marks_look_again(&engine->marks);
        asking_look_again(&engine->asking);
        engine->wants_sharing = sharing_any(state);
        error = flows_find(&engine->flows, state);
    }
    if (version != engine->version && version != engine->committed)
        flows_try_again(&engine->flows); /* another process may have brought what was lacking */
    if (!error)
        error = marks_fill(&engine->marks, state, engine->identity.account, engine->peer, engine->now_ms);
    if (!error)
        error = asking_fill(&engine->asking, state, engine->peer);
    if (!error)
        error = publishing_fill(&engine->publishing, &engine->asking, engine->peer);
    if (!error)
        error = flows_fill(&engine->flows, state, engine->peer, engine->now_ms, ret_large);
    int disk_error = state->error;
    state_end(state);
    engine->version = version;
    return disk_error ? disk_failed(engine, disk_error) : error;
}

static int gather(struct engine *engine) {
    struct outgoing large = {0};
    int error;
    while ((error = gather_once(engine, &large)) == -EMSGSIZE) {
        error = fail_large(engine, &large);
        if (error)
            return error;
    }
    return error;
}

int engine_turn(struct engine *engine, uint64_t now_ms) {
    engine->now_ms = now_ms;
    if (engine->disk_error)
        return engine->disk_error;
    int error = commit(engine);
    if (!error && peer_is_open(engine->peer))
        error = gather(engine);
    if (!error && wants_preparing(engine)) { /* messages that are not sealed yet */
        error = commit(engine);
        error = error ? error : gather(engine);
    }
    return error ? error : silence_watch(&engine->silence, engine->peer, now_ms);
}

uint64_t engine_due_ms(const struct engine *engine) {
    if (!engine->peer)
        return UINT64_MAX;
    uint64_t due_ms = silence_due_ms(&engine->silence);
    if (peer_is_open(engine->peer)) {
        uint64_t retry_ms = flows_due_ms(&engine->flows), mark_ms = marks_due_ms(&engine->marks);
        due_ms = retry_ms < due_ms ? retry_ms : due_ms;
        due_ms = mark_ms < due_ms ? mark_ms : due_ms;
    }
    return due_ms;
}

size_t engine_output(struct engine *engine, const uint8_t **ret_bytes) {
    return engine->peer ? peer_output(engine->peer, ret_bytes) : 0;
}

void engine_sent(struct engine *engine, size_t count) {
    peer_sent(engine->peer, count);
}

/* --- how it stands -------------------------------------------------------------------------------------- */

bool engine_is_open(const struct engine *engine) {
    return engine->peer && peer_is_open(engine->peer);
}

int engine_disk_error(const struct engine *engine) {
    return engine->disk_error;
}

unsigned engine_close_reason(const struct engine *engine) {
    return engine->peer ? peer_close_reason(engine->peer) : engine->close_reason;
}

const char *engine_refusal(const struct engine *engine) {
    return engine->peer ? peer_refusal(engine->peer) : engine->refusal;
}

uint32_t engine_come_back_ms(const struct engine *engine) {
    return engine->come_back_ms;
}
