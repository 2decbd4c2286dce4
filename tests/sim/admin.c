#include "tests/sim/admin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/account.h"
#include "core/must.h"
#include "tests/sim/client.h"
#include "tests/sim/house.h"
#include "tests/sim/oracle.h"
#include "tests/sim/sim.h"

#define JOBS_MAX 64
#define AGAIN_MS 300

enum job_kind { JOB_FREE, JOB_ACCOUNT, JOB_CODE, JOB_REVOKE, JOB_PURGE, JOB_KICK, JOB_SUSPEND };

/* A job asks one thing after the other; what fails is asked again. */
struct job {
    enum job_kind kind;
    uint64_t account;
    uint32_t device; /* index; SIM_DEVICES_MAX: all of the account */
    bool on;
    bool anew; /* it was changed while a request was out */
    unsigned stage;
    uint64_t not_before_ms;
    struct request *request; /* out */
};

static struct job jobs[JOBS_MAX];

/* A drain goes in rounds: every shard is asked until a round has handled no more notes than the one
 * before. */
static struct {
    bool wanted, stopping;
    bool again; /* there is a round to compare with */
    uint32_t out;
    uint64_t sum, sum_before;
} drain;

void admin_reset(void) {
    memset(jobs, 0, sizeof(jobs));
    memset(&drain, 0, sizeof(drain));
}

void admin_switch_gone(void) {
    for (uint32_t i = 0; i < JOBS_MAX; i++) {
        jobs[i].request = NULL;
        jobs[i].stage = 0;
    }
    memset(&drain, 0, sizeof(drain));
}

bool admin_idle(void) {
    for (uint32_t i = 0; i < JOBS_MAX; i++) {
        if (jobs[i].kind != JOB_FREE)
            return false;
    }
    return !drain.wanted;
}

static void add(struct job job) {
    for (uint32_t i = 0; i < JOBS_MAX; i++) {
        if (jobs[i].kind == JOB_FREE) {
            jobs[i] = job;
            return;
        }
    }
}

void admin_want_account(uint64_t account) {
    add((struct job){.kind = JOB_ACCOUNT, .account = account});
}

void admin_want_device(uint32_t device) {
    add((struct job){.kind = JOB_CODE, .account = client_account(device), .device = device});
}

void admin_revoke(uint32_t device) {
    oracle_revoking(device);
    add((struct job){.kind = JOB_REVOKE, .account = client_account(device), .device = device});
}

void admin_purge(uint64_t account, uint32_t device) {
    oracle_purging(account, device);
    add((struct job){.kind = JOB_PURGE, .account = account, .device = device});
}

void admin_kick(uint64_t account) {
    add((struct job){.kind = JOB_KICK, .account = account});
}

void admin_suspend(uint64_t account, bool on) {
    if (on)
        oracle_suspending(account);
    for (uint32_t i = 0; i < JOBS_MAX; i++) {
        if (jobs[i].kind == JOB_SUSPEND && jobs[i].account == account) {
            jobs[i].on = on;
            jobs[i].anew = true;
            return;
        }
    }
    add((struct job){.kind = JOB_SUSPEND, .account = account, .on = on});
}

void admin_drain(void) {
    if (house.up && !drain.wanted) {
        drain.wanted = house.draining = true;
        TRACE("admin: drain");
    }
}

/* --- asking --------------------------------------------------------------------------------------------- */

static uint32_t admin_party(void) {
    return house.shards + house.stores;
}

static uint32_t home_of(uint64_t account) {
    return account_home(account, house.shards);
}

static void post(struct request *request, uint32_t party) {
    struct note note = {.kind = NOTE_REQUEST, .request = request};
    request->from = (uint16_t)admin_party();
    lanes_post(house.lanes, admin_party(), party, &note);
}

static struct request *ask(struct job *job, enum request_kind kind) {
    struct request *request = calloc(1, sizeof(*request) + sizeof(struct account_record) + FRAME_CODE_BYTES);
    must(request);
    request->kind = (uint8_t)kind;
    request->account = job->account;
    request->device_number = job->device < SIM_DEVICES_MAX ? client_number(job->device) : 0;
    request->context = job;
    request->accounts = (struct account_record *)(request + 1);
    request->accounts[0].account = job->account;
    request->accounts[0].flags = job->on ? ACCOUNT_SUSPENDED : 0;
    snprintf(request->accounts[0].name, sizeof(request->accounts[0].name), "account%u",
             (unsigned)job->account);
    request->value = job->on ? ACCOUNT_SUSPENDED : 0;
    request->count = 1;
    job->request = request;
    return request;
}

static bool is_maker(uint32_t device, uint64_t account) {
    return client_exists(device) && client_account(device) == account && client_linked(device) &&
           !client_revoked(device);
}

