#include "tools/client/asking.h"

#include <errno.h>

#include "core/must.h"
#include "core/reason.h"
#include "tools/client/answers.h"
#include "tools/client/naming.h"
#include "tools/client/opening.h"
#include "tools/client/pairing.h"

void asking_restart(struct asking *asking) {
    for (size_t i = 0; i < ASKING_MAX; i++)
        asking->out[i].is_out = false;
    asking->keys_request = 0;
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
    uint32_t out = asking->keys_request != 0;
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

int asking_put_keys(struct asking *asking, struct frame_keys_put *put, struct peer *peer) {
    if (asking->keys_request || !free_place(asking, ASK_KEYS))
        return -EBUSY;
    uint8_t *space = peer_put_space(peer, FRAME_SMALL_BYTES_MAX + FRAME_KEYS_BYTES +
                                              (size_t)put->count * FRAME_ONE_TIME_BYTES);
    if (!space)
        return -ENOMEM;
    asking->keys_request = put->request = ++asking->last_request;
    peer_put_done(peer, frame_write_keys_put(space, put));
    return 0;
}

void asking_keys_answered(struct asking *asking, uint32_t request) {
    if (asking->keys_request != request)
        return;
    asking->keys_request = 0;
    asking->is_stale = true;
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

/* Whether that is the account, or the name, that was asked for. The own account has one name alone. */
static bool is_found(const struct ask *ask, const struct identity *own, const struct frame_lookup *found,
                     const char *name) {
    if (found->status || strlen(name) != found->name_bytes || !uri_name_is_valid(name))
        return false;
    if (ask->kind == ASK_ACCOUNT ? strcmp(ask->name, name) != 0 : ask->account != found->account)
        return false;
    return found->account != own->account || strcmp(own->name, name) == 0;
}

/* The name is known from now on; only a question that found nothing keeps its answer. */
static int take_account(struct asking *asking, struct state *state, const struct identity *own,
                        const struct frame *frame, uint64_t now_s) {
    struct frame_lookup found;
    char name[FRAME_NAME_BYTES_MAX + 1] = "";
    if (frame_read_lookup(frame, &found) < 0)
        return -EPROTO;
    const struct ask *asked = answered(asking, found.request);
    if (!asked || (asked->kind != ASK_ACCOUNT && asked->kind != ASK_NAME))
        return 0;
    struct ask ask = *asked;
    memcpy(name, found.name, found.name_bytes);
    if (is_found(&ask, own, &found, name)) {
        naming_take(state, own, found.account, name);
        state_request_delete(state, &ask);
    } else {
        ask.is_answered = true;
        ask.status = found.status ? found.status : REFUSAL_NO_ACCOUNT;
        state_request_put(state, &ask);
    }
    if (ask.kind == ASK_NAME && !state->error)
        return opening_named(state, own, ask.account, now_s);
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
    return asked && blocked.status == REFUSAL_NO_ACCOUNT ? state_forget_account(state, blocked.account)
                                                         : state->error;
}

static int take_list(struct asking *asking, struct state *state, const struct identity *own,
                     const struct frame *frame, uint64_t now_s) {
    struct frame_list list;
    enum contact_news news;
    if (frame_read_list(frame, &list) < 0)
        return -EPROTO;
    const struct ask *asked = answered(asking, list.request);
    if (!asked || asked->kind != ASK_LIST || asked->account != list.account)
        return 0;
    return answers_list(state, own, &list, now_s, &news);
}

static int take_keys(struct asking *asking, struct state *state, const struct identity *own,
                     const struct frame *frame, uint64_t now_s) {
    struct frame_keys keys;
    if (frame_read_keys(frame, &keys) < 0)
        return -EPROTO;
    const struct ask *asked = answered(asking, keys.request);
    if (!asked || asked->kind != ASK_KEYS || asked->account != keys.account)
        return 0;
    return answers_keys(state, own, asked->device, &keys, now_s);
}

/* What the state asks just now, if that is what was asked there: NULL where it was put anew meanwhile, or
 * deleted. */
static struct ask *still_asked(struct state *state, const struct ask *asked, enum request_kind kind,
                               struct ask *ret_ask) {
    if (!asked || asked->kind != kind)
        return NULL;
    *ret_ask = *asked;
    if (state_request_get(state, ret_ask) != 0 || ret_ask->is_answered || ret_ask->version != asked->version)
        return NULL;
    return ret_ask;
}

/* The own list that was put is the account's from now on. */
static int take_list_stored(struct asking *asking, struct state *state, const struct identity *own,
                            const struct frame *frame, uint64_t now_s) {
    struct frame_list stored;
    struct ask ask;
    uint8_t bytes[ASK_LIST_BYTES_MAX];
    enum contact_news news;
    if (frame_read_list(frame, &stored) < 0)
        return -EPROTO;
    if (!still_asked(state, answered(asking, stored.request), ASK_LIST_PUT, &ask))
        return state->error;
    memcpy(bytes, ask.bytes, ask.byte_count);
    ask.bytes = bytes;
    ask.is_answered = true;
    ask.status = stored.status;
    ask.version = stored.version;
    state_request_put(state, &ask);
    if (state->error || stored.status)
        return state->error;
    struct frame_list list = {.account = own->account, .version = stored.version};
    list.list = bytes;
    list.list_bytes = ask.byte_count;
    return answers_list(state, own, &list, now_s, &news);
}

static int take_code(struct asking *asking, struct state *state, const struct frame *frame) {
    struct frame_code code;
    struct ask ask;
    if (frame_read_code(frame, &code) < 0)
        return -EPROTO;
    if (!still_asked(state, answered(asking, code.request), ASK_CODE, &ask))
        return state->error;
    ask.is_answered = true;
    ask.status = code.status;
    ask.ttl_s = code.ttl_s;
    ask.bytes = code.code;
    ask.byte_count = sizeof(code.code);
    return state_request_put(state, &ask);
}

static int take_removed(struct asking *asking, struct state *state, const struct frame *frame) {
    struct frame_device device;
    struct ask ask;
    if (frame_read_device(frame, &device) < 0)
        return -EPROTO;
    if (!still_asked(state, answered(asking, device.request), ASK_REMOVE, &ask))
        return state->error;
    ask.is_answered = true;
    ask.status = device.status;
    if (device.status == REFUSAL_NONE || device.status == REFUSAL_NO_DEVICE)
        pairing_stranger_left(state, ask.device);
    return state_request_put(state, &ask);
}

int asking_take(struct asking *asking, struct state *state, const struct identity *own,
                const struct frame *frame, uint64_t now_s) {
    switch (frame->type) {
    case FRAME_ACCOUNT:
        return take_account(asking, state, own, frame, now_s);
    case FRAME_BLOCKED:
        return take_blocked(asking, state, frame);
    case FRAME_KEYS:
        return take_keys(asking, state, own, frame, now_s);
    case FRAME_LIST:
        return take_list(asking, state, own, frame, now_s);
    case FRAME_LIST_STORED:
        return take_list_stored(asking, state, own, frame, now_s);
    case FRAME_CODE:
        return take_code(asking, state, frame);
    default:
        return take_removed(asking, state, frame);
    }
}

int asking_name(struct state *state, uint64_t account) {
    char name[FRAME_NAME_BYTES_MAX + 1];
    struct ask ask = {.kind = ASK_NAME, .account = account};
    if (state_find_name(state, account, name) == -ENOENT && state_request_get(state, &ask) == -ENOENT)
        state_request_put(state, &ask);
    return state->error;
}
