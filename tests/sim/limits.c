#include "tests/sim/limits.h"

#include "core/switch.h"
#include "tests/sim/house.h"
#include "tests/sim/network.h"
#include "tests/sim/sim.h"
#include "tests/sim/store_disk.h"

#define CONTROL_SLACK_BYTES 8192 /* answers that were under way when the limit was reached */

static void check_session(const struct shard *shard, const struct session *session) {
    const struct config *config = &shard->config;
    if (session->unticked > config->unticked_max)
        sim_fail("P8: a session has %u messages without a tick", session->unticked);
    if (session->unticked_bytes > config->unticked_bytes_max + 2 * FRAME_BYTES_MAX)
        sim_fail("P8: a session has %llu bytes in memory", (unsigned long long)session->unticked_bytes);
    if (session->unticked_bytes && !shard->messages_out)
        sim_fail("a session counts %llu bytes of no message", (unsigned long long)session->unticked_bytes);
    if (session->control_bytes > SESSION_CONTROL_BYTES_MAX + CONTROL_SLACK_BYTES)
        sim_fail("P8: a session holds %u bytes of control frames", session->control_bytes);
    if (session->requests > SESSION_REQUESTS_MAX)
        sim_fail("P8: a session has asked %u times", session->requests);
    if (session->confirm_count > SESSION_CONFIRMS_MAX)
        sim_fail("P8: a session holds %u confirmations", session->confirm_count);
}

static void check_device(const struct shard *shard, const struct device *device) {
    const struct outbox *outbox = &device->outbox;
    const struct config *config = &shard->config;
    if (outbox->sent_count > config->window_messages)
        sim_fail("P8: %u items are on their way to device %u of %llu", outbox->sent_count, device->number,
                 (unsigned long long)device->account->number);
}

static void check_shard(uint32_t index) {
    const struct shard *shard = house.shard[index];
    if (shard->messages_out > shard->config.messages_max)
        sim_fail("P8: shard %u holds %u messages", index, shard->messages_out);
    if (shard->pending_count > shard->session_count)
        sim_fail("shard %u counts %u pending connections of %u", index, shard->pending_count,
                 shard->session_count);
    if (shard->session_count > shard->config.connections_max)
        sim_fail("P8: shard %u holds %u connections", index, shard->session_count);
    if (network_lent(index) > house.config.buffers)
        sim_fail("P8: shard %u lent %u buffers", index, network_lent(index));
    for (uint32_t i = 0; i < shard->session_high; i++) {
        if (session_at(shard, i))
            check_session(shard, session_at(shard, i));
    }
    for (uint32_t i = 0; i < shard->accounts.capacity; i++) {
        const struct account *account = shard->accounts.slots[i];
        for (uint32_t j = 0; account && j < account->slots_used; j++) {
            if (account->devices[j])
                check_device(shard, account->devices[j]);
        }
    }
}

void limits_check(void) {
    if (!house.up)
        return;
    for (uint32_t i = 0; i < house.shards; i++)
        check_shard(i);
    if (store_disk_queue_longest() > house.config.queue_messages_max)
        sim_fail("P8: a queue has %llu messages", (unsigned long long)store_disk_queue_longest());
}
