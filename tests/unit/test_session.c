/* What a peer may do to its own connection, and to nothing else: each way to go wrong closes it with its own
 * counted reason. */
#include <criterion/criterion.h>

#include "tests/support/world_life.h"

#define SERVER_SECRET_FIRST 1 /* world_start's */

struct talk {
    uint32_t slot;
    uint8_t out[70000];
    size_t out_bytes;
};

static struct shard *shard;
static struct talk talk;

/* One shard, accounts 1 and 2 at least, their devices. */
static void make(void) {
    for (uint64_t seed = 1;; seed++) {
        world_begin(seed, 0);
        if (world.shard_count == 1)
            break;
        world_end();
    }
    shard = world.shards[0];
    shard->config.window_messages = shard->config.unticked_max = shard->config.messages_max = 1000;
    shard->config.session_messages_per_s = shard->config.session_bytes_per_s = 0;
    shard->config.session_frames_per_s = 0;
}

static void fini(void) {
    world_end();
    cr_assert_str_eq(world.error, "");
}

TestSuite(session, .init = make, .fini = fini, .timeout = 120);

static uint64_t closed_in_all(void) {
    uint64_t sum = 0;
    for (int i = 0; i < CLOSE_REASON_COUNT; i++)
        sum += stats_get(world.stats[0].closed[i]);
    return sum;
}

static void turn(uint64_t ms) {
    world.now_ms += ms;
    shard_turn_begin(shard, world.now_ms, WORLD_UTC_MS + world.now_ms);
    shard_turn_end(shard);
    struct world_conn *conn = &world.conns[0][talk.slot];
    if (conn->closing) {
        world_conn_free(conn);
        shard_closed(shard, talk.slot);
    }
}

static void listen_to(void) {
    size_t needed, bytes;
    while (talk.out_bytes < sizeof(talk.out) &&
           (bytes = shard_output(shard, talk.slot, talk.out + talk.out_bytes,
                                 sizeof(talk.out) - talk.out_bytes, &needed)))
        talk.out_bytes += bytes;
}

static void say_unheard(const uint8_t *bytes, size_t count) {
    struct buf *buf = buf_create(0, (uint32_t)count);
    memcpy(buf->data, bytes, count);
    shard_input(shard, talk.slot, buf, 0, (uint32_t)count);
}

static void say(const uint8_t *bytes, size_t count) {
    say_unheard(bytes, count);
    listen_to();
    turn(1);
}

static void open_connection(bool plaintext) {
    talk = (struct talk){.slot = world_free_conn(0)};
    cr_assert_eq(shard_accepted(shard, talk.slot, plaintext, false), 0);
    world.conns[0][talk.slot] = (struct world_conn){.used = true};
}

static void say_hello(uint8_t version, uint8_t pattern) {
    uint8_t hello[HELLO_BYTES];
    struct hello_client client = {.version_min = version,
                                  .version_max = version,
                                  .pattern = pattern,
                                  .ciphers = pattern ? HELLO_OFFERS_CHACHAPOLY : 0};
    hello_write_client(hello, &client);
    say(hello, sizeof(hello));
}

static void say_record(const uint8_t *frames, size_t bytes) {
    uint8_t record[4096];
    bytes_put16(record, (uint16_t)bytes);
    memcpy(record + RECORD_LENGTH_BYTES, frames, bytes);
    say(record, bytes + RECORD_LENGTH_BYTES);
}

static size_t write_login(uint8_t *out, uint16_t device) {
    return frame_write_link(out, FRAME_LOGIN,
                            &(struct frame_link){.account = 1, .epoch = 5, .device = device});
}

static void log_in(uint16_t device) {
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    open_connection(true);
    say_hello(HELLO_VERSION, HELLO_PLAINTEXT);
    say_record(out, write_login(out, device));
}

