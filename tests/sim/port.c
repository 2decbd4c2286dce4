/* io's side of core/port.h. */
#include "core/port.h"

#include <stdarg.h>
#include <stdio.h>

#include "core/must.h"
#include "core/shard.h"
#include "tests/sim/house.h"
#include "tests/sim/link.h"
#include "tests/sim/sim.h"

#define SCARCE_PART 4

void port_output_ready(struct shard *shard, uint32_t conn) {
    struct link *link = network_at(shard_index(shard), conn);
    if (link)
        link->output_ready = true;
}

void port_input_pause(struct shard *shard, uint32_t conn) {
    struct link *link = network_at(shard_index(shard), conn);
    must(link);
    link->paused = true;
    link->received_already = sim_chance(300);
}

void port_input_resume(struct shard *shard, uint32_t conn) {
    struct link *link = network_at(shard_index(shard), conn);
    must(link);
    link->paused = false;
}

void port_input_quiet(struct shard *shard, uint32_t conn) {
    (void)shard, (void)conn;
}

void port_close(struct shard *shard, uint32_t conn) {
    struct link *link = network_at(shard_index(shard), conn);
    if (!link)
        return;
    link->closing = true;
    link->closing_ms = sim.now_ms;
}

void port_address(struct shard *shard, uint32_t conn, char out[ADDRESS_TEXT_BYTES]) {
    (void)shard, (void)conn;
    snprintf(out, ADDRESS_TEXT_BYTES, "192.0.2.1");
}

void port_settle(struct shard *shard, uint32_t conn) {
    (void)shard;
    (void)conn;
}

void port_move(struct shard *shard, uint32_t conn, uint32_t target_shard, struct session_move *move) {
    struct link *link = network_at(shard_index(shard), conn);
    must(link);
    link->state = LINK_MOVING;
    move->io = link;
    struct note note = {.kind = NOTE_MOVE, .move = move};
    lanes_post(house.lanes, shard_index(shard), target_shard, &note);
}

void port_move_arrived(struct shard *shard, struct session_move *move) {
    struct link *link = move->io;
    uint32_t index = shard_index(shard);
    uint32_t slot = network_slot(index);
    must(link->state == LINK_MOVING);
    if (slot == NETWORK_NONE) {
        shard_move_failed(shard, move);
        network_drop(link);
        return;
    }
    link->state = LINK_OPEN;
    link->shard = index;
    link->conn = slot;
    link->output_ready = true;
    shard_moved_in(shard, slot, move);
}

void port_buf_give_back(struct shard *shard, struct buf *buf) {
    network_give_back(shard_index(shard), buf);
}

bool port_bufs_scarce(struct shard *shard) {
    uint32_t free_bufs = (uint32_t)house.config.buffers - network_lent(shard_index(shard));
    return free_bufs < house.config.buffers / SCARCE_PART;
}

void port_entropy(void *bytes, size_t count) {
    for (size_t i = 0; i < count; i++)
        ((uint8_t *)bytes)[i] = (uint8_t)sim_random();
}

void port_log(const char *format, ...) {
    if (!sim.tracing)
        return;
    va_list arguments;
    va_start(arguments, format);
    printf("%8llu.%03llu  log: ", (unsigned long long)(sim.now_ms / 1000),
           (unsigned long long)(sim.now_ms % 1000));
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
}
