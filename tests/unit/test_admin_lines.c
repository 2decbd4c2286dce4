/* The admin socket's lines: how bytes become lines, and lines requests. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/ternd/lines.h"

TestSuite(admin_lines);

static struct lines lines;

static int add(const char *text) {
    return lines_add(&lines, text, strlen(text));
}

static void expect(const char *text) {
    size_t bytes = 0;
    const char *line = lines_next(&lines, &bytes);
    if (!text) {
        cr_assert_null(line, "there is a line \"%s\"", line);
        return;
    }
    cr_assert_not_null(line, "there is no line \"%s\"", text);
    cr_assert_str_eq(line, text);
    cr_assert_eq(bytes, strlen(text));
}

Test(admin_lines, lines_come_out_whole_however_they_come_in) {
    static const char text[] = "one\n\ntwo three\n{\"four\":4}\n";
    for (size_t slice = 1; slice <= sizeof(text); slice++) {
        static const char *const wanted[] = {"one", "", "two three", "{\"four\":4}"};
        size_t next = 0;
        lines_init(&lines);
        for (size_t at = 0; at < sizeof(text) - 1; at += slice) {
            size_t left = sizeof(text) - 1 - at, bytes;
            cr_assert_eq(lines_add(&lines, text + at, left < slice ? left : slice), 0);
            for (char *line; (line = lines_next(&lines, &bytes)); next++) {
                cr_assert_lt(next, 4);
                cr_assert_str_eq(line, wanted[next]);
            }
        }
        cr_assert_eq(next, 4, "in slices of %zu there are %zu lines", slice, next);
        lines_fini(&lines);
    }
}

Test(admin_lines, a_line_that_is_begun_waits_for_its_end) {
    lines_init(&lines);
    cr_assert_eq(add("half"), 0);
    expect(NULL);
    expect(NULL);
    cr_assert_eq(add(" and half\nnext"), 0);
    expect("half and half");
    expect(NULL);
    cr_assert_eq(add("\n"), 0);
    expect("next");
    expect(NULL);
    lines_fini(&lines);
}

Test(admin_lines, an_idle_connection_holds_no_memory) {
    lines_init(&lines);
    cr_assert_eq(add("a line\n"), 0);
    expect("a line");
    cr_assert_eq(lines_add(&lines, "", 0), 0);
    cr_assert_null(lines.bytes);
    cr_assert_eq(lines.capacity, 0);
}

Test(admin_lines, a_line_may_be_so_long_and_no_longer) {
    char *longest = malloc(ADMIN_LINE_BYTES_MAX);
    size_t bytes;
    memset(longest, 'x', ADMIN_LINE_BYTES_MAX);
    lines_init(&lines);
    cr_assert_eq(lines_add(&lines, longest, ADMIN_LINE_BYTES_MAX - 1), 0);
    cr_assert_eq(lines_add(&lines, "\n", 1), 0);
    cr_assert_not_null(lines_next(&lines, &bytes));
    cr_assert_eq(bytes, ADMIN_LINE_BYTES_MAX - 1);
    cr_assert_eq(lines_add(&lines, longest, ADMIN_LINE_BYTES_MAX), 0);
    cr_assert_null(lines_next(&lines, &bytes));
    cr_assert_eq(lines_add(&lines, "x", 1), -EMSGSIZE);
    lines_fini(&lines);
    free(longest);
}

/* --- requests ------------------------------------------------------------------------------------------- */

static enum admin_command command;
static cJSON *request;
static char error[256];

static int read_request(const char *line, size_t bytes) {
    request = NULL;
    return lines_read_request(line, bytes, &command, &request, error, sizeof(error));
}

Test(admin_lines, every_command_of_the_table_is_found_by_noun_and_verb) {
#define X(symbol, noun, verb, arguments, help) verb[0] ? noun " " verb : noun,
    static const char *const names[] = {ADMIN_COMMANDS(X)};
#undef X
    for (size_t i = 0; i < ADMIN_COMMAND_COUNT; i++) {
        char line[128];
        int bytes = snprintf(line, sizeof(line), "{\"command\":\"%s\",\"name\":\"bob\"}", names[i]);
        cr_assert_eq(read_request(line, (size_t)bytes), 0, "%s", error);
        cr_assert_eq(command, (enum admin_command)i);
        cr_assert_str_eq(cJSON_GetStringValue(cJSON_GetObjectItem(request, "name")), "bob");
        cJSON_Delete(request);
    }
}

Test(admin_lines, what_is_no_request_is_refused_with_a_sentence) {
    static const struct {
        const char *line, *says;
    } wrong[] = {{"", "not JSON"},
                 {"status", "not JSON"},
                 {"{\"command\":\"status\"} more", "not JSON"},
                 {"{\"command\":\"status\"", "not JSON"},
                 {"[\"status\"]", "not a JSON object"},
                 {"\"status\"", "not a JSON object"},
                 {"null", "not a JSON object"},
                 {"{}", "names no \"command\""},
                 {"{\"command\":7}", "names no \"command\""},
                 {"{\"Command\":\"status\"}", "names no \"command\""},
                 {"{\"command\":\"stat\"}", "there is no command \"stat\""},
                 {"{\"command\":\"account\"}", "there is no command \"account\""},
                 {"{\"command\":\"account  add\"}", "there is no command"}};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        cr_assert_eq(read_request(wrong[i].line, strlen(wrong[i].line)), -EINVAL, "%s", wrong[i].line);
        cr_assert_not_null(strstr(error, wrong[i].says), "%s: \"%s\"", wrong[i].line, error);
        cr_assert_null(request);
    }
    cr_assert_eq(read_request("{\"command\":\"status\"}\0{", 22), -EINVAL);
    cr_assert_not_null(strstr(error, "zero byte"), "%s", error);
}

Test(admin_lines, deep_nesting_is_no_request) {
    char *deep = malloc(1u << 20);
    memset(deep, '[', 1u << 20);
    deep[(1u << 20) - 1] = 0;
    cr_assert_eq(read_request(deep, (1u << 20) - 1), -EINVAL);
    free(deep);
}
