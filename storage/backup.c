/* Backups: in a thread of their own, while the store goes on committing. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "storage/environment.h"
#include "storage/folder.h"
#include "storage/server_key.h"

#define READERS_COPY 8
#define PATH_BYTES 512

/* A store that was restored must not link devices by codes that were given out, and maybe used, after the
 * backup, nor hand out one-time pre-keys again. */
static int void_one_time(struct map *map) {
    struct value_key front = value_key_single(VALUE_CODE);
    struct map_txn *txn;
    int error = map_begin(map, &txn);
    if (error)
        return error;
    error = directory_delete_front(txn, &front);
    if (error == 0)
        error = keys_void_one_time(txn);
    if (error == 0)
        return map_commit(txn);
    map_abort(txn);
    return error;
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
    error = void_one_time(copy);
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
    run_backup(store, helper->request);
    atomic_store(&helper->state, HELPER_DONE);
    store_ring(store, helper->environment->party);
    return NULL;
}

void backup_start(struct environment *environment, struct request *request, uint32_t from) {
    struct helper *helper = &environment->helper;
    request->text[sizeof(request->text) - 1] = '\0';
    if (atomic_load(&helper->state) != HELPER_IDLE) {
        snprintf(request->text, sizeof(request->text), "a backup is running");
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

void backup_poll(struct environment *environment, bool wait) {
    struct helper *helper = &environment->helper;
    int state = atomic_load(&helper->state);
    if (state == HELPER_IDLE || (state == HELPER_RUNNING && !wait))
        return;
    pthread_join(helper->thread, NULL);
    atomic_store(&helper->state, HELPER_IDLE);
    batch_answer(environment, helper->request, helper->from, helper->request->status);
}
