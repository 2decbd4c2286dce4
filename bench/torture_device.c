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
#include "tools/client/publishing.h"
#include "tools/client/sealing.h"
#include "tools/client/state_inbox.h"

#define STEP_MS 20
#define PAUSE_MS_MAX 60  /* between bursts */
#define UNTICKED_MAX 300 /* messages in the outbox before it sends no more */
#define READ_PART 4      /* one step in so many reads everything of one account */
#define BATCH_ENTRIES 512

/* What this device handed over for one account. */
struct sent {
    uint64_t *numbers; /* rising; between them are those of what the library sent of itself */
    size_t count, room;
    size_t delivered, read; /* so many of the first have that tick */
};

struct run {
    struct torture_shared *shared;
    struct torture_status *status;
    struct client *client;
    struct ledger ledger, ticks;
    uint64_t random;
    uint64_t own_account;
    uint64_t version;
    uint64_t burst_ms;
    struct sent sent[TORTURE_ACCOUNTS_MAX];
    uint8_t *payload;
    struct ledger_entry batch[BATCH_ENTRIES]; /* of the ledger, on its way there */
    size_t batch_count;
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

/* --- the ledger ----------------------------------------------------------------------------------------- */

static int flush(struct run *run) {
    int error = run->batch_count ? ledger_write(&run->ledger, run->batch, run->batch_count) : 0;
    run->batch_count = 0;
    return error;
}

/* In a transaction, after ledger_seek. */
static int note(struct run *run, const struct ledger_entry *entry) {
    run->batch[run->batch_count++] = *entry;
    return run->batch_count == BATCH_ENTRIES ? flush(run) : 0;
}

static int keep(struct run *run, struct state *state) {
    int error = flush(run);
    return error ? error : ledger_keep(&run->ledger, state);
}

static struct sent *sent_to(struct run *run, uint64_t account) {
    for (uint32_t i = 0; i < TORTURE_ACCOUNTS_MAX; i++) {
        if (run->shared->accounts[i] == account)
            return &run->sent[i];
    }
    return NULL;
}

static int remember(struct run *run, uint64_t to, uint64_t number) {
    struct sent *sent = sent_to(run, to);
    if (!sent || (sent->count && number <= sent->numbers[sent->count - 1]))
        give_up(run, "a message to account %" PRIu64 " was given the number %" PRIu64, to, number);
    if (sent->count == sent->room) {
        size_t room = sent->room ? 2 * sent->room : BATCH_ENTRIES;
        uint64_t *numbers = realloc(sent->numbers, room * sizeof(*numbers));
        if (!numbers)
            return -ENOMEM;
        sent->numbers = numbers;
        sent->room = room;
    }
    sent->numbers[sent->count++] = number;
    return 0;
}

/* --- receiving ------------------------------------------------------------------------------------------ */

static struct ledger_entry entry_of(enum ledger_kind kind, const struct message_id *id) {
    return (struct ledger_entry){
        .kind = (uint8_t)kind,
        .from = id->from,
        .device = id->from_device,
        .epoch = id->epoch,
        .to = id->to,
        .number = id->number,
        .time_ns = now_ns(),
    };
}

static int take_message(struct run *run, const struct received *message) {
    struct ledger_entry entry = entry_of(LEDGER_RECEIVED, &message->id);
    if (message->is_notice) {
        int bytes = message->payload_bytes < TORTURE_PROBLEM_BYTES ? (int)message->payload_bytes : 0;
        entry.kind = LEDGER_ALARM;
        snprintf(run->status->alarm, sizeof(run->status->alarm), "%.*s", bytes,
                 (const char *)message->payload);
        return note(run, &entry);
    }
    if (message->is_sealed && message->content_type == INNER_TEXT)
        entry.digest = ledger_digest(message->payload, message->payload_bytes);
    atomic_fetch_add(&run->status->received, 1);
    return note(run, &entry);
}

/* Delivered, though nobody has seen it yet. */
static int take_waiting(struct run *run, struct state *state) {
    struct key key = key_of(KEY_WAITING);
    const uint8_t next = 0;
    struct disk_view at, value;
    uint64_t count = 0;
    int error = 0;
    for (; !error && state_seek(state, &key, 1, &at, &value) == 0; count++) {
        struct frame frame = {
            .type = FRAME_MESSAGE, .bytes = (uint8_t *)value.at, .frame_bytes = (uint32_t)value.bytes};
        struct frame_message message;
        error = frame_read_message(&frame, &message);
        if (error)
            break;
        struct ledger_entry entry = entry_of(LEDGER_WAITING, &message.id);
        error = note(run, &entry);
        key.used = 0;
        key_add(&key, at.at, at.bytes);
        key_add(&key, &next, sizeof(next));
    }
    atomic_store(&run->status->waiting, count);
    return error;
}

/* In the transaction in which the messages arrived. */
static int take(void *context, struct state *state) {
    struct run *run = context;
    uint64_t upto = state_inbox_listened(state);
    struct received message;
    int error = ledger_seek(&run->ledger, state);
    while (!error && state_inbox_next(state, upto + 1, &message) == 0) {
        upto = message.position;
        error = take_message(run, &message);
    }
    if (!error)
        error = take_waiting(run, state);
    if (!error)
        error = keep(run, state);
    return error ? error : state_inbox_set_listened(state, upto);
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

/* No two are the same. */
static uint32_t compose(struct run *run, const struct identity *own, uint64_t to) {
    int used = snprintf((char *)run->payload, TORTURE_HEADER_BYTES,
                        TORTURE_TEXT "%" PRIu64 ".%u to %" PRIu64 ", %016" PRIx64 "\n", own->account,
                        own->device, to, now_ns());
    uint32_t bytes = (uint32_t)used + chance(run, run->shared->payload_bytes_max);
    uint64_t word = run->random;
    for (uint32_t i = (uint32_t)used; i < bytes; i++) {
        word = word * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        run->payload[i] = (uint8_t)(word >> 56);
    }
    return bytes;
}

/* Any that may be written to: the own one where it has further devices. */
static uint64_t choose_account(struct run *run) {
    const struct torture_shared *shared = run->shared;
    uint32_t accounts = atomic_load(&shared->account_count), chosen = chance(run, accounts);
    if (shared->accounts[chosen] == run->own_account && shared->device_counts[chosen] == 1)
        chosen = (chosen + 1) % accounts;
    return shared->accounts[chosen];
}

static int hand_over(struct run *run, struct state *state, const struct identity *own) {
    struct outgoing message = {.to = choose_account(run), .utc_ms = client_utc_ms(), .payload = run->payload};
    struct ledger_entry entry = {.kind = LEDGER_SENT, .to = message.to, .time_ns = now_ns()};
    message.payload_bytes = compose(run, own, message.to);
    entry.digest = ledger_digest(run->payload, message.payload_bytes);
    int error = sealing_add(state, &message, INNER_TEXT, &entry.number);
    if (!error)
        error = remember(run, entry.to, entry.number);
    return error ? error : note(run, &entry);
}

static void send_burst(struct run *run) {
    struct state *state = client_state(run->client);
    struct identity identity = {0};
    uint32_t count = 1 + chance(run, run->shared->burst_max);
    int error = state_begin(state);
    if (!error)
        error = state_identity(state, &identity);
    if (!error)
        error = ledger_seek(&run->ledger, state);
    for (uint32_t i = 0; !error && i < count; i++)
        error = hand_over(run, state, &identity);
    if (!error)
        error = keep(run, state);
    if (!error)
        error = state_commit(state);
    if (error)
        give_up(run, "messages can not be kept: %s", strerror(-error));
    explicit_bzero(&identity, sizeof(identity));
    atomic_fetch_add(&run->status->sent, count);
}

/* --- what became of it ---------------------------------------------------------------------------------- */

/* How many of the first have this tick, `from` of which are known to. */
static size_t first_without(struct state *state, uint64_t to, const struct sent *sent, size_t from,
                            uint8_t flag) {
    uint64_t count = 1;
    while (from < sent->count &&
           state_outbox_ticked(state, to, sent->numbers[from], sent->numbers[from], flag, &count) == 0 &&
           count)
        from++;
    return from;
}

/* Writes down when each delivered tick was seen first, which is not before it was there. */
static int note_delivered(struct run *run, uint64_t to, struct sent *sent, size_t upto, bool is_start) {
    for (; sent->delivered < upto; sent->delivered++) {
        struct ledger_entry entry = {
            .kind = LEDGER_DELIVERED, .to = to, .number = sent->numbers[sent->delivered]};
        entry.time_ns = now_ns();
        int error = is_start ? 0 : ledger_write(&run->ticks, &entry, 1);
        if (error)
            return error;
    }
    return 0;
}

static int look_at_ticks(struct run *run, struct state *state, bool is_start) {
    uint64_t undelivered = 0, unread = 0;
    for (uint32_t i = 0; i < TORTURE_ACCOUNTS_MAX; i++) {
        uint64_t to = run->shared->accounts[i];
        struct sent *sent = &run->sent[i];
        size_t upto = first_without(state, to, sent, sent->delivered, RECEIPT_DELIVERED);
        int error = note_delivered(run, to, sent, upto, is_start);
        if (error)
            return error;
        sent->read = first_without(state, to, sent, sent->read, RECEIPT_READ);
        undelivered += sent->count - sent->delivered;
        unread += sent->count - sent->read;
    }
    atomic_store(&run->status->undelivered, undelivered);
    atomic_store(&run->status->unread, unread);
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
static void look(struct run *run, bool is_start) {
    struct torture_status *status = run->status;
    struct state *state = client_state(run->client);
    int error = state_look(state);
    if (error)
        give_up(run, "the state can not be read: %s", strerror(-error));
    run->version = state_version(state);
    error = look_at_ticks(run, state, is_start);
    bool is_reachable = publishing_is_done(state);
    uint64_t unticked = state_outbox_count(state);
    uint64_t unconfirmed = count_marks(state, RECEIPT_DELIVERED) + count_marks(state, RECEIPT_READ);
    state_end(state);
    if (error)
        give_up(run, "ticks can not be written down: %s", strerror(-error));
    atomic_store(&status->is_reachable, is_reachable);
    atomic_store(&status->unticked, unticked);
    atomic_store(&status->unconfirmed, unconfirmed);
    atomic_store(&status->is_quiet, atomic_load(&run->shared->phase) == TORTURE_QUIET && !unticked &&
                                        !unconfirmed && !atomic_load(&status->unread) &&
                                        !atomic_load(&status->undelivered));
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
    for (size_t i = 0; !error && i < count; i++) {
        if (entries[i].kind != LEDGER_SENT)
            continue;
        sent++;
        error = remember(run, entries[i].to, entries[i].number);
    }
    free(entries);
    atomic_store(&run->status->sent, sent);
    return error;
}

static void step(struct run *run) {
    int phase = atomic_load(&run->shared->phase);
    int error = client_step(run->client, STEP_MS, NULL);
    if (error)
        give_up(run, "the client gave up: %s (%s)", client_problem(run->client), strerror(-error));
    bool is_reachable = atomic_load(&run->status->is_reachable);
    uint64_t now_ms = client_now_ms();
    if (phase == TORTURE_RUN && is_reachable && now_ms >= run->burst_ms &&
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
                       .payload = malloc(shared->payload_bytes_max + TORTURE_HEADER_BYTES)};
    signal(SIGTERM, on_stop);
    signal(SIGINT, SIG_IGN); /* of the terminal: the main process ends us */
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
