/* ternctl whole, against a fake switch: what it asks, what it prints, how it exits. And the rates. */
#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/fake_switch.h"
#include "tools/ternctl/control.h"
#include "tools/ternctl/rates.h"
#include "tools/ternctl/show_stats.h"
#include "tools/ternctl/show_status.h"
#include "tools/ternctl/usage.h"

#define KEY "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define CODE "0123456789abcdef0123456789abcdef"
#define ARGUMENTS_MAX 8

static struct fake_switch fake;
static char out[65536], err[4096];

static void read_back(FILE *file, char *text, size_t bytes) {
    rewind(file);
    text[fread(text, 1, bytes - 1, file)] = '\0';
    fclose(file);
}

/* Runs a command line, its words separated by blanks, and catches what it prints. */
static int run(const char *line) {
    static char words[512];
    char *arguments[ARGUMENTS_MAX + 4] = {"ternctl", "--admin", fake.path};
    int count = 3;
    snprintf(words, sizeof(words), "%s", line);
    for (char *save = NULL, *word = strtok_r(words, " ", &save); word; word = strtok_r(NULL, " ", &save))
        arguments[count++] = word;
    FILE *out_file = tmpfile(), *err_file = tmpfile();
    fflush(stdout);
    fflush(stderr);
    int out_fd = dup(STDOUT_FILENO), err_fd = dup(STDERR_FILENO);
    dup2(fileno(out_file), STDOUT_FILENO);
    dup2(fileno(err_file), STDERR_FILENO);
    int status = control_run(count, arguments);
    fflush(stdout);
    fflush(stderr);
    dup2(out_fd, STDOUT_FILENO);
    dup2(err_fd, STDERR_FILENO);
    close(out_fd);
    close(err_fd);
    read_back(out_file, out, sizeof(out));
    read_back(err_file, err, sizeof(err));
    return status;
}

static void expect(const char *line, const char *reply, int status, const char *printed) {
    const char *const answers[] = {reply, NULL};
    fake_start(&fake, answers);
    int got = run(line);
    fake_end(&fake);
    cr_assert_eq(got, status, "%s: %d, %s", line, got, err);
    cr_assert_str_eq(out, printed, "%s prints:\n%s", line, out);
}

static void expect_asked(const char *request) {
    cr_assert_str_eq(fake.requests[0], request);
}

static void in_utc(void) {
    setenv("TZ", "UTC", 1);
    tzset();
}

TestSuite(show, .timeout = 60, .init = in_utc);

#define ADDED(address)                                                                                       \
    "{\"ok\":true,\"accounts\":[{\"account\":3,\"name\":\"bob\",\"code\":\"" CODE "\"}],\"key\":\"" KEY      \
    "\",\"address\":\"" address "\"}\n"

/* --- accounts ------------------------------------------------------------------------------------------- */

Test(show, account_add_prints_the_uri_alone) {
    expect("account add bob", ADDED("127.0.0.1:7440"), 0,
           "tern://127.0.0.1:7440/bob?account=3&key=" KEY "&code=" CODE "\n");
    expect_asked("{\"command\":\"account add\",\"name\":\"bob\"}");
    cr_assert_str_eq(err, "");
}

static void expect_remark(const char *listen, bool expected) {
    const char *const answers[] = {ADDED("[::1]:7440"), listen, NULL};
    fake_start(&fake, answers);
    int got = run("account code bob");
    fake_end(&fake);
    cr_assert_eq(got, 0, "%s", err);
    cr_assert_str_eq(out, "tern://[::1]:7440/bob?account=3&key=" KEY "&code=" CODE "\n");
    cr_assert_eq(strstr(err, "advertise") != NULL, expected, "%s says: %s", listen, err);
}

