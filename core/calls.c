/* Requests: what the administrator and the stores ask of a shard, and the answers a shard waited for. */
#include "core/mutant.h"
#include "core/port.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/switch.h"

#define FORGET_MAX 64 /* removed accounts that are looked at together */

void request_return(struct shard *shard, struct request *request) {
    struct note note = {.kind = NOTE_REQUEST_DONE, .request = request};
    switch_post(shard, request->from, &note);
}

void request_free(struct request *request) {
    explicit_bzero(request->code, sizeof(request->code));
    free(request->devices);
    free(request->bytes);
    free(request);
}

/* --- accounts and devices ------------------------------------------------------------------------------- */

static void close_sessions(struct account *account, uint16_t device_number, enum close_reason reason,
                           uint64_t *ret_count) {
    for (uint32_t i = 0; i < account->slots_used; i++) {
        struct device *device = account->devices[i];
        if (!device || !device->session || (device_number && device->number != device_number))
            continue;
        session_close(device->session, reason);
        (*ret_count)++;
    }
}

static int apply_account(struct shard *shard, struct request *request) {
    const struct account_record *record = &request->accounts[0];
    struct account *account = account_find(&shard->accounts, record->account);
    if (!account)
        return account_insert(&shard->accounts, record, &account);
    uint64_t closed = 0;
    account->flags = record->flags;
    if (account->flags & ACCOUNT_SUSPENDED)
        close_sessions(account, 0, CLOSE_SUSPENDED, &closed);
    return 0;
}

static void revoke(struct shard *shard, struct device *device) {
    if (device->flags & DEVICE_REVOKED)
        return;
    device->flags |= DEVICE_REVOKED;
    device->account->device_count--;
    if (device->session)
        session_close(device->session, CLOSE_REVOKED);
    outbox_revoke(shard, device);
}

static void removed_push(struct shard *shard, struct account *account) {
    account->removed_next = NULL;
    *(shard->removed_head ? &shard->removed_tail->removed_next : &shard->removed_head) = account;
    shard->removed_tail = account;
}

static int apply_remove(struct shard *shard, struct request *request) {
    struct account *account = account_find(&shard->accounts, request->account);
    if (!account || (account->flags & ACCOUNT_REMOVED))
        return -ENOENT;
    account->flags |= ACCOUNT_REMOVED;
    for (uint32_t i = 0; i < account->slots_used; i++) {
        if (account->devices[i])
            revoke(shard, account->devices[i]);
    }
    removed_push(shard, account);
    return 0;
}

void calls_forget_removed(struct shard *shard) {
    for (uint32_t i = 0; i < FORGET_MAX && shard->removed_head; i++) {
        struct account *account = shard->removed_head;
        shard->removed_head = account->removed_next;
        if (account_is_over(account))
            account_remove(&shard->accounts, account);
        else
            removed_push(shard, account);
    }
}

/* The directory's answer to the link of a device may come in after the word that it is revoked: a device that
 * is not known yet is entered as revoked, and stays so. */
int calls_revoke(struct shard *shard, uint64_t account_number, uint16_t device_number) {
    struct account *account = account_find(&shard->accounts, account_number);
    struct device *device = account ? account_device(account, device_number) : NULL;
    if (account && !device) {
        struct device_record record = {
            .account = account_number, .device = device_number, .flags = DEVICE_REVOKED};
        return account_device_add(account, &record, &device);
    }
    if (!device)
        return -ENOENT;
    if (MUTANT(revoked_served))
        return 0;
    revoke(shard, device);
    return 0;
}

static int kick(struct shard *shard, struct request *request) {
    struct account *account = account_find(&shard->accounts, request->account);
    if (!account)
        return -ENOENT;
    if (request->device_number && !account_device(account, request->device_number))
        return -ENOENT;
    request->value = 0;
    close_sessions(account, request->device_number, CLOSE_KICKED, &request->value);
    return 0;
}

