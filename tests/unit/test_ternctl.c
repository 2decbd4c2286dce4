/* ternctl without a switch: the command line, requests, link URIs, units and tables. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tools/ternctl/command_line.h"
#include "tools/ternctl/control.h"
#include "tools/ternctl/manual.h"
#include "tools/ternctl/show_uri.h"
#include "tools/ternctl/table.h"
#include "tools/ternctl/units.h"
#include "tools/ternctl/usage.h"

static char error[512];

/* --- commands ------------------------------------------------------------------------------------------- */

static int find(const struct usage **ret_command, unsigned *ret_words, char *first, char *second) {
    char *words[] = {first, second};
    return usage_find(first ? second ? 2 : 1 : 0, words, ret_command, ret_words, error, sizeof(error));
}

Test(usage, every_command_of_the_table_is_found_by_its_words) {
    for (unsigned id = 0; id < USAGE_COUNT; id++) {
        const struct usage *command = usage_at(id), *found = NULL;
        unsigned words = 0;
        cr_assert_eq(command->id, id);
        cr_assert_eq(
            find(&found, &words, (char *)command->noun, command->verb[0] ? (char *)command->verb : "x"), 0);
        cr_assert_eq(found, command);
        cr_assert_eq(words, command->verb[0] ? 2u : 1u);
    }
}

static void expect_suggestion(char *first, char *second, const char *suggestion) {
    const struct usage *found;
    unsigned words;
    cr_assert_lt(find(&found, &words, first, second), 0);
    if (suggestion)
        cr_assert(strstr(error, suggestion), "'%s %s' says: %s", first, second ? second : "", error);
    else
        cr_assert_not(strstr(error, "did you mean"), "'%s %s' says: %s", first, second ? second : "", error);
}

Test(usage, a_misspelt_command_gets_the_near_one) {
    expect_suggestion("acount", "add", "did you mean 'account add'?");
    expect_suggestion("account", "ad", "did you mean 'account add'?");
    expect_suggestion("acuont", "lsit", "did you mean 'account list'?");
    expect_suggestion("list", "account", "did you mean 'account list'?");
    expect_suggestion("accounts", "show", "did you mean 'account show'?");
    expect_suggestion("stat", NULL, "did you mean 'stats'?");
    expect_suggestion("statsu", NULL, "did you mean 'status'?");
    expect_suggestion("store", "bakcup", "did you mean 'store backup'?");
    expect_suggestion("tpo", NULL, "did you mean 'top'?");
}

Test(usage, a_word_that_is_nothing_like_a_command_gets_no_guess) {
    expect_suggestion("frobnicate", NULL, NULL);
    expect_suggestion("account", "frobnicate", "account has: add, code, list");
    expect_suggestion("account", "frobnicate", NULL);
    expect_suggestion("account", NULL, "account needs one of: add, code, list");
    expect_suggestion("a word far longer than any command could ever be, so that no room is left", "x", NULL);
    expect_suggestion("", NULL, NULL);
}

static cJSON *request(enum admin_command id, unsigned count, char *first, char *second, char *third) {
    char *arguments[] = {first, second, third};
    cJSON *made = NULL;
    return usage_request(usage_at(id), count, arguments, &made, error, sizeof(error)) == 0 ? made : NULL;
}

static void expect_request(cJSON *made, const char *text) {
    cr_assert(made, "%s", error);
    char *got = cJSON_PrintUnformatted(made);
    cr_assert_str_eq(got, text);
    cJSON_free(got);
    cJSON_Delete(made);
}

Test(usage, arguments_become_fields_of_the_request) {
    expect_request(request(ADMIN_ACCOUNT_ADD, 1, "bob", NULL, NULL),
                   "{\"command\":\"account add\",\"name\":\"bob\"}");
    expect_request(request(ADMIN_DEVICE_REVOKE, 2, "bob", "2", NULL),
                   "{\"command\":\"device revoke\",\"name\":\"bob\",\"device\":2}");
    expect_request(request(ADMIN_QUEUE_PURGE, 1, "bob", NULL, NULL),
                   "{\"command\":\"queue purge\",\"name\":\"bob\"}");
    expect_request(request(ADMIN_QUEUE_PURGE, 2, "bob", "65535", NULL),
                   "{\"command\":\"queue purge\",\"name\":\"bob\",\"device\":65535}");
    expect_request(request(ADMIN_STATUS, 0, NULL, NULL, NULL), "{\"command\":\"status\"}");
    expect_request(request(ADMIN_STORE_BACKUP, 1, "/srv/copy", NULL, NULL),
                   "{\"command\":\"store backup\",\"folder\":\"/srv/copy\"}");
}

