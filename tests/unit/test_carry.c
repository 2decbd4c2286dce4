/* A device's state, exported and imported: what is carried, what is not, and files that are not whole. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/client_rig.h"
#include "tools/client/carry.h"
#include "tools/client/holder.h"
#include "tools/client/relock.h"

TestSuite(carry, .timeout = 120);

#define WORDS "the words of a message that nobody else shall read"
#define MESSAGES 990
#define NAME "eve"

static const struct lock_cost cheap = {.passes = 1, .memory_bytes = 8192};
static struct client_rig rig;
static char home[96], path[96];

static void begin(void) {
    struct inbox_file file = {.device = 1, .inode = 2, .length = 3};
    client_rig_begin(&rig);
    snprintf(home, sizeof(home), "%s/home", rig.folder);
    snprintf(path, sizeof(path), "%s/export", rig.folder);
    cr_assert_eq(mkdir(home, 0700), 0);
    for (int i = 0; i < MESSAGES; i++)
        client_rig_send(&rig, WORDS);
    uint32_t left;
    cr_assert_eq(state_begin(rig.state), 0);
    state_learn_name(rig.state, RIG_OTHER, NAME, strlen(NAME));
    state_outbox_tick(rig.state, RIG_OTHER, 1, MESSAGES - 2, RECEIPT_SENT | RECEIPT_DELIVERED, 0, &left);
    state_inbox_set_file(rig.state, &file);
    cr_assert_eq(state_commit(rig.state), 0);
}

static void end(void) {
    client_rig_end(&rig);
}

static void carry_it_out(const char *passphrase) {
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    cr_assert_eq(carry_out(rig.state, passphrase, cheap, file), 0);
    close(file);
}

static int carry_it_in(const char *passphrase, struct carried *ret_carried) {
    int file = open(path, O_RDONLY);
    int error = carry_in(home, passphrase, cheap, file, ret_carried);
    close(file);
    return error;
}

static void expect_empty_home(void) {
    cr_assert_eq(rmdir(home), 0, "nothing is left behind");
    cr_assert_eq(mkdir(home, 0700), 0);
}

static void expect_all_of_it(struct state *state) {
    struct identity identity, before;
    struct outgoing message;
    struct inbox_file file;
    uint64_t position = 0, account, count = 0;
    uint8_t flags;
    uint16_t reason;
    cr_assert_eq(state_look(rig.state), 0);
    cr_assert_eq(state_identity(rig.state, &before), 0);
    state_end(rig.state);
    cr_assert_eq(state_look(state), 0);
    cr_assert_eq(state_identity(state, &identity), 0);
    cr_assert_neq(identity.epoch, before.epoch, "numbers of the other copy are not these");
    cr_assert_neq(identity.epoch, 0);
    identity.epoch = before.epoch;
    cr_assert_eq(memcmp(&identity, &before, sizeof(identity)), 0);
    cr_assert_eq(state_find_account(state, NAME, &account), 0);
    cr_assert_eq(account, RIG_OTHER);
    for (; state_outbox_history(state, position, &position, &message) == 0; position++, count++) {
        cr_assert_eq(message.payload_bytes, strlen(WORDS));
        cr_assert_eq(state_outbox_ticks(state, message.to, message.number, &flags, &reason), 0);
        bool is_ticked = message.number <= MESSAGES - 2;
        cr_assert_eq(flags, is_ticked ? RECEIPT_SENT | RECEIPT_DELIVERED : RECEIPT_FAILED);
        cr_assert_eq(reason, is_ticked ? 0 : OUTBOX_CARRIED);
    }
    cr_assert_eq(count, MESSAGES);
    cr_assert_eq(state_outbox_count(state), 0);
    cr_assert_eq(state_outbox_bytes(state), 0);
    cr_assert_eq(state_outbox_next_account(state, 0, &account), -ENOENT, "nothing is sent a second time");
    cr_assert_eq(state_inbox_file(state, 1, 2, &file), -ENOENT, "a file of another machine");
    state_end(state);
}

Test(carry, everything_arrives_but_what_would_be_used_twice, .init = begin, .fini = end) {
    struct carried carried;
    struct state *state;
    struct outgoing message = {.to = RIG_OTHER, .payload = (const uint8_t *)"", .payload_bytes = 0};
    uint64_t number;
    carry_it_out("open");
    cr_assert_eq(carry_it_in("open", &carried), 0);
    cr_assert_eq(carried.failed, 2);
    cr_assert_not(carried.is_locked);
    cr_assert_eq(state_open(home, &state), 0);
    expect_all_of_it(state);
    cr_assert_eq(state_begin(state), 0);
    cr_assert_eq(state_outbox_add(state, &message, &number), 0);
    cr_assert_eq(number, MESSAGES + 1);
    cr_assert_eq(state_commit(state), 0);
    state_close(state);
    cr_assert_eq(carry_it_in("open", &carried), -EEXIST, "a home that is one already");
}

Test(carry, what_was_locked_is_locked_again, .init = begin, .fini = end) {
    struct carried carried;
    struct state *state;
    char command[256];
    engine_destroy(rig.engine);
    state_close(rig.state);
    cr_assert_eq(relock(rig.folder, NULL, "of the home", cheap), 0);
    cr_assert_eq(state_open_with(rig.folder, "of the home", &rig.state), 0);
    cr_assert_eq(engine_create(rig.state, &rig.engine), 0);
    carry_it_out("of the file");
    snprintf(command, sizeof(command), "grep -qaF '%s' %s", WORDS, path);
    cr_assert_neq(system(command), 0);
    cr_assert_eq(carry_it_in("of the home", &carried), -EKEYREJECTED);
    expect_empty_home();
    cr_assert_eq(carry_it_in("of the file", &carried), 0);
    cr_assert(carried.is_locked);
    cr_assert_eq(state_open(home, &state), -ENOKEY);
    cr_assert_eq(state_open_with(home, "of the file", &state), 0);
    expect_all_of_it(state);
    state_close(state);
}

Test(carry, a_file_that_is_not_whole_is_refused, .init = begin, .fini = end) {
    struct carried carried;
    struct stat status;
    carry_it_out("open");
    cr_assert_eq(stat(path, &status), 0);
    cr_assert_gt(status.st_size, (off_t)CARRY_PIECE_BYTES * 5 / 4);
    srandom(3);
    for (off_t length = 0; length < status.st_size; length += 1 + random() % 4000) {
        off_t piece = CARRY_PIECE_BYTES + 17, header = 144;
        if (length > header && length < status.st_size - 5000 && random() % 4 == 0)
            length += (piece - (length - header) % piece) % piece; /* where a piece may end */
        if (length >= status.st_size)
            break;
        carry_it_out("open");
        cr_assert_eq(truncate(path, length), 0);
        int error = carry_it_in("open", &carried);
        cr_assert(error == -EBADMSG || (error == -ENOMSG && length < header), "%ld: %d", (long)length, error);
        expect_empty_home();
    }
    carry_it_out("open");
    cr_assert_eq(truncate(path, status.st_size + 1), 0);
    cr_assert_eq(carry_it_in("open", &carried), -EBADMSG, "a byte behind its end");
    expect_empty_home();
}

