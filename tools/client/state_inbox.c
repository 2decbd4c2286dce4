#include "tools/client/state_inbox.h"

#include <errno.h>

#include "core/mutant.h"
#include "tools/client/ranges.h"

#define NEWEST_LETTER 'n'
#define LISTENED_LETTER 'l'
#define RECEIVED_BYTES 48 /* of a record before its payload */
#define FLAG_SEALED 1     /* of a record */
#define FLAG_NOTICE 2
#define SET_BYTES 19 /* kind, sending account, device, epoch */
#define FILE_BYTES (17 + INBOX_FILE_TAIL_BYTES)

/* --- taking --------------------------------------------------------------------------------------------- */

/* Marks are only kept of messages to the own account, so the addressed account is not part of the set's
 * name. */
static struct key set_of(enum key_kind kind, const struct message_id *id) {
    struct key key = key_of(kind);
    key_add64(&key, id->from);
    key_add16(&key, id->from_device);
    key_add64(&key, id->epoch);
    return key;
}

static void add(struct state *state, enum key_kind kind, const struct message_id *id, uint64_t last) {
    struct key set = set_of(kind, id);
    state_note(state, ranges_add(state->vault, key_view(&set), id->number, last));
}

static void take_out(struct state *state, enum key_kind kind, const struct message_id *id, uint64_t last) {
    struct key set = set_of(kind, id);
    state_note(state, ranges_remove(state->vault, key_view(&set), id->number, last));
}

/* The first number taken of a key is kept with the highest: what is below it was never here. */
#define TAKEN_BYTES 16

struct taken {
    uint64_t highest, first; /* 0, 0: none; first is 0, too, where an older state did not keep it */
};

static struct key taken_key(const struct message_id *id) {
    struct key key = set_of(KEY_HIGHEST, id);
    key_add64(&key, id->to);
    return key;
}

static int read_taken(struct state *state, const struct message_id *id, struct taken *ret_taken) {
    struct key key = taken_key(id);
    struct disk_view value;
    *ret_taken = (struct taken){0};
    int error = state_get(state, &key, &value);
    if (error)
        return error == -ENOENT ? 0 : error;
    if (value.bytes != sizeof(uint64_t) && value.bytes != TAKEN_BYTES)
        return state_note(state, -EUCLEAN);
    ret_taken->highest = bytes_get64(value.at);
    if (value.bytes == TAKEN_BYTES)
        ret_taken->first = bytes_get64(value.at + 8);
    return 0;
}

/* Numbers that were not here when a higher one came: those of messages that failed, or that somebody held
 * back. Of a key, the last SKIPPED_NUMBERS are kept in mind, so that a sender who leaves out every other
 * number costs no more. */
#define SKIPPED_NUMBERS 1000

static struct key skipped_set(const struct message_id *id) {
    struct key key = taken_key(id);
    key.bytes[0] = KEY_SKIPPED;
    return key;
}

static void skip(struct state *state, const struct message_id *id, uint64_t first) {
    struct key set = skipped_set(id);
    uint64_t last = id->number - 1, oldest = last > SKIPPED_NUMBERS ? last - SKIPPED_NUMBERS + 1 : 1;
    state_note(state, ranges_add(state->vault, key_view(&set), first > oldest ? first : oldest, last));
    if (oldest > 1)
        state_note(state, ranges_remove(state->vault, key_view(&set), 1, oldest - 1));
}

static bool was_skipped(struct state *state, const struct message_id *id) {
    struct key set = skipped_set(id);
    uint64_t count = 0;
    state_note(state, ranges_count(state->vault, key_view(&set), id->number, id->number, &count));
    return count > 0;
}

/* True, and raised, where the number is above every one taken before. */
static bool raise_highest(struct state *state, const struct message_id *id, struct taken *ret_taken) {
    struct key key = taken_key(id);
    uint8_t value[TAKEN_BYTES];
    int error = read_taken(state, id, ret_taken);
    if (error || (ret_taken->highest && ret_taken->highest >= id->number + MUTANT(duplicate_forgotten)))
        return false;
    if (!ret_taken->highest)
        ret_taken->first = id->number;
    else if (id->number > ret_taken->highest + 1)
        skip(state, id, ret_taken->highest + 1);
    bytes_put64(value, id->number);
    bytes_put64(value + 8, ret_taken->first);
    return state_put(state, &key, value, sizeof(value)) == 0;
}

