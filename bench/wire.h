/* bench/wire.h: what an end speaks with the server it is connected to: tern's protocol, or that of a server
 * tern is compared with. The end decides what to send and judges what came; the wire only writes and reads
 * it.
 *
 * All but tern's share the plain wires' buffers: bytes that arrived are handed to `parse` in whole units as
 * far as they go, frames are gathered in one buffer while another is on its way.
 *
 * Threads: the end's worker's.  Memory: what open allocates, until close. */
#ifndef TERN_BENCH_WIRE_H
#define TERN_BENCH_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct end;

struct wire {
    const char *name;
    bool confirms; /* the server confirms acknowledgements; else an acknowledgement is the end of it */
    bool is_text;  /* payloads have to be printable: they are half as long, and written in hex */
    /* 0 or negative errno, as for all that follow. Before the end is connected: allocates, and writes what
     * it says first. */
    int (*open)(struct end *end);
    void (*close)(struct end *end);
    /* Bytes of the server: calls end_took_*, end_is_open. */
    int (*input)(struct end *end, const uint8_t *bytes, size_t count);
    int (*put_message)(struct end *end, uint64_t number, uint64_t sent_ns, bool first);
    /* Acknowledges what came since the last time. */
    int (*put_receipts)(struct end *end);
    size_t (*gathered)(const struct end *end);
    /* What goes out next; it stays where it is until `sent`, which follows before output is called again. */
    size_t (*output)(struct end *end, const uint8_t **ret_bytes);
    void (*sent)(struct end *end, size_t count);
};

#define WIRE_RECEIPT_BYTES 16u /* of the servers that know no receipts: a message of so many bytes back */

/* --- for plain wires ------------------------------------------------------------------------------------ */

/* Takes one unit from `bytes`. *ret_used: its bytes, 0 where it is not whole yet. */
typedef int wire_parse(struct end *end, const uint8_t *bytes, size_t count, size_t *ret_used);

int wire_plain_open(struct end *end);
void wire_plain_close(struct end *end);
int wire_plain_input(struct end *end, const uint8_t *bytes, size_t count, wire_parse *parse);
/* Room for `bytes` more; NULL: no memory. */
uint8_t *wire_plain_space(struct end *end, size_t bytes);
void wire_plain_done(struct end *end, size_t bytes);
int wire_plain_put(struct end *end, const void *bytes, size_t count);
size_t wire_plain_gathered(const struct end *end);
size_t wire_plain_output(struct end *end, const uint8_t **ret_bytes);
void wire_plain_sent(struct end *end, size_t count);
/* What all plain wires have in common in their struct wire. */
#define WIRE_PLAIN_CALLS                                                                                     \
    .close = wire_plain_close, .gathered = wire_plain_gathered, .output = wire_plain_output,                 \
    .sent = wire_plain_sent

/* The body of a message, as it goes into a unit of load->size_bytes. */
void wire_write_body(const struct end *end, uint8_t *out, uint64_t number, uint64_t sent_ns);
int wire_take_body(struct end *end, const uint8_t *body, size_t bytes);
/* The body of a receipt, WIRE_RECEIPT_BYTES long: for the next message that has none yet. False: all have
 * one. */
bool wire_write_receipt(struct end *end, uint8_t out[WIRE_RECEIPT_BYTES]);
int wire_take_receipt(struct end *end, const uint8_t *body, size_t bytes);

#endif
