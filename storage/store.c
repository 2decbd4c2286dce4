#include "storage/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/account.h"
#include "core/must.h"
#include "core/noise.h"
#include "storage/environment.h"
#include "storage/folder.h"
#include "storage/server_key.h"

#define PATH_BYTES 512
#define MS_PER_S 1000

uint32_t store_environment_of(const struct store *store, uint64_t account) {
    return (uint32_t)(account_hash(account) >> 32) % store->count;
}

int store_environments(const char *folder, const struct config *config) {
    int count = folder_environments(folder);
    return count ? count : (int)config->store_environments;
}

static void settings_take(struct settings *settings, const struct config *config) {
    *settings = (struct settings){.queue_messages_max = config->queue_messages_max,
                                  .blocks_max = config->blocks_max,
                                  .code_ttl_ms = config->code_ttl_s * MS_PER_S,
                                  .one_time_keys_max = config->one_time_keys_max,
                                  .expiry_sweep_ms = config->expiry_sweep_s * MS_PER_S,
                                  .clock_jump_ms = config->clock_jump_ms};
}

/* --- opening -------------------------------------------------------------------------------------------- */

/* The meta record of an environment; -ENOENT: it is new. A newer one may look any way: only its number is
 * asked. */
static int meta_read(struct environment *environment, struct value_meta *ret_meta) {
    struct value_key key = value_key_single(VALUE_META);
    struct map_view value;
    int error = environment_look(environment);
    if (error)
        return error;
    error = map_get(environment->snapshot, value_key_view(&key), &value);
    if (error == 0)
        error = value_read_meta(value_key_view(&key), value, ret_meta);
    environment_rest(environment);
    return error ? error : ret_meta->format > STORE_FORMAT ? -EPROTO : 0;
}

static int meta_write(struct environment *environment, uint64_t store_id) {
    struct value_meta meta = {.format = STORE_FORMAT,
                              .environments = environment->store->count,
                              .index = environment->index,
                              .store_id = store_id};
    struct map_txn *txn;
    int error = map_begin(environment->map, &txn);
    if (error)
        return error;
    error = value_put_meta(txn, &meta);
    if (error) {
        map_abort(txn);
        return error;
    }
    return map_commit(txn);
}

/* Environment 0 gets its meta record last: where it has one, the store is complete, and
 * nothing of it may be missing. */
static int check_metas(struct store *store, bool *ret_new, char *ret_error, size_t error_bytes) {
    struct value_meta meta = {0}, first = {0};
    int found = meta_read(&store->environments[0], &first);
    for (uint32_t i = 0; i < store->count; i++) {
        int error = meta_read(&store->environments[i], &meta);
        if (error == -EPROTO)
            snprintf(ret_error, error_bytes, "%s was written by a newer version of tern", store->folder);
        else if (error == -ENOENT && found == 0)
            snprintf(ret_error, error_bytes, "environment %u of %s is missing", i, store->folder);
        else if (error && error != -ENOENT)
            snprintf(ret_error, error_bytes, "environment %u of %s is damaged", i, store->folder);
        if (error && (error != -ENOENT || found == 0))
            return error == -ENOENT ? -EUCLEAN : error;
        if (found == 0 &&
            (meta.store_id != first.store_id || meta.index != i || meta.environments != store->count)) {
            snprintf(ret_error, error_bytes, "environment %u of %s belongs to another store", i,
                     store->folder);
            return -EUCLEAN;
        }
    }
    for (uint32_t i = 0; i < store->count && found != 0; i++) {
        if (store->environments[i].status.records > 1) {
            snprintf(ret_error, error_bytes, "environment 0 of %s is missing", store->folder);
            return -EUCLEAN;
        }
    }
    *ret_new = found != 0;
    return 0;
}

/* A store of an older format is brought to this one's where it is: each environment in one transaction, so
 * that a power cut leaves it old or new; environment 0 last, as when a store is made. Should some be new and
 * some old, the next start goes on. */
static int migrate(struct store *store, char *ret_error, size_t error_bytes) {
    for (uint32_t i = store->count; i-- > 0;) {
        struct value_meta meta;
        int error = meta_read(&store->environments[i], &meta);
        if (error == 0 && meta.format == STORE_FORMAT)
            continue;
        /* What is written from now on is new; records of older versions are read as long as they are there,
         * so that a migration takes no longer than any start. */
        if (error == 0)
            error = meta_write(&store->environments[i], meta.store_id);
        if (error) {
            snprintf(ret_error, error_bytes, "%s can't be brought to this version's format: %s",
                     store->folder, strerror(-error));
            return error;
        }
        port_log("store_migrated environment=%u from=%u to=%u", i, meta.format, STORE_FORMAT);
    }
    return 0;
}

static int open_environments(struct store *store, char *ret_error, size_t error_bytes) {
    for (uint32_t i = store->count; i-- > 0;) {
        struct environment *environment = &store->environments[i];
        char path[PATH_BYTES];
        folder_environment_path(store->folder, i, path, sizeof(path));
        int error = folder_make(path);
        if (error) {
            snprintf(ret_error, error_bytes, "%s can't be made: %s", path, strerror(-error));
            return error;
        }
        uint32_t parties = lanes_parties(store->setup.lanes);
        environment->store = store;
        environment->index = i;
        environment->party = store->setup.shards + i;
        environment->settings = store->settings;
        environment->producers = calloc(parties, sizeof(struct producer));
        environment->batch.items = calloc(BATCH_NOTES_MAX, sizeof(struct batch_item));
        if (!environment->producers || !environment->batch.items)
            return -ENOMEM;
        error = environment_open(environment, path, ret_error, error_bytes);
        if (error)
            return error;
    }
    return 0;
}