Test(show, a_uri_that_only_this_machine_can_use_is_remarked_on_where_the_switch_listens_to_all) {
    expect_remark("{\"ok\":true,\"listen\":[\"[::]:7440\"]}\n", true);
    expect_remark("{\"ok\":true,\"listen\":[\"127.0.0.1:1\",\"0.0.0.0:7440\"]}\n", true);
    expect_remark("{\"ok\":true,\"listen\":[\"[::1]:7440\"]}\n", false);
    expect_remark(FAKE_CLOSE, false);
    expect("account code bob --address 2001:db8::1", ADDED("[::1]:7440"), 0,
           "tern://[2001:db8::1]:7440/bob?account=3&key=" KEY "&code=" CODE "\n");
    cr_assert_str_eq(err, "");
}

Test(show, the_json_of_account_add_has_the_uri_too) {
    expect("--json account add bob", ADDED("127.0.0.1:7440"), 0,
           "{\"ok\":true,\"accounts\":[{\"account\":3,\"name\":\"bob\",\"code\":\"" CODE
           "\",\"uri\":\"tern://127.0.0.1:7440/bob?account=3&key=" KEY "&code=" CODE "\"}],"
           "\"key\":\"" KEY "\",\"address\":\"127.0.0.1:7440\"}\n");
}

Test(show, an_account_that_is_there_is_told_apart_from_other_failures) {
    expect("account add bob",
           "{\"ok\":false,\"code\":\"exists\","
           "\"error\":\"there is an account bob\"}\n",
           5, "");
    cr_assert_str_eq(err, "ternctl: there is an account bob\n");
    expect("--json account show tim",
           "{\"ok\":false,\"code\":\"not_found\","
           "\"error\":\"no account tim\"}\n",
           4, "{\"ok\":false,\"code\":\"not_found\",\"error\":\"no account tim\"}\n");
    cr_assert_str_eq(err, "ternctl: no account tim\n");
}

Test(show, account_list_is_a_table) {
    expect("account list",
           "{\"ok\":true,\"accounts\":[{\"account\":1,\"name\":\"alice\",\"state\":\"active\","
           "\"devices\":2,"
           "\"connected\":1,\"created_ms\":1777640709000},{\"account\":12,\"name\":\"bob\","
           "\"state\":\"suspended\","
           "\"devices\":0,\"connected\":0,\"created_ms\":1777640709000}],\"more\":false}\n",
           0,
           "ACCOUNT  NAME   STATE      DEVICES  CONNECTED  CREATED\n"
           "      1  alice  active           2          1  2026-05-01 13:05:09\n"
           "     12  bob    suspended        0          0  2026-05-01 13:05:09\n");
}

#define DEVICES                                                                                              \
    "\"devices\":[{\"device\":1,\"state\":\"active\",\"connected\":false,\"address\":\"\","                  \
    "\"connected_ms\":0,"                                                                                    \
    "\"created_ms\":1777640709000,\"last_seen_ms\":0,\"key\":\"" KEY                                         \
    "\",\"outbox\":3,\"queue\":4,\"shard\":0}]"
#define DEVICES_TABLE                                                                                        \
    "DEVICE  STATE   ADDRESS  CONNECTED  SEEN  CREATED              OUTBOX  QUEUE  SHARD  KEY\n"             \
    "     1  active  -        no         -     2026-05-01 13:05:09       3      4      0  0011223344556677\n"

Test(show, account_show_has_the_account_and_its_devices) {
    expect("account show bob",
           "{\"ok\":true,\"account\":3,\"name\":\"bob\",\"state\":\"active\","
           "\"created_ms\":0," DEVICES "}\n",
           0, "account  3\nname     bob\nstate    active\ncreated  - (-)\ndevices  1\n\n" DEVICES_TABLE);
    expect("device list bob", "{\"ok\":true," DEVICES "}\n", 0, DEVICES_TABLE);
}

/* --- what was done -------------------------------------------------------------------------------------- */