/* Returned by the last of the devices' purges; context_id counts them, with one for the walk itself. */
static void queue_purge(struct shard *shard, struct request *request) {
    struct account *account = account_find(&shard->accounts, request->account);
    request->value = 0;
    request->context_id = 1;
    if (account && request->device_number && !account_device(account, request->device_number))
        account = NULL;
    request->status = account ? 0 : -ENOENT;
    for (uint32_t i = 0; account && i < account->slots_used; i++) {
        struct device *device = account->devices[i];
        if (!device || (request->device_number && device->number != request->device_number))
            continue;
        request->context_id++;
        int error = outbox_purge(shard, device, request);
        if (error) {
            request->context_id--;
            request->status = error;
        }
    }
    if (--request->context_id == 0)
        request_return(shard, request);
}

/* --- what people see ------------------------------------------------------------------------------------ */

static void fill_row(struct shard *shard, const struct device *device, const struct session *session,
                     struct status_row *row) {
    *row = (struct status_row){.shard = (uint16_t)shard->index};
    if (device) {
        row->account = device->account->number;
        row->device = device->number;
        row->flags = device->flags;
        row->created_ms = device->created_ms;
        row->last_seen_ms = device->last_seen_ms;
        memcpy(row->key, device->key, KEY_BYTES);
        row->outbox_count = device->outbox.count;
        row->queue_count = device->outbox.queue_next - device->outbox.drain_next;
        snprintf(row->name, sizeof(row->name), "%s", device->account->name);
    }
    if (session) {
        row->state = session->state;
        row->connected_ms = shard->utc_ms - (shard->now_ms - session->started_ms);
        row->id = session->id;
        port_address(shard, session->conn, row->address);
    }
}

static int show_account(struct shard *shard, struct request *request) {
    const struct account *account = account_find(&shard->accounts, request->account);
    if (!account)
        return -ENOENT;
    request->rows = calloc(DEVICES_MAX, sizeof(*request->rows));
    if (!request->rows)
        return -ENOMEM;
    request->count = 0;
    for (uint32_t i = 0; i < account->slots_used; i++) {
        const struct device *device = account->devices[i];
        if (device)
            fill_row(shard, device, device->session, &request->rows[request->count++]);
    }
    return 0;
}

static int show_accounts(struct shard *shard, struct request *request) {
    request->rows = calloc(request->count ? request->count : 1, sizeof(*request->rows));
    if (!request->rows)
        return -ENOMEM;
    uint32_t count = 0;
    for (uint32_t i = 0; i < request->count; i++) {
        const struct account *account = account_find(&shard->accounts, request->accounts[i].account);
        if (!account)
            continue;
        struct status_row *row = &request->rows[count++];
        *row = (struct status_row){
            .account = account->number, .shard = (uint16_t)shard->index, .devices = account->device_count};
        for (uint32_t j = 0; j < account->slots_used; j++)
            row->connected += (uint16_t)(account->devices[j] && account->devices[j]->session);
    }
    request->count = count;
    return 0;
}

