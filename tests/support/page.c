#include "tests/support/page.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define PAGE_ROW_BYTES 32u

/* Two folders above this file, wherever the tests are run. */
const char *page_text(void) {
    static char text[1 << 17];
    if (text[0])
        return text;
    char path[4096];
    cr_assert_lt(snprintf(path, sizeof(path), "%s", __FILE__), (int)sizeof(path) - 32);
    char *end = strstr(path, "tests/support/");
    cr_assert_not_null(end);
    strcpy(end, "docs/PROTOCOL.md");
    FILE *file = fopen(path, "re");
    cr_assert_not_null(file, "%s", path);
    size_t count = fread(text, 1, sizeof(text) - 1, file);
    cr_assert_gt(count, 0);
    cr_assert_lt(count, sizeof(text) - 1);
    fclose(file);
    return text;
}

static unsigned digit(char c) {
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

struct page_block page_block(const char *name) {
    struct page_block block = {0};
    char start[128];
    snprintf(start, sizeof(start), "```\n%s\n", name);
    const char *at = strstr(page_text(), start);
    cr_assert_not_null(at, "docs/PROTOCOL.md has no block '%s'", name);
    at += strlen(start);
    while (*at != '`') {
        if (isspace((unsigned char)*at)) {
            at++;
            continue;
        }
        cr_assert(isxdigit((unsigned char)at[0]) && isxdigit((unsigned char)at[1]), "'%s': no hex", name);
        cr_assert_lt(block.count, sizeof(block.bytes));
        block.bytes[block.count++] = (uint8_t)(digit(at[0]) << 4 | digit(at[1]));
        at += 2;
    }
    return block;
}

void page_expect(const char *name, const uint8_t *bytes, size_t count) {
    struct page_block block = page_block(name);
    if (block.count == count && memcmp(block.bytes, bytes, count) == 0)
        return;
    fprintf(stderr, "%s\n", name); /* whole, which an assertion's message would not be */
    for (size_t i = 0; i < count; i++)
        fprintf(stderr, "%02x%c", bytes[i], i % PAGE_ROW_BYTES == PAGE_ROW_BYTES - 1 ? '\n' : ' ');
    fprintf(stderr, "\n");
    cr_assert_fail("'%s' is not as on the page, but %zu bytes, above", name, count);
}
