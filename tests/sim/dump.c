#include "tests/sim/dump.h"

#include <stdio.h>

#include "core/switch.h"
#include "tests/sim/house.h"
#include "tests/sim/network.h"

static void dump_items(const char *name, const struct outbox_item *item) {
    printf("      %s:", name);
    for (unsigned count = 0; item && count < 12; item = item->next, count++)
        printf(" [%s seq %llu flags %x from %llu.%u to %llu number %llu]",
               item->type == FRAME_MESSAGE ? "message" : "receipt", (unsigned long long)item->seq,
               item->flags, (unsigned long long)item->id.from, item->id.from_device,
               (unsigned long long)item->id.to, (unsigned long long)item->id.number);
    printf("%s\n", item ? " ..." : "");
}

static void dump_session(const struct session *session) {
    if (session)
        printf("      session: state %u, partial %u, waiting %u, unticked %u, %llu acknowledged, paused %u, "
               "control %u, closing for %u\n",
               session->state, session->partial_bytes, session_waits(session), session->unticked,
               (unsigned long long)session->items_acked, session->paused, session->control_bytes,
               session->close_reason);
}

static void dump_device(const struct device *device) {
    const struct outbox *outbox = &device->outbox;
    printf("    device %u%s: %u items, %u sent, queue %llu to %llu, fetched to %llu, "
           "failed from %llu, putting %u, "
           "purge %llu to %llu%s%s, failed %u\n",
           device->number, device->flags & DEVICE_REVOKED ? " (revoked)" : "", outbox->count,
           outbox->sent_count, (unsigned long long)outbox->drain_next, (unsigned long long)outbox->queue_next,
           (unsigned long long)outbox->fetched_to, (unsigned long long)outbox->failed_from, outbox->putting,
           (unsigned long long)outbox->purge_from, (unsigned long long)outbox->purge_before,
           outbox->fetching ? ", fetching" : "", outbox->purging ? ", purging" : "", outbox->failed_count);
    dump_session(device->session);
    dump_items("outbox", outbox->head);
    dump_items("unsettled", outbox->unsettled);
}

static void dump_account(const struct account *account) {
    printf("  account %llu, flags %u\n", (unsigned long long)account->number, account->flags);
    for (const struct gate *gate = account->gates.oldest; gate; gate = gate->newer)
        printf("    gate: device %u to %llu number %llu, %u copies%s%s\n", gate->id.from_device,
               (unsigned long long)gate->id.to, (unsigned long long)gate->id.number, gate->copies,
               gate->refused ? ", refused" : "", gate->held ? ", holds" : "");
    for (uint32_t i = 0; i < account->slots_used; i++) {
        if (account->devices[i])
            dump_device(account->devices[i]);
    }
}

void dump_switch(void) {
    for (uint32_t i = 0; house.up && i < house.shards; i++) {
        const struct shard *shard = house.shard[i];
        printf(
            "shard %u: %u sessions, %u messages out, %u puts out, %u refused numbers awaited, kept %u, %u of "
            "%u buffers lent%s\n",
            i, shard->session_count, shard->messages_out, shard->puts_out, shard->refused_count,
            lanes_kept(house.lanes, i), network_lent(i), (unsigned)house.config.buffers,
            shard->draining ? ", draining" : "");
        for (uint32_t j = 0; j < shard->accounts.capacity; j++) {
            if (shard->accounts.slots[j])
                dump_account(shard->accounts.slots[j]);
        }
    }
}
