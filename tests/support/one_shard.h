/* tests/support/one_shard.h: the real core, one shard of it, with sockets and a store that do as the test
 * says and at once: bytes in, bytes out, a clock that stands still between turns. It supplies core/port.h, so
 * exactly one file of a test program includes it.
 *
 * Threads: one.  Memory: one_shard_end gives back everything, what core lost is a leak that the sanitizer
 * shows. */
#ifndef TERN_TESTS_SUPPORT_ONE_SHARD_H
#define TERN_TESTS_SUPPORT_ONE_SHARD_H

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/config.h"
#include "core/frame_keys.h"
#include "core/lane.h"
#include "core/port.h"
#include "core/shard.h"
#include "core/stats.h"
#include "core/switch.h"

#define ONE_CONNS_MAX 8
#define ONE_ACCOUNTS_MAX 4
#define ONE_DEVICES_MAX 8 /* numbers of an account */
#define ONE_STORE 1       /* party */
#define ONE_LANE_SLOTS 16

struct one_entry {
    uint64_t account, seq;
    uint16_t device;
    uint32_t frame_bytes;
    uint64_t expires_ms;
    uint8_t *frame;
};

struct one_conn {
    bool used, ready, closing;
    uint8_t *out; /* what the switch sent */
    size_t out_bytes, out_capacity;
};

struct one_shard {
    struct config config; /* to be changed between one_shard_begin and one_shard_start */
    struct lanes *lanes;
    struct stats stats;
    struct shard *shard;
    uint64_t now_ms, utc_ms;
    uint8_t secret[NOISE_KEY_BYTES];  /* the switch's key */
    uint8_t entropy[NOISE_KEY_BYTES]; /* what port_entropy gives, again and again */
    uint8_t code[FRAME_CODE_BYTES];   /* the one that links */
    struct account_record accounts[ONE_ACCOUNTS_MAX];
    uint32_t account_count;
    struct device_record published[ONE_ACCOUNTS_MAX]; /* keys, of each account's device that did it last */
    struct one_conn conns[ONE_CONNS_MAX];
    struct one_entry *entries; /* in the order of account, device, seq */
    size_t entry_count, entry_capacity;
    int keys_status;   /* of the commit of published keys */
    bool store_full;   /* takes no messages */
    bool store_broken; /* takes nothing */
    bool page_missing; /* what is read from it is not what is there */
    bool clock_wrong;  /* the store sees its clocks disagree */
    bool bufs_scarce;
    uint64_t refused_from[ONE_ACCOUNTS_MAX + 1][ONE_DEVICES_MAX + 1]; /* of full queues: "When a put fails" */
    uint32_t log_lines;
    char log[256];  /* the last */
    uint64_t moved; /* bytes sent and notes taken so far: a turn that adds nothing is quiet */
};

static struct one_shard one;

/* --- io's side of core/port.h --------------------------------------------------------------------------- */

void port_output_ready(struct shard *shard, uint32_t conn) {
    (void)shard;
    one.conns[conn].ready = true;
}

/* What is given to one_shard_input was received already: it comes in all the same. */
void port_input_pause(struct shard *shard, uint32_t conn) {
    (void)shard, (void)conn;
}

void port_input_resume(struct shard *shard, uint32_t conn) {
    (void)shard, (void)conn;
}

void port_input_quiet(struct shard *shard, uint32_t conn) {
    (void)shard, (void)conn;
}

void port_close(struct shard *shard, uint32_t conn) {
    (void)shard;
    one.conns[conn].closing = true;
}

void port_address(struct shard *shard, uint32_t conn, char out[ADDRESS_TEXT_BYTES]) {
    (void)shard, (void)conn;
    snprintf(out, ADDRESS_TEXT_BYTES, "192.0.2.1");
}

void port_settle(struct shard *shard, uint32_t conn) {
    (void)shard, (void)conn;
}

void port_move(struct shard *shard, uint32_t conn, uint32_t target_shard, struct session_move *move) {
    (void)shard, (void)conn, (void)target_shard, (void)move;
    abort(); /* there is no other shard */
}

void port_move_arrived(struct shard *shard, struct session_move *move) {
    (void)shard, (void)move;
    abort();
}

void port_buf_give_back(struct shard *shard, struct buf *buf) {
    (void)shard;
    free(buf->data);
    free(buf);
}

bool port_bufs_scarce(struct shard *shard) {
    (void)shard;
    return one.bufs_scarce;
}

