#include "tools/client/flow.h"

#include <errno.h>
#include <stdlib.h>

#include "core/mutant.h"
#include "tools/client/sealing.h"

void flows_init(struct flows *flows) {
    *flows = (struct flows){0};
}

void flows_fini(struct flows *flows) {
    free(flows->list);
    *flows = (struct flows){0};
}

/* Half of what the switch allows: messages that are sent again after a refusal count there until their ticks
 * come, and a session the switch does not read could not acknowledge either. */
void flows_restart(struct flows *flows, uint32_t unticked_max, uint32_t payload_bytes_max) {
    uint32_t out_max = unticked_max / 2;
    flows->count = 0;
    flows->turn = 0;
    flows->out = flows->ready = 0;
    flows->out_max = out_max < 1 ? 1 : out_max > FLOW_OUT_MAX ? FLOW_OUT_MAX : out_max;
    flows->payload_bytes_max = payload_bytes_max;
}

static struct flow *find(const struct flows *flows, uint64_t to) {
    for (size_t i = 0; i < flows->count; i++) {
        if (flows->list[i].to == to)
            return &flows->list[i];
    }
    return NULL;
}

static int add(struct flows *flows, uint64_t to) {
    if (flows->count == flows->capacity) {
        size_t capacity = flows->capacity ? 2 * flows->capacity : 8;
        struct flow *list = realloc(flows->list, capacity * sizeof(*list));
        if (!list)
            return -ENOMEM;
        flows->list = list;
        flows->capacity = capacity;
    }
    flows->list[flows->count++] = (struct flow){.to = to, .next = 1, .is_first = true};
    return 0;
}

int flows_find(struct flows *flows, struct state *state) {
    uint64_t to = 0;
    while (state_outbox_next_account(state, to, &to) == 0) {
        if (!find(flows, to) && add(flows, to) < 0)
            return -ENOMEM;
        if (to++ == UINT64_MAX)
            break;
    }
    return 0;
}

/* What goes out of a message: itself, or its parts where it is to be sealed. -ENOENT: it is not sealed. */
static int find_payload(struct state *state, const struct outgoing *message, struct sealed *ret_sealed) {
    if (message->content_type == CONTENT_SEALED)
        return sealing_get(state, message->to, message->number, ret_sealed);
    *ret_sealed = (struct sealed){.payload = message->payload, .payload_bytes = message->payload_bytes};
    return 0;
}

static int put_message(struct flow *flow, const struct outgoing *message, const struct sealed *sealed,
                       struct peer *peer) {
    uint8_t *space = peer_put_space(peer, FRAME_MESSAGE_BYTES + sealed->payload_bytes);
    if (!space)
        return -ENOMEM;
    struct frame_message frame = {
        .id = {.to = message->to, .number = message->number},
        .ttl_s = message->ttl_s,
        .content_type = message->content_type,
        .target_count = sealed->targets,
        .first = flow->is_first,
        .payload = sealed->payload,
        .payload_bytes = sealed->payload_bytes,
    };
    peer_put_done(peer, frame_write_message(space, &frame));
    return 0;
}

static void note_sent(struct flows *flows, struct flow *flow, const struct outgoing *message) {
    flow->next = message->number + 1;
    flow->is_first = false;
    flow->out++;
    flows->out++;
    if (message->content_type == CONTENT_SEALED && flow->ready) {
        flow->ready--;
        flows->ready--;
    }
}

/* None is left, or what is left was sent in an earlier session, and has its tick now. */
static void forget_ready(struct flows *flows, struct flow *flow) {
    flows->ready -= flow->ready;
    flow->ready = 0;
}

static int fill_one(struct flows *flows, struct flow *flow, struct state *state, struct peer *peer,
                    struct outgoing *ret_large, bool *ret_empty) {
    while (flows->out < flows->out_max && peer_put_bytes(peer) < FLOW_GATHER_BYTES_MAX) {
        struct outgoing message;
        struct sealed sealed;
        int error = state_outbox_next(state, flow->to, flow->next, &message);
        if (MUTANT(resend_skips) && error == 0 && flow->next == 1)
            (void)state_outbox_next(state, flow->to, message.number + 1, &message);
        if (error == -ENOENT) {
            *ret_empty = flow->out == 0;
            forget_ready(flows, flow);
            return 0;
        }
        if (!error)
            error = find_payload(state, &message, &sealed);
        if (error == -ENOENT) {
            flow->unsealed = message.number;
            forget_ready(flows, flow);
            return 0;
        }
        if (error)
            return error;
        if (sealed.payload_bytes > flows->payload_bytes_max) {
            *ret_large = message;
            return -EMSGSIZE;
        }
        error = put_message(flow, &message, &sealed, peer);
        if (error)
            return error;
        note_sent(flows, flow, &message);
    }
    return 0;
}