static struct key position_key(enum key_kind kind, uint64_t position) {
    struct key key = key_of(kind);
    key_add64(&key, position);
    return key;
}

static int put_record(struct state *state, const struct received *message) {
    uint64_t position = state_inbox_newest(state) + 1;
    struct key key = position_key(KEY_INBOX, position);
    uint8_t *at = state->value;
    bytes_put64(at, message->id.from);
    bytes_put64(at + 8, message->id.to);
    bytes_put64(at + 16, message->id.epoch);
    bytes_put64(at + 24, message->id.number);
    bytes_put64(at + 32, message->accepted_ms);
    bytes_put16(at + 40, message->id.from_device);
    bytes_put16(at + 42, message->content_type);
    bytes_put32(at + 44, (message->is_sealed ? FLAG_SEALED : 0) | (message->is_notice ? FLAG_NOTICE : 0));
    if (message->payload_bytes)
        memcpy(at + RECEIVED_BYTES, message->payload, message->payload_bytes);
    state_put(state, &key, at, RECEIVED_BYTES + message->payload_bytes);
    state_set_counter(state, NEWEST_LETTER, position);
    return state->error;
}

static bool has(struct state *state, enum key_kind kind, const struct message_id *id) {
    struct key set = set_of(kind, id);
    uint64_t count = 0;
    state_note(state, ranges_count(state->vault, key_view(&set), id->number, id->number, &count));
    return count > 0;
}

int state_inbox_judge(struct state *state, const struct message_id *id, uint64_t own_account,
                      enum inbox_take *ret_take) {
    struct taken taken;
    bool is_mine = id->to == own_account;
    bool is_fresh = raise_highest(state, id, &taken);
    bool is_passed = !is_fresh && (id->number < taken.first || (is_mine && has(state, KEY_UNOPENED, id)));
    bool is_behind = !is_fresh && !is_passed && was_skipped(state, id);
    if (is_mine && !is_passed &&
        !is_behind) /* of a duplicate, too: it is acknowledged again, and that may get lost again */
        add(state, KEY_DELIVERED, id, id->number);
    if (state->error)
        return state->error;
    *ret_take = is_fresh    ? INBOX_FRESH
                : is_passed ? INBOX_PASSED
                : is_behind ? INBOX_BEHIND
                            : INBOX_DUPLICATE;
    return 0;
}

int state_inbox_put(struct state *state, const struct received *message, uint64_t own_account) {
    if (message->id.to == own_account)
        add(state, KEY_UNREAD, &message->id, message->id.number);
    return put_record(state, message);
}

int state_inbox_take(struct state *state, const struct frame_message *message, uint64_t own_account,
                     enum inbox_take *ret_take) {
    struct received received = {
        .id = message->id,
        .accepted_ms = message->accepted_ms,
        .content_type = message->content_type,
        .payload = message->payload,
        .payload_bytes = message->payload_bytes,
    };
    enum inbox_take take;
    int error = state_inbox_judge(state, &message->id, own_account, &take);
    if (!error && take == INBOX_FRESH)
        error = state_inbox_put(state, &received, own_account);
    if (!error)
        *ret_take = take;
    return error;
}

int state_inbox_unopened(struct state *state, const struct message_id *id) {
    take_out(state, KEY_DELIVERED, id, id->number);
    add(state, KEY_UNOPENED, id, id->number);
    return state->error;
}

int state_inbox_behind_told(struct state *state, const struct message_id *id, uint64_t own_account) {
    struct key skipped = skipped_set(id);
    state_note(state, ranges_remove(state->vault, key_view(&skipped), id->number, id->number));
    if (id->to == own_account)
        add(state, KEY_UNOPENED, id, id->number);
    return state->error;
}

