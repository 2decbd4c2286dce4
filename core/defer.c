#include "core/defer.h"

#include "core/switch.h"

bool defer_receipt(struct shard *shard, const struct outbox *outbox, uint32_t conn) {
    struct defer *defer = &shard->defer;
    uint32_t turn = (uint32_t)shard->turn;
    bool lately = outbox->message_turn && turn - outbox->message_turn <= DEFER_LATELY_TURNS;
    if (!lately || defer->end - defer->first == DEFER_MAX)
        return false;
    defer->waited = !defer->waited;
    if (defer->waited)
        defer->ring[defer->end++ % DEFER_MAX] = (struct deferred){.conn = conn, .turn = turn};
    return defer->waited;
}

/* A connection may have gone, or be another's: to be asked for output it does not have harms nobody. */
void defer_run(struct shard *shard) {
    struct defer *defer = &shard->defer;
    for (; defer_waits(defer); defer->first++) {
        const struct deferred *deferred = &defer->ring[defer->first % DEFER_MAX];
        if ((uint32_t)shard->turn - deferred->turn < DEFER_TURNS)
            return;
        if (session_at(shard, deferred->conn))
            port_output_ready(shard, deferred->conn);
    }
}
