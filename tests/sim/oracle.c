#include "tests/sim/oracle.h"

#include <stdio.h>
#include <string.h>

#include "core/frame.h"
#include "core/reason.h"
#include "tests/sim/sim.h"

#define BIT(device) (UINT32_C(1) << (device))
#define ALL_TICKS (RECEIPT_SENT | RECEIPT_DELIVERED | RECEIPT_READ)

struct letter { /* a message, as people know it */
    bool used, refused;
    bool nobody; /* the recipient had no device, at some time since */
    uint32_t from;
    uint64_t to, number;
    uint64_t sent_ms, ttl_ms;
    uint32_t targets;              /* devices that were linked when it was sent: each has to get it */
    uint32_t had;                  /* devices that have it, if they can show it or not */
    uint32_t shown;                /* devices that did */
    uint32_t read;                 /* devices whose person read it */
    uint32_t lost;                 /* devices whose queue was purged since, or that do not know the sender */
    uint8_t ticks;                 /* on the sending device */
    uint8_t told[SIM_DEVICES_MAX]; /* the devices of its account */
    uint8_t copied[SIM_DEVICES_MAX]; /* what they show of it, at the end */
    bool jumped;                     /* the wall clock did, since */
};

struct person { /* a device */
    bool linked, reachable, revoking, revoked;
    uint32_t purges; /* of its queue, not done yet */
    bool purged;     /* it was, or is being */
    uint64_t account;
    uint64_t revoked_ms;
    uint32_t last_shown[SIM_DEVICES_MAX]
                       [SIM_ACCOUNTS_MAX + 1]; /* one more than the last message of this pair */
};

static struct letter letters[SIM_MESSAGES_MAX];
static struct person persons[SIM_DEVICES_MAX];
static uint32_t letter_count;
static bool unwilling[SIM_ACCOUNTS_MAX + 1]; /* blocked somebody, or was suspended: may refuse */

void oracle_reset(void) {
    memset(letters, 0, sizeof(letters));
    memset(persons, 0, sizeof(persons));
    memset(unwilling, 0, sizeof(unwilling));
    letter_count = 0;
}

static uint32_t devices_of(uint64_t account) {
    uint32_t mask = 0;
    for (uint32_t i = 0; i < SIM_DEVICES_MAX; i++) {
        if (persons[i].linked && persons[i].account == account)
            mask |= BIT(i);
    }
    return mask;
}

/* Those that a message has to reach which is sent now. */
static uint32_t reachable_of(uint64_t account) {
    uint32_t mask = devices_of(account);
    for (uint32_t i = 0; i < SIM_DEVICES_MAX; i++)
        mask &= persons[i].reachable ? ~UINT32_C(0) : ~BIT(i);
    return mask;
}

static uint32_t revoking(void) {
    uint32_t mask = 0;
    for (uint32_t i = 0; i < SIM_DEVICES_MAX; i++)
        mask |= persons[i].revoking ? BIT(i) : 0;
    return mask;
}

static uint32_t purging(void) {
    uint32_t mask = 0;
    for (uint32_t i = 0; i < SIM_DEVICES_MAX; i++)
        mask |= persons[i].purges ? BIT(i) : 0;
    return mask;
}

/* Devices encrypt for others alone. */
static bool nobody_takes(uint32_t device, uint64_t to) {
    uint32_t self = sim.plan.sealed ? BIT(device) : 0;
    return !(reachable_of(to) & ~revoking() & ~self);
}

/* --- accounts and devices ------------------------------------------------------------------------------- */

void oracle_linked(uint32_t device, uint64_t account) {
    persons[device].linked = true;
    persons[device].account = account;
}

void oracle_reachable(uint32_t device) {
    persons[device].reachable = true;
}

void oracle_revoking(uint32_t device) {
    persons[device].revoking = true;
    for (uint32_t i = 0; i < letter_count; i++)
        letters[i].nobody |= nobody_takes(letters[i].from, letters[i].to);
}