int state_inbox_notice(struct state *state, uint64_t account, uint16_t device, const char *sentence) {
    struct received notice = {
        .id = {.from = account, .from_device = device},
        .is_notice = true,
        .payload = (const uint8_t *)sentence,
        .payload_bytes = (uint32_t)strlen(sentence),
    };
    return put_record(state, &notice);
}

/* --- showing -------------------------------------------------------------------------------------------- */

int state_inbox_next(struct state *state, uint64_t position, struct received *ret_message) {
    struct key key = position_key(KEY_INBOX, position);
    struct disk_view at, value;
    int error = state_seek(state, &key, 1, &at, &value);
    if (error)
        return error;
    if (at.bytes != key.used || value.bytes < RECEIVED_BYTES)
        return state_damaged(state);
    *ret_message = (struct received){
        .position = bytes_get64_be(at.at + 1),
        .id = {.from = bytes_get64(value.at),
               .to = bytes_get64(value.at + 8),
               .epoch = bytes_get64(value.at + 16),
               .number = bytes_get64(value.at + 24),
               .from_device = bytes_get16(value.at + 40)},
        .accepted_ms = bytes_get64(value.at + 32),
        .is_sealed = bytes_get32(value.at + 44) & FLAG_SEALED,
        .is_notice = bytes_get32(value.at + 44) & FLAG_NOTICE,
        .content_type = bytes_get16(value.at + 42),
        .payload = value.at + RECEIVED_BYTES,
        .payload_bytes = (uint32_t)(value.bytes - RECEIVED_BYTES),
    };
    return 0;
}

uint64_t state_inbox_newest(struct state *state) {
    return state_counter(state, NEWEST_LETTER);
}

uint64_t state_inbox_listened(struct state *state) {
    return state_counter(state, LISTENED_LETTER);
}

/* Deletes from the oldest on, up to the first that somebody still has to see. */
static void prune(struct state *state) {
    uint64_t newest = state_inbox_newest(state), listened = state_inbox_listened(state);
    struct received oldest;
    while (state_inbox_next(state, 0, &oldest) == 0 && oldest.position + INBOX_KEPT <= newest) {
        bool is_chatted = state_inbox_is_chatted(state, oldest.position);
        if (oldest.position > listened && !is_chatted)
            return;
        struct key key = position_key(KEY_INBOX, oldest.position);
        if (state_delete(state, &key) != 0)
            return;
        key = position_key(KEY_CHATTED, oldest.position);
        if (is_chatted)
            state_delete(state, &key);
    }
}

int state_inbox_set_listened(struct state *state, uint64_t position) {
    state_set_counter(state, LISTENED_LETTER, position);
    prune(state);
    return state->error;
}

int state_inbox_set_chatted(struct state *state, uint64_t position) {
    struct key key = position_key(KEY_CHATTED, position);
    state_put(state, &key, "", 0);
    prune(state);
    return state->error;
}

bool state_inbox_is_chatted(struct state *state, uint64_t position) {
    struct key key = position_key(KEY_CHATTED, position);
    struct disk_view value;
    return state_get(state, &key, &value) == 0;
}

static struct key file_key(uint64_t device, uint64_t inode) {
    struct key key = key_of(KEY_FILE);
    key_add64(&key, device);
    key_add64(&key, inode);
    return key;
}

int state_inbox_file(struct state *state, uint64_t device, uint64_t inode, struct inbox_file *ret_file) {
    struct key key = file_key(device, inode);
    struct disk_view value;
    int error = state_get(state, &key, &value);
    if (error)
        return error;
    if (value.bytes == sizeof(uint64_t))
        return -ENOENT; /* a length alone, as it was kept once: not enough to know the file by */
    if (value.bytes != FILE_BYTES)
        return state_damaged(state);
    *ret_file = (struct inbox_file){
        .device = device,
        .inode = inode,
        .length = bytes_get64(value.at),
        .born_ns = bytes_get64(value.at + 8),
        .is_open = value.at[16],
    };
    memcpy(ret_file->tail, value.at + 17, sizeof(ret_file->tail));
    return 0;
}

