#include "bench/torture_check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/torture_ledger.h"
#include "tools/client/opening.h"
#include "tools/client/state_outbox.h"

/* What a device handed over for one account, by rising numbers. */
struct sent {
    const struct ledger_entry **messages;
    size_t count;
};

struct got {
    uint64_t had_ns; /* it was there, though perhaps not opened; 0: never */
    bool is_taken;   /* the application was given it */
};

/* What is known of a device. */
struct witness {
    const struct torture_device *device;
    struct identity identity;
    struct ledger_entry *entries, *ticks;
    size_t entry_count, tick_count;
    struct sent sent[TORTURE_ACCOUNTS_MAX];
    struct got **got; /* got[sender * accounts + account][index in sent] */
};

struct work {
    struct torture_check *check;
    const struct torture_shared *shared;
    struct witness *witnesses;
    uint32_t count, accounts;
};

void torture_check_wrong(struct torture_check *check, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    if (check->wrong_count < TORTURE_WRONG_MAX)
        vsnprintf(check->wrong[check->wrong_count], TORTURE_PROBLEM_BYTES, format, arguments);
    va_end(arguments);
    check->wrong_count++;
}

/* --- reading -------------------------------------------------------------------------------------------- */

static uint32_t account_index(const struct work *work, uint64_t account) {
    for (uint32_t i = 0; i < work->accounts; i++) {
        if (work->shared->accounts[i] == account)
            return i;
    }
    return UINT32_MAX;
}

