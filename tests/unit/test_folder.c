/* The folder of `tern listen --files`: names that strangers choose, files that are there, files that are not
 * what they should be. */
#include <criterion/criterion.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/client_rig.h"
#include "tools/tern/folder.h"

TestSuite(folder, .timeout = 60);

#define CHUNK_BYTES 1000

static struct client_rig rig;
static struct folder folder;
static char path[96];
static uint8_t data[10000];

static void begin(void) {
    client_rig_begin(&rig);
    snprintf(path, sizeof(path), "%s/files", rig.folder);
    cr_assert_eq(mkdir(path, 0700), 0);
    cr_assert_eq(folder_open(&folder, path), 0);
    srandom(2);
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)random();
}

static void end(void) {
    folder_close(&folder);
    client_rig_end(&rig);
}

/* A whole transfer in the state, as files_take leaves it. */
static struct transfer transfer_of(const char *name, uint8_t id, uint64_t size) {
    struct transfer transfer = {
        .from = RIG_OTHER, .from_device = 1, .id = {id}, .is_whole = true, .size = size, .received = size};
    snprintf(transfer.name, sizeof(transfer.name), "%s", name);
    crypto_generichash(transfer.hash, sizeof(transfer.hash), data, size, NULL, 0);
    cr_assert_eq(state_begin(rig.state), 0);
    for (uint64_t at = 0; at < size; at += CHUNK_BYTES) {
        struct key key = key_of(KEY_CHUNK);
        key_add64(&key, transfer.from);
        key_add16(&key, transfer.from_device);
        key_add(&key, transfer.id, sizeof(transfer.id));
        key_add64(&key, at);
        state_put(rig.state, &key, data + at, size - at < CHUNK_BYTES ? size - at : CHUNK_BYTES);
    }
    cr_assert_eq(state_commit(rig.state), 0);
    return transfer;
}

static int place(const struct transfer *transfer, char ret_name[FOLDER_NAME_BYTES_MAX + 1]) {
    cr_assert_eq(state_look(rig.state), 0);
    int error = folder_place(&folder, rig.state, transfer, ret_name);
    state_end(rig.state);
    return error;
}

static void expect_file(const char *name, const uint8_t *bytes, size_t count) {
    char file[400];
    static uint8_t found[sizeof(data) + 1];
    snprintf(file, sizeof(file), "%s/%s", path, name);
    FILE *in = fopen(file, "rb");
    cr_assert(in, "%s", file);
    cr_assert_eq(fread(found, 1, sizeof(found), in), count);
    fclose(in);
    cr_assert_eq(memcmp(found, bytes, count), 0);
}

static unsigned file_count(void) {
    char command[160];
    unsigned count = 0;
    snprintf(command, sizeof(command), "find %s -mindepth 1 | wc -l", path);
    FILE *in = popen(command, "r");
    cr_assert_eq(fscanf(in, "%u", &count), 1);
    pclose(in);
    return count;
}

static void write_file(const char *name, const char *text) {
    char file[400];
    snprintf(file, sizeof(file), "%s/%s", path, name);
    FILE *out = fopen(file, "wb");
    fputs(text, out);
    fclose(out);
}

Test(folder, names_are_made_safe) {
    static const char *const names[][2] = {
        {"a file.txt", "a file.txt"},
        {"../../etc/passwd", "_._.._etc_passwd"},
        {"/etc/passwd", "_etc_passwd"},
        {".bashrc", "_bashrc"},
        {"..", "_."},
        {".", "_"},
        {"-rf", "_rf"},
        {" x", "_x"},
        {"a\nb\x1b[2J", "a_b_[2J"},
        {"a\xE2\x80\xAEgpj.exe", "a_gpj.exe"}, /* turns the direction of writing around */
        {"\xC3\xA4\xFF", "\xC3\xA4_"},
        {"", "_"},
    };
    char name[FOLDER_NAME_BYTES_MAX + 1], longest[300];
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        folder_safe_name(names[i][0], 1, name);
        cr_assert_str_eq(name, names[i][1]);
    }
    folder_safe_name("a.b.c", 2, name);
    cr_assert_str_eq(name, "a.b (2).c");
    folder_safe_name("abc", 12, name);
    cr_assert_str_eq(name, "abc (12)");
    memset(longest, 'x', sizeof(longest));
    longest[255] = 0;
    memcpy(longest + 198, "\xE2\x82\xAC", 3); /* would be cut in two */
    folder_safe_name(longest, 1, name);
    cr_assert_eq(strlen(name), 198);
    folder_safe_name(longest, 1000, name);
    cr_assert_leq(strlen(name), 255);
}

Test(folder, a_file_is_written_once_and_never_over_another, .init = begin, .fini = end) {
    char name[FOLDER_NAME_BYTES_MAX + 1];
    struct transfer one = transfer_of("x.txt", 1, 5500), same = transfer_of("x.txt", 2, 5500),
                    other = transfer_of("x.txt", 3, 4000), empty = transfer_of("x.txt", 4, 0);
    write_file("y.txt", "somebody's");
    cr_assert_eq(place(&one, name), 0);
    cr_assert_str_eq(name, "x.txt");
    expect_file("x.txt", data, 5500);
    cr_assert_eq(place(&one, name), 0, "as after a kill before the state forgot it");
    cr_assert_str_eq(name, "x.txt");
    cr_assert_eq(place(&same, name), 0);
    cr_assert_str_eq(name, "x.txt");
    cr_assert_eq(place(&other, name), 0);
    cr_assert_str_eq(name, "x (2).txt");
    expect_file("x (2).txt", data, 4000);
    cr_assert_eq(place(&empty, name), 0);
    cr_assert_str_eq(name, "x (3).txt");
    struct transfer third = transfer_of("y.txt", 5, 10);
    cr_assert_eq(place(&third, name), 0);
    cr_assert_str_eq(name, "y (2).txt");
    expect_file("y.txt", (const uint8_t *)"somebody's", 10);
    expect_file("x.txt", data, 5500);
    cr_assert_eq(file_count(), 5);
}

Test(folder, links_are_not_followed, .init = begin, .fini = end) {
    char name[FOLDER_NAME_BYTES_MAX + 1], target[160], link[160];
    struct transfer one = transfer_of("x", 1, 100);
    struct stat status;
    snprintf(target, sizeof(target), "%s/outside", rig.folder);
    snprintf(link, sizeof(link), "%s/x", path);
    cr_assert_eq(symlink(target, link), 0);
    snprintf(link, sizeof(link), "%s/.tern-01000000000000000000000000000000.part", path);
    cr_assert_eq(symlink(target, link), 0);
    cr_assert_eq(place(&one, name), 0);
    cr_assert_str_eq(name, "x (2)");
    cr_assert_neq(stat(target, &status), 0);
    cr_assert_eq(lstat(link, &status), -1, "the part is gone");
}

Test(folder, what_is_not_what_its_sender_said_is_not_kept, .init = begin, .fini = end) {
    char name[FOLDER_NAME_BYTES_MAX + 1];
    struct transfer wrong = transfer_of("x", 1, 3000), cut = transfer_of("y", 2, 3000);
    wrong.hash[0] ^= 1;
    cr_assert_eq(place(&wrong, name), -EILSEQ);
    cut.size = 3500;
    cr_assert_eq(place(&cut, name), -ENOENT);
    cr_assert_eq(file_count(), 0);
}
