/* A pair against a switch that misbehaves on purpose: what ternbench says about a switch is worth no more
 * than what it would have noticed. The switch here is a thread's worth of plaintext protocol, with one fault
 * at one message. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench/wire_tern.h"
#include "bench/worker.h"
#include "core/bytes.h"
#include "core/hello.h"
#include "core/reason.h"
#include "tools/client/peer.h"

TestSuite(end, .timeout = 30);

#define FAULT_AT 37u /* the number of the message that the fault is about */
#define RUN_NS UINT64_C(200000000)
#define ACCOUNTS 1000u /* the ends' accounts are this and the next */

enum fault {
    FAULT_NONE,
    FAULT_LOSE,
    FAULT_DOUBLE,
    FAULT_SWAP,
    FAULT_SPOIL,
    FAULT_UNTICKED,
    FAULT_FAILED,
    FAULT_REFUSE,
    FAULT_REFUSE_FINAL,
    FAULT_CLOSE,
    FAULT_STRAY_TICK
};

struct side {
    int fd;
    bool greeted, linked;
    uint64_t epoch;
    uint8_t in[1 << 18];
    size_t in_bytes;
};

struct rig {
    enum fault fault;
    int listener;
    struct side sides[2]; /* in the order of accounts */
    struct side fresh[2]; /* accepted, not linked yet */
    uint32_t accepted;
    bool refused, repeated;
    uint8_t kept[1024]; /* the message that is swapped with the next */
    size_t kept_bytes;
    struct side *kept_for;
    struct load load;
    struct worker_shared shared;
    struct worker worker;
};

static struct rig rig;

static void put(struct side *side, const uint8_t *frame, size_t bytes) {
    uint8_t record[2 + 1024];
    bytes_put16(record, (uint16_t)bytes);
    memcpy(record + 2, frame, bytes);
    if (send(side->fd, record, bytes + 2, MSG_NOSIGNAL) < 0)
        cr_assert(errno == EPIPE || errno == ECONNRESET, "%s", strerror(errno));
}

static void put_range(struct side *side, enum frame_type type, uint8_t flags, const struct message_id *id) {
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    struct frame_range range = {.id = *id, .last = id->number, .time_ms = type == FRAME_RECEIPT};
    put(side, out, frame_write_range(out, type, flags, &range));
}

static void put_refused(struct side *side, const struct message_id *id, uint16_t reason, uint32_t retry_ms) {
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    struct frame_refused refused = {
        .to = id->to, .number = id->number, .reason = reason, .retry_ms = retry_ms};
    put(side, out, frame_write_refused(out, &refused));
}

/* Says whether it went out. */
static bool deliver(struct side *to, struct frame *frame, bool fault) {
    if (fault && rig.fault == FAULT_SPOIL)
        frame->bytes[frame->frame_bytes - 1] ^= 1;
    if (fault && rig.fault == FAULT_SWAP) {
        memcpy(rig.kept, frame->bytes, frame->frame_bytes);
        rig.kept_bytes = frame->frame_bytes;
        rig.kept_for = to;
        return false;
    }
    bool goes_out = !fault || rig.fault != FAULT_LOSE;
    if (goes_out)
        put(to, frame->bytes, frame->frame_bytes);
    if (fault && rig.fault == FAULT_DOUBLE)
        put(to, frame->bytes, frame->frame_bytes);
    if (rig.kept_bytes && to == rig.kept_for) {
        put(to, rig.kept, rig.kept_bytes);
        rig.kept_bytes = 0;
    }
    return goes_out;
}

