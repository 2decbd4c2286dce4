/* The store's threads under the thread sanitizer: two shards put, read from the map and delete while the
 * administrator adds an account and backs up. Exits 0 where every put was taken and the rest is
 * counted right. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/must.h"
#include "core/stats.h"
#include "storage/environment.h"

#define SHARDS 2
#define ENVIRONMENTS 2
#define ADMIN (SHARDS + ENVIRONMENTS)
#define PUTS 4000
#define ACCOUNTS 50
#define WINDOW 256
#define DELETE_EVERY 10
#define FRAME_BYTES 300

static struct lanes *lanes;
static struct store *store;
static struct config config = {.store_environments = ENVIRONMENTS,
                               .map_bytes = 64 << 20,
                               .map_reserve_percent = 10,
                               .queue_messages_max = 1000000,
                               .code_ttl_s = 60,
                               .expiry_sweep_s = 1,
                               .clock_jump_ms = 60000};

static void ring(void *context, uint32_t party) {
    (void)context;
    if (party >= SHARDS && party < ADMIN)
        store_ring(store, party);
}

static void put(uint32_t shard, uint64_t index, const uint8_t *frame) {
    struct note note = {.kind = NOTE_PUT, .device = 1};
    note.put.account = 1 + shard + SHARDS * (index % ACCOUNTS);
    note.put.seq = 1 + index / ACCOUNTS;
    note.put.frame = frame;
    note.put.frame_bytes = FRAME_BYTES;
    note.put.expires_ms = UINT64_MAX;
    lanes_post(lanes, shard, SHARDS + store_environment_of(store, note.put.account), &note);
}

static void delete_first(uint32_t shard, uint64_t account) {
    struct store_view view;
    struct note note = {.kind = NOTE_DELETE, .device = 1};
    int error = drain_read(store, shard, account, 1, 0, &view);
    must(error == 0 && view.frame_bytes == FRAME_BYTES);
    drain_read_end(store, shard);
    note.erase.account = account;
    note.erase.first = note.erase.last = view.seq;
    lanes_post(lanes, shard, SHARDS + store_environment_of(store, account), &note);
}

static void *shard_main(void *context) {
    uint32_t shard = *(const uint32_t *)context, from;
    uint8_t frame[FRAME_BYTES] = {(FRAME_BYTES - 4) & 0xff, (FRAME_BYTES - 4) >> 8, FRAME_RECEIPT};
    struct note note;
    uint64_t sent = 0, done = 0;
    while (done < PUTS) {
        while (sent < PUTS && sent - done < WINDOW)
            put(shard, sent++, frame);
        lanes_publish(lanes, shard, ring, NULL);
        bool any = false;
        while (lanes_take(lanes, shard, &note, &from)) {
            any = true;
            must(note.kind == NOTE_PUT_DONE && note.status == 0);
            if (done++ % DELETE_EVERY == 0)
                delete_first(shard, note.put.account);
        }
        if (!any)
            usleep(100);
    }
    lanes_publish(lanes, shard, ring, NULL);
    return NULL;
}

static int ask(struct request *request) {
    struct note note = {.kind = NOTE_REQUEST, .request = request};
    uint32_t from;
    lanes_post(lanes, ADMIN, SHARDS, &note);
    lanes_publish(lanes, ADMIN, ring, NULL);
    while (!lanes_take(lanes, ADMIN, &note, &from))
        usleep(100);
    return note.request->status;
}

static void administrate(const char *folder) {
    struct account_record record = {.name = "alice"};
    uint8_t codes[1][FRAME_CODE_BYTES];
    struct request add = {.kind = REQUEST_ACCOUNT_ADD, .accounts = &record, .codes = codes, .count = 1};
    struct request backup = {.kind = REQUEST_BACKUP};
    struct store_status status;
    snprintf(backup.text, sizeof(backup.text), "%s/copy", folder);
    must(ask(&add) == 0);
    must(ask(&backup) == 0);
    store_reload(store, &config);
    store_read_status(store, 0, &status);
    must(!status.closed);
}

int main(void) {
    char folder[] = "/tmp/tern-tsan-store-XXXXXX", command[64], error[256];
    static struct stats stats[ENVIRONMENTS];
    pthread_t threads[SHARDS];
    uint32_t numbers[SHARDS];
    must(mkdtemp(folder) && lanes_create(ADMIN + 1, 1024, &lanes) == 0);
    struct store_setup setup = {
        .folder = folder, .config = &config, .lanes = lanes, .shards = SHARDS, .stats = stats, .ring = ring};
    if (store_open(&setup, &store, error, sizeof(error))) {
        fprintf(stderr, "%s\n", error);
        return 1;
    }
    must(store_start(store) == 0);
    for (uint32_t i = 0; i < SHARDS; i++) {
        numbers[i] = i;
        must(pthread_create(&threads[i], NULL, shard_main, &numbers[i]) == 0);
    }
    administrate(folder);
    for (uint32_t i = 0; i < SHARDS; i++)
        pthread_join(threads[i], NULL);
    store_stop(store);
    uint64_t puts = 0, deletes = 0;
    for (uint32_t i = 0; i < ENVIRONMENTS; i++) {
        puts += stats_get(stats[i].store_puts);
        deletes += stats_get(stats[i].store_deletes);
    }
    must(puts == SHARDS * PUTS && deletes == SHARDS * PUTS / DELETE_EVERY);
    store_close(store);
    lanes_destroy(lanes);
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return system(command) != 0;
}
