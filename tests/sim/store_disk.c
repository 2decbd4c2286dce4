/* The ordered map in memory: records in an array sorted by key. A write transaction works on an array of its
 * own, which a commit puts in the old one's place; readers see what is committed. */
#include "tests/sim/store_disk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/must.h"
#include "storage/map.h"
#include "storage/run.h"
#include "storage/value.h"
#include "tests/sim/house.h"
#include "tests/sim/keyring.h"
#include "tests/sim/sim.h"
#include "tests/sim/table.h"

#define PAGE_BYTES 4096
#define RECORD_OVERHEAD_BYTES 24
#define PAGES_BASE 8
#define FULL_MS 3000 /* how long a disk says that it is full, though it is not */

struct map_txn {
    struct map *map;
    int error;
    bool writes, open;
    struct table table; /* [writes] */
};

struct map_cursor {
    struct map_txn *txn;
    uint32_t at;
    bool deleted; /* what was at `at`: the next is there now */
};

struct map {
    uint32_t index;
    struct table table; /* committed */
    struct table doubt; /* of a commit that failed: perhaps it is on the disk */
    bool in_doubt, failed;
    uint64_t bytes_max;
    uint64_t full_until_ms;
    struct map_txn writer;
    uint32_t readers_open;
};

static struct map maps[SIM_STORES_MAX];

static uint64_t record_bytes(const struct record *record) {
    uint64_t bytes = record->key_bytes + record->value_bytes + RECORD_OVERHEAD_BYTES;
    return bytes > PAGE_BYTES / 2 ? (bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES : bytes;
}

/* The map's size follows its records; LMDB's pages are three quarters full. */
static uint64_t table_pages(const struct table *table) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < table->count; i++)
        bytes += record_bytes(table->at[i]);
    return PAGES_BASE + bytes * 4 / 3 / PAGE_BYTES;
}

void store_disk_search(void) {
    for (uint32_t i = 0; i < SIM_STORES_MAX && sim.plan.sealed; i++) {
        for (uint32_t j = 0; j < maps[i].table.count; j++) {
            const struct record *record = maps[i].table.at[j];
            keyring_check("in the store", record->bytes + record->key_bytes, record->value_bytes);
        }
    }
}

/* --- a life --------------------------------------------------------------------------------------------- */

int map_open(const char *folder, uint64_t map_bytes, uint32_t readers_max, struct map **ret_map) {
    (void)readers_max;
    uint32_t index = (uint32_t)(folder[strlen(folder) - 1] - '0');
    must(index < SIM_STORES_MAX);
    struct map *map = &maps[index];
    map->index = index;
    map->bytes_max = map_bytes;
    *ret_map = map;
    return 0;
}

void map_close(struct map *map) {
    must(map->readers_open == 0);
}

bool map_failed(const struct map *map) {
    (void)map;
    return false;
}

int map_begin(struct map *map, struct map_txn **ret_txn) {
    must(!map->writer.open);
    if (!sim.quiet && sim_chance(sim.plan.disk_memory)) {
        sim.counts.disk_faults++;
        return -ENOMEM;
    }
    map->writer.map = map;
    map->writer.error = 0;
    map->writer.writes = map->writer.open = true;
    table_copy(&map->writer.table, &map->table);
    *ret_txn = &map->writer;
    return 0;
}

static int note_error(struct map_txn *txn, int error) {
    if (txn->error == 0)
        txn->error = error;
    return error;
}

static void settle(struct map *map) {
    struct table old = map->table;
    map->table = map->writer.table;
    map->writer.table = old;
}

static int fail_commit(struct map *map) {
    sim.counts.disk_faults++;
    map->failed = true;
    map->in_doubt = true;
    table_copy(&map->doubt, &map->writer.table);
    TRACE1("disk %llu: the commit fails", map->index);
    return -EIO;
}

int map_commit(struct map_txn *txn) {
    struct map *map = txn->map;
    must(map->readers_open == 0 && txn->error == 0);
    txn->open = false;
    if (map->failed)
        return -EIO;
    if (!sim.quiet && sim_chance(sim.plan.disk_fail))
        return fail_commit(map);
    if (sim.now_ms < map->full_until_ms || table_pages(&txn->table) * PAGE_BYTES > map->bytes_max)
        return -ENOSPC;
    if (!house_effect()) { /* it crashes within this commit */
        if (sim_chance(500))
            settle(map);
        TRACE1("disk %llu: the switch dies in a commit", map->index);
        return 0;
    }
    settle(map);
    TRACE2("disk %llu: committed, %llu records", map->index, map->table.count);
    return 0;
}

