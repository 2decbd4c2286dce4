/* The file of `listen --output`: what a killed listener left behind is cut off, and nothing else ever is. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/client_rig.h"
#include "tools/tern/file.h"

static struct client_rig rig;
static char path[96];

static void begin(void) {
    client_rig_begin(&rig);
    snprintf(path, sizeof(path), "%s/log", rig.folder);
}

static void end(void) {
    client_rig_end(&rig);
}

TestSuite(listen_file, .init = begin, .fini = end, .timeout = 60);

/* A listener that takes one message; `ends`: it is not killed. */
static void listen_once(const char *text, bool ends) {
    struct file file;
    cr_assert_eq(file_open(&file, path, rig.state), 0);
    cr_assert_eq(state_begin(rig.state), 0);
    cr_assert_eq(file_append(&file, (const uint8_t *)text, strlen(text)), 0);
    cr_assert_eq(file_sync(&file), 0);
    cr_assert_eq(file_note(&file, rig.state), 0);
    cr_assert_eq(state_commit(rig.state), 0);
    if (ends)
        cr_assert_eq(file_end(&file, rig.state), 0);
    file_close(&file);
}

static void write_text(int flags, const char *text) {
    int fd = open(path, O_WRONLY | flags);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void check_text(const char *text) {
    char found[256] = "";
    int fd = open(path, O_RDONLY);
    cr_assert_geq(read(fd, found, sizeof(found) - 1), 0);
    close(fd);
    cr_assert_str_eq(found, text);
}

Test(listen_file, what_a_killed_listener_left_is_cut_off) {
    listen_once("one", false);
    write_text(O_APPEND, "tor");
    listen_once("two", false);
    check_text("one\ntwo\n");
}

Test(listen_file, what_was_appended_after_a_listener_ended_stays) {
    listen_once("one", true);
    write_text(O_APPEND, "a note\n");
    listen_once("two", true);
    check_text("one\na note\ntwo\n");
}

Test(listen_file, other_bytes_in_the_same_inode_are_another_file) {
    listen_once("one", false);
    write_text(O_TRUNC, "a diary of many lines\n");
    listen_once("two", false);
    check_text("a diary of many lines\ntwo\n");
}

Test(listen_file, same_bytes_of_another_birth_are_another_file) {
    struct file file;
    listen_once("one", false);
    write_text(O_APPEND, "more\n");
    cr_assert_eq(file_open(&file, path, rig.state), 0);
    struct inbox_file known = file.known; /* as it is known now, but born at another time */
    write_text(O_APPEND, "more\n");
    known.born_ns++;
    cr_assert_eq(state_begin(rig.state), 0);
    state_inbox_set_file(rig.state, &known);
    cr_assert_eq(state_commit(rig.state), 0);
    file_close(&file);
    listen_once("two", false);
    check_text("one\nmore\ntwo\n");
}

Test(listen_file, file_emptied_while_a_listener_runs_has_no_hole) {
    struct file file;
    cr_assert_eq(file_open(&file, path, rig.state), 0);
    cr_assert_eq(file_append(&file, (const uint8_t *)"one", 3), 0);
    cr_assert_eq(file_sync(&file), 0);
    write_text(O_TRUNC, "");
    cr_assert_eq(file_append(&file, (const uint8_t *)"two", 3), 0);
    cr_assert_eq(file_sync(&file), 0);
    cr_assert_eq(file.length, 4);
    file_close(&file);
    check_text("two\n");
}
