/* tools/client/carry.h: the state of a device in a file, to be carried to another machine or kept as a
 * backup: encrypted with a passphrase, authenticated to its end.
 *
 * The file: "tern.exp", u16 version (1), u16 flags (1: the state was locked), u32 zero, the key of the file
 * locked with the passphrase (e2e/lock.h), and the header of libsodium's secretstream; then pieces of
 * CARRY_PIECE_BYTES and a last one that is shorter or as long, each sealed; the first has all before it as
 * associated data, the last the tag of the end. In the pieces, one behind the other, the records of the
 * state: u16 bytes of the key, u16 zero, u32 bytes of the value, key, value.
 *
 * What takes the file begins a new epoch: the state that it was taken from may have used numbers since.
 * Channels, and what was sealed with them, are not carried: two who go on with the same keys would give both
 * away. Messages without a sent tick count as failed: that other state may have sent them.
 *
 * Threads: one; takes a second or so for the passphrase.  Memory: two pieces and a record. */
#ifndef TERN_TOOLS_CLIENT_CARRY_H
#define TERN_TOOLS_CLIENT_CARRY_H

#include "tools/client/e2e/lock.h"
#include "tools/client/state.h"

#define CARRY_PIECE_BYTES (64u << 10) /* before it is sealed */

/* Writes the state into an empty file that is open for writing (whole.h). Negative errno: of the file, of the
 * disk, or lock_key's. */
int carry_out(struct state *state, const char *passphrase, struct lock_cost cost, int file);

struct carried {
    uint64_t failed; /* messages that had no sent tick */
    bool is_locked;
};

/* Makes a state of the file in a home that has none. Where the state was locked, the new one is, with the
 * passphrase of the file. However it ends, and whatever is killed when, there is all of it or none; of one
 * that fails nothing stays in the home. -EEXIST:
 * the home has a state; -EWOULDBLOCK: another program is making one; -ENOMSG: not such a file; -EPROTO: a
 * newer version wrote it; -EKEYREJECTED: another passphrase; -EBADMSG: it was changed, or its end is missing;
 * those of the file and the disk. */
int carry_in(const char *home, const char *passphrase, struct lock_cost cost, int file,
             struct carried *ret_carried);

#endif
