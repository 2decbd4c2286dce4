#include "bench/torture_device.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench/torture_ledger.h"
#include "tools/client/client.h"
#include "tools/client/link.h"
#include "tools/client/state_inbox.h"
#include "tools/client/state_outbox.h"

#define STEP_MS 20
#define PAUSE_MS_MAX 60  /* between bursts */
#define UNTICKED_MAX 300 /* messages in the outbox before it sends no more */
#define READ_PART 4      /* one step in so many reads everything of one account */
#define BATCH_ENTRIES 512
#define HEADER_BYTES 96

struct run {
    struct torture_shared *shared;
    struct torture_status *status;
    struct client *client;
    struct ledger ledger, ticks;
    uint64_t random;
    uint64_t own_account;
    uint64_t version;
    uint64_t burst_ms;
    uint64_t last[TORTURE_ACCOUNTS_MAX];      /* number of the last message to each account */
    uint64_t delivered[TORTURE_ACCOUNTS_MAX]; /* the first number that is not delivered */
    uint8_t *payload;
};

static volatile sig_atomic_t stopped;

static void on_stop(int number) {
    (void)number;
    stopped = 1;
}

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static uint32_t chance(struct run *run, uint32_t below) { /* xorshift */
    run->random ^= run->random << 13;
    run->random ^= run->random >> 7;
    run->random ^= run->random << 17;
    return (uint32_t)(run->random >> 32) % below;
}

__attribute__((noreturn, format(printf, 2, 3))) static void give_up(struct run *run, const char *format,
                                                                    ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(run->status->problem, sizeof(run->status->problem), format, arguments);
    va_end(arguments);
    _exit(1);
}

/* --- payloads ------------------------------------------------------------------------------------------- */

/* Says whose it is, and goes on with bytes that follow from that: its receiver can tell it from any other. */
static uint32_t compose(const struct run *run, uint64_t from, uint64_t to, uint64_t number, uint64_t epoch,
                        uint8_t *out) {
    uint64_t state = number * UINT64_C(0x9E3779B97F4A7C15) ^ epoch ^ to << 32;
    int used = snprintf((char *)out, HEADER_BYTES,
                        "%" PRIu64 " to %" PRIu64 ", number %" PRIu64 ", epoch %016" PRIx64 "\n", from, to,
                        number, epoch);
    uint32_t bytes = (uint32_t)used + (uint32_t)(state >> 40) % run->shared->payload_bytes_max;
    for (uint32_t i = (uint32_t)used; i < bytes; i++) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        out[i] = (uint8_t)(state >> 56);
    }
    return bytes;
}

/* --- receiving ------------------------------------------------------------------------------------------ */

/* In the transaction in which the messages arrived. */
static int take(void *context, struct state *state) {
    static struct ledger_entry batch[BATCH_ENTRIES];
    struct run *run = context;
    uint64_t upto = state_inbox_listened(state), count = 0;
    struct received message;
    int error = ledger_seek(&run->ledger, state);
    while (!error && state_inbox_next(state, upto + 1, &message) == 0) {
        upto = message.position;
        if (message.is_notice) /* of its account's keys, which are not under torture */
            continue;
        uint32_t bytes =
            compose(run, message.id.from, message.id.to, message.id.number, message.id.epoch, run->payload);
        batch[count++] = (struct ledger_entry){
            .kind = LEDGER_RECEIVED,
            .from = message.id.from,
            .device = message.id.from_device,
            .epoch = message.id.epoch,
            .to = message.id.to,
            .number = message.id.number,
            .time_ns = now_ns(),
            .is_wrong = bytes != message.payload_bytes || memcmp(run->payload, message.payload, bytes) != 0,
        };
        atomic_fetch_add(&run->status->received, 1);
        if (count == BATCH_ENTRIES) {
            error = ledger_write(&run->ledger, batch, count);
            count = 0;
        }
    }
    if (!error && count)
        error = ledger_write(&run->ledger, batch, count);
    if (error)
        return error;
    state_inbox_set_listened(state, upto);
    return ledger_keep(&run->ledger, state);
}

static void read_some(struct run *run, bool all) {
    struct state *state = client_state(run->client);
    uint64_t count;
    uint32_t account = chance(run, atomic_load(&run->shared->account_count));
    if (state_begin(state) < 0)
        give_up(run, "the state can not be written");
    state_inbox_read_all(state, all ? 0 : run->shared->accounts[account], &count);
    if (state_commit(state) < 0)
        give_up(run, "marks can not be kept");
}

