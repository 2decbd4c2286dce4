#include "tools/client/asking.h"

#include <errno.h>

#include "core/frame_keys.h"
#include "core/must.h"
#include "core/reason.h"

void asking_restart(struct asking *asking) {
    for (size_t i = 0; i < ASKING_MAX; i++)
        asking->out[i].is_out = false;
    asking->is_stale = true;
}

void asking_look_again(struct asking *asking) {
    asking->is_stale = true;
}

/* --- out ------------------------------------------------------------------------------------------------ */

static bool is_same(const struct ask *a, const struct ask *b) {
    if (a->kind != b->kind)
        return false;
    return a->kind == ASK_ACCOUNT ? strcmp(a->name, b->name) == 0
                                  : a->account == b->account && a->device == b->device;
}

static struct asked *find(struct asking *asking, const struct ask *ask) {
    for (size_t i = 0; i < ASKING_MAX; i++) {
        if (asking->out[i].is_out && is_same(&asking->out[i].ask, ask))
            return &asking->out[i];
    }
    return NULL;
}

/* NULL: as many are out as may be. The switch would read on only when answers have come, and what this device
 * acknowledges lies behind. */
static struct asked *free_place(struct asking *asking, enum request_kind kind) {
    struct asked *place = NULL;
    uint32_t out = 0;
    for (size_t i = 0; i < ASKING_MAX; i++) {
        if (asking->out[i].is_out)
            out++;
        else if (!place)
            place = &asking->out[i];
    }
    return state_request_is_directory(kind) && out >= ASKING_DIRECTORY_MAX ? NULL : place;
}

/* room: FRAME_SMALL_BYTES_MAX, and the ask's bytes. */
static size_t write_frame(const struct ask *ask, uint32_t request, uint8_t *out) {
    switch (ask->kind) {
    case ASK_BLOCK: {
        struct frame_block block = {.account = ask->account, .on = ask->on};
        return frame_write_block(out, FRAME_BLOCK, &block);
    }
    case ASK_ACCOUNT:
    case ASK_NAME: {
        struct frame_lookup lookup = {.request = request, .account = ask->account, .name = ask->name};
        lookup.name_bytes = (uint8_t)strlen(ask->name);
        return frame_write_lookup(out, FRAME_LOOKUP, &lookup);
    }
    case ASK_KEYS: {
        struct frame_keys_get get = {.request = request, .account = ask->account, .device = ask->device};
        return frame_write_keys_get(out, &get);
    }
    case ASK_LIST: {
        struct frame_list list = {.request = request, .account = ask->account, .version = ask->version};
        return frame_write_list(out, FRAME_LIST_GET, &list);
    }
    case ASK_LIST_PUT: {
        struct frame_list list = {.request = request, .version = ask->version};
        list.list = ask->bytes;
        list.list_bytes = ask->byte_count;
        return frame_write_list(out, FRAME_LIST_PUT, &list);
    }
    case ASK_CODE:
        return frame_write_code_get(out, request);
    case ASK_REMOVE: {
        struct frame_device device = {.request = request, .device = ask->device};
        return frame_write_device(out, FRAME_DEVICE_REMOVE, &device);
    }
    }
    must(false);
}

static int send_out(struct asking *asking, struct asked *place, const struct ask *ask, struct peer *peer) {
    uint8_t *space = peer_put_space(peer, FRAME_SMALL_BYTES_MAX + ask->byte_count);
    if (!space)
        return -ENOMEM;
    *place = (struct asked){.ask = *ask, .request = ++asking->last_request, .is_out = true};
    place->ask.bytes = NULL; /* a view, of this transaction */
    place->ask.byte_count = 0;
    peer_put_done(peer, write_frame(ask, place->request, space));
    return 0;
}

int asking_fill(struct asking *asking, struct state *state, struct peer *peer) {
    struct ask ask, after;
    const struct ask *from = NULL;
    if (!asking->is_stale)
        return 0;
    asking->is_stale = false; /* until an answer makes room, where there is none */
    while (state_request_next(state, from, &ask) == 0) {
        after = ask;
        from = &after;
        if (find(asking, &ask))
            continue;
        struct asked *place = free_place(asking, ask.kind);
        if (!place && !state_request_is_directory(ask.kind))
            return 0;
        int error = place ? send_out(asking, place, &ask, peer) : 0;
        if (error)
            return error;
    }
    return 0;
}

/* --- answers -------------------------------------------------------------------------------------------- */

/* The question with this number, which is out no longer; NULL: none of this session. */
static const struct ask *answered(struct asking *asking, uint32_t request) {
    asking->is_stale = true;
    for (size_t i = 0; i < ASKING_MAX; i++) {
        struct asked *asked = &asking->out[i];
        if (!asked->is_out || asked->request != request || asked->ask.kind == ASK_BLOCK)
            continue;
        asked->is_out = false;
        return &asked->ask;
    }
    return NULL;
}

