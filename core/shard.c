#include "core/shard.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/must.h"
#include "core/mutant.h"
#include "core/switch.h"

#define CHECK_EVERY_MS 50 /* a slice of the sessions is looked at for timeouts */
#define CHECK_SLICES 20   /* so each of them once a second */
#define CHECK_CLOSES 8    /* of a crowd whose time is over, so many end together */
#define CHECK_AGAIN_MS 1  /* and the next ones after that */

/* --- a life --------------------------------------------------------------------------------------------- */

int shard_create(const struct shard_setup *setup, struct shard **ret_shard) {
    struct shard *shard = calloc(1, sizeof(*shard));
    if (!shard)
        return -ENOMEM;
    shard->session_limit = (uint32_t)setup->config->connections_max;
    shard->sessions = calloc(shard->session_limit, sizeof(*shard->sessions));
    shard->check_s = calloc(shard->session_limit, sizeof(*shard->check_s));
    shard->refused = calloc(REFUSED_MAX, sizeof(*shard->refused));
    shard->keys_asked = calloc(KEYS_ASKED_MAX, sizeof(*shard->keys_asked));
    if (!shard->sessions || !shard->check_s || !shard->refused || !shard->keys_asked ||
        hash_reserve(&shard->unsettled_by_id) < 0 || hash_reserve(&shard->unsettled_by_seq) < 0) {
        hash_fini(&shard->unsettled_by_id);
        hash_fini(&shard->unsettled_by_seq);
        free(shard->sessions);
        free(shard->check_s);
        free(shard->refused);
        free(shard->keys_asked);
        free(shard);
        return -ENOMEM;
    }
    shard->index = setup->index;
    shard->shards = setup->shards;
    shard->stores = setup->stores;
    shard->lanes = setup->lanes;
    shard->stats = setup->stats;
    shard->config = *setup->config;
    shard->io = setup->io;
    shard->store = setup->store;
    shard->connection_next = 1;
    shard->turn = HANDSHAKE_TURNS; /* there was none lately */
    shard->work_others = WORK_OTHERS_MAX;
    timer_wheel_init(&shard->waiting_tokens, 0);
    port_entropy(&shard->hash_key, sizeof(shard->hash_key));
    shard->utc_ms = setup->epoch_ms;
    memcpy(shard->secret, setup->server_secret, NOISE_KEY_BYTES);
    noise_public_key(shard->secret, shard->public_key);
    for (uint32_t i = 0; i < STORES_MAX; i++)
        shard->put_generation[i] = 1;
    *ret_shard = shard;
    return 0;
}

/* Several items share a receipt. */
static void free_receipt(struct receipt *receipt) {
    if (receipt && --receipt->pending == 0)
        free(receipt);
}

static void free_outbox(struct outbox *outbox) {
    while (outbox->head) {
        struct outbox_item *item = outbox->head;
        outbox->head = item->next;
        free_receipt(item->receipt);
        free(item);
    }
    while (outbox->unsettled) {
        struct outbox_item *item = outbox->unsettled;
        outbox->unsettled = item->next;
        free(item);
    }
    if (outbox->purge_waiting)
        free(outbox->purge_waiting->entries);
    free(outbox->purge_waiting);
}

/* Of requests that the shard made, a long purge for example: their answers came after its last turn. */
static void drop_answers(struct shard *shard) {
    struct note note;
    uint32_t from;
    while (lanes_take(shard->lanes, shard->index, &note, &from)) {
        if (note.kind != NOTE_REQUEST_DONE)
            continue;
        free(note.request->entries);
        free(note.request);
    }
}

