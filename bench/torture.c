#include "bench/torture.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/admin.h"
#include "bench/own_switch.h"
#include "bench/pairs.h"
#include "bench/progress.h"
#include "bench/torture_clear.h"
#include "bench/torture_family.h"
#include "bench/torture_fleet.h"
#include "bench/torture_report.h"
#include "tools/client/client.h"

#define LINK_S 30
#define REST_S 90
#define LEAVE_MS 60000  /* for the last receipts to arrive, and the last deletes to reach the disk */
#define LIFE_MS_MAX 900 /* of a switch that is killed at a random moment */
#define POINT_MS 3000   /* for a crash point to be reached */
#define DOWN_MS_MAX 120 /* between a death and the next start */
#define RANDOM_PART 4   /* one kill in so many is at a random moment, though there are points */
#define NUMBER_MS 200   /* between two accounts that are added for a point of that */
#define NEWCOMERS_MAX 6
#define POLL_MS 2
#define BURST_MAX 12

static const char *const switch_options[] = {
    "--spill-ms",   "40", "--store-environments", "2",  "--map-bytes",       "1G",  "--buffers", "128",
    "--lane-slots", "16", "--window-messages",    "64", "--connections-max", "512", NULL};

#define X(name, passes, moment) {#name, passes},
static const struct {
    const char *name;
    uint32_t passes;
} points[] = {CRASH_POINTS(X)};
#undef X

struct torture {
    struct torture_options options;
    struct own_switch own;
    struct torture_fleet fleet;
    struct torture_result result;
    struct admin_switch found;
    char shards[12];
    uint32_t account_count;  /* added, those that nobody has linked included */
    uint32_t first_newcomer; /* its device */
    uint32_t extra_count;    /* accounts asked for while it ran */
    uint32_t turn;
    uint64_t began_ms;
};

static volatile int interrupted;

static void on_signal(int number) {
    (void)number;
    interrupted = 1;
}

