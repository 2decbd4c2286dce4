#include "tools/client/carry.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>

#include "tools/client/holder.h"
#include "tools/client/relock.h"
#include "tools/client/remake.h"
#include "tools/client/sealing.h"
#include "tools/client/whole.h"

#define VERSION 1
#define FLAG_LOCKED 1
#define STREAM_BYTES crypto_secretstream_xchacha20poly1305_HEADERBYTES
#define EXTRA_BYTES crypto_secretstream_xchacha20poly1305_ABYTES
#define SEALED_BYTES (CARRY_PIECE_BYTES + EXTRA_BYTES)
#define RECORD_BYTES 8                      /* of a record before its key */
#define VALUE_BYTES_MAX (UINT32_C(1) << 20) /* more than any has */

static const uint8_t magic[8] = {'t', 'e', 'r', 'n', '.', 'e', 'x', 'p'};

/* Offsets of the header. */
enum {
    HEADER_VERSION = 8,
    HEADER_FLAGS = 10,
    HEADER_LOCK = 16,
    HEADER_STREAM = HEADER_LOCK + LOCK_BYTES,
    HEADER_BYTES = HEADER_STREAM + STREAM_BYTES,
};

struct carrier {
    int file;
    bool is_first;   /* no piece was sealed or opened yet */
    bool is_ended;   /* the last one was */
    size_t used, at; /* of the piece */
    uint8_t header[HEADER_BYTES];
    uint8_t piece[CARRY_PIECE_BYTES];
    uint8_t sealed[SEALED_BYTES];
    crypto_secretstream_xchacha20poly1305_state stream;
    uint8_t *value;
};

/* Not carried: what belongs to this machine or to the channels of this epoch. */
static bool stays_here(enum key_kind kind) {
    return kind == KEY_LOCK || kind == KEY_FILE || kind == KEY_CHANNELS || kind == KEY_SEALED ||
           kind == KEY_HEALING || kind == KEY_PAIRING;
}

static struct carrier *carrier_create(int file) {
    struct carrier *carrier = calloc(1, sizeof(*carrier));
    if (!carrier)
        return NULL;
    carrier->file = file;
    carrier->is_first = true;
    return carrier;
}

static void carrier_destroy(struct carrier *carrier) {
    if (carrier->value)
        primitive_wipe(carrier->value, VALUE_BYTES_MAX);
    free(carrier->value);
    primitive_wipe(carrier, sizeof(*carrier));
    free(carrier);
}

/* --- out ------------------------------------------------------------------------------------------------ */

static int write_header(struct carrier *carrier, const char *passphrase, struct lock_cost cost,
                        bool is_locked) {
    uint8_t key[PRIMITIVE_KEY_BYTES], *header = carrier->header;
    struct lock_fresh fresh;
    memcpy(header, magic, sizeof(magic));
    bytes_put16(header + HEADER_VERSION, VERSION);
    bytes_put16(header + HEADER_FLAGS, is_locked ? FLAG_LOCKED : 0);
    randombytes_buf(key, sizeof(key));
    randombytes_buf(&fresh, sizeof(fresh));
    int error = lock_key(passphrase, cost, &fresh, key, header + HEADER_LOCK);
    if (!error) {
        crypto_secretstream_xchacha20poly1305_init_push(&carrier->stream, header + HEADER_STREAM, key);
        error = whole_write(carrier->file, header, HEADER_BYTES);
    }
    primitive_wipe(key, sizeof(key));
    return error;
}

static int write_piece(struct carrier *carrier, bool is_last) {
    uint8_t tag = is_last ? crypto_secretstream_xchacha20poly1305_TAG_FINAL
                          : crypto_secretstream_xchacha20poly1305_TAG_MESSAGE;
    crypto_secretstream_xchacha20poly1305_push(&carrier->stream, carrier->sealed, NULL, carrier->piece,
                                               carrier->used, carrier->is_first ? carrier->header : NULL,
                                               carrier->is_first ? HEADER_BYTES : 0, tag);
    carrier->is_first = false;
    int error = whole_write(carrier->file, carrier->sealed, carrier->used + EXTRA_BYTES);
    carrier->used = 0;
    return error;
}

static int add(struct carrier *carrier, const uint8_t *bytes, size_t count) {
    while (count) {
        if (carrier->used == CARRY_PIECE_BYTES) {
            int error = write_piece(carrier, false);
            if (error)
                return error;
        }
        size_t room = CARRY_PIECE_BYTES - carrier->used, part = count < room ? count : room;
        memcpy(carrier->piece + carrier->used, bytes, part);
        carrier->used += part;
        bytes += part;
        count -= part;
    }
    return 0;
}

