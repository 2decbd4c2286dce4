#include <errno.h>

#include "core/switch.h"
#include "tests/support/store_rig.h"

TestSuite(store_load, .timeout = 120);

static void make_shards(struct rig *rig, struct shard **shards) {
    static const uint8_t secret[KEY_BYTES] = {1};
    static struct stats stats[RIG_SHARDS];
    config_defaults(&rig->config);
    rig->config.connections_max = 16;
    for (uint32_t i = 0; i < RIG_SHARDS; i++) {
        struct shard_setup setup = {.index = i,
                                    .shards = RIG_SHARDS,
                                    .stores = (uint32_t)rig->config.store_environments,
                                    .config = &rig->config,
                                    .lanes = rig->lanes,
                                    .stats = &stats[i],
                                    .server_secret = secret,
                                    .store = rig->store};
        cr_assert_eq(shard_create(&setup, &shards[i]), 0);
    }
}

static int request_number(struct rig *rig, uint8_t kind, uint64_t account, uint16_t device, uint64_t other) {
    struct request request = {
        .kind = kind, .account = account, .device_number = device, .other = other, .value = 1};
    return rig_request(rig, &request);
}

Test(store_load, each_shard_gets_what_is_at_home_there_and_reads_its_queues) {
    enum { ACCOUNTS = 20 };
    struct rig rig;
    struct shard *shards[RIG_SHARDS];
    char name[16];
    rig_make(&rig);
    rig_start(&rig);
    for (uint64_t i = 1; i <= ACCOUNTS; i++) {
        uint64_t account;
        struct request link = {.kind = REQUEST_LINK, .key = {(uint8_t)i}};
        snprintf(name, sizeof(name), "user%u", (unsigned)i);
        cr_assert_eq(rig_account(&rig, name, &account, link.code), 0);
        link.account = account;
        cr_assert_eq(rig_request(&rig, &link), 0);
        for (uint64_t seq = i; seq < i + 3; seq++)
            cr_assert_eq(rig_put(&rig, (struct rig_put){.account = account, .seq = seq}), 0);
    }
    cr_assert_eq(request_number(&rig, REQUEST_BLOCK, 3, 0, 7), 0);
    cr_assert_eq(request_number(&rig, REQUEST_DEVICE_REVOKE, 5, 1, 0), 0);
    rig_close(&rig);

    rig_open(&rig);
    make_shards(&rig, shards);
    cr_assert_eq(store_load(rig.store, shards, RIG_SHARDS), 0);
    for (uint64_t i = 1; i <= ACCOUNTS; i++) {
        struct shard *shard = shards[account_home(i, RIG_SHARDS)];
        struct account *account = account_find(&shard->accounts, i);
        struct store_view view;
        snprintf(name, sizeof(name), "user%u", (unsigned)i);
        cr_assert_not_null(account);
        cr_assert_str_eq(account->name, name);
        cr_assert_null(account_find(&shards[1 - account_home(i, RIG_SHARDS)]->accounts, i));
        const struct device *device = account_device(account, 1);
        cr_assert_not_null(device);
        cr_assert_eq(device->key[0], i);
        cr_assert_eq(device->flags, i == 5 ? DEVICE_REVOKED : 0);
        cr_assert_eq(device->outbox.drain_next, i);
        cr_assert_eq(device->outbox.queue_next, i + 3);
        cr_assert_eq(device->outbox.queue_bytes, 3 * (FRAME_MESSAGE_BYTES + strlen("text")));
        cr_assert_eq(device->outbox.bytes_from, i);
        cr_assert_eq(account_blocks(account, 7), i == 3);
        cr_assert_eq(port_store_read(shard, i, 1, 0, &view), 0);
        cr_assert_eq(view.seq, i);
        cr_assert_eq(port_store_read(shard, i, 1, i + 3, &view), -ENOENT);
        port_store_read_end(shard);
        cr_assert_eq(port_store_party(shard, i), RIG_SHARDS);
        cr_assert_eq(port_directory_party(shard), RIG_SHARDS);
    }
    for (uint32_t i = 0; i < RIG_SHARDS; i++)
        shard_destroy(shards[i]);
    rig_close(&rig);
    rig_remove(&rig);
}
