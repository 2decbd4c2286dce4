#include "bench/micro_route.h"

#include <errno.h>
#include <string.h>

#include "core/bytes.h"
#include "core/config.h"
#include "core/lane.h"
#include "core/must.h"
#include "core/port.h"
#include "core/record.h"
#include "core/shard.h"
#include "core/stats.h"
#include "tools/client/peer.h"

#define STORE 1 /* party; the shard is 0, the admin thread 2 */
#define PARTIES 3
#define LANE_SLOTS 64
#define BUFS 8 /* a message keeps its buffer until it is acknowledged */
#define PAYLOAD_BYTES 200u
#define FRAME_BYTES (FRAME_MESSAGE_BYTES + PAYLOAD_BYTES)
#define MESSAGES_BYTES (MICRO_ROUTE_BATCH * FRAME_BYTES)
#define RECORD_BYTES (RECORD_LENGTH_BYTES + MESSAGES_BYTES + FRAME_SMALL_BYTES_MAX)
#define NUMBER_AT 16 /* in a message's frame: docs/PROTOCOL.md, "Frames" */

/* A device: its account's number is its place's plus one. */
struct device_end {
    struct peer *peer;
    uint64_t items;
    bool is_ready; /* the shard has something to say to it */
    uint8_t out[4 * RECORD_BYTES];
    size_t out_bytes;
};

static struct route {
    struct config config;
    struct stats stats;
    struct lanes *lanes;
    struct shard *shard;
    uint64_t now_ms;
    struct buf bufs[BUFS];
    uint8_t bytes[BUFS][RECORD_BYTES];
    struct device_end ends[2];
} route;

/* --- core/port.h ---------------------------------------------------------------------------------------- */

void port_output_ready(struct shard *shard, uint32_t conn) {
    (void)shard;
    route.ends[conn].is_ready = true;
}

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
    (void)shard, (void)conn; /* micro_route ends both sessions itself */
}

void port_address(struct shard *shard, uint32_t conn, char out[ADDRESS_TEXT_BYTES]) {
    (void)shard, (void)conn;
    out[0] = 0; /* nobody asks */
}

void port_settle(struct shard *shard, uint32_t conn) {
    (void)shard, (void)conn;
}

void port_move(struct shard *shard, uint32_t conn, uint32_t target_shard, struct session_move *move) {
    (void)conn, (void)target_shard, (void)move;
    must(shard == NULL); /* there is no other to move to */
}

void port_move_arrived(struct shard *shard, struct session_move *move) {
    (void)move;
    must(shard == NULL); /* there is no other to move to */
}

void port_buf_give_back(struct shard *shard, struct buf *buf) {
    (void)shard, (void)buf; /* it is free by its count of references */
}

bool port_bufs_scarce(struct shard *shard) {
    (void)shard;
    return false;
}

void port_entropy(void *bytes, size_t count) {
    memset(bytes, 7, count); /* nothing here is secret */
}

void port_log(const char *format, ...) {
    (void)format;
}

int port_store_read(struct shard *shard, uint64_t account, uint16_t device, uint64_t seq,
                    struct store_view *ret_view) {
    (void)shard, (void)account, (void)device, (void)seq, (void)ret_view;
    return -ENOENT; /* nothing is kept: both devices are there and have room */
}

int port_store_read_check(struct shard *shard, uint64_t account) {
    (void)shard, (void)account;
    return 0;
}

void port_store_read_end(struct shard *shard) {
    (void)shard;
}

uint32_t port_store_party(const struct shard *shard, uint64_t account) {
    (void)shard, (void)account;
    return STORE;
}

uint32_t port_directory_party(const struct shard *shard) {
    (void)shard;
    return STORE;
}

/* --- turns ---------------------------------------------------------------------------------------------- */

static void ring(void *context, uint32_t party) {
    (void)context, (void)party;
}

static void answer_requests(void) {
    struct note note;
    uint32_t from;
    while (lanes_take(route.lanes, STORE, &note, &from)) {
        must(note.kind != NOTE_PUT);
        if (note.kind != NOTE_REQUEST)
            continue;
        note.request->status = 0;
        note.request->count = 0;
        note.kind = NOTE_REQUEST_DONE;
        lanes_post(route.lanes, STORE, from, &note);
    }
    lanes_publish(route.lanes, STORE, ring, NULL);
}

/* There is always one: a round leaves nothing out. */
static struct buf *find_buf(void) {
    uint32_t i = 0;
    while (i < BUFS && route.bufs[i].refs)
        i++;
    must(i < BUFS);
    return &route.bufs[i];
}