/* After the threads have ended: what is in lanes, nobody looks at any more. */
void shard_destroy(struct shard *shard) {
    drop_answers(shard);
    for (uint32_t i = 0; i < shard->session_high; i++) {
        if (session_at(shard, i))
            session_destroy(session_at(shard, i));
    }
    for (uint32_t i = 0; i < shard->accounts.capacity; i++) {
        struct account *account = shard->accounts.slots[i];
        for (uint32_t j = 0; account && j < account->slots_used; j++) {
            if (account->devices[j])
                free_outbox(&account->devices[j]->outbox);
        }
    }
    hash_fini(&shard->unsettled_by_id);
    hash_fini(&shard->unsettled_by_seq);
    account_table_fini(&shard->accounts);
    while (shard->message_free) {
        struct message *message = shard->message_free;
        shard->message_free = message->next;
        free(message);
    }
    while (shard->item_free) {
        struct outbox_item *item = shard->item_free;
        shard->item_free = item->next;
        free(item);
    }
    while (shard->receipt_free) {
        struct receipt *receipt = shard->receipt_free;
        shard->receipt_free = receipt->next;
        free(receipt);
    }
    free(shard->refused);
    free(shard->check_s);
    free(shard->keys_asked);
    free(shard->sessions);
    explicit_bzero(shard->secret, sizeof(shard->secret));
    free(shard);
}

uint32_t shard_index(const struct shard *shard) {
    return shard->index;
}

void *shard_io(const struct shard *shard) {
    return shard->io;
}

void *shard_store(const struct shard *shard) {
    return shard->store;
}

/* --- loading -------------------------------------------------------------------------------------------- */

int shard_load_account(struct shard *shard, const struct account_record *record) {
    struct account *account;
    if (switch_home(shard, record->account) != shard->index)
        return 0;
    return account_insert(&shard->accounts, record, &account);
}

int shard_load_device(struct shard *shard, const struct device_record *record) {
    struct account *account = account_find(&shard->accounts, record->account);
    struct device *device;
    if (!account)
        return 0;
    int error = account_device_add(account, record, &device);
    return error == -ENOSPC && (record->flags & DEVICE_REVOKED) ? 0 : error;
}

int shard_load_block(struct shard *shard, uint64_t account_number, uint64_t blocked) {
    struct account *account = account_find(&shard->accounts, account_number);
    return account ? account_block(account, blocked, true) : 0;
}

/* A queue of an account that is gone was being purged when the switch ended. */
int shard_load_queue(struct shard *shard, uint64_t account_number, uint16_t device_number, uint64_t first_seq,
                     uint64_t last_seq, uint64_t bytes) {
    if (switch_home(shard, account_number) != shard->index)
        return 0;
    struct account *account = account_find(&shard->accounts, account_number);
    struct device *device = account ? account_device(account, device_number) : NULL;
    if (!device) {
        outbox_delete(shard, account_number, device_number, first_seq, last_seq);
        return 0;
    }
    device->outbox.drain_next = first_seq;
    device->outbox.queue_next = MUTANT(number_reused) ? last_seq : last_seq + 1;
    device->outbox.queue_bytes = bytes;
    device->outbox.bytes_from = bytes ? first_seq : last_seq + 1;
    device->outbox.counted_from = last_seq + 1;
    return 0;
}

/* Revoked devices whose queue was still there. */
static void purge_revoked(struct shard *shard) {
    for (uint32_t i = 0; i < shard->accounts.capacity; i++) {
        struct account *account = shard->accounts.slots[i];
        for (uint32_t j = 0; account && j < account->slots_used; j++) {
            struct device *device = account->devices[j];
            if (device && (device->flags & DEVICE_REVOKED) &&
                device->outbox.drain_next < device->outbox.queue_next)
                (void)outbox_purge(shard, device, NULL);
        }
    }
}

/* --- notes ---------------------------------------------------------------------------------------------- */

void switch_post(struct shard *shard, uint32_t party, struct note *note) {
    if (party == shard->index)
        switch_handle(shard, note);
    else
        lanes_post(shard->lanes, shard->index, party, note);
}

