/* tools/client/content.h: what a message holds: the content type of its frame, and what is sealed in it.
 * docs/PROTOCOL.md, "What is in a sealed message".
 *
 * Threads: constants. */
#ifndef TERN_TOOLS_CLIENT_CONTENT_H
#define TERN_TOOLS_CLIENT_CONTENT_H

/* Content types of frames. */
enum content_type {
    CONTENT_TEXT = 0,    /* UTF-8, not encrypted */
    CONTENT_SEALED = 1,  /* a part for each device, sealed for it (tools/client/e2e/channel.h) */
    CONTENT_PAIRING = 2, /* what a new device says of itself to the one that lets it in */
};

/* A sealed text begins with a u16 of these, its inner type; its content follows. In the outbox a message of
 * CONTENT_SEALED has it so, not sealed. */
enum inner_type {
    INNER_TEXT = 0,    /* UTF-8 */
    INNER_NOTHING = 1, /* brings a channel over, nobody sees it */
    INNER_READ = 2,    /* to the own other devices: what was read on this one, rows of INNER_READ_ROW_BYTES */
    INNER_FILE = 3,    /* a part of a file */
};

#define INNER_TYPE_BYTES 2
#define INNER_READ_ROW_BYTES 40 /* u64 from, u64 epoch, u64 first, u64 last, u16 device, 6 zero bytes */

#endif