/* Delivers, and says at once that it was: the bench's own acknowledgements are not needed for that. */
static void take_message(struct side *from, struct frame *frame) {
    uint32_t index = (uint32_t)(from - rig.sides);
    struct side *to = &rig.sides[1 - index];
    struct frame_message message;
    cr_assert_eq(frame_read_message(frame, &message), 0);
    cr_assert(frame_message_is_bare(frame));
    if (index == 0 && rig.refused &&
        !rig.repeated) /* what comes after a refusal says that nothing before it is missing */
        cr_assert_eq(frame->flags, MESSAGE_FIRST);
    rig.repeated |= index == 0 && rig.refused;
    struct message_id id = message.id;
    id.from = ACCOUNTS + index;
    id.from_device = 1;
    id.epoch = from->epoch;
    frame_accept_message(frame->bytes, &id, 60, 1);
    bool fault = index == 0 && id.number == FAULT_AT;
    if (index == 0 && rig.fault == FAULT_REFUSE && !rig.refused && id.number >= FAULT_AT) {
        put_refused(from, &id, fault ? REFUSAL_STORE_FULL : REFUSAL_OUT_OF_ORDER, 20);
        rig.refused = id.number >= FAULT_AT + 3; /* a window of four: all of it was refused */
        return;
    }
    if (fault && rig.fault == FAULT_REFUSE_FINAL) {
        put_refused(from, &id, REFUSAL_BLOCKED, 0);
        return;
    }
    if (fault && rig.fault == FAULT_CLOSE) {
        shutdown(from->fd, SHUT_RDWR);
        return;
    }
    if (deliver(to, frame, fault)) /* else the confirmation of what did not arrive would be seen first */
        put_range(to, FRAME_CONFIRM, RECEIPT_DELIVERED, &id);
    if (fault && rig.fault == FAULT_UNTICKED)
        return;
    if (fault && rig.fault == FAULT_STRAY_TICK)
        id.number += 100;
    put_range(from, FRAME_RECEIPT, RECEIPT_SENT, &id);
    put_range(from, FRAME_RECEIPT, fault && rig.fault == FAULT_FAILED ? RECEIPT_FAILED : RECEIPT_DELIVERED,
              &id);
}

static struct side *take_link(struct side *side, const struct frame *frame) {
    struct frame_link link;
    cr_assert_eq(frame_read_link(frame, &link), 0);
    struct side *own = &rig.sides[link.account - ACCOUNTS];
    *own = *side;
    own->epoch = link.epoch;
    own->linked = true;
    side->fd = -1;
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    struct frame_welcome welcome = {.account = link.account,
                                    .payload_bytes_max = 1000,
                                    .unticked_max = 64,
                                    .ping_s = 60,
                                    .device = 1,
                                    .name = ""};
    put(own, out, frame_write_welcome(out, &welcome));
    return own;
}

static void take_record(struct side *side, uint8_t *bytes, size_t count) {
    struct frame frame;
    while (frame_next(&bytes, &count, &frame) == 0) {
        if (frame.type == FRAME_MESSAGE)
            take_message(side, &frame);
    }
}

static void read_side(struct side *side) {
    if (side->fd < 0)
        return;
    ssize_t count =
        recv(side->fd, side->in + side->in_bytes, sizeof(side->in) - side->in_bytes, MSG_DONTWAIT);
    side->in_bytes += count > 0 ? (size_t)count : 0;
    size_t at = 0;
    if (!side->greeted && side->in_bytes >= HELLO_BYTES) {
        uint8_t out[HELLO_BYTES];
        struct hello_server answer = {.version = HELLO_VERSION};
        hello_write_server(out, &answer);
        cr_assert_eq(send(side->fd, out, sizeof(out), MSG_NOSIGNAL), (ssize_t)sizeof(out));
        side->greeted = true;
        at = HELLO_BYTES;
    }
    while (side->greeted && side->in_bytes - at >= 2 &&
           side->in_bytes - at >= (size_t)2 + bytes_get16(side->in + at)) {
        uint8_t *record = side->in + at + 2;
        size_t bytes = bytes_get16(side->in + at);
        at += 2 + bytes;
        if (!side->linked) {
            struct frame frame;
            cr_assert_eq(frame_next(&record, &bytes, &frame), 0);
            side = take_link(side, &frame);
        } else {
            take_record(side, record, bytes);
        }
    }
    side->in_bytes -= at;
    memmove(side->in, side->in + at, side->in_bytes);
}

static void turn(void) {
    int fd = rig.accepted < 2 ? accept4(rig.listener, NULL, NULL, SOCK_CLOEXEC) : -1;
    if (fd >= 0)
        rig.fresh[rig.accepted++] = (struct side){.fd = fd};
    for (uint32_t i = 0; i < rig.accepted; i++)
        read_side(&rig.fresh[i]);
    for (uint32_t i = 0; i < 2; i++)
        read_side(&rig.sides[i]);
    nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
}