/* --- sending -------------------------------------------------------------------------------------------- */

static void send_burst(struct run *run) {
    static struct ledger_entry batch[BATCH_ENTRIES];
    struct state *state = client_state(run->client);
    struct identity identity = {0};
    uint32_t accounts = atomic_load(&run->shared->account_count), count = 0;
    uint64_t last[TORTURE_ACCOUNTS_MAX];
    memcpy(last, run->last, sizeof(last));
    int error = state_begin(state);
    if (!error)
        error = state_identity(state, &identity);
    if (!error)
        error = ledger_seek(&run->ledger, state);
    for (uint32_t left = 1 + chance(run, run->shared->burst_max); !error && left; left--) {
        uint32_t account = chance(run, accounts);
        uint64_t to = run->shared->accounts[account], number = ++last[account], got = 0;
        struct outgoing message = {.to = to, .utc_ms = client_utc_ms(), .payload = run->payload};
        message.payload_bytes = compose(run, identity.account, to, number, identity.epoch, run->payload);
        error = state_outbox_add(state, &message, &got);
        if (!error && got != number)
            give_up(run, "message %" PRIu64 " to account %" PRIu64 " was given the number %" PRIu64, number,
                    to, got);
        batch[count++] =
            (struct ledger_entry){.kind = LEDGER_SENT, .to = to, .number = number, .time_ns = now_ns()};
    }
    if (!error)
        error = ledger_write(&run->ledger, batch, count);
    if (!error)
        error = ledger_keep(&run->ledger, state);
    if (!error)
        error = state_commit(state);
    if (error)
        give_up(run, "messages can not be kept: %s", strerror(-error));
    memcpy(run->last, last, sizeof(last));
    atomic_fetch_add(&run->status->sent, count);
}

/* --- what became of it ---------------------------------------------------------------------------------- */

/* The first number at or after `from` without this tick. */
static uint64_t first_without(struct state *state, uint64_t to, uint64_t from, uint64_t last, uint8_t flag) {
    uint64_t step = 1, count = 0;
    while (from <= last) {
        if (step > last - from + 1)
            step = last - from + 1;
        if (state_outbox_ticked(state, to, from, from + step - 1, flag, &count) < 0)
            break;
        if (count == step) {
            from += step;
            step *= 2;
        } else if (step == 1) {
            break;
        } else {
            step = 1;
        }
    }
    return from;
}

/* Writes down when each delivered tick was seen first, which is not before it was there. */
static int look_at_ticks(struct run *run, struct state *state, bool is_start) {
    uint64_t undelivered = 0;
    for (uint32_t i = 0; i < atomic_load(&run->shared->account_count); i++) {
        uint64_t to = run->shared->accounts[i];
        uint64_t upto = first_without(state, to, run->delivered[i], run->last[i], RECEIPT_DELIVERED);
        for (; run->delivered[i] < upto; run->delivered[i]++) {
            struct ledger_entry entry = {.kind = LEDGER_DELIVERED, .to = to, .number = run->delivered[i]};
            entry.time_ns = now_ns();
            int error = is_start ? 0 : ledger_write(&run->ticks, &entry, 1);
            if (error)
                return error;
        }
        undelivered += run->last[i] + 1 - upto;
    }
    atomic_store(&run->status->undelivered, undelivered);
    return 0;
}

static uint64_t count_marks(struct state *state, uint8_t flag) {
    struct message_id at = {0};
    struct frame_range range;
    uint64_t count = 0;
    while (state_inbox_mark(state, flag, 0, &at, &range) == 0) {
        count += range.last - range.id.number + 1;
        at = range.id;
        at.number = range.last + 1;
    }
    return count;
}

/* Without every tick it is not quiet: reading is told by other devices when they are at rest, too. */
static uint64_t count_unread_ticks(const struct run *run, struct state *state) {
    uint64_t missing = 0, count = 0;
    for (uint32_t i = 0; i < atomic_load(&run->shared->account_count); i++) {
        if (run->last[i] &&
            state_outbox_ticked(state, run->shared->accounts[i], 1, run->last[i], RECEIPT_READ, &count) == 0)
            missing += run->last[i] - count;
    }
    return missing;
}

