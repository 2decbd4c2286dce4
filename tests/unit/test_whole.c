/* Files that are there whole or not at all. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/client/whole.h"

TestSuite(whole, .timeout = 30);

#define MODE 0600

static char folder[32], path[64], part[80];

static void begin(void) {
    strcpy(folder, "/tmp/tern-whole-XXXXXX");
    cr_assert(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/file", folder);
    snprintf(part, sizeof(part), "%s.part", path);
}

/* Nothing else is left there. */
static void end(void) {
    unlink(path);
    cr_assert_eq(rmdir(folder), 0);
}

static void write_file(const char *name, const char *text) {
    int file = open(name, O_WRONLY | O_CREAT | O_EXCL, 0644);
    cr_assert_eq(whole_write(file, text, strlen(text)), 0);
    close(file);
}

static const char *read_file(void) {
    static char text[64];
    int file = open(path, O_RDONLY);
    if (file < 0)
        return NULL;
    ssize_t got = read(file, text, sizeof(text) - 1);
    close(file);
    cr_assert_geq(got, 0);
    text[got] = 0;
    return text;
}

Test(whole, what_was_written_has_its_name_when_it_is_finished, .init = begin, .fini = end) {
    struct whole whole;
    struct stat status;
    cr_assert_eq(whole_begin(&whole, path, MODE), 0);
    cr_assert_eq(whole_write(whole.file, "all of it", 9), 0);
    cr_assert_null(read_file());
    cr_assert_eq(whole_finish(&whole), 0);
    cr_assert_str_eq(read_file(), "all of it");
    cr_assert_eq(stat(path, &status), 0);
    cr_assert_eq(status.st_mode & 0777, MODE);
}

Test(whole, what_was_given_up_is_not_there, .init = begin, .fini = end) {
    struct whole whole;
    cr_assert_eq(whole_begin(&whole, path, MODE), 0);
    whole_abort(&whole);
    cr_assert_null(read_file());
}

Test(whole, a_file_that_is_there_stays, .init = begin, .fini = end) {
    struct whole whole;
    cr_assert_eq(whole_begin(&whole, path, MODE), 0);
    write_file(path, "came meanwhile");
    cr_assert_eq(whole_finish(&whole), -EEXIST);
    cr_assert_str_eq(read_file(), "came meanwhile");
    cr_assert_eq(whole_begin(&whole, path, MODE), -EEXIST);
}

Test(whole, what_a_killed_writer_left_behind_goes, .init = begin, .fini = end) {
    struct whole whole;
    struct stat status;
    write_file(part, "half of another one");
    cr_assert_eq(whole_begin(&whole, path, MODE), 0);
    cr_assert_eq(fstat(whole.file, &status), 0);
    cr_assert_eq(status.st_size, 0);
    cr_assert_eq(status.st_mode & 0777, MODE, "not that of what was there");
    cr_assert_eq(whole_finish(&whole), 0);
    cr_assert_str_eq(read_file(), "");
}

Test(whole, two_do_not_write_one_file, .init = begin, .fini = end) {
    struct whole whole, other;
    cr_assert_eq(whole_begin(&whole, path, MODE), 0);
    cr_assert_eq(whole_begin(&other, path, MODE), -EBUSY);
    cr_assert_eq(whole_write(whole.file, "the first", 9), 0);
    cr_assert_eq(whole_finish(&whole), 0);
    cr_assert_str_eq(read_file(), "the first");
}
