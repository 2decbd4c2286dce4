/* Check and backup: long walks over the whole store, in a thread of their own while the store goes on
 * committing. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "storage/environment.h"
#include "storage/folder.h"
#include "storage/server_key.h"

#define CHECK_SLICE 1024 /* records per snapshot: a long one would keep freed pages from being used again */
#define READERS_COPY 8
#define PATH_BYTES 512

static const char *kind_name(uint8_t kind) {
    static const char *const names[] = {"record of unknown kind",
                                        "store record",
                                        "account counter",
                                        "account",
                                        "name",
                                        "device",
                                        "block",
                                        "link code",
                                        "queue entry"};
    return kind < sizeof(names) / sizeof(names[0]) ? names[kind] : names[0];
}

static void describe_fault(char *text, size_t text_bytes, uint32_t index, struct map_view key, int fault) {
    struct value_place place = {0};
    const char *what = fault == -EPROTO ? "is of a newer version" : "is damaged";
    const char *kind = kind_name(key.bytes > 0 ? key.at[0] : 0);
    if (value_key_read(key, &place))
        snprintf(text, text_bytes, "environment %u: %s of account %llu, device %u, number %llu %s", index,
                 kind, (unsigned long long)place.account, place.device, (unsigned long long)place.seq, what);
    else
        snprintf(text, text_bytes, "environment %u: %s %s", index, kind, what);
}

/* One snapshot's worth. 0: there is more, *at says where; -ENOENT: the end. */
static int check_slice(struct map_cursor *cursor, uint32_t index, struct value_key *at,
                       struct request *request) {
    struct map_view key, value;
    int error = map_seek(cursor, value_key_view(at), &key, &value);
    for (uint32_t i = 0; i < CHECK_SLICE && error == 0; i++) {
        int fault = value_check(key, value);
        if (fault && request->status == 0) {
            describe_fault(request->text, sizeof(request->text), index, key, fault);
            request->status = -EUCLEAN;
        }
        request->value++;
        error = map_next(cursor, &key, &value);
    }
    if (error == 0)
        *at = value_key_copy(key);
    return error;
}

static int check_environment(const struct environment *environment, struct request *request) {
    struct map_txn *txn;
    struct map_cursor *cursor;
    struct value_key at = {.bytes = {0}, .used = 1};
    int error = map_begin_read(environment->map, &txn);
    if (error)
        return error;
    error = map_cursor_open(txn, &cursor);
    if (error) {
        map_abort(txn);
        return error;
    }
    while ((error = check_slice(cursor, environment->index, &at, request)) == 0) {
        map_rest(txn);
        error = map_renew(txn);
        if (error == 0)
            error = map_cursor_renew(cursor);
        if (error)
            break;
    }
    map_cursor_close(cursor);
    map_abort(txn);
    return error == -ENOENT ? 0 : error;
}

static void run_check(struct store *store, struct request *request) {
    request->value = 0;
    request->status = 0;
    request->text[0] = '\0';
    for (uint32_t i = 0; i < store->count; i++) {
        int error = check_environment(&store->environments[i], request);
        if (error == 0)
            continue;
        request->status = error;
        snprintf(request->text, sizeof(request->text), "environment %u can't be read: %s", i,
                 strerror(-error));
        return;
    }
}

/* A store that was restored must not link devices by codes that were given out, and maybe used, after the
 * backup. */
static int void_codes(struct map *map) {
    struct value_key front = value_key_single(VALUE_CODE);
    struct map_txn *txn;
    struct map_cursor *cursor;
    struct map_view key, value;
    int error = map_begin(map, &txn);
    if (error)
        return error;
    error = map_cursor_open(txn, &cursor);
    if (error) {
        map_abort(txn);
        return error;
    }
    error = map_seek(cursor, value_key_view(&front), &key, &value);
    while (error == 0 && value_key_starts(key, &front)) {
        error = map_cursor_delete(cursor);
        if (error == 0)
            error = map_next(cursor, &key, &value);
    }
    map_cursor_close(cursor);
    if (error && error != -ENOENT) {
        map_abort(txn);
        return error;
    }
    return map_commit(txn);
}

static int copy_environment(const struct environment *environment, const char *folder) {
    char path[PATH_BYTES];
    struct map *copy;
    folder_environment_path(folder, environment->index, path, sizeof(path));
    int error = folder_make(path);
    if (error == 0)
        error = map_copy(environment->map, path);
    if (error)
        return error;
    error = map_open(path, environment->store->setup.config->map_bytes, READERS_COPY, &copy);
    if (error)
        return error;
    error = void_codes(copy);
    map_close(copy);
    if (error == 0)
        error = folder_sync_file(path, "data.mdb");
    return error ? error : folder_sync(path);
}

/* The directory last: every account that has a queue in the copy is in it too, unless it was removed
 * meanwhile. */
static void run_backup(struct store *store, struct request *request) {
    char folder[sizeof(request->text)];
    snprintf(folder, sizeof(folder), "%s", request->text);
    request->value = 0;
    int error = folder_environments(folder);
    if (error > 0)
        error = -EEXIST;
    if (error == 0)
        error = folder_make(folder);
    if (error == 0)
        error = server_key_write(folder, store->secret);
    for (uint32_t i = store->count; i-- > 0 && error == 0;) {
        error = copy_environment(&store->environments[i], folder);
        request->value++;
    }
    if (error == 0)
        error = folder_sync(folder);
    request->status = error;
    if (error)
        snprintf(request->text, sizeof(request->text), "the backup failed: %s", strerror(-error));
}

static void *helper_main(void *context) {
    struct helper *helper = context;
    struct store *store = helper->environment->store;
    pthread_setname_np(pthread_self(), "store-helper");
    if (helper->request->kind == REQUEST_CHECK)
        run_check(store, helper->request);
    else
        run_backup(store, helper->request);
    atomic_store(&helper->state, HELPER_DONE);
    store_ring(store, helper->environment->party);
    return NULL;
}

void check_start(struct environment *environment, struct request *request, uint32_t from) {
    struct helper *helper = &environment->helper;
    request->text[sizeof(request->text) - 1] = '\0';
    if (atomic_load(&helper->state) != HELPER_IDLE) {
        snprintf(request->text, sizeof(request->text), "a check or backup is running");
        batch_answer(environment, request, from, -EBUSY);
        return;
    }
    helper->environment = environment;
    helper->request = request;
    helper->from = from;
    atomic_store(&helper->state, HELPER_RUNNING);
    int error = -pthread_create(&helper->thread, NULL, helper_main, helper);
    if (error) {
        atomic_store(&helper->state, HELPER_IDLE);
        batch_answer(environment, request, from, error);
    }
}

void check_poll(struct environment *environment, bool wait) {
    struct helper *helper = &environment->helper;
    int state = atomic_load(&helper->state);
    if (state == HELPER_IDLE || (state == HELPER_RUNNING && !wait))
        return;
    pthread_join(helper->thread, NULL);
    atomic_store(&helper->state, HELPER_IDLE);
    batch_answer(environment, helper->request, helper->from, helper->request->status);
}