static void say_mark(uint64_t first, uint64_t last) {
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    struct frame_range range = {.id = {.from = 2, .to = 1, .epoch = 1003, .number = first, .from_device = 1},
                                .last = last};
    say_record(out, frame_write_range(out, FRAME_MARK, RECEIPT_READ, &range));
}

/* Exactly one connection was closed since, and for this. */
static void expect_closed(enum close_reason reason, uint64_t others) {
    turn(1);
    cr_assert_eq(stats_get(world.stats[0].closed[reason]), 1, "%s", close_reason_name(reason));
    cr_assert_eq(closed_in_all(), 1 + others);
    cr_assert_null(session_at(shard, talk.slot));
}

Test(session, garbage_is_not_tern) {
    open_connection(false);
    say((const uint8_t *)"GET / HTTP/1.1\r\n\r\n", 18);
    cr_assert_eq(talk.out_bytes, 0, "it is not answered");
    expect_closed(CLOSE_NOT_TERN, 0);
}

Test(session, wrong_version_is_told_and_closed) {
    open_connection(false);
    say_hello(HELLO_VERSION + 8, HELLO_IK);
    cr_assert_eq(talk.out_bytes, HELLO_BYTES);
    cr_assert_eq(talk.out[5], HELLO_BAD_VERSION);
    expect_closed(CLOSE_VERSION, 0);
}

Test(session, plaintext_is_refused_where_records_are_sealed) {
    open_connection(false);
    say_hello(HELLO_VERSION, HELLO_PLAINTEXT);
    expect_closed(CLOSE_CIPHER, 0);
}

Test(session, truncated_handshake_is_counted_as_such) {
    uint8_t part[50] = {96};
    open_connection(false);
    say_hello(HELLO_VERSION, HELLO_IK);
    say(part, sizeof(part));
    shard_ended(shard, talk.slot, 0);
    expect_closed(CLOSE_TRUNCATED, 0);
}

Test(session, handshake_that_does_not_authenticate_is_closed) {
    uint8_t forged[98] = {96, 0, 9, 9, 9};
    open_connection(false);
    say_hello(HELLO_VERSION, HELLO_IK);
    say(forged, sizeof(forged));
    expect_closed(CLOSE_HANDSHAKE, 0);
}

/* A handshake with the key of nobody; leaves the state to seal with. */
static struct noise_cipher_state shake_hands(void) {
    uint8_t prologue[2 * HELLO_BYTES], server_public[NOISE_KEY_BYTES], message[256], payload[256];
    const uint8_t server_secret[NOISE_KEY_BYTES] = {SERVER_SECRET_FIRST}, own[NOISE_KEY_BYTES] = {7, 7};
    struct noise_handshake handshake;
    struct noise_cipher_state send, receive;
    size_t bytes;
    cr_assert_eq(noise_init(), 0);
    open_connection(false);
    say_hello(HELLO_VERSION, HELLO_IK);
    hello_write_client(prologue, &(struct hello_client){.version_min = HELLO_VERSION,
                                                        .version_max = HELLO_VERSION,
                                                        .pattern = HELLO_IK,
                                                        .ciphers = HELLO_OFFERS_CHACHAPOLY});
    memcpy(prologue + HELLO_BYTES, talk.out, HELLO_BYTES);
    noise_public_key(server_secret, server_public);
    struct noise_setup setup = {.pattern = NOISE_IK,
                                .cipher = NOISE_CHACHAPOLY,
                                .initiator = true,
                                .prologue = prologue,
                                .prologue_bytes = sizeof(prologue),
                                .static_secret = own,
                                .ephemeral_secret = own,
                                .remote_static = server_public};
    cr_assert_eq(noise_handshake_init(&handshake, &setup), 0);
    cr_assert_eq(noise_handshake_write(&handshake, NULL, 0, message + 2, &bytes), 0);
    bytes_put16(message, (uint16_t)bytes);
    talk.out_bytes = 0;
    say(message, bytes + 2);
    cr_assert_eq(noise_handshake_read(&handshake, talk.out + 2, talk.out_bytes - 2, payload, &bytes), 0);
    noise_handshake_split(&handshake, &send, &receive);
    return send;
}