Test(carry, a_file_that_was_changed_is_refused, .init = begin, .fini = end) {
    struct carried carried;
    struct stat status;
    carry_it_out("open");
    cr_assert_eq(stat(path, &status), 0);
    srandom(4);
    int file = open(path, O_RDWR);
    for (off_t at = 0; at < status.st_size; at += at < 200 ? 1 : 1 + random() % 3000) {
        uint8_t byte, changed;
        cr_assert_eq(pread(file, &byte, 1, at), 1);
        changed = byte ^ (uint8_t)(1u << random() % 8);
        cr_assert_eq(pwrite(file, &changed, 1, at), 1);
        int error = carry_it_in("open", &carried);
        cr_assert_lt(error, 0, "byte %ld", (long)at);
        expect_empty_home();
        cr_assert_eq(pwrite(file, &byte, 1, at), 1);
    }
    close(file);
    cr_assert_eq(carry_it_in("open", &carried), 0);
}

Test(carry, other_files_are_told_apart, .init = begin, .fini = end) {
    struct carried carried;
    carry_it_out("open");
    int file = open(path, O_RDWR);
    cr_assert_eq(pwrite(file, "\2", 1, 8), 1);
    cr_assert_eq(carry_it_in("open", &carried), -EPROTO);
    cr_assert_eq(pwrite(file, "\1", 1, 8), 1);
    int alone = holder_alone(home);
    cr_assert_eq(carry_it_in("open", &carried), -EWOULDBLOCK);
    close(alone);
    cr_assert_eq(carry_it_in("close", &carried), -EKEYREJECTED);
    cr_assert_eq(ftruncate(file, 0), 0);
    cr_assert_eq(carry_it_in("open", &carried), -ENOMSG);
    close(file);
    expect_empty_home();
}