Test(show, what_cannot_be_undone_says_what_it_did) {
    expect("account remove bob", "{\"ok\":true}\n", 0,
           "bob is removed, with its devices and what waited for them\n");
    expect("account suspend bob", "{\"ok\":true}\n", 0,
           "bob is suspended: its sessions are closed and new ones refused\n");
    expect("account resume bob", "{\"ok\":true}\n", 0, "bob is active\n");
    expect("device revoke bob 2", "{\"ok\":true}\n", 0,
           "device 2 of bob is revoked, and what waited for it is deleted\n");
    expect_asked("{\"command\":\"device revoke\",\"name\":\"bob\",\"device\":2}");
    expect("queue purge bob", "{\"ok\":true,\"entries\":7}\n", 0, "deleted 7 entries of bob\n");
    expect("queue purge bob 2", "{\"ok\":true,\"entries\":1}\n", 0, "deleted 1 entry of device 2 of bob\n");
    expect("connection kick bob 2", "{\"ok\":true,\"connections\":1}\n", 0,
           "closed 1 connection of device 2 of bob\n");
    expect("drain", "{\"ok\":true}\n", 0, "the switch is drained and ends\n");
    expect("reload",
           "{\"ok\":true,\"changed\":0,\"changed_settings\":\"\",\"restart\":0,"
           "\"restart_settings\":\"\"}\n",
           0, "0 settings are changed\n");
    expect("reload",
           "{\"ok\":true,\"changed\":1,\"changed_settings\":\"ping_s\",\"restart\":2,"
           "\"restart_settings\":\"data shards\"}\n",
           0, "1 setting is changed: ping_s\nthe next start takes over: data shards\n");
    expect("store check", "{\"ok\":true,\"records\":9}\n", 0, "9 records read: all are well\n");
    expect("store backup /srv/x", "{\"ok\":true}\n", 0, "the store is copied to /srv/x\n");
    expect_asked("{\"command\":\"store backup\",\"folder\":\"/srv/x\"}");
}

Test(show, damage_and_a_busy_switch_have_their_exit_status) {
    expect("store check",
           "{\"ok\":false,\"code\":\"damaged\",\"error\":\"x\",\"findings\":[{\"environment\":1,"
           "\"where\":\"account 5\",\"what\":\"is damaged\"}]}\n",
           6, "environment 1: account 5 is damaged\n");
    expect("store backup /x", "{\"ok\":false,\"code\":\"busy\",\"error\":\"x\"}\n", 7, "");
}

Test(show, queues_and_connections_are_tables) {
    expect("queue show bob",
           "{\"ok\":true,\"devices\":[{\"device\":1,\"outbox\":2,"
           "\"queue\":30}]}\n",
           0, "DEVICE  OUTBOX  QUEUE\n     1       2     30\n");
    expect("connection list",
           "{\"ok\":true,\"connections\":[{\"id\":5,\"shard\":0,\"account\":3,\"name\":\"bob\","
           "\"device\":1,"
           "\"state\":\"open\",\"address\":\"[::1]:5000\",\"connected_ms\":0},{\"id\":6,"
           "\"shard\":1,\"account\":0,"
           "\"name\":\"\",\"device\":0,\"state\":\"handshake\",\"address\":\"127.0.0.1:5001\","
           "\"connected_ms\":0}]}\n",
           0,
           "ID  SHARD  NAME  DEVICE  STATE      ADDRESS         CONNECTED\n"
           " 5      0  bob        1  open       [::1]:5000      -\n"
           " 6      1  -          -  handshake  127.0.0.1:5001  -\n");
}

/* --- when things are not as they should be -------------------------------------------------------------- */

Test(show, no_switch_is_one_sentence_and_its_exit_status) {
    fake_path(&fake);
    cr_assert_eq(run("status"), 3);
    cr_assert(strstr(err, "ternctl: no switch runs: there is no admin socket at /tmp/"), "%s", err);
    cr_assert_str_eq(out, "");
    cr_assert_eq(run("--json status"), 3);
    cr_assert(strstr(out, "{\"ok\":false,\"code\":\"unreachable\","
                          "\"error\":\"no switch runs"),
              "%s", out);
    fake_end(&fake);
}

Test(show, an_answer_to_something_else_is_not_taken_for_one) {
    static const char *const lines[] = {"account add bob", "account list",   "account show bob",
                                        "device list bob", "queue show bob", "stats",
                                        "connection list"};
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        expect(lines[i], "{\"ok\":true}\n", 3, "");
        cr_assert(strstr(err, "not what was asked"), "%s: %s", lines[i], err);
    }
}

