/* tools/client/state.h: what a device knows, on its disk: who it is, and the transactions that all records go
 * through. The outbox and its ticks are in state_outbox.h, what was received in state_inbox.h, questions to
 * the switch in state_request.h.
 *
 * Several processes may have one home folder open at once. Only one of them holds the connection (holder.h),
 * the others put into the state what they want sent and look there for what became of it.
 *
 * A transaction keeps its first error: what is done in it may go unchecked, the commit then fails with that
 * error and nothing of it is kept.
 *
 * Threads: one.
 * Memory: views are valid until the transaction ends or, in a write transaction, the next change. */
#ifndef TERN_TOOLS_CLIENT_STATE_H
#define TERN_TOOLS_CLIENT_STATE_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/frame.h"
#include "core/noise.h"
#include "tools/client/key.h"
#include "tools/client/uri.h"
#include "tools/client/vault.h"

#define STATE_BYTES_MAX                                                                                      \
    (UINT64_C(4) << 30) /* of the file; at the limit sending and receiving stop with -ENOSPC */
#define STATE_VALUE_BYTES_MAX (FRAME_BYTES_MAX + 8192) /* channels are the largest record */

struct state {
    struct vault *vault;
    int error; /* the first of this transaction */
    bool is_writing;
    uint8_t *value; /* STATE_VALUE_BYTES_MAX, where values are put together */
};

/* Opens the state in this folder, which exists. -EPROTO: a newer version of tern wrote it; -ENOKEY: it is
 * locked (relock.h). */
int state_open(const char *folder, struct state **ret_state);
/* A locked one, too; passphrase: NULL, or what opens it where it is locked. lock_open's errors besides:
 * -EKEYREJECTED where it is another. */
int state_open_with(const char *folder, const char *passphrase, struct state **ret_state);
/* The value of KEY_VERSION: 0; -EPROTO: a newer version of tern wrote it; -EUCLEAN. */
int state_check_layout(const uint8_t *value, size_t bytes);
void state_close(struct state *state);
bool state_is_locked(const struct state *state);   /* what is in it is sealed */
uint64_t state_version(const struct state *state); /* as disk_version */

int state_begin(struct state *state); /* to write */
int state_look(struct state *state);  /* to read only */
int state_commit(struct state *state);
void state_end(struct state *state); /* without keeping anything */

/* For the files of the state: the disk's functions, but an error other than -ENOENT stays with the
 * transaction. */
int state_note(struct state *state, int error);
static inline int state_damaged(struct state *state) { /* a record is not as it was written */
    state_note(state, -EUCLEAN);
    return -EUCLEAN;
}
int state_get(struct state *state, const struct key *key, struct disk_view *ret_value);
int state_put(struct state *state, const struct key *key, const void *value, size_t bytes);
int state_delete(struct state *state, const struct key *key);
/* The first record from `key` on that begins with the same `same` bytes. -ENOENT: there is none. */
int state_seek(struct state *state, const struct key *key, size_t same, struct disk_view *ret_key,
               struct disk_view *ret_value);
/* The last record below `key`, in the same way. */
int state_seek_before(struct state *state, const struct key *key, size_t same, struct disk_view *ret_key,
                      struct disk_view *ret_value);
/* For who reads without an end in one transaction: the views got since the mark are not looked at any
 * more. */
uint64_t state_mark(const struct state *state);
void state_release(struct state *state, uint64_t mark);
/* A counter of this file; 0 where it was never set. */
uint64_t state_counter(struct state *state, char letter);
void state_set_counter(struct state *state, char letter, uint64_t value);

/* --- who this device is --------------------------------------------------------------------------------- */

struct identity {
    bool is_linked; /* the switch has answered; before, the code is still needed */
    uint16_t device;
    uint16_t port;
    uint64_t account;
    uint64_t epoch;
    uint32_t payload_bytes_max; /* as the switch said last */
    uint8_t secret[NOISE_KEY_BYTES];
    uint8_t server_key[NOISE_KEY_BYTES];
    uint8_t code[FRAME_CODE_BYTES];
    char name[FRAME_NAME_BYTES_MAX + 1];
    char host[URI_HOST_BYTES_MAX + 1];
};

int state_identity(struct state *state, struct identity *ret_identity); /* -ENOENT: never linked */
int state_set_identity(struct state *state, const struct identity *identity);

/* --- names learnt; once its account was removed, a name may be another's: naming.h ---------------------- */

int state_learn_name(struct state *state, uint64_t account, const char *name, size_t bytes);
int state_find_account(struct state *state, const char *name, uint64_t *ret_account); /* -ENOENT */
/* The account is no more: whose the name is has to be asked again. What it sent still shows its name. */
int state_forget_account(struct state *state, uint64_t account);
/* The account that has the name, or had it before it was forgotten. -ENOENT: the name was never learnt. */
int state_find_holder(struct state *state, const char *name, uint64_t *ret_account);
int state_find_name(struct state *state, uint64_t account,
                    char ret_name[FRAME_NAME_BYTES_MAX + 1]); /* -ENOENT */

#endif
