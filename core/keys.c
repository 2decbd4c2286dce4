#include "core/keys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/frame_keys.h"
#include "core/session.h"
#include "core/switch.h"

#define ASKED_WAYS 8 /* entries a pair may lie in */
#define MS_PER_S 1000

_Static_assert(KEYS_ASKED_MAX % ASKED_WAYS == 0, "whole sets");
_Static_assert(FRAME_KEYS_ROWS_MAX == DEVICES_MAX, "a row for each device of an account");

/* --- how often ------------------------------------------------------------------------------------------ */

static struct keys_asked *find_asked(struct shard *shard, uint64_t from, uint64_t to) {
    uint64_t hash = account_hash(from ^ account_hash(to));
    uint64_t window_ms = shard->config.keys_window_s * MS_PER_S;
    struct keys_asked *set = &shard->keys_asked[hash % (KEYS_ASKED_MAX / ASKED_WAYS) * ASKED_WAYS];
    struct keys_asked *least = set;
    for (struct keys_asked *entry = set; entry < set + ASKED_WAYS; entry++) {
        if (shard->now_ms - entry->since_ms >= window_ms)
            *entry = (struct keys_asked){.since_ms = shard->now_ms};
        if (entry->from == from && entry->to == to)
            return entry;
        if (entry->count < least->count)
            least = entry;
    }
    *least = (struct keys_asked){.from = from, .to = to, .since_ms = shard->now_ms};
    return least;
}

static bool may_get(struct shard *shard, uint64_t from, uint64_t to) {
    return find_asked(shard, from, 0)->count < shard->config.keys_account_max &&
           find_asked(shard, from, to)->count < shard->config.keys_target_max;
}

static void note_get(struct shard *shard, uint64_t from, uint64_t to) {
    find_asked(shard, from, 0)->count++;
    find_asked(shard, from, to)->count++;
}

/* --- telling -------------------------------------------------------------------------------------------- */

/* Room for what is said at once; what the directory answers has it from its limit of questions. */
static bool has_room(const struct session *session) {
    return session->control_bytes < SESSION_CONTROL_BYTES_MAX;
}

static void count_refusal(struct shard *shard, uint16_t refusal) {
    if (refusal)
        stats_add(shard->stats->refused[refusal], 1);
}

static void put_stock(struct session *session, uint32_t request, uint16_t status, uint8_t *out,
                      size_t *ret_bytes) {
    const struct device *device = session->device;
    struct frame_keys_stock body = {.request = request,
                                    .status = status,
                                    .left = device->one_time_left,
                                    .signed_id = device->signed_id,
                                    .one_time_last = device->one_time_last,
                                    .list_version = device->account->list_version};
    *ret_bytes = frame_write_keys_stock(out, &body);
}

size_t keys_write_stock(struct session *session, uint8_t *out) {
    size_t bytes;
    session->stock_due = false;
    put_stock(session, 0, REFUSAL_NONE, out, &bytes);
    return bytes;
}

static void tell_stock(struct session *session) {
    session->stock_due = true;
    port_output_ready(session->shard, session->conn);
}

/* Frames that may be large. */
static void put_keys(struct session *session, const struct frame_keys *body) {
    size_t bytes = FRAME_KEYS_FIXED_BYTES + (size_t)body->count * FRAME_KEYS_ROW_BYTES + body->list_bytes;
    uint8_t *out = malloc(bytes);
    if (out)
        session_put(session, out, frame_write_keys(out, body));
    else
        session_close(session, CLOSE_OVERLOAD);
    free(out);
}

static void put_list(struct session *session, enum frame_type type, const struct frame_list *body) {
    uint8_t *out = malloc(FRAME_LIST_FIXED_BYTES + (size_t)body->list_bytes);
    if (out)
        session_put(session, out, frame_write_list(out, type, body));
    else
        session_close(session, CLOSE_OVERLOAD);
    free(out);
}

static void put_device(struct session *session, uint32_t request, uint16_t device, uint16_t status) {
    struct frame_device body = {.request = request, .device = device, .status = status};
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    session_put(session, out, frame_write_device(out, FRAME_DEVICE_REMOVED, &body));
}

/* --- asking --------------------------------------------------------------------------------------------- */

static int take_put(struct session *session, const struct frame *frame) {
    struct frame_keys_put put;
    if (frame_read_keys_put(frame, &put) < 0)
        return -EPROTO;
    struct request fields = {.kind = REQUEST_KEYS_PUT,
                             .account = session->account,
                             .device_number = session->device_number,
                             .count = put.count,
                             .tag = put.request};
    return intake_ask(session, SESSION_KEYS_MAX, &fields, put.keys,
                      FRAME_KEYS_BYTES + (uint32_t)put.count * FRAME_ONE_TIME_BYTES);
}