/* Links the pair, runs it and leaves its tally in rig.worker. */
static const struct tally *run(enum fault fault) {
    rig.fault = fault;
    rig.load = (struct load){
        .wire = &wire_tern, .pairs = 1, .window = 4, .size_bytes = 100, .plaintext = true, .seed = 99};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    rig.load.address_bytes = sizeof(address);
    rig.listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(rig.listener, (struct sockaddr *)&address, sizeof(address)), 0);
    cr_assert_eq(listen(rig.listener, 8), 0);
    getsockname(rig.listener, (struct sockaddr *)&rig.load.address, &rig.load.address_bytes);
    rig.sides[0].fd = rig.sides[1].fd = -1;
    rig.shared = (struct worker_shared){.load = &rig.load, .linking_max = 2};
    cr_assert_eq(worker_init(&rig.worker, &rig.shared, 0, 1, -1), 0);
    for (uint32_t i = 0; i < 2; i++)
        rig.worker.ends[i].account = ACCOUNTS + i;
    cr_assert_eq(worker_start(&rig.worker), 0);
    while (atomic_load(&rig.worker.linked) < 2 && !atomic_load(&rig.worker.over))
        turn();
    rig.load.measure_from_ns = end_clock_ns();
    rig.load.measure_to_ns = rig.load.measure_from_ns + RUN_NS;
    atomic_store(&rig.shared.phase, PHASE_RUN);
    /* Two seconds are enough for what is on its way, on a busy machine, too; what is missing then would be
     * waited for ten seconds. */
    uint64_t until_ns = rig.load.measure_to_ns + 2000000000u;
    while (!atomic_load(&rig.worker.over) && end_clock_ns() < until_ns)
        turn();
    atomic_store(&rig.shared.phase, PHASE_STOP);
    worker_join(&rig.worker);
    return &rig.worker.tally;
}

static void expect_problem(enum fault fault, const char *words) {
    const struct tally *tally = run(fault);
    cr_assert(tally->failed, "the fault was not seen");
    cr_assert_not_null(strstr(tally->problem, words), "%s", tally->problem);
    worker_fini(&rig.worker);
}

Test(end, a_switch_that_does_all_right_is_settled) {
    const struct tally *tally = run(FAULT_NONE);
    cr_assert_not(tally->failed, "%s", tally->problem);
    cr_assert(tally_is_settled(tally));
    cr_assert_gt(tally->sent, FAULT_AT * 2, "the faults of the other tests are within reach");
    cr_assert_eq(tally->to_receive.count, tally->received);
    cr_assert_eq(tally->to_sent.count, tally->sent);
    cr_assert_eq(tally->to_delivered.count, tally->sent);
    worker_fini(&rig.worker);
}

Test(end, a_lost_message_is_seen) {
    expect_problem(FAULT_LOSE, "before its predecessors");
}

Test(end, a_doubled_message_is_seen) {
    expect_problem(FAULT_DOUBLE, "arrived twice");
}

Test(end, messages_in_another_order_are_seen) {
    expect_problem(FAULT_SWAP, "before its predecessors");
}

Test(end, a_changed_payload_is_seen) {
    expect_problem(FAULT_SPOIL, "is not what was sent");
}

Test(end, a_failed_receipt_is_seen) {
    expect_problem(FAULT_FAILED, "message 37 failed");
}

Test(end, a_final_refusal_is_seen) {
    expect_problem(FAULT_REFUSE_FINAL, "message 37 was refused");
}

Test(end, a_tick_for_what_was_never_sent_is_seen) {
    expect_problem(FAULT_STRAY_TICK, "never sent");
}

Test(end, a_closed_connection_is_seen) {
    expect_problem(FAULT_CLOSE, "closed the connection");
}

Test(end, a_missing_tick_leaves_it_unsettled) {
    const struct tally *tally = run(FAULT_UNTICKED);
    cr_assert_not(tally->failed, "%s", tally->problem);
    cr_assert_not(tally_is_settled(tally));
    cr_assert_eq(tally->received, tally->sent);
    cr_assert_eq(tally->ticked_sent, tally->sent - 1);
    cr_assert_eq(tally->ticked_delivered, tally->sent - 1);
    worker_fini(&rig.worker);
}

Test(end, what_is_refused_for_the_moment_is_sent_again_in_order) {
    const struct tally *tally = run(FAULT_REFUSE);
    cr_assert_not(tally->failed, "%s", tally->problem);
    cr_assert(tally_is_settled(tally));
    cr_assert_geq(tally->refused, 4); /* more where it was refused before the window was full */
    cr_assert_geq(tally->resent, 4);
    worker_fini(&rig.worker);
}
