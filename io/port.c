/* io's side of core/port.h. */
#include "core/port.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "io/loop_inside.h"

#define SCARCE_PART 4 /* buffers are scarce when fewer than a quarter are free */

static struct conn *conn_at(struct shard *shard, uint32_t conn) {
    return &loop_of(shard)->conns.table[conn];
}

void port_output_ready(struct shard *shard, uint32_t conn) {
    loop_ready(loop_of(shard), conn_at(shard, conn));
}

void port_input_pause(struct shard *shard, uint32_t conn) {
    conn_pause(loop_of(shard), conn_at(shard, conn));
}

void port_input_resume(struct shard *shard, uint32_t conn) {
    conn_resume(loop_of(shard), conn_at(shard, conn));
}

void port_input_quiet(struct shard *shard, uint32_t conn) {
    conn_park(loop_of(shard), conn_at(shard, conn));
}

void port_close(struct shard *shard, uint32_t conn) {
    conn_close(loop_of(shard), conn_at(shard, conn));
}

void port_address(struct shard *shard, uint32_t conn, char out[ADDRESS_TEXT_BYTES]) {
    address_text(&conn_at(shard, conn)->address, out, ADDRESS_TEXT_BYTES);
}

void port_settle(struct shard *shard, uint32_t conn) {
    conn_settle(loop_of(shard), conn_at(shard, conn));
}

void port_move(struct shard *shard, uint32_t conn, uint32_t target_shard, struct session_move *move) {
    conn_move(loop_of(shard), conn_at(shard, conn), target_shard, move);
}

void port_move_arrived(struct shard *shard, struct session_move *move) {
    conn_arrive(loop_of(shard), move);
}

void port_buf_give_back(struct shard *shard, struct buf *buf) {
    bufring_give_back(loop_of(shard)->bufring, buf);
}

bool port_bufs_scarce(struct shard *shard) {
    const struct bufring *bufring = loop_of(shard)->bufring;
    return bufring_free_count(bufring) < bufring_count(bufring) / SCARCE_PART;
}

void port_entropy(void *bytes, size_t count) {
    uint8_t *at = bytes;
    while (count) {
        ssize_t got = getrandom(at, count, 0);
        if (got <= 0)
            continue; /* a signal */
        at += got;
        count -= (size_t)got;
    }
}

/* Under systemd the journal adds the time. */
void port_log(const char *format, ...) {
    char line[512];
    size_t used = 0;
    if (!getenv("JOURNAL_STREAM")) {
        struct timespec now;
        struct tm utc;
        clock_gettime(CLOCK_REALTIME, &now);
        gmtime_r(&now.tv_sec, &utc);
        used = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%S", &utc);
        used += (size_t)snprintf(line + used, sizeof(line) - used, ".%03ldZ ", now.tv_nsec / 1000000);
    }
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line + used, sizeof(line) - used, format, arguments);
    va_end(arguments);
    fprintf(stderr, "%s\n", line);
}