Test(usage, a_folder_is_made_absolute_since_the_switch_has_another) {
    cr_assert_eq(chdir("/usr"), 0);
    expect_request(request(ADMIN_STORE_BACKUP, 1, "copy", NULL, NULL),
                   "{\"command\":\"store backup\",\"folder\":\"/usr/copy\"}");
}

static void expect_refused(enum admin_command id, unsigned count, char *first, char *second,
                           const char *why) {
    cr_assert_null(request(id, count, first, second, "extra"));
    cr_assert(strstr(error, why), "says: %s", error);
}

Test(usage, wrong_arguments_are_refused_with_what_is_allowed) {
    expect_refused(ADMIN_ACCOUNT_ADD, 0, NULL, NULL, "NAME is missing");
    expect_refused(ADMIN_ACCOUNT_ADD, 2, "bob", "tim", "'tim' is one word too many");
    expect_refused(ADMIN_QUEUE_PURGE, 3, "bob", "2", "'extra' is one word too many");
    expect_refused(ADMIN_DEVICE_REVOKE, 1, "bob", NULL, "DEVICE is missing");
    expect_refused(ADMIN_STORE_BACKUP, 1, "", NULL, "empty");
    static char *const no_devices[] = {"0", "65536", "-1", "+1", "2x", "", "two", "99999999999999999999"};
    for (size_t i = 0; i < sizeof(no_devices) / sizeof(no_devices[0]); i++)
        expect_refused(ADMIN_DEVICE_REVOKE, 2, "bob", no_devices[i], "is no device");
}

/* --- the command line ----------------------------------------------------------------------------------- */

static struct command_line parsed(unsigned count, char **arguments) {
    struct command_line line;
    command_line_parse((int)count, arguments, &line);
    return line;
}
#define PARSE(...)                                                                                           \
    parsed(sizeof((char *[]){"ternctl", __VA_ARGS__}) / sizeof(char *),                                      \
           (char *[]){"ternctl", __VA_ARGS__, NULL})

Test(command_line, options_may_stand_anywhere) {
    struct command_line line = PARSE("--admin", "/a", "account", "--json", "add", "bob", "--address=h:1");
    cr_assert_str_eq(line.admin, "/a");
    cr_assert_str_eq(line.address, "h:1");
    cr_assert(line.json);
    cr_assert_eq(line.word_count, 3u);
    cr_assert_str_eq(line.words[0], "account");
    cr_assert_str_eq(line.words[2], "bob");
    cr_assert_not(line.has_timeout);
    cr_assert_eq(line.interval_ms, 1000u);
    line = PARSE("top", "--count=3", "--interval=0.25", "--timeout", "1.5");
    cr_assert_eq(line.count, 3u);
    cr_assert_eq(line.interval_ms, 250u);
    cr_assert(line.has_timeout);
    cr_assert_eq(line.timeout_ms, 1500u);
}

Test(command_line, an_unknown_option_is_a_usage_error, .exit_code = 2) {
    PARSE("status", "--frobnicate");
}
Test(command_line, a_count_of_nothing_is_a_usage_error, .exit_code = 2) {
    PARSE("top", "--count=0");
}
Test(command_line, an_interval_of_no_number_is_a_usage_error, .exit_code = 2) {
    PARSE("top", "--interval=nan");
}
Test(command_line, a_negative_timeout_is_a_usage_error, .exit_code = 2) {
    PARSE("top", "--timeout=-1");
}
Test(command_line, more_words_than_any_command_takes_are_a_usage_error, .exit_code = 2) {
    PARSE("a", "b", "c", "d", "e", "f", "g");
}
Test(command_line, version_is_printed_and_is_success, .exit_code = 0) {
    PARSE("--version");
}