void oracle_revoked(uint32_t device) {
    persons[device].revoked = true;
    persons[device].revoked_ms = sim.now_ms;
}

bool oracle_may_be_revoked(uint32_t device) {
    return persons[device].revoking;
}

void oracle_blocking(uint64_t account) {
    unwilling[account] = true;
}

void oracle_suspending(uint64_t account) {
    unwilling[account] = true;
}

/* Everything for these devices that is not shown until it is done may be gone, and that is no loss. */
void oracle_purging(uint64_t account, uint32_t device) {
    for (uint32_t i = 0; i < SIM_DEVICES_MAX; i++) {
        if (persons[i].account == account && (device == SIM_DEVICES_MAX || device == i))
            persons[i].purges++;
        persons[i].purged |= persons[i].purges > 0;
    }
    for (uint32_t i = 0; i < letter_count; i++)
        letters[i].lost |= purging();
}

void oracle_purged(uint64_t account, uint32_t device) {
    for (uint32_t i = 0; i < SIM_DEVICES_MAX; i++) {
        if (persons[i].account == account && (device == SIM_DEVICES_MAX || device == i) && persons[i].purges)
            persons[i].purges--;
    }
}

/* --- messages ------------------------------------------------------------------------------------------- */

uint32_t oracle_sent(uint32_t device, uint64_t to, uint32_t ttl_s) {
    if (letter_count == SIM_MESSAGES_MAX)
        return SIM_MESSAGES_MAX;
    struct letter *letter = &letters[letter_count];
    uint64_t ttl_most_s = sim.plan.config.ttl_s;
    uint64_t own = persons[device].account;
    *letter = (struct letter){
        .used = true,
        .from = device,
        .to = to,
        .sent_ms = sim.now_ms,
        .nobody = nobody_takes(device, to),
        .lost = purging(),
        .ttl_ms = 1000 * (ttl_s && ttl_s < ttl_most_s ? ttl_s : ttl_most_s),
        .targets = reachable_of(to) | reachable_of(own),
    };
    /* A copy to the device itself there is only where all get the same. */
    if (to != own || sim.plan.sealed)
        letter->targets &= ~BIT(device);
    return letter_count++;
}

void oracle_unsent(uint32_t message) {
    letters[message].used = false;
}

void oracle_placed(uint32_t message, uint64_t number) {
    letters[message].number = number;
}

void oracle_place(uint32_t message, uint64_t *ret_to, uint64_t *ret_number) {
    *ret_to = letters[message].to;
    *ret_number = letters[message].number;
}

static const char *text_of(uint32_t message) {
    static char text[96];
    const struct letter *letter = &letters[message];
    snprintf(text, sizeof(text), "message %u (device %u to account %llu, number %llu)", message, letter->from,
             (unsigned long long)letter->to, (unsigned long long)letter->number);
    return text;
}

static bool may_have_expired(const struct letter *letter) {
    return sim.now_ms - letter->sent_ms + sim.jumped_ms >= letter->ttl_ms;
}

/* Ticks that wait for a device live as long as a message that names no time. */
static bool ticks_may_have_expired(const struct letter *letter) {
    return sim.now_ms - letter->sent_ms + sim.jumped_ms >= 1000 * sim.plan.config.ttl_s;
}

void oracle_has(uint32_t device, uint32_t message) {
    letters[message].had |= BIT(device);
}

