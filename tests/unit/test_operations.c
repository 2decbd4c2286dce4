/* The tables of docs/OPERATIONS.md are those of the code: where one is stale, the test prints what should be
 * there. */
#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/config.h"
#include "core/reason.h"
#include "core/stats.h"
#include "tools/admin/commands.h"

#define PAGE_BYTES (256u << 10)

static char page[PAGE_BYTES], table[PAGE_BYTES];
static size_t table_bytes;

static char path[4096];

static void read_page(void) {
    cr_assert_lt(snprintf(path, sizeof(path), "%s", __FILE__), (int)sizeof(path) - 32);
    char *end = strstr(path, "tests/unit/");
    cr_assert(end);
    strcpy(end, "docs/OPERATIONS.md");
    FILE *file = fopen(path, "re");
    cr_assert(file, "%s can't be read", path);
    page[fread(page, 1, sizeof(page) - 1, file)] = '\0';
    fclose(file);
}

TestSuite(operations, .init = read_page);

__attribute__((format(printf, 1, 2))) static void row(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    table_bytes += (size_t)vsnprintf(table + table_bytes, sizeof(table) - table_bytes, format, arguments);
    va_end(arguments);
    cr_assert_lt(table_bytes, sizeof(table));
}

/* In the place of the table that begins with the same line, up to the empty line that ends it. */
static void write_table(void) {
    char head[256];
    snprintf(head, sizeof(head), "\n%.*s\n", (int)strcspn(table, "\n"), table);
    const char *start = strstr(page, head), *end = start ? strstr(start, "\n\n") : NULL;
    FILE *file = end ? fopen(path, "we") : NULL;
    cr_assert(file, "docs/OPERATIONS.md has no table that begins with %s", head);
    fprintf(file, "%.*s%s%s", (int)(start + 1 - page), page, table, end + 1);
    cr_assert_eq(fclose(file), 0);
}

static void expect_table(void) {
    if (strstr(page, table))
        return;
    if (getenv("TERN_REWRITE"))
        write_table();
    else
        cr_assert_fail("docs/OPERATIONS.md lacks this table (TERN_REWRITE=1 and -j1 write it):\n%s", table);
}

/* A row whose last column is written by hand. */
static void expect_row(const char *start) {
    cr_assert(strstr(page, start), "docs/OPERATIONS.md lacks a row that starts with:\n%s", start);
}

Test(operations, the_settings_are_those_of_the_table) {
    cr_assert_lt(config_describe(CONFIG_MARKDOWN, table, sizeof(table)), sizeof(table));
    expect_table();
}

Test(operations, the_commands_are_those_of_the_table) {
#define X(symbol, noun, verb, arguments, help)                                                               \
    snprintf(table, sizeof(table), "\n| `%s%s%s` | ", noun, (verb)[0] ? " " : "", verb);                     \
    expect_row(table);
    ADMIN_COMMANDS(X)
#undef X
}

Test(operations, the_exit_codes_are_those_of_the_table) {
    row("| status | code | meaning |\n|---|---|---|\n");
#define X(name, status, help) row("| %d | `%s` | %s |\n", status, #name, help);
    ADMIN_CODES(X)
#undef X
    expect_table();
}

/* Those of the two tables of reasons have a table of their own. */
Test(operations, the_counters_are_those_of_the_table) {
    row("| counter | kind | what |\n|---|---|---|\n");
    for (uint32_t i = 0; i < STATS_NAMED; i++) {
        struct stats_row counter = stats_row(i);
        row("| `%s` | %s | %s |\n", counter.name, counter.kind, counter.help);
    }
    expect_table();
}

Test(operations, every_reason_has_a_row_that_says_what_to_do) {
#define X(number, name, text, help)                                                                          \
    if ((number) != 0) /* none is no reason */                                                               \
        expect_row("\n| `" text "` | " help " | ");
    CLOSE_REASONS(X)
    REFUSALS(X)
#undef X
}