void map_abort(struct map_txn *txn) {
    if (!txn->writes) {
        if (txn->open)
            txn->map->readers_open--;
        free(txn);
        return;
    }
    txn->open = false;
}

int map_error(const struct map_txn *txn) {
    return txn->error;
}

/* --- reading -------------------------------------------------------------------------------------------- */

int map_begin_read(struct map *map, struct map_txn **ret_txn) {
    struct map_txn *txn = calloc(1, sizeof(*txn));
    if (!txn)
        return -ENOMEM;
    txn->map = map;
    txn->open = true;
    map->readers_open++;
    *ret_txn = txn;
    return 0;
}

void map_rest(struct map_txn *txn) {
    must(txn->open);
    txn->open = false;
    txn->map->readers_open--;
}

int map_renew(struct map_txn *txn) {
    must(!txn->open);
    txn->open = true;
    txn->error = 0;
    txn->map->readers_open++;
    return 0;
}

static struct table *table_of(struct map_txn *txn) {
    must(txn->open);
    return txn->writes ? &txn->table : &txn->map->table;
}

static struct map_view key_of(const struct record *record) {
    return (struct map_view){.at = record->bytes, .bytes = record->key_bytes};
}

static struct map_view value_of(const struct record *record) {
    return (struct map_view){.at = record->bytes + record->key_bytes, .bytes = record->value_bytes};
}

int map_get(struct map_txn *txn, struct map_view key, struct map_view *ret_value) {
    bool same;
    const struct table *table = table_of(txn);
    uint32_t at = table_seek(table, key.at, key.bytes, &same);
    if (!same)
        return -ENOENT;
    *ret_value = value_of(table->at[at]);
    return 0;
}

int map_put(struct map_txn *txn, struct map_view key, size_t bytes, uint8_t **ret_space) {
    struct map *map = txn->map;
    must(txn->writes && txn->open);
    if (sim.now_ms >= map->full_until_ms && !sim.quiet && sim_chance(sim.plan.disk_full)) {
        sim.counts.disk_faults++;
        map->full_until_ms = sim.now_ms + sim_below(FULL_MS);
        TRACE1("disk %llu: says that it is full", map->index);
    }
    if (sim.now_ms < map->full_until_ms)
        return note_error(txn, -ENOSPC);
    *ret_space = table_put(&txn->table, key.at, key.bytes, bytes);
    return 0;
}

int map_delete(struct map_txn *txn, struct map_view key) {
    bool same;
    must(txn->writes && txn->open);
    uint32_t at = table_seek(&txn->table, key.at, key.bytes, &same);
    if (!same)
        return -ENOENT;
    table_remove(&txn->table, at);
    return 0;
}

int map_cursor_open(struct map_txn *txn, struct map_cursor **ret_cursor) {
    struct map_cursor *cursor = calloc(1, sizeof(*cursor));
    if (!cursor)
        return -ENOMEM;
    cursor->txn = txn;
    *ret_cursor = cursor;
    return 0;
}

int map_cursor_renew(struct map_cursor *cursor) {
    cursor->at = 0;
    cursor->deleted = false;
    return 0;
}

void map_cursor_close(struct map_cursor *cursor) {
    free(cursor);
}

static int cursor_get(const struct map_cursor *cursor, struct map_view *ret_key, struct map_view *ret_value) {
    const struct table *table = table_of(cursor->txn);
    if (cursor->at >= table->count)
        return -ENOENT;
    *ret_key = key_of(table->at[cursor->at]);
    *ret_value = value_of(table->at[cursor->at]);
    return 0;
}

int map_seek(struct map_cursor *cursor, struct map_view key, struct map_view *ret_key,
             struct map_view *ret_value) {
    bool same;
    cursor->at = table_seek(table_of(cursor->txn), key.at, key.bytes, &same);
    cursor->deleted = false;
    return cursor_get(cursor, ret_key, ret_value);
}

int map_next(struct map_cursor *cursor, struct map_view *ret_key, struct map_view *ret_value) {
    if (!cursor->deleted)
        cursor->at++;
    cursor->deleted = false;
    return cursor_get(cursor, ret_key, ret_value);
}