Test(control, each_code_has_its_exit_status_and_an_unknown_one_is_a_failure) {
#define X(name, status, help) cr_assert_eq(control_status(#name), (status));
    ADMIN_CODES(X)
#undef X
    cr_assert_eq(control_status("of_the_future"), 1);
    cr_assert_eq(control_status(""), 1);
}

Test(manual, help_and_manual_name_every_command_option_and_code) {
    char *help, *page;
    size_t help_bytes, page_bytes;
    FILE *help_file = open_memstream(&help, &help_bytes), *page_file = open_memstream(&page, &page_bytes);
    manual_help(help_file);
    manual_page(page_file);
    fclose(help_file);
    fclose(page_file);
    for (unsigned id = 0; id < USAGE_COUNT; id++) {
        char name[USAGE_NAME_BYTES];
        usage_name(usage_at(id), name, sizeof(name));
        cr_assert(strstr(help, name), "%s", name);
        cr_assert(strstr(page, name), "%s", name);
    }
    for (const struct argp_option *option = command_line_options(); option->name; option++)
        cr_assert(strstr(help, option->name) && strstr(page, option->name), "%s", option->name);
#define X(name, status, text) cr_assert(strstr(help, text) && strstr(page, text), "%s", #name);
    ADMIN_CODES(X)
#undef X
    for (char *line = page; *line; line += strcspn(line, "\n") + 1)
        cr_assert_neq(*line, '\'', "a line of the manual begins with a quote: %.40s", line);
    free(help);
    free(page);
}

/* --- link URIs ------------------------------------------------------------------------------------------ */

#define KEY "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define CODE "0123456789abcdef0123456789ABCDEF"

Test(show_uri, a_uri_has_every_part_in_the_form_of_the_protocol) {
    char text[SHOW_URI_BYTES];
    struct show_uri uri = {
        .address = "127.0.0.1:7440", .name = "bob.2", .key = KEY, .code = CODE, .account = 12};
    cr_assert_eq(show_uri_make(&uri, text), 0);
    cr_assert_str_eq(text, "tern://127.0.0.1:7440/bob.2?account=12&key=" KEY "&code=" CODE);
    uri.address = "[2001:db8::1]:7440";
    uri.account = UINT64_MAX;
    cr_assert_eq(show_uri_make(&uri, text), 0);
    cr_assert_str_eq(text,
                     "tern://[2001:db8::1]:7440/bob.2?account=18446744073709551615&key=" KEY "&code=" CODE);
}

Test(show_uri, a_part_that_is_none_makes_no_uri) {
    char text[SHOW_URI_BYTES] = "untouched";
    const struct show_uri good = {.address = "h:1", .name = "bob", .key = KEY, .code = CODE, .account = 1};
    struct show_uri bad[9];
    for (size_t i = 0; i < 9; i++)
        bad[i] = good;
    bad[0].address = "h";
    bad[1].address = "h:0";
    bad[2].name = "bob?x=1";
    bad[3].name = "";
    bad[4].key = CODE;
    bad[5].code = "";
    bad[6].code = "0123456789abcdef0123456789abcdeg";
    bad[7].account = 0;
    bad[8].address = "h/x:1";
    for (size_t i = 0; i < 9; i++)
        cr_assert_lt(show_uri_make(&bad[i], text), 0, "%zu: %s", i, text);
    cr_assert_str_eq(text, "untouched");
}

static void expect_address(const char *wanted, const char *expected) {
    char address[128] = "refused";
    show_uri_address(wanted, "[::]:7441", address, sizeof(address));
    cr_assert_str_eq(address, expected, "%s: %s", wanted, address);
}

Test(show_uri, an_address_gets_the_port_it_lacks_and_brackets_it_needs) {
    expect_address("switch.example.org", "switch.example.org:7441");
    expect_address("switch.example.org:443", "switch.example.org:443");
    expect_address("10.0.0.1", "10.0.0.1:7441");
    expect_address("2001:db8::1", "[2001:db8::1]:7441");
    expect_address("[2001:db8::1]", "[2001:db8::1]:7441");
    expect_address("[2001:db8::1]:443", "[2001:db8::1]:443");
    static const char *const none[] = {"",      ":1",     "h:",  "h:x",   "h:65536", "h:00001x", "[::1", "[]",
                                       "[h]:1", "::1]:1", "a b", "h:1:2", "[",       "[::1]x:1", "h?:1"};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        expect_address(none[i], "refused");
}