/* The name is known from now on; only a question that found nothing keeps its answer. */
static int take_account(struct asking *asking, struct state *state, const struct frame *frame) {
    struct frame_lookup found;
    if (frame_read_lookup(frame, &found) < 0)
        return -EPROTO;
    const struct ask *asked = answered(asking, found.request);
    if (!asked || (asked->kind != ASK_ACCOUNT && asked->kind != ASK_NAME))
        return 0;
    struct ask ask = *asked;
    if (found.status == 0) {
        state_learn_name(state, found.account, found.name, found.name_bytes);
        state_request_delete(state, &ask);
        return state->error;
    }
    ask.is_answered = true;
    ask.status = found.status;
    state_request_put(state, &ask);
    return state->error;
}

static int take_blocked(struct asking *asking, struct state *state, const struct frame *frame) {
    struct frame_block blocked;
    if (frame_read_block(frame, &blocked) < 0)
        return -EPROTO;
    struct ask ask = {.kind = ASK_BLOCK, .account = blocked.account};
    struct asked *asked = find(asking, &ask);
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

/* What a frame of the key directory says, whichever it is. */
struct answer {
    enum request_kind kind;
    uint32_t request;
    struct ask ask; /* status, version, ttl_s, bytes */
};

static int read_list(const struct frame *frame, struct answer *ret) {
    struct frame_list list;
    if (frame_read_list(frame, &list) < 0 || list.list_bytes > ASK_LIST_BYTES_MAX)
        return -EPROTO;
    ret->kind = frame->type == FRAME_LIST ? ASK_LIST : ASK_LIST_PUT;
    ret->request = list.request;
    ret->ask = (struct ask){.status = list.status, .version = list.version};
    ret->ask.bytes = list.list;
    ret->ask.byte_count = list.list_bytes;
    return 0;
}

static int read_answer(const struct frame *frame, struct answer *ret) {
    struct frame_keys keys;
    struct frame_code code;
    struct frame_device device;
    switch (frame->type) {
    case FRAME_KEYS:
        if (frame_read_keys(frame, &keys) < 0)
            return -EPROTO;
        *ret = (struct answer){.kind = ASK_KEYS, .request = keys.request, .ask.status = keys.status};
        ret->ask.bytes = frame->bytes;
        ret->ask.byte_count = frame->frame_bytes;
        return 0;
    case FRAME_CODE:
        if (frame_read_code(frame, &code) < 0)
            return -EPROTO;
        *ret = (struct answer){.kind = ASK_CODE, .request = code.request, .ask.status = code.status};
        ret->ask.ttl_s = code.ttl_s;
        ret->ask.bytes = frame->bytes + frame->frame_bytes - FRAME_CODE_BYTES;
        ret->ask.byte_count = FRAME_CODE_BYTES;
        return 0;
    case FRAME_DEVICE_REMOVED:
        if (frame_read_device(frame, &device) < 0)
            return -EPROTO;
        *ret = (struct answer){.kind = ASK_REMOVE, .request = device.request, .ask.status = device.status};
        return 0;
    default:
        return read_list(frame, ret);
    }
}

/* The answer stays in the question's record, unless that was put anew meanwhile, or deleted. */
static int take_directory(struct asking *asking, struct state *state, const struct frame *frame) {
    struct answer answer;
    if (read_answer(frame, &answer) < 0)
        return -EPROTO;
    const struct ask *asked = answered(asking, answer.request);
    if (!asked || asked->kind != answer.kind)
        return 0;
    struct ask ask = *asked;
    if (state_request_get(state, &ask) != 0 || ask.is_answered || ask.version != asked->version)
        return state->error;
    ask.is_answered = true;
    ask.status = answer.ask.status;
    ask.version = answer.ask.version;
    ask.ttl_s = answer.ask.ttl_s;
    ask.bytes = answer.ask.bytes;
    ask.byte_count = answer.ask.byte_count;
    state_request_put(state, &ask);
    return state->error;
}

int asking_take(struct asking *asking, struct state *state, const struct frame *frame) {
    switch (frame->type) {
    case FRAME_ACCOUNT:
        return take_account(asking, state, frame);
    case FRAME_BLOCKED:
        return take_blocked(asking, state, frame);
    default:
        return take_directory(asking, state, frame);
    }
}

int asking_name(struct state *state, uint64_t account) {
    char name[FRAME_NAME_BYTES_MAX + 1];
    struct ask ask = {.kind = ASK_NAME, .account = account};
    if (state_find_name(state, account, name) == -ENOENT && state_request_get(state, &ask) == -ENOENT)
        state_request_put(state, &ask);
    return state->error;
}