void port_entropy(void *bytes, size_t count) {
    for (size_t i = 0; i < count; i++)
        ((uint8_t *)bytes)[i] = one.entropy[i % sizeof(one.entropy)];
}

void port_log(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(one.log, sizeof(one.log), format, arguments);
    va_end(arguments);
    one.log_lines++;
}

/* --- storage's side ------------------------------------------------------------------------------------- */

static size_t one_find(uint64_t account, uint16_t device, uint64_t seq) {
    size_t at = 0;
    for (; at < one.entry_count; at++) {
        const struct one_entry *entry = &one.entries[at];
        if (entry->account != account ? entry->account > account
            : entry->device != device ? entry->device > device
                                      : entry->seq >= seq)
            break;
    }
    return at;
}

static bool one_is_queue(size_t at, uint64_t account, uint16_t device) {
    return at < one.entry_count && one.entries[at].account == account && one.entries[at].device == device;
}

int port_store_read(struct shard *shard, uint64_t account, uint16_t device, uint64_t seq,
                    struct store_view *ret_view) {
    (void)shard;
    size_t at = one_find(account, device, seq);
    if (!one_is_queue(at, account, device))
        return -ENOENT;
    const struct one_entry *entry = &one.entries[at];
    *ret_view = (struct store_view){.seq = entry->seq,
                                    .frame = entry->frame,
                                    .frame_bytes = entry->frame_bytes,
                                    .expires_ms = entry->expires_ms};
    return 0;
}

int port_store_read_check(struct shard *shard, uint64_t account) {
    (void)shard;
    (void)account;
    return one.page_missing ? -EIO : 0;
}

void port_store_read_end(struct shard *shard) {
    (void)shard;
}

uint32_t port_store_party(const struct shard *shard, uint64_t account) {
    (void)shard, (void)account;
    return ONE_STORE;
}

uint32_t port_directory_party(const struct shard *shard) {
    (void)shard;
    return ONE_STORE;
}

static bool one_queue_takes(const struct note *note) {
    uint64_t *refused_from = &one.refused_from[note->put.account][note->device];
    size_t messages = 0;
    for (size_t at = one_find(note->put.account, note->device, 0);
         one_is_queue(at, note->put.account, note->device); at++)
        messages += one.entries[at].frame[2] == FRAME_MESSAGE;
    if (*refused_from && note->put.seq > *refused_from)
        return false;
    bool full = note->put.frame[2] == FRAME_MESSAGE && messages >= one.config.queue_messages_max;
    *refused_from = full ? note->put.seq : 0;
    return !full;
}

static int one_put(const struct note *note) {
    if (one.store_broken)
        return -EIO;
    if (!one_queue_takes(note))
        return -EDQUOT;
    if (one.store_full && note->put.frame[2] == FRAME_MESSAGE)
        return -ENOSPC;
    if (one.entry_count == one.entry_capacity) {
        one.entry_capacity = one.entry_capacity ? one.entry_capacity * 2 : 64;
        one.entries = realloc(one.entries, one.entry_capacity * sizeof(*one.entries));
    }
    size_t at = one_find(note->put.account, note->device, note->put.seq);
    memmove(one.entries + at + 1, one.entries + at, (one.entry_count - at) * sizeof(*one.entries));
    struct one_entry *entry = &one.entries[at];
    *entry = (struct one_entry){.account = note->put.account,
                                .seq = note->put.seq,
                                .device = note->device,
                                .frame_bytes = note->put.frame_bytes,
                                .expires_ms = note->put.expires_ms,
                                .frame = malloc(note->put.frame_bytes)};
    memcpy(entry->frame, note->put.frame, entry->frame_bytes);
    one.entry_count++;
    return 0;
}

static void one_delete(const struct note *note) {
    size_t at = one_find(note->erase.account, note->device, note->erase.first);
    while (one_is_queue(at, note->erase.account, note->device) && one.entries[at].seq <= note->erase.last) {
        free(one.entries[at].frame);
        one.entry_count--;
        memmove(one.entries + at, one.entries + at + 1, (one.entry_count - at) * sizeof(*one.entries));
    }
}

static int one_fetch(struct request *request) {
    size_t at = one_find(request->account, request->device_number, request->first);
    request->count = 0;
    for (; one_is_queue(at, request->account, request->device_number); at++) {
        const struct one_entry *entry = &one.entries[at];
        if (entry->seq > request->last || request->count == request->value ||
            request->count == request->capacity)
            break;
        request->entries[request->count++] =
            (struct queue_entry){.seq = entry->seq,
                                 .frame_bytes = entry->frame_bytes,
                                 .expired = !one.clock_wrong && entry->expires_ms <= one.utc_ms};
    }
    return 0;
}

