#include "bench/torture_check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/torture_ledger.h"
#include "tools/client/state_inbox.h"
#include "tools/client/state_outbox.h"

/* What is known of a device. */
struct witness {
    const struct torture_device *device;
    struct identity identity;
    struct ledger_entry *entries, *ticks;
    size_t entry_count, tick_count;
    uint64_t sent[TORTURE_ACCOUNTS_MAX];
    /* got[sender * accounts + account][number]: when, 0 never */
    uint64_t **got;
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

static uint64_t without(struct state *state, uint64_t to, uint64_t last, uint8_t flag) {
    uint64_t count = 0;
    if (last)
        state_outbox_ticked(state, to, 1, last, flag, &count);
    return last - count;
}

static void count_ticks(struct work *work, struct witness *witness, struct state *state) {
    struct torture_check *check = work->check;
    for (uint32_t i = 0; i < work->accounts; i++) {
        uint64_t to = work->shared->accounts[i], last = witness->sent[i];
        uint64_t unticked = without(state, to, last, RECEIPT_SENT);
        uint64_t undelivered = without(state, to, last, RECEIPT_DELIVERED);
        uint64_t unread = without(state, to, last, RECEIPT_READ);
        uint64_t failed = last - without(state, to, last, RECEIPT_FAILED);
        check->unticked += unticked;
        check->undelivered += undelivered;
        check->unread += unread;
        check->failed += failed;
        if (unticked || undelivered || unread || failed)
            torture_check_wrong(check,
                                "%s to account %" PRIu64 ": of %" PRIu64 " messages %" PRIu64
                                " not sent, %" PRIu64 " not delivered, %" PRIu64 " not read, %" PRIu64
                                " failed",
                                witness->device->uri.name, to, last, unticked, undelivered, unread, failed);
    }
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

static int read_entries(struct work *work, struct witness *witness, struct state *state) {
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
    for (size_t i = 0; !error && i < witness->entry_count; i++) {
        const struct ledger_entry *entry = &witness->entries[i];
        uint32_t account = entry->kind == LEDGER_SENT ? account_index(work, entry->to) : UINT32_MAX;
        if (account == UINT32_MAX)
            continue;
        if (entry->number != ++witness->sent[account])
            torture_check_wrong(work->check, "%s gave message %" PRIu64 " the number %" PRIu64,
                                witness->device->uri.name, witness->sent[account], entry->number);
        work->check->sent++;
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
    if (!error)
        count_ticks(work, witness, state);
    state_end(state);
    state_close(state);
    return error;
}

/* --- comparing ------------------------------------------------------------------------------------------ */

static bool is_target(const struct witness *receiver, const struct witness *sender, uint32_t account) {
    if (receiver == sender)
        return receiver->device->account == account; /* to oneself */
    return receiver->device->account == account || receiver->device->account == sender->device->account;
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

static uint64_t *got(const struct work *work, const struct witness *receiver, const struct witness *sender,
                     uint32_t account) {
    return receiver->got[(size_t)(sender - work->witnesses) * work->accounts + account];
}

/* Room for the times; everything that a device was given, in its order. */
static int walk_received(struct work *work, struct witness *receiver) {
    struct torture_check *check = work->check;
    size_t keys = (size_t)work->count * work->accounts;
    receiver->got = calloc(keys, sizeof(*receiver->got));
    uint64_t *highest = calloc(keys, sizeof(*highest));
    int error = receiver->got && highest ? 0 : -ENOMEM;
    for (uint32_t i = 0; !error && i < keys; i++) {
        uint64_t sent = work->witnesses[i / work->accounts].sent[i % work->accounts];
        receiver->got[i] = calloc(sent + 1, sizeof(uint64_t));
        error = receiver->got[i] ? 0 : -ENOMEM;
    }
    for (size_t i = 0; !error && i < receiver->entry_count; i++) {
        const struct ledger_entry *entry = &receiver->entries[i];
        if (entry->kind != LEDGER_RECEIVED)
            continue;
        struct witness *sender = find_sender(work, entry);
        uint32_t account = account_index(work, entry->to);
        const char *wrong = NULL;
        if (!sender || account == UINT32_MAX || entry->number == 0 || entry->number > sender->sent[account] ||
            entry->is_wrong || !is_target(receiver, sender, account)) {
            check->forged++;
            wrong = "which nobody sent so";
        } else {
            size_t key = (size_t)(sender - work->witnesses) * work->accounts + account;
            uint64_t *time_ns = &receiver->got[key][entry->number];
            if (*time_ns) {
                check->doubled++;
                wrong = "a second time";
            } else if (entry->number < highest[key]) {
                check->reordered++;
                wrong = "after a later one";
            }
            highest[key] = entry->number > highest[key] ? entry->number : highest[key];
            check->deliveries += *time_ns == 0;
            *time_ns = *time_ns ? *time_ns : entry->time_ns;
        }
        if (wrong)
            torture_check_wrong(check,
                                "device %u of %s was given message %" PRIu64 " of account %" PRIu64
                                ", device %u, to account %" PRIu64 " %s",
                                receiver->identity.device, receiver->device->uri.name, entry->number,
                                entry->from, entry->device, entry->to, wrong);
    }
    free(highest);
    return error;
}

static void find_lost(struct work *work, const struct witness *receiver, const struct witness *sender) {
    for (uint32_t account = 0; account < work->accounts; account++) {
        if (!is_target(receiver, sender, account))
            continue;
        const uint64_t *times = got(work, receiver, sender, account);
        for (uint64_t number = 1; number <= sender->sent[account]; number++) {
            if (times[number])
                continue;
            work->check->lost++;
            torture_check_wrong(work->check,
                                "device %u of %s never got message %" PRIu64 " of account %" PRIu64
                                ", device %u, to account %" PRIu64,
                                receiver->identity.device, receiver->device->uri.name, number,
                                sender->identity.account, sender->identity.device,
                                work->shared->accounts[account]);
        }
    }
}

/* A delivered tick was seen: some device of the recipient had the message by then. */
static void find_untrue(struct work *work, const struct witness *sender) {
    for (size_t i = 0; i < sender->tick_count; i++) {
        const struct ledger_entry *tick = &sender->ticks[i];
        uint32_t account = account_index(work, tick->to);
        bool is_true = false;
        if (account == UINT32_MAX || tick->number == 0 || tick->number > sender->sent[account])
            continue; /* forged; its number is counted elsewhere */
        for (uint32_t j = 0; j < work->count && !is_true; j++) {
            const struct witness *receiver = &work->witnesses[j];
            uint64_t time_ns = got(work, receiver, sender, account)[tick->number];
            is_true = receiver->device->account == account && time_ns && time_ns <= tick->time_ns;
        }
        if (is_true)
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