int state_inbox_set_file(struct state *state, const struct inbox_file *file) {
    struct key key = file_key(file->device, file->inode);
    uint8_t value[FILE_BYTES];
    bytes_put64(value, file->length);
    bytes_put64(value + 8, file->born_ns);
    value[16] = file->is_open;
    memcpy(value + 17, file->tail, sizeof(file->tail));
    return state_put(state, &key, value, sizeof(value));
}

/* --- marks ---------------------------------------------------------------------------------------------- */

/* The first range of this kind from `at` on, whose sender is `from` (0: any). */
static int next_range(struct state *state, enum key_kind kind, uint64_t from, const struct message_id *at,
                      struct frame_range *ret_range) {
    struct message_id start = *at;
    if (start.from < from)
        start = (struct message_id){.from = from};
    struct key key = set_of(kind, &start);
    struct disk_view found, value;
    key_add64(&key, start.number);
    int error = state_seek(state, &key, from ? 1 + sizeof(from) : 1, &found, &value);
    if (error)
        return error;
    if (found.bytes != SET_BYTES + sizeof(uint64_t) || value.bytes != sizeof(uint64_t))
        return state_damaged(state);
    *ret_range = (struct frame_range){
        .id = {.from = bytes_get64_be(found.at + 1),
               .from_device = bytes_get16_be(found.at + 9),
               .epoch = bytes_get64_be(found.at + 11),
               .number = bytes_get64_be(found.at + SET_BYTES)},
        .last = bytes_get64(value.at),
    };
    return 0;
}

int state_inbox_unread(struct state *state, uint64_t from, uint64_t *ret_count) {
    struct message_id at = {0};
    struct frame_range range;
    uint64_t count = 0;
    while (next_range(state, KEY_UNREAD, from, &at, &range) == 0) {
        count += range.last - range.id.number + 1;
        at = range.id;
        at.number = range.last + 1;
    }
    if (state->error)
        return state->error;
    *ret_count = count;
    return 0;
}

int state_inbox_unread_account(struct state *state, uint64_t from, uint64_t *ret_account) {
    struct message_id at = {.from = from};
    struct frame_range range;
    int error = next_range(state, KEY_UNREAD, 0, &at, &range);
    if (!error)
        *ret_account = range.id.from;
    return error;
}

static void read_range(struct state *state, const struct frame_range *range) {
    take_out(state, KEY_UNREAD, &range->id, range->last);
    add(state, KEY_READ, &range->id, range->last);
    add(state, KEY_SHARE, &range->id, range->last);
}

int state_inbox_read_all(struct state *state, uint64_t from, uint64_t *ret_count) {
    struct message_id at = {0};
    struct frame_range range;
    uint64_t count = 0;
    while (next_range(state, KEY_UNREAD, from, &at, &range) == 0) {
        read_range(state, &range);
        if (state->error)
            return state->error;
        count += range.last - range.id.number + 1;
    }
    if (state->error)
        return state->error;
    *ret_count = count;
    return 0;
}

int state_inbox_read(struct state *state, const struct message_id *id) {
    struct frame_range range = {.id = *id, .last = id->number};
    if (has(state, KEY_UNREAD, id))
        read_range(state, &range);
    return state->error;
}

int state_inbox_mark(struct state *state, uint8_t flag, uint64_t from, const struct message_id *at,
                     struct frame_range *ret_range) {
    return next_range(state, flag == RECEIPT_READ ? KEY_READ : KEY_DELIVERED, from, at, ret_range);
}

int state_inbox_confirm(struct state *state, const struct frame_range *range, uint8_t flags) {
    if (flags & RECEIPT_DELIVERED)
        take_out(state, KEY_DELIVERED, &range->id, range->last);
    if (flags & RECEIPT_READ)
        take_out(state, KEY_READ, &range->id, range->last);
    return state->error;
}

int state_inbox_unshared(struct state *state, const struct message_id *at, struct frame_range *ret_range) {
    return next_range(state, KEY_SHARE, 0, at, ret_range);
}

int state_inbox_shared(struct state *state, const struct frame_range *range) {
    take_out(state, KEY_SHARE, &range->id, range->last);
    return state->error;
}

int state_inbox_read_elsewhere(struct state *state, const struct frame_range *range) {
    take_out(state, KEY_UNREAD, &range->id, range->last);
    return state->error;
}