static int add_record(struct carrier *carrier, struct disk_view key, struct disk_view value) {
    uint8_t start[RECORD_BYTES] = {0};
    if (value.bytes > VALUE_BYTES_MAX)
        return -EUCLEAN;
    bytes_put16(start, (uint16_t)key.bytes);
    bytes_put32(start + 4, (uint32_t)value.bytes);
    int error = add(carrier, start, sizeof(start));
    if (!error)
        error = add(carrier, key.at, key.bytes);
    return error ? error : add(carrier, value.at, value.bytes);
}

/* In a read transaction: all of it is of one moment. */
static int add_records(struct carrier *carrier, struct state *state) {
    struct key at = {0};
    struct disk_view key, value;
    int error = state_look(state);
    if (error)
        return error;
    while (!error && (error = vault_walk(state->vault, &at, &key, &value)) == 0) {
        if (!stays_here((enum key_kind)key.at[0]))
            error = add_record(carrier, key, value);
        state_release(state, 0);
    }
    state_end(state);
    return error == -ENOENT ? 0 : error;
}

int carry_out(struct state *state, const char *passphrase, struct lock_cost cost, int file) {
    struct carrier *carrier = carrier_create(file);
    if (!carrier)
        return -ENOMEM;
    int error = write_header(carrier, passphrase, cost, state_is_locked(state));
    if (!error)
        error = add_records(carrier, state);
    if (!error)
        error = write_piece(carrier, true);
    carrier_destroy(carrier);
    return error;
}

/* --- in ------------------------------------------------------------------------------------------------- */

/* How many there were until the file's end, or negative errno. */
static ssize_t read_all(int file, uint8_t *bytes, size_t count) {
    size_t at = 0;
    while (at < count) {
        ssize_t got = read(file, bytes + at, count - at);
        if (got < 0 && errno != EINTR)
            return -errno;
        if (got == 0)
            break;
        at += got > 0 ? (size_t)got : 0;
    }
    return (ssize_t)at;
}

static int read_header(struct carrier *carrier, const char *passphrase) {
    uint8_t key[PRIMITIVE_KEY_BYTES], *header = carrier->header;
    ssize_t got = read_all(carrier->file, header, HEADER_BYTES);
    if (got < 0)
        return (int)got;
    if ((size_t)got < HEADER_LOCK || memcmp(header, magic, sizeof(magic)) != 0)
        return -ENOMSG;
    if (bytes_get16(header + HEADER_VERSION) > VERSION)
        return -EPROTO;
    if (got < HEADER_BYTES)
        return -EBADMSG;
    int error = lock_open(passphrase, header + HEADER_LOCK, LOCK_BYTES, key);
    if (!error &&
        crypto_secretstream_xchacha20poly1305_init_pull(&carrier->stream, header + HEADER_STREAM, key) != 0)
        error = -EBADMSG;
    primitive_wipe(key, sizeof(key));
    return error == -EUCLEAN ? -EBADMSG : error;
}

static int read_piece(struct carrier *carrier) {
    unsigned long long bytes = 0;
    uint8_t tag = 0;
    if (carrier->is_ended)
        return -EBADMSG;
    ssize_t got = read_all(carrier->file, carrier->sealed, SEALED_BYTES);
    if (got < 0)
        return (int)got;
    if ((size_t)got < EXTRA_BYTES ||
        crypto_secretstream_xchacha20poly1305_pull(
            &carrier->stream, carrier->piece, &bytes, &tag, carrier->sealed, (unsigned long long)got,
            carrier->is_first ? carrier->header : NULL, carrier->is_first ? HEADER_BYTES : 0) != 0)
        return -EBADMSG;
    carrier->is_first = false;
    carrier->is_ended = tag == crypto_secretstream_xchacha20poly1305_TAG_FINAL;
    carrier->used = (size_t)bytes;
    carrier->at = 0;
    return 0;
}

/* 1: there is no more. */
static int is_at_end(struct carrier *carrier) {
    while (carrier->at == carrier->used) {
        if (carrier->is_ended)
            return 1;
        int error = read_piece(carrier);
        if (error)
            return error;
    }
    return 0;
}

static int take(struct carrier *carrier, uint8_t *bytes, size_t count) {
    while (count) {
        int error = is_at_end(carrier);
        if (error)
            return error > 0 ? -EBADMSG : error;
        size_t left = carrier->used - carrier->at, part = count < left ? count : left;
        memcpy(bytes, carrier->piece + carrier->at, part);
        carrier->at += part;
        bytes += part;
        count -= part;
    }
    return 0;
}