static void settled(struct shard *shard, const struct note *note) {
    const struct message_id *id = &note->range.id;
    struct account *account = account_find(&shard->accounts, id->to);
    struct device *device = account ? account_device(account, note->device) : NULL;
    if (!device)
        return;
    if (note->flags & (RECEIPT_DELIVERED | RECEIPT_FAILED))
        outbox_settled(shard, device, id, note->range.last);
    uint8_t confirmed = note->flags & (RECEIPT_DELIVERED | RECEIPT_READ);
    if (confirmed && device->session) {
        session_confirm(device->session, id, note->range.last, confirmed);
        stats_add(shard->stats->settled, 1);
    }
}

void switch_handle(struct shard *shard, const struct note *note) {
    shard->notes_handled++;
    switch (note->kind) {
    case NOTE_MESSAGE:
        route_arrived(shard, note->message);
        break;
    case NOTE_MESSAGE_HOME:
        message_home(shard, note->message);
        break;
    case NOTE_RECEIPT:
        receipt_arrived(shard, note);
        break;
    case NOTE_SETTLED:
        settled(shard, note);
        break;
    case NOTE_REFUSED:
        route_refused(shard, note);
        break;
    case NOTE_MOVE:
        port_move_arrived(shard, note->move);
        break;
    case NOTE_PUT_DONE:
        outbox_put_done(shard, note);
        break;
    case NOTE_REQUEST:
        calls_handle(shard, note->request);
        break;
    case NOTE_REQUEST_DONE:
        calls_done(shard, note->request);
        break;
    case NOTE_BUF_HOME:
        buf_drop(shard, note->buf);
        break;
    default:
        break;
    }
}

/* --- a turn --------------------------------------------------------------------------------------------- */

static void check_times(struct shard *shard) {
    if (shard->now_ms - shard->checked_ms < CHECK_EVERY_MS)
        return;
    shard->checked_ms = shard->now_ms;
    calls_forget_removed(shard);
    uint32_t slice = shard->session_high / CHECK_SLICES + 1;
    uint32_t closed = 0;
    for (uint32_t i = 0; i < slice && closed < CHECK_CLOSES; i++) {
        if (shard->check_cursor >= shard->session_high)
            shard->check_cursor = 0;
        if (shard->check_cursor >= shard->session_high)
            return;
        uint32_t conn = shard->check_cursor++;
        struct session *session = session_at(shard, conn);
        if (!session || shard->check_s[conn] > shard->now_ms / 1000)
            continue;
        bool closing = session->state == SESSION_CLOSING;
        shard->check_s[conn] = (uint32_t)(session_check_time(session) / 1000);
        closed += !closing && session->state == SESSION_CLOSING;
    }
    if (closed == CHECK_CLOSES)
        shard->checked_ms -= CHECK_EVERY_MS - CHECK_AGAIN_MS;
}

void shard_turn_begin(struct shard *shard, uint64_t now_ms, uint64_t utc_ms) {
    shard->now_ms = now_ms;
    shard->utc_ms = utc_ms;
    shard->turn++;
    if (!shard->started) {
        shard->started = true;
        purge_revoked(shard);
    }
    struct note note;
    uint32_t from;
    uint64_t taken = 0;
    while (taken < NOTES_PER_TURN && lanes_take(shard->lanes, shard->index, &note, &from)) {
        switch_handle(shard, &note);
        taken++;
    }
    stats_add(shard->stats->notes, taken);
    outbox_age(shard);
    check_times(shard);
}

/* After input and output: what they left to say. */
void shard_turn_end(struct shard *shard) {
    receipt_flush(shard);
    pause_try_all(shard);
    receipt_flush(shard);
    defer_run(shard);
    calls_check_drain(shard);
    port_store_read_end(shard);
}

