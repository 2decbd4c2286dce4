/* tools/client/peer.h: the client's side of one connection, without a socket: bytes in, frames out; frames
 * in, bytes out. The client library, ternbench and the simulator drive it.
 *
 * A life: peer_create; peer_output gives the hello; bytes go through peer_input; after the handshake LINK or
 * LOGIN goes out by itself; WELCOME and everything after it come to the callback as frames; peer_put gathers
 * frames, peer_output seals what was gathered into as few records as it fits.
 *
 * Threads: one at a time.  Memory: one allocation; a buffer that grows to the largest record that came; what
 * was gathered and what the socket did not take yet. Whatever held keys or frames is wiped before it is
 * freed. */
#ifndef TERN_TOOLS_CLIENT_PEER_H
#define TERN_TOOLS_CLIENT_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/frame.h"
#include "core/hello.h"
#include "core/noise.h"

/* Frames gathered at a time; who sends more looks at peer_put_bytes first. */
#define PEER_GATHERED_BYTES_MAX (16u << 20)

struct peer;

struct peer_setup {
    enum hello_pattern pattern;      /* HELLO_PLAINTEXT: no keys are used */
    uint8_t ciphers;                 /* enum hello_cipher_bits, to offer; 0: all that this CPU can */
    const uint8_t *device_secret;    /* 32 bytes; copied, wiped at peer_destroy */
    const uint8_t *server_public;    /* 32 bytes, for IK */
    const uint8_t *ephemeral_secret; /* 32 fresh random bytes */
    struct frame_link link;          /* the first frame */
    bool is_link;                    /* LINK, not LOGIN */
};

/* In plaintext mode there is no key that says who the device is: the switch takes LOGIN's account and device
 * as they are, and LINK's code with a key of the code's 16 bytes twice.
 * 0; -ENOMEM; -ENOSYS: the cryptographic library does not start. */
int peer_create(const struct peer_setup *setup, struct peer **ret_peer);
void peer_destroy(struct peer *peer);

/* A frame of the switch, WELCOME first (or CLOSE, the last in any case). Frames of unknown type are skipped.
 * Views are valid during the call, which may put frames. 0 goes on; negative errno ends peer_input. */
typedef int peer_on_frame(void *context, struct peer *peer, const struct frame *frame);

/* Bytes from the socket. 0; -EPROTO: not the protocol; -EBADMSG: a record or handshake message did not
 * authenticate; -ECONNREFUSED: the hello was refused (peer_refusal says why); -ENOMEM; or what on_frame
 * returned. An error is the end: it is returned again whatever comes. */
int peer_input(struct peer *peer, const uint8_t *bytes, size_t count, peer_on_frame *on_frame, void *context);
/* A sentence about why the hello was refused or the connection closed (CLOSE frame); NULL: nothing is
 * known. */
const char *peer_refusal(const struct peer *peer);
/* enum close_reason of the switch's CLOSE or RECONNECT frame, 0 if none came. */
unsigned peer_close_reason(const struct peer *peer);
/* The server's static key as authenticated, NULL before. With XX, it is to be compared as soon as it is
 * there: the next peer_output tells the switch who the device is. */
const uint8_t *peer_server_key(const struct peer *peer);
bool peer_is_open(const struct peer *peer); /* WELCOME came */

/* Gathers a whole frame for the next record. 0 or -ENOMEM (too much gathered, too). Before WELCOME it
 * waits. */
int peer_put(struct peer *peer, const uint8_t *frame, size_t frame_bytes);
/* Room for `bytes` of a frame to be written in place, then peer_put_done(bytes). NULL: as -ENOMEM. */
uint8_t *peer_put_space(struct peer *peer, size_t bytes);
void peer_put_done(struct peer *peer, size_t bytes);
size_t peer_put_bytes(const struct peer *peer); /* gathered, not yet in peer_output */
/* What goes to the socket next, 0 bytes where there is nothing; valid until the next peer_* call. peer_sent
 * takes off what the socket took. There may be more after it: ask until it is 0 or the socket is full. */
size_t peer_output(struct peer *peer, const uint8_t **ret_bytes);
void peer_sent(struct peer *peer, size_t count);

#endif
