#include "tools/client/flow.h"
#include "core/mutant.h"

#include <errno.h>
#include <stdlib.h>

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
    flows->out = 0;
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

static int put_message(struct flow *flow, const struct outgoing *message, struct peer *peer) {
    uint8_t *space = peer_put_space(peer, FRAME_MESSAGE_BYTES + message->payload_bytes);
    if (!space)
        return -ENOMEM;
    struct frame_message frame = {
        .id = {.to = message->to, .number = message->number},
        .ttl_s = message->ttl_s,
        .content_type = message->content_type,
        .first = flow->is_first,
        .payload = message->payload,
        .payload_bytes = message->payload_bytes,
    };
    peer_put_done(peer, frame_write_message(space, &frame));
    return 0;
}

static int fill_one(struct flows *flows, struct flow *flow, struct state *state, struct peer *peer,
                    struct outgoing *ret_large, bool *ret_empty) {
    while (flows->out < flows->out_max && peer_put_bytes(peer) < FLOW_GATHER_BYTES_MAX) {
        struct outgoing message;
        int error = state_outbox_next(state, flow->to, flow->next, &message);
        if (MUTANT(resend_skips) && error == 0 && flow->next == 1)
            (void)state_outbox_next(state, flow->to, message.number + 1, &message);
        if (error == -ENOENT) {
            *ret_empty = flow->out == 0;
            return 0;
        }
        if (error)
            return error;
        if (message.payload_bytes > flows->payload_bytes_max) {
            *ret_large = message;
            return -EMSGSIZE;
        }
        error = put_message(flow, &message, peer);
        if (error)
            return error;
        flow->next = message.number + 1;
        flow->is_first = false;
        flow->out++;
        flows->out++;
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
        if (flow->retry_ms > now_ms) {
            flows->turn = at + 1;
            continue;
        }
        flow->retry_ms = 0;
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
    flow->out = 0;
    flow->next = 1; /* numbers that have their tick are not in the outbox any more */
    flow->is_first = true;
    if (now_ms + retry_ms > flow->retry_ms)
        flow->retry_ms = now_ms + retry_ms;
}

uint64_t flows_due_ms(const struct flows *flows) {
    uint64_t due_ms = UINT64_MAX;
    for (size_t i = 0; i < flows->count; i++) {
        if (flows->list[i].retry_ms && flows->list[i].retry_ms < due_ms)
            due_ms = flows->list[i].retry_ms;
    }
    return due_ms;
}
