/* tools/client/files.h: files as messages: cut into chunks that go out one behind the other, and put together
 * again in the state of the device that gets them, until somebody takes them out of it.
 *
 * All chunks of a file are put into the outbox in one transaction: from then on they are sent, and sent again
 * after a crash, as any message is. Those of one file come in their order; what misses one of them is
 * broken, and is never whole. A device that gets a copy of what another device of its account sent keeps the
 * name alone.
 *
 * A chunk is the content of INNER_FILE: 16 bytes that name the transfer, u64 size of the file, u64 offset of
 * the chunk, u16 bytes of the name, u16 zero, u32 bytes of the chunk; then the name, in the first chunk and
 * the last one, the chunk, and in the last one BLAKE2b-256 of the file.
 *
 * Threads: one.  Memory: views as in state.h. All in a transaction. */
#ifndef TERN_TOOLS_CLIENT_FILES_H
#define TERN_TOOLS_CLIENT_FILES_H

#include "tools/client/state_inbox.h"

#define FILES_BYTES_MAX (UINT64_C(64) << 20) /* of a file */
#define FILES_NAME_BYTES_MAX 255u
#define FILES_ID_BYTES 16
#define FILES_HASH_BYTES 32
#define FILES_HEADER_BYTES 40 /* of a chunk before its name */
#define FILES_BROKEN_MAX 16u  /* transfers of one account that are not whole; the oldest makes room */

/* --- sending -------------------------------------------------------------------------------------------- */

struct files_source {
    uint64_t to;
    uint64_t utc_ms;
    const char *name; /* without its folder */
    uint64_t size;
    bool is_strict; /* as in struct outgoing */
    /* Hands over the next `count` bytes of the file. 0, or negative errno. */
    int (*read)(void *context, uint8_t *bytes, size_t count);
    void *context;
};

/* Puts a file into the outbox, in chunks that fit into content_bytes_max (sealing_bytes_max). -EFBIG: larger
 * than FILES_BYTES_MAX; -EMSGSIZE: no chunk fits; -EINVAL: no such name; read's. After an error the
 * transaction can only be ended. *ret_first, *ret_last: the numbers of its messages. */
int files_add(struct state *state, const struct files_source *source, uint32_t content_bytes_max,
              uint64_t *ret_first, uint64_t *ret_last);

/* --- receiving ------------------------------------------------------------------------------------------ */

/* Takes a chunk, the payload of a message of INNER_FILE, in a write transaction. own_account: as in
 * state_inbox_take. Once a file is whole there is a message in the inbox, of INNER_FILE, with what
 * files_read_notice reads. -EBADMSG: it is malformed, and nothing was changed. */
int files_take(struct state *state, const struct received *message, uint64_t own_account);

struct transfer {
    uint64_t from;
    uint16_t from_device;
    uint8_t id[FILES_ID_BYTES];
    bool is_whole;
    bool is_broken;          /* a part of it did not come: it stays so */
    uint64_t begun_ms;       /* UTC, as the switch accepted it */
    uint64_t size, received; /* bytes */
    uint8_t hash[FILES_HASH_BYTES];
    char name[FILES_NAME_BYTES_MAX + 1]; /* as the sender says; "": not known */
};

/* The first transfer behind this one, which need not be there any more (all zero: of all). -ENOENT. */
int files_next(struct state *state, const struct transfer *after, struct transfer *ret_transfer);
/* The bytes of a transfer from an offset on where one of its chunks begins. -ENOENT. */
int files_chunk(struct state *state, const struct transfer *transfer, uint64_t offset,
                struct disk_view *ret_chunk);
/* It was taken, or nobody wants it. In a write transaction. */
int files_delete(struct state *state, const struct transfer *transfer);

/* What people see of a file: its name and size. Returns the bytes. */
#define FILES_TEXT_BYTES (FILES_NAME_BYTES_MAX + 40)
size_t files_describe(uint64_t size, const char *name, char ret_text[FILES_TEXT_BYTES]);
/* Whether a message in the inbox is about a whole file. */
bool files_is_notice(const struct received *message);
/* The message in the inbox about a whole file: -EBADMSG. */
int files_read_notice(const struct received *message, uint64_t *ret_size,
                      char ret_name[FILES_NAME_BYTES_MAX + 1]);

#endif