Test(session, device_with_another_key_is_unknown) {
    struct noise_cipher_state send = shake_hands();
    uint8_t record[256];
    size_t bytes = write_login(record + RECORD_LENGTH_BYTES, 1);
    say(record, record_seal(&send, record, bytes));
    expect_closed(CLOSE_UNKNOWN_DEVICE, 0);
}

Test(session, forged_record_is_closed) {
    uint8_t record[100] = {98};
    shake_hands();
    say(record, sizeof(record));
    expect_closed(CLOSE_RECORD_FORGED, 0);
}

Test(session, unknown_device_is_closed_and_others_stay) {
    log_in(1);
    struct session *first = session_at(shard, talk.slot);
    log_in(99);
    expect_closed(CLOSE_UNKNOWN_DEVICE, 0);
    cr_assert_eq(first->state, SESSION_OPEN);
}

Test(session, revoked_device_is_told_so) {
    world_revoke(&world.devices[0]);
    world_step(100);
    world_step(100);
    log_in(1);
    expect_closed(CLOSE_REVOKED, 0);
}

Test(session, suspended_account_is_told_so) {
    account_find(&shard->accounts, 1)->flags |= ACCOUNT_SUSPENDED;
    log_in(1);
    expect_closed(CLOSE_SUSPENDED, 0);
}

Test(session, newer_session_of_a_device_ends_the_older) {
    log_in(1);
    uint32_t older = talk.slot;
    log_in(1);
    cr_assert_eq(stats_get(world.stats[0].closed[CLOSE_REPLACED]), 1);
    cr_assert_eq(closed_in_all(), 1);
    talk.slot = older;
    turn(1);
}

Test(session, oversized_record_is_closed_before_it_is_there) {
    static const uint8_t length[2] = {0xff, 0xff};
    log_in(1);
    say(length, sizeof(length));
    expect_closed(CLOSE_RECORD_TOO_LARGE, 0);
}

Test(session, malformed_frame_is_closed) {
    static const uint8_t ping[16] = {12, 0, FRAME_PING, 0, 1};
    log_in(1);
    say_record(ping, sizeof(ping));
    expect_closed(CLOSE_BAD_FRAME, 0);
}

Test(session, unknown_frame_is_skipped) {
    static const uint8_t frame[6] = {2, 0, 200};
    log_in(1);
    say_record(frame, sizeof(frame));
    cr_assert_eq(stats_get(world.stats[0].frames_unknown), 1);
    cr_assert_eq(closed_in_all(), 0);
}

Test(session, first_record_holds_one_frame_alone) {
    uint8_t out[2 * FRAME_SMALL_BYTES_MAX];
    open_connection(true);
    say_hello(HELLO_VERSION, HELLO_PLAINTEXT);
    size_t bytes = write_login(out, 1);
    bytes += frame_write_ping(out + bytes, FRAME_PING, 1);
    say_record(out, bytes);
    expect_closed(CLOSE_BAD_FRAME, 0);
}

Test(session, acknowledgement_of_what_was_never_sent_is_closed) {
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    log_in(1);
    say_record(out, frame_write_ack(out, 1));
    expect_closed(CLOSE_ACK_BEYOND, 0);
}

Test(session, record_without_a_frame_is_closed) {
    log_in(1);
    say_record((const uint8_t *)"", 0);
    expect_closed(CLOSE_BAD_FRAME, 0);
}

Test(session, close_is_the_last_frame_of_a_device) {
    uint8_t out[2 * FRAME_SMALL_BYTES_MAX];
    struct frame_close body = {.reason = CLOSE_PEER};
    log_in(1);
    size_t bytes = frame_write_close(out, FRAME_CLOSE, &body);
    bytes += frame_write_ack(out + bytes, 1);
    say_record(out, bytes);
    expect_closed(CLOSE_PEER, 0);
}