static uint64_t earlier(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

uint64_t shard_next_ms(const struct shard *shard) {
    uint64_t next_ms = pause_next_ms(shard);
    if (shard->session_count || shard->removed_head)
        next_ms = earlier(next_ms, shard->checked_ms + CHECK_EVERY_MS);
    if (shard->age_head)
        next_ms = earlier(next_ms, shard->age_head->since_ms + shard->config.spill_ms);
    if (shard->hold_cursor)
        next_ms = earlier(next_ms, shard->hold_cursor->since_ms + shard->config.hold_ms);
    return next_ms;
}

bool shard_defers(const struct shard *shard) {
    return defer_waits(&shard->defer);
}

bool shard_drained(const struct shard *shard) {
    return shard->stopping;
}

/* --- connections ---------------------------------------------------------------------------------------- */

static void session_enter(struct shard *shard, struct session *session) {
    uint32_t conn = session->conn;
    shard->check_s[conn] = 0;
    shard->session_count++;
    session_count_pending(session, true);
    if (conn >= shard->session_high)
        shard->session_high = conn + 1;
    stats_add(shard->stats->connections, 1);
}

int shard_accepted(struct shard *shard, uint32_t conn, bool plaintext, bool exempt) {
    if (shard->draining)
        return -EAGAIN;
    if (shard->pending_count >= shard->config.pending_max)
        return -EBUSY;
    struct session *session = session_create(shard, conn, plaintext, exempt);
    if (!session)
        return -ENOMEM;
    session_enter(shard, session);
    stats_add(shard->stats->connections_accepted, 1);
    return 0;
}

void shard_moved_in(struct shard *shard, uint32_t conn, struct session_move *move) {
    struct session *session = session_move_in(shard, conn, move->session);
    session_enter(shard, session);
    stats_add(shard->stats->connections_moved, 1);
    free(move);
    login_at_home(session);
    if (session->state == SESSION_OPEN)
        (void)session_resume(session);
}

void shard_move_failed(struct shard *shard, struct session_move *move) {
    struct session *session = move->session;
    free(move);
    session->shard = shard;
    stats_add(shard->stats->closed[CLOSE_MOVE_FAILED], 1);
    session_destroy(session);
    free(session);
}

void shard_input(struct shard *shard, uint32_t conn, struct buf *buf, uint32_t offset, uint32_t bytes) {
    struct session *session = session_at(shard, conn);
    if (session)
        session_input(session, buf, offset, bytes);
    else
        buf_drop(shard, buf);
}

/* The kernel noticed the silence of a peer a little before idle_s. It says so once: where that was to a send
 * that had got rid of a part, what is left to say is EPIPE. */
static bool is_silence(const struct session *session, int error) {
    uint64_t silent_ms = session->shard->now_ms - session->heard_ms;
    return error == ETIMEDOUT || error == EHOSTUNREACH || error == ENETUNREACH ||
           (error == EPIPE && silent_ms >= session->shard->config.ping_s * 1000);
}

void shard_ended(struct shard *shard, uint32_t conn, int error) {
    struct session *session = session_at(shard, conn);
    if (!session)
        return;
    bool middle = session->partial_bytes || session->state == SESSION_HANDSHAKE;
    if (is_silence(session, error))
        session_close(session, CLOSE_IDLE);
    else
        session_close(session, error ? CLOSE_PEER_RESET : middle ? CLOSE_TRUNCATED : CLOSE_PEER);
}

void shard_refuse(struct shard *shard, uint32_t conn, enum close_reason reason) {
    if (session_at(shard, conn))
        session_close(session_at(shard, conn), reason);
    else
        stats_add(shard->stats->closed[reason], 1);
}

size_t shard_output(struct shard *shard, uint32_t conn, uint8_t *space, size_t space_bytes,
                    size_t *ret_needed) {
    struct session *session = session_at(shard, conn);
    *ret_needed = 0;
    return session ? session_output(session, space, space_bytes, ret_needed) : 0;
}

void shard_closed(struct shard *shard, uint32_t conn) {
    struct session *session = session_at(shard, conn);
    if (!session)
        return;
    session_close(session, CLOSE_PEER);
    shard->session_count--;
    stats_add(shard->stats->connections, -1);
    session_destroy(session);
}