static int take_get(struct session *session, const struct frame *frame) {
    struct shard *shard = session->shard;
    struct frame_keys_get get;
    if (frame_read_keys_get(frame, &get) < 0)
        return -EPROTO;
    if (!has_room(session))
        return -EAGAIN;
    if (!may_get(shard, session->account, get.account)) {
        struct frame_keys body = {.request = get.request, .account = get.account, .status = REFUSAL_RATE};
        count_refusal(shard, REFUSAL_RATE);
        put_keys(session, &body);
        return 0;
    }
    struct request fields = {.kind = REQUEST_KEYS_GET,
                             .account = get.account,
                             .device_number = get.device,
                             .other = session->account,
                             .value = session->device_number,
                             .tag = get.request};
    int error = intake_ask(session, SESSION_KEYS_MAX, &fields, NULL, 0);
    if (error == 0)
        note_get(shard, session->account, get.account);
    return error;
}

static int take_list_put(struct session *session, const struct frame *frame) {
    struct shard *shard = session->shard;
    struct frame_list put;
    if (frame_read_list(frame, &put) < 0)
        return -EPROTO;
    if (!has_room(session))
        return -EAGAIN;
    if (put.list_bytes > shard->config.device_list_bytes_max) {
        struct frame_list body = {.request = put.request,
                                  .version = session->device->account->list_version,
                                  .status = REFUSAL_TOO_LARGE};
        count_refusal(shard, REFUSAL_TOO_LARGE);
        put_list(session, FRAME_LIST_STORED, &body);
        return 0;
    }
    struct request fields = {.kind = REQUEST_LIST_PUT,
                             .account = session->account,
                             .device_number = session->device_number,
                             .first = put.version,
                             .tag = put.request};
    return intake_ask(session, SESSION_KEYS_MAX, &fields, put.list, put.list_bytes);
}

static int take_list_get(struct session *session, const struct frame *frame) {
    struct frame_list get;
    if (frame_read_list(frame, &get) < 0)
        return -EPROTO;
    struct request fields = {
        .kind = REQUEST_LIST_GET, .account = get.account, .first = get.version, .tag = get.request};
    return intake_ask(session, SESSION_KEYS_MAX, &fields, NULL, 0);
}

static int take_code_get(struct session *session, const struct frame *frame) {
    uint32_t request;
    if (frame_read_code_get(frame, &request) < 0)
        return -EPROTO;
    struct request fields = {.kind = REQUEST_CODE_ADD,
                             .account = session->account,
                             .device_number = session->device_number,
                             .tag = request};
    return intake_ask(session, SESSION_KEYS_MAX, &fields, NULL, 0);
}

static int take_remove(struct session *session, const struct frame *frame) {
    struct frame_device body;
    if (frame_read_device(frame, &body) < 0)
        return -EPROTO;
    if (!has_room(session))
        return -EAGAIN;
    if (body.device == session->device_number) {
        count_refusal(session->shard, REFUSAL_TARGETS);
        put_device(session, body.request, body.device, REFUSAL_TARGETS);
        return 0;
    }
    struct request fields = {.kind = REQUEST_DEVICE_REVOKE,
                             .account = session->account,
                             .device_number = body.device,
                             .value = session->device_number,
                             .tag = body.request};
    return intake_ask(session, SESSION_KEYS_MAX, &fields, NULL, 0);
}

int keys_take(struct session *session, const struct frame *frame) {
    switch (frame->type) {
    case FRAME_KEYS_PUT:
        return take_put(session, frame);
    case FRAME_KEYS_GET:
        return take_get(session, frame);
    case FRAME_LIST_PUT:
        return take_list_put(session, frame);
    case FRAME_LIST_GET:
        return take_list_get(session, frame);
    case FRAME_CODE_GET:
        return take_code_get(session, frame);
    case FRAME_DEVICE_REMOVE:
        return take_remove(session, frame);
    default:
        return -EPROTO; /* the switch's own */
    }
}

/* --- answers -------------------------------------------------------------------------------------------- */

/* Word of the directory may overtake older word that came over another shard. The later one is that with the
 * higher id, for ids only rise, and of one id that with the smaller stock, for without new ones it only
 * falls. */
static void learn_stock(struct device *device, const struct device_record *record) {
    if (device->flags & DEVICE_REVOKED)
        return;
    if (record->signed_id > device->signed_id)
        device->signed_id = record->signed_id;
    if (record->one_time_last < device->one_time_last ||
        (record->one_time_last == device->one_time_last && record->one_time_left > device->one_time_left))
        return;
    device->one_time_last = record->one_time_last;
    device->one_time_left = record->one_time_left;
}

