/* The client's state, locked with a passphrase: what lies in the file, and what is read through it. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/client_rig.h"
#include "tools/client/holder.h"
#include "tools/client/relock.h"
#include "tools/client/state_inbox.h"
#include "tools/client/state_outbox.h"

TestSuite(vault, .timeout = 60);

#define WORDS "the words of a message that nobody else shall read"
#define MESSAGES 300

static const struct lock_cost cheap = {.passes = 1, .memory_bytes = 8192};
static struct client_rig rig;

static void close_rig(void) {
    engine_destroy(rig.engine);
    state_close(rig.state);
}

static void open_rig(const char *passphrase) {
    cr_assert_eq(state_open_with(rig.folder, passphrase, &rig.state), 0);
    cr_assert_eq(engine_create(rig.state, &rig.engine), 0);
}

static void begin(void) {
    client_rig_begin(&rig);
    for (int i = 0; i < MESSAGES; i++)
        client_rig_send(&rig, WORDS);
    close_rig();
}

static void end(void) {
    client_rig_end(&rig);
}

static void lock(const char *passphrase, const char *new_passphrase) {
    cr_assert_eq(relock(rig.folder, passphrase, new_passphrase, cheap), 0);
}

static bool is_in_file(const char *text) {
    char command[256];
    snprintf(command, sizeof(command), "grep -qaF '%s' %s/data.mdb", text, rig.folder);
    return system(command) == 0;
}

/* A number for all that the state holds, key by key. */
static uint64_t sum(struct vault *vault, size_t *ret_count) {
    struct key at = {0};
    struct disk_view key, value;
    uint64_t hash = 14695981039346656037u;
    *ret_count = 0;
    cr_assert_eq(vault_begin(vault, false), 0);
    while (vault_walk(vault, &at, &key, &value) == 0) {
        if (key.bytes == 1 && key.at[0] == KEY_LOCK)
            continue;
        for (size_t i = 0; i < key.bytes; i++)
            hash = (hash ^ key.at[i]) * 1099511628211u;
        for (size_t i = 0; i < value.bytes; i++)
            hash = (hash ^ value.at[i]) * 1099511628211u;
        ++*ret_count;
    }
    vault_abort(vault);
    return hash;
}

static uint64_t sum_of_state(const char *passphrase) {
    size_t count;
    open_rig(passphrase);
    uint64_t found = sum(rig.state->vault, &count);
    cr_assert_geq(count, 2 * MESSAGES);
    close_rig();
    return found;
}

Test(vault, what_is_locked_is_not_in_the_file_and_is_all_there, .init = begin, .fini = end) {
    uint64_t before = sum_of_state(NULL);
    cr_assert(is_in_file(WORDS));
    lock(NULL, "open");
    cr_assert_not(is_in_file(WORDS), "nor on pages that are not used any more");
    cr_assert_eq(sum_of_state("open"), before);
    lock("open", NULL);
    cr_assert(is_in_file(WORDS));
    cr_assert_eq(sum_of_state(NULL), before);
    open_rig(NULL);
}

Test(vault, a_locked_state_opens_with_its_passphrase_alone, .init = begin, .fini = end) {
    struct state *state = NULL;
    lock(NULL, "one");
    cr_assert_eq(state_open(rig.folder, &state), -ENOKEY);
    cr_assert_eq(state_open_with(rig.folder, "two", &state), -EKEYREJECTED);
    cr_assert_eq(relock(rig.folder, NULL, "two", cheap), -ENOKEY);
    cr_assert_eq(relock(rig.folder, "two", "three", cheap), -EKEYREJECTED);
    cr_assert_eq(relock(rig.folder, "one", "", cheap), -EINVAL);
    cr_assert_null(state);
    lock("one", "two");
    cr_assert_eq(state_open_with(rig.folder, "one", &state), -EKEYREJECTED);
    open_rig("two");
    cr_assert(state_is_locked(rig.state));
}

/* Who had the passphrase and a copy of the file learns nothing of what another passphrase locks. */
Test(vault, another_passphrase_means_another_key, .init = begin, .fini = end) {
    struct key key = key_of(KEY_LOCK);
    struct disk_view value;
    uint8_t first[LOCK_BYTES], keys[2][PRIMITIVE_KEY_BYTES];
    lock(NULL, "one");
    open_rig("one");
    cr_assert_eq(state_look(rig.state), 0);
    cr_assert_eq(state_get(rig.state, &key, &value), 0);
    memcpy(first, value.at, sizeof(first));
    state_end(rig.state);
    close_rig();
    lock("one", "two");
    open_rig("two");
    cr_assert_eq(state_look(rig.state), 0);
    cr_assert_eq(state_get(rig.state, &key, &value), 0);
    cr_assert_eq(lock_open("one", first, sizeof(first), keys[0]), 0);
    cr_assert_eq(lock_open("two", value.at, value.bytes, keys[1]), 0);
    cr_assert_neq(memcmp(keys[0], keys[1], sizeof(keys[0])), 0);
    state_end(rig.state);
}