/* P4 and P5: for each pair of devices in the order sent, each once. */
void oracle_shown(uint32_t device, uint32_t message) {
    struct letter *letter = &letters[message];
    struct person *person = &persons[device];
    uint32_t *last = &person->last_shown[letter->from][letter->to];
    uint64_t sender = persons[letter->from].account;
    if (message >= letter_count || !letter->used)
        sim_fail("device %u is shown message %u, which nobody sent", device, message);
    else if (letter->shown & BIT(device))
        sim_fail("P5: device %u is shown %s again", device, text_of(message));
    else if (*last > message)
        sim_fail("P4: device %u is shown %s after message %u of the same pair", device, text_of(message),
                 *last - 1);
    else if (person->account != letter->to && (person->account != sender || device == letter->from))
        sim_fail("device %u is shown %s, which is none of its business", device, text_of(message));
    else if (person->revoked && letter->sent_ms > person->revoked_ms)
        sim_fail("device %u is shown %s, but was revoked before", device, text_of(message));
    letter->shown |= BIT(device);
    letter->had |= BIT(device);
    *last = message + 1;
}

void oracle_read(uint32_t device, uint32_t message) {
    letters[message].read |= BIT(device);
}

/* Such a message is not shown, and is not delivered by that device. */
bool oracle_may_come_late(uint32_t device, uint32_t from) {
    for (uint32_t i = 0; i < letter_count; i++) {
        if (letters[i].used && letters[i].from == from && may_have_expired(&letters[i]))
            return true;
    }
    return persons[device].purged;
}

bool oracle_may_not_know(uint32_t device, uint32_t from) {
    if (!persons[from].revoking)
        return false;
    for (uint32_t i = 0; i < letter_count; i++) {
        if (letters[i].used && letters[i].from == from && !(letters[i].shown & BIT(device)))
            letters[i].lost |= BIT(device);
    }
    return true;
}

/* P3: what a tick says is so. That *sent* is true shows at the end: a crash in between must lose nothing. */
static void check_truth(const char *who, uint32_t message, uint8_t flags) {
    const struct letter *letter = &letters[message];
    uint32_t recipients = devices_of(letter->to);
    if ((flags & RECEIPT_DELIVERED) && !(letter->had & recipients))
        sim_fail("P3: %s: %s is delivered, but no device has it", who, text_of(message));
    if ((flags & RECEIPT_READ) && !(letter->read & recipients))
        sim_fail("P3: %s: %s is read, but nobody read it", who, text_of(message));
    bool may_be_refused = letter->refused || unwilling[letter->to] || letter->nobody;
    if ((flags & RECEIPT_FAILED) && !(flags & RECEIPT_DELIVERED) && !may_be_refused &&
        !may_have_expired(letter) && !(letter->lost & recipients) && !(revoking() & recipients))
        sim_fail("P3: %s: %s failed, for no reason", who, text_of(message));
}

void oracle_ticks(uint32_t device, uint32_t message, uint8_t flags) {
    struct letter *letter = &letters[message];
    if (flags == letter->ticks)
        return;
    sim.counts.ticks++;
    TRACE3("device %llu: message %llu has ticks %llu", device, message, flags);
    check_truth("sender", message, flags);
    if (flags != RECEIPT_FAILED && (flags & ALL_TICKS) < (letter->ticks & ALL_TICKS))
        sim_fail("P3: the ticks of %s go back from %u to %u", text_of(message), letter->ticks, flags);
    if ((flags & (RECEIPT_DELIVERED | RECEIPT_READ)) && !(flags & RECEIPT_SENT))
        sim_fail("P3: %s is delivered before it is sent", text_of(message));
    letter->ticks = flags;
}

void oracle_told(uint32_t device, uint32_t message, uint8_t flags) {
    check_truth("receipt", message, letters[message].told[device] | flags);
    letters[message].told[device] |= flags;
}

bool oracle_sender(uint32_t message, uint32_t *ret_device) {
    *ret_device = letters[message].from;
    return letters[message].used;
}

void oracle_copied(uint32_t device, uint32_t message, uint8_t flags) {
    letters[message].copied[device] = flags;
}

void oracle_refused(uint32_t device, uint32_t message, unsigned reason) {
    struct letter *letter = &letters[message];
    bool unwillingly = reason == REFUSAL_BLOCKED || reason == REFUSAL_SUSPENDED;
    bool nobody = reason == REFUSAL_NO_DEVICE;
    if (letter->refused)
        return;
    letter->refused = true;
    if (!(unwillingly && unwilling[letter->to]) && !(nobody && letter->nobody))
        sim_fail("device %u: %s is refused: %s", device, text_of(message), refusal_name(reason));
}