int keys_apply_stock(struct shard *shard, const struct request *request) {
    struct account *account = account_find(&shard->accounts, request->account);
    for (uint32_t i = 0; account && i < request->count; i++) {
        struct device *device = account_device(account, request->devices[i].device);
        if (!device)
            continue;
        learn_stock(device, &request->devices[i]);
        if (device->session && device->one_time_left <= shard->config.one_time_keys_low)
            tell_stock(device->session);
    }
    return 0;
}

static void put_answered(struct shard *shard, struct session *session, const struct request *request) {
    struct account *account = account_find(&shard->accounts, request->account);
    struct device *device = account ? account_device(account, request->device_number) : NULL;
    if (device && request->status == 0) /* else the record is what would have been */
        learn_stock(device, &request->devices[0]);
    if (!session)
        return;
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    size_t bytes;
    put_stock(session, request->tag, request_refusal(request->status), out, &bytes);
    session_put(session, out, bytes);
}

static void get_answered(struct shard *shard, struct session *session, const struct request *request) {
    struct frame_keys body = {
        .request = request->tag, .account = request->account, .status = request_refusal(request->status)};
    if (request->status == 0) {
        uint32_t rows_bytes = request->count * FRAME_KEYS_ROW_BYTES;
        body.count = (uint16_t)request->count;
        body.list_version = request->first;
        body.rows = request->bytes;
        body.list = request->bytes + rows_bytes;
        body.list_bytes = request->bytes_count - rows_bytes;
    }
    for (uint32_t i = 0; i < body.count; i++) {
        const uint8_t *bundle = body.rows + (size_t)i * FRAME_KEYS_ROW_BYTES + 8;
        bool has_one_time = frame_one_time_id(bundle + FRAME_KEYS_BYTES) != 0;
        stats_add(shard->stats->one_time_keys_given, has_one_time);
        stats_add(shard->stats->one_time_keys_lacking, !has_one_time);
    }
    if (session)
        put_keys(session, &body);
}

/* The home of the devices learns what was taken from them. */
static bool pass_stock_on(struct shard *shard, struct request *request) {
    if (request->status || request->count == 0)
        return false;
    free(request->bytes);
    request->bytes = NULL;
    request->kind = REQUEST_APPLY_STOCK;
    struct note note = {.kind = NOTE_REQUEST, .request = request};
    switch_post(shard, switch_home(shard, request->account), &note);
    return true;
}

static void list_stored(struct shard *shard, struct session *session, const struct request *request) {
    struct account *account = account_find(&shard->accounts, request->account);
    if (request->status == 0 && account && request->value > account->list_version) {
        account->list_version = request->value;
        for (uint32_t i = 0; i < account->slots_used; i++) {
            const struct device *device = account->devices[i];
            if (device && device->session && device->session != session)
                tell_stock(device->session);
        }
    }
    struct frame_list body = {
        .request = request->tag, .version = request->value, .status = request_refusal(request->status)};
    if (session)
        put_list(session, FRAME_LIST_STORED, &body);
}

static void list_found(struct session *session, const struct request *request) {
    struct frame_list body = {
        .request = request->tag, .account = request->account, .status = request_refusal(request->status)};
    if (request->status == 0) {
        body.version = request->value;
        body.list = request->bytes;
        body.list_bytes = request->bytes_count;
    }
    put_list(session, FRAME_LIST, &body);
}

static void put_code(struct session *session, const struct request *request) {
    struct frame_code body = {.request = request->tag, .status = request_refusal(request->status)};
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    if (request->status == 0) {
        body.ttl_s = (uint32_t)request->value;
        memcpy(body.code, request->code, FRAME_CODE_BYTES);
    }
    session_put(session, out, frame_write_code(out, &body));
    explicit_bzero(&body, sizeof(body));
    explicit_bzero(out, sizeof(out));
}

bool keys_answered(struct shard *shard, struct request *request) {
    struct session *session = request_session(shard, request);
    if (session)
        session->requests--;
    if (session && session->state != SESSION_OPEN)
        session = NULL; /* it closes */
    count_refusal(shard, request_refusal(request->status));
    switch (request->kind) {
    case REQUEST_KEYS_PUT:
        put_answered(shard, session, request);
        return true;
    case REQUEST_KEYS_GET:
        get_answered(shard, session, request);
        return !pass_stock_on(shard, request);
    case REQUEST_LIST_PUT:
        list_stored(shard, session, request);
        return true;
    case REQUEST_LIST_GET:
        if (session)
            list_found(session, request);
        return true;
    case REQUEST_CODE_ADD:
        if (session)
            put_code(session, request);
        return true;
    default: /* REQUEST_DEVICE_REVOKE */
        if (request->status == -ENOENT)
            request->status = -ENODEV;
        if (request->status == 0)
            calls_revoke(shard, request->account, request->device_number);
        if (session)
            put_device(session, request->tag, request->device_number, request_refusal(request->status));
        return true;
    }
}