Test(vault, a_value_opens_in_no_other_record, .init = begin, .fini = end) {
    struct disk *disk;
    struct disk_view value;
    struct outgoing message;
    uint8_t copy[512];
    struct key from = key_of(KEY_OUTBOX), to = from;
    key_add64(&from, RIG_OTHER);
    key_add64(&to, RIG_OTHER);
    key_add64(&from, 1);
    key_add64(&to, 2);
    lock(NULL, "open");
    cr_assert_eq(disk_open(rig.folder, STATE_BYTES_MAX, &disk), 0);
    cr_assert_eq(disk_begin(disk, true), 0);
    cr_assert_eq(disk_get(disk, key_view(&from), &value), 0);
    cr_assert_leq(value.bytes, sizeof(copy));
    memcpy(copy, value.at, value.bytes);
    cr_assert_eq(disk_put(disk, key_view(&to), (struct disk_view){.at = copy, .bytes = value.bytes}), 0);
    cr_assert_eq(disk_commit(disk), 0);
    disk_close(disk);
    open_rig("open");
    cr_assert_eq(state_look(rig.state), 0);
    cr_assert_eq(state_outbox_next(rig.state, RIG_OTHER, 1, &message), 0);
    cr_assert_eq(state_outbox_next(rig.state, RIG_OTHER, 2, &message), -EUCLEAN);
    state_end(rig.state);
}

/* As they do in a state that is not locked. Some have more than a heap of opened values has room for. */
Test(vault, views_stay_until_the_transaction_ends_or_they_are_released, .init = begin, .fini = end) {
    static uint8_t big[300000];
    struct disk_view views[64];
    lock(NULL, "open");
    open_rig("open");
    struct vault *vault = rig.state->vault;
    struct key key = key_of('~');
    key.used = 2;
    cr_assert_eq(vault_begin(vault, true), 0);
    for (int i = 0; i < 64; i++) {
        size_t bytes = i % 8 == 7 ? sizeof(big) : (size_t)i * 700;
        key.bytes[1] = (uint8_t)i;
        memset(big, i, bytes);
        cr_assert_eq(vault_put(vault, key_view(&key), (struct disk_view){.at = big, .bytes = bytes}), 0);
    }
    cr_assert_eq(vault_commit(vault), 0);
    cr_assert_eq(vault_begin(vault, false), 0);
    for (int i = 0; i < 64; i++) {
        key.bytes[1] = (uint8_t)i;
        cr_assert_eq(vault_get(vault, key_view(&key), &views[i]), 0);
    }
    for (int i = 0; i < 64; i++) {
        cr_assert_eq(views[i].bytes, i % 8 == 7 ? sizeof(big) : (size_t)i * 700);
        for (size_t at = 0; at < views[i].bytes; at++)
            cr_assert_eq(views[i].at[at], i);
    }
    vault_release(vault, 0);
    uint64_t mark = vault_mark(vault);
    struct disk_view kept, gone;
    key.bytes[1] = 3;
    cr_assert_eq(vault_get(vault, key_view(&key), &kept), 0);
    mark = vault_mark(vault);
    cr_assert_eq(mark, 2100);
    key.bytes[1] = 5;
    cr_assert_eq(vault_get(vault, key_view(&key), &gone), 0);
    const uint8_t *at = gone.at;
    cr_assert_eq(*at, 5);
    vault_release(vault, mark);
    cr_assert_eq(vault_mark(vault), mark);
    cr_assert_eq(*kept.at, 3);
    cr_assert_eq(*at, 0, "what was released is wiped");
    vault_abort(vault);
}

Test(vault, a_home_that_is_open_is_not_locked_anew, .init = begin, .fini = end) {
    int one = holder_share(rig.folder), other = holder_share(rig.folder);
    cr_assert(one >= 0 && other >= 0);
    cr_assert_eq(relock(rig.folder, NULL, "open", cheap), -EWOULDBLOCK);
    close(one);
    cr_assert_eq(relock(rig.folder, NULL, "open", cheap), -EWOULDBLOCK);
    close(other);
    lock(NULL, "open");
    open_rig("open");
}

/* As a kill may leave it: the new state is written, and has not taken its place. */
Test(vault, a_state_that_was_left_half_made_is_deleted, .init = begin, .fini = end) {
    struct remake remake;
    char path[128];
    struct stat status;
    struct key key = key_of(KEY_VERSION);
    cr_assert_eq(remake_begin(&remake, rig.folder), 0);
    cr_assert_eq(remake_put(&remake, key_view(&key), (struct disk_view){.at = key.bytes, .bytes = 4}), 0);
    cr_assert_eq(state_commit(remake.state), 0);
    state_close(remake.state);
    snprintf(path, sizeof(path), "%s/remake/data.mdb", rig.folder);
    cr_assert_eq(stat(path, &status), 0);
    cr_assert_eq(remake_clear(rig.folder), 0);
    cr_assert_neq(stat(path, &status), 0);
    lock(NULL, "open");
    open_rig("open");
}

Test(vault, a_state_that_others_may_read_is_refused, .init = begin, .fini = end) {
    struct state *state;
    char path[128];
    snprintf(path, sizeof(path), "%s/data.mdb", rig.folder);
    cr_assert_eq(chmod(path, 0640), 0);
    cr_assert_eq(state_open(rig.folder, &state), -EPERM);
    cr_assert_eq(chmod(path, 0602), 0);
    cr_assert_eq(state_open(rig.folder, &state), -EPERM);
    cr_assert_eq(chmod(path, 0600), 0);
    open_rig(NULL);
}
