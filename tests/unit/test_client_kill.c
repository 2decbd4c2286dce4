/* A client that dies at every place where it can: between taking a message, writing it to the file of `listen
 * --output`, syncing, committing and acknowledging; and on the sending side. A child plays the client over a
 * pair of sockets and ends at a chosen step, the test plays the switch: it gives again what was not
 * acknowledged, as a switch does, and now and then what was, as a sender does that lost its tick. In the end
 * the file holds each message once and in order, and the switch got each of the child's messages, in order
 * but for repetitions. */
#include <criterion/criterion.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/hello.h"
#include "tests/support/client_rig.h"
#include "tools/tern/file.h"

TestSuite(client_kill, .timeout = 300);

#define MESSAGES 3000
#define OUT_MESSAGES 2000
#define DIED 77

static struct client_rig rig;
static char path[96];

static void begin(void) {
    client_rig_begin(&rig);
    snprintf(path, sizeof(path), "%s/out", rig.folder);
    for (int i = 1; i <= OUT_MESSAGES; i++) {
        char text[32];
        snprintf(text, sizeof(text), "out %d", i);
        client_rig_send(&rig, text);
    }
    /* The child opens it: LMDB's environment does not go through a fork. */
    engine_destroy(rig.engine);
    state_close(rig.state);
}

static void end(void) {
    cr_assert_eq(state_open(rig.folder, &rig.state), 0);
    cr_assert_eq(engine_create(rig.state, &rig.engine), 0);
    client_rig_end(&rig);
}

/* --- the child: a client -------------------------------------------------------------------------------- */

static struct file file;
static long steps_left; /* the child ends when it is 0 */

static void step(void) {
    if (--steps_left == 0)
        _exit(DIED);
}

static int take_to_file(void *context, struct state *state) {
    struct received message;
    uint64_t upto = state_inbox_listened(state);
    (void)context;
    step();
    while (state_inbox_next(state, upto + 1, &message) == 0) {
        upto = message.position;
        if (file_append(&file, message.payload, message.payload_bytes) < 0)
            return -EIO;
    }
    if (random() % 4 == 0) { /* written in part, as when the file's buffer is full */
        size_t half = file.buffered / 2;
        if (pwrite(file.fd, file.buffer, half, (off_t)(file.length - file.buffered)) != (ssize_t)half)
            return -EIO;
        step();
        if (ftruncate(file.fd, (off_t)(file.length - file.buffered)) < 0)
            return -EIO;
    }
    if (file_sync(&file) < 0)
        return -EIO;
    step();
    if (file_note(&file, state) < 0)
        return -EIO;
    state_inbox_set_listened(state, upto);
    step();
    return 0;
}

static void run_child(int socket, long steps) {
    uint8_t input[8192];
    const uint8_t *out;
    size_t count;
    steps_left = steps;
    srandom((unsigned)steps);
    struct state *state;
    struct engine *engine;
    if (state_open(rig.folder, &state) < 0 || engine_create(state, &engine) < 0 ||
        file_open(&file, path, state) < 0)
        _exit(1);
    if (lseek(file.fd, 0, SEEK_END) != (off_t)file.length)
        _exit(5); /* what was not committed is cut off */
    engine_set_before_commit(engine, take_to_file, NULL);
    step();
    if (engine_connected(engine, HELLO_PLAINTEXT, NULL, 0, 0) < 0)
        _exit(2);
    for (;;) {
        if (engine_turn(engine, 0) < 0)
            _exit(3);
        step(); /* committed, nothing acknowledged yet */
        while ((count = engine_output(engine, &out)) > 0) {
            size_t part = random() % 4 ? count : 1 + (size_t)random() % count;
            if (send(socket, out, part, MSG_NOSIGNAL) != (ssize_t)part)
                _exit(0);
            engine_sent(engine, part);
            step();
        }
        ssize_t got = recv(socket, input, sizeof(input), 0);
        if (got <= 0)
            _exit(0);
        if (engine_input(engine, input, (size_t)got, 0) < 0)
            _exit(4);
    }
}

/* --- the test: a switch --------------------------------------------------------------------------------- */