static int one_link(struct request *request) {
    for (uint32_t i = 0; i < one.account_count; i++) {
        if (one.accounts[i].account != request->account)
            continue;
        if (memcmp(request->code, one.code, sizeof(one.code)) != 0)
            return -EKEYREJECTED;
        request->device_number = one.accounts[i].device_next++;
        return 0;
    }
    return -ENOENT;
}

static int one_lookup(struct request *request) {
    for (uint32_t i = 0; i < one.account_count; i++) {
        const struct account_record *record = &one.accounts[i];
        if (request->name[0] ? strcmp(record->name, request->name) != 0 : record->account != request->account)
            continue;
        request->account = record->account;
        memcpy(request->name, record->name, sizeof(request->name));
        return 0;
    }
    return -ENOENT;
}

/* Keys of one device of an account, whose one-time pre-keys have the ids up to the last. */
static int one_keys_put(struct request *request) {
    struct device_record *record = &one.published[request->account - 1];
    const uint8_t *one_time = request->bytes + FRAME_KEYS_BYTES;
    record->account = request->account;
    record->device = request->device_number;
    record->signed_id = frame_keys_signed_id(request->bytes);
    record->one_time_left = (uint16_t)(record->one_time_left + request->count);
    if (request->count)
        record->one_time_last = frame_one_time_id(one_time + (request->count - 1) * FRAME_ONE_TIME_BYTES);
    request->devices = malloc(sizeof(*record));
    request->devices[0] = *record;
    return one.keys_status;
}

static int one_keys_get(struct request *request) {
    uint8_t keys[FRAME_KEYS_BYTES] = {0}, one_time[FRAME_ONE_TIME_BYTES] = {0};
    if (request->account == 0 || request->account > one.account_count)
        return -ENOENT;
    struct device_record *record = &one.published[request->account - 1];
    if (!record->signed_id)
        return -ENODEV;
    if (record->one_time_left)
        bytes_put32(one_time, record->one_time_last + 1 - record->one_time_left--);
    free(request->bytes);
    request->bytes = malloc(FRAME_KEYS_ROW_BYTES);
    request->devices = malloc(sizeof(*record));
    frame_write_keys_row(request->bytes, record->device, keys, one_time);
    request->devices[0] = *record;
    request->bytes_count = FRAME_KEYS_ROW_BYTES;
    request->count = 1;
    return 0;
}

static int one_answer(struct request *request) {
    switch (request->kind) {
    case REQUEST_FETCH:
        return one_fetch(request);
    case REQUEST_LINK:
        return one_link(request);
    case REQUEST_LOOKUP:
        return one_lookup(request);
    case REQUEST_KEYS_PUT:
        return one_keys_put(request);
    case REQUEST_KEYS_GET:
        return one_keys_get(request);
    case REQUEST_LIST_PUT:
        request->value = request->first;
        return 0;
    default:
        return 0;
    }
}

/* Commits at once. */
static void one_store(void) {
    struct note note;
    uint32_t from;
    while (lanes_take(one.lanes, ONE_STORE, &note, &from)) {
        one.moved++;
        if (note.kind == NOTE_PUT) {
            note.status = one_put(&note);
            note.kind = NOTE_PUT_DONE;
            lanes_post(one.lanes, ONE_STORE, from, &note);
        } else if (note.kind == NOTE_DELETE) {
            one_delete(&note);
        } else if (note.kind == NOTE_REQUEST) {
            note.request->status = one_answer(note.request);
            note.kind = NOTE_REQUEST_DONE;
            lanes_post(one.lanes, ONE_STORE, from, &note);
        }
    }
}

/* --- turns ---------------------------------------------------------------------------------------------- */

static void one_ring(void *context, uint32_t party) {
    (void)context, (void)party;
}

static void one_output(uint32_t index) {
    static uint8_t space[70000];
    struct one_conn *conn = &one.conns[index];
    size_t needed, bytes;
    conn->ready = false;
    while ((bytes = shard_output(one.shard, index, space, sizeof(space), &needed)) != 0) {
        if (conn->out_bytes + bytes > conn->out_capacity) {
            conn->out_capacity = 2 * (conn->out_bytes + bytes);
            conn->out = realloc(conn->out, conn->out_capacity);
        }
        memcpy(conn->out + conn->out_bytes, space, bytes);
        conn->out_bytes += bytes;
        one.moved += bytes;
    }
}

