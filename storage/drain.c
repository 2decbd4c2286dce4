/* What storage supplies of core/port.h: a shard reads queue entries straight from the map. */
#include <errno.h>

#include "core/account.h"
#include "storage/environment.h"

static int reader_open(struct reader *reader, struct map *map) {
    int error;
    if (reader->txn) {
        error = map_renew(reader->txn);
        if (error)
            return error;
        error = map_cursor_renew(reader->cursor);
        if (error)
            map_rest(reader->txn);
    } else {
        error = map_begin_read(map, &reader->txn);
        if (error)
            return error;
        error = map_cursor_open(reader->txn, &reader->cursor);
        if (error) {
            map_abort(reader->txn);
            reader->txn = NULL;
        }
    }
    reader->open = error == 0;
    reader->positioned = false;
    return error;
}

/* A drain asks for one entry after the other: then the cursor only steps on. */
static bool follows(const struct reader *reader, uint64_t account, uint16_t device, uint64_t seq) {
    const struct value_place *place = &reader->at.run.place;
    return reader->positioned && place->account == account && place->device == device &&
           seq == run_seq(&reader->at) + 1;
}

static int read_entry(struct store *store, uint32_t shard, uint64_t account, uint16_t device, uint64_t seq,
                      struct store_view *ret_view) {
    uint32_t index = store_environment_of(store, account);
    struct reader *reader = store_reader(store, shard, index);
    if (!reader->open && reader_open(reader, store->environments[index].map))
        return -EIO;
    struct value_queue entry;
    int error;
    if (follows(reader, account, device, seq)) {
        error = run_next(&reader->at);
    } else {
        reader->at.cursor = reader->cursor;
        error = run_seek(&reader->at, account, device, seq);
    }
    reader->positioned = error == 0;
    if (error)
        return error == -ENOENT ? -ENOENT : -EIO;
    uint64_t found = run_seq(&reader->at);
    struct value_key key = run_key(&reader->at.run, reader->at.index);
    error = value_read_queue(value_key_view(&key), run_entry(&reader->at.run, reader->at.index), &entry);
    if (error) {
        ret_view->seq = found;
        return -EUCLEAN;
    }
    *ret_view = (struct store_view){
        .seq = found, .frame = entry.frame, .frame_bytes = entry.frame_bytes, .expires_ms = entry.expires_ms};
    return 0;
}

int drain_read(struct store *store, uint32_t shard, uint64_t account, uint16_t device, uint64_t seq,
               struct store_view *ret_view) {
    int error = read_entry(store, shard, account, device, seq, ret_view);
    return drain_check(store, account) ? -EIO : error;
}

int drain_check(struct store *store, uint64_t account) {
    const struct environment *environment = &store->environments[store_environment_of(store, account)];
    if (!map_failed(environment->map))
        return 0;
    store_ring(store, environment->party); /* it closes the environment, and says so */
    return -EIO;
}

void drain_read_end(struct store *store, uint32_t shard) {
    for (uint32_t i = 0; i < store->count; i++) {
        struct reader *reader = store_reader(store, shard, i);
        if (!reader->open)
            continue;
        map_rest(reader->txn);
        reader->open = false;
        reader->positioned = false;
    }
}

int port_store_read(struct shard *shard, uint64_t account, uint16_t device, uint64_t seq,
                    struct store_view *ret_view) {
    return drain_read(shard_store(shard), shard_index(shard), account, device, seq, ret_view);
}

int port_store_read_check(struct shard *shard, uint64_t account) {
    return drain_check(shard_store(shard), account);
}

void port_store_read_end(struct shard *shard) {
    drain_read_end(shard_store(shard), shard_index(shard));
}

uint32_t port_store_party(const struct shard *shard, uint64_t account) {
    const struct store *store = shard_store(shard);
    return store->setup.shards + store_environment_of(store, account);
}

uint32_t port_directory_party(const struct shard *shard) {
    const struct store *store = shard_store(shard);
    return store->setup.shards;
}