Test(show_uri, an_address_that_means_all_is_seen) {
    cr_assert(show_uri_address_is_any("0.0.0.0:7440"));
    cr_assert(show_uri_address_is_any("[::]:7440"));
    cr_assert(show_uri_address_is_any("[0:0::0]:7440"));
    cr_assert_not(show_uri_address_is_any("127.0.0.1:7440"));
    cr_assert_not(show_uri_address_is_any("[::1]:7440"));
}

/* --- units and tables ----------------------------------------------------------------------------------- */

static char text[UNITS_TEXT_BYTES];
#define SECOND UINT64_C(1000)
#define HOUR (3600 * SECOND)

Test(units, times_are_local_and_iso) {
    setenv("TZ", "UTC-2", 1); /* two hours ahead, in the reversed sign of POSIX */
    tzset();
    cr_assert_str_eq(units_time(1777640709000, text), "2026-05-01 15:05:09");
    cr_assert_str_eq(units_time(0, text), "-");
    cr_assert_str_eq(units_time(UINT64_MAX, text), units_time(UINT64_MAX, text));
}

Test(units, spans_and_how_long_ago_name_the_largest_unit_that_fits) {
    uint64_t now = 1777640709000;
    cr_assert_str_eq(units_ago(now - 400, now, text), "just now");
    cr_assert_str_eq(units_ago(now - 59 * SECOND, now, text), "59 s ago");
    cr_assert_str_eq(units_ago(now - 185 * SECOND, now, text), "3 min ago");
    cr_assert_str_eq(units_ago(now - 47 * HOUR, now, text), "47 h ago");
    cr_assert_str_eq(units_ago(now - 49 * HOUR, now, text), "2 d ago");
    cr_assert_str_eq(units_ago(now + 2 * HOUR, now, text), "in 2 h");
    cr_assert_str_eq(units_ago(0, now, text), "-");
    cr_assert_str_eq(units_span(59999, text), "59 s");
    cr_assert_str_eq(units_span(2 * HOUR + 300 * SECOND, text), "2 h 5 min");
    cr_assert_str_eq(units_span(100 * HOUR, text), "4 d 4 h");
}

Test(units, sizes_and_rates_keep_two_or_three_digits) {
    cr_assert_str_eq(units_bytes(0, text), "0 B");
    cr_assert_str_eq(units_bytes(1023, text), "1023 B");
    cr_assert_str_eq(units_bytes(4096, text), "4.0 KiB");
    cr_assert_str_eq(units_bytes(UINT64_C(17179869184), text), "16 GiB");
    cr_assert_str_eq(units_bytes(UINT64_MAX, text), "16 EiB");
    cr_assert_str_eq(units_rate(0, text), "0");
    cr_assert_str_eq(units_rate(0.25, text), "0.25");
    cr_assert_str_eq(units_rate(7.31, text), "7.3");
    cr_assert_str_eq(units_rate(812.4, text), "812");
    cr_assert_str_eq(units_rate(12543, text), "12.5 k");
    cr_assert_str_eq(units_rate(3100000, text), "3100 k");
    cr_assert_str_eq(units_rate(31000000, text), "31.0 M");
}

Test(table, columns_are_aligned_and_nothing_steers_the_terminal) {
    struct table table;
    char *out;
    size_t out_bytes;
    FILE *file = open_memstream(&out, &out_bytes);
    table_init(&table, "N>|NAME|WHAT");
    table_cell(&table, "%d", 7);
    table_cell(&table, "%s", "bob");
    table_cell(&table, "%s", "x\033[2Jy");
    table_cell(&table, "%d", 12345);
    table_cell(&table, "%s", "christopher");
    table_cell(&table, "%s", "");
    cr_assert_eq(table_print(&table, file), 0);
    table_fini(&table);
    fclose(file);
    cr_assert_str_eq(out, "    N  NAME         WHAT\n    7  bob          x?[2Jy\n12345  christopher  -\n");
    free(out);
}
