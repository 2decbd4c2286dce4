#include "storage/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/bytes.h"

#define PATH_BYTES 512
#define PAGE_BYTES_MIN 512
#define PAGE_BYTES_MAX 65536
#define PAGE_BYTES_USUAL 4096
#define VALUE_BYTES_MAX (1u << 20)
#define DEPTH_MAX 32
#define NO_PAGE UINT64_MAX
/* A page: its number, u16 unused, flags, then where its list of nodes ends and where the nodes begin. */
#define FLAGS_AT 10
#define LOWER_AT 12
#define UPPER_AT 14
#define PAGES_AT 12 /* of an overflow page: how many belong together */
#define HEADER_BYTES 16
#define FLAG_BRANCH 0x01
#define FLAG_LEAF 0x02
#define FLAG_OVERFLOW 0x04
#define FLAG_META 0x08
#define FLAG_KINDS 0x6f
/* A node: bytes of the value, or with the flags the page of a child; flags; bytes of the key; the key. */
#define NODE_FLAGS_AT 4
#define NODE_KEY_AT 6
#define NODE_BYTES 8
#define NODE_LARGE 1
#define KEY_BYTES_MAX 511
/* A root, behind the page's header. The tables of free pages and of records have 48 bytes each. */
#define META_MAGIC 0xbeefc0deu
#define META_VERSION 1
#define META_PAGE_BYTES_AT 24
#define META_TABLE_AT 72
#define META_LAST_AT 120
#define META_COMMIT_AT 128
#define META_BYTES 136
#define TABLE_DEPTH_AT 6
#define TABLE_RECORDS_AT 32
#define TABLE_ROOT_AT 40

struct node {
    struct map_view key;
    uint64_t child;       /* of a branch */
    uint32_t value_bytes; /* of a leaf */
    bool large;
    const uint8_t *value;
};

struct walk {
    struct pages *pages;
    const struct pages_root *root;
    const struct pages_visitor *visitor;
    const struct value_key *from;
};

/* --- opening -------------------------------------------------------------------------------------------- */

static bool read_page(const struct pages *pages, uint64_t page, uint8_t *ret_bytes) {
    ssize_t got = pread(pages->fd, ret_bytes, pages->page_bytes, (off_t)(page * pages->page_bytes));
    return got == (ssize_t)pages->page_bytes;
}

/* False where the page holds no root that could be one. */
static bool read_root(const struct pages *pages, uint64_t page, struct pages_root *ret_root) {
    uint8_t bytes[PAGE_BYTES_MAX];
    if (!read_page(pages, page, bytes))
        return false;
    const uint8_t *meta = bytes + HEADER_BYTES, *table = meta + META_TABLE_AT;
    if (bytes_get64(bytes) != page || !(bytes_get16(bytes + FLAGS_AT) & FLAG_META) ||
        bytes_get32(meta) != META_MAGIC || bytes_get32(meta + 4) != META_VERSION)
        return false;
    struct pages_root root = {.commit = bytes_get64(meta + META_COMMIT_AT),
                              .page = bytes_get64(table + TABLE_ROOT_AT),
                              .count = bytes_get64(meta + META_LAST_AT) + 1,
                              .records = bytes_get64(table + TABLE_RECORDS_AT),
                              .depth = bytes_get16(table + TABLE_DEPTH_AT)};
    bool empty = root.page == NO_PAGE;
    if (root.depth > DEPTH_MAX || (!empty && (root.page < PAGES_ROOTS || root.page >= root.count)))
        return false;
    *ret_root = root;
    return true;
}

static uint32_t usual_page_bytes(int fd) {
    uint8_t head[HEADER_BYTES + META_BYTES];
    if (pread(fd, head, sizeof(head), 0) != (ssize_t)sizeof(head) ||
        bytes_get32(head + HEADER_BYTES) != META_MAGIC)
        return PAGE_BYTES_USUAL;
    uint32_t bytes = bytes_get32(head + HEADER_BYTES + META_PAGE_BYTES_AT);
    bool power = bytes >= PAGE_BYTES_MIN && bytes <= PAGE_BYTES_MAX && (bytes & (bytes - 1)) == 0;
    return power ? bytes : PAGE_BYTES_USUAL;
}

static void read_roots(struct pages *pages) {
    struct pages_root root;
    for (uint64_t page = 0; page < PAGES_ROOTS; page++) {
        if (!read_root(pages, page, &root))
            continue;
        if (pages->root_count == 1 && root.commit > pages->roots[0].commit) {
            pages->roots[1] = pages->roots[0];
            pages->roots[0] = root;
        } else {
            pages->roots[pages->root_count] = root;
        }
        pages->root_count++;
    }
}

