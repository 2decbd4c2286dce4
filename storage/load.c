/* What the shards get from the store before they run. */
#include <errno.h>

#include "core/account.h"
#include "core/crash.h"
#include "core/shard.h"
#include "storage/environment.h"

struct load {
    struct shard *const *shards;
    uint32_t shard_count;
};

static struct shard *home(const struct load *load, uint64_t account) {
    return load->shards[account_home(account, load->shard_count)];
}

static int load_account(struct load *load, struct map_view key, struct map_view value) {
    struct account_record record;
    int error = value_read_account(key, value, &record);
    return error ? error : shard_load_account(home(load, record.account), &record);
}

/* Devices in use come first: an account has room for so many, and revoked ones are worth a place only where
 * one is left. */
static int load_device(struct load *load, struct map_view key, struct map_view value, bool revoked) {
    struct device_record record;
    int error = value_read_device(key, value, &record);
    if (error || revoked != (bool)(record.flags & DEVICE_REVOKED))
        return error;
    error = shard_load_device(home(load, record.account), &record);
    return error == -ENOSPC && revoked ? 0 : error;
}

static int load_block(struct load *load, struct map_view key, struct map_view value) {
    struct value_place place;
    struct map_view body;
    int error = value_open(key, value, VALUE_BLOCK, &body);
    if (error || !value_key_read(key, &place))
        return error ? error : -EUCLEAN;
    return shard_load_block(home(load, place.account), place.account, place.seq);
}

/* As environment_open found them. */
static int load_queues(const struct load *load, const struct environment *environment) {
    const struct counts *counts = &environment->counts;
    int error = 0;
    for (uint32_t i = counts->expected_at; i < counts->expected_count && error == 0; i++) {
        const struct counts_range *queue = &counts->expected[i];
        error = shard_load_queue(home(load, queue->account), queue->account, queue->device, queue->first,
                                 queue->last, queue->bytes);
    }
    return error;
}

enum load_step { LOAD_ACCOUNTS, LOAD_DEVICES, LOAD_REVOKED, LOAD_BLOCKS, LOAD_STEPS };

static int load_record(struct load *load, enum load_step step, struct map_view key, struct map_view value) {
    switch (step) {
    case LOAD_ACCOUNTS:
        return load_account(load, key, value);
    case LOAD_DEVICES:
        return load_device(load, key, value, false);
    case LOAD_REVOKED:
        return load_device(load, key, value, true);
    default:
        return load_block(load, key, value);
    }
}

/* A damaged record, and what belongs to it, is left out and said aloud: the other accounts work on. */
static int load_walk(struct load *load, struct environment *environment, enum load_step step,
                     enum value_kind kind) {
    struct value_key front = value_key_single(kind);
    struct map_view key, value;
    int error = environment_look(environment);
    if (error)
        return error;
    error = map_seek(environment->cursor, value_key_view(&front), &key, &value);
    while (error == 0 && key.at[0] == kind) {
        error = load_record(load, step, key, value);
        if (error == -EUCLEAN || error == -EPROTO || error == -ENOENT) {
            port_log("store_record_left_out environment=%u kind=%u error=%d", environment->index, key.at[0],
                     -error);
            error = 0;
        }
        if (error == 0)
            error = map_next(environment->cursor, &key, &value);
    }
    environment_rest(environment);
    if (map_failed(environment->map))
        return -EIO;
    return error == -ENOENT ? 0 : error;
}

int store_load(struct store *store, struct shard *const *shards, uint32_t shard_count) {
    static const enum value_kind kinds[] = {VALUE_ACCOUNT, VALUE_DEVICE, VALUE_DEVICE, VALUE_BLOCK};
    struct load load = {.shards = shards, .shard_count = shard_count};
    int error = 0;
    crash_point(before_load);
    for (enum load_step step = LOAD_ACCOUNTS; step < LOAD_STEPS && error == 0; step++)
        error = load_walk(&load, &store->environments[0], step, kinds[step]);
    for (uint32_t i = 0; i < store->count && error == 0; i++)
        error = load_queues(&load, &store->environments[i]);
    crash_point(after_load);
    return error;
}