struct far {
    int socket;
    uint64_t acked;       /* every message up to it is acknowledged */
    uint64_t items[4096]; /* the message each item of this session was, 0: a receipt */
    uint64_t item_count;
    uint64_t next;   /* message to give */
    uint64_t taken;  /* highest number of the child's messages that came; each next is at most one above */
    uint64_t ticked; /* given to the child, perhaps */
    uint64_t ticks_acked;
    uint64_t tick_of_item[4096];
    uint8_t bytes[1 << 20];
    size_t count;
    bool is_hello, is_open;
};

static struct far far;

static void say(const uint8_t *frame, size_t bytes) {
    uint8_t record[2 + 4096];
    bytes_put16(record, (uint16_t)bytes);
    memcpy(record + 2, frame, bytes);
    (void)!send(far.socket, record, 2 + bytes, MSG_NOSIGNAL);
}

static void give(uint64_t number) {
    uint8_t out[FRAME_MESSAGE_BYTES + 64];
    char text[32];
    snprintf(text, sizeof(text), "in %lu", (unsigned long)number);
    struct frame_message message = {
        .id = {.from = RIG_OTHER, .to = RIG_ACCOUNT, .epoch = 5, .number = number, .from_device = 1},
        .payload = (const uint8_t *)text,
        .payload_bytes = (uint32_t)strlen(text),
    };
    far.items[++far.item_count] = number;
    far.tick_of_item[far.item_count] = 0;
    say(out, frame_write_message(out, &message));
}

static void give_tick(uint64_t number) {
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    struct frame_range range = {.id = {.from = RIG_ACCOUNT,
                                       .to = RIG_OTHER,
                                       .epoch = RIG_EPOCH,
                                       .number = far.ticks_acked + 1,
                                       .from_device = RIG_DEVICE},
                                .last = number};
    far.items[++far.item_count] = 0;
    far.tick_of_item[far.item_count] = number;
    far.ticked = number;
    say(out, frame_write_range(out, FRAME_RECEIPT, RECEIPT_SENT, &range));
}

static void welcome(void) {
    uint8_t out[FRAME_SMALL_BYTES_MAX];
    struct frame_welcome body = {.account = RIG_ACCOUNT,
                                 .device = RIG_DEVICE,
                                 .payload_bytes_max = 1000,
                                 .unticked_max = 64,
                                 .ping_s = 60,
                                 .name = "me",
                                 .name_bytes = 2};
    far.is_open = true;
    far.item_count = 0;
    far.next = far.acked + 1;
    far.ticked = far.ticks_acked;
    say(out, frame_write_welcome(out, &body));
}

static void take_message(const struct frame *frame) {
    struct frame_message message;
    char text[32];
    cr_assert_eq(frame_read_message(frame, &message), 0);
    cr_assert_leq(message.id.number, far.taken + 1, "%lu comes before its predecessor",
                  (unsigned long)message.id.number);
    cr_assert_gt(message.id.number, far.ticks_acked, "%lu was ticked", (unsigned long)message.id.number);
    snprintf(text, sizeof(text), "out %lu", (unsigned long)message.id.number);
    cr_assert_eq(message.payload_bytes, strlen(text));
    cr_assert_arr_eq(message.payload, text, strlen(text));
    if (message.id.number > far.taken)
        far.taken = message.id.number;
}

static void take_frame(const struct frame *frame) {
    uint64_t count;
    if (frame->type == FRAME_LOGIN) {
        welcome();
    } else if (frame->type == FRAME_MESSAGE) {
        take_message(frame);
    } else if (frame->type == FRAME_ACK) {
        cr_assert_eq(frame_read_ack(frame, &count), 0);
        cr_assert_leq(count, far.item_count);
        for (uint64_t i = 1; i <= count; i++) {
            far.acked = far.items[i] > far.acked ? far.items[i] : far.acked;
            far.ticks_acked = far.tick_of_item[i] > far.ticks_acked ? far.tick_of_item[i] : far.ticks_acked;
        }
    }
}