/* A store without its key must not get a new one: every link points to the old one. */
static int take_key(struct store *store, bool is_new, char *ret_error, size_t error_bytes) {
    int error = server_key_read(store->folder, store->secret);
    if (error == -ENOENT && is_new) {
        port_entropy(store->secret, KEY_BYTES);
        error = server_key_write(store->folder, store->secret);
    }
    if (error == -ENOENT)
        snprintf(ret_error, error_bytes,
                 "%s/server.key is missing, but the store is not new: restore the file", store->folder);
    else if (error == -EPERM)
        snprintf(ret_error, error_bytes, "%s/server.key can be read by others: chmod 600 it", store->folder);
    else if (error == -EUCLEAN)
        snprintf(ret_error, error_bytes, "%s/server.key is not the %d bytes of a key: restore the file",
                 store->folder, KEY_BYTES);
    else if (error)
        snprintf(ret_error, error_bytes, "%s/server.key: %s", store->folder, strerror(-error));
    if (error)
        return error;
    noise_public_key(store->secret, store->public);
    return 0;
}

static int write_metas(struct store *store, char *ret_error, size_t error_bytes) {
    uint64_t store_id;
    port_entropy(&store_id, sizeof(store_id));
    for (uint32_t i = store->count; i-- > 0;) {
        int error = meta_write(&store->environments[i], store_id);
        if (error) {
            snprintf(ret_error, error_bytes, "%s can't be written: %s", store->folder, strerror(-error));
            return error;
        }
    }
    return 0;
}

static int open_all(struct store *store, char *ret_error, size_t error_bytes) {
    bool is_new = false;
    int error = folder_make(store->folder);
    if (error) {
        snprintf(ret_error, error_bytes, "%s can't be made: %s", store->folder, strerror(-error));
        return error;
    }
    store->lock_fd = folder_lock(store->folder);
    if (store->lock_fd < 0) {
        snprintf(ret_error, error_bytes,
                 store->lock_fd == -EBUSY ? "%s is in use by another ternd" : "%s/lock: %s", store->folder,
                 strerror(-store->lock_fd));
        return store->lock_fd;
    }
    int count = store_environments(store->folder, store->setup.config);
    store->count = count > 0 ? (uint32_t)count : 0;
    store->environments = calloc(store->count, sizeof(struct environment));
    store->readers = calloc((size_t)store->setup.shards * store->count, sizeof(struct reader));
    if (count < 0 || !store->environments || !store->readers)
        return count < 0 ? count : -ENOMEM;
    must(lanes_parties(store->setup.lanes) >= store->setup.shards + store->count);
    error = open_environments(store, ret_error, error_bytes);
    if (error == 0)
        error = check_metas(store, &is_new, ret_error, error_bytes);
    if (error == 0)
        error = take_key(store, is_new, ret_error, error_bytes);
    if (error == 0 && is_new)
        error = write_metas(store, ret_error, error_bytes);
    if (error == 0 && !is_new)
        error = migrate(store, ret_error, error_bytes);
    return error;
}

int store_open(const struct store_setup *setup, struct store **ret_store, char *ret_error,
               size_t error_bytes) {
    struct store *store = calloc(1, sizeof(*store));
    if (!store)
        return -ENOMEM;
    store->setup = *setup;
    store->lock_fd = -1;
    pthread_mutex_init(&store->settings_lock, NULL);
    settings_take(&store->settings, setup->config);
    snprintf(ret_error, error_bytes, "%s can't be opened", setup->folder);
    int error = -EINVAL;
    if ((size_t)snprintf(store->folder, sizeof(store->folder), "%s", setup->folder) < sizeof(store->folder))
        error = open_all(store, ret_error, error_bytes);
    if (error) {
        store_close(store);
        return error;
    }
    *ret_store = store;
    return 0;
}

void store_close(struct store *store) {
    for (uint32_t i = 0; store->readers && i < store->setup.shards * store->count; i++) {
        if (!store->readers[i].txn)
            continue;
        map_cursor_close(store->readers[i].cursor);
        map_abort(store->readers[i].txn);
    }
    for (uint32_t i = 0; store->environments && i < store->count; i++) {
        environment_close(&store->environments[i]);
        free(store->environments[i].producers);
        free(store->environments[i].batch.items);
    }
    free(store->readers);
    free(store->environments);
    if (store->lock_fd >= 0)
        close(store->lock_fd);
    pthread_mutex_destroy(&store->settings_lock);
    explicit_bzero(store->secret, sizeof(store->secret));
    free(store);
}

void store_server_key(const struct store *store, uint8_t *ret_secret, uint8_t *ret_public) {
    memcpy(ret_secret, store->secret, KEY_BYTES);
    memcpy(ret_public, store->public, KEY_BYTES);
}

/* --- running -------------------------------------------------------------------------------------------- */

void store_reload(struct store *store, const struct config *config) {
    pthread_mutex_lock(&store->settings_lock);
    settings_take(&store->settings, config);
    pthread_mutex_unlock(&store->settings_lock);
    atomic_fetch_add(&store->settings_version, 1);
    for (uint32_t i = 0; i < store->count; i++)
        store_ring(store, store->environments[i].party);
}

void store_read_status(const struct store *store, uint32_t environment, struct store_status *ret_status) {
    struct environment *from = &store->environments[environment];
    pthread_mutex_lock(&from->status_lock);
    *ret_status = from->status;
    pthread_mutex_unlock(&from->status_lock);
}
