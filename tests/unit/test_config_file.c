/* The configuration file: what it sets, and that every mistake is told with its file and line. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/ternd/file.h"
#include "tools/ternd/options.h"

TestSuite(config_file);

static struct config config;
static char error[512];

static int read_text(const char *text) {
    error[0] = '\0';
    config_defaults(&config);
    return file_read_text("ternd.conf", text, strlen(text), &config, error, sizeof(error));
}

Test(config_file, settings_comments_and_lists_are_read) {
    cr_assert_eq(read_text("# a comment\n"
                           "; another\n"
                           "\n"
                           "listen = [::]:7440\n"
                           "listen=0.0.0.0:7440\r\n"
                           "   ping_s   =   30   ; why\n"
                           "data = /var/lib/a folder\n"
                           "buffer_bytes = 16k # a comment behind a value\n"
                           "admin = /run/tern#1;2/admin.sock\t; only behind a blank\n"
                           "\t # a comment behind blanks\n"
                           "idle_s: 90"),
                 0, "%s", error);
    cr_assert_eq(config.listen_count, 2);
    cr_assert_str_eq(config.listen[0], "[::]:7440");
    cr_assert_str_eq(config.listen[1], "0.0.0.0:7440");
    cr_assert_str_eq(config.data, "/var/lib/a folder");
    cr_assert_eq(config.ping_s, 30);
    cr_assert_eq(config.idle_s, 90);
    cr_assert_eq(config.buffer_bytes, 16 << 10);
    cr_assert_str_eq(config.admin, "/run/tern#1;2/admin.sock");
    cr_assert_eq(read_text("data = /tmp/x # the store"), 0);
    cr_assert_str_eq(config.data, "/tmp/x");
    cr_assert_eq(read_text(""), 0);
}

Test(config_file, a_mistake_is_told_with_file_line_and_what_is_allowed) {
    static const struct {
        const char *text, *says;
    } wrong[] = {
        {"ping_s = 30\n\nping_s = 0\n", "ternd.conf:3: ping_s: 0 is not in 1 .. 86400"},
        {"# one\npings = 30\nping_s = 0\n", "ternd.conf:2: pings: no such setting; ternd --help lists them"},
        {"ping_s = soon\n", "ternd.conf:1: ping_s: \"soon\" is not a number"},
        {"ping_s = 30\njust words\n", "ternd.conf:2: not a comment, and not `setting = value`"},
        {"ping_s = 30\n[shards]\nshards = 2\n", "ternd.conf:2: there are no sections"},
        {"ping_s = 30\n  40\n", "ternd.conf:2: not a comment, and not `setting = value`"},
        {"ping_s = 30 seconds # too long\n", "ternd.conf:1: ping_s: \"30 seconds\" is not a number"},
        {"ping_s # = 30\n", "ternd.conf:1: not a comment, and not `setting = value`"},
        {"ping_s =\n", "ternd.conf:1: ping_s: \"\" is not a number"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        cr_assert_lt(read_text(wrong[i].text), 0, "%s", wrong[i].text);
        cr_assert_eq(strncmp(error, wrong[i].says, strlen(wrong[i].says)), 0, "\"%s\" is not \"%s\"", error,
                     wrong[i].says);
    }
}

Test(config_file, a_long_value_is_whole_and_a_line_too_long_is_refused) {
    char text[3000] = "data = ";
    memset(text + 7, 'x', 255);
    cr_assert_eq(read_text(text), 0, "%s", error);
    cr_assert_eq(strlen(config.data), 255);
    memset(text + 7, 'x', 256);
    cr_assert_eq(read_text(text), -EINVAL);
    cr_assert_not_null(strstr(error, "ternd.conf:1: data: longer than 255 bytes"), "%s", error);
    memset(text, '#', 1025);
    text[1025] = '\n';
    cr_assert_eq(read_text(text), -EMSGSIZE);
    cr_assert_not_null(strstr(error, "ternd.conf:1: a line is at most 1024 bytes long"), "%s", error);
    text[1024] = '\n';
    text[1025] = '\0';
    cr_assert_eq(read_text(text), 0, "%s", error);
}

Test(config_file, a_file_that_is_not_there_is_named) {
    config_defaults(&config);
    cr_assert_eq(file_read("/nowhere/ternd.conf", &config, error, sizeof(error)), -ENOENT);
    cr_assert_str_eq(error, "/nowhere/ternd.conf: No such file or directory");
    cr_assert_lt(file_read("/", &config, error, sizeof(error)), 0, "a folder is no file");
}

/* --- with the command line ------------------------------------------------------------------------------ */

static void write_file(char *path, const char *text) {
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static int from_command_line(char **arguments, int count) {
    struct options options;
    error[0] = '\0';
    cr_assert_eq(options_read(&options, count, arguments), 0);
    int status = options_config(&options, &config, error, sizeof(error));
    options_fini(&options);
    return status;
}

Test(config_file, an_option_wins_over_the_file) {
    char path[] = "/tmp/tern-config-XXXXXX";
    write_file(path, "listen = 127.0.0.1:1\nlisten = 127.0.0.1:2\nping_s = 10\nidle_s = 20\n");
    char *both[] = {"ternd", "--config", path, "--listen", "127.0.0.1:3", "--ping-s=15"};
    cr_assert_eq(from_command_line(both, 6), 0, "%s", error);
    cr_assert_eq(config.listen_count, 1, "the options' list replaces the file's");
    cr_assert_str_eq(config.listen[0], "127.0.0.1:3");
    cr_assert_eq(config.ping_s, 15);
    cr_assert_eq(config.idle_s, 20);
    char *twice[] = {"ternd", "--listen", "127.0.0.1:3", "--listen", "[::1]:3"};
    cr_assert_eq(from_command_line(twice, 5), 0, "%s", error);
    cr_assert_eq(config.listen_count, 2, "an option may be repeated");
    unlink(path);
}

Test(config_file, a_wrong_option_and_what_does_not_fit_are_told) {
    char *wrong[] = {"ternd", "--shards", "65"};
    cr_assert_eq(from_command_line(wrong, 3), -ERANGE);
    cr_assert_str_eq(error, "command line: shards: 65 is not in 0 .. 64");
    char path[] = "/tmp/tern-config-XXXXXX";
    write_file(path, "idle_s = 60\n");
    char *unfit[] = {"ternd", "--config", path};
    cr_assert_eq(from_command_line(unfit, 3), -EINVAL);
    cr_assert_eq(strncmp(error, path, strlen(path)), 0, "\"%s\" does not name the file", error);
    unlink(path);
}
