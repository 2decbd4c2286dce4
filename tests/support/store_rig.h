/* tests/support/store_rig.h: a real store in a folder of its own, and lanes to it: the test plays shards and
 * admin.
 *
 * Threads: the test's.  Memory: the rig's; the folder is removed by rig_remove. */
#ifndef TERN_TESTS_SUPPORT_STORE_RIG_H
#define TERN_TESTS_SUPPORT_STORE_RIG_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/stats.h"
#include "storage/environment.h"

#define RIG_SHARDS 2
#define RIG_WAIT_MS 20000
#define RIG_FRAME_BYTES 1024

struct rig {
    char folder[64];
    struct config config;
    struct lanes *lanes;
    struct stats *stats;
    struct store *store;
    char error[256];
};

static inline void rig_make(struct rig *rig) {
    memset(rig, 0, sizeof(*rig));
    snprintf(rig->folder, sizeof(rig->folder), "/tmp/tern-store-XXXXXX");
    cr_assert_not_null(mkdtemp(rig->folder));
    rig->config.store_environments = 1;
    rig->config.map_bytes = 64u << 20;
    rig->config.map_reserve_percent = 10;
    rig->config.queue_messages_max = 1000000;
    rig->config.blocks_max = 2;
    rig->config.code_ttl_s = 3600;
    rig->config.one_time_keys_max = 100;
    rig->config.expiry_sweep_s = 3600;
    rig->config.clock_jump_ms = 60000;
}

static inline void rig_remove(struct rig *rig) {
    char command[96];
    snprintf(command, sizeof(command), "rm -rf '%s'", rig->folder);
    cr_assert_eq(system(command), 0);
}

static inline void rig_ring(void *context, uint32_t party) {
    struct rig *rig = context;
    if (party >= RIG_SHARDS && party < RIG_SHARDS + rig->config.store_environments)
        store_ring(rig->store, party);
}

static inline uint32_t rig_admin(const struct rig *rig) {
    return RIG_SHARDS + (uint32_t)rig->config.store_environments;
}

static inline int rig_try_open(struct rig *rig) {
    cr_assert_eq(lanes_create(rig_admin(rig) + 1, 1024, &rig->lanes), 0);
    rig->stats = calloc(rig->config.store_environments, sizeof(struct stats));
    struct store_setup setup = {.folder = rig->folder,
                                .config = &rig->config,
                                .lanes = rig->lanes,
                                .shards = RIG_SHARDS,
                                .stats = rig->stats,
                                .ring = rig_ring,
                                .ring_context = rig};
    return store_open(&setup, &rig->store, rig->error, sizeof(rig->error));
}

static inline void rig_open(struct rig *rig) {
    int error = rig_try_open(rig);
    cr_assert_eq(error, 0, "store_open: %d %s", error, rig->error);
}

static inline void rig_start(struct rig *rig) {
    rig_open(rig);
    cr_assert_eq(store_start(rig->store), 0);
}

static inline void rig_close(struct rig *rig) {
    if (rig->store) {
        store_stop(rig->store);
        store_close(rig->store);
    }
    rig->store = NULL;
    lanes_destroy(rig->lanes);
    free(rig->stats);
}

static inline void rig_post(struct rig *rig, uint32_t from, uint32_t to, const struct note *note) {
    lanes_post(rig->lanes, from, to, note);
    lanes_publish(rig->lanes, from, rig_ring, rig);
}

/* False where nothing came for so long. */
static inline bool rig_take(struct rig *rig, uint32_t party, uint32_t wait_ms, struct note *ret_note) {
    uint32_t from;
    for (uint32_t waited = 0; waited <= wait_ms * 10; waited++) {
        if (lanes_take(rig->lanes, party, ret_note, &from))
            return true;
        lanes_publish(rig->lanes, party, rig_ring, rig); /* what its outlet kept */
        usleep(100);
    }
    return false;
}

static inline uint32_t rig_message(uint8_t *frame, uint64_t to, uint64_t number, const char *text,
                                   size_t bytes) {
    uint8_t payload[RIG_FRAME_BYTES - FRAME_MESSAGE_BYTES] = {0};
    snprintf((char *)payload, sizeof(payload), "%s", text);
    struct frame_message message = {
        .id = {.from = 7, .to = to, .epoch = 9, .number = number, .from_device = 3},
        .ttl_s = 60,
        .payload = payload,
        .payload_bytes = (uint32_t)bytes};
    return (uint32_t)frame_write_message(frame, &message);
}