Test(session, silence_before_the_login_times_out) {
    open_connection(true);
    for (int i = 0; i < 300; i++)
        turn(50);
    expect_closed(CLOSE_HANDSHAKE_TIMEOUT, 0);
}

Test(session, silence_is_pinged_and_then_closed) {
    log_in(1);
    for (uint64_t s = 0; s < shard->config.idle_s * 20 + 40; s++)
        turn(50);
    cr_assert_eq(stats_get(world.stats[0].pings), 1);
    expect_closed(CLOSE_IDLE, 0);
}

/* A store that is behind needs the acknowledgements that may lie behind a question. */
Test(session, question_does_not_wait_for_a_busy_store) {
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    log_in(1);
    uint32_t party = port_directory_party(shard);
    struct note note = {.kind = NOTE_DELETE, .device = 1, .erase = {.account = 1, .first = 1, .last = 1}};
    while (lanes_room(shard->lanes, shard->index, party) > 0)
        lanes_post(shard->lanes, shard->index, party, &note);
    lanes_post(shard->lanes, shard->index, party, &note);
    struct frame_lookup lookup = {.request = 1, .account = 2, .name = ""};
    say_record(out, frame_write_lookup(out, FRAME_LOOKUP, &lookup));
    cr_assert(!world.conns[0][talk.slot].paused);
    cr_assert_eq(session_at(shard, talk.slot)->requests, 1);
}

/* A session that had its share sees its pings unread: both ends would take each other for dead, connect again
 * and send everything again, for ever. */
Test(session, who_is_not_read_is_pinged_and_not_taken_for_dead) {
    uint8_t frames[2000];
    size_t bytes = 0;
    log_in(1);
    shard->config.session_bytes_per_s = 1;
    while (bytes < 1000) /* a thousand seconds' worth */
        bytes += frame_write_ping(frames + bytes, FRAME_PONG, 1);
    say_record(frames, bytes);
    say_record(frames, bytes);
    cr_assert(world.conns[0][talk.slot].paused);
    talk.out_bytes = 0;
    for (uint64_t s = 0; s < shard->config.idle_s * 3; s++) {
        for (int i = 0; i < 20; i++)
            turn(50);
        listen_to();
    }
    cr_assert_geq(stats_get(world.stats[0].pings), 3);
    cr_assert_gt(talk.out_bytes, 0);
    cr_assert_eq(closed_in_all(), 0);
}

Test(session, who_is_not_read_and_takes_nothing_is_closed) {
    uint8_t frames[2000];
    size_t bytes = 0;
    log_in(1);
    shard->config.session_bytes_per_s = 1;
    while (bytes < 1000)
        bytes += frame_write_ping(frames + bytes, FRAME_PONG, 1);
    say_record(frames, bytes);
    say_record(frames, bytes);
    for (uint64_t s = 0; s < shard->config.idle_s * 60; s++)
        turn(50);
    expect_closed(CLOSE_IDLE, 0);
}

Test(session, pings_of_a_peer_that_does_not_read_are_bounded) {
    uint8_t out[FRAME_SMALL_BYTES_MAX + RECORD_LENGTH_BYTES];
    log_in(1);
    size_t bytes = frame_write_ping(out + RECORD_LENGTH_BYTES, FRAME_PING, 1);
    bytes_put16(out, (uint16_t)bytes);
    for (int i = 0; i < 10000; i++)
        say_unheard(out, bytes + RECORD_LENGTH_BYTES);
    cr_assert(world.conns[0][talk.slot].paused);
    cr_assert_leq(session_at(shard, talk.slot)->control_bytes,
                  SESSION_CONTROL_BYTES_MAX + FRAME_SMALL_BYTES_MAX);
    do {
        talk.out_bytes = 0;
        listen_to();
        turn(1);
    } while (talk.out_bytes);
    cr_assert(!world.conns[0][talk.slot].paused, "it goes on when the peer reads");
    cr_assert_eq(closed_in_all(), 0);
}

