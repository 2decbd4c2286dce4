#include "bench/own_best.h"

#include <errno.h>
#include <ftw.h>
#include <lmdb.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/end.h"
#include "bench/process.h"
#include "core/bytes.h"

#define X25519_COUNT 2000
#define LMDB_NS UINT64_C(1000000000)
#define LMDB_MAP_BYTES (UINT64_C(4) << 30)
#define KEY_BYTES 8

double own_best_x25519_us(void) {
    uint8_t secret[crypto_scalarmult_SCALARBYTES], point[crypto_scalarmult_BYTES],
        out[crypto_scalarmult_BYTES];
    struct timespec from, to;
    randombytes_buf(secret, sizeof(secret));
    crypto_scalarmult_base(point, secret);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
    for (int i = 0; i < X25519_COUNT; i++) {
        if (crypto_scalarmult(out, secret, point) != 0)
            return 0;
        memcpy(point, out, sizeof(point));
    }
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
    sodium_memzero(secret, sizeof(secret));
    return ((double)(to.tv_sec - from.tv_sec) * 1e6 + (double)(to.tv_nsec - from.tv_nsec) / 1e3) /
           X25519_COUNT;
}

static int append_batch(MDB_env *env, MDB_dbi dbi, uint64_t first, const uint8_t *value, uint32_t value_bytes,
                        uint32_t batch) {
    MDB_txn *txn;
    int error = mdb_txn_begin(env, NULL, 0, &txn);
    if (error)
        return error;
    for (uint64_t i = 0; !error && i < batch; i++) {
        uint8_t key_bytes[KEY_BYTES];
        bytes_put64(key_bytes, __builtin_bswap64(first + i)); /* so that their order is that of the numbers */
        MDB_val key = {.mv_size = KEY_BYTES, .mv_data = key_bytes};
        MDB_val data = {.mv_size = value_bytes, .mv_data = (void *)(uintptr_t)value};
        error = mdb_put(txn, dbi, &key, &data, MDB_APPEND);
    }
    if (!error)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return error;
}

static double append(MDB_env *env, uint32_t value_bytes, uint32_t batch) {
    MDB_txn *txn;
    MDB_dbi dbi = 0;
    uint8_t *value = calloc(1, value_bytes);
    int error = value ? mdb_txn_begin(env, NULL, 0, &txn) : ENOMEM;
    if (!error)
        error = mdb_dbi_open(txn, NULL, 0, &dbi);
    if (!error)
        error = mdb_txn_commit(txn);
    uint64_t from_ns = end_clock_ns(), now_ns = from_ns, count = 0;
    while (!error && now_ns - from_ns < LMDB_NS) {
        error = append_batch(env, dbi, count, value, value_bytes, batch);
        count += batch;
        now_ns = end_clock_ns();
    }
    free(value);
    return error ? -EIO : (double)count * 1e9 / (double)(now_ns - from_ns);
}

double own_best_lmdb_appends_per_s(uint32_t value_bytes, uint32_t batch, const cpu_set_t *cores) {
    struct process process; /* for its folder */
    MDB_env *env = NULL;
    double rate = -EIO;
    cpu_set_t before;
    if (sched_getaffinity(0, sizeof(before), &before) < 0 ||
        (cores && sched_setaffinity(0, sizeof(*cores), cores) < 0))
        return -errno;
    if (process_init(&process) == 0 && mdb_env_create(&env) == 0 &&
        mdb_env_set_mapsize(env, LMDB_MAP_BYTES) == 0 && mdb_env_open(env, process.folder, 0, 0600) == 0)
        rate = append(env, value_bytes, batch ? batch : 1);
    if (env)
        mdb_env_close(env);
    process_close(&process);
    sched_setaffinity(0, sizeof(before), &before);
    return rate;
}
