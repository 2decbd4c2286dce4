#include "tools/client/asking.h"

#include <errno.h>

#include "core/reason.h"

void asking_restart(struct asking *asking) {
    for (size_t i = 0; i < ASKING_MAX; i++)
        asking->out[i].is_out = false;
    asking->is_stale = true;
}

void asking_look_again(struct asking *asking) {
    asking->is_stale = true;
}

static bool is_same(const struct ask *a, const struct ask *b) {
    if (a->kind != b->kind)
        return false;
    return a->kind == ASK_ACCOUNT ? strcmp(a->name, b->name) == 0 : a->account == b->account;
}

/* Where it is, or else a free place; NULL: neither. */
static struct asked *place(struct asking *asking, const struct ask *ask) {
    struct asked *free_place = NULL;
    for (size_t i = 0; i < ASKING_MAX; i++) {
        struct asked *asked = &asking->out[i];
        if (asked->is_out && is_same(&asked->ask, ask))
            return asked;
        if (!asked->is_out && !free_place)
            free_place = asked;
    }
    return free_place;
}

static int put(const struct asked *asked, struct peer *peer) {
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    const struct ask *ask = &asked->ask;
    if (ask->kind == ASK_BLOCK) {
        struct frame_block block = {.account = ask->account, .on = ask->on};
        return peer_put(peer, out, frame_write_block(out, FRAME_BLOCK, &block));
    }
    struct frame_lookup lookup = {.request = asked->request, .name = ask->name};
    if (ask->kind == ASK_ACCOUNT)
        lookup.name_bytes = (uint8_t)strlen(ask->name);
    else
        lookup.account = ask->account;
    return peer_put(peer, out, frame_write_lookup(out, FRAME_LOOKUP, &lookup));
}

int asking_fill(struct asking *asking, struct state *state, struct peer *peer) {
    struct ask ask, after;
    const struct ask *from = NULL;
    if (!asking->is_stale)
        return 0;
    while (state_request_next(state, from, &ask) == 0) {
        struct asked *asked = place(asking, &ask);
        if (!asked)
            return 0; /* still stale: goes on when an answer has made room */
        after = ask;
        from = &after;
        if (asked->is_out)
            continue;
        *asked = (struct asked){.ask = ask, .request = ++asking->last_request, .is_out = true};
        int error = put(asked, peer);
        if (error)
            return error;
    }
    asking->is_stale = false;
    return 0;
}

/* The name is known from now on; only a question that found nothing keeps its answer. */
static int answer_account(struct state *state, struct ask *ask, const struct frame_lookup *found) {
    if (found->status == 0) {
        state_learn_name(state, found->account, found->name, found->name_bytes);
        state_request_delete(state, ask);
        return state->error;
    }
    ask->is_answered = true;
    ask->status = found->status;
    state_request_put(state, ask);
    return state->error;
}

int asking_take_account(struct asking *asking, struct state *state, const struct frame *frame) {
    struct frame_lookup found;
    if (frame_read_lookup(frame, &found) < 0)
        return -EPROTO;
    asking->is_stale = true;
    for (size_t i = 0; i < ASKING_MAX; i++) {
        struct asked *asked = &asking->out[i];
        if (!asked->is_out || asked->request != found.request || asked->ask.kind == ASK_BLOCK)
            continue;
        asked->is_out = false;
        return answer_account(state, &asked->ask, &found);
    }
    return 0;
}

int asking_take_blocked(struct asking *asking, struct state *state, const struct frame *frame) {
    struct frame_block blocked;
    if (frame_read_block(frame, &blocked) < 0)
        return -EPROTO;
    struct ask ask = {.kind = ASK_BLOCK, .account = blocked.account};
    struct asked *asked = place(asking, &ask);
    if (asked)
        asked->is_out = false;
    asking->is_stale = true;
    if (state_request_get(state, &ask) == 0 && ask.on == blocked.on) {
        ask.is_answered = true;
        ask.status = blocked.status;
        state_request_put(state, &ask);
    }
    return blocked.status == REFUSAL_NO_ACCOUNT ? state_forget_account(state, blocked.account) : state->error;
}

int asking_name(struct state *state, uint64_t account) {
    char name[FRAME_NAME_BYTES_MAX + 1];
    struct ask ask = {.kind = ASK_NAME, .account = account};
    if (state_find_name(state, account, name) == -ENOENT && state_request_get(state, &ask) == -ENOENT)
        state_request_put(state, &ask);
    return state->error;
}