int pages_open(const char *folder, struct pages *ret_pages) {
    char path[PATH_BYTES];
    struct stat status;
    if ((size_t)snprintf(path, sizeof(path), "%s/" PAGES_FILE, folder) >= sizeof(path))
        return -ENAMETOOLONG;
    struct pages pages = {.fd = open(path, O_RDONLY | O_CLOEXEC)};
    if (pages.fd < 0)
        return -errno;
    int error = fstat(pages.fd, &status) ? -errno : 0;
    if (error == 0) {
        pages.page_bytes = usual_page_bytes(pages.fd);
        pages.count = (uint64_t)status.st_size / pages.page_bytes;
        pages.seen = calloc(pages.count / 8 + 1, 1);
        pages.value = malloc(VALUE_BYTES_MAX + PAGE_BYTES_MAX);
        error = pages.count < PAGES_ROOTS ? -EUCLEAN : !pages.seen || !pages.value ? -ENOMEM : 0;
    }
    if (error) {
        pages_close(&pages);
        return error;
    }
    read_roots(&pages);
    *ret_pages = pages;
    return 0;
}

void pages_close(struct pages *pages) {
    free(pages->seen);
    free(pages->value);
    close(pages->fd);
}

/* --- one page ------------------------------------------------------------------------------------------- */

static bool is_seen(const struct pages *pages, uint64_t page) {
    return pages->seen[page / 8] & (1u << (page % 8));
}

static void see(struct pages *pages, uint64_t page, uint64_t count) {
    for (; count > 0; count--, page++)
        pages->seen[page / 8] |= (uint8_t)(1u << (page % 8));
}

static uint32_t node_count(const uint8_t *page) {
    return (bytes_get16(page + LOWER_AT) - HEADER_BYTES) / 2u;
}

/* The page's node; false where it does not lie within the page. */
static bool node_read(const struct pages *pages, const uint8_t *page, uint32_t index, struct node *ret_node) {
    uint32_t at = bytes_get16(page + HEADER_BYTES + 2 * index);
    if (at < bytes_get16(page + UPPER_AT) || at + NODE_BYTES > pages->page_bytes)
        return false;
    const uint8_t *bytes = page + at;
    uint32_t key_bytes = bytes_get16(bytes + NODE_KEY_AT);
    uint16_t flags = bytes_get16(bytes + NODE_FLAGS_AT);
    if (key_bytes > KEY_BYTES_MAX || at + NODE_BYTES + key_bytes > pages->page_bytes)
        return false;
    struct node node = {.key = {.at = bytes + NODE_BYTES, .bytes = key_bytes},
                        .child = bytes_get32(bytes) | (uint64_t)flags << 32,
                        .value_bytes = bytes_get32(bytes),
                        .value = bytes + NODE_BYTES + key_bytes,
                        .large = flags == NODE_LARGE};
    if (bytes_get16(page + FLAGS_AT) & FLAG_LEAF) {
        uint32_t here = node.large ? sizeof(uint64_t) : node.value_bytes;
        if ((flags & ~NODE_LARGE) || key_bytes == 0 || node.value_bytes > VALUE_BYTES_MAX ||
            at + NODE_BYTES + key_bytes + here > pages->page_bytes)
            return false;
    }
    *ret_node = node;
    return true;
}

static int compare(struct map_view left, struct map_view right) {
    size_t bytes = left.bytes < right.bytes ? left.bytes : right.bytes;
    int order = bytes ? memcmp(left.at, right.at, bytes) : 0;
    return order ? order : (left.bytes > right.bytes) - (left.bytes < right.bytes);
}

/* What is wrong with the page, or NULL. */
static const char *page_fault(const struct pages *pages, const uint8_t *bytes, uint64_t page, uint16_t kind) {
    struct node node, before = {0};
    if (bytes_get64(bytes) != page)
        return "does not bear its own number";
    if ((bytes_get16(bytes + FLAGS_AT) & FLAG_KINDS) != kind)
        return "is of another kind than its place asks for";
    uint32_t lower = bytes_get16(bytes + LOWER_AT), upper = bytes_get16(bytes + UPPER_AT);
    if (lower < HEADER_BYTES + 2 || lower % 2 || lower > upper || upper > pages->page_bytes)
        return "has bounds that can't be";
    for (uint32_t i = 0; i < node_count(bytes); i++) {
        if (!node_read(pages, bytes, i, &node))
            return "has an entry that leads out of it";
        if (i > (kind == FLAG_BRANCH) && compare(before.key, node.key) >= 0)
            return "has keys out of order";
        before = node;
    }
    return NULL;
}

/* The value of a leaf's node; false where its overflow pages are not what they should be. */
static bool value_read(struct pages *pages, const struct node *node, uint64_t count,
                       struct map_view *ret_value) {
    *ret_value = (struct map_view){.at = node->value, .bytes = node->value_bytes};
    if (!node->large)
        return true;
    uint64_t page = bytes_get64(node->value);
    uint64_t needed = (HEADER_BYTES - 1 + (uint64_t)node->value_bytes) / pages->page_bytes + 1;
    if (page < PAGES_ROOTS || page >= count || needed > count - page)
        return false;
    size_t bytes = (size_t)needed * pages->page_bytes;
    if (pread(pages->fd, pages->value, bytes, (off_t)(page * pages->page_bytes)) != (ssize_t)bytes)
        return false;
    if (bytes_get64(pages->value) != page ||
        (bytes_get16(pages->value + FLAGS_AT) & FLAG_KINDS) != FLAG_OVERFLOW ||
        bytes_get32(pages->value + PAGES_AT) < needed)
        return false;
    see(pages, page, needed);
    *ret_value = (struct map_view){.at = pages->value + HEADER_BYTES, .bytes = node->value_bytes};
    return true;
}