Test(session, burst_leaves_no_memory_behind) {
    uint8_t out[FRAME_SMALL_BYTES_MAX + RECORD_LENGTH_BYTES];
    log_in(1);
    struct session *session = session_at(shard, talk.slot);
    size_t bytes = frame_write_ping(out + RECORD_LENGTH_BYTES, FRAME_PING, 1);
    bytes_put16(out, (uint16_t)bytes);
    for (int i = 0; i < 100; i++)
        say_unheard(out, bytes + RECORD_LENGTH_BYTES);
    for (uint64_t i = 0; i < 2 * SESSION_CONFIRMS_MAX; i++)
        session_confirm(session, &(struct message_id){.from = 2, .to = 1, .number = 1 + 2 * i}, 1 + 2 * i, 1);
    cr_assert_eq(session->confirm_count, SESSION_CONFIRMS_MAX);
    for (int i = 0; i < 140; i++)
        turn(50);
    cr_assert(session->control && session->confirms, "nobody has read it yet");
    listen_to();
    for (int i = 0; i < 140; i++)
        turn(50);
    cr_assert(!session->control && !session->confirms && !session->opening && !session->partial &&
              !session_waits(session) && !session->burst);
    cr_assert_leq(sizeof(struct session), 248, "many sessions are idle, and each takes as much");
    cr_assert(session->quiet);
    say_unheard(out, bytes + RECORD_LENGTH_BYTES);
    session_confirm(session, &(struct message_id){.from = 2, .to = 1, .number = 1}, 1, 1);
    cr_assert(!session->quiet && session->control_bytes && session->confirm_count == 1, "it begins anew");
    listen_to();
    for (int i = 0; i < 140; i++)
        turn(50);
    cr_assert(session->quiet && !session->control && !session->confirms, "and ends anew");
}

Test(session, refusals_to_a_peer_that_does_not_read_are_bounded) {
    uint8_t out[FRAME_SMALL_BYTES_MAX + RECORD_LENGTH_BYTES];
    log_in(1);
    struct frame_message nobody = {.id = {.to = 999, .number = 1}};
    size_t bytes = frame_write_message(out + RECORD_LENGTH_BYTES, &nobody);
    bytes_put16(out, (uint16_t)bytes);
    for (int i = 0; i < 10000; i++)
        say_unheard(out, bytes + RECORD_LENGTH_BYTES);
    cr_assert(world.conns[0][talk.slot].paused);
    cr_assert_leq(session_at(shard, talk.slot)->control_bytes,
                  SESSION_CONTROL_BYTES_MAX + FRAME_SMALL_BYTES_MAX);
}

Test(session, marks_are_bounded_in_time) {
    log_in(1);
    uint64_t number = 1;
    while (!world.conns[0][talk.slot].paused && number < 100000) {
        say_mark(number, number);
        number += 2; /* none joins the one before */
    }
    cr_assert_geq(number, 2 * SESSION_MARKS_MAX - 2);
    cr_assert_lt(number, 100000);
    turn(1000);
    cr_assert(!world.conns[0][talk.slot].paused, "it goes on with time");
}

/* --- so much a second ----------------------------------------------------------------------------------- */

static void say_pongs(uint32_t count) {
    uint8_t frames[4000];
    size_t bytes = 0;
    for (uint32_t i = 0; i < count; i++)
        bytes += frame_write_ping(frames + bytes, FRAME_PONG, 1);
    say_record(frames, bytes);
}