static inline uint32_t rig_receipt(uint8_t *frame, uint64_t number) {
    struct frame_range range = {.id = {.from = 7, .to = 8, .epoch = 9, .number = number, .from_device = 3},
                                .last = number};
    return (uint32_t)frame_write_range(frame, FRAME_RECEIPT, RECEIPT_SENT, &range);
}

struct rig_put { /* zero where it does not matter */
    uint64_t account, seq, expires_ms;
    uint16_t device;
    uint32_t generation, from;
    bool receipt;
    size_t bytes; /* of the payload */
    const char *text;
};

/* Posts a put; the frame stays where the caller says until it is done. */
static inline void rig_post_put(struct rig *rig, const struct rig_put *put, uint8_t *frame) {
    const char *text = put->text ? put->text : "text";
    size_t bytes = put->bytes ? put->bytes : strlen(text);
    uint32_t frame_bytes =
        put->receipt ? rig_receipt(frame, put->seq) : rig_message(frame, put->account, put->seq, text, bytes);
    struct note note = {.kind = NOTE_PUT, .device = put->device ? put->device : 1};
    note.put.account = put->account;
    note.put.seq = put->seq;
    note.put.frame = frame;
    note.put.frame_bytes = frame_bytes;
    note.put.generation = put->generation;
    note.put.expires_ms = put->expires_ms ? put->expires_ms : UINT64_MAX;
    rig_post(rig, put->from, RIG_SHARDS + store_environment_of(rig->store, put->account), &note);
}

static inline int rig_done(struct rig *rig, uint32_t party) {
    struct note note;
    cr_assert(rig_take(rig, party, RIG_WAIT_MS, &note), "no answer");
    cr_assert_eq(note.kind, NOTE_PUT_DONE);
    return note.status;
}

static inline int rig_put(struct rig *rig, struct rig_put put) {
    uint8_t frame[RIG_FRAME_BYTES];
    rig_post_put(rig, &put, frame);
    return rig_done(rig, put.from);
}

static inline int rig_request_to(struct rig *rig, uint32_t party, struct request *request) {
    struct note note = {.kind = NOTE_REQUEST, .request = request};
    uint32_t admin = rig_admin(rig);
    request->from = (uint16_t)admin;
    rig_post(rig, admin, party, &note);
    cr_assert(rig_take(rig, admin, RIG_WAIT_MS, &note), "no answer");
    cr_assert_eq(note.kind, NOTE_REQUEST_DONE);
    cr_assert_eq(note.request, request);
    return request->status;
}

static inline int rig_request(struct rig *rig, struct request *request) {
    return rig_request_to(rig, RIG_SHARDS, request);
}

/* Deletes and waits for it: requests are answered after the deletes that were posted before them. */
static inline void rig_delete(struct rig *rig, uint64_t account, uint16_t device, uint64_t first,
                              uint64_t last) {
    uint32_t party = RIG_SHARDS + store_environment_of(rig->store, account);
    struct note note = {.kind = NOTE_DELETE, .device = device};
    note.erase.account = account;
    note.erase.first = first;
    note.erase.last = last;
    rig_post(rig, rig_admin(rig), party, &note);
    struct request request = {.kind = REQUEST_FETCH, .account = account, .device_number = device};
    cr_assert_eq(rig_request_to(rig, party, &request), 0);
}

static inline int rig_account(struct rig *rig, const char *name, uint64_t *ret_account, uint8_t *ret_code) {
    struct account_record record = {0};
    uint8_t code[1][FRAME_CODE_BYTES];
    struct request request = {.kind = REQUEST_ACCOUNT_ADD, .accounts = &record, .codes = code, .count = 1};
    snprintf(record.name, sizeof(record.name), "%s", name);
    int status = rig_request(rig, &request);
    if (status == 0) {
        *ret_account = record.account;
        memcpy(ret_code, code[0], FRAME_CODE_BYTES);
    }
    return status;
}

/* How many entries a queue has, as a shard reads them; every one must be whole. */
static inline uint64_t rig_count(struct rig *rig, uint64_t account, uint16_t device) {
    struct store_view view;
    uint64_t count = 0, seq = 0;
    while (drain_read(rig->store, 0, account, device, seq, &view) == 0) {
        count++;
        seq = view.seq + 1;
    }
    drain_read_end(rig->store, 0);
    return count;
}

#endif
