/* The whole switch under the thread sanitizer: two shards, two store threads and the admin thread; devices on
 * either shard send to each other, some of it past a disk, while the administrator looks and meddles; then it
 * drains. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/pairs.h"
#include "core/account.h"
#include "core/must.h"
#include "core/reason.h"
#include "tests/support/switch_rig.h"
#include "tools/ternd/check_tool.h"

#define SHARDS 2
#define MESSAGES 200
#define PURGED 20

static int failures;
static _Atomic bool load_runs;
static struct rig_device alice, bob;

static void check(bool good, const char *name) {
    printf("%s %s\n", good ? "ok" : "not ok", name);
    fflush(stdout);
    failures += !good;
}

static double ask_about(const char *command, const char *name, const char *field) {
    char line[256];
    snprintf(line, sizeof(line), "{\"command\":\"%s\",\"name\":\"%s\",\"device\":1}", command, name);
    return switch_rig_number(line, field);
}

/* --- load ----------------------------------------------------------------------------------------------- */

static void *look(void *context) {
    static const char *const commands[] = {"status",      "stats",  "account list", "connection list",
                                           "store check", "reload", "account show"};
    (void)context;
    for (uint32_t i = 0; atomic_load(&load_runs); i++) {
        char line[128];
        snprintf(line, sizeof(line), "{\"command\":\"%s\",\"name\":\"nobody\"}",
                 commands[i % (sizeof(commands) / sizeof(commands[0]))]);
        cJSON_Delete(switch_rig_ask(line));
    }
    return NULL;
}

static void load(void) {
    char *arguments[] = {
        "pairs",     "--admin", (char *)switch_rig_admin(), "--pairs", "16", "--window", "8", "--size", "200",
        "--seconds", "3"};
    pthread_t looker;
    atomic_store(&load_runs, true);
    must(pthread_create(&looker, NULL, look, NULL) == 0);
    int status = pairs_run(sizeof(arguments) / sizeof(arguments[0]), arguments);
    atomic_store(&load_runs, false);
    pthread_join(looker, NULL);
    check(status == EXIT_COMPLETE,
          "every message of a load arrives once and is ticked, while the admin looks");
    check(switch_rig_stat("connections_moved") > 0, "some connections moved to their home shard");
    check(switch_rig_stat("messages_spilled") > 0, "some messages went to disk");
    check(switch_rig_number("{\"command\":\"account list\"}", NULL) == 0, "accounts are listed");
}

/* --- two devices, each at home on a shard of its own ---------------------------------------------------- */

static void link_two(void) {
    rig_device_create(&alice, "alice");
    for (uint32_t i = 0;; i++) {
        char name[32];
        snprintf(name, sizeof(name), "bob%u-", i);
        rig_device_create(&bob, name);
        if (account_home(bob.account, SHARDS) != account_home(alice.account, SHARDS))
            break;
    }
    check(rig_device_open(&alice) && rig_device_open(&bob), "two devices are linked, one on each shard");
    rig_device_close(&bob);
}

static const char *bob_name(void) {
    static char name[64];
    char line[64];
    snprintf(line, sizeof(line), "{\"command\":\"account list\",\"after\":%llu}",
             (unsigned long long)bob.account - 1);
    cJSON *answer = switch_rig_ask(line);
    const cJSON *row = cJSON_GetArrayItem(cJSON_GetObjectItem(answer, "accounts"), 0);
    snprintf(name, sizeof(name), "%s", cJSON_GetStringValue(cJSON_GetObjectItem(row, "name")));
    cJSON_Delete(answer);
    return name;
}

static double queue_of_bob(const char *name) {
    char line[128];
    snprintf(line, sizeof(line), "{\"command\":\"queue show\",\"name\":\"%s\"}", name);
    cJSON *answer = switch_rig_ask(line);
    const cJSON *row = cJSON_GetArrayItem(cJSON_GetObjectItem(answer, "devices"), 0);
    double count = cJSON_GetNumberValue(cJSON_GetObjectItem(row, "queue"));
    cJSON_Delete(answer);
    return count;
}

static void send_many(uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        rig_device_send(&alice, bob.account, "Are you there?", 14);
}

static void queue_and_drain(const char *name) {
    send_many(MESSAGES);
    check(rig_device_wait(&alice, &alice.sent, MESSAGES), "messages to a device that is away are ticked");
    check(queue_of_bob(name) == MESSAGES, "they wait in its queue");
    check(rig_device_open(&bob) && rig_device_wait(&bob, &bob.received, MESSAGES),
          "it comes back and gets them");
    check(rig_device_wait(&alice, &alice.delivered, MESSAGES), "the sender learns that they are delivered");
    send_many(MESSAGES);
    check(rig_device_wait(&bob, &bob.received, 2 * MESSAGES), "the next ones come at once");
    check(rig_device_wait(&alice, &alice.delivered, 2 * MESSAGES), "and are ticked");
}

static void meddle(const char *name) {
    check(ask_about("connection kick", name, "connections") == 1, "a connection is kicked");
    check(rig_device_wait_closed(&bob) == CLOSE_KICKED, "its device is told so");
    send_many(PURGED);
    check(rig_device_wait(&alice, &alice.sent, 2 * MESSAGES + PURGED), "what comes for it then waits");
    check(ask_about("queue purge", name, "entries") == PURGED, "and is purged");
    check(rig_device_wait(&alice, &alice.failed, PURGED), "the sender learns that it failed");
    check(ask_about("account suspend", name, NULL) == 0, "an account is suspended");
    check(!rig_device_open(&bob) && rig_device_wait_closed(&bob) == CLOSE_SUSPENDED, "it can't log in");
    check(ask_about("account resume", name, NULL) == 0 && rig_device_open(&bob), "until it is resumed");
    check(ask_about("device revoke", name, NULL) == 0, "a device is revoked");
    check(rig_device_wait_closed(&bob) == CLOSE_REVOKED, "its connection is closed");
    check(!rig_device_open(&bob) && rig_device_wait_closed(&bob) == CLOSE_REVOKED, "and no other is taken");
    check(ask_about("account remove", name, "removed") == 1, "an account is removed");
    check(ask_about("account show", name, NULL) == -1, "and is gone");
}

/* A check of the store starts this program once more, as it would start ternd. */
static int be_checker(const char *option, const char *folder) {
    return strcmp(option, CHECK_TOOL_OPTION) == 0 ? check_tool_run(folder, true) : check_tool_work(folder);
}

int main(int argc, char **argv) {
    const char *const options[] = {
        "--shards",         "2", "--store-environments",     "2",     "--spill-ms", "1",
        "--expiry-sweep-s", "1", "--address-handshakes-max", "100000"};
    if (argc > 2)
        return be_checker(argv[1], argv[2]);
    must(noise_init() == 0);
    switch_rig_start(options, sizeof(options) / sizeof(options[0]));
    load();
    link_two();
    const char *name = bob_name();
    queue_and_drain(name);
    meddle(name);
    check(switch_rig_number("{\"command\":\"drain\"}", NULL) == 0, "the drain is done");
    check(rig_device_wait_closed(&alice) == CLOSE_DRAINING, "devices were told to come back later");
    check(switch_rig_wait() == 0, "the switch ends in order");
    rig_device_destroy(&alice);
    rig_device_destroy(&bob);
    return failures != 0;
}