int map_seek_before(struct map_cursor *cursor, struct map_view key, struct map_view *ret_key,
                    struct map_view *ret_value) {
    bool same;
    uint32_t at = table_seek(table_of(cursor->txn), key.at, key.bytes, &same);
    cursor->deleted = false;
    if (at == 0)
        return -ENOENT;
    cursor->at = at - 1;
    return cursor_get(cursor, ret_key, ret_value);
}

int map_cursor_delete(struct map_cursor *cursor) {
    must(cursor->txn->writes && cursor->at < cursor->txn->table.count);
    table_remove(&cursor->txn->table, cursor->at);
    cursor->deleted = true;
    return 0;
}

/* --- usage ---------------------------------------------------------------------------------------------- */

int map_usage(struct map *map, struct map_usage *ret_usage) {
    *ret_usage = (struct map_usage){.page_bytes = PAGE_BYTES,
                                    .pages_max = map->bytes_max / PAGE_BYTES,
                                    .pages_high = table_pages(&map->table),
                                    .records = map->table.count};
    return 0;
}

int map_readers_check(struct map *map) {
    (void)map;
    return 0;
}

int map_copy(struct map *map, const char *folder) {
    (void)map;
    (void)folder;
    return -ENOTSUP;
}

/* --- the world's side ----------------------------------------------------------------------------------- */

void store_disk_reset(void) {
    for (uint32_t i = 0; i < SIM_STORES_MAX; i++) {
        table_fini(&maps[i].table);
        table_fini(&maps[i].doubt);
        table_fini(&maps[i].writer.table);
    }
    memset(maps, 0, sizeof(maps));
}

void store_disk_switch_gone(void) {
    for (uint32_t i = 0; i < SIM_STORES_MAX; i++) {
        struct map *map = &maps[i];
        map->writer.open = false;
        map->readers_open = 0;
        if (map->in_doubt && sim_chance(500)) {
            table_copy(&map->table, &map->doubt);
            TRACE1("disk %llu: the failed commit is there after all", i);
        }
        map->in_doubt = map->failed = false;
    }
}

void store_disk_calm(void) {
    for (uint32_t i = 0; i < SIM_STORES_MAX; i++)
        maps[i].full_until_ms = 0;
}

bool store_disk_failed(uint32_t environment) {
    return maps[environment].failed;
}

static uint8_t type_of(const struct run *run, uint32_t index) {
    return run_entry(run, index).at[VALUE_QUEUE_BYTES + 2];
}

/* Behind the last record of a queue: what devices published lies there. */
static uint32_t queues_end(const struct table *table) {
    const uint8_t behind = VALUE_QUEUE + 1;
    bool same;
    return table_seek(table, &behind, sizeof(behind), &same);
}

uint64_t store_disk_queue_entries(char *text, size_t text_bytes) {
    uint64_t count = 0;
    for (uint32_t i = 0; i < SIM_STORES_MAX; i++) {
        const struct table *table = &maps[i].table;
        for (uint32_t j = queues_end(table); j-- > 0 && table->at[j]->bytes[0] == VALUE_QUEUE;) {
            struct run run;
            must(run_open(key_of(table->at[j]), value_of(table->at[j]), &run));
            count += run.count;
            if (text)
                snprintf(text, text_bytes, "account %llu device %u number %llu type %u",
                         (unsigned long long)run.place.account, run.place.device,
                         (unsigned long long)run.place.seq, type_of(&run, 0));
        }
    }
    return count;
}

uint64_t store_disk_queue_longest(void) {
    uint64_t longest = 0;
    for (uint32_t i = 0; i < SIM_STORES_MAX; i++) {
        const struct table *table = &maps[i].table;
        struct value_place before = {0};
        uint64_t messages = 0;
        for (uint32_t j = queues_end(table); j-- > 0 && table->at[j]->bytes[0] == VALUE_QUEUE;) {
            struct run run;
            must(run_open(key_of(table->at[j]), value_of(table->at[j]), &run));
            if (run.place.account != before.account || run.place.device != before.device)
                messages = 0;
            for (uint32_t k = 0; k < run.count; k++)
                messages += type_of(&run, k) == FRAME_MESSAGE;
            before = run.place;
            longest = messages > longest ? messages : longest;
        }
    }
    return longest;
}