/* Where the message of this number is among them; sent->count: it is not. */
static size_t sent_index(const struct sent *sent, uint64_t number) {
    size_t low = 0, high = sent->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (sent->messages[middle]->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < sent->count && sent->messages[low]->number == number ? low : sent->count;
}

static uint64_t without(struct state *state, uint64_t to, const struct sent *sent, uint8_t flag) {
    uint64_t missing = 0;
    for (size_t i = 0; i < sent->count; i++) {
        uint64_t number = sent->messages[i]->number, count = 0;
        state_outbox_ticked(state, to, number, number, flag, &count);
        missing += count == 0;
    }
    return missing;
}

static void count_ticks(struct work *work, struct witness *witness, struct state *state) {
    struct torture_check *check = work->check;
    for (uint32_t i = 0; i < work->accounts; i++) {
        uint64_t to = work->shared->accounts[i];
        const struct sent *sent = &witness->sent[i];
        uint64_t unticked = without(state, to, sent, RECEIPT_SENT);
        uint64_t undelivered = without(state, to, sent, RECEIPT_DELIVERED);
        uint64_t unread = without(state, to, sent, RECEIPT_READ);
        uint64_t failed = sent->count - without(state, to, sent, RECEIPT_FAILED);
        check->unticked += unticked;
        check->undelivered += undelivered;
        check->unread += unread;
        check->failed += failed;
        if (unticked || undelivered || unread || failed)
            torture_check_wrong(check,
                                "device %u of %s to account %" PRIu64 ": of %zu messages %" PRIu64
                                " not sent, %" PRIu64 " not delivered, %" PRIu64 " not read, %" PRIu64
                                " failed",
                                witness->identity.device, witness->device->uri.name, to, sent->count,
                                unticked, undelivered, unread, failed);
    }
}

static void count_marks(struct work *work, const struct witness *witness, struct state *state) {
    struct torture_check *check = work->check;
    static const uint8_t flags[] = {RECEIPT_DELIVERED, RECEIPT_READ};
    for (size_t i = 0; i < sizeof(flags); i++) {
        struct message_id at = {0};
        struct frame_range range;
        while (state_inbox_mark(state, flags[i], 0, &at, &range) == 0) {
            check->unconfirmed += range.last - range.id.number + 1;
            torture_check_wrong(check,
                                "device %u of %s: marks of messages %" PRIu64 " to %" PRIu64
                                " of account %" PRIu64 " are not confirmed",
                                witness->identity.device, witness->device->uri.name, range.id.number,
                                range.last, range.id.from);
            at = range.id;
            at.number = range.last + 1;
        }
    }
}

/* That the switch sends a message again is no trouble. */
static void count_unopened(struct work *work, const struct witness *witness, struct state *state) {
    for (unsigned i = TROUBLE_REPEATED + 1; i < OPENING_TROUBLE_COUNT; i++) {
        uint64_t count = opening_count(state, (enum opening_trouble)i);
        if (count == 0)
            continue;
        work->check->unopened += count;
        torture_check_wrong(work->check, "device %u of %s could not open %" PRIu64 " messages: %s",
                            witness->identity.device, witness->device->uri.name, count,
                            opening_trouble_help(i));
    }
}

static int read_files(struct witness *witness, struct state *state) {
    struct ledger ledger, ticks;
    const char *home = witness->device->home;
    int error = ledger_open(&ledger, home, "ledger");
    if (error)
        return error;
    error = ledger_seek(&ledger, state);
    if (!error)
        error = ledger_read(&ledger, &witness->entries, &witness->entry_count);
    ledger_close(&ledger);
    if (!error)
        error = ledger_open(&ticks, home, "ticks");
    if (error)
        return error;
    error = ledger_read(&ticks, &witness->ticks, &witness->tick_count);
    ledger_close(&ticks);
    return error;
}

static int add_sent(struct work *work, struct witness *witness, const struct ledger_entry *entry) {
    uint32_t account = account_index(work, entry->to);
    if (account == UINT32_MAX)
        return 0;
    struct sent *sent = &witness->sent[account];
    if (!sent->messages) /* all that there are may be to this account */
        sent->messages = calloc(witness->entry_count, sizeof(*sent->messages));
    if (!sent->messages)
        return -ENOMEM;
    if (sent->count && entry->number <= sent->messages[sent->count - 1]->number)
        torture_check_wrong(work->check,
                            "device %u of %s gave a message to account %" PRIu64 " the number %" PRIu64
                            " after %" PRIu64,
                            witness->identity.device, witness->device->uri.name, entry->to, entry->number,
                            sent->messages[sent->count - 1]->number);
    sent->messages[sent->count++] = entry;
    work->check->sent++;
    return 0;
}

static int read_entries(struct work *work, struct witness *witness, struct state *state) {
    int error = read_files(witness, state);
    for (size_t i = 0; !error && i < witness->entry_count; i++) {
        const struct ledger_entry *entry = &witness->entries[i];
        if (entry->kind == LEDGER_SENT)
            error = add_sent(work, witness, entry);
        if (entry->kind != LEDGER_ALARM)
            continue;
        work->check->alarms++;
        torture_check_wrong(
            work->check, "device %u of %s had something to say of account %" PRIu64 ", device %u; last: %s",
            witness->identity.device, witness->device->uri.name, entry->from, entry->device,
            work->shared->status[witness->device->index].alarm);
    }
    return error;
}

static int read_witness(struct work *work, struct witness *witness) {
    struct state *state;
    int error = state_open(witness->device->home, &state);
    if (error)
        return error;
    error = state_look(state);
    if (!error)
        error = state_identity(state, &witness->identity);
    if (!error)
        error = read_entries(work, witness, state);
    if (!error) {
        count_ticks(work, witness, state);
        count_marks(work, witness, state);
        count_unopened(work, witness, state);
    }
    state_end(state);
    state_close(state);
    return error;
}

/* --- comparing ------------------------------------------------------------------------------------------ */

/* Those of the addressed account, and the own others. */
static bool is_target(const struct witness *receiver, const struct witness *sender, uint32_t account) {
    return receiver != sender &&
           (receiver->device->account == account || receiver->device->account == sender->device->account);
}

static struct witness *find_sender(struct work *work, const struct ledger_entry *entry) {
    for (uint32_t i = 0; i < work->count; i++) {
        const struct identity *identity = &work->witnesses[i].identity;
        if (identity->account == entry->from && identity->device == entry->device &&
            identity->epoch == entry->epoch)
            return &work->witnesses[i];
    }
    return NULL;
}

static struct got *got(const struct work *work, const struct witness *receiver, const struct witness *sender,
                       uint32_t account) {
    return receiver->got[(size_t)(sender - work->witnesses) * work->accounts + account];
}

/* A message that a device was given. */
struct place {
    const struct witness *sender;
    uint32_t account;
    size_t index; /* among what the sender sent to that account */
};

static bool find_place(struct work *work, const struct witness *receiver, const struct ledger_entry *entry,
                       struct place *ret_place) {
    struct place place = {.sender = find_sender(work, entry), .account = account_index(work, entry->to)};
    if (!place.sender || place.account == UINT32_MAX || !is_target(receiver, place.sender, place.account))
        return false;
    const struct sent *sent = &place.sender->sent[place.account];
    place.index = sent_index(sent, entry->number);
    if (place.index == sent->count)
        return false;
    *ret_place = place;
    return true;
}

/* What was wrong with it, NULL: nothing. highest: one more than the index of the last one of its sender. */
static const char *take(struct work *work, const struct witness *receiver, const struct ledger_entry *entry,
                        const struct place *place, size_t *highest) {
    struct torture_check *check = work->check;
    const struct ledger_entry *sent = place->sender->sent[place->account].messages[place->index];
    struct got *it = &got(work, receiver, place->sender, place->account)[place->index];
    const char *wrong = NULL;
    if (entry->digest != sent->digest) {
        check->forged++;
        return "which is not what was sent";
    }
    if (it->is_taken) {
        check->doubled++;
        wrong = "a second time";
    } else if (place->index < *highest) {
        check->reordered++;
        wrong = "after a later one";
    }
    *highest = place->index + 1 > *highest ? place->index + 1 : *highest;
    check->deliveries += !it->is_taken;
    it->is_taken = true;
    it->had_ns = it->had_ns ? it->had_ns : entry->time_ns;
    return wrong;
}

static void walk_entry(struct work *work, const struct witness *receiver, const struct ledger_entry *entry,
                       size_t *highest) {
    struct place place;
    const char *wrong = NULL;
    if (!find_place(work, receiver, entry, &place)) {
        if (entry->kind == LEDGER_WAITING)
            return; /* one that the library sent of itself */
        work->check->forged++;
        wrong = "which nobody sent so";
    } else if (entry->kind == LEDGER_WAITING) {
        struct got *it = &got(work, receiver, place.sender, place.account)[place.index];
        it->had_ns = it->had_ns ? it->had_ns : entry->time_ns;
    } else {
        size_t key = (size_t)(place.sender - work->witnesses) * work->accounts + place.account;
        wrong = take(work, receiver, entry, &place, &highest[key]);
    }
    if (wrong)
        torture_check_wrong(work->check,
                            "device %u of %s was given message %" PRIu64 " of account %" PRIu64
                            ", device %u, to account %" PRIu64 " %s",
                            receiver->identity.device, receiver->device->uri.name, entry->number, entry->from,
                            entry->device, entry->to, wrong);
}

/* Room for the times; everything that a device was given, in its order. */
static int walk_received(struct work *work, struct witness *receiver) {
    size_t keys = (size_t)work->count * work->accounts;
    receiver->got = calloc(keys, sizeof(*receiver->got));
    size_t *highest = calloc(keys, sizeof(*highest));
    int error = receiver->got && highest ? 0 : -ENOMEM;
    for (uint32_t i = 0; !error && i < keys; i++) {
        size_t sent = work->witnesses[i / work->accounts].sent[i % work->accounts].count;
        receiver->got[i] = calloc(sent + 1, sizeof(struct got));
        error = receiver->got[i] ? 0 : -ENOMEM;
    }
    for (size_t i = 0; !error && i < receiver->entry_count; i++) {
        const struct ledger_entry *entry = &receiver->entries[i];
        if (entry->kind == LEDGER_RECEIVED || entry->kind == LEDGER_WAITING)
            walk_entry(work, receiver, entry, highest);
    }
    free(highest);
    return error;
}

static void find_lost(struct work *work, const struct witness *receiver, const struct witness *sender) {
    for (uint32_t account = 0; account < work->accounts; account++) {
        if (!is_target(receiver, sender, account))
            continue;
        const struct sent *sent = &sender->sent[account];
        const struct got *there = got(work, receiver, sender, account);
        for (size_t i = 0; i < sent->count; i++) {
            if (there[i].is_taken)
                continue;
            work->check->lost++;
            torture_check_wrong(work->check,
                                "device %u of %s never got message %" PRIu64 " of account %" PRIu64
                                ", device %u, to account %" PRIu64,
                                receiver->identity.device, receiver->device->uri.name,
                                sent->messages[i]->number, sender->identity.account, sender->identity.device,
                                work->shared->accounts[account]);
        }
    }
}

static bool had(const struct work *work, const struct witness *sender, uint32_t account, size_t index,
                uint64_t time_ns) {
    for (uint32_t i = 0; i < work->count; i++) {
        const struct witness *receiver = &work->witnesses[i];
        uint64_t had_ns = got(work, receiver, sender, account)[index].had_ns;
        if (receiver->device->account == account && had_ns && had_ns <= time_ns)
            return true;
    }
    return false;
}

/* A delivered tick was seen: some device of the recipient had the message by then. */
static void find_untrue(struct work *work, const struct witness *sender) {
    for (size_t i = 0; i < sender->tick_count; i++) {
        const struct ledger_entry *tick = &sender->ticks[i];
        uint32_t account = account_index(work, tick->to);
        size_t index = account == UINT32_MAX ? 0 : sent_index(&sender->sent[account], tick->number);
        if (account == UINT32_MAX || index == sender->sent[account].count)
            continue; /* forged; its number is counted elsewhere */
        if (had(work, sender, account, index, tick->time_ns))
            continue;
        work->check->untrue++;
        torture_check_wrong(work->check,
                            "message %" PRIu64 " of %s, device %u, to account %" PRIu64
                            " was told delivered before anybody had it",
                            tick->number, sender->device->uri.name, sender->identity.device, tick->to);
    }
}

static void release(struct work *work) {
    for (uint32_t i = 0; work->witnesses && i < work->count; i++) {
        struct witness *witness = &work->witnesses[i];
        for (size_t j = 0; witness->got && j < (size_t)work->count * work->accounts; j++)
            free(witness->got[j]);
        free(witness->got);
        for (uint32_t j = 0; j < TORTURE_ACCOUNTS_MAX; j++)
            free(witness->sent[j].messages);
        free(witness->entries);
        free(witness->ticks);
        explicit_bzero(&witness->identity, sizeof(witness->identity));
    }
    free(work->witnesses);
}

int torture_check_run(struct torture_check *check, const struct torture_shared *shared,
                      const struct torture_device *devices, uint32_t count) {
    struct work work = {.check = check,
                        .shared = shared,
                        .count = count,
                        .accounts = atomic_load(&shared->account_count),
                        .witnesses = calloc(count, sizeof(*work.witnesses))};
    int error = work.witnesses ? 0 : -ENOMEM;
    for (uint32_t i = 0; !error && i < count; i++) {
        work.witnesses[i].device = &devices[i];
        error = read_witness(&work, &work.witnesses[i]);
        if (error)
            torture_check_wrong(check, "the home %.100s can not be read: %s", devices[i].home,
                                strerror(-error));
    }
    for (uint32_t i = 0; !error && i < count; i++)
        error = walk_received(&work, &work.witnesses[i]);
    for (uint32_t i = 0; !error && i < count; i++) {
        for (uint32_t j = 0; j < count; j++)
            find_lost(&work, &work.witnesses[i], &work.witnesses[j]);
        find_untrue(&work, &work.witnesses[i]);
    }
    release(&work);
    return error;
}
