/* tests/support/page.h: docs/PROTOCOL.md, section 8, which shows in hex what is said. A block of the page is
 * a fence whose first line is its name.
 *
 * Threads: one.  Memory: the page stays in memory. What is not as on the page fails the test. */
#ifndef TERN_TESTS_SUPPORT_PAGE_H
#define TERN_TESTS_SUPPORT_PAGE_H

#include <stddef.h>
#include <stdint.h>

#define PAGE_BLOCK_BYTES_MAX 512u

struct page_block {
    uint8_t bytes[PAGE_BLOCK_BYTES_MAX];
    size_t count;
};

/* All of the page. */
const char *page_text(void);
struct page_block page_block(const char *name);
/* The block of this name holds these bytes. Where it does not, the bytes are printed. */
void page_expect(const char *name, const uint8_t *bytes, size_t count);

#endif
