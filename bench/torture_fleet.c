#include "bench/torture_fleet.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/progress.h"
#include "tools/client/client.h"

#define CRASH_PART 2       /* one start in so many has a crash point */
#define STRIKE_MS_MAX 80   /* between two strikes */
#define AWAY_MS_MAX 300    /* before it comes back */
#define STALLED_MS_MAX 700 /* while it is stopped */
#define END_MS 10000
#define POLL_MS 5

int torture_fleet_init(struct torture_fleet *fleet, const char *folder, uint64_t seed,
                       struct torture_check *check) {
    *fleet = (struct torture_fleet){.random = seed | 1, .check = check};
    snprintf(fleet->folder, sizeof(fleet->folder), "%s", folder);
    void *memory =
        mmap(NULL, sizeof(*fleet->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return -ENOMEM;
    fleet->shared = memory;
    return 0;
}

void torture_fleet_fini(struct torture_fleet *fleet) {
    for (uint32_t i = 0; i < fleet->count; i++) {
        struct torture_device *device = &fleet->devices[i];
        if (!device->pid)
            continue;
        kill(device->pid, SIGKILL);
        waitpid(device->pid, NULL, 0);
        device->pid = 0;
    }
    if (fleet->shared)
        munmap(fleet->shared, sizeof(*fleet->shared));
    fleet->shared = NULL;
}

uint32_t torture_fleet_chance(struct torture_fleet *fleet, uint32_t below) {
    fleet->random ^= fleet->random << 13;
    fleet->random ^= fleet->random >> 7;
    fleet->random ^= fleet->random << 17;
    return (uint32_t)(fleet->random >> 32) % below;
}

#define X(name, passes, moment) {#name, passes},
static const struct {
    const char *name;
    uint32_t passes;
} points[] = {CRASH_CLIENT_POINTS(X)};
#undef X

/* Some of them end at a point of the client, while everything works. */
static void choose_crash(struct torture_fleet *fleet, struct torture_device *device, char *text,
                         size_t bytes) {
    device->crash = CRASH_CLIENT_COUNT;
    text[0] = 0;
    if (!crash_points_there() || atomic_load(&fleet->shared->phase) != TORTURE_RUN ||
        torture_fleet_chance(fleet, CRASH_PART))
        return;
    device->crash = torture_fleet_chance(fleet, CRASH_CLIENT_COUNT);
    snprintf(text, bytes, "%s:%u", points[device->crash].name,
             1 + torture_fleet_chance(fleet, points[device->crash].passes));
}

static void start(struct torture_fleet *fleet, struct torture_device *device) {
    uint64_t seed = fleet->random + device->index * UINT64_C(0x9E3779B97F4A7C15) + client_now_ms();
    char crash[64];
    choose_crash(fleet, device, crash, sizeof(crash));
    pid_t parent = getpid(), pid = fork();
    if (pid < 0) {
        torture_check_wrong(fleet->check, "no process for a device: %s", strerror(errno));
        device->due_ms = client_now_ms() + AWAY_MS_MAX;
        return;
    }
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        setenv("TERN_CRASH", crash, 1);
        torture_device_run(fleet->shared, device, seed);
    }
    device->pid = pid;
    device->is_stopped = false;
}

void torture_fleet_home(const struct torture_fleet *fleet, uint32_t index, char ret_home[PATH_MAX]) {
    snprintf(ret_home, PATH_MAX, "%s/device-%u", fleet->folder, index);
}

int torture_fleet_add(struct torture_fleet *fleet, uint32_t account, const struct uri *uri) {
    if (fleet->count == TORTURE_DEVICES_MAX || account >= TORTURE_ACCOUNTS_MAX)
        return -ENOSPC;
    struct torture_device *device = &fleet->devices[fleet->count];
    *device = (struct torture_device){.index = fleet->count, .account = account, .uri = *uri};
    torture_fleet_home(fleet, device->index, device->home);
    fleet->shared->accounts[account] = uri->account;
    fleet->shared->device_counts[account]++;
    fleet->count++;
    start(fleet, device);
    return 0;
}

bool torture_fleet_is_reachable(const struct torture_fleet *fleet) {
    for (uint32_t i = 0; i < fleet->count; i++) {
        if (!atomic_load(&fleet->shared->status[i].is_reachable))
            return false;
    }
    return true;
}

uint64_t torture_fleet_waiting(const struct torture_fleet *fleet) {
    uint64_t waiting = 0;
    for (uint32_t i = 0; i < fleet->count; i++)
        waiting += atomic_load(&fleet->shared->status[i].waiting);
    return waiting;
}

/* A device that ended by itself had a reason that belongs into the report, unless it was told to. */
static void reap(struct torture_fleet *fleet, struct torture_device *device) {
    int status;
    if (!device->pid || waitpid(device->pid, &status, WNOHANG) != device->pid)
        return;
    device->pid = 0;
    device->due_ms = client_now_ms() + torture_fleet_chance(fleet, AWAY_MS_MAX);
    struct torture_status *shared = &fleet->shared->status[device->index];
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return;
    if (device->crash < CRASH_CLIENT_COUNT && WIFEXITED(status) && WEXITSTATUS(status) == CRASH_STATUS) {
        fleet->crashed[device->crash]++;
        return;
    }
    torture_check_wrong(fleet->check, "device %u of %s ended (wait status %d): %s", device->index,
                        device->uri.name, status,
                        shared->problem[0] ? shared->problem : "it does not say why");
    shared->problem[0] = 0;
}

static void strike(struct torture_fleet *fleet, struct torture_device *device, uint64_t now_ms) {
    switch (torture_fleet_chance(fleet, 4)) {
    case 0:
        kill(device->pid, SIGTERM);
        fleet->left++;
        break;
    case 1:
        kill(device->pid, SIGSTOP);
        device->is_stopped = true;
        device->due_ms = now_ms + 50 + torture_fleet_chance(fleet, STALLED_MS_MAX);
        fleet->stopped++;
        break;
    default:
        kill(device->pid, SIGKILL);
        waitpid(device->pid, NULL, 0);
        device->pid = 0;
        device->due_ms = now_ms + torture_fleet_chance(fleet, AWAY_MS_MAX);
        fleet->killed++;
        break;
    }
}

static void go_on(struct torture_fleet *fleet, struct torture_device *device) {
    if (!device->pid)
        start(fleet, device);
    else if (device->is_stopped)
        kill(device->pid, SIGCONT);
    device->is_stopped = false;
}

void torture_fleet_strike(struct torture_fleet *fleet) {
    uint64_t now_ms = client_now_ms();
    for (uint32_t i = 0; i < fleet->count; i++) {
        struct torture_device *device = &fleet->devices[i];
        reap(fleet, device);
        if ((!device->pid || device->is_stopped) && now_ms >= device->due_ms)
            go_on(fleet, device);
    }
    if (now_ms < fleet->strike_ms || fleet->count == 0)
        return;
    struct torture_device *device = &fleet->devices[torture_fleet_chance(fleet, fleet->count)];
    if (!device->pid || device->is_stopped)
        return;
    fleet->strike_ms = now_ms + torture_fleet_chance(fleet, STRIKE_MS_MAX);
    strike(fleet, device, now_ms);
}

static void wait_a_moment(void) {
    nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
}

uint32_t torture_fleet_settle(struct torture_fleet *fleet, uint32_t seconds,
                              const volatile int *interrupted) {
    uint64_t end_ms = client_now_ms() + seconds * UINT64_C(1000);
    atomic_store(&fleet->shared->phase, TORTURE_QUIET);
    for (;;) {
        uint32_t loud = 0;
        uint64_t unticked = 0;
        for (uint32_t i = 0; i < fleet->count; i++) {
            struct torture_status *status = &fleet->shared->status[i];
            reap(fleet, &fleet->devices[i]);
            go_on(fleet, &fleet->devices[i]);
            loud += !atomic_load(&status->is_quiet);
            unticked += atomic_load(&status->unread);
        }
        if (!loud || client_now_ms() > end_ms || *interrupted)
            return loud;
        progress_show(false, "coming to rest: %u devices, %" PRIu64 " messages without every tick", loud,
                      unticked);
        wait_a_moment();
    }
}

void torture_fleet_end(struct torture_fleet *fleet) {
    for (uint32_t i = 0; i < fleet->count; i++) {
        struct torture_device *device = &fleet->devices[i];
        if (device->is_stopped)
            kill(device->pid, SIGCONT);
        if (device->pid)
            kill(device->pid, SIGTERM);
    }
    for (uint32_t i = 0; i < fleet->count; i++) {
        struct torture_device *device = &fleet->devices[i];
        for (uint32_t waited_ms = 0; device->pid && waited_ms < END_MS; waited_ms += POLL_MS) {
            reap(fleet, device);
            if (device->pid)
                wait_a_moment();
        }
        if (!device->pid)
            continue;
        torture_check_wrong(fleet->check, "device %u of %s does not end", device->index, device->uri.name);
        kill(device->pid, SIGKILL);
        waitpid(device->pid, NULL, 0);
        device->pid = 0;
    }
}