/* A turn in which these bytes come from a device. What the shard says is in the ends' `out` afterwards. */
static void turn(uint32_t conn, const uint8_t *bytes, size_t count) {
    shard_turn_begin(route.shard, route.now_ms, UINT64_C(1700000000000) + route.now_ms);
    if (count) {
        struct buf *buf = find_buf();
        must(count <= buf->capacity);
        memcpy(buf->data, bytes, count);
        buf->refs = 1;
        shard_input(route.shard, conn, buf, 0, (uint32_t)count);
    }
    for (uint32_t i = 0; i < 2; i++) {
        struct device_end *end = &route.ends[i];
        size_t needed, got;
        end->out_bytes = 0;
        while (end->is_ready && (got = shard_output(route.shard, i, end->out + end->out_bytes,
                                                    sizeof(end->out) - end->out_bytes, &needed)) != 0)
            end->out_bytes += got;
        end->is_ready = false;
    }
    shard_turn_end(route.shard);
    lanes_publish(route.lanes, 0, ring, NULL);
    answer_requests();
}

/* --- logging in ----------------------------------------------------------------------------------------- */

static int skip_frame(void *context, struct peer *peer, const struct frame *frame) {
    (void)context, (void)peer, (void)frame;
    return 0;
}

static void log_in(uint32_t conn) {
    struct device_end *end = &route.ends[conn];
    struct peer_setup setup = {.pattern = HELLO_PLAINTEXT,
                               .link = {.account = conn + 1, .epoch = 1, .device = 1}};
    must(peer_create(&setup, &end->peer) == 0);
    must(shard_accepted(route.shard, conn, true, true) == 0);
    for (int i = 0; i < 8; i++) {
        const uint8_t *bytes;
        size_t count = peer_output(end->peer, &bytes);
        turn(conn, bytes, count);
        peer_sent(end->peer, count);
        must(peer_input(end->peer, end->out, end->out_bytes, skip_frame, NULL) == 0);
    }
    must(peer_is_open(end->peer));
}

static void begin(void) {
    struct shard_setup setup = {.shards = 1,
                                .stores = 1,
                                .config = &route.config,
                                .stats = &route.stats,
                                .server_secret = (uint8_t[NOISE_KEY_BYTES]){1},
                                .epoch_ms = 1};
    memset(&route, 0, sizeof(route));
    route.now_ms = 1000;
    for (uint32_t i = 0; i < BUFS; i++)
        route.bufs[i] = (struct buf){
            .data = route.bytes[i], .capacity = RECORD_BYTES, .kind = BUF_RING, .id = (uint16_t)i};
    config_defaults(&route.config);
    route.config.connections_max = 2;
    must(lanes_create(PARTIES, LANE_SLOTS, &route.lanes) == 0);
    setup.lanes = route.lanes;
    must(shard_create(&setup, &route.shard) == 0);
    for (uint32_t i = 0; i < 2; i++) {
        struct account_record account = {.account = i + 1, .name = {'a' + (char)i}, .device_next = 2};
        struct device_record device = {.account = i + 1, .device = 1};
        must(shard_load_account(route.shard, &account) == 0);
        must(shard_load_device(route.shard, &device) == 0);
        log_in(i);
    }
}

/* --- the step ------------------------------------------------------------------------------------------- */

static size_t put_length(uint8_t *record, size_t frames_bytes) {
    struct noise_cipher_state plain = {.cipher = NOISE_PLAIN};
    return record_seal(&plain, record, frames_bytes);
}

/* A record of these frames and, behind them, the acknowledgement of all items so far. */
static void say(uint32_t conn, uint8_t *record, size_t frames_bytes) {
    uint8_t *ack = record + RECORD_LENGTH_BYTES + frames_bytes;
    frames_bytes += frame_write_ack(ack, route.ends[conn].items);
    turn(conn, record, put_length(record, frames_bytes));
}

void micro_route(uint32_t messages) {
    uint8_t record[RECORD_BYTES], ack[RECORD_LENGTH_BYTES + FRAME_SMALL_BYTES_MAX];
    uint64_t number = 0;
    begin();
    for (uint32_t i = 0; i < MICRO_ROUTE_BATCH; i++) {
        uint8_t payload[PAYLOAD_BYTES] = {0};
        struct frame_message message = {
            .id = {.to = 2, .number = 1}, .payload = payload, .payload_bytes = PAYLOAD_BYTES};
        frame_write_message(record + RECORD_LENGTH_BYTES + i * FRAME_BYTES, &message);
    }
    while (number < messages) {
        for (uint32_t i = 0; i < MICRO_ROUTE_BATCH; i++)
            bytes_put64(record + RECORD_LENGTH_BYTES + i * FRAME_BYTES + NUMBER_AT, ++number);
        say(0, record, MESSAGES_BYTES);
        must(route.ends[1].out_bytes >= RECORD_LENGTH_BYTES + MESSAGES_BYTES);
        route.ends[0].items += route.ends[0].out_bytes > 0; /* the receipt of the batch before */
        route.ends[1].items += MICRO_ROUTE_BATCH;
        say(1, ack, 0);
    }
    say(0, ack, 0);
    must(route.ends[0].items + 1 == number / MICRO_ROUTE_BATCH && route.ends[0].out_bytes > 0);
    must(stats_get(route.stats.messages_memory_only) == number);
    for (uint32_t i = 0; i < 2; i++) {
        shard_ended(route.shard, i, 0);
        shard_closed(route.shard, i);
        peer_destroy(route.ends[i].peer);
    }
    shard_destroy(route.shard);
    lanes_destroy(route.lanes);
}
