/* storage/pages.h: reads the file of a map page by page, without the library behind storage/map.h and without
 * mapping it: for checking and salvaging. The library takes what a page says for granted, so a damaged one
 * may crash it; here every number is held to its bounds, and a page that can't be read is named.
 *
 * The format is that of LMDB 0.9 on a 64-bit little-endian machine: pages 0 and 1 hold the root of the newest
 * commit and of the one before; branch pages lead to leaf pages, these hold the records; a value too large
 * for a leaf lies in overflow pages of its own.
 *
 * Threads: one at a time.  Memory: what pages_open says; views are valid during the call that hands them
 * out.
 */
#ifndef TERN_STORAGE_PAGES_H
#define TERN_STORAGE_PAGES_H

#include <stdbool.h>
#include <stdint.h>

#include "storage/map.h"
#include "storage/value.h"

#define PAGES_FILE "data.mdb"
#define PAGES_ROOTS 2

struct pages_root { /* of one commit */
    uint64_t commit;
    uint64_t page;  /* UINT64_MAX: nothing in it */
    uint64_t count; /* pages that the file had reached */
    uint64_t records;
    uint16_t depth;
};

struct pages {
    int fd;
    uint32_t page_bytes;
    uint64_t count;                       /* whole pages in the file */
    struct pages_root roots[PAGES_ROOTS]; /* the newest first */
    uint32_t root_count;                  /* that are whole */
    uint8_t *seen;                        /* a bit for each page that a walk came to */
    uint8_t *value;                       /* of a record in overflow pages */
};

/* A page that could not be read or is not what it should be, and what it leaves out: keys from `from` to
 * before `to`; used == 0: from the first, to the last. */
struct pages_fault {
    uint64_t page;
    const char *what; /* a sentence's end: "names another page" */
    struct value_key from, to;
};

struct pages_visitor {
    /* 0: go on; anything else ends the walk, which returns it. `page` holds the key. */
    int (*record)(void *context, struct map_view key, struct map_view value, uint64_t page);
    int (*fault)(void *context, const struct pages_fault *fault);
    void *context;
};

/* Opens the file in this folder. 0; -EUCLEAN: it is too short to be a map; or the system's. No whole root is
 * no error. */
int pages_open(const char *folder, struct pages *ret_pages);
void pages_close(struct pages *pages);
/* Every record with a key >= from (used == 0: every one) of a commit, in the order of the keys. */
int pages_walk(struct pages *pages, const struct pages_root *root, const struct value_key *from,
               const struct pages_visitor *visitor);
/* Every record in a page that no walk came to and that has the form of a leaf: older versions, deleted
 * records, and what lies under a branch that is damaged. */
int pages_scan(struct pages *pages, const struct pages_visitor *visitor);

#endif