/* --- walking -------------------------------------------------------------------------------------------- */

static int report(const struct walk *walk, uint64_t page, const char *what, const struct value_key *from,
                  const struct value_key *to) {
    struct pages_fault fault = {.page = page, .what = what, .from = *from, .to = *to};
    return walk->visitor->fault(walk->visitor->context, &fault);
}

static int walk_leaf(const struct walk *walk, const uint8_t *bytes, uint64_t page) {
    struct map_view from = value_key_view(walk->from), value;
    struct node node;
    for (uint32_t i = 0; i < node_count(bytes); i++) {
        (void)node_read(walk->pages, bytes, i, &node); /* page_fault has read it */
        if (compare(node.key, from) < 0)
            continue;
        int error;
        if (value_read(walk->pages, &node, walk->root->count, &value)) {
            error = walk->visitor->record(walk->visitor->context, node.key, value, page);
        } else {
            struct value_key key = value_key_copy(node.key), behind = value_key_behind(node.key);
            error = report(walk, bytes_get64(node.value), "is no overflow page", &key, &behind);
        }
        if (error)
            return error;
    }
    return 0;
}

static int walk_page(const struct walk *walk, uint64_t page, uint32_t level, const struct value_key *from,
                     const struct value_key *to);

/* Child i holds the keys from its own up to the next one's; the first child's key is not kept. */
static int walk_branch(const struct walk *walk, const uint8_t *bytes, uint32_t level,
                       const struct value_key *from, const struct value_key *to) {
    struct node node, next;
    uint32_t count = node_count(bytes);
    (void)node_read(walk->pages, bytes, 0, &node);
    for (uint32_t i = 0; i < count; i++, node = next) {
        struct value_key child_from = i ? value_key_copy(node.key) : *from, child_to = *to;
        if (i + 1 < count) {
            (void)node_read(walk->pages, bytes, i + 1, &next);
            child_to = value_key_copy(next.key);
        }
        if (child_to.used && compare(value_key_view(&child_to), value_key_view(walk->from)) <= 0)
            continue;
        int error = walk_page(walk, node.child, level + 1, &child_from, &child_to);
        if (error)
            return error;
    }
    return 0;
}

static int walk_page(const struct walk *walk, uint64_t page, uint32_t level, const struct value_key *from,
                     const struct value_key *to) {
    struct pages *pages = walk->pages;
    bool leaf = level + 1 == walk->root->depth;
    if (page < PAGES_ROOTS || page >= walk->root->count || level >= walk->root->depth)
        return report(walk, page, "can't be where it is said to be", from, to);
    if (page >= pages->count)
        return report(walk, page, "lies behind the end of the file", from, to);
    if (is_seen(pages, page))
        return report(walk, page, "is named twice", from, to);
    uint8_t *bytes = malloc(pages->page_bytes);
    if (!bytes)
        return -ENOMEM;
    const char *fault = "can't be read from the disk";
    if (read_page(pages, page, bytes))
        fault = page_fault(pages, bytes, page, leaf ? FLAG_LEAF : FLAG_BRANCH);
    int error;
    see(pages, page, fault == NULL);
    if (fault)
        error = report(walk, page, fault, from, to);
    else if (leaf)
        error = walk_leaf(walk, bytes, page);
    else
        error = walk_branch(walk, bytes, level, from, to);
    free(bytes);
    return error;
}

int pages_walk(struct pages *pages, const struct pages_root *root, const struct value_key *from,
               const struct pages_visitor *visitor) {
    static const struct value_key open_end = {.used = 0};
    struct walk walk = {.pages = pages, .root = root, .visitor = visitor, .from = from};
    memset(pages->seen, 0, pages->count / 8 + 1);
    return root->page == NO_PAGE ? 0 : walk_page(&walk, root->page, 0, &open_end, &open_end);
}

int pages_scan(struct pages *pages, const struct pages_visitor *visitor) {
    uint8_t *bytes = malloc(pages->page_bytes);
    struct map_view value;
    struct node node;
    int error = bytes ? 0 : -ENOMEM;
    for (uint64_t page = PAGES_ROOTS; page < pages->count && error == 0; page++) {
        if (is_seen(pages, page) || !read_page(pages, page, bytes) || bytes_get64(bytes) != page ||
            (bytes_get16(bytes + FLAGS_AT) & FLAG_KINDS) != FLAG_LEAF)
            continue;
        uint32_t lower = bytes_get16(bytes + LOWER_AT);
        if (lower < HEADER_BYTES || lower > pages->page_bytes)
            continue;
        /* A record is believed for its checksum: whatever else is wrong with the page does not matter. */
        for (uint32_t i = 0; i < node_count(bytes) && error == 0; i++) {
            if (node_read(pages, bytes, i, &node) && value_read(pages, &node, pages->count, &value))
                error = visitor->record(visitor->context, node.key, value, page);
        }
    }
    free(bytes);
    return error;
}