Test(session, frames_beyond_their_rate_wait_and_cost_nothing_until_then) {
    log_in(1);
    struct session *session = session_at(shard, talk.slot);
    shard->config.session_frames_per_s = 40;
    say_pongs(10);
    cr_assert(!session->paused, "a quarter of a second's worth goes at once");
    say_pongs(15);
    cr_assert_eq(session->paused, PAUSE_TOKENS);
    cr_assert(world.conns[0][talk.slot].paused);
    cr_expect_eq(stats_get(world.stats[0].input_slowed), 1);
    cr_expect_eq(stats_get(world.stats[0].slowed_session_frames), 1);
    uint64_t due_ms = shard_next_ms(shard), waits = 0;
    for (; session->paused && waits < 1000; waits++)
        turn(1);
    cr_expect_geq(waits, 450, "15 frames, 10 each quarter: %lu ms", waits);
    cr_expect_leq(waits, 600, "%lu ms", waits);
    cr_expect_gt(due_ms, 20);
    cr_expect_eq(stats_get(world.stats[0].slowed_session_frames), 2, "tried when due, not each turn");
    cr_assert(!world.conns[0][talk.slot].paused);
    cr_assert_eq(closed_in_all(), 0);
}

Test(session, whose_address_is_exempt_is_not_slowed) {
    log_in(1);
    session_at(shard, talk.slot)->exempt = true;
    shard->config.session_frames_per_s = shard->config.session_bytes_per_s = 1;
    for (int i = 0; i < 20; i++)
        say_pongs(100);
    cr_expect(!session_at(shard, talk.slot)->paused);
    cr_expect_eq(stats_get(world.stats[0].input_slowed), 0);
}

/* Each costs far more than a message: however many come in a turn, one is worked off, and the next turn is
 * everybody else's. */
Test(session, handshakes_are_worked_off_one_by_one) {
    enum { PEERS = 4 };
    uint32_t slots[PEERS], left = PEERS, turns = 0;
    for (int i = 0; i < PEERS; i++) {
        open_connection(false);
        slots[i] = talk.slot;
        say_hello(HELLO_VERSION, HELLO_IK);
    }
    for (int i = 0; i < PEERS; i++) {
        uint8_t message[512] = {0};
        talk.slot = slots[i];
        size_t bytes = noise_handshake_message_bytes(&session_at(shard, talk.slot)->opening->handshake);
        bytes_put16(message, (uint16_t)bytes);
        say_unheard(message, 2);
        say_unheard(message + 2, bytes);
    }
    for (; left > 0 && turns < 100; turns++) {
        uint32_t before = left;
        cr_expect(left == PEERS || shard_next_ms(shard) == world.now_ms,
                  "it does not sleep before all had it");
        for (uint32_t i = left = 0; i < PEERS; i++) {
            talk.slot = slots[i];
            turn(0);
            left += session_at(shard, slots[i]) != NULL;
        }
        cr_expect_leq(before - left, 3, "%u in %d turns", before - left, PEERS);
    }
    cr_expect_eq(left, 0);
    cr_expect_eq(stats_get(world.stats[0].closed[CLOSE_HANDSHAKE]), PEERS);
    cr_expect_geq(turns, 2);
}

Test(session, mark_of_all_numbers_is_one_receipt) {
    log_in(1);
    say_mark(1, UINT64_MAX);
    say_mark(1, UINT64_MAX);
    turn(1);
    cr_assert_leq(stats_get(world.stats[0].receipts_routed), 2);
    cr_assert_eq(closed_in_all(), 0);
}

Test(session, what_waits_gives_back_its_receive_buffer) {
    uint8_t out[FRAME_SMALL_BYTES_MAX + RECORD_LENGTH_BYTES];
    log_in(1);
    size_t bytes = frame_write_ping(out + RECORD_LENGTH_BYTES, FRAME_PING, 1);
    bytes_put16(out, (uint16_t)bytes);
    while (!world.conns[0][talk.slot].paused) {
        struct buf *buf = buf_create(0, (uint32_t)bytes + RECORD_LENGTH_BYTES);
        buf->kind = BUF_RING;
        memcpy(buf->data, out, bytes + RECORD_LENGTH_BYTES);
        shard_input(shard, talk.slot, buf, 0, (uint32_t)bytes + RECORD_LENGTH_BYTES);
    }
    cr_assert_eq(session_at(shard, talk.slot)->burst->waiting->buf->kind, BUF_HEAP);
}
