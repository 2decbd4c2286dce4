#include <criterion/criterion.h>
#include <errno.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "storage/map.h"

static char folder[] = "/tmp/tern-map-XXXXXX";
static struct map *map;

static void begin(void) {
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(map_open(folder, 1 << 20, 8, &map), 0);
}

static void end(void) {
    char command[64];
    map_close(map);
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    cr_assert_eq(system(command), 0);
}

TestSuite(store_map, .init = begin, .fini = end);

static struct map_view text(const char *text) {
    return (struct map_view){.at = (const uint8_t *)text, .bytes = strlen(text)};
}

static int put(struct map_txn *txn, const char *key, size_t bytes) {
    uint8_t *space;
    int error = map_put(txn, text(key), bytes, &space);
    if (error == 0)
        memset(space, key[0], bytes);
    return error;
}

static void put_alone(const char *key, size_t bytes) {
    struct map_txn *txn;
    cr_assert_eq(map_begin(map, &txn), 0);
    cr_assert_eq(put(txn, key, bytes), 0);
    cr_assert_eq(map_commit(txn), 0);
}

Test(store_map, aborted_changes_are_not_there) {
    struct map_txn *txn;
    struct map_view value;
    cr_assert_eq(map_begin(map, &txn), 0);
    cr_assert_eq(put(txn, "a", 10), 0);
    map_abort(txn);
    cr_assert_eq(map_begin_read(map, &txn), 0);
    cr_assert_eq(map_get(txn, text("a"), &value), -ENOENT);
    cr_assert_eq(map_error(txn), 0);
    map_abort(txn);
}

Test(store_map, committed_changes_are_there_after_a_reopen) {
    struct map_txn *txn;
    struct map_view value;
    put_alone("a", 10);
    map_close(map);
    cr_assert_eq(map_open(folder, 1 << 20, 8, &map), 0);
    cr_assert_eq(map_begin_read(map, &txn), 0);
    cr_assert_eq(map_get(txn, text("a"), &value), 0);
    cr_assert(value.bytes == 10 && value.at[9] == 'a');
    map_abort(txn);
}

Test(store_map, snapshot_stays_until_it_is_renewed) {
    struct map_txn *txn;
    struct map_view value;
    cr_assert_eq(map_begin_read(map, &txn), 0);
    put_alone("a", 10);
    cr_assert_eq(map_get(txn, text("a"), &value), -ENOENT);
    map_rest(txn);
    cr_assert_eq(map_renew(txn), 0);
    cr_assert_eq(map_get(txn, text("a"), &value), 0);
    map_abort(txn);
}

Test(store_map, cursor_walks_in_order_and_deletes_on_the_way) {
    struct map_txn *txn;
    struct map_cursor *cursor;
    struct map_view key, value;
    char name[16];
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof(name), "%03d", i);
        put_alone(name, 100);
    }
    cr_assert_eq(map_begin(map, &txn), 0);
    cr_assert_eq(map_cursor_open(txn, &cursor), 0);
    int error = map_seek(cursor, text("100"), &key, &value);
    for (int i = 100; i < 400; i++) {
        snprintf(name, sizeof(name), "%03d", i);
        cr_assert_eq(error, 0);
        cr_assert_eq(memcmp(key.at, name, 3), 0, "%d", i);
        cr_assert_eq(map_cursor_delete(cursor), 0);
        error = map_next(cursor, &key, &value);
    }
    map_cursor_close(cursor);
    cr_assert_eq(map_commit(txn), 0);
    struct map_usage usage;
    cr_assert_eq(map_usage(map, &usage), 0);
    cr_assert_eq(usage.records, 200);
}

Test(store_map, full_map_says_so_and_loses_nothing) {
    struct map_txn *txn;
    struct map_view value;
    char name[16];
    int error = 0;
    put_alone("first", 10);
    cr_assert_eq(map_begin(map, &txn), 0);
    for (int i = 0; i < 1000 && error == 0; i++) {
        snprintf(name, sizeof(name), "%d", i);
        error = put(txn, name, 4000);
    }
    cr_assert_eq(error, -ENOSPC);
    cr_assert_eq(map_error(txn), -ENOSPC);
    map_abort(txn);
    cr_assert_eq(map_begin_read(map, &txn), 0);
    cr_assert_eq(map_get(txn, text("first"), &value), 0);
    map_abort(txn);
}

Test(store_map, usage_falls_where_records_are_deleted) {
    struct map_txn *txn;
    struct map_usage before, after;
    put_alone("large", 400000);
    cr_assert_eq(map_usage(map, &before), 0);
    cr_assert_eq(map_begin(map, &txn), 0);
    cr_assert_eq(map_delete(txn, text("large")), 0);
    cr_assert_eq(map_commit(txn), 0);
    cr_assert_eq(map_usage(map, &after), 0);
    uint64_t used_before = before.pages_high - before.pages_free, used = after.pages_high - after.pages_free;
    cr_assert_leq(used + 90, used_before, "%lu, %lu before", used, used_before);
}

/* As LMDB's own tools count them: each record of the free table begins with how many pages it lists. */
static uint64_t walk_free_pages(void) {
    MDB_env *env;
    MDB_txn *txn;
    MDB_cursor *cursor;
    MDB_val key, list;
    uint64_t pages = 0;
    cr_assert_eq(mdb_env_create(&env), 0);
    cr_assert_eq(mdb_env_open(env, folder, MDB_RDONLY | MDB_NOLOCK, 0600), 0);
    cr_assert_eq(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), 0);
    cr_assert_eq(mdb_cursor_open(txn, 0, &cursor), 0);
    while (mdb_cursor_get(cursor, &key, &list, MDB_NEXT) == 0)
        pages += *(const size_t *)list.mv_data;
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    mdb_env_close(env);
    return pages;
}

Test(store_map, usage_needs_no_walk_of_the_free_pages) {
    struct map_usage usage;
    char key[16];
    for (int round = 0; round < 40; round++) {
        for (int i = 0; i < 10; i++) {
            snprintf(key, sizeof(key), "key-%d", (round * 7 + i * 3) % 60);
            put_alone(key, (size_t)(round % 5) * 2500 + 1);
        }
        struct map_txn *txn;
        snprintf(key, sizeof(key), "key-%d", round % 60);
        cr_assert_eq(map_begin(map, &txn), 0);
        map_delete(txn, text(key));
        cr_assert_eq(map_commit(txn), 0);
        cr_assert_eq(map_usage(map, &usage), 0);
        cr_assert_eq(usage.pages_free, walk_free_pages(), "round %d", round);
    }
    cr_assert_gt(usage.pages_free, 0);
}

Test(store_map, the_last_key_before_another_is_found) {
    struct map_txn *txn;
    struct map_cursor *cursor;
    struct map_view key, value;
    put_alone("b", 1);
    put_alone("d", 1);
    cr_assert_eq(map_begin_read(map, &txn), 0);
    cr_assert_eq(map_cursor_open(txn, &cursor), 0);
    static const char *const expected[][2] = {{"c", "b"}, {"d", "b"}, {"e", "d"}};
    for (size_t i = 0; i < 3; i++) {
        cr_assert_eq(map_seek_before(cursor, text(expected[i][0]), &key, &value), 0);
        cr_assert_eq(key.at[0], expected[i][1][0]);
    }
    cr_assert_eq(map_seek_before(cursor, text("b"), &key, &value), -ENOENT);
    cr_assert_eq(map_error(txn), 0);
    map_cursor_close(cursor);
    map_abort(txn);
}