/* --- the end -------------------------------------------------------------------------------------------- */

bool oracle_content(void) {
    for (uint32_t i = 0; i < letter_count; i++) {
        const struct letter *letter = &letters[i];
        if (letter->used && !persons[letter->from].revoking && !ticks_may_have_expired(letter) &&
            !(letter->ticks & (RECEIPT_SENT | RECEIPT_FAILED)))
            return false;
    }
    return true;
}

/* What the ticks of a message have to be when all is said. */
static uint8_t ticks_due(const struct letter *letter) {
    uint32_t recipients = devices_of(letter->to);
    uint8_t due = RECEIPT_SENT;
    if (letter->shown & recipients)
        due |= RECEIPT_DELIVERED;
    if (letter->read & recipients)
        due |= RECEIPT_READ;
    return due;
}

/* A device that was revoked may have taken its knowledge with it. */
static uint8_t ticks_sure(const struct letter *letter) {
    uint32_t recipients = devices_of(letter->to) & ~revoking();
    uint8_t due = RECEIPT_SENT;
    if (letter->shown & recipients)
        due |= RECEIPT_DELIVERED;
    if (letter->read & recipients)
        due |= RECEIPT_READ;
    return due;
}

static void judge_ticks(uint32_t message) {
    const struct letter *letter = &letters[message];
    uint8_t failed = letter->ticks & RECEIPT_FAILED, ticks = letter->ticks & ALL_TICKS;
    bool complete = (ticks & ticks_sure(letter)) == ticks_sure(letter) && !(ticks & ~ticks_due(letter));
    if (!(ticks & RECEIPT_SENT) && failed)
        return;
    if (!complete)
        sim_fail("P3: %s has ticks %u at the end, shown to %x, read by %x", text_of(message), letter->ticks,
                 letter->shown, letter->read);
    uint64_t own = persons[letter->from].account;
    uint32_t siblings = letter->targets & devices_of(own) & ~revoking() & ~BIT(letter->from);
    for (uint32_t i = 0; i < SIM_DEVICES_MAX; i++) {
        if (!(siblings & BIT(i)))
            continue;
        if (!sim.plan.encrypted && ((letter->told[i] ^ ticks) & ticks_sure(letter)))
            sim_fail("P3: device %u was told ticks %u of %s, its sender %u", i, letter->told[i],
                     text_of(message), letter->ticks);
        if (letter->to != own && ((letter->copied[i] ^ ticks) & ticks_sure(letter)))
            sim_fail("P3: device %u shows ticks %u of %s, its sender %u", i, letter->copied[i],
                     text_of(message), letter->ticks);
    }
}

static void judge(uint32_t message) {
    const struct letter *letter = &letters[message];
    bool gone = persons[letter->from].revoking;
    if (!(letter->ticks & (RECEIPT_SENT | RECEIPT_FAILED))) {
        if (!gone && !ticks_may_have_expired(letter))
            sim_fail("%s got no tick", text_of(message));
        return;
    }
    uint32_t excused = letter->lost | revoking();
    if (may_have_expired(letter))
        excused |= ~UINT32_C(0);
    uint32_t missing = letter->targets & ~letter->shown & ~excused;
    bool failed = (letter->ticks & RECEIPT_FAILED) && !(letter->ticks & RECEIPT_DELIVERED);
    if (missing && !failed)
        sim_fail("P1: %s was ticked and is lost for devices %x", text_of(message), missing);
    if (!gone && !ticks_may_have_expired(letter))
        judge_ticks(message);
}

void oracle_judge(void) {
    for (uint32_t i = 0; i < letter_count; i++) {
        if (letters[i].used)
            judge(i);
    }
}