static int take_record(struct carrier *carrier, struct key *key, uint32_t *ret_value_bytes) {
    uint8_t start[RECORD_BYTES];
    int error = take(carrier, start, sizeof(start));
    if (error)
        return error;
    size_t key_bytes = bytes_get16(start);
    uint32_t value_bytes = bytes_get32(start + 4);
    if (key_bytes == 0 || key_bytes >= sizeof(key->bytes) || value_bytes > VALUE_BYTES_MAX)
        return -EBADMSG;
    key->used = key_bytes;
    error = take(carrier, key->bytes, key_bytes);
    if (!error)
        error = take(carrier, carrier->value, value_bytes);
    if (!error)
        *ret_value_bytes = value_bytes;
    return error;
}

static int take_records(struct carrier *carrier, struct remake *remake) {
    struct key key;
    uint32_t value_bytes = 0;
    uint8_t byte;
    int error = 0;
    while (!error && (error = is_at_end(carrier)) == 0) {
        error = take_record(carrier, &key, &value_bytes);
        if (error || stays_here((enum key_kind)key.bytes[0]))
            continue;
        if (key.bytes[0] == KEY_VERSION)
            error = state_check_layout(carrier->value, value_bytes);
        if (!error)
            error = remake_put(remake, key_view(&key),
                               (struct disk_view){.at = carrier->value, .bytes = value_bytes});
    }
    if (error < 0)
        return error;
    ssize_t more = read_all(carrier->file, &byte, 1);
    return more < 0 ? (int)more : more > 0 ? -EBADMSG : 0;
}

/* Nothing waits to be sent any more. */
static int fail_outbox(struct state *state, uint64_t *ret_failed) {
    struct outgoing message;
    uint64_t to = 0, count = 0;
    uint32_t left;
    while (state_outbox_next_account(state, to, &to) == 0 && state_outbox_next(state, to, 0, &message) == 0) {
        count++;
        if (state_outbox_refused(state, to, message.number, OUTBOX_CARRIED, 0, &left) != 0)
            break;
    }
    if (state->error)
        return state->error;
    *ret_failed = count;
    return 0;
}

/* Others still seal for the channels that were left behind: each hears of a new one. The own other devices
 * get copies, and so new channels, too. */
static int greet(struct state *state, uint64_t own_account) {
    struct key key = key_of(KEY_CONTACT);
    struct outgoing nothing = {0};
    struct disk_view at, value;
    uint64_t number;
    while (state_seek(state, &key, 1, &at, &value) == 0) {
        if (at.bytes != 1 + sizeof(uint64_t))
            return state_damaged(state);
        nothing.to = bytes_get64_be(at.at + 1);
        key.used = 0;
        key_add(&key, at.at, at.bytes);
        key_add(&key, "", 1); /* comes right behind it */
        if (nothing.to != own_account && sealing_add(state, &nothing, INNER_NOTHING, &number) != 0)
            break;
    }
    return state->error;
}

static int begin_epoch(struct state *state, uint64_t *ret_account) {
    struct identity identity;
    int error = state_identity(state, &identity);
    if (error)
        return error == -ENOENT ? -EBADMSG : error;
    uint64_t before = identity.epoch;
    while (identity.epoch == before || identity.epoch == 0)
        randombytes_buf(&identity.epoch, sizeof(identity.epoch));
    error = state_set_identity(state, &identity);
    *ret_account = identity.account;
    sodium_memzero(&identity, sizeof(identity));
    return error;
}

static int make(struct carrier *carrier, const char *home, const char *passphrase, struct lock_cost cost,
                struct carried *ret_carried) {
    struct carried carried = {.is_locked = bytes_get16(carrier->header + HEADER_FLAGS) & FLAG_LOCKED};
    struct remake remake;
    uint64_t account = 0;
    int error = remake_begin(&remake, home);
    if (error)
        return error;
    if (carried.is_locked)
        error = relock_begin(&remake, passphrase, cost);
    if (!error)
        error = take_records(carrier, &remake);
    if (!error)
        error = begin_epoch(remake.state, &account);
    if (!error)
        error = fail_outbox(remake.state, &carried.failed);
    if (!error)
        error = greet(remake.state, account);
    if (error) {
        remake_abort(&remake);
        return error;
    }
    error = remake_finish(&remake);
    if (!error)
        *ret_carried = carried;
    return error;
}

int carry_in(const char *home, const char *passphrase, struct lock_cost cost, int file,
             struct carried *ret_carried) {
    struct carrier *carrier = carrier_create(file);
    if (!carrier)
        return -ENOMEM;
    int error = -ENOMEM, alone = -1;
    carrier->value = malloc(VALUE_BYTES_MAX);
    if (carrier->value)
        error = alone = holder_alone(home);
    if (alone >= 0)
        error = disk_is_there(home) ? -EEXIST : read_header(carrier, passphrase);
    if (!error)
        error = make(carrier, home, passphrase, cost, ret_carried);
    if (alone >= 0 && disk_is_there(home))
        close(alone);
    else if (alone >= 0)
        holder_leave(home, alone);
    carrier_destroy(carrier);
    return error;
}