/* As a device of the account asks, where there is one: the administrator gets none then. What they know of
 * each other may be old: then it is tried again. */
static struct request *ask_code(struct job *job) {
    struct request *request = ask(job, REQUEST_CODE_ADD);
    uint32_t first = (uint32_t)sim_below(SIM_DEVICES_MAX);
    for (uint32_t i = 0; i < SIM_DEVICES_MAX; i++) {
        uint32_t device = (first + i) % SIM_DEVICES_MAX;
        if (is_maker(device, job->account))
            request->device_number = client_number(device);
    }
    return request;
}

static void begin(struct job *job) {
    bool second = job->stage > 0;
    switch (job->kind) {
    case JOB_ACCOUNT:
        post(ask(job, second ? REQUEST_APPLY_ACCOUNT : REQUEST_ACCOUNT_ADD),
             second ? home_of(job->account) : house.shards);
        break;
    case JOB_CODE:
        post(ask_code(job), house.shards);
        break;
    case JOB_REVOKE:
        post(ask(job, second ? REQUEST_APPLY_REVOKE : REQUEST_DEVICE_REVOKE),
             second ? home_of(job->account) : house.shards);
        break;
    case JOB_PURGE:
        post(ask(job, REQUEST_QUEUE_PURGE), home_of(job->account));
        break;
    case JOB_KICK:
        post(ask(job, REQUEST_KICK), home_of(job->account));
        break;
    case JOB_SUSPEND:
        post(ask(job, second ? REQUEST_APPLY_ACCOUNT : REQUEST_ACCOUNT_FLAGS),
             second ? home_of(job->account) : house.shards);
        break;
    default:
        break;
    }
}

/* --- answers -------------------------------------------------------------------------------------------- */

static bool may_pass(int status) {
    return status == -EIO || status == -ENOSPC || status == -ENOMEM || status == -EBUSY;
}

static void done(struct job *job, const struct request *request) {
    unsigned stages = job->kind == JOB_ACCOUNT || job->kind == JOB_REVOKE || job->kind == JOB_SUSPEND ? 2 : 1;
    int status = request->status;
    job->request = NULL;
    TRACE3("admin: job %llu stage %llu status %llu", job->kind, job->stage, -status);
    if (status == -EEXIST && job->kind == JOB_ACCOUNT)
        status = 0;
    if (status == -ENOENT && job->kind == JOB_KICK) /* nobody is there */
        status = 0;
    bool code_again = job->kind == JOB_CODE && (status == -EEXIST || status == -ENODEV);
    if (status && !may_pass(status) && !code_again) {
        sim_fail("admin: job %d of account %llu, stage %u: status %d", job->kind,
                 (unsigned long long)job->account, job->stage, status);
        return;
    }
    if (status) {
        job->not_before_ms = sim.now_ms + AGAIN_MS;
        return;
    }
    job->stage = job->anew ? 0 : job->stage + 1;
    job->anew = false;
    if (job->stage < stages)
        return;
    if (job->kind == JOB_CODE)
        client_give_code(job->device, request->code);
    if (job->kind == JOB_PURGE)
        oracle_purged(job->account, job->device);
    if (job->kind == JOB_REVOKE)
        oracle_revoked(job->device);
    *job = (struct job){0};
}

static void take_drain(const struct request *request) {
    drain.sum += request->value;
    if (--drain.out > 0)
        return;
    if (drain.stopping)
        house.stopping = true;
    else if (drain.again && drain.sum == drain.sum_before)
        drain.stopping = true;
    drain.again = true;
    drain.sum_before = drain.sum;
}

static void step_drain(void) {
    if (!drain.wanted || drain.out || house.stopping)
        return;
    drain.sum = 0;
    drain.out = house.shards;
    for (uint32_t i = 0; i < house.shards; i++) {
        struct request *request = calloc(1, sizeof(*request));
        must(request);
        request->kind = drain.stopping ? REQUEST_STOP : REQUEST_DRAIN;
        post(request, i);
    }
}

void admin_step(void) {
    struct note note;
    uint32_t from;
    if (!house.up)
        return;
    while (lanes_take(house.lanes, admin_party(), &note, &from)) {
        if (note.kind != NOTE_REQUEST_DONE)
            continue;
        struct request *request = note.request;
        if (request->context)
            done(request->context, request);
        else
            take_drain(request);
        free(request);
    }
    for (uint32_t i = 0; i < JOBS_MAX && !drain.wanted; i++) {
        if (jobs[i].kind != JOB_FREE && !jobs[i].request && sim.now_ms >= jobs[i].not_before_ms)
            begin(&jobs[i]);
    }
    step_drain();
    house_publish(admin_party());
}
