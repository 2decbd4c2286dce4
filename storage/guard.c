#include "storage/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define GUARDS_MAX 128 /* environments, and a backup of each */
#define PAGE_BYTES_MIN 512
#define PAGE_BYTES_MAX 32768

/* Of LMDB's pages: mdb.c, MDB_page, MDB_node and MDB_meta. */
#define PAGE_BRANCH 0x01
#define PAGE_LEAF 0x02
#define NODE_KEY_BYTES 8
#define NODE_DATA_BYTES 8
#define NODE_FLAGS 0x8000 /* of no meaning in a leaf; as a branch's page number, one that no file has */
#define SLOTS 16
#define SLOTS_ZERO 4 /* where a list of free pages has its count */
#define META_PAGES 2
#define META_ROOT_AT 80       /* of the table of free pages; */
#define META_ROOT_NEXT_AT 128 /* of the other one */

struct node {
    uint16_t data_bytes, data_bytes_high, flags, key_bytes;
    uint8_t key[NODE_KEY_BYTES], data[NODE_DATA_BYTES];
};

/* The front of a page. Its first eight bytes, the page's number, are a node's, for slots that are 0. */
struct front {
    uint16_t data_bytes, data_bytes_high, node_flags, key_bytes;
    uint16_t pad, flags, lower, upper;
    uint16_t slots[SLOTS]; /* a binary search begins in the middle: the node at the end, and no smaller one */
};

enum stand_in { STAND_IN_TREE, STAND_IN_COPY, STAND_IN_META, STAND_INS };

struct guard {
    _Atomic uintptr_t start, end; /* [atomic: owner -> handler] end == 0: free */
    _Atomic bool failed;          /* [atomic: handler -> any] */
    _Atomic bool copied;          /* [atomic: who copies -> handler] between guard_lend and guard_give_back */
    size_t unit_bytes;            /* of a stand-in: a page of the system or of the file, the larger one */
    size_t meta_bytes;            /* of the file, whose stand-in is another one */
    int stand_in_fd;              /* STAND_INS of them */
    int dead_fd;                  /* of no use to write or sync */
    int data_fd;                  /* the owner's */
    int copy_fd;                  /* a number kept for guard_lend */
};

static struct guard guards[GUARDS_MAX];
static pthread_mutex_t guards_lock = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction before; /* what was set for SIGBUS, under guards_lock until the handler is set */

/* --- in the handler: only what is allowed there --------------------------------------------------------- */

static struct guard *guard_of(uintptr_t address) {
    for (size_t i = 0; i < GUARDS_MAX; i++) {
        if (address >= atomic_load(&guards[i].start) && address < atomic_load(&guards[i].end))
            return &guards[i];
    }
    return NULL;
}

/* First the mark, then the descriptors, then the page: who sees anything of the page sees the mark, and a
 * commit that saw it can't write. */
static bool replace(struct guard *guard, uintptr_t address) {
    uintptr_t start = atomic_load(&guard->start);
    uintptr_t at = (address - start) / guard->unit_bytes * guard->unit_bytes;
    enum stand_in which = at < guard->meta_bytes        ? STAND_IN_META
                          : atomic_load(&guard->copied) ? STAND_IN_COPY
                                                        : STAND_IN_TREE;
    atomic_store(&guard->failed, true);
    return dup3(guard->dead_fd, guard->data_fd, O_CLOEXEC) >= 0 &&
           dup3(guard->dead_fd, guard->copy_fd, O_CLOEXEC) >= 0 &&
           mmap((void *)(start + at), guard->unit_bytes, PROT_READ, MAP_PRIVATE | MAP_FIXED,
                guard->stand_in_fd, (off_t)(which * guard->unit_bytes)) != MAP_FAILED;
}

static void on_missing_page(int number, siginfo_t *information, void *context) {
    (void)context;
    int error = errno;
    bool is_read = information->si_code == BUS_ADRERR || information->si_code == BUS_MCEERR_AR;
    struct guard *guard = is_read ? guard_of((uintptr_t)information->si_addr) : NULL;
    if (!guard || !replace(guard, (uintptr_t)information->si_addr)) {
        /* The faulting instruction runs again, and then what was set before is called. */
        sigaction(number, &before, NULL);
        if (information->si_code <= 0) /* sent by a process: nothing runs again */
            raise(number);
    }
    errno = error;
}

/* --- the owner's side ----------------------------------------------------------------------------------- */

static int set_handler(void) {
    static bool is_set; /* under guards_lock */
    struct sigaction action = {.sa_sigaction = on_missing_page, .sa_flags = SA_SIGINFO | SA_RESTART};
    if (is_set)
        return 0;
    if (sigaction(SIGBUS, NULL, &before) || sigaction(SIGBUS, &action, NULL))
        return -errno;
    is_set = true;
    return 0;
}

/* Where a file is mapped. LMDB does not say; the kernel names maps and descriptors in the same way. */
static int find_map(int fd, size_t bytes, uintptr_t *ret_start) {
    char name[64], path[PATH_MAX], *line = NULL;
    size_t line_bytes = 0;
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    ssize_t path_bytes = readlink(name, path, sizeof(path) - 1);
    FILE *maps = path_bytes < 0 ? NULL : fopen("/proc/self/maps", "re");
    if (!maps)
        return -errno;
    path[path_bytes] = '\0';
    int error = -ENOENT;
    while (error && getline(&line, &line_bytes, maps) > 0) {
        unsigned long start, end;
        int path_at = 0;
        line[strcspn(line, "\n")] = '\0';
        if (sscanf(line, "%lx-%lx %*s %*s %*s %*s %n", &start, &end, &path_at) < 2 || path_at == 0)
            continue;
        if (end - start < bytes || strcmp(line + path_at, path) != 0 || guard_of(start))
            continue;
        *ret_start = start;
        error = 0;
    }
    free(line);
    fclose(maps);
    return error;
}