/* Puts an id into a heap of the lowest `capacity` ones, the highest of them on top. */
static void keep_lowest(const struct session **heap, uint32_t *count, uint32_t capacity,
                        const struct session *session) {
    uint32_t at;
    if (*count < capacity) {
        for (at = (*count)++; at > 0 && heap[(at - 1) / 2]->id < session->id; at = (at - 1) / 2)
            heap[at] = heap[(at - 1) / 2];
        heap[at] = session;
        return;
    }
    if (session->id >= heap[0]->id)
        return;
    at = 0;
    for (uint32_t child = 1; child < *count; child = 2 * at + 1) {
        if (child + 1 < *count && heap[child + 1]->id > heap[child]->id)
            child++;
        if (heap[child]->id <= session->id)
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = session;
}

static int by_id(const void *a, const void *b) {
    const struct session *const *left = a, *const *right = b;
    return (*left)->id < (*right)->id ? -1 : (*left)->id > (*right)->id;
}

static int show_connections(struct shard *shard, struct request *request) {
    uint32_t capacity = request->capacity < shard->session_count ? request->capacity : shard->session_count;
    const struct session **chosen = calloc(capacity + 1, sizeof(*chosen));
    request->rows = calloc(capacity + 1, sizeof(*request->rows));
    request->count = 0;
    request->value = 0;
    if (!chosen || !request->rows) {
        free(chosen);
        return -ENOMEM;
    }
    uint64_t found = 0;
    for (uint32_t i = 0; capacity && i < shard->session_high; i++) {
        const struct session *session = session_at(shard, i);
        if (!session || session->id <= request->first)
            continue;
        keep_lowest(chosen, &request->count, capacity, session);
        found++;
    }
    qsort(chosen, request->count, sizeof(*chosen), by_id);
    for (uint32_t i = 0; i < request->count; i++)
        fill_row(shard, chosen[i]->device, chosen[i], &request->rows[i]);
    request->value = found > request->count;
    free(chosen);
    return 0;
}

/* --- the switch as a whole ------------------------------------------------------------------------------ */

static void drain(struct shard *shard, struct request *request) {
    if (!shard->draining)
        port_log("draining shard=%u connections=%u", shard->index, shard->session_count);
    shard->draining = true;
    shard->notes_handled--; /* the question itself is nothing that was on its way */
    for (uint32_t i = 0; i < shard->session_high; i++) {
        struct session *session = session_at(shard, i);
        if (session)
            session_send_away(session, RECONNECT_MS);
    }
    if (shard->drain_request)
        request_return(shard, shard->drain_request);
    shard->drain_request = request;
}

/* What the store has and no session is there for is on disk; receipts a full store did not take are repeated
 * by their devices, so they need not be waited for. */
void calls_check_drain(struct shard *shard) {
    struct request *request = shard->drain_request;
    if (!request || shard->session_count || shard->puts_out || shard->messages_out)
        return;
    shard->drain_request = NULL;
    request->value = shard->notes_handled;
    request->status = 0;
    request_return(shard, request);
}

static int expired(struct shard *shard, struct request *request) {
    struct account *account = account_find(&shard->accounts, request->account);
    struct device *device = account ? account_device(account, request->device_number) : NULL;
    if (device)
        outbox_failed(shard, device, request->entries, request->count);
    return device ? 0 : -ENOENT;
}

void calls_handle(struct shard *shard, struct request *request) {
    int status = 0;
    switch (request->kind) {
    case REQUEST_APPLY_ACCOUNT:
        status = apply_account(shard, request);
        break;
    case REQUEST_APPLY_REMOVE:
        status = apply_remove(shard, request);
        break;
    case REQUEST_APPLY_REVOKE:
        status = calls_revoke(shard, request->account, request->device_number);
        break;
    case REQUEST_SHOW_ACCOUNT:
        status = show_account(shard, request);
        break;
    case REQUEST_SHOW_ACCOUNTS:
        status = show_accounts(shard, request);
        break;
    case REQUEST_SHOW_CONNECTIONS:
        status = show_connections(shard, request);
        break;
    case REQUEST_KICK:
        status = kick(shard, request);
        break;
    case REQUEST_QUEUE_PURGE:
        queue_purge(shard, request);
        return;
    case REQUEST_DRAIN:
        drain(shard, request);
        return;
    case REQUEST_STOP:
        shard->stopping = true;
        break;
    case REQUEST_RELOAD:
        config_reload(&shard->config, request->config);
        memset(shard->check_s, 0, shard->session_high * sizeof(*shard->check_s));
        break;
    case REQUEST_EXPIRED:
        status = expired(shard, request);
        break;
    case REQUEST_APPLY_STOCK:
        status = keys_apply_stock(shard, request);
        break;
    default:
        status = -EINVAL;
        break;
    }
    request->status = status;
    request_return(shard, request);
}

/* --- answers -------------------------------------------------------------------------------------------- */

struct session *request_session(struct shard *shard, const struct request *request) {
    if (request->last >= shard->session_limit)
        return NULL;
    struct session *session = session_at(shard, (uint32_t)request->last);
    return session && session->id == request->context_id ? session : NULL;
}

static void linked(struct shard *shard, struct request *request) {
    struct account *account = account_find(&shard->accounts, request->account);
    if (request->status == 0 && (!account || (account->flags & ACCOUNT_REMOVED))) /* meanwhile */
        request->status = -ENOENT;
    if (request->status == 0 && account) {
        struct device_record record = {
            .account = request->account,
            .created_ms = shard->utc_ms,
            .last_seen_ms = shard->utc_ms,
            .device = request->device_number,
        };
        memcpy(record.key, request->key, KEY_BYTES);
        struct device *device;
        int error = account_device_add(account, &record, &device);
        if (error == 0)
            stats_add(shard->stats->links, 1);
        else if (error != -EEXIST)
            request->status = error;
    }
    struct session *session = request_session(shard, request);
    if (session && session->state == SESSION_LINKING)
        session_linked(session, request);
}

static void looked_up(struct shard *shard, struct request *request) {
    struct session *session = request_session(shard, request);
    if (!session)
        return;
    session->requests--;
    struct frame_lookup body = {
        .request = (uint32_t)request->other,
        .status = request->status ? REFUSAL_NO_ACCOUNT : REFUSAL_NONE,
        .account = request->status ? 0 : request->account,
        .name_bytes = (uint8_t)strnlen(request->name, NAME_BYTES_MAX),
        .name = request->name,
    };
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    session_put(session, out, frame_write_lookup(out, FRAME_ACCOUNT, &body));
}

uint16_t request_refusal(int status) {
    switch (status) {
    case 0:
        return REFUSAL_NONE;
    case -ENOENT:
        return REFUSAL_NO_ACCOUNT;
    case -EDQUOT:
        return REFUSAL_LIMIT;
    case -ENOSPC:
        return REFUSAL_STORE_FULL;
    case -ENODEV:
        return REFUSAL_NO_DEVICE;
    case -EACCES:
        return REFUSAL_BLOCKED;
    case -EPERM:
        return REFUSAL_SUSPENDED;
    case -ESTALE:
        return REFUSAL_STALE;
    default:
        return REFUSAL_STORE_FAILED;
    }
}

static void blocked(struct shard *shard, struct request *request) {
    struct account *account = account_find(&shard->accounts, request->account);
    if (request->status == 0 && account)
        request->status = account_block(account, request->other, request->value != 0);
    struct session *session = request_session(shard, request);
    if (!session)
        return;
    session->requests--;
    struct frame_block body = {
        .account = request->other, .status = request_refusal(request->status), .on = request->value != 0};
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    session_put(session, out, frame_write_block(out, FRAME_BLOCKED, &body));
}

void calls_done(struct shard *shard, struct request *request) {
    switch (request->kind) {
    case REQUEST_FETCH:
        outbox_fetch_done(shard, request);
        return;
    case REQUEST_PURGE:
        outbox_purge_done(shard, request);
        return;
    case REQUEST_LINK:
        linked(shard, request);
        break;
    case REQUEST_LOOKUP:
        looked_up(shard, request);
        break;
    case REQUEST_BLOCK:
        blocked(shard, request);
        break;
    case REQUEST_KEYS_PUT:
    case REQUEST_KEYS_GET:
    case REQUEST_LIST_PUT:
    case REQUEST_LIST_GET:
    case REQUEST_CODE_ADD:
    case REQUEST_DEVICE_REVOKE:
        if (!keys_answered(shard, request))
            return;
        break;
    default:
        break;
    }
    request_free(request);
}