Test(show, options_that_do_nothing_here_are_refused_before_anything_is_done) {
    fake_path(&fake);
    static const char *const lines[] = {"status --all",
                                        "account list --address h:1",
                                        "stats --count=1",
                                        "stats --prometheus --json",
                                        "account add bob --address h:x",
                                        ""};
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        cr_assert_eq(run(lines[i]), 2, "%s: %s", lines[i], err);
    fake_end(&fake);
}

Test(show, output_that_gets_lost_is_a_failure) {
    const char *const answers[] = {"{\"ok\":true}\n", NULL};
    fake_start(&fake, answers);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        char *arguments[] = {"ternctl", "--admin", fake.path, "account", "resume", "bob", NULL};
        bool opened = freopen("/dev/full", "w", stdout) != NULL;
        _exit(opened ? control_run(6, arguments) : 99);
    }
    int status = 0;
    waitpid(child, &status, 0);
    fake_end(&fake);
    cr_assert(WIFEXITED(status));
    cr_assert_eq(WEXITSTATUS(status), 1);
}

/* --- counters ------------------------------------------------------------------------------------------- */

#define COUNTERS                                                                                             \
    "{\"ok\":true,\"stats\":[{\"name\":\"connections\",\"kind\":\"gauge\",\"help\":\"open\","                \
    "\"value\":2},"                                                                                          \
    "{\"name\":\"bytes_in\",\"kind\":\"counter\",\"help\":\"a \\\\ and\\na line\","                          \
    "\"value\":9007199254740991},"                                                                           \
    "{\"name\":\"pings\",\"kind\":\"counter\",\"help\":\"sent\",\"value\":0}]}\n"

Test(show, stats_leaves_out_what_is_zero_unless_asked) {
    expect("stats", COUNTERS, 0,
           "COUNTER                 VALUE  WHAT\nconnections                 2  open\n"
           "bytes_in     9007199254740991  a \\ and?a line\n");
    expect("stats --all", COUNTERS, 0,
           "COUNTER                 VALUE  WHAT\nconnections                 2  open\n"
           "bytes_in     9007199254740991  a \\ and?a line\npings                       0  sent\n");
}

Test(show, a_gauge_may_be_below_zero_for_a_moment) {
    expect("stats",
           "{\"ok\":true,\"stats\":[{\"name\":\"g\",\"kind\":\"gauge\",\"help\":\"h\",\"value\":-2}]}\n", 0,
           "COUNTER  VALUE  WHAT\ng           -2  h\n");
}

Test(show, prometheus_text_has_help_type_and_escapes) {
    expect("stats --prometheus", COUNTERS, 0,
           "# HELP tern_connections open\n# TYPE tern_connections gauge\ntern_connections 2\n"
           "# HELP tern_bytes_in_total a \\\\ and\\na line\n# TYPE tern_bytes_in_total counter\n"
           "tern_bytes_in_total 9007199254740991\n"
           "# HELP tern_pings_total sent\n# TYPE tern_pings_total counter\ntern_pings_total 0\n");
}

static struct snapshot snapshot(const char *text, uint64_t at_us) {
    struct snapshot made = {.answer = cJSON_Parse(text), .at_us = at_us};
    cr_assert(made.answer);
    return made;
}

Test(rates, a_rate_is_the_difference_over_the_time_between) {
    struct snapshot before =
        snapshot("{\"stats\":[{\"name\":\"a\",\"value\":100},{\"name\":\"closed_x\",\"value\":1},"
                 "{\"name\":\"closed_y\",\"value\":50}]}",
                 1000000);
    struct snapshot after =
        snapshot("{\"stats\":[{\"name\":\"a\",\"value\":400},{\"name\":\"closed_x\",\"value\":2},"
                 "{\"name\":\"closed_y\",\"value\":10},{\"name\":\"b\",\"value\":4}]}",
                 3000000);
    cr_assert_float_eq(rates_per_second(&before, &after, "a"), 150, 1e-9);
    cr_assert_float_eq(rates_per_second(&before, &after, "b"), 2, 1e-9);
    cr_assert_float_eq(rates_per_second(&before, &after, "c"), 0, 1e-9);
    cr_assert_float_eq(rates_per_second(&before, &before, "a"), 0, 1e-9);
    /* closed_y fell: the switch was started anew, so it rose from 0. */
    cr_assert_float_eq(rates_per_second_all(&before, &after, "closed_"), 5.5, 1e-9);
    rates_fini(&before);
    rates_fini(&after);
}