/* A turn in which these bytes come in on a connection; none: what lanes and time bring. The buffer has no
 * byte more than what came, so that the sanitizer sees who reads on. */
static void one_shard_input(uint32_t index, const uint8_t *bytes, size_t count) {
    shard_turn_begin(one.shard, one.now_ms, one.utc_ms);
    if (count) {
        struct buf *buf = calloc(1, sizeof(*buf));
        *buf = (struct buf){.data = malloc(count), .capacity = (uint32_t)count, .refs = 1, .kind = BUF_RING};
        memcpy(buf->data, bytes, count);
        shard_input(one.shard, index, buf, 0, (uint32_t)count);
    }
    for (uint32_t i = 0; i < ONE_CONNS_MAX; i++) {
        if (one.conns[i].used && one.conns[i].ready)
            one_output(i);
    }
    shard_turn_end(one.shard);
    for (uint32_t i = 0; i < ONE_CONNS_MAX; i++) {
        struct one_conn *conn = &one.conns[i];
        if (!conn->used || !conn->closing)
            continue;
        one_output(i);
        conn->used = conn->closing = false;
        shard_closed(one.shard, i);
    }
    lanes_publish(one.lanes, 0, one_ring, NULL);
    one_store();
    lanes_publish(one.lanes, ONE_STORE, one_ring, NULL);
}

static uint64_t one_moved(void) {
    return one.moved + stats_get(one.stats.notes);
}

/* As many turns as it takes until everything that came has had its answer. What a turn leaves to say is said
 * in the next, so one quiet turn is not enough. */
static void one_shard_settle(void) {
    for (int i = 0, quiet = 0; i < 12 && quiet < 2; i++) {
        uint64_t before = one_moved();
        one_shard_input(0, NULL, 0);
        quiet = one_moved() == before ? quiet + 1 : 0;
    }
}

static inline void one_shard_accept(uint32_t index, bool plaintext) {
    struct one_conn *conn = &one.conns[index];
    conn->used = shard_accepted(one.shard, index, plaintext, true) == 0;
    conn->ready = conn->closing = false;
    conn->out_bytes = 0;
}

static void one_shard_cut(uint32_t index, int error) {
    if (!one.conns[index].used)
        return;
    shard_ended(one.shard, index, error);
    one_shard_settle();
}

/* --- a life --------------------------------------------------------------------------------------------- */

static void one_shard_begin(void) {
    memset(&one, 0, sizeof(one));
    one.now_ms = 1000;
    one.utc_ms = UINT64_C(1700000000000);
    config_defaults(&one.config);
    one.config.connections_max = ONE_CONNS_MAX;
}

static void one_shard_start(void) {
    struct shard_setup setup = {.shards = 1,
                                .stores = 1,
                                .config = &one.config,
                                .stats = &one.stats,
                                .server_secret = one.secret,
                                .epoch_ms = one.utc_ms};
    if (lanes_create(3, ONE_LANE_SLOTS, &one.lanes) < 0)
        abort();
    setup.lanes = one.lanes;
    if (shard_create(&setup, &one.shard) < 0)
        abort();
}

/* Accounts are numbered from 1. Their first device, with this key, is there already; NULL: none yet. */
static void one_shard_account(const char *name, const uint8_t *key) {
    struct account_record *record = &one.accounts[one.account_count++];
    *record = (struct account_record){.account = one.account_count, .device_next = 1};
    snprintf(record->name, sizeof(record->name), "%s", name);
    if (shard_load_account(one.shard, record) < 0)
        abort();
    if (!key)
        return;
    struct device_record device = {.account = record->account, .device = record->device_next++};
    memcpy(device.key, key, KEY_BYTES);
    if (shard_load_device(one.shard, &device) < 0)
        abort();
}

/* Everybody goes, what is on its way is spilled; then nothing may be left. */
static void one_shard_end(void) {
    one.store_full = false;
    for (uint32_t i = 0; i < ONE_CONNS_MAX; i++)
        one_shard_cut(i, 0);
    for (int i = 0; i < 1000 && (one.shard->messages_out || one.shard->puts_out); i++) {
        one.now_ms += 1000;
        one_shard_settle();
    }
    if (one.shard->messages_out || one.shard->puts_out)
        abort();
    shard_destroy(one.shard);
    lanes_destroy(one.lanes);
    for (size_t i = 0; i < one.entry_count; i++)
        free(one.entries[i].frame);
    free(one.entries);
    for (uint32_t i = 0; i < ONE_CONNS_MAX; i++)
        free(one.conns[i].out);
}

#endif