static void look(struct run *run, bool is_start) {
    struct state *state = client_state(run->client);
    struct torture_status *status = run->status;
    struct identity identity = {0};
    int error = state_look(state);
    if (error)
        give_up(run, "the state can not be read: %s", strerror(-error));
    run->version = state_version(state);
    error = look_at_ticks(run, state, is_start);
    bool is_linked = state_identity(state, &identity) == 0 && identity.is_linked;
    uint64_t unticked = state_outbox_count(state);
    uint64_t unconfirmed = count_marks(state, RECEIPT_DELIVERED) + count_marks(state, RECEIPT_READ);
    uint64_t unread = count_unread_ticks(run, state);
    state_end(state);
    if (error)
        give_up(run, "ticks can not be written down: %s", strerror(-error));
    atomic_store(&status->is_linked, is_linked);
    atomic_store(&status->unticked, unticked);
    atomic_store(&status->unconfirmed, unconfirmed);
    atomic_store(&status->unread, unread);
    atomic_store(&status->is_quiet, atomic_load(&run->shared->phase) == TORTURE_QUIET && !unticked &&
                                        !unconfirmed && !unread && !atomic_load(&status->undelivered));
}

/* --- the process ---------------------------------------------------------------------------------------- */

/* Where the last process of this home got to. */
static int resume(struct run *run) {
    struct state *state = client_state(run->client);
    struct ledger_entry *entries;
    size_t count;
    int error = state_look(state);
    if (!error) {
        error = ledger_seek(&run->ledger, state);
        state_end(state);
    }
    if (!error)
        error = ledger_read(&run->ledger, &entries, &count);
    if (error)
        return error;
    uint64_t sent = 0;
    for (size_t i = 0; i < count; i++) {
        if (entries[i].kind != LEDGER_SENT)
            continue;
        sent++;
        for (uint32_t j = 0; j < TORTURE_ACCOUNTS_MAX; j++) {
            if (run->shared->accounts[j] == entries[i].to)
                run->last[j] = entries[i].number;
        }
    }
    free(entries);
    atomic_store(&run->status->sent, sent);
    return 0;
}

static void step(struct run *run) {
    int phase = atomic_load(&run->shared->phase);
    int error = client_step(run->client, STEP_MS, NULL);
    if (error)
        give_up(run, "the client gave up: %s (%s)", client_problem(run->client), strerror(-error));
    bool is_linked = atomic_load(&run->status->is_linked);
    uint64_t now_ms = client_now_ms();
    if (phase == TORTURE_RUN && is_linked && now_ms >= run->burst_ms &&
        atomic_load(&run->status->unticked) < UNTICKED_MAX) {
        run->burst_ms = now_ms + chance(run, PAUSE_MS_MAX);
        send_burst(run);
    }
    if (phase == TORTURE_QUIET || (phase == TORTURE_RUN && chance(run, READ_PART) == 0))
        read_some(run, phase == TORTURE_QUIET);
    if (state_version(client_state(run->client)) != run->version || phase == TORTURE_QUIET)
        look(run, false);
}

void torture_device_run(struct torture_shared *shared, const struct torture_device *device, uint64_t seed) {
    static struct run run;
    run = (struct run){.shared = shared,
                       .status = &shared->status[device->index],
                       .random = seed | 1,
                       .own_account = device->uri.account,
                       .payload = malloc(shared->payload_bytes_max + HEADER_BYTES)};
    signal(SIGTERM, on_stop);
    signal(SIGINT, SIG_IGN); /* of the terminal: the main process ends us */
    for (uint32_t i = 0; i < TORTURE_ACCOUNTS_MAX; i++)
        run.delivered[i] = 1;
    atomic_store(&run.status->is_quiet, false);
    int error = run.payload ? client_open(device->home, true, &run.client) : -ENOMEM;
    if (!error)
        error = link_prepare(client_state(run.client), &device->uri);
    if (error >= 0)
        error = ledger_open(&run.ledger, device->home, "ledger");
    if (!error)
        error = ledger_open(&run.ticks, device->home, "ticks");
    if (!error)
        error = resume(&run);
    if (error)
        give_up(&run, "the home %.100s can not be opened: %s", device->home, strerror(-error));
    look(&run, true);
    client_set_before_commit(run.client, take, &run);
    while (!stopped)
        step(&run);
    client_close(run.client);
    _exit(0);
}