#define STATUS                                                                                               \
    "{\"ok\":true,\"version\":\"0.1.0\",\"pid\":42,\"uptime_ms\":7500000,"                                   \
    "\"key\":\"" KEY "\",\"listen\":"                                                                        \
    "[\"127.0.0.1:7440\",\"[::1]:7440\"],\"shards\":[{\"shard\":0,\"connections\":2,"                        \
    "\"messages_in_memory\":1,"                                                                              \
    "\"features\":[\"recv_multishot\",\"min_wait\"]}],\"stores\":[{\"environment\":0,"                       \
    "\"map_bytes\":1048576,"                                                                                 \
    "\"used_bytes\":524288,\"records\":12,\"full\":true,\"closed\":false,\"error\":\"\"}],"                  \
    "\"connections\":2,"                                                                                     \
    "\"draining\":false}\n"

Test(show, status_has_shards_store_and_rates) {
    const char *const answers[] = {STATUS, COUNTERS, COUNTERS, NULL};
    fake_start(&fake, answers);
    int got = run("status");
    fake_end(&fake);
    cr_assert_eq(got, 0, "%s", err);
    cr_assert(strstr(out, "tern 0.1.0, pid 42, up 2 h 5 min, 2 connections,"
                          " STORE 0 FULL\n"),
              "%s", out);
    cr_assert(strstr(out, "listens on  127.0.0.1:7440 [::1]:7440\n"), "%s", out);
    cr_assert(strstr(out, "    0            2                   1  recv_multishot min_wait\n"), "%s", out);
    cr_assert(strstr(out, "512 KiB  1.0 MiB       50  full: new messages are refused\n"), "%s", out);
    cr_assert(strstr(out, "bytes in                       0  9007199254740991\n"), "%s", out);
}

Test(show, top_prints_plain_lines_where_there_is_no_terminal) {
    const char *const answers[] = {COUNTERS, COUNTERS, STATUS, COUNTERS, STATUS, NULL};
    fake_start(&fake, answers);
    int got = run("top --count=2 --interval=0.1");
    fake_end(&fake);
    cr_assert_eq(got, 0, "%s", err);
    int lines = 0;
    for (const char *at = out; *at; at++)
        lines += *at == '\n';
    cr_assert_eq(lines, 3, "%s", out);
    cr_assert_not(strchr(out, '\033'), "%s", out);
    cr_assert(strstr(out, "accepted/s"), "%s", out);
}

Test(show, top_as_json_has_an_object_a_line) {
    const char *const answers[] = {COUNTERS, COUNTERS, STATUS, NULL};
    fake_start(&fake, answers);
    int got = run("--json top --count=1 --interval=0.1");
    fake_end(&fake);
    cr_assert_eq(got, 0, "%s", err);
    cJSON *line = cJSON_Parse(out);
    cr_assert(line, "%s", out);
    cJSON *rates = cJSON_GetObjectItem(line, "per_second");
    cr_assert(cJSON_HasObjectItem(rates, "bytes_in"));
    cr_assert_not(cJSON_HasObjectItem(rates, "connections"), "a gauge has no rate");
    cJSON_Delete(line);
}

Test(show, top_ends_when_the_switch_does) {
    const char *const answers[] = {COUNTERS, COUNTERS, STATUS, FAKE_CLOSE, NULL};
    fake_start(&fake, answers);
    int got = run("top --interval=0.1");
    fake_end(&fake);
    cr_assert_eq(got, 3);
    cr_assert(strstr(err, "closed the connection"), "%s", err);
}