int flows_fill(struct flows *flows, struct state *state, struct peer *peer, uint64_t now_ms,
               struct outgoing *ret_large) {
    for (size_t left = flows->count; left; left--) {
        if (flows->out >= flows->out_max || peer_put_bytes(peer) >= FLOW_GATHER_BYTES_MAX)
            break;
        size_t at = flows->turn % flows->count;
        struct flow *flow = &flows->list[at];
        bool is_empty = false;
        if (flow->retry_ms <= now_ms)
            flow->retry_ms = 0;
        if (flow->retry_ms || flow->unsealed) {
            flows->turn = at + 1;
            continue;
        }
        int error = fill_one(flows, flow, state, peer, ret_large, &is_empty);
        if (error)
            return error;
        if (is_empty)
            *flow = flows->list[--flows->count];
        else
            flows->turn = at + 1;
    }
    return 0;
}

/* --- sealing -------------------------------------------------------------------------------------------- */

static bool may_seal(const struct flow *flow, uint64_t now_ms) {
    return flow->unsealed && now_ms >= flow->held_ms && now_ms >= flow->retry_ms;
}

bool flows_want_sealing(const struct flows *flows, uint64_t now_ms) {
    for (size_t i = 0; i < flows->count; i++) {
        if (may_seal(&flows->list[i], now_ms))
            return true;
    }
    return false;
}

/* One message: 0, it can be sent; -EAGAIN: it can't, and holds what comes behind; the transaction's error. */
static int seal_message(struct flows *flows, struct flow *flow, struct state *state,
                        const struct identity *own, uint64_t number, uint64_t now_s) {
    uint16_t reason = 0;
    uint32_t left;
    int error = sealing_seal(state, own, flow->to, number, now_s, &reason);
    if (error == -ECONNREFUSED) {
        if (reason == REFUSAL_NO_ACCOUNT)
            state_forget_account(state, flow->to);
        return state_outbox_refused(state, flow->to, number, reason, 0, &left);
    }
    if (error == -EAGAIN || error == -EACCES)
        return -EAGAIN;
    if (error)
        return state_note(state, error);
    flow->ready++;
    flows->ready++;
    return 0;
}

static int seal_flow(struct flows *flows, struct flow *flow, struct state *state, const struct identity *own,
                     uint64_t now_ms, uint64_t now_s) {
    uint64_t number = flow->unsealed;
    size_t bytes = 0;
    flow->unsealed = 0; /* until it is seen again */
    flow->held_ms = 0;
    while (flows->out + flows->ready < flows->out_max && bytes < FLOW_SEAL_BYTES_MAX) {
        struct outgoing message;
        int error = state_outbox_next(state, flow->to, number, &message);
        if (error)
            return error == -ENOENT ? 0 : error;
        number = message.number;
        bytes += FRAME_MESSAGE_BYTES + message.payload_bytes;
        if (message.content_type == CONTENT_SEALED)
            error = seal_message(flows, flow, state, own, number, now_s);
        if (error == -EAGAIN) {
            flow->held_ms = now_ms + SEALING_RETRY_S * UINT64_C(1000);
            return 0;
        }
        if (error)
            return error;
        number++;
    }
    return 0;
}

int flows_seal(struct flows *flows, struct state *state, const struct identity *own, uint64_t now_ms,
               uint64_t now_s) {
    int error = 0;
    for (size_t i = 0; !error && i < flows->count; i++) {
        if (may_seal(&flows->list[i], now_ms))
            error = seal_flow(flows, &flows->list[i], state, own, now_ms, now_s);
    }
    return error;
}

void flows_try_again(struct flows *flows) {
    for (size_t i = 0; i < flows->count; i++)
        flows->list[i].held_ms = 0;
}

/* --- ticks and refusals --------------------------------------------------------------------------------- */

uint64_t flows_below(const struct flows *flows, uint64_t to) {
    const struct flow *flow = find(flows, to);
    return flow ? flow->next : 0;
}

void flows_left(struct flows *flows, uint64_t to, uint32_t count) {
    struct flow *flow = find(flows, to);
    if (!flow)
        return;
    count = count < flow->out ? count : flow->out;
    flow->out -= count;
    flows->out -= count;
}

void flows_refused(struct flows *flows, uint64_t to, uint32_t retry_ms, uint64_t now_ms) {
    struct flow *flow = find(flows, to);
    if (!flow)
        return;
    flows->out -= flow->out;
    forget_ready(flows, flow);
    flow->out = 0;
    flow->unsealed = 0;
    flow->held_ms = 0;
    flow->next = 1; /* numbers that have their tick are not in the outbox any more */
    flow->is_first = true;
    if (now_ms + retry_ms > flow->retry_ms)
        flow->retry_ms = now_ms + retry_ms;
}

uint64_t flows_due_ms(const struct flows *flows) {
    uint64_t due_ms = UINT64_MAX;
    for (size_t i = 0; i < flows->count; i++) {
        const struct flow *flow = &flows->list[i];
        if (flow->retry_ms && flow->retry_ms < due_ms)
            due_ms = flow->retry_ms;
        if (flow->unsealed && flow->held_ms < due_ms)
            due_ms = flow->held_ms;
    }
    return due_ms;
}