static void make_stand_in(enum stand_in which, uint8_t *page, size_t page_bytes) {
    struct node node = {.data_bytes = NODE_DATA_BYTES, .flags = NODE_FLAGS, .key_bytes = NODE_KEY_BYTES};
    struct front front = {.data_bytes = node.data_bytes,
                          .node_flags = node.flags,
                          .key_bytes = node.key_bytes,
                          .flags = PAGE_LEAF | (which == STAND_IN_TREE ? PAGE_BRANCH : 0),
                          .lower = sizeof(front),
                          .upper = (uint16_t)(page_bytes - sizeof(node))};
    const uint16_t anywhere = NODE_DATA_BYTES; /* its sizes and its flags, wherever a node was before */
    for (size_t i = SLOTS_ZERO; i < SLOTS; i++)
        front.slots[i] = front.upper;
    if (which == STAND_IN_META) {
        memset(page + META_ROOT_AT, 0xff, sizeof(uint64_t)); /* none */
        memset(page + META_ROOT_NEXT_AT, 0xff, sizeof(uint64_t));
    } else {
        for (size_t at = 0; at < page_bytes; at += sizeof(anywhere))
            memcpy(page + at, &anywhere, sizeof(anywhere));
        memcpy(page, &front, sizeof(front));
        memcpy(page + front.upper, &node, sizeof(node));
    }
}

static int write_stand_ins(int fd, size_t unit_bytes, size_t page_bytes) {
    if (ftruncate(fd, (off_t)(unit_bytes * STAND_INS)) < 0)
        return -errno;
    uint8_t *pages = mmap(NULL, unit_bytes * STAND_INS, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (pages == MAP_FAILED)
        return -errno;
    for (size_t at = 0; at < unit_bytes * STAND_INS; at += page_bytes)
        make_stand_in((enum stand_in)(at / unit_bytes), pages + at, page_bytes);
    munmap(pages, unit_bytes * STAND_INS);
    return 0;
}

static void close_all(const struct guard *guard) {
    const int fds[] = {guard->stand_in_fd, guard->dead_fd, guard->copy_fd};
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
}

/* Everything of a guard but its place in the table. */
static int prepare(struct guard *guard, size_t page_bytes) {
    size_t system_bytes = (size_t)sysconf(_SC_PAGESIZE);
    guard->unit_bytes = page_bytes > system_bytes ? page_bytes : system_bytes;
    guard->meta_bytes = META_PAGES * page_bytes;
    guard->stand_in_fd = memfd_create("tern-stand-in", MFD_CLOEXEC);
    guard->dead_fd = open("/", O_PATH | O_CLOEXEC);
    guard->copy_fd = fcntl(guard->dead_fd, F_DUPFD_CLOEXEC, 0);
    int error = guard->stand_in_fd < 0 || guard->copy_fd < 0 ? -EMFILE : 0;
    if (error == 0)
        error = write_stand_ins(guard->stand_in_fd, guard->unit_bytes, page_bytes);
    if (error)
        close_all(guard);
    return error;
}

static int take_place(int fd, size_t bytes, size_t page_bytes, struct guard **ret_guard) {
    struct guard *guard = guards;
    uintptr_t start = 0;
    while (guard < guards + GUARDS_MAX && atomic_load(&guard->end) != 0)
        guard++;
    if (guard == guards + GUARDS_MAX)
        return -EMFILE;
    int error = find_map(fd, bytes, &start);
    if (error == 0)
        error = set_handler();
    if (error == 0)
        error = prepare(guard, page_bytes);
    if (error)
        return error;
    guard->data_fd = fd;
    atomic_store(&guard->failed, false);
    atomic_store(&guard->start, start);
    atomic_store(&guard->end, start + bytes);
    *ret_guard = guard;
    return 0;
}

int guard_open(int fd, size_t bytes, size_t page_bytes, struct guard **ret_guard) {
    if (page_bytes < PAGE_BYTES_MIN || page_bytes > PAGE_BYTES_MAX)
        return -EINVAL;
    pthread_mutex_lock(&guards_lock);
    int error = take_place(fd, bytes, page_bytes, ret_guard);
    pthread_mutex_unlock(&guards_lock);
    return error;
}

void guard_close(struct guard *guard) {
    if (!guard)
        return;
    pthread_mutex_lock(&guards_lock);
    atomic_store(&guard->start, UINTPTR_MAX); /* no address is in it from here on */
    close_all(guard);
    atomic_store(&guard->end, 0);
    pthread_mutex_unlock(&guards_lock);
}

bool guard_failed(const struct guard *guard) {
    return guard && atomic_load(&guard->failed);
}

int guard_lend(struct guard *guard, int fd) {
    if (dup3(fd, guard->copy_fd, O_CLOEXEC) < 0)
        return -errno;
    atomic_store(&guard->copied, true);
    if (!guard_failed(guard))
        return guard->copy_fd;
    guard_give_back(guard);
    return -EIO;
}

void guard_give_back(struct guard *guard) {
    atomic_store(&guard->copied, false);
    dup3(guard->dead_fd, guard->copy_fd, O_CLOEXEC);
}