static void take_records(void) {
    uint8_t hello[HELLO_BYTES];
    size_t at = 0;
    if (!far.is_hello && far.count >= HELLO_BYTES) {
        struct hello_server answer = {.version = HELLO_VERSION, .pattern = HELLO_PLAINTEXT};
        hello_write_server(hello, &answer);
        (void)!send(far.socket, hello, sizeof(hello), MSG_NOSIGNAL);
        far.is_hello = true;
        at = HELLO_BYTES;
    }
    while (far.is_hello && far.count - at >= 2 && far.count - at >= 2u + bytes_get16(far.bytes + at)) {
        uint8_t *frames = far.bytes + at + 2;
        size_t left = bytes_get16(far.bytes + at);
        struct frame frame;
        at += 2 + left;
        while (frame_next(&frames, &left, &frame) == 0)
            take_frame(&frame);
    }
    memmove(far.bytes, far.bytes + at, far.count - at);
    far.count -= at;
}

/* What a switch gives: what is not acknowledged, in order; sometimes again what is; ticks for what it
 * took. */
static void give_some(void) {
    if (!far.is_open || far.item_count > 4000)
        return;
    for (long burst = random() % 8; burst > 0 && far.next <= MESSAGES; burst--) {
        if (far.acked && random() % 10 == 0)
            give(1 + (uint64_t)random() % far.acked);
        give(far.next++);
    }
    if (far.taken > far.ticked && random() % 2)
        give_tick(far.taken);
}

static bool is_done(void) {
    return far.acked == MESSAGES && far.ticks_acked == OUT_MESSAGES;
}

/* Until the child has ended, or everything is done. */
static void serve(pid_t child) {
    far.is_hello = far.is_open = false;
    far.count = 0;
    while (!is_done()) {
        struct pollfd wait = {.fd = far.socket, .events = POLLIN};
        if (poll(&wait, 1, 2) > 0) {
            ssize_t got =
                recv(far.socket, far.bytes + far.count, sizeof(far.bytes) - far.count, MSG_DONTWAIT);
            if (got <= 0)
                break;
            far.count += (size_t)got;
            take_records();
        }
        give_some();
    }
    close(far.socket);
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    if (WIFEXITED(status))
        cr_assert(WEXITSTATUS(status) == DIED || WEXITSTATUS(status) == 0, "the client failed with %d",
                  WEXITSTATUS(status));
}

/* One life of the client, which ends after so many steps, or is killed at any time. */
static void live(long steps, bool kill_it) {
    int sockets[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
    pid_t child = fork();
    if (child == 0) {
        close(sockets[0]);
        run_child(sockets[1], steps);
    }
    close(sockets[1]);
    far.socket = sockets[0];
    if (kill_it) {
        pid_t killer = fork();
        if (killer == 0) {
            usleep((useconds_t)(random() % 30000));
            kill(child, SIGKILL);
            _exit(0);
        }
        serve(child);
        waitpid(killer, NULL, 0);
    } else {
        serve(child);
    }
}

static void check_file(void) {
    char line[64], expected[64];
    FILE *in = fopen(path, "r");
    cr_assert(in);
    for (int i = 1; i <= MESSAGES; i++) {
        cr_assert(fgets(line, sizeof(line), in), "message %d is missing", i);
        snprintf(expected, sizeof(expected), "in %d\n", i);
        cr_assert_str_eq(line, expected);
    }
    cr_assert_null(fgets(line, sizeof(line), in), "nothing after the last");
    fclose(in);
}

Test(client_kill, nothing_is_lost_or_shown_twice_wherever_the_client_ends, .init = begin, .fini = end) {
    long lives = 0;
    memset(&far, 0, sizeof(far));
    srandom(1);
    /* First every step of the way, then lives of any length. */
    for (; !is_done() && lives < 40; lives++)
        live(lives + 1, false);
    for (; !is_done(); lives++) {
        cr_assert_lt(lives, 2000, "it does not come to an end: %lu acknowledged, %lu ticked",
                     (unsigned long)far.acked, (unsigned long)far.ticks_acked);
        live(random() % 60 + 5, lives % 2);
    }
    check_file();
    cr_assert_gt(lives, 20, "the client had to live more than once");
    cr_log_info("%ld lives", lives);
}