static void wait_ms(uint32_t ms) {
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

/* With another number of shards than before, perhaps. Valid until it is called again. */
static struct own_switch_setup setup_of(struct torture *torture, const char *crash) {
    uint32_t shards = torture->fleet.random
                          ? 1 + torture_fleet_chance(&torture->fleet, torture->options.shards)
                          : torture->options.shards;
    snprintf(torture->shards, sizeof(torture->shards), "%u", shards);
    return (struct own_switch_setup){.shards = torture->shards, .options = switch_options, .crash = crash};
}

/* --- accounts and devices ------------------------------------------------------------------------------- */

static struct uri uri_of(const struct torture *torture, const struct admin_account *account,
                         const char *name) {
    struct uri uri = {.host = "127.0.0.1", .account = account->account};
    const char *colon = strrchr(torture->own.address, ':');
    uri.port = (uint16_t)atoi(colon ? colon + 1 : "0");
    snprintf(uri.name, sizeof(uri.name), "%s", name);
    memcpy(uri.key, torture->found.key, sizeof(uri.key));
    memcpy(uri.code, account->code, sizeof(uri.code));
    return uri;
}

/* They are let in before any of them runs. */
static int add_family(struct torture *torture, uint32_t index, const struct admin_account *account) {
    struct torture_fleet *fleet = &torture->fleet;
    uint32_t count = torture->options.devices;
    struct client *first = NULL;
    char name[FRAME_NAME_BYTES_MAX + 1], home[PATH_MAX];
    snprintf(name, sizeof(name), "torture%u", index + 1);
    struct uri uri = uri_of(torture, account, name);
    torture_fleet_home(fleet, fleet->count, home);
    int error = torture_family_begin(home, &uri, &first);
    for (uint32_t i = 1; !error && i < count; i++) {
        progress_show(false, "letting in device %u of %s", i + 1, name);
        torture_fleet_home(fleet, fleet->count + i, home);
        error = torture_family_let_in(first, home);
    }
    if (first)
        client_close(first);
    for (uint32_t i = 0; !error && i < count; i++)
        error = torture_fleet_add(fleet, index, &uri);
    return error;
}

static int set_up(struct torture *torture, struct admin *admin) {
    const struct torture_options *options = &torture->options;
    struct admin_account accounts[TORTURE_ACCOUNTS_MAX];
    int error = admin_accounts_add(admin, "torture", options->accounts, accounts, &torture->found);
    for (uint32_t i = 0; !error && i < options->accounts; i++)
        error = add_family(torture, i, &accounts[i]);
    torture->account_count = options->accounts;
    torture->first_newcomer = torture->fleet.count;
    return error;
}

static bool wait_reachable(struct torture *torture) {
    for (uint32_t waited_ms = 0; waited_ms < LINK_S * 1000 && !interrupted; waited_ms += POLL_MS) {
        if (torture_fleet_is_reachable(&torture->fleet))
            return true;
        progress_show(false, "starting %u devices", torture->fleet.count);
        wait_ms(POLL_MS);
    }
    torture_check_wrong(&torture->result.check, "the devices can not be encrypted for");
    return false;
}

/* A new account whose number no account had, and its device, which links while the switch is killed. Where
 * the switch dies before it answers, nobody knows the account: it stays unused. */
static void add_newcomer(struct torture *torture) {
    struct admin admin;
    struct admin_account account;
    struct admin_switch ignored;
    struct torture_shared *shared = torture->fleet.shared;
    char prefix[FRAME_NAME_BYTES_MAX + 1];
    if (admin_open(&admin, torture->own.admin) < 0)
        return;
    snprintf(prefix, sizeof(prefix), "newcomer%u-", torture->extra_count++);
    bool added = admin_accounts_add(&admin, prefix, 1, &account, &ignored) == 0;
    admin_close(&admin);
    if (!added)
        return;
    for (uint32_t i = 0; i < torture->account_count; i++) {
        if (shared->accounts[i] == account.account)
            torture_check_wrong(&torture->result.check, "two accounts have the number %" PRIu64,
                                account.account);
    }
    if (torture->account_count == torture->options.accounts + NEWCOMERS_MAX)
        return;
    snprintf(prefix + strlen(prefix), 2, "1");
    struct uri uri = uri_of(torture, &account, prefix);
    if (torture_fleet_add(&torture->fleet, torture->account_count, &uri) == 0)
        torture->account_count++;
}

/* Accounts are written to once their devices can be encrypted for. */
static void admit_newcomers(struct torture *torture) {
    struct torture_fleet *fleet = &torture->fleet;
    uint32_t count = atomic_load(&fleet->shared->account_count);
    while (
        count < torture->account_count &&
        atomic_load(
            &fleet->shared->status[torture->first_newcomer + count - torture->options.accounts].is_reachable))
        atomic_store(&fleet->shared->account_count, ++count);
}

/* --- killing -------------------------------------------------------------------------------------------- */

/* CRASH_POINT_COUNT: at a random moment. */
static uint32_t choose(struct torture *torture) {
    if (torture->options.point) {
        for (uint32_t i = 0; i < CRASH_POINT_COUNT; i++) {
            if (strcmp(points[i].name, torture->options.point) == 0)
                return i;
        }
    }
    if (!crash_points_there() || torture_fleet_chance(&torture->fleet, RANDOM_PART) == 0)
        return CRASH_POINT_COUNT;
    return torture->turn++ % CRASH_POINT_COUNT;
}

static bool wants_number(uint32_t point) {
    return point == CRASH_before_number || point == CRASH_after_number;
}

static void show(struct torture *torture) {
    const struct torture_fleet *fleet = &torture->fleet;
    uint64_t sent = 0, unticked = 0;
    for (uint32_t i = 0; i < fleet->count; i++) {
        sent += atomic_load(&fleet->shared->status[i].sent);
        unticked += atomic_load(&fleet->shared->status[i].unticked);
    }
    progress_show(false, "%u of %u kills, %" PRIu64 " messages, %" PRIu64 " without a tick, %u wrong",
                  torture_result_kills(&torture->result), torture->options.kills, sent, unticked,
                  torture->result.check.wrong_count);
}

/* The switch lives until its point or its time. */
static void live(struct torture *torture, uint32_t point) {
    bool random = point == CRASH_POINT_COUNT;
    uint64_t began_ms = client_now_ms();
    uint64_t end_ms = began_ms + (random ? 1 + torture_fleet_chance(&torture->fleet, LIFE_MS_MAX) : POINT_MS);
    uint64_t number_ms = wants_number(point) ? began_ms + NUMBER_MS : UINT64_MAX;
    while (!own_switch_has_ended(&torture->own) && client_now_ms() < end_ms && !interrupted) {
        if (client_now_ms() >= number_ms) {
            add_newcomer(torture);
            number_ms = client_now_ms() + NUMBER_MS;
        }
        torture_fleet_strike(&torture->fleet);
        admit_newcomers(torture);
        show(torture);
        wait_ms(POLL_MS);
    }
}

/* How it ended: at its point, by our hand, or in a way that is wrong. */
static void count_death(struct torture *torture, uint32_t point) {
    struct torture_result *result = &torture->result;
    if (!own_switch_has_ended(&torture->own)) {
        own_switch_kill(&torture->own);
        result->killed++;
        if (point < CRASH_POINT_COUNT)
            result->not_reached[point]++;
        return;
    }
    int status = torture->own.status;
    if (point < CRASH_POINT_COUNT && WIFEXITED(status) && WEXITSTATUS(status) == CRASH_STATUS) {
        result->killed_at[point]++;
        return;
    }
    torture_check_wrong(&result->check, "the switch ended by itself, wait status %d", status);
}

static int kill_once(struct torture *torture) {
    char crash[64];
    uint32_t point = choose(torture);
    if (point < CRASH_POINT_COUNT)
        snprintf(crash, sizeof(crash), "%s:%u", points[point].name,
                 1 + torture_fleet_chance(&torture->fleet, points[point].passes));
    struct own_switch_setup setup = setup_of(torture, point < CRASH_POINT_COUNT ? crash : NULL);
    int error = own_switch_start(&torture->own, &setup, NULL);
    if (error && error != -ECHILD) {
        torture_check_wrong(&torture->result.check, "the switch does not start: %s", strerror(-error));
        return error;
    }
    if (!error)
        live(torture, point);
    uint32_t wrong = torture->result.check.wrong_count;
    count_death(torture, point);
    wait_ms(torture_fleet_chance(&torture->fleet, DOWN_MS_MAX));
    return torture->result.check.wrong_count > wrong ? -EIO : 0;
}

static void kill_often(struct torture *torture) {
    uint64_t end_ms =
        torture->options.seconds ? torture->began_ms + torture->options.seconds * UINT64_C(1000) : UINT64_MAX;
    atomic_store(&torture->fleet.shared->account_count, torture->options.accounts);
    atomic_store(&torture->fleet.shared->phase, TORTURE_RUN);
    for (uint32_t i = 0; i < 100; i++) { /* some traffic first */
        torture_fleet_strike(&torture->fleet);
        wait_ms(POLL_MS);
    }
    own_switch_kill(&torture->own);
    torture->result.killed++;
    while (torture_result_kills(&torture->result) < torture->options.kills && client_now_ms() < end_ms &&
           !interrupted && kill_once(torture) == 0)
        continue;
}

/* --- the end -------------------------------------------------------------------------------------------- */

static int count_left(struct torture *torture, struct admin *admin, uint64_t *ret_left) {
    char name[FRAME_NAME_BYTES_MAX + 1];
    uint64_t left = 0, entries = 0;
    int error = 0;
    for (uint32_t i = 0; !error && i < torture->fleet.count; i++) {
        snprintf(name, sizeof(name), "%s", torture->fleet.devices[i].uri.name);
        if (i && strcmp(name, torture->fleet.devices[i - 1].uri.name) == 0)
            continue;
        error = admin_queue_entries(admin, name, &entries);
        left += entries;
    }
    left += torture_fleet_waiting(&torture->fleet);
    *ret_left = left;
    return error;
}

/* Waits until nothing waits for any device, nor at one to be opened. With `verify`, reads every record of the
 * store. What is left is told with `when`. */
static void look_into_store(struct torture *torture, bool verify, const char *when) {
    struct torture_result *result = &torture->result;
    struct admin admin;
    if (admin_open(&admin, torture->own.admin) < 0) {
        torture_check_wrong(&result->check, "%s", admin.error);
        return;
    }
    uint64_t left = UINT64_MAX, end_ms = client_now_ms() + LEAVE_MS;
    int error = count_left(torture, &admin, &left);
    while (!error && left && client_now_ms() < end_ms && !interrupted) {
        progress_show(false, "%" PRIu64 " entries in outboxes and queues", left);
        wait_ms(50);
        error = count_left(torture, &admin, &left);
    }
    if (!error && verify)
        error = admin_store_check(&admin, &result->records);
    if (error)
        torture_check_wrong(&result->check, "%s", admin.error);
    if (!error && left) {
        result->entries_left += left;
        torture_check_wrong(&result->check, "%" PRIu64 " entries stay in outboxes and queues %s", left, when);
    }
    admin_close(&admin);
}

static void come_to_rest(struct torture *torture) {
    struct torture_result *result = &torture->result;
    struct own_switch_setup setup = setup_of(torture, NULL);
    if (own_switch_start(&torture->own, &setup, stderr) < 0) {
        torture_check_wrong(&result->check, "the switch does not start any more");
        return;
    }
    for (uint32_t waited_ms = 0; waited_ms < LINK_S * 1000; waited_ms += POLL_MS) {
        admit_newcomers(torture);
        torture_fleet_strike(&torture->fleet);
        if (atomic_load(&torture->fleet.shared->account_count) == torture->account_count || interrupted)
            break;
        wait_ms(POLL_MS);
    }
    uint32_t loud = torture_fleet_settle(&torture->fleet, REST_S, &interrupted);
    for (uint32_t i = 0; loud && i < torture->fleet.count; i++) {
        const struct torture_status *status = &torture->fleet.shared->status[i];
        if (!atomic_load(&status->is_quiet))
            torture_check_wrong(&result->check,
                                "device %u of %s did not come to rest: %" PRIu64
                                " messages unticked, %" PRIu64 " undelivered, %" PRIu64 " unread, %" PRIu64
                                " marks unconfirmed",
                                i, torture->fleet.devices[i].uri.name, atomic_load(&status->unticked),
                                atomic_load(&status->undelivered), atomic_load(&status->unread),
                                atomic_load(&status->unconfirmed));
    }
    /* A device is at rest when it knows all about its own messages; its outbox may still hold what the
     * account's other devices want it to know. */
    look_into_store(torture, false, "though all devices are there");
    torture_fleet_end(&torture->fleet);
    if (own_switch_stop(&torture->own, stderr) < 0)
        torture_check_wrong(&result->check, "the switch did not drain");
    else if (own_switch_start(&torture->own, &setup, stderr) < 0)
        torture_check_wrong(&result->check, "the switch does not start after a drain");
    else
        look_into_store(torture, true, "of a switch that was drained and started again");
    torture_clear_search(&result->check, torture->own.folder);
}

static int run(struct torture *torture) {
    struct torture_result *result = &torture->result;
    struct own_switch_setup setup = setup_of(torture, NULL);
    struct admin admin;
    char folder[OWN_SWITCH_PATH_BYTES + 32];
    if (own_switch_open(&torture->own, &setup, stderr) < 0)
        return EXIT_UNREACHABLE;
    snprintf(folder, sizeof(folder), "%s/homes", torture->own.folder);
    if (mkdir(folder, 0700) < 0 ||
        torture_fleet_init(&torture->fleet, folder, result->seed, &result->check) < 0) {
        fprintf(stderr, "ternbench: %s: %s\n", folder, strerror(errno));
        return EXIT_MISSING;
    }
    torture->fleet.shared->burst_max = BURST_MAX;
    torture->fleet.shared->payload_bytes_max = torture->options.payload_bytes_max;
    int error = admin_open(&admin, torture->own.admin);
    if (!error)
        error = set_up(torture, &admin);
    if (error)
        fprintf(stderr, "ternbench: %s\n", admin.error[0] ? admin.error : strerror(-error));
    admin_close(&admin);
    if (error)
        return EXIT_MISSING;
    torture->began_ms = client_now_ms();
    if (wait_reachable(torture)) {
        kill_often(torture);
        if (!interrupted)
            come_to_rest(torture);
        progress_show(true, "comparing");
        if (!interrupted)
            torture_check_run(&result->check, torture->fleet.shared, torture->fleet.devices,
                              torture->fleet.count);
    }
    result->seconds = (double)(client_now_ms() - torture->began_ms) / 1e3;
    return EXIT_COMPLETE;
}

static int report(struct torture *torture) {
    struct torture_result *result = &torture->result;
    const struct torture_fleet *fleet = &torture->fleet;
    result->interrupted = interrupted;
    result->devices_crashed = fleet->crashed;
    result->devices_killed = fleet->killed;
    result->devices_stopped = fleet->stopped;
    result->devices_left = fleet->left;
    result->device_count = fleet->count;
    result->account_count = torture->account_count;
    bool is_good = torture_result_is_good(result);
    progress_clear();
    torture_report_print(result, stdout);
    fflush(stdout);
    if (!is_good)
        torture_report_print_wrong(result, stderr);
    int error = torture->options.json ? torture_report_write_json(result, torture->options.json) : 0;
    if (error)
        fprintf(stderr, "ternbench: %s: %s\n", torture->options.json, strerror(-error));
    return is_good && !error ? EXIT_COMPLETE : EXIT_MISSING;
}

int torture_run(int count, char **arguments) {
    static struct torture torture; /* the devices' paths are too much for a stack */
    torture_options_parse(&torture.options, count, arguments);
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    torture.result = (struct torture_result){.options = &torture.options, .seed = torture.options.seed};
    while (!torture.result.seed) {
        if (getrandom(&torture.result.seed, sizeof(torture.result.seed), 0) < 0)
            return EXIT_MISSING;
    }
    int status = run(&torture);
    torture_fleet_fini(&torture.fleet);
    if (status == EXIT_COMPLETE)
        status = report(&torture);
    progress_clear();
    if (own_switch_close(&torture.own, stderr) < 0 && status == EXIT_COMPLETE)
        status = EXIT_MISSING;
    return status;
}
